from __future__ import annotations

import pytest

from candor.judge.claims import after_correction, asserted
from candor.judge.dates import moments
from candor.judge.quantity import agree, gold_quantity, quantities
from candor.judge.symbols import symbols_in
from candor.judge.text import clean, fold, words
from candor.judge.units import UNITS


def value(text):
    return quantities(text)[0].value


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("seventy-nine", 79),
        ("two hundred and six", 206),
        ("one million", 1e6),
        ("3.2 million", 3.2e6),
        ("25 000 metres", 25000),
        ("1,234,567.5", 1234567.5),
        ("nineteen twelve", 1912),
        ("minus 39 degrees", -39),
        ("twenty-first", 21),
        ("three hundred sixty-six", 366),
    ],
)
def test_numbers_read_the_same_in_words_and_digits(text, number):
    assert value(text) == pytest.approx(number)


def test_malformed_thousands_are_no_number():
    assert not [q for q in quantities("1,000,00") if q.value in (1000, 100000)]


@pytest.mark.parametrize(
    ("gold", "response", "same"),
    [
        ("42.195 km", "26.2 miles", True),
        ("42.195 km", "42.195 miles", False),
        ("100 °C", "212 °F", True),
        ("100 °C", "100 °F", False),
        ("about 3.2 million", "3,250,000", True),
        ("3200000", "3,250,000", False),
        ("79", "80", False),
        ("2.08 km2", "208 hectares", True),
        ("8 minutes", "500 seconds", False),
        ("$7.2 million", "£7.2 million", False),
    ],
)
def test_quantities_agree_across_units_and_only_as_loosely_as_the_gold(gold, response, same):
    quantity, approximate = gold_quantity(gold)
    assert agree(quantity, quantities(response)[0], approximate=approximate, asked=None) is same


def test_names_with_numbers_are_not_quantities():
    assert gold_quantity("Apollo 11") is None
    assert gold_quantity("7 Eleven Stores Inc") is None
    assert gold_quantity("one season")[0].value == 1


def test_every_unit_converts_to_a_positive_base():
    assert all(unit.factor > 0 for unit in UNITS.values())
    assert UNITS["mile"].factor == pytest.approx(1609.344)


@pytest.mark.parametrize(
    "text",
    [
        "14 December 1972",
        "December 14, 1972",
        "1972-12-14",
        "14/12/1972",
        "the 14th of December, 1972",
        "Dec 14th 1972",
    ],
)
def test_one_day_reads_the_same_in_every_format(text):
    (moment,) = moments(text)
    assert (moment.year, moment.month, moment.day) == (1972, 12, 14)


def test_an_ambiguous_slash_date_is_read_either_way():
    gold = moments("3 April 1990")[0]
    assert moments("4/3/1990")[0].covers(gold, year_is_enough=False)
    assert moments("3/4/1990")[0].covers(gold, year_is_enough=False)
    assert not moments("3/5/1990")[0].covers(gold, year_is_enough=False)


def test_eras_are_told_apart():
    assert moments("44 BC")[0].year == -44
    assert moments("AD 44")[0].year == 44


@pytest.mark.parametrize(
    ("sentence", "kept", "dropped"),
    [
        ("It is not Paris but Lyon.", "Lyon", "Paris"),
        ("Unlike Berlin, the capital is Bonn.", "Bonn", "Berlin"),
        ("Mercury, not Venus, is the closest.", "Mercury", "Venus"),
        ("Although Istanbul is larger, Ankara is the capital.", "Ankara", "Istanbul"),
        ("Istanbul, which is larger than Ankara.", "Istanbul", "Ankara"),
        ("Without doubt Homer, not Virgil.", "Homer", "Virgil"),
    ],
)
def test_negated_and_compared_names_are_not_asserted(sentence, kept, dropped):
    text = asserted(sentence)
    assert kept in text
    assert dropped not in text


def test_a_correction_replaces_what_went_before():
    assert after_correction("Sydney. Actually, no: it's Canberra.") == "it's Canberra."
    assert after_correction("I'm sorry, but it is Paris.") == "I'm sorry, but it is Paris."


def test_words_that_look_like_symbols_count_only_where_a_symbol_stands():
    assert symbols_in("In the periodic table it is Id.", 2) == ["Id"]
    assert symbols_in("I think it's I.", 1) == ["I"]
    assert symbols_in("He discovered it.", 2) == []
    assert symbols_in("CO", 2) == ["CO"]


def test_folding_unifies_accents_cases_and_widths():
    assert fold("SCHRÖDINGER") == fold("Schrodinger")
    assert [t.text for t in words("The Curies' Łódź")] == ["curies", "lodz"]


def test_cleaning_drops_markdown_labels_and_the_next_question():
    assert clean("**Answer:** *Paris*\nQ: What is next?") == "Paris"
    assert clean("# Title\n\nThe U.S.A.") == "The USA"
