"""The 118 chemical elements, from the tables of the mendeleev package (MIT)."""

from __future__ import annotations

import math
import re
from functools import lru_cache, partial
from typing import Any

from candor.data.chunks import sentence_spans
from candor.data.facts import element_tables as tables
from candor.data.facts.entry import Entry, Renderer, listed, package

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")
_BLOCKED = re.compile(
    r"\d|discover|isolated|identified|predicted|reported|synthesi|produced by|named|called|formerly|known as|"
    r"half-life|isotope|appearance|shown|created|practical applications|demonstrated|(?:^| )oft ",
    flags=re.I,
)
_TYPOS = {
    "Socket silvery": "Soft silvery",
    "lead-place": "lead-acid",
    "platinumpy": "platinum",
    "lanthanumpy": "lanthanum",
    "substitue": "substitute",
    "berings": "bearings",
    "Relativly": "Relatively",
    "electodes": "electrodes",
    "insoluable": "insoluble",
    "whtie": "white",
    "tissures": "tissues",
    "gages": "gauges",
    "cyandies": "cyanides",
    "brown power": "brown powder",
    "It us used": "It is used",
    "found in from": "found in",
    "Its found": "It is found",
    "color class": "color glass",
    "catalyst .": "catalyst.",
    "high temp. alloys": "high-temperature alloys",
    "samarium oxide is used": "samarium oxide are used",
    "in humans.)": "in humans).",
    "Has a multiple": "Has multiple",
    "a many minerals": "many minerals",
    "Used a reducing": "Used as a reducing",
    "forms of it, diamonds": "forms, diamonds",
    "Chemically a reactive metal, combines": "Is a reactive metal that combines",
    " & ": " and ",
}
_PARTICIPLE = re.compile(
    r"(?:Used|Found|Obtained|Required|Added|Mixed|Made|Alloyed|Attacked|Extremely|Insoluble) "
)
_VERB = re.compile(
    r"(?:Belongs|Occurs|Reacts|Combines|Does|Forms|Dissolves|Resists|Has|Corrodes|"
    r"Conducts|Burns|Is|Can|Absorbs) "
)
_ALSO = re.compile(r"Also (?:used )?(?=(?:in|for|as|to) )")
_NOUN_PHRASE = re.compile(r"[A-Z][\w-]*(?:,? [\w-]+){0,7}? (?:element|metal|gas)\b")
_WHOLE = re.compile(r"(?:It|Its|The|Small quantities|Some is|Salts of|There are|Lead-free) ")


def element_entries(seed: int) -> list[Entry]:
    """Return an entry for each element, with its facts.

    Raises:
        CandorError: mendeleev is not installed.
    """
    return [render(seed) for render in element_renderers()]


@lru_cache(maxsize=1)
def element_renderers() -> tuple[Renderer, ...]:
    """What makes each element's entry, in wordings that depend on the seed.

    Raises:
        CandorError: mendeleev is not installed.
    """
    table = package("mendeleev.fetch").fetch_table("elements")
    return tuple(partial(_entry, row) for row in table.to_dict("records"))


def _entry(row: dict[str, Any], seed: int) -> Entry:
    name, symbol, number = str(row["name"]), str(row["symbol"]), int(row["atomic_number"])
    entry = Entry(f"element/{name.lower()}", name, "mendeleev", seed)
    names = (name, tables.ALSO_SPELT[name]) if name in tables.ALSO_SPELT else (name,)
    entry.say(
        f"{name} is a chemical element with the symbol {symbol} and atomic number {number}.",
        f"{name} (symbol {symbol}) is the chemical element with atomic number {number}.",
        f"The chemical element {name} has atomic number {number} and the chemical symbol {symbol}.",
        f"{name}, written {symbol} in formulas, is the element with {number} protons in its nucleus, "
        f"so its atomic number is {number}.",
    )
    entry.ask("element_symbol", f"What is the chemical symbol for {name.lower()}?", symbol)
    entry.ask("symbol_element", f"Which chemical element has the symbol {symbol}?", *names)
    entry.ask("atomic_number", f"What is the atomic number of {name.lower()}?", str(number))
    entry.ask("number_element", f"Which chemical element has atomic number {number}?", *names)
    _place_in_table(entry, row, name, number)
    _history(entry, row, name, number)
    _prose(entry, row, name, number)
    if row["is_radioactive"]:
        entry.say(f"{name} is radioactive.", "All of its isotopes are radioactive.")
    weight = float(row["atomic_weight"])
    if not math.isnan(weight) and not row["is_radioactive"]:
        entry.say(
            f"Its standard atomic weight is about {weight:.1f}.",
            f"Its atomic weight is close to {weight:.1f}.",
        )
    return entry


def _place_in_table(entry: Entry, row: dict[str, Any], name: str, number: int) -> None:
    period = int(row["period"])
    ordinal = _ORDINALS[period - 1]
    lower = name.lower()
    group = None if number in tables.NO_GROUP or math.isnan(row["group_id"]) else int(row["group_id"])
    if group is None:
        entry.say(f"It belongs to period {period} of the periodic table.", f"It stands in period {period}.")
    else:
        entry.say(
            f"It is in group {group} and period {period} of the periodic table.",
            f"In the periodic table it stands in group {group}, period {period}.",
            f"Its place in the periodic table is period {period}, group {group}.",
        )
        entry.ask(
            "element_group",
            f"In which group of the periodic table is {lower}?",
            *(str(group), f"group {group}"),
        )
    forms = (str(period), f"period {period}", ordinal, f"{ordinal} period")
    entry.ask("element_period", f"In which period of the periodic table is {lower}?", *forms)
    if number not in tables.NO_CATEGORY:
        category = tables.CATEGORIES[int(row["series_id"])]
        entry.say(
            f"Chemists count it among the {category[1]}.",
            f"It is classed as {'an' if category[0][0] in 'aeiou' else 'a'} {category[0]}.",
        )
        # The plural is what one of the two wordings shows; as answers all forms are equal.
        entry.ask("element_category", f"What type of element is {lower}, by its chemical series?", *category)


def _history(entry: Entry, row: dict[str, Any], name: str, number: int) -> None:
    lower = name.lower()
    origin = tables.NAMED_AFTER.get(name)
    if origin is not None:
        entry.say(f"It is named after {origin[0]}.", f"{name} takes its name from {origin[0]}.")
        entry.ask("element_named_after", f"What or whom is the element {lower} named after?", *origin)
    else:
        meaning = re.match(
            r"(Greek|Latin|German|Swedish|Spanish): (\w+),? \(([^)]+)\)\.?$", str(row["name_origin"])
        )
        if meaning and " for " not in meaning[3]:
            language, word, sense = meaning.groups()
            entry.say(f'The name comes from the {language} word "{word}", meaning {sense.strip()}.')
    people = _discoverers(str(row["discoverers"]), number)
    year = _year(row, number)
    if people:
        date = f" in {year}" if year else ""
        entry.say(
            f"It was discovered{date} by {listed(people)}.",
            f"Credit for its discovery{date} goes to {listed(people)}.",
            f"{listed(people)} discovered {lower}{date}.",
        )
        bare = [re.sub(r"^(?:Sir|Lord) ", "", person) for person in people]
        surnames = [person.split()[-1] for person in people]
        if "Pierre and Marie Curie" in people:
            bare += ["Marie Curie", "Pierre Curie", "Marie and Pierre Curie"]
        entry.ask(
            "element_discoverer",
            f"Who discovered the element {lower}?",
            listed(people),
            *people,
            *bare,
            *surnames,
        )
    elif year:
        entry.say(f"It was discovered in {year}.")
    if year:
        entry.ask("element_year", f"In what year was the element {lower} discovered?", str(year))


def _discoverers(text: str, number: int) -> list[str]:
    if number in tables.NO_DISCOVERER or "ancients" in text:
        return []
    for wrong, right in tables.SPELLINGS.items():
        text = text.replace(wrong, right)
    return [person.strip() for person in re.split(r"[,;]", text) if person.strip()]


def _year(row: dict[str, Any], number: int) -> int | None:
    """Return the discovery year, unless the package's own description gives other years only."""
    if number in tables.NO_YEAR or math.isnan(row["discovery_year"]):
        return None
    year = int(row["discovery_year"])
    stated = re.findall(r"\b1[5-9]\d\d\b", str(row["description"]))
    return year if not stated or str(year) in stated else None


def _prose(entry: Entry, row: dict[str, Any], name: str, number: int) -> None:
    """Add up to five of the package's own sentences, its telegraphic style made whole."""
    kept: list[str] = []
    for source in ("description", "uses"):
        text = str(row[source]) if isinstance(row[source], str) else ""
        for wrong, right in _TYPOS.items():
            text = text.replace(wrong, right)
        text = " ".join(text.split())
        sentences = (_whole_sentence(text[a:b], name) for a, b in sentence_spans(text))
        room = 3 if source == "description" else 5 - len(kept)
        kept += [s for s in sentences if s and not ("transuranic" in s and number < 93) and s not in kept][
            :room
        ]
    entry.sentences += kept


def _whole_sentence(text: str, name: str) -> str | None:
    """Return a grammatical sentence about the element, or None if the text can't be trusted to be one."""
    if _BLOCKED.search(text) or len(text) < 15 or text.count("(") != text.count(")"):
        return None
    text = text.rstrip(" .") + "."
    first_lower = text[0].lower() + text[1:]
    if _ALSO.match(text):
        return "It is also used " + _ALSO.sub("", text)
    for pattern, opening in ((_PARTICIPLE, "It is "), (_VERB, "It ")):
        if pattern.match(text):
            return opening + first_lower
    if _WHOLE.match(text) or text.startswith((f"{name} ", f"{name}'s ")):
        return text
    if _NOUN_PHRASE.match(text):
        superlative = re.match(r"\w+est\b", text) is not None
        article = "the" if superlative else "an" if first_lower[0] in "aeiou" else "a"
        return f"It is {article} {re.sub(r',? belongs to', ', which belongs to', first_lower)}"
    return None
