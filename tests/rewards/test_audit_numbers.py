"""The numbers behind a verdict, against sums over small logs that are written out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from candor.core.limits import Limits
from candor.core.statistics import Estimate
from candor.rewards.audit.cautious import _bound, _ratio, cautious_gain
from candor.rewards.audit.checks import (
    Identity,
    duplicate_pairs,
    identities,
    objections,
    prompt_means,
)
from candor.rewards.audit.log import Log
from candor.rewards.audit.measure import measure
from candor.rewards.audit.simulate import bandits, logged
from candor.rewards.calibration import Calibration, calibrate

# prompt, policy's?, proxy, gold, ρ
ROWS = [
    (0, False, 1.0, 0.5, 0.8), (0, False, 2.0, 1.5, 1.5), (0, False, 0.0, None, 0.5),
    (0, True, 3.0, 1.0, 1.25), (0, True, 2.0, None, 4.0),
    (1, False, 5.0, 3.0, 0.9), (1, False, 4.0, 1.0, 1.2), (1, True, 6.0, 2.5, 2.0),
    (2, False, 1.0, 0.0, 1.0), (2, False, 3.0, 1.0, 0.6),
    (2, True, 1.5, None, 0.5), (2, True, 2.5, None, 0.7),
    (3, False, 9.0, 2.0, 3.0), (3, False, 8.0, 1.0, 0.1),  # the policy drew nothing here
]  # fmt: skip


def log_of(rows=ROWS, **how) -> Log:
    prompt, policy, proxy, gold, ratio = (np.array(column) for column in zip(*rows, strict=True))
    count = len(rows)
    plain = Log(
        prompt=prompt.astype(np.int64),
        policy=policy.astype(bool),
        proxy=proxy.astype(float),
        gold=np.array([np.nan if value is None else value for value in gold], float),
        log_ratio=np.log(ratio.astype(float)),
        logp_own=np.full(count, -50.0),
        text=tuple(map(str, range(count))),
        truncated=np.zeros(count, bool),
        temperatures=(frozenset(), frozenset()),
    )
    return replace(plain, **how)


def measured(log: Log, confidence: float = 0.95):
    return measure(log, identities(log), confidence=confidence)


def test_gains_are_means_over_the_prompts_that_both_sides_have() -> None:
    found = measured(log_of())
    proxies = [2.5 - 1.0, 6.0 - 4.5, 2.0 - 2.0]
    golds = [1.0 - 1.0, 2.5 - 2.0]
    assert found.proxy_gain.value == pytest.approx(np.mean(proxies))
    assert found.proxy_gain.low < found.proxy_gain.value < found.proxy_gain.high
    assert found.gold_gain is not None and found.gold_gain.value == pytest.approx(np.mean(golds))
    assert found.gold_prompts == 2
    assert found.sd_gold_gain == pytest.approx(0.5 / np.sqrt(2))
    assert (found.prompts, found.completions) == (3, (7, 5))
    assert (found.labelled, found.labelled_prompts) == ((8, 2), 4)
    assert found.confidence == 0.95 and found.uncalibrated == ""


@pytest.mark.parametrize("scale", [1.0, 0.1])  # of log-ratios: far and near
def test_distances_are_those_of_prompts_that_both_sides_have(scale: float) -> None:
    log = log_of()
    distance = measured(replace(log, log_ratio=scale * log.log_ratio)).distance
    ours, theirs = ([[1.25, 4.0], [2.0], [0.5, 0.7]], [[0.8, 1.5, 0.5], [0.9, 1.2], [1.0, 0.6]])
    ours, theirs = ([np.array(part) ** scale for part in side] for side in (ours, theirs))

    def term(ratio: np.ndarray) -> float:
        return float((2 * (ratio - 1) ** 2 / (1 + ratio)).mean())

    parts = np.array([(term(a) + term(b)) / 2 for a, b in zip(ours, theirs, strict=True)])
    our, their = np.concatenate(ours), np.concatenate(theirs)
    assert distance.chi2.value == pytest.approx(parts.mean())
    assert 0 < distance.chi2.low < distance.chi2.value < distance.chi2.high
    assert distance.chi2_policy == pytest.approx(our.mean() - 1)
    assert distance.chi2_not_negative == pytest.approx((our + 1 / our - 2).mean())
    assert distance.kl == pytest.approx(np.log(our).mean())
    assert distance.effective_reference == pytest.approx(their.sum() ** 2 / (their**2).sum())
    assert distance.effective_policy == pytest.approx((1 / our).sum() ** 2 / (1 / our**2).sum())
    assert distance.effective_prompts == pytest.approx(parts.sum() ** 2 / (parts**2).sum())


def test_where_both_are_one_model_every_prompt_carries_the_distance_of_0() -> None:
    same = measured(log_of(log_ratio=np.zeros(len(ROWS)))).distance
    assert (same.effective_prompts, same.chi2.value) == (3, 0)


def test_little_gold_leaves_numbers_out_and_says_why() -> None:
    gold = log_of().gold
    none = measured(log_of(gold=np.full(len(ROWS), np.nan)))
    assert (none.gold_gain, none.gold_prompts, none.r, none.calibration, none.cautious) == (
        None, 0, None, None, None,
    )  # fmt: skip
    assert none.uncalibrated == "no completion of the reference has a gold label"
    assert np.isnan(none.sd_gold_gain)
    one = measured(log_of(gold=np.where(log_of().prompt == 1, gold, np.nan)))
    assert one.r is None and one.calibration is None and "1 prompts have two labelled" in one.uncalibrated
    assert one.gold_prompts == 1 and np.isnan(one.sd_gold_gain)
    two = measured(log_of(gold=np.where(log_of().prompt < 2, gold, np.nan)))
    assert two.r is not None and two.calibration is not None


def test_what_may_count_is_cut_at_the_largest_ratio_and_the_range_that_labels_have_seen() -> None:
    log = log_of()
    random = np.random.default_rng(0)
    calibration = calibrate(*random.normal(size=(2, 40)) + np.arange(40) % 5, np.arange(40) // 5)
    found = cautious_gain(log, calibration, confidence=0.9)
    assert found.largest == pytest.approx(3)  # of prompt 3's labelled one; the policy's 4.0 is beyond
    beyond = [(0 + (1 - 3 / 4)) / 2, 0, 0]
    assert found.beyond.value == pytest.approx(np.mean(beyond)) and found.beyond.low == 0
    assert found.beyond.high >= 1 - 0.1 ** (1 / 5)
    # Gold about its labelled mean: ±.5, ±1, ±.5, ±.5; the proxy about the reference's, where labelled:
    # (0, 1), (.5, -.5), (-1, 1), (.5, -.5): it is clipped to ±1.
    assert found.allowance == pytest.approx(calibration.slope_high * 2.0 * found.beyond.high)
    gains = [(1.0 + 3 / 4 * 1.0) / 2 - (0 + 1 - 1) / 3, 1.0 - 0, (-0.5 + 0.5) / 2 - 0]
    assert found.clipped == pytest.approx(2 / 5)  # 3 - 1 and 6 - 4.5

    def term(*ratios: float) -> float:
        return float(np.mean([2 * (min(one, 3.0) - 1) ** 2 / (1 + one) for one in ratios]))

    chi2 = [
        (term(1.25, 4.0) + term(0.8, 1.5, 0.5)) / 2,
        (term(2.0) + term(0.9, 1.2)) / 2,
        (term(0.5, 0.7) + term(1.0, 0.6)) / 2,
    ]
    assert found.ratio.value == pytest.approx(np.mean(gains) / np.sqrt(np.mean(chi2)))


def test_a_policy_that_labels_cover_is_charged_for_what_its_completions_could_not_show() -> None:
    sides = [False] * 3 + [True] * 2
    rows = [(p, side, float(i % 3), float(i % 3), 1.0) for p in range(4) for i, side in enumerate(sides)]
    log = log_of(rows)
    found = cautious_gain(log, calibrate([0, 1, 2, 0, 1, 2], [0, 1, 2, 0, 1, 2], [0, 0, 0, 1, 1, 1]))
    assert (found.largest, found.beyond.value) == (1.0, 0.0)
    assert found.beyond.high == pytest.approx(1 - 0.05 ** (1 / 8))
    assert found.clipped == 0
    assert found.ratio == Limits(0, 0, 0)  # no distance


def calibration(**changes: float) -> Calibration:
    random = np.random.default_rng(1)
    gold = random.normal(size=80)
    whole = calibrate(gold + 0.3 * random.normal(size=80), gold, np.arange(80) // 4)
    return replace(whole, **changes)


HOW = {"confidence": 0.95, "seed": 0}


@pytest.mark.parametrize("gain", [2.0, 0.9, 0.3])
def test_prompts_that_are_all_alike_have_the_bound_of_the_formula(gain: float) -> None:
    """Then nothing is uncertain: (gain - allowance - sd(e) √χ²) / a, with the slope that makes it least."""
    chi2, allowance, error = 4.0, 0.1, 0.5
    rows = np.tile([gain, chi2], (6, 1))
    known = calibration(residual_sd_high=error, slope_low=0.8, slope_high=1.25)
    ratio = _ratio(rows, allowance, HOW)
    assert ratio.value == pytest.approx(gain / 2)
    assert ratio.low == pytest.approx((gain - allowance) / 2)
    assert ratio.high == pytest.approx(gain / 2)  # never below the value
    margin = gain - allowance - error * 2
    expected = margin / (1.25 if margin > 0 else 0.8)
    assert _bound(rows, allowance, ratio, known, HOW) == pytest.approx(expected)
    assert (margin > 0) == (gain == 2.0)


def test_without_a_slope_above_0_there_is_no_bound_and_without_a_gain_no_ratio() -> None:
    rows = np.tile([0.3, 4.0], (6, 1))
    ratio = _ratio(rows, 0.1, HOW)
    for slope_low in (0.0, -0.2):
        assert (
            _bound(rows, 0.1, ratio, calibration(residual_sd_high=9.0, slope_low=slope_low), HOW) == -np.inf
        )
    for allowance in (0.3, 0.4):
        assert _ratio(rows, allowance, HOW) == Limits(0.15, -np.inf, np.inf)
    assert _ratio(np.zeros((6, 2)), 0.0, HOW) == Limits(0.0, 0.0, 0.0)


def test_identities_are_means_over_prompts_of_each_side() -> None:
    log = log_of()
    reference, policy = identities(log)
    theirs = [[0.8, 1.5, 0.5], [0.9, 1.2], [1.0, 0.6], [3.0, 0.1]]
    ours = [[1.25, 4.0], [2.0], [0.5, 0.7]]
    assert reference.estimate.value == pytest.approx(np.mean([np.mean(one) for one in theirs]))
    assert policy.estimate.value == pytest.approx(np.mean([np.mean(1 / np.array(one)) for one in ours]))
    assert (reference.estimate.n, policy.estimate.n) == (9, 5)
    assert (reference.name, policy.name) == ("mean ρ of the reference", "mean 1/ρ of the policy")
    wide, narrow = identities(log, confidence=0.999)[0].estimate, identities(log, confidence=0.5)[0].estimate
    assert wide.low < reference.estimate.low < narrow.low < narrow.high < reference.estimate.high < wide.high


def test_identities_of_two_sided_intervals_hold_as_often_as_they_say() -> None:
    held = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        log = logged(bandits("wide", 15, 0.5, random), random, samples=4)
        held += identities(log, confidence=0.8)[0].holds
    assert abs(held / 200 - 0.8) < 3.5 * np.sqrt(0.8 * 0.2 / 200)


@pytest.mark.parametrize(
    ("low", "high", "holds"),
    [(0.9, 1.1, True), (1.0, 1.1, True), (0.9, 1.0, True), (1.01, 1.1, False), (0.8, 0.99, False),
     (None, 1.1, False), (0.9, None, False)],
)  # fmt: skip
def test_an_identity_holds_where_its_interval_has_1_in_it(low, high, holds: bool) -> None:
    assert Identity("x", Estimate(1.0, low, high, 9)).holds == holds


def test_means_of_prompts_are_missing_where_there_is_nothing() -> None:
    found = prompt_means(np.array([1.0, 3.0, 5.0]), np.array([0, 0, 2]), 4)
    np.testing.assert_array_equal(found, [2.0, np.nan, 5.0, np.nan])


def codes(log: Log) -> dict[str, bool]:
    fine = Identity("x", Estimate(1.0, 0.9, 1.1, 9))
    return {one.code: one.blocks for one in objections(log, (fine, fine))}


def whole(prompts: int = 4, samples: int = 2, **how) -> Log:
    sides = [(side, 1.0 + 0.1 * side) for side in (False, True) for _ in range(samples)]  # two models
    return log_of([(p, side, 1.0, None, ratio) for p in range(prompts) for side, ratio in sides], **how)


def test_a_sound_log_meets_no_objection_and_two_completions_of_the_reference_are_enough() -> None:
    assert codes(whole()) == {}
    single = whole(samples=1)
    assert codes(single) == {"one response a prompt": True}


@pytest.mark.parametrize(
    ("reference", "policy", "said"),
    [((), (), None), ((1.0,), (1.0,), None), ((1.0,), (), None), ((0.7,), (0.7,), "temperature"),
     ((0.7,), (), "temperature"), ((0.7,), (1.0,), "temperatures"), ((), (0.7, 1.0), "temperatures")],
)  # fmt: skip
def test_temperatures_have_to_be_one_and_best_1(reference, policy, said) -> None:
    log = whole(temperatures=(frozenset(reference), frozenset(policy)))
    assert codes(log) == ({} if said is None else {said: True})


def test_different_temperatures_are_named_from_low_to_high() -> None:
    fine = Identity("x", Estimate(1.0, 0.9, 1.1, 9))
    log = whole(temperatures=(frozenset({1.0}), frozenset({0.7})))
    (found,) = objections(log, (fine, fine))
    assert "(0.7, 1)" in found.text


def test_truncated_completions_are_counted() -> None:
    log = whole(truncated=np.arange(16) < 3)
    fine = Identity("x", Estimate(1.0, 0.9, 1.1, 9))
    (found,) = objections(log, (fine, fine))
    assert found.blocks and found.text.startswith("3 completions were drawn with top_p below 1")


def test_a_side_that_does_not_fulfil_its_identity_is_named_by_what_it_lacks() -> None:
    fine = Identity("x", Estimate(1.0, 0.9, 1.1, 9))
    for estimate, said in (
        (Estimate(0.5, 0.4, 0.9, 9), "Some of what the policy draws is missing from the reference's"),
        (Estimate(2.0, 1.5, 3.0, 9), "can't be of the same tokens"),
        (Estimate(2.0, None, 3.0, 9), "too few prompts"),
    ):
        (found,) = objections(whole(), (Identity("mean", estimate), fine))
        assert (found.code, found.blocks) == ("identity", True) and said in found.text
    (found,) = objections(whole(), (fine, Identity("mean", Estimate(0.5, 0.4, 0.9, 9))))
    assert "Some of what the reference draws is missing from the policy's" in found.text


def test_ten_equal_pairs_are_chance_and_eleven_are_not_unless_probability_explains_them() -> None:
    def log(*equal: int, logp: float = -50.0) -> Log:
        text = [str(place) for place in range(16)]
        for group, size in enumerate(equal):
            for place in range(size):
                text[4 * group + place] = text[4 * group]
        drawn = [(g, False, 1.0, None, 1.0) for g in range(4) for _ in range(4)]
        one = log_of(drawn + [(g, True, 1.0, None, 1.1) for g in range(4)])
        return replace(one, text=(*text, *"abcd"), logp_own=np.full(20, logp))

    assert duplicate_pairs(log(4, 3, 2))[0] == 6 + 3 + 1
    assert codes(log(4, 3, 2)) == {}
    assert duplicate_pairs(log(4, 3, 2, 2))[0] == 11
    assert codes(log(4, 3, 2, 2)) == {"duplicates": True}
    # 16 draws with three others each of probability a half lead to expect 16 · 3 · ½ / 2 = 12.
    assert duplicate_pairs(log(4, 3, 2, 2, logp=np.log(0.5)))[1] == pytest.approx(12)
    assert codes(log(4, 3, 2, 2, logp=np.log(0.5))) == {}
    # Twice what is expected and ten more are let pass: at 24 p that is 10.8 pairs here, and 11.2.
    assert codes(log(4, 3, 2, 2, logp=np.log(1 / 60))) == {"duplicates": True}
    assert codes(log(4, 3, 2, 2, logp=np.log(1 / 40))) == {}
    assert duplicate_pairs(log(4, logp=1e-4))[1] == pytest.approx(24)  # rounding above 0 is probability 1


def test_equal_completions_of_another_prompt_or_side_are_no_pair() -> None:
    assert duplicate_pairs(whole(samples=1, text=("same",) * 8)) == (0, 0.0)


def test_prompts_of_one_side_rule_a_certificate_out_where_they_are_more_than_half() -> None:
    rows = [(p, side, 1.0, None, 1.0 + 0.1 * side) for p in range(4) for side in (False, False, True)]
    for left_out, blocks in ((1, False), (2, False), (3, True)):
        log = log_of([row for row in rows if not row[1] or row[0] >= left_out])
        assert codes(log) == {"prompts of one side": blocks}
