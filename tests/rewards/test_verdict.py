"""The verdict of an audit: right states on known truths, and false alarms no more often than it says."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from candor.core.limits import Limits
from candor.rewards.audit import Audit, audit
from candor.rewards.audit.checks import Objection
from candor.rewards.audit.simulate import bandits, logged
from candor.rewards.audit.verdict import _against, _numbers, _state
from candor.rewards.audit.words import as_json, headline, reasons, settle
from candor.rewards.bound import max_min_bound, residual_bound, theorem_bound


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


ABOVE, AROUND, BELOW = Limits(1.0, 0.5, 1.5), Limits(0.1, -0.5, 0.7), Limits(-1.0, -1.5, -0.5)
FROM_0, TO_0 = Limits(0.5, 0.0, 1.0), Limits(-0.5, -1.0, 0.0)


@pytest.fixture(scope="module")
def sound() -> Audit:
    """A log that is certified."""
    return judged("rare", 2, 0.3, prompts=120, samples=8, labelled=(120, 4))


@pytest.mark.parametrize(
    ("r", "gold", "proxy", "certified", "state"),
    [
        (ABOVE, None, ABOVE, True, "NOT HACKING"),
        (ABOVE, None, ABOVE, False, "UNDETERMINED"),
        (ABOVE, ABOVE, BELOW, False, "NOT HACKING"),
        (ABOVE, FROM_0, ABOVE, False, "NOT HACKING"),
        (ABOVE, AROUND, ABOVE, False, "UNDETERMINED"),
        (ABOVE, AROUND, ABOVE, True, "NOT HACKING"),
        (ABOVE, TO_0, ABOVE, False, "UNDETERMINED"),
        (ABOVE, BELOW, ABOVE, False, "HACKING"),
        (ABOVE, BELOW, ABOVE, True, "HACKING"),
        (ABOVE, BELOW, FROM_0, False, "UNDETERMINED"),
        (ABOVE, BELOW, AROUND, True, "UNDETERMINED"),
        (AROUND, ABOVE, ABOVE, True, "NOT APPLICABLE"),
        (FROM_0, BELOW, ABOVE, True, "NOT APPLICABLE"),
        (None, ABOVE, ABOVE, False, "NOT HACKING"),
        (None, FROM_0, ABOVE, False, "NOT HACKING"),
        (None, BELOW, ABOVE, False, "UNDETERMINED"),
        (None, None, ABOVE, True, "UNDETERMINED"),
    ],
)
def test_the_state_is_what_intervals_leave(sound: Audit, r, gold, proxy, certified, state) -> None:
    made = replace(sound.measured, r=r, gold_gain=gold, proxy_gain=proxy)
    assert _state(made, certified=certified) == state


def test_what_stands_against_a_certificate_begins_exactly_at_its_limit(sound: Audit) -> None:
    measured = sound.measured
    calibration, distance, cautious = measured.calibration, measured.distance, measured.cautious
    assert calibration is not None and cautious is not None

    def against(of=None, far=None, ratio=None) -> list[str]:
        changed = replace(
            measured,
            calibration=replace(calibration, **(of or {})),
            distance=replace(distance, **(far or {})),
            cautious=cautious if ratio is None else replace(cautious, ratio=ratio),
        )
        return _against(changed, ())

    assert against() == []
    error = calibration.residual_sd_high
    for fails, holds, said in (
        ({"far": {"effective_reference": 49.99}}, {"far": {"effective_reference": 50}}, "the reference's"),
        ({"far": {"effective_policy": 49.99}}, {"far": {"effective_policy": 50}}, "the policy's"),
        ({"far": {"effective_prompts": 7.99}}, {"far": {"effective_prompts": 8}}, "rests on 8.0 prompts"),
        ({"of": {"prompts": 19}}, {"of": {"prompts": 20}}, "19 prompts have gold labels"),
        ({"of": {"slope_low": 0.0}}, {"of": {"slope_low": 1e-3}}, "may not rise with gold"),
        ({"ratio": Limits(9, error, 9)}, {"ratio": Limits(9, error * 1.001, 9)}, "gain over √χ² is 9"),
        ({"ratio": Limits(9, np.nan, 9)}, {}, "gain over √χ² is 9"),
        ({"of": {"residual_sd_high": np.inf}}, {}, "no upper limit"),
    ):
        (reason,) = against(**fails)
        assert said in reason
        assert against(**holds) == []
    blocking, other = Objection("duplicates", "…"), Objection("temperature", "…", blocks=False)
    (reason,) = _against(measured, (other, blocking))
    assert "are equal" in reason


def test_kappa_and_what_it_needs_are_in_the_proxys_deviations_within_prompts(sound: Audit) -> None:
    measured = sound.measured
    calibration, cautious = measured.calibration, measured.cautious
    assert calibration is not None and cautious is not None
    kappa, needed, _ = _numbers(measured)
    sd = calibration.sd_proxy
    assert kappa == Limits(cautious.ratio.value / sd, cautious.ratio.low / sd, np.inf)
    assert needed == Limits(calibration.residual_sd / sd, -np.inf, calibration.residual_sd_high / sd)


@pytest.mark.parametrize("low", [-0.5, 0.3])
def test_bounds_are_at_the_estimates_and_at_the_worst_r_within_its_limits(sound: Audit, low: float) -> None:
    measured = sound.measured
    assert measured.calibration is not None
    calibration = replace(measured.calibration, r_overall=0.7, r_overall_low=low, r_overall_high=0.9)
    gain, chi2 = Limits(2.0, 1.5, 2.5), Limits(0.4, 0.3, 0.6)
    far = replace(measured.distance, chi2=chi2)
    made = replace(measured, calibration=calibration, proxy_gain=gain, distance=far)
    _, _, bounds = _numbers(made)
    assert bounds is not None and measured.cautious is not None
    sd_proxy, sd_gold = calibration.sd_proxy_overall, calibration.sd_gold_overall
    rs = np.linspace(max(low, 1e-6), 0.9, 20_001)
    for bound, value, least in (
        (theorem_bound, bounds.theorem, bounds.theorem_low),
        (max_min_bound, bounds.max_min, bounds.max_min_low),
    ):
        assert value == pytest.approx(bound(2.0 / sd_proxy, 0.4, 0.7) * sd_gold)
        worst = bound(np.full(20_001, 1.5 / sd_proxy), np.full(20_001, 0.6), rs).min() * sd_gold
        assert least == pytest.approx(worst, rel=1e-3)
    assert bounds.residual == pytest.approx(
        residual_bound(2.0, 0.4, calibration.slope, calibration.residual_sd)
    )
    assert bounds.residual_low == measured.cautious.bound


def test_without_a_correlation_above_0_the_theorem_says_nothing(sound: Audit) -> None:
    assert sound.measured.calibration is not None
    for r in (0.0, -0.2):
        calibration = replace(sound.measured.calibration, r_overall=r, r_overall_low=-0.5, r_overall_high=0.4)
        _, _, bounds = _numbers(replace(sound.measured, calibration=calibration))
        assert bounds is not None and bounds.theorem == bounds.max_min == -np.inf


def test_limits_are_corrected_for_all_that_is_looked_at(sound: Audit) -> None:
    assert (sound.looked, sound.measured.confidence) == (8, 1 - 0.05 / 8)
    with_gold = judged("wide", 3, 0.3, prompts=30, gold_on_policy=True)
    assert (with_gold.looked, with_gold.measured.confidence) == (10, 1 - 0.05 / 10)
