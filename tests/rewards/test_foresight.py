"""Foreseen gains beside the true ones of bandits of which everything is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from candor.core.limits import Limits, limits
from candor.rewards.audit.simulate import Bandits, bandits, logged
from candor.rewards.calibration import calibrate
from candor.rewards.foresight import Completions, Foreseen, _below, best, foresee


def foreseen(made: Bandits, random: np.random.Generator, samples: int = 4, slope: float = 1.0) -> Foreseen:
    """From labels of four completions of 50 prompts, at most; `slope` spoils that of gold on the proxy."""
    log = logged(made, random, samples=samples)
    labelled = ~log.policy & np.isfinite(log.gold)
    known = calibrate(log.proxy[labelled], log.gold[labelled], log.prompt[labelled], replicates=50)
    rows = [
        Completions(log.proxy[some], log.prompt[some], log.log_ratio[some])
        for some in (labelled, ~log.policy, log.policy)
    ]
    return foresee(replace(known, r=known.r * slope), rows[0], log.gold[labelled], *rows[1:])


@pytest.mark.parametrize("slope", [1.0, 0.3])
def test_the_estimate_is_unbiased_whatever_the_slope_and_its_limit_holds(slope: float) -> None:
    random, errors, below = np.random.default_rng(1), [], []
    for _ in range(200):
        made = bandits("wide", 60, 0.5, random)
        found = foreseen(made, random, slope=slope)
        errors.append(found.gain - made.gold_gain)
        below.append(found.low <= made.gold_gain)
    assert abs(np.mean(errors)) < 3.5 * np.std(errors) / np.sqrt(len(errors))
    assert np.mean(below) > 0.92
    assert np.std(errors) < 0.12  # of a gain of .4: tells something


def test_a_better_proxy_needs_fewer_labels() -> None:
    """The slope takes out of the weighted part what the proxy explains."""
    random = np.random.default_rng(2)
    made = bandits("rare", 60, 0.6, random)
    with_proxy, without = (
        [foreseen(made, random, samples=32, slope=slope).gain for _ in range(60)] for slope in (1, 0)
    )
    assert np.std(with_proxy) < 0.7 * np.std(without)
    assert np.mean(with_proxy) == pytest.approx(made.gold_gain, abs=0.05)


def test_the_policy_that_is_chosen_does_not_hack_what_labels_show() -> None:
    """An arm in a hundred that the proxy likes best and gold least: strong policies lose by it."""
    shares = []
    for seed in range(5):
        strengths, true, found = (0.05, 0.2, 0.5, 1.0, 2.0, 4.0), [], []
        for strength in strengths:
            made = bandits("hidden", 80, strength, np.random.default_rng(seed))  # the same prompts
            true.append(made.gold_gain)
            found.append(foreseen(made, np.random.default_rng(100 + seed), samples=8))
        assert true[-1] < 0 < max(true)
        shares.append(true[best(found)] / max(true))
    assert min(shares) > 0.25 and np.mean(shares) > 0.6, shares


def test_the_reference_gains_nothing_and_all_labels_stand_for_it() -> None:
    random, gains = np.random.default_rng(3), []
    for _ in range(30):
        made = bandits("wide", 20, 0.5, random)
        found = foreseen(replace(made, policy_PA=made.reference_PA), random)
        gains.append(found.gain)
        assert (found.effective, found.labels, found.beyond) == (pytest.approx(80), 80, 0)
        assert found.low < found.gain
    assert abs(np.mean(gains)) < 3.5 * np.std(gains) / np.sqrt(30)


def test_what_no_label_speaks_for_is_charged_as_the_worst_that_labels_have_shown() -> None:
    """Reference and policy give all prompts alike; half of what the policy says no label has shown."""
    labelled = Completions([0.0, 1.0] * 20, np.repeat(np.arange(20), 2), np.zeros(40))
    gold = [0.0, 2.0] * 20
    known = calibrate(np.array(labelled.proxy) + np.tile([0, 0.1, 0.1, 0], 10), gold, labelled.prompts)
    policy = [Completions([1.0] * 40, labelled.prompts, [0.0, far] * 20) for far in (0.0, 50.0)]
    within, beyond = (foresee(known, labelled, gold, labelled, one) for one in policy)
    slope = known.r * known.sd_gold / known.sd_proxy
    assert (within.gain, within.beyond) == (pytest.approx(slope / 2), 0)
    assert (beyond.gain, beyond.beyond) == (pytest.approx(slope / 4), pytest.approx(0.5))
    never_seen = 1 - 0.05 ** (1 / 40)
    assert within.low == pytest.approx(
        within.gain - never_seen * 1.0
    )  # gold is 1 in the mean, and 0 at worst
    assert beyond.low == pytest.approx(beyond.gain - 0.5)


def test_few_labels_stand_for_a_policy_that_is_far_away() -> None:
    near, far = (
        foreseen(bandits("wide", 40, strength, np.random.default_rng(5)), np.random.default_rng(6))
        for strength in (0.3, 4)
    )
    assert far.effective < 0.2 * near.effective < near.effective <= 160
    assert far.gain - far.low > 5 * (near.gain - near.low) > 0


def test_a_limit_that_can_not_be_found_is_never_chosen() -> None:
    found = [Foreseen(9.0, -np.inf, 1.0, 0.1, 4), *(Foreseen(gain, -0.2, 3.0, 0.0, 4) for gain in (0.1, 0.3))]
    assert best(found) == 1
    assert best(found[:1]) == 0
    assert found[0].as_dict() == {"gain": 9.0, "low": None, "effective": 1.0, "beyond": 0.1, "labels": 4}


def test_both_parts_and_their_limits_put_together_by_hand() -> None:
    random = np.random.default_rng(7)
    prompts = np.repeat(np.arange(30), 4)
    gold = random.normal(size=120) + 5
    proxy = gold + random.normal(size=120) + 40
    ratio = 0.4 * random.normal(size=120)
    after = proxy + 0.5 + 0.2 * random.normal(size=120)
    far = np.where(np.arange(120) == 7, 9.0, 0.3 * random.normal(size=120))
    known = calibrate(proxy, gold, prompts)
    labelled = Completions(proxy, prompts, ratio)
    found = foresee(known, labelled, gold, Completions(proxy, prompts), Completions(after, prompts, far))
    slope = known.r * known.sd_gold / known.sd_proxy
    unexplained = (gold - gold.mean()) - slope * (proxy - proxy.mean())
    rest = ((np.exp(ratio) - 1) * unexplained).reshape(30, 4).mean(axis=1)
    kept = np.minimum(1, np.exp(ratio.max() - far))
    gains = (kept * (after - proxy.mean()) - (proxy - proxy.mean())).reshape(30, 4).mean(axis=1)
    parts = [limits(rows[:, None], lambda m: m[..., 0]) for rows in (rest, slope * gains)]
    assert found.gain == pytest.approx(rest.mean() + slope * gains.mean())
    assert (found.beyond, 1 - kept[7]) == (pytest.approx((1 - kept).mean()), pytest.approx(1, abs=0.01))
    beyond = limits((1 - kept).reshape(30, 4).mean(axis=1)[:, None], lambda m: m[..., 0]).high
    within = np.sqrt(sum((one.value - one.low) ** 2 for one in parts))
    assert found.low == pytest.approx(found.gain - within - beyond * (gold.mean() - gold.min()))
    weights = np.exp(ratio)
    assert found.effective == pytest.approx(weights.sum() ** 2 / (weights**2).sum())


def test_a_part_without_a_limit_leaves_none_and_some_rewards_may_have_no_ratio() -> None:
    one = Completions([1.0, 2.0, 3.0], ["a", "b", "b"]).at(np.array([True, False, True]))
    assert (list(one.proxy), list(one.prompts), one.log_ratio) == ([1, 3], ["a", "b"], None)  # type: ignore[call-overload]
    assert _below(Limits(1.0, 0.5, 2.0), Limits(0.0, -np.inf, 1.0)) == np.inf
