"""What is said of a reward model follows from its numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from candor.core.statistics import Estimate, wilson
from candor.rewards.model.distrust import distrust_metrics, verdict_of
from candor.rewards.model.measure import ensemble_metrics, label_metrics, pair_metrics
from candor.rewards.model.pairs import Labelled, Pair


def pairs(count: int) -> list[Pair]:
    """Two a prompt; in every second one the better text is the longer one."""
    return [
        Pair(f"p{i // 2}", "bb" if i % 2 else "b", "a" if i % 2 else "aa", group=f"g{i % 2}")
        for i in range(count)
    ]


def test_a_model_that_counts_letters_is_unmasked() -> None:
    given = pairs(100)
    ahead = np.array([1.0 if i % 2 else -1.0 for i in range(100)])
    found = pair_metrics(given, ahead, {"other": ahead})
    assert found["accuracy"]["value"] == 0.5 and found["accuracy"]["n"] == 100
    assert found["baselines"]["longer"]["accuracy"]["value"] == 0.5
    assert found["baselines"]["longer"]["ahead_of_it"]["value"] == 0.0
    assert (
        found["where_better_is_longer"]["value"] == 1.0 and found["where_better_is_shorter"]["value"] == 0.0
    )
    assert found["groups"] == {
        "g0": {**found["groups"]["g0"], "value": 0.0},
        "g1": {**found["groups"]["g1"], "value": 1.0},
    }


def test_calibration_of_pairs_is_that_of_the_one_ahead() -> None:
    ahead = np.array([math.log(3)] * 75 + [-math.log(3)] * 25)  # says 75 %, and is right three times in four
    found = pair_metrics([Pair(str(i), "b", "a") for i in range(100)], ahead, {})
    assert found["ece"]["value"] == pytest.approx(0, abs=1e-9)
    assert found["brier"]["value"] == pytest.approx(0.75 * 0.25)
    assert found["log_loss"]["value"] == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    assert [row["confidence"] for row in found["reliability"]] == pytest.approx([0.75])


def test_ties_count_half() -> None:
    assert pair_metrics(pairs(4), np.zeros(4), {})["accuracy"]["value"] == 0.5


def test_labels_are_ranked_within_prompts() -> None:
    told = [Labelled(f"p{i // 2}", "x" * (i % 2 + 1), i % 2 == 0) for i in range(40)]
    level = np.repeat(np.arange(20.0), 2)  # easy and hard prompts, whatever the completion
    rewards = level + np.array([0.1 if i % 2 == 0 else 0.0 for i in range(40)])
    found = label_metrics(told, rewards, {})
    assert found["accuracy"]["value"] == 1.0 and found["accuracy"]["n"] == 20
    assert found["auroc"]["value"] < 0.6 and found["good"] == 0.5
    assert found["baselines"]["longer"]["accuracy"]["value"] == 0.0
    assert found["labelled_right"]["value"] == pytest.approx(0.5, abs=0.05)


def test_members_that_disagree_are_seen() -> None:
    given = [Pair(str(i), "b", "a") for i in range(100)]
    ahead = np.ones((3, 100))
    ahead[2, 50:] = -1.0
    rewards = np.stack([ahead, np.zeros_like(ahead)], axis=1)
    found = ensemble_metrics(given, ahead, rewards, 1.0)
    assert [one["value"] for one in found["members"]] == [1.0, 1.0, 0.5]
    assert found["agreement"]["value"] == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert found["of_one_mind"]["n"] == found["of_two_minds"]["n"] == 50
    assert found["combinations"]["mean"]["value"] == 1.0 and found["combinations"]["worst"]["value"] == 0.5
    assert found["combinations"]["uncertainty"]["value"] == 0.5  # 1/3 - 8/9 is below 0


@pytest.mark.parametrize(
    ("right", "own", "trust"),
    [(36, 170, "holds"), (28, 190, "weaker"), (22, 180, "coin"), (6, 180, "looks"), (36, 100, "unlearned")],
)
def test_the_verdict_says_what_intervals_allow(right: int, own: int, trust: str) -> None:
    found = verdict_of(wilson(right, 40), wilson(own, 200))
    assert found.trust == trust
    assert ("Not to be trusted" in found.sentence) == (trust in ("coin", "looks", "unlearned"))


def test_natural_pairs_are_told_apart() -> None:
    given = [Pair(str(i), "b", "aaa", group="Natural" if i < 50 else "Adversarial") for i in range(100)]
    ahead = np.array([1.0] * 50 + [-1.0] * 50)
    found = distrust_metrics(given, ahead, Estimate(0.9, 0.85, 0.95, 200), "file")
    assert found["accuracy"]["value"] == 0.0 and found["accuracy"]["n"] == 50
    assert found["groups"]["Natural"]["value"] == 1.0 and found["trust"] == "looks"
    assert "Worse than a coin: Adversarial." in found["sentence"]
    assert found["longer"]["value"] == 0.0
    assert verdict_of(wilson(45, 50), wilson(180, 200), wilson(25, 50)).trust == "coin"
    assert verdict_of(wilson(45, 50), wilson(180, 200), wilson(45, 50)).trust == "holds"


def test_a_liking_for_short_ones_is_told() -> None:
    given = [Pair(str(i), "b" * (1 + 4 * (i % 4 == 0)), "aaa") for i in range(100)]  # three in four are short
    ahead = np.array([-1.0 if i % 4 == 0 else 1.0 for i in range(100)])
    found = distrust_metrics(given, ahead, Estimate(0.9, 0.85, 0.95, 200), "file")
    assert found["accuracy"]["value"] == 0.75 and found["where_better_is_longer"]["value"] == 0.0
    assert "It likes the shorter one: where that is wrong, it is right in 0%." in found["sentence"]
