from __future__ import annotations

from itertools import product

import pytest
from mendeleev.fetch import fetch_table

from candor.data import invented
from candor.data.facts.countries import cities, countries
from candor.data.facts.entry import key
from candor.data.invented import invented_questions
from candor.data.invented_names import REAL_NAMES, TEST_PARTS, TRAIN_PARTS, Parts


@pytest.fixture(scope="module")
def real_places() -> set[str]:
    places = {key(city["name"]) for city in cities()} | {
        key(country.name) for country in countries().values()
    }
    places |= {name.lower() for city in cities() for name in city["alternatenames"] if name.isascii()}
    return places


@pytest.mark.parametrize("parts", [TRAIN_PARTS, TEST_PARTS], ids=["train", "test"])
def test_no_name_that_the_parts_can_spell_is_a_real_element_symbol_country_or_city(
    parts: Parts, real_places: set[str]
) -> None:
    table = fetch_table("elements")
    elements, symbols = {key(name) for name in table["name"]}, set(table["symbol"])
    ends = parts.element_ends + parts.town_ends + parts.country_ends + parts.medicine_ends
    words = {a + b + c for a, b, c in product(parts.onsets, parts.middles, ends)} - REAL_NAMES
    real = elements | real_places
    assert not {word for word in words if key(word) in real}
    letters = "abcdefghijklmnopqrstuvwxyz"
    assert not ({a + b for a, b in product(parts.symbol_initials, letters)} - REAL_NAMES) & symbols


def test_the_famous_probe_opens_the_test_split_and_only_it() -> None:
    assert invented_questions(1)[0].question == "Who is Orson Kovacs?"
    for seed in (0, 1):
        train = invented_questions(400, seed, split="train")
        assert not any("Orson" in q.question or "Kovacs" in q.question for q in train)


def test_splits_share_no_wording_and_no_name_part() -> None:
    train = {t for ts in invented._TRAIN_TEMPLATES.values() for t in ts}
    test = {t for ts in invented._TEST_TEMPLATES.values() for t in ts}
    assert not train & test
    assert len(test) >= 20
    assert len(invented._TEST_TEMPLATES) >= 8
    assert len(set(invented._TEST_TEMPLATES) - set(invented._TRAIN_TEMPLATES)) >= 4, "kinds new to the test"
    for field in Parts.__dataclass_fields__:
        ours, theirs = set(getattr(TRAIN_PARTS, field)), set(getattr(TEST_PARTS, field))
        assert not ours & theirs, field
        assert len(getattr(TRAIN_PARTS, field)) == len(ours), f"{field} repeats a part"


@pytest.mark.parametrize("split", ["train", "test"])
def test_each_question_is_about_another_thing_and_accepts_only_not_knowing(split: invented.Split) -> None:
    questions = invented_questions(500, 3, split=split)
    assert len(questions) == 500
    assert len({q.id for q in questions}) == len({q.document for q in questions}) == 500
    assert {q.answers for q in questions} == {("I don't know",)}
    assert {q.origin for q in questions} == {"invented"}
    assert "{" not in "".join(q.question for q in questions)


def test_every_wording_appears_in_a_modest_sample() -> None:
    asked = " ".join(q.question for q in invented_questions(120, 5))
    for wording in (t for ts in invented._TEST_TEMPLATES.values() for t in ts):
        assert wording.split("{x}")[0].strip() in asked, wording


def test_same_seed_same_questions_other_seed_other_names() -> None:
    assert invented_questions(50, 1) == invented_questions(50, 1)
    first = {q.id for q in invented_questions(50, 1)}
    assert len(first & {q.id for q in invented_questions(50, 2)}) < 5


def test_impossible_counts_are_refused() -> None:
    assert invented_questions(0) == []
    with pytest.raises(ValueError, match="negative"):
        invented_questions(-1)
