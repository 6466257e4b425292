"""The rules leave prose alone and catch what each is for."""

from __future__ import annotations

import pytest

from candor.base.filters import RULES, FilterSettings, broken_rule, scrubbed

PROSE = (
    "The harbour of the old town lies at the mouth of the river. Ships have come here for six hundred years "
    "to load timber and salt, and most of the houses were built by merchants.\n"
    "In the north the land rises to the hills that give the town its name. Farmers keep sheep there, and in "
    "winter the road over the pass is often closed with snow. A railway has run through the valley since "
    "1871; it carries goods to the coast and people to work.\n"
    "Visitors like the market, which is held on the square in front of the church every Saturday."
)

BREAKS = {
    "too few words": "The cat sat on the mat and that was that.",
    "too many words": "The people of the town have bread. " * 20_000,
    "words too short": "a b of c d to e f g h " * 20,
    "words too long": "the internationalisation of the telecommunications with incomprehensibilities " * 12,
    "symbols": PROSE.replace(" ", " #"),
    "bullets": "\n".join(f"- {line}." for line in PROSE.replace("\n", " ").split(". ")),
    "ellipses": "\n".join(f"{line} …" if n % 2 else f"{line}." for n, line in enumerate(PROSE.split(". "))),
    "words without letters": PROSE + " 12 345 678 91 01 11" * 20,
    "no stop words": " ".join(f"Wort{number} gehört dazu." for number in range(40)),
    "lines without an end": "\n".join(PROSE.replace(".", ",").split(", ")),
    "short lines": PROSE.replace(". ", ".\n") + "\nYes, of course.".join(map(str, range(40))),
    "repeated lines": "\n".join(["The shop of the town is open to all that have money on Mondays."] * 6)
    + "\n"
    + "\n".join(PROSE.split(". ")[:4]),
    "adult": PROSE + " porn xxx milf" * 3,
}


def test_prose_passes_every_rule() -> None:
    assert broken_rule(PROSE, FilterSettings()) is None


@pytest.mark.parametrize("rule", BREAKS)
def test_each_rule_catches_what_it_is_for(rule: str) -> None:
    found = {name for name, breaks in RULES.items() if _breaks(breaks, BREAKS[rule])}
    assert rule in found


@pytest.mark.parametrize("rule", ["repeated text", "one phrase", "repeated phrases"])
def test_repetition_inside_a_document_is_caught(rule: str) -> None:
    texts = {
        "repeated text": "\n".join([PROSE] * 2),
        "one phrase": PROSE[:200] + " buy now" * 60,
        "repeated phrases": PROSE + (" so the people of the town have said" * 12),
    }
    assert _breaks(RULES[rule], texts[rule])
    assert not _breaks(RULES[rule], PROSE)


def test_the_first_broken_rule_is_told_and_a_limit_switches_it_off() -> None:
    short = BREAKS["too few words"]
    assert broken_rule(short, FilterSettings()) == "too few words"
    assert broken_rule(short, FilterSettings(min_words=0, max_short_lines=1)) is None


def test_a_document_in_another_language_is_left_out_if_one_is_asked_for() -> None:
    german = (
        "Der Hafen der alten Stadt liegt an der Mündung des Flusses. Seit sechshundert Jahren kommen Schiffe "
        "hierher, um Holz und Salz zu laden, und die meisten Häuser wurden von Kaufleuten gebaut."
    )
    loose = {"min_words": 0, "min_stop_words": 0}
    assert broken_rule(german, FilterSettings(**loose)) is None
    assert broken_rule(german, FilterSettings(**loose, language="en")) == "language"
    assert broken_rule(PROSE, FilterSettings(language="en")) is None


@pytest.mark.parametrize(
    ("text", "expected", "count"),
    [
        ("write to jo.smith+x@mail.example.co.uk, please", "write to email@example.com, please", 1),
        ("the server 8.8.4.4 answers", "the server 192.0.2.1 answers", 1),
        (
            "at home 192.168.1.7 and 10.0.0.1 and 127.0.0.1",
            "at home 192.168.1.7 and 10.0.0.1 and 127.0.0.1",
            0,
        ),
        ("section 1.2.3.4.5 and 300.1.1.1 and 1.2.3", "section 1.2.3.4.5 and 300.1.1.1 and 1.2.3", 0),
        ("It was 93.184.216.34.", "It was 192.0.2.1.", 1),
        ("price @ 5 and a@b", "price @ 5 and a@b", 0),
    ],
)
def test_addresses_are_replaced_and_nothing_else(text: str, expected: str, count: int) -> None:
    assert scrubbed(text) == (expected, count)


def _breaks(rule: object, text: str) -> bool:
    from candor.base.filters import Traits

    return bool(rule(Traits(text), FilterSettings()))  # type: ignore[operator]
