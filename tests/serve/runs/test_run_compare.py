"""A comparison says what differs, and calls apart only what lies beyond both intervals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from run_folders import estimate

from candor.core.statistics import Estimate
from candor.serve.runs.compare import Measure, measures, settings


def measure(one: tuple[float, float], other: tuple[float, float]) -> Measure:
    """Of two (value, half-width)s."""
    found = (Estimate(value, value - half, value + half, 50) for value, half in (one, other))
    return Measure(("after", "accuracy"), *found)


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ((0.5, 0.1), (0.71, 0.1), "beyond both intervals, higher"),
        ((0.71, 0.1), (0.5, 0.1), "beyond both intervals, lower"),
        ((-0.5, 0.1), (-0.8, 0.1), "beyond both intervals, lower"),
        ((0.5, 0.1), (0.69, 0.1), "not told apart: they overlap"),
        ((0.5, 0.125), (0.75, 0.125), "not told apart: they overlap"),  # they touch
        ((0.5, 0.1), (0.5, 0.1), "not told apart: they overlap"),
    ],
)
def test_apart_is_what_lies_beyond_both_intervals(
    one: tuple[float, float], other: tuple[float, float], words: str
) -> None:
    assert measure(one, other).words == words


def test_a_value_beyond_one_interval_only_is_not_told_apart() -> None:
    """0.65 lies beyond 0.5 ± 0.1, and 0.5 within 0.65 ± 0.2."""
    assert measure((0.5, 0.1), (0.65, 0.2)).verdict == "overlap"


def test_without_an_interval_or_a_partner_there_is_no_verdict() -> None:
    plain, known = Estimate(0.5, None, None, 0), Estimate(0.5, 0.4, 0.6, 9)
    assert Measure(("a",), plain, known).verdict == "no interval"
    assert measure((0.2, 0.0), (0.9, 0.1)).verdict == "no interval"  # all items alike: nothing is known of it
    assert Measure(("a",), known, None).words == "in one run only"
    assert Measure(("a",), plain, known).by_chance == 0.0


@pytest.mark.parametrize(("one", "other"), [(1.0, 1.0), (1.0, 3.0), (0.01, 1.0)])
def test_equal_values_lie_apart_by_chance_as_often_as_is_said(one: float, other: float) -> None:
    """Against draws: two independent normal estimates of the same value, with these standard errors."""
    half = 1.959964
    random = np.random.default_rng(0)
    n = 400_000
    difference = random.normal(0, one, n) - random.normal(0, other, n)
    share = float(np.mean(np.abs(difference) > half * (one + other)))
    said = measure((0.0, half * one), (0.0, half * other)).by_chance
    assert said == pytest.approx(share, abs=4 * math.sqrt(share / n))
    assert 0.0055 < said < 0.0501


def test_measures_are_found_wherever_they_stand_and_lists_by_the_names_of_their_rows() -> None:
    def run(shift: float, order: int) -> dict[str, Any]:
        rows = [
            {"task": "addition", "way": "steps", "accuracy": estimate(0.5 + shift)},
            {"task": "addition", "way": "direct", "accuracy": estimate(0.3)},
        ]
        return {
            "accuracy": rows[::order],
            "pass": {"8": estimate(0.9)},
            "train": {"steps": 40},
            "timings": {"train": 3.0},
            "curve": [{"x": 1.0, "y": estimate(0.1)}, {"x": 1.0, "y": estimate(0.2)}],
            "seed": 3,
        }

    found = {found.keys: found for found in measures(run(0.0, 1), run(0.3, -1))}
    assert set(found) == {
        ("accuracy", "addition, steps", "accuracy"),
        ("accuracy", "addition, direct", "accuracy"),
        ("pass", "8"),
        ("train", "steps"),
    }
    assert found["accuracy", "addition, steps", "accuracy"].verdict == "apart"
    assert found["accuracy", "addition, direct", "accuracy"].verdict == "overlap"
    assert found["accuracy", "addition, direct", "accuracy"].label == "Addition, direct › Accuracy"
    assert found["train", "steps"].verdict == "no interval"


def test_settings_are_shown_as_they_were_and_none_as_not_set() -> None:
    found = settings({"rl": {"steps": 3}}, {"rl": {"steps": 4, "kl": "0x" + "f" * 5000}})
    assert [(row.key, row.one, row.other[:4]) for row in found] == [
        ("rl.kl", "not set", "0xff"),
        ("rl.steps", "3", "4"),
    ]
    assert len(found[0].other) < 400
    assert settings({"a": 16**5000}, {})[0].one == "a number of thousands of digits"
