"""Answer spans: found where they are, ranked, and turned into questions that read as English."""

from __future__ import annotations

import pytest

from candor.knowledge.questions.filters import form_problem, leaks
from candor.knowledge.questions.names import names
from candor.knowledge.questions.spans import find_spans
from candor.knowledge.questions.terms import object_spans, subject_spans
from candor.knowledge.questions.turn import turn
from candor.knowledge.questions.words import base_form

CURIE = (
    "Marie Curie was born in Warsaw on 7 November 1867. In 1891, Curie moved to Paris. "
    "The Radium Institute was founded by Marie Curie in 1914. It has 1,200 researchers in France."
)


def test_every_span_is_where_it_says():
    spans = find_spans(CURIE, limit=50) + subject_spans(CURIE) + object_spans(CURIE)
    assert spans
    for span in spans:
        assert CURIE[span.start : span.end] == span.text
        assert span.sentence[0] <= span.start < span.end <= span.sentence[1]


def test_dates_numbers_and_names_are_found_with_their_kind():
    kinds = {span.text: span.kind for span in find_spans(CURIE, limit=50)}
    assert kinds["7 November 1867"] == "date"
    assert kinds["1891"] == "date"
    assert kinds["1,200"] == "count"
    assert kinds["Warsaw"] == "name"


def test_the_title_itself_is_no_answer():
    assert "Marie Curie" not in {span.text for span in find_spans(CURIE, title="Marie Curie", limit=50)}


def test_an_opening_function_word_is_no_name():
    text = "The river rises in Wales. However, it ends in England."
    assert [text[a:b] for a, b in names(text)] == ["Wales", "England"]


def ask(text: str, answer: str, title: str = "") -> list[str]:
    spans = find_spans(text, title=title, limit=50) + subject_spans(text, title) + object_spans(text, title)
    return [form.question for span in spans if span.text == answer for form in turn(text, span, title)]


@pytest.mark.parametrize(
    ("text", "title", "answer", "question"),
    [
        (
            "The first meeting of the new Parliament took place on 12 May 1999.",
            "Scottish Parliament",
            "12 May 1999",
            "On what date did the first meeting of the new Parliament take place?",
        ),
        (
            "Penicillin was discovered by Alexander Fleming.",
            "Penicillin",
            "Alexander Fleming",
            "By whom was Penicillin discovered?",
        ),
        (
            "Victoria includes eight public universities.",
            "Victoria",
            "eight",
            "How many public universities does Victoria include?",
        ),
        (
            "In 1830, France took control of Algeria.",
            "Algeria",
            "1830",
            "In what year did France take control of Algeria?",
        ),
        (
            "Lisbon is the largest city in Portugal.",
            "Portugal",
            "Lisbon",
            "What is the largest city in Portugal?",
        ),
        (
            "The University of Chicago is in Illinois. Since 1946, the university has organized the Latke Debate.",  # noqa: E501
            "University of Chicago",
            "1946",
            "Since what year has the University of Chicago organized the Latke Debate?",
        ),
    ],
)
def test_a_sentence_is_turned_round(text: str, title: str, answer: str, question: str):
    assert question in ask(text, answer, title)


def test_it_and_its_become_the_title_only_while_the_title_is_the_subject():
    known = "Iron is a metal. Its symbol is Fe."
    assert ask(known, "Fe", "Iron") == ["What is Iron's symbol?"]
    other = "Iron is a metal. Copper is another. Its symbol is Cu."
    assert not [question for question in ask(other, "Cu", "Iron") if "Iron" in question]


def test_what_belongs_to_a_participle_is_not_asked_of_the_verb():
    text = "AppleTalk was a suite of protocols developed by Apple in 1985."
    assert ask(text, "1985") == []


@pytest.mark.parametrize(
    ("past", "base"),
    [
        ("created", "create"),
        ("stopped", "stop"),
        ("ceded", "cede"),
        ("visited", "visit"),
        ("favored", "favor"),
        ("explored", "explore"),
        ("controlled", "control"),
        ("took", "take"),
        ("agreed", "agree"),
        ("carried", "carry"),
        ("entered", "enter"),
    ],
)
def test_base_forms(past: str, base: str):
    assert base_form(past) == base


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("Is Paris the capital of France?", "not a question"),
        ("What is the capital of France according to this passage?", "points at the passage"),
        ("In what year did it become the capital of France?", "pronoun"),
        ("In what year did the company enter France?", "does not say which"),
        ("What city is Paris the capital of France in?", "contains the answer"),
        ("Which penguin invented the steam telephone in Lapland?", "words not in the passage"),
    ],
)
def test_bad_questions_are_refused_with_a_reason(question: str, reason: str):
    text = "Paris became the capital of France in 987. The company entered France in 1950."
    answer = "Paris"
    assert form_problem(question, answer, title="France", text=text) == reason


def test_a_good_question_passes():
    text = "Paris became the capital of France in 987."
    assert (
        form_problem("In what year did Paris become the capital of France?", "987", title="", text=text)
        is None
    )


def test_leaks_sees_words_not_letters():
    assert leaks("Who founded the Curie Institute?", "Marie Curie") is False  # one of two words
    assert leaks("Who is Marie Curie?", "Marie Curie")
    assert not leaks("What is the symbol of iron?", "Fe")


def test_two_spaces_in_a_row_stop_nothing():
    text = "However,  works in Paris began to sell in 1874."
    assert "1874" in {span.text for span in find_spans(text)}
    assert subject_spans(text) == object_spans(text) == []
