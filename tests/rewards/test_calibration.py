"""A proxy's trust from gold labels: exact where it can be, and limits that hold as often as they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from candor.core.errors import InputError
from candor.core.limits import limits
from candor.rewards.bound import residual_bound, theorem_bound
from candor.rewards.calibration import Calibration, calibrate, correlation


def _drawn(random: np.random.Generator, prompts: int, each: int, kind: str = "normal"):
    """Gold and proxy with a = 1, r = .707 within prompts for normal errors; prompts differ in both."""
    gold = random.normal(size=(prompts, each)) + random.normal(size=(prompts, 1))
    error = {
        "normal": lambda: random.normal(size=gold.shape),
        "skewed": lambda: random.exponential(size=gold.shape) - 1,
        # Variances .25 and 1.75: 1 on average.
        "uneven": lambda: random.normal(size=gold.shape) * random.choice([0.5, 1.3229], size=(prompts, 1)),
    }[kind]()
    proxy = gold + 2 * random.normal(size=(prompts, 1)) + error
    return proxy.ravel(), gold.ravel(), np.repeat(np.arange(prompts), each)


def test_least_squares_within_prompts_equals_a_regression_with_an_intercept_each() -> None:
    proxy, gold, prompts = _drawn(np.random.default_rng(0), 12, 4)
    design = np.column_stack([gold, np.eye(12)[prompts]])
    solution, squares, *_ = np.linalg.lstsq(design, proxy, rcond=None)
    found = calibrate(proxy, gold, prompts)
    assert found.slope == pytest.approx(solution[0])
    assert found.residual_sd == pytest.approx(np.sqrt(squares[0] / (48 - 13)))
    assert found.r == pytest.approx(found.slope * found.sd_gold / found.sd_proxy)
    assert (found.prompts, found.n) == (12, 48)


def test_residual_deviation_is_unbiased_with_two_completions_a_prompt() -> None:
    random = np.random.default_rng(1)
    variances = [calibrate(*_drawn(random, 10, 2)).residual_sd ** 2 for _ in range(400)]
    assert np.mean(variances) == pytest.approx(1.0, abs=3 * np.std(variances) / 20)
    naive = np.mean(variances) * (10 - 1) / 20  # by n instead of by the degrees of freedom
    assert naive < 0.6


def test_overall_correlation_is_the_plain_one_and_differs_from_that_within_prompts() -> None:
    random = np.random.default_rng(2)
    proxy, gold, prompts = _drawn(random, 40, 5)
    found = calibrate(proxy, gold, prompts)
    assert found.r_overall == pytest.approx(np.corrcoef(proxy, gold)[0, 1])
    assert found.r > found.r_overall + 0.1  # what prompts add to the proxy is no error within them
    assert found.sd_proxy_overall == pytest.approx(proxy.std(), rel=0.05)


def test_intercepts_of_prompts_make_the_bound_better_never_worse() -> None:
    proxy, gold, prompts = _drawn(np.random.default_rng(3), 60, 4)
    found = calibrate(proxy, gold, prompts)
    r, sd_proxy, sd_gold = found.r_overall, found.sd_proxy_overall, found.sd_gold_overall
    for chi2, gain in ((0.2, 1.0), (1.0, 2.0)):
        theorem = theorem_bound(gain / sd_proxy, chi2, r) * sd_gold
        assert residual_bound(gain, chi2, found.slope, found.residual_sd) > theorem


def test_prompts_weigh_alike_however_many_labels_they_have() -> None:
    """Where errors differ by prompt, a prompt that was labelled more often doesn't count for more."""
    random = np.random.default_rng(4)
    few, many = [], []
    for prompt in range(400):
        each, deviation = (2, 1.0) if prompt % 2 else (20, 3.0)
        gold = random.normal(size=each)
        few.append(gold)
        many.append(gold + deviation * random.normal(size=each))
    prompts = np.repeat(np.arange(400), [len(part) for part in few])
    found = calibrate(np.concatenate(many), np.concatenate(few), prompts)
    assert found.residual_sd**2 == pytest.approx(5.0, rel=0.1)  # (1 + 9) / 2; by completions it is 8.3


@pytest.mark.parametrize("kind", ["normal", "uneven"])
def test_limits_hold_as_often_as_they_say(kind: str) -> None:
    random = np.random.default_rng(5)
    runs = 200
    found = [calibrate(*_drawn(random, 20, 3, kind)) for _ in range(runs)]
    # Within prompts a = 1, sd(e) = 1, r = sqrt(1/2); overall r = 2 / sqrt(2 · (2 + 4 + 1)).
    held = {
        "residual": np.mean([one.residual_sd_high >= 1 for one in found]),
        "r": np.mean([one.r_low <= np.sqrt(0.5) for one in found]),
        "overall": np.mean([one.r_overall_low <= 2 / np.sqrt(14) for one in found]),
        "slope": np.mean([one.slope_low <= 1 for one in found]),
    }
    for name, share in held.items():
        assert share >= 0.95 - 2.5 * np.sqrt(0.95 * 0.05 / runs), (kind, name, share)


def test_percentile_bootstrap_would_not_hold_where_ours_does() -> None:
    """Why there is `core.limits`: the same 95 % limit by percentiles holds far less often."""
    random = np.random.default_rng(6)
    ours = plain = 0
    for _ in range(200):
        rows = random.exponential(size=(15, 1)) ** 2  # mean 2
        found = limits(rows, lambda m: np.log(m[..., 0]), confidence=0.95, replicates=400)
        ours += found.high >= np.log(2)
        drawn = rows[random.integers(15, size=(400, 15)), 0].mean(axis=1)
        plain += np.quantile(drawn, 0.95) >= 2
    assert ours > plain + 10


def test_a_proxy_without_any_error_still_has_a_limit_that_shrinks_with_prompts() -> None:
    gold = np.tile([0.0, 1.0, 1.0, 0.0], 50)
    few = calibrate(gold[:80], gold[:80], np.arange(80) // 4)
    many = calibrate(gold, gold, np.arange(200) // 4)
    assert few.residual_sd == 0
    assert few.r == pytest.approx(1)
    assert few.residual_sd_high > many.residual_sd_high > 0
    assert many.r_low < 1


def test_scale_and_shift_of_either_reward_change_only_units() -> None:
    proxy, gold, prompts = _drawn(np.random.default_rng(7), 20, 4)
    one, other = calibrate(proxy, gold, prompts), calibrate(10 * proxy - 1e5, 3 * gold + 2e4, prompts)
    assert other.residual_sd_high == pytest.approx(10 * one.residual_sd_high, rel=1e-4)
    assert other.slope == pytest.approx(one.slope * 10 / 3)
    assert (other.r, other.r_low) == pytest.approx((one.r, one.r_low), rel=1e-4)
    assert (other.r_overall, other.r_overall_low) == pytest.approx(
        (one.r_overall, one.r_overall_low), rel=1e-4
    )


def test_what_can_not_be_fitted_is_said() -> None:
    ones, zigzag, pairs = np.ones(8), np.arange(8) % 2.0, np.arange(8) // 2
    with pytest.raises(InputError, match="gold reward never varies"):
        calibrate(zigzag, ones, pairs)
    with pytest.raises(InputError, match="proxy reward never varies"):
        calibrate(ones, zigzag, pairs)
    with pytest.raises(InputError, match="1 of 8 proxy rewards are no finite"):
        calibrate(np.where(np.arange(8) == 3, np.nan, zigzag), zigzag, pairs)
    with pytest.raises(InputError, match="0 prompts have two labelled"):
        calibrate(zigzag, zigzag, np.arange(8))
    with pytest.raises(InputError, match="never varies within a prompt"):
        calibrate(zigzag, pairs * 1.0, pairs)  # gold that differs between prompts only


@pytest.mark.parametrize("noise", [0.5, 3.0])
def test_the_weight_with_care_is_of_the_least_correlation_and_of_all_rewards(noise: float) -> None:
    random = np.random.default_rng(3)
    gold = random.normal(size=200)
    labels = gold + noise * random.normal(size=200), gold, np.repeat(np.arange(50), 4)
    found = calibrate(*labels)
    assert found.weight == found.residual_sd < found.weight_high
    assert found.weight_high == pytest.approx(found.sd_proxy * np.sqrt(1 - found.r_low**2))
    rewards, prompts = random.normal(size=(40, 2)) * 9 + np.arange(40)[:, None], np.arange(40)[:, None]
    rewards, prompts = (
        np.append(rewards, 1e6),
        np.append(np.repeat(prompts, 2), 99),
    )  # one with a single reward
    beside = calibrate(*labels, drawn=(rewards, prompts))
    deviation = np.sqrt(rewards[:-1].reshape(40, 2).var(axis=1, ddof=1).mean())
    assert beside.weight_high == pytest.approx(deviation * np.sqrt(1 - found.r_low**2))
    assert replace(beside, sd_proxy_all=found.sd_proxy_all) == found
    assert Calibration.of(beside.as_dict()) == beside
    assert Calibration.of({k: v for k, v in found.as_dict().items() if k != "sd_proxy_all"}) == found


def test_rewards_without_labels_make_the_weight_with_care_a_limit() -> None:
    """r = .32: the deviation of few rewards is too small as often as not, and λ with it."""
    random, alone, beside = np.random.default_rng(4), [], []
    for _ in range(150):
        gold, error = random.normal(size=(2, 200))
        labels = gold + 3 * error, gold, np.repeat(np.arange(50), 4)
        drawn = np.sqrt(10) * random.normal(size=(1000, 4)), np.repeat(np.arange(1000), 4)
        for found, how in ((alone, {}), (beside, {"drawn": (drawn[0].ravel(), drawn[1])})):
            found.append(calibrate(*labels, replicates=100, **how).weight_high / 3)
    assert np.mean(np.array(alone) >= 1) < 0.85 < 0.9 <= np.mean(np.array(beside) >= 1)
    assert np.quantile(alone, 0.05) < 0.97 < 0.985 < np.quantile(beside, 0.05)


def test_deviations_over_all_prompts_are_half_the_mean_square_between_two_prompts() -> None:
    """Unbiased, as two completions of one prompt are no two draws: half of E[(x - y)²] for two prompts'."""
    random = np.random.default_rng(8)
    proxy, gold, prompts = _drawn(random, 7, 3)
    found = calibrate(proxy, gold, prompts)
    for values, sd in ((proxy, found.sd_proxy_overall), (gold, found.sd_gold_overall)):
        rows = values.reshape(7, 3)
        pairs = [(a[:, None] - b) ** 2 / 2 for i, a in enumerate(rows) for b in rows[:i]]
        assert sd**2 == pytest.approx(np.mean(pairs))


def test_prompts_with_one_label_say_nothing_within_and_are_left_out() -> None:
    proxy, gold, prompts = _drawn(np.random.default_rng(9), 10, 3)
    more = [np.append(column, 50.0 + column[:4]) for column in (proxy, gold)]
    one = calibrate(proxy, gold, prompts)
    assert calibrate(*more, np.append(prompts, [100, 101, 102, 103])) == one
    assert (one.prompts, one.n) == (10, 30)


def test_two_prompts_with_two_completions_are_the_least() -> None:
    proxy, gold = [0.0, 1.0, 0.5, 0.0], [0.0, 1.0, 0.0, 1.0]
    found = calibrate(proxy, gold, ["a", "a", "b", "b"])
    # Moments are means over prompts: covariances 1/2 and -1/4, variances of gold 1/2 each.
    assert found.slope == pytest.approx((0.5 - 0.25) / (0.5 + 0.5))
    with pytest.raises(InputError, match="1 prompts have two labelled completions or more, of 2"):
        calibrate(proxy[:3], gold[:3], ["a", "a", "b"])


def test_columns_of_different_lengths_are_refused() -> None:
    for columns in (([0, 1], [0, 1, 2], [0, 0]), ([0, 1], [0, 1], [0]), ([[0, 1]], [[0, 1]], [[0, 0]])):
        with pytest.raises(ValueError, match="as many proxy as gold rewards and prompts"):
            calibrate(*columns)
    for place in range(2):
        columns = [np.arange(4.0), np.arange(4.0)]
        columns[place][1] = np.inf
        with pytest.raises(InputError, match=r"1 of 4 \w+ rewards are no finite numbers"):
            calibrate(*columns, [0, 0, 1, 1])


def test_an_error_that_was_never_seen_may_be_as_rare_as_prompts_allow_and_as_large_as_the_range() -> None:
    gold = np.tile([0.0, 1.0, 4.0, 0.0], 20)
    for confidence in (0.95, 0.8):
        prompts = np.arange(80) // 4
        found = calibrate(2 * gold + 5 * prompts, gold - prompts, prompts, confidence=confidence)
        probability = 1 - (1 - confidence) ** (1 / 20)
        assert found.residual_sd_high == pytest.approx(np.sqrt(probability) * 8)
        assert found.r_low == pytest.approx(np.sqrt(1 - probability * 64 / found.sd_proxy**2))
        assert found.slope_low == pytest.approx(2) == found.slope_high


def test_correlation_is_over_all_prompts_with_limits_and_needs_no_second_completion() -> None:
    random = np.random.default_rng(10)
    gold = random.normal(size=60)
    proxy = gold + random.normal(size=60)
    found = correlation(proxy, gold, np.arange(60))
    assert found.value == pytest.approx(np.corrcoef(proxy, gold)[0, 1])
    # Fisher: z is normal with 1/sqrt(n - 3) about; ours are a little more cautious.
    z, reach = np.arctanh(found.value), 1.645 / np.sqrt(57)
    assert np.tanh(z - 1.6 * reach) < found.low < np.tanh(z - 0.7 * reach)
    assert np.tanh(z + 0.7 * reach) < found.high < np.tanh(z + 1.6 * reach)
    labels = _drawn(random, 30, 4)
    both, whole = correlation(*labels), calibrate(*labels)
    assert (both.value, both.low, both.high) == (whole.r_overall, whole.r_overall_low, whole.r_overall_high)


def test_limits_are_wider_at_more_confidence_and_are_each_of_one_side() -> None:
    labels = _drawn(np.random.default_rng(11), 30, 4)
    loose, strict = (calibrate(*labels, confidence=confidence) for confidence in (0.7, 0.99))
    for name in ("slope", "r_overall"):
        value = getattr(loose, name)
        assert getattr(strict, name) == value
        low, high = (getattr(loose, f"{name}_{end}") for end in ("low", "high"))
        assert getattr(strict, f"{name}_low") < low < value < high < getattr(strict, f"{name}_high")
    assert strict.r_low < loose.r_low < loose.r
    assert loose.residual_sd < loose.residual_sd_high < strict.residual_sd_high


def test_a_limit_that_could_not_be_found_is_as_far_away_as_can_be() -> None:
    one = calibrate(*_drawn(np.random.default_rng(12), 10, 3))
    far = replace(one, slope_low=-np.inf, r_low=-np.inf, slope_high=np.inf, residual_sd_high=np.inf)
    plain = far.as_dict()
    assert [name for name, value in plain.items() if value is None] == [
        "slope_low", "residual_sd_high", "r_low", "slope_high",
    ]  # fmt: skip
    assert Calibration.of(plain) == far
    assert far.weight_high == one.sd_proxy == one.sd_proxy_all  # all of the proxy may be error


def test_what_is_rounding_depends_on_how_large_rewards_are() -> None:
    proxy, gold, prompts = _drawn(np.random.default_rng(13), 10, 3)
    small = calibrate(1e-8 * proxy, 1e-8 * gold, prompts)
    plain = calibrate(proxy, gold, prompts)
    assert small.slope == pytest.approx(plain.slope)
    assert small.sd_proxy_overall == pytest.approx(1e-8 * plain.sd_proxy_overall)
    assert small.sd_gold_overall == pytest.approx(1e-8 * plain.sd_gold_overall)
    level = 1e6 + prompts + 1e-9 * gold  # the same in each prompt but for the last bits
    for gold in (level, -level):
        with pytest.raises(InputError, match="gold reward never varies"):
            calibrate(proxy, gold, prompts)


def test_a_proxy_that_is_gold_correlates_with_1_in_its_limits_too() -> None:
    gold = np.random.default_rng(14).normal(size=60)
    for proxy, r in ((3 * gold + 1, 1), (-gold, -1)):
        found = correlation(proxy, gold, np.arange(60) // 2)
        assert (found.value, found.low, found.high) == pytest.approx((r, r, r), abs=1e-6)


def test_limits_of_a_correlation_are_those_of_its_raw_moments() -> None:
    """Both rewards are centred first, for their digits: the limits are those of moments about any level."""
    proxy, gold, prompts = _drawn(np.random.default_rng(15), 6, 3)
    x, y = (values.reshape(6, 3) for values in (gold, proxy))
    rows = np.stack([part.mean(axis=1) for part in (x, y, x * x, x * y, y * y)], axis=1)

    def fisher(m: np.ndarray) -> np.ndarray:
        a, b, aa, ab, bb = np.moveaxis(m, -1, 0)
        return np.arctanh((ab - a * b) / np.sqrt((aa - a * a) * (bb - b * b)))

    expected = limits(rows, fisher, confidence=0.9)
    found = correlation(proxy, gold, prompts, confidence=0.9)
    assert (found.value, found.low, found.high) == pytest.approx(
        tuple(np.tanh([expected.value, expected.low, expected.high])), rel=1e-4
    )
