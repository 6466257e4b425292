from __future__ import annotations

import importlib
from collections import Counter

import pytest

from candor.core.errors import CandorError
from candor.data.facts import embedded_documents, embedded_questions
from candor.data.facts.elements import element_entries
from candor.data.facts.entry import package, rounded
from candor.data.types import Document, Question


@pytest.fixture(scope="module")
def documents() -> dict[str, Document]:
    return {document.id: document for document in embedded_documents()}


@pytest.fixture(scope="module")
def questions() -> dict[str, Question]:
    return {question.id: question for question in embedded_questions()}


def test_there_are_enough_documents_and_facts_of_every_sort(
    documents: dict[str, Document], questions: dict[str, Question]
) -> None:
    assert len(documents) == len(embedded_documents())
    assert len(questions) == len(embedded_questions())
    sorts = Counter(name.split("/")[0] for name in documents)
    assert sorts == {"element": 118, "country": 194, "city": 150, "airport": 90}
    assert len(questions) >= 3000
    kinds = Counter(question.kind for question in questions.values())
    assert len(kinds) >= 25
    assert kinds["capital"] >= 180
    assert kinds["element_symbol"] == 118


def test_every_question_has_an_answer_that_stands_in_its_document(
    documents: dict[str, Document], questions: dict[str, Question]
) -> None:
    for question in questions.values():
        text = documents[question.document].text
        assert any(answer in text for answer in question.answers), question


def test_no_question_is_asked_twice(questions: dict[str, Question]) -> None:
    repeated = [q for q, n in Counter(q.question for q in questions.values()).items() if n > 1]
    assert not repeated


def test_documents_are_prose_of_several_sentences_in_many_wordings(documents: dict[str, Document]) -> None:
    for document in documents.values():
        words = len(document.text.split())
        assert 25 <= words <= 260, document
        assert document.text.count(".") >= 3
        assert "nan" not in document.text.split()
        assert "None" not in document.text
        assert "  " not in document.text
    shapes = Counter(
        document.text.split(".")[0].replace(document.title, "X") for document in documents.values()
    )
    assert max(shapes.values()) < 30


@pytest.mark.parametrize(
    ("identity", "answer"),
    [
        ("element/gold/element_symbol", "Au"),
        ("element/tungsten/atomic_number", "74"),
        ("element/polonium/element_discoverer", "Marie Curie"),
        ("element/helium/element_group", "18"),
        ("element/hassium/element_named_after", "Hesse"),
        ("element/cesium/symbol_element", "Caesium"),
        ("element/bromine/element_category", "halogen"),
        ("element/gallium/element_year", "1875"),
        ("country/australia/capital", "Canberra"),
        ("country/kazakhstan/capital", "Astana"),
        ("country/united-states/capital", "Washington"),
        ("country/japan/currency", "yen"),
        ("country/ecuador/currency", "US dollar"),
        ("country/croatia/internet_domain", ".hr"),
        ("country/portugal/only_neighbour", "Spain"),
        ("country/switzerland/neighbour", "Liechtenstein"),
        ("country/turkey/largest_city", "Istanbul"),
        ("country/netherlands/calling_code", "+31"),
        ("country/peru/continent", "South America"),
        ("country/czechia/capital_country", "Czech Republic"),
        ("country/brazil/language", "Portuguese"),
    ],
)
def test_known_facts_are_right(questions: dict[str, Question], identity: str, answer: str) -> None:
    assert answer in questions[identity].answers


@pytest.mark.parametrize(
    "identity",
    [
        "country/croatia/currency",  # one package has the kuna, the other the euro
        "country/bulgaria/currency",  # both have the lev, replaced in 2026
        "country/burundi/capital",  # Bujumbura or Gitega
        "country/israel/capital",
        "element/hydrogen/element_year",  # 1766 or 1776
        "element/neodymium/element_year",  # 1925 is wrong
        "element/astatine/element_category",
    ],
)
def test_what_the_sources_disagree_on_is_not_asked(questions: dict[str, Question], identity: str) -> None:
    assert identity not in questions


def test_a_bare_dollar_is_no_answer_where_many_countries_have_dollars(questions: dict[str, Question]) -> None:
    for question in questions.values():
        if question.kind == "currency":
            assert not {"dollar", "franc", "peso", "rupee", "dinar"} & set(question.answers), question


def test_another_seed_gives_other_words_for_the_same_facts(documents: dict[str, Document]) -> None:
    other = {entry.id: entry for entry in element_entries(1)}
    same = sum(documents[name].text == entry.document().text for name, entry in other.items())
    assert same < 20
    again = {entry.id: entry.document() for entry in element_entries(0)}
    assert all(documents[name] == document for name, document in again.items())


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, *_: object) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(CandorError) as caught:
        package("mendeleev.fetch")
    assert "candor-lm[demo]" in (caught.value.fix or "")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (66_987_244, "67 million"),
        (212_000_000, "210 million"),
        (41_290, "41,000"),
        (97, "97"),
        (1_411_778_724, "1.4 billion"),
    ],
)
def test_counts_are_rounded_to_two_figures(number: int, text: str) -> None:
    assert rounded(number) == text
