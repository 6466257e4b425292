from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from candor.judge import Verdict, is_refusal, judge, judge_accuracy, judge_cases

CAPITAL = "What is the capital of France?"


def test_judge_agrees_with_at_least_97_of_100_development_cases():
    # measured .998; the floor leaves room for wording changes
    assert judge_accuracy()["dev"]["value"] >= 0.97


def test_judge_agrees_with_at_least_93_of_100_held_cases():
    # measured .965 on cases that were not run while the rules were written
    assert judge_accuracy()["held"]["value"] >= 0.93


def test_every_verdict_is_recalled_nine_times_in_ten():
    labels = judge_accuracy()["labels"]
    assert set(labels) == {"correct", "incorrect", "not_attempted"}
    assert all(share["value"] >= 0.9 for share in labels.values())


def test_cases_are_many_distinct_balanced_and_a_third_held():
    cases = judge_cases()
    assert len(cases) >= 240
    assert len({(c.question, c.answers, c.response) for c in cases}) == len(cases)
    assert 0.25 <= sum(c.held for c in cases) / len(cases) <= 0.4
    for verdict in Verdict:
        assert sum(c.label is verdict for c in cases) / len(cases) >= 0.15
    # a question is held as a whole, so that no held case has a sibling that was developed on
    assert not {c.question for c in cases if c.held} & {c.question for c in cases if not c.held}


def test_accuracy_counts_a_constant_judge_as_its_label_share():
    report = judge_accuracy(lambda question, answers, response: Verdict.CORRECT)
    assert report["labels"]["correct"]["value"] == 1.0
    assert report["labels"]["incorrect"]["value"] == 0.0
    share = sum(c.label is Verdict.CORRECT for c in judge_cases()) / len(judge_cases())
    assert report["all"]["value"] == pytest.approx(share)
    assert report["all"]["low"] < share < report["all"]["high"]
    assert len(report["failures"]) == report["all"]["n"] - report["confusion"]["correct"]["correct"]


@pytest.mark.parametrize(
    "form", ["{}", "The answer is {}.", "I'm not sure, but I think it is {}.", "**{}**\n"]
)
def test_every_accepted_answer_is_correct_in_plain_wordings(form):
    for case in judge_cases():
        for answer in case.answers:
            # golds that deny or admit ignorance are refusals in a sentence; "I" is a pronoun after a hedge
            if is_refusal(answer) or answer in ("no one", "none") or (answer == "I" and "I'm" in form):
                continue
            assert judge(case.question, case.answers, form.format(answer)) is Verdict.CORRECT, (case, answer)


@pytest.mark.parametrize("form", ["It is not {}.", "It isn't {}, it's Xanadu.", "It's Xanadu, not {}."])
def test_a_negated_answer_is_never_correct(form):
    for case in judge_cases():
        if not case.answers[0][0].isupper() or len(case.answers[0]) < 4:
            continue
        response = form.format(case.answers[0])
        if not is_refusal(case.answers[0]):
            assert judge(case.question, case.answers, response) is Verdict.INCORRECT, (
                case.question,
                response,
            )


def test_answer_of_another_question_is_incorrect():
    assert judge(CAPITAL, ["Paris"], "The capital is Vienna.") is Verdict.INCORRECT
    assert judge("What is the atomic number of tin?", ["50"], "79") is Verdict.INCORRECT


def test_alternatives_in_the_accepted_answers_may_be_listed_together():
    assert (
        judge("Who founded Apple?", ["Steve Jobs", "Steve Wozniak"], "Steve Jobs and Steve Wozniak")
        is Verdict.CORRECT
    )
    assert judge("Who founded Apple?", ["Steve Jobs"], "Steve Jobs or Bill Gates") is Verdict.INCORRECT


def test_refusal_of_an_invented_thing_is_not_attempted_and_an_invention_is_incorrect():
    answers = ["I don't know"]
    assert judge("Who is Orson Kovacs?", answers, "I don't know.") is Verdict.NOT_ATTEMPTED
    assert judge("Who is Orson Kovacs?", answers, "He is an astrophysicist.") is Verdict.INCORRECT


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("I don't know.", True),
        ("", True),
        ("I'm sorry, but I have no information about that.", True),
        ("I don't know, maybe Paris", False),
        ("I'm not sure, but I think it is 79.", False),
        ("Paris", False),
        ("Without doubt Homer.", False),
        ("There is no element called florvium.", True),
    ],
)
def test_a_refusal_is_told_from_a_hedge_that_answers(response, expected):
    assert is_refusal(response) is expected


def test_unknown_is_the_answer_where_nobody_knows():
    question = "Who carved the Lolladoff plate?"
    assert judge(question, ["No one knows"], "It is unknown.") is Verdict.CORRECT
    assert judge(question, ["No one knows"], "I can't answer that.") is Verdict.NOT_ATTEMPTED


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.text(max_size=80),
    st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=2),
    st.text(max_size=200),
)
def test_judge_gives_a_verdict_on_any_text(question, answers, response):
    assert judge(question, answers, response) in Verdict
    assert isinstance(is_refusal(response), bool)


@pytest.mark.parametrize(
    "unit",
    [
        "Paris, ",
        "I don't know, but ",
        "no one ",
        "9",
        "1" + "0" * 200,
        "hundred ",
        "\n",
        "Actually, no: ",
        "' \"",
    ],
)
@pytest.mark.parametrize(
    ("question", "answer"),
    [(CAPITAL, "Paris"), ("How many?", "79"), ("When did it end?", "1989"), ("Who?", "Marie Curie")],
)
def test_endless_repetition_is_judged_in_bounded_time(unit, question, answer):
    start = time.perf_counter()
    judge(question, [answer], unit * 3000)
    assert time.perf_counter() - start < 2.0
