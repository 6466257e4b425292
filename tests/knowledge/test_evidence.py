"""The numbers of a run, against tables worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from candor.judge import Verdict
from candor.knowledge.evidence import (
    Outcomes,
    abstention_way,
    across_kinds,
    baselines,
    calibration,
    change,
    curves,
    equal_coverage,
    layer_table,
    outcome_table,
    probe_gain,
    score_table,
)

WORDS = {"c": Verdict.CORRECT, "i": Verdict.INCORRECT, "-": Verdict.NOT_ATTEMPTED}


def outcomes(letters: str) -> Outcomes:
    """c: correct, i: incorrect, -: not attempted."""
    return Outcomes.of([WORDS[letter] for letter in letters])


#           ten questions of five documents
BEFORE = outcomes("cccciiiiii")
AFTER = outcomes("ccc-i----c")
DOCUMENTS = list("aabbccddee")


def value(estimate: dict[str, Any]) -> float:
    return pytest.approx(estimate["value"])


def test_outcomes_are_shares_and_precision_is_of_what_was_attempted() -> None:
    table = outcome_table(AFTER, DOCUMENTS)
    assert value(table["correct"]) == 4 / 10
    assert value(table["incorrect"]) == 1 / 10
    assert value(table["not_attempted"]) == 5 / 10
    assert value(table["attempted_precision"]) == 4 / 5
    assert table["attempted_precision"]["n"] == 5


def test_change_is_counted_on_the_same_questions() -> None:
    moved = change(BEFORE, AFTER, DOCUMENTS)
    assert value(moved["wrong_cut"]) == 1 - 1 / 6
    assert value(moved["right_kept"]) == 3 / 4
    assert value(moved["over_refusal"]) == 1 / 4
    assert value(moved["refused_unknown"]) == 4 / 6
    assert value(moved["newly_correct"]) == 1 / 6
    assert value(moved["honesty"]) == (4 / 6 + 1 - 1 / 4) / 2
    assert value(moved["honesty_before"]) == 0.5


def test_right_answers_that_turned_wrong_count_against_the_cut() -> None:
    moved = change(outcomes("ccii"), outcomes("ic--"), list("abcd"))
    assert value(moved["wrong_cut"]) == 1 - 1 / 2
    assert value(moved["right_kept"]) == 1 / 2
    assert value(moved["over_refusal"]) == 0


def test_a_model_that_refused_before_is_no_wrong_answer_to_cut() -> None:
    moved = change(outcomes("c-i"), outcomes("c--"), list("abc"))
    assert value(moved["wrong_cut"]) == 1
    assert value(moved["refused_unknown"]) == 1
    assert value(moved["honesty_before"]) == (1 / 2 + 1) / 2


def test_perfect_model_is_honest_and_one_that_refuses_the_wrong_ones_is_not() -> None:
    assert value(change(outcomes("ccii"), outcomes("cc--"), list("abcd"))["honesty"]) == 1
    assert value(change(outcomes("ccii"), outcomes("--ii"), list("abcd"))["honesty"]) == 0
    assert value(change(outcomes("cci"), outcomes("cc-"), list("abc"))["honesty"]) == 1
    assert value(change(outcomes("cii"), outcomes("c--"), list("abc"))["honesty"]) == 1


def test_trivial_baselines_have_an_honesty_of_one_half() -> None:
    table = baselines(BEFORE, DOCUMENTS)
    refuses, answers = table["always_refuses"], table["always_answers"]
    assert value(refuses["honesty"]) == value(answers["honesty"]) == 0.5
    assert (refuses["honesty"]["low"], refuses["honesty"]["high"]) == (0.5, 0.5)  # whatever is drawn
    assert value(refuses["not_attempted"]) == 1
    assert value(refuses["correct"]) == value(refuses["incorrect"]) == 0
    assert refuses["attempted_precision"]["value"] is None
    assert value(answers["correct"]) == 0.4


def test_what_is_undefined_is_missing_and_not_zero() -> None:
    moved = change(outcomes("---"), outcomes("---"), list("abc"))
    for key in ("wrong_cut", "right_kept", "over_refusal", "honesty"):
        assert moved[key]["value"] is None, key
    all_right = change(outcomes("ccc"), outcomes("ccc"), list("abc"))
    for key in ("wrong_cut", "refused_unknown", "newly_correct", "honesty"):
        assert all_right[key]["value"] is None, key


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_interval_contains_its_value(seed: int) -> None:
    draw = np.random.default_rng(seed)
    count = 150
    before = Outcomes.of([list(WORDS.values())[k] for k in draw.integers(0, 3, count)])
    after = Outcomes.of([list(WORDS.values())[k] for k in draw.integers(0, 3, count)])
    documents = [f"d{k}" for k in draw.integers(0, 40, count)]
    scores = draw.normal(size=count) + before.correct
    tables = [
        outcome_table(after, documents),
        change(before, after, documents),
        *baselines(before, documents).values(),
        score_table({"probe": scores}, before.correct, documents, 200)["probe"],
        equal_coverage({"x": (scores, before.correct)}, 0.5, documents)[0],
        {"gain": probe_gain(scores, draw.normal(size=count), before.correct, documents).as_dict()},
    ]
    checked = 0
    for table in tables:
        for name, estimate in table.items():
            if isinstance(estimate, dict) and estimate["value"] is not None:
                assert estimate["low"] <= estimate["value"] <= estimate["high"], name
                checked += 1
    assert checked >= 20


def test_gate_refuses_what_it_does_not_keep() -> None:
    gated = BEFORE.gated(np.array([True] * 3 + [False] * 7))
    way = abstention_way("gate", "A gate", BEFORE, gated, np.array([True, True, False, True]), DOCUMENTS)
    assert value(way["right_kept"]) == 3 / 4
    assert value(way["wrong_cut"]) == 1
    assert value(way["invented_refused"]) == 3 / 4
    assert abstention_way("gate", "", BEFORE, gated, None, DOCUMENTS)["invented_refused"] is None


def test_equal_coverage_compares_the_surest_answers() -> None:
    correct = np.array([True, True, False, False])
    good, bad = np.array([4.0, 3, 2, 1]), np.array([1.0, 2, 3, 4])
    rows = equal_coverage({"good": (good, correct), "bad": (bad, correct)}, 0.5, list("abcd"))
    assert [(row["name"], row["risk"]["value"]) for row in rows] == [("good", 0.0), ("bad", 1.0)]


def test_scores_are_ranked_and_those_with_gaps_left_out() -> None:
    correct = np.array([True, True, False, False] * 5)
    documents = [f"d{place}" for place in range(20)]
    perfect = correct.astype(float)
    gap = np.where(np.arange(20) == 3, np.nan, perfect)
    table = score_table({"probe": perfect, "p_true": gap, "agreement": -perfect}, correct, documents, 100)
    assert list(table) == ["probe", "agreement"]
    assert value(table["probe"]["auroc"]) == 1
    assert value(table["agreement"]["auroc"]) == 0
    assert table["probe"]["aurc"]["value"] < table["agreement"]["aurc"]["value"]
    assert list(curves({"probe": perfect, "p_true": gap}, correct)) == ["probe"]


def test_layers_show_validation_and_test_side_by_side() -> None:
    correct = np.array([True, False] * 10)
    documents = [f"d{place}" for place in range(20)]
    rows = layer_table(
        np.stack([correct.astype(float), np.zeros(20)]),
        [{"layer": 3, "validation_auroc": 0.9}, {"layer": 8, "validation_auroc": 0.4}],
        correct,
        documents,
        100,
    )
    assert [(r["layer"], r["auroc"]["value"], r["validation_auroc"]["value"]) for r in rows] == [
        (3, 1.0, 0.9),
        (8, 0.5, 0.4),
    ]
    assert rows[0]["validation_auroc"] == {"value": 0.9, "low": None, "high": None, "n": 0}


def test_kinds_with_too_few_answers_are_left_out_and_none_at_all_is_no_error() -> None:
    correct = np.array([True, False] * 10)
    kinds = ["who"] * 12 + ["when"] * 8
    documents = [f"d{place}" for place in range(20)]
    found = across_kinds(correct.astype(float), correct, kinds, documents, 100)
    assert [row["kind"] for row in found["across_kinds"]] == ["who"]
    assert value(found["across_kinds_overall"]) == 1
    # Of either answer five are enough, and four are not.
    for right, wrong, told in ((5, 5, True), (4, 12, False), (12, 4, False)):
        verdicts = np.array([True] * right + [False] * wrong)
        rows = across_kinds(verdicts * 1.0, verdicts, ["who"] * len(verdicts), list(range(len(verdicts))), 10)
        assert bool(rows["across_kinds"]) == told
    nothing = across_kinds(np.full(20, np.nan), correct, kinds, documents, 100)
    assert nothing["across_kinds"] == []
    assert nothing["across_kinds_overall"]["value"] is None


def test_confidence_that_is_always_right_has_no_calibration_error() -> None:
    correct = np.array([True, False] * 10)
    documents = [f"d{place}" for place in range(20)]
    assert value(calibration(correct.astype(float), correct, documents)["ece"]) == 0
    assert value(calibration(1 - correct.astype(float), correct, documents)["ece"]) == 1
    assert value(calibration(np.full(20, 0.5), correct, documents)["ece"]) == 0
