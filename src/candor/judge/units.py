"""Units of measurement that answers to factual questions use, as (dimension, factor to the base, offset)."""

# ruff: noqa: E501  (tables)
from __future__ import annotations

import re
from typing import NamedTuple


class Unit(NamedTuple):
    """A unit: base value = value · factor + offset. Counts have no unit."""

    name: str
    dimension: str
    factor: float
    offset: float = 0.0


_TABLE = """
length 1e-9 nm nanometre nanometer; 1e-6 µm micrometre micrometer micron; .001 mm millimetre millimeter; .01 cm centimetre centimeter
length 1 m metre meter; 1000 km kilometre kilometer kms; .0254 inch inches; .3048 ft foot feet; .9144 yd yard
length 1609.344 mile mi; 1852 nautical-mile; 9.4607e15 light-year lightyear ly; 1.495979e11 au astronomical-unit; 3.0857e16 parsec
area 1 m2 square-metre square-meter square-m; 1e6 km2 square-kilometre square-kilometer square-km; 1e4 ha hectare; 4046.856 acre
area 2589988.11 mi2 square-mile square-mi; .09290304 ft2 square-foot square-feet; 1e-4 cm2 square-cm square-centimetre square-centimeter
volume .001 l litre liter; 1e-6 ml millilitre milliliter cm3; 1 m3 cubic-metre cubic-meter; 1e9 km3 cubic-kilometre cubic-kilometer; .003785411784 gallon
mass .001 g gram gramme; 1e-6 mg milligram; 1 kg kilogram kilo kilogramme; 1000 t tonne metric-ton; .45359237 lb lbs pound; .028349523 oz ounce; 907.18474 ton
time 1e-9 nanosecond; .001 ms millisecond; 1 s sec second; 60 min minute mins; 3600 h hr hour hrs; 86400 day; 604800 week; 2629746 month; 31556952 year yr yrs
speed 1 m/s metre-per-second meter-per-second; .2777777778 km/h kph kmh kilometre-per-hour kilometer-per-hour; .44704 mph mile-per-hour; .514444 knot; 1000 km/s
percent 1 % percent percentage
ratio 1 degree-angle
power 1 w watt; 1000 kw kilowatt; 1e6 mw megawatt
energy 1 j joule; 1000 kj kilojoule; 4.184 cal calorie; 4184 kcal kilocalorie
frequency 1 hz hertz; 1000 khz; 1e6 mhz; 1e9 ghz
pressure 1 pa pascal; 1e5 bar; 101325 atm atmosphere
data 1 byte; 1e3 kb kilobyte; 1e6 mb megabyte; 1e9 gb gigabyte; 1e12 tb terabyte
usd 1 $ dollar usd us-dollar; eur 1 € euro eur; gbp 1 £ gbp; yen 1 ¥ yen
century 1 century; decade 1 decade
"""
UNITS: dict[str, Unit] = {}
for _line in _TABLE.strip().splitlines():
    _dimension = ""
    for _entry in _line.split(";"):
        _fields = _entry.split()
        if not _fields[0][0].isdigit() and _fields[0][0] != ".":
            _dimension = _fields.pop(0)
        for _name in _fields[1:]:
            UNITS[_name] = Unit(_fields[1], _dimension, float(_fields[0]))
for _names, _unit in {
    "°c celsius centigrade degree-celsius degree-centigrade": Unit("°c", "temperature", 1.0, 273.15),
    "°f fahrenheit degree-fahrenheit": Unit("°f", "temperature", 5 / 9, 273.15 - 160 / 9),
    "k kelvin degree-kelvin": Unit("k", "temperature", 1.0, 0.0),
}.items():
    UNITS.update(dict.fromkeys(_names.split(), _unit))
UNITS |= {"centuries": UNITS["century"], "cubic-centimetre": UNITS["cm3"], "metre-squared": UNITS["m2"]}
_POUND_STERLING = re.compile(r"pounds? sterling|british pounds?")

_UNIT = re.compile(
    r"[\s-]*(?:(°\s?[cfk]\b|º\s?[cfk]\b)|(%)|([€£¥$])"
    r"|((?:square|sq|cubic|nautical|light|metric|us|astronomical|degrees?)[\s-])?"
    r"((?:[a-zµ]+(?:/[a-z]+)?)[23]?)\b(?:\s+(per)\s+([a-z]+))?)"
)


def _lookup(name: str) -> Unit | None:
    unit = UNITS.get(name)
    if unit is None and name.endswith("s") and len(name) > 3:
        unit = UNITS.get(name[:-1])
    return unit


def read_unit(text: str, position: int) -> tuple[Unit | None, int]:  # noqa: PLR0911  (one return a form)
    """The unit that starts at `position` of lower-case text, and where it ends; (None, position) if none."""
    if sterling := _POUND_STERLING.match(text, position + 1):
        return UNITS["£"], sterling.end()
    match = _UNIT.match(text, position)
    if not match:
        return None, position
    degrees, percent, currency, prefix, word, per, hour = match.groups()
    if degrees or percent or currency:
        name = (degrees or percent or currency).replace(" ", "").replace("º", "°")
        return UNITS.get(name), match.end()
    if prefix:
        prefix = (
            prefix.strip(" -").replace("sq", "square") if prefix.startswith("sq ") else prefix.strip(" -")
        )
        prefix = prefix.removesuffix("s") if prefix == "degrees" else prefix
        if unit := _lookup(f"{prefix}-{word}"):
            return unit, match.end(5)
        return None, position
    if per and (unit := _lookup(f"{word.removesuffix('s')}-per-{hour}")):
        return unit, match.end()
    # "in" is a preposition far more often than an inch; a lone "m" or "k" after a space may be a metre or kelvin.
    unit = _lookup(word)
    return (unit, match.end(5)) if unit else (None, position)
