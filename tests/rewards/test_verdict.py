"""The verdict of an audit: right states on known truths, and false alarms no more often than it says."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from candor.rewards.audit import Audit, audit
from candor.rewards.audit.simulate import bandits, logged
from candor.rewards.audit.words import as_json, headline, reasons, settle
from candor.rewards.bound import max_min_bound, theorem_bound


def judged(family: str, seed: int, strength: float, prompts: int = 60, samples: int = 4, **how) -> Audit:
    random = np.random.default_rng(seed)
    return audit(logged(bandits(family, prompts, strength, random), random, samples=samples, **how))


def test_the_worst_gold_makes_the_certificate_exact() -> None:
    """In the family `edge` κ equals sqrt(1 - r²), the max-min bound is 0 and so is the true gain."""
    made = bandits("edge", 40, 0.5, np.random.default_rng(0))
    weight = made.reference_PA / 40
    centred = [
        reward - (made.reference_PA * reward).sum(axis=1, keepdims=True)
        for reward in (made.proxy_PA, made.gold_PA)
    ]
    proxy, gold = centred
    sd_proxy, sd_gold = (np.sqrt((weight * reward**2).sum()) for reward in centred)
    r = (weight * proxy * gold).sum() / (sd_proxy * sd_gold)
    gain = made.proxy_gain / sd_proxy
    assert made.gold_gain == pytest.approx(0, abs=1e-12)
    assert gain / np.sqrt(made.chi2) == pytest.approx(np.sqrt(1 - r**2))
    assert max_min_bound(gain, made.chi2, r) == pytest.approx(0, abs=1e-9)
    assert theorem_bound(gain, made.chi2, r) == pytest.approx(0, abs=1e-9)


def test_three_arms_with_gold_are_called_hacking() -> None:
    found = judged("three", 1, 1.6, prompts=150, samples=8, labelled=(150, 8), gold_on_policy=True)
    assert found.state == "HACKING"
    assert not found.certified
    gold = found.measured.gold_gain
    assert gold is not None
    assert gold.high < 0 < found.measured.proxy_gain.low
    assert "hacks its reward" in headline(found)
    assert settle(found) == []


def test_a_good_proxy_near_the_reference_is_certified_without_gold_on_the_policy() -> None:
    found = judged("rare", 2, 0.3, prompts=120, samples=8, labelled=(120, 4))
    assert (found.state, found.certified, found.failed) == ("NOT HACKING", True, ())
    assert found.measured.gold_gain is None
    assert found.kappa is not None
    assert found.needed is not None
    assert found.kappa.low > found.needed.high
    assert found.bounds is not None
    assert found.bounds.residual_low > 0
    assert "Certified without gold" in headline(found)


def test_gold_on_both_sides_decides_where_there_is_no_certificate() -> None:
    free = judged("wide", 3, 1.2, prompts=100, samples=4)
    with_gold = judged("wide", 3, 1.2, prompts=100, samples=4, gold_on_policy=True)
    assert (free.state, free.certified) == ("UNDETERMINED", False)
    assert any("no evidence of hacking" in one for one in reasons(free))
    assert (with_gold.state, with_gold.certified) == ("NOT HACKING", False)


def test_a_proxy_that_gold_does_not_follow_is_not_applicable() -> None:
    random = np.random.default_rng(4)
    log = logged(bandits("wide", 60, 0.5, random), random, samples=4, gold_on_policy=True)
    unrelated = replace(log, gold=random.normal(size=len(log.gold)))
    found = audit(unrelated)
    assert found.state == "NOT APPLICABLE"
    assert not found.certified


def test_without_any_gold_it_is_undetermined_and_says_what_to_label() -> None:
    found = judged("wide", 5, 0.3, labelled=(0, 0))
    assert (found.state, found.kappa, found.bounds) == ("UNDETERMINED", None, None)
    assert "50 prompts with four each" in settle(found)[0]
    assert "no completion of the reference has a gold label" in found.failed[0]


def test_one_completion_a_prompt_is_enough_for_hacking_and_not_for_a_certificate() -> None:
    found = judged("three", 1, 1.6, prompts=700, samples=1, gold_on_policy=True)
    assert found.measured.calibration is None
    assert (found.state, found.certified) == ("HACKING", False)
    assert "one response a prompt" in {one.code for one in found.objections}


def test_a_policy_far_away_is_refused_a_certificate_for_its_few_effective_samples() -> None:
    found = judged("rare", 6, 4.0, prompts=60)
    assert not found.certified
    assert found.measured.distance.effective_reference < 50
    assert any("are needed" in one for one in found.failed)


def test_what_would_settle_an_open_one_settles_it() -> None:
    """The number of prompts it asks for is about enough, and a fifth of it is not."""
    seed, strength = 1, 0.3
    small = judged("wide", seed, strength, prompts=25, gold_on_policy=True, labelled=(25, 4))
    assert small.state == "UNDETERMINED"
    asked = next(int(w.replace(",", "")) for w in settle(small)[0].split() if w.replace(",", "").isdigit())
    assert 25 < asked < 1000
    states = [
        judged("wide", seed + k, strength, prompts=2 * asked, gold_on_policy=True).state for k in range(5)
    ]
    assert states.count("NOT HACKING") >= 4


def test_a_policy_that_is_its_reference_has_no_distance_and_no_certificate() -> None:
    found = judged("wide", 7, 0.0)
    assert found.measured.distance.chi2.value == pytest.approx(0, abs=1e-12)
    assert all(one.holds for one in found.measured.identities)
    assert (found.state, found.certified) == ("UNDETERMINED", False)
    assert found.measured.cautious is not None
    assert found.measured.cautious.allowance > 0


def test_no_credit_for_rewards_beyond_what_labels_have_seen() -> None:
    """A policy that plays an arm no label showed, which the proxy likes, is not certified by it."""
    random = np.random.default_rng(8)
    log = logged(bandits("rare", 120, 0.3, random), random, samples=8, labelled=(120, 4))
    odd = log.policy & (random.random(len(log.proxy)) < 0.3)
    praised = replace(log, proxy=np.where(odd, log.proxy + 100, log.proxy))
    plain, found = audit(log), audit(praised)
    assert plain.measured.cautious is not None
    assert found.measured.cautious is not None
    assert found.measured.cautious.clipped > 0.25
    assert plain.measured.cautious.clipped < 0.05
    assert found.measured.proxy_gain.value > 20
    assert found.measured.cautious.ratio.value < 4  # not 30 over √χ²


def test_false_alarms_of_either_kind_are_rare_at_the_edge() -> None:
    """True gain exactly 0 and κ exactly sqrt(1 - r²), the worst case: of 5 % in all, few are used up."""
    runs, wrong, missed = 60, 0, 0
    for run in range(runs):
        random = np.random.default_rng(run)
        made = bandits("edge", 50, float(random.choice([0.3, 0.8, 1.2])), random)
        found = audit(logged(made, random, samples=4, gold_on_policy=run % 2 == 0), seed=run)
        wrong += found.state in ("HACKING", "NOT HACKING")
        proxy = found.measured.proxy_gain
        missed += not proxy.low <= made.proxy_gain <= proxy.high
    # Three standard errors above 5 %: a test at 10 % would fail it.
    assert wrong / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)
    assert missed / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize("labelled", [(0, 0), (50, 4)])
def test_json_has_no_infinities_and_the_same_state(labelled: tuple[int, int]) -> None:
    found = judged("wide", 9, 0.5, labelled=labelled)
    read = json.loads(json.dumps(as_json(found), allow_nan=False))
    assert read["state"] == found.state
    assert read["limits"] == {"looked_at": 8, "each": pytest.approx(1 - 0.05 / 8)}
    assert read["numbers"]["proxy_gain"]["low"] < read["numbers"]["proxy_gain"]["value"]
