"""The bounds on true reward, over thousands of random bandits, and equality where it is promised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from candor.rewards import bound

CASES, ARMS = 20_000, 6


@dataclass
class Bandits:
    """Random references, policies and rewards, [cases, arms] each, and what the bounds are about."""

    weight: np.ndarray
    ratio: np.ndarray
    proxy: np.ndarray
    true: np.ndarray

    def mean(self, values: np.ndarray) -> np.ndarray:
        return (self.weight * values).sum(axis=1)

    def normalised(self, values: np.ndarray) -> np.ndarray:
        centred = values - self.mean(values)[:, None]
        return centred / np.sqrt(self.mean(centred**2))[:, None]

    @property
    def delta(self) -> np.ndarray:
        return self.normalised(self.proxy)

    @property
    def r(self) -> np.ndarray:
        return self.mean(self.delta * self.normalised(self.true))

    @property
    def gain(self) -> np.ndarray:
        return self.mean(self.ratio * self.delta)

    @property
    def true_gain(self) -> np.ndarray:
        return self.mean(self.ratio * self.normalised(self.true))

    @property
    def chi2(self) -> np.ndarray:
        return self.mean((self.ratio - 1) ** 2)


def random_bandits() -> Bandits:
    """Proxies from noise to nearly the truth, policies from the reference's neighbours to single arms."""
    random = np.random.default_rng(0)
    weight = random.dirichlet(np.full(ARMS, 0.7), size=CASES) + 1e-4
    weight /= weight.sum(axis=1, keepdims=True)
    share = random.uniform(size=(CASES, 1)) ** 3
    policy = (1 - share) * weight + share * random.dirichlet(np.full(ARMS, 0.3), size=CASES)
    true = random.normal(size=(CASES, ARMS))
    noise = np.exp(random.uniform(-4, 2, size=(CASES, 1))) * random.standard_t(2, size=(CASES, ARMS))
    proxy = true + noise
    found = Bandits(weight, policy / weight, proxy, true)
    keep = found.r > 0.01
    assert keep.sum() > CASES / 2
    return Bandits(weight[keep], found.ratio[keep], proxy[keep], true[keep])


BANDITS = random_bandits()
# The root of chi2 - gain² is good to 1e-8 of sqrt(chi2) where the two are nearly equal.
ROOM = 1e-6 * (1 + np.sqrt(BANDITS.chi2) / BANDITS.r)


def test_true_gain_is_never_below_the_max_min_bound_and_that_never_below_the_theorems():
    b = BANDITS
    max_min = bound.max_min_bound(b.gain, b.chi2, b.r)
    theorem = bound.theorem_bound(b.gain, b.chi2, b.r)
    assert (b.true_gain >= max_min - ROOM).all()
    assert (max_min >= theorem - ROOM).all()
    # And they are no trivial bounds: often positive, and often close.
    assert (theorem > 0).mean() > 0.1 and (b.true_gain - max_min < 0.1).mean() > 0.2


def test_the_bounds_differ_by_what_the_angles_say():
    b = BANDITS
    root, alpha = np.sqrt(b.chi2), np.arccos(np.clip(b.r, -1, 1))
    phi = np.arccos(np.clip(b.gain / root, -1, 1))
    max_min = bound.max_min_bound(b.gain, b.chi2, b.r)
    np.testing.assert_allclose(max_min / root, np.cos(alpha + phi), atol=1e-6)
    less = root * np.tan(alpha) * (1 - np.sin(alpha + phi))
    theorem = bound.theorem_bound(b.gain, b.chi2, b.r)
    np.testing.assert_allclose(max_min - theorem, less, rtol=1e-4, atol=float(ROOM.max()))


def test_the_certificate_says_exactly_when_both_bounds_are_positive():
    b = BANDITS
    certified = bound.kappa(b.gain, b.chi2) > bound.needed_kappa(b.r)
    for found in (bound.theorem_bound(b.gain, b.chi2, b.r), bound.max_min_bound(b.gain, b.chi2, b.r)):
        clear = np.abs(found) > ROOM
        assert clear.mean() > 0.95 and (certified == (found > 0))[clear].all()
    assert (b.true_gain[certified] > -ROOM[certified]).all() and 0.1 < certified.mean() < 0.9


def test_the_worst_true_reward_attains_the_max_min_bound():
    b = BANDITS
    change = b.ratio - 1
    across = b.normalised(change - b.mean(change * b.delta)[:, None] * b.delta)
    worst = b.r[:, None] * b.delta - np.sqrt(1 - b.r**2)[:, None] * across
    np.testing.assert_allclose(b.mean(worst * b.delta), b.r, atol=1e-6)  # it has this correlation
    np.testing.assert_allclose(b.mean(worst**2), 1, atol=1e-6)
    attained = b.mean(b.ratio * worst)
    assert np.abs(attained - bound.max_min_bound(b.gain, b.chi2, b.r)).max() < 1e-6 * (
        1 + np.sqrt(b.chi2.max())
    )


def test_the_theorem_is_attained_only_by_a_policy_that_moves_along_the_noise():
    """There true gain and bound are 0; anywhere else the theorem gives something away."""
    weight, r = np.full(4, 0.25), 0.6
    true, noise = np.array([1.0, -1.0, 1.0, -1.0]), np.array([1.0, 1.0, -1.0, -1.0])
    proxy = r * true + np.sqrt(1 - r**2) * noise
    ratio = 1 + 0.7 * noise
    gain, chi2 = float(weight @ (ratio * proxy)), float(weight @ (ratio - 1) ** 2)
    assert float(weight @ (ratio * true)) == pytest.approx(0, abs=1e-12)
    assert bound.theorem_bound(gain, chi2, r) == pytest.approx(0, abs=1e-12)
    assert bound.max_min_bound(gain, chi2, r) == pytest.approx(0, abs=1e-8)


def test_each_bound_is_what_its_weight_leaves_of_the_gain():
    """So that maximising a penalised reward maximises the bound."""
    b = BANDITS
    root, across = np.sqrt(b.chi2), np.sqrt(np.maximum(b.chi2 - b.gain**2, 0))
    by_root = np.array([bound.chi2_weight(3.0, float(r)) for r in b.r]) / 3.0
    np.testing.assert_allclose(
        bound.theorem_bound(b.gain, b.chi2, b.r) * b.r, b.gain - by_root * root, atol=1e-9
    )
    weights = np.array([bound.max_min_weight(float(r)) for r in b.r])
    np.testing.assert_allclose(
        bound.max_min_bound(b.gain, b.chi2, b.r), b.r * (b.gain - weights * across), atol=1e-9, rtol=1e-9
    )


def test_a_perfect_proxy_leaves_nothing_to_fear():
    assert bound.theorem_bound(1.5, 40.0, 1.0) == 1.5 == bound.max_min_bound(1.5, 40.0, 1.0)
    assert bound.needed_kappa(1.0) == 0 == bound.chi2_weight(2.0, 1.0)


def test_no_change_has_no_kappa_and_is_not_certified():
    assert bound.kappa(0.0, 0.0) == 0.0
    np.testing.assert_array_equal(bound.kappa(np.array([0.0, 0.3]), np.array([0.0, 0.09])), [0.0, 1.0])


def test_the_three_arms_have_the_numbers_that_were_checked_by_hand():
    weight, proxy, true = np.array([0.495, 0.495, 0.01]), np.array([0.0, 1, 3]), np.array([0.0, 1, -1])
    b = Bandits(weight[None], np.array([[0, 0, 100.0]]), proxy[None], true[None])
    sd = float(np.sqrt(b.mean((proxy - b.mean(proxy[None])) ** 2)[0]))
    assert (round(sd, 4), round(float(b.r[0]), 4), float(b.chi2[0])) == (0.5562, 0.7282, pytest.approx(99))
    assert round(bound.chi2_weight(sd, float(b.r[0])), 4) == 0.3812
    assert b.true_gain[0] < 0 < b.gain[0]  # hacked


def test_the_residual_bound_holds_for_any_slope_and_any_intercepts_of_prompts():
    random = np.random.default_rng(1)
    prompts, arms, positive = 3, 4, 0
    for _ in range(2_000):
        weight = random.dirichlet(np.ones(arms), size=prompts) * random.dirichlet(np.ones(prompts))[:, None]
        policy = random.dirichlet(np.full(arms, 0.5), size=prompts) * weight.sum(axis=1, keepdims=True)
        true = random.normal(size=(prompts, arms))
        shift = 3 * random.normal(size=(prompts, 1))
        proxy = 0.8 * true + shift + random.uniform(0, 1) * random.normal(size=(prompts, arms))
        slope = random.uniform(0.2, 2)
        left = proxy - slope * true
        left -= (weight * left).sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True)
        residual_sd = float(np.sqrt((weight * left**2).sum()))
        gain = float(((policy - weight) * proxy).sum())
        chi2 = float((policy**2 / weight).sum() - 1)
        found = bound.residual_bound(gain, chi2, slope, residual_sd)
        positive += found > 0
        assert ((policy - weight) * true).sum() >= found - 1e-9
    assert positive > 50


def test_the_residual_bound_of_the_least_squares_line_is_the_theorem_in_units():
    b = BANDITS
    sd_proxy = np.sqrt(b.mean((b.proxy - b.mean(b.proxy)[:, None]) ** 2))
    sd_true = np.sqrt(b.mean((b.true - b.mean(b.true)[:, None]) ** 2))
    slope, residual_sd = b.r * sd_proxy / sd_true, sd_proxy * np.sqrt(1 - b.r**2)
    in_units = bound.residual_bound(b.gain * sd_proxy, b.chi2, slope, residual_sd)
    np.testing.assert_allclose(
        in_units, sd_true * bound.theorem_bound(b.gain, b.chi2, b.r), rtol=1e-6, atol=1e-6
    )


def test_intercepts_of_prompts_never_ask_for_a_larger_weight():
    random = np.random.default_rng(2)
    for _ in range(500):
        weight = random.dirichlet(np.ones(12))
        prompt = np.repeat(np.arange(3), 4)
        true, proxy = random.normal(size=(2, 12)) + 2 * random.normal(size=(2, 3))[:, prompt]

        def centred(values: np.ndarray, groups: np.ndarray, weight: np.ndarray = weight) -> np.ndarray:
            mean = np.bincount(groups, weight * values) / np.bincount(groups, weight)
            return values - mean[groups]

        def residual(groups: np.ndarray, weight: np.ndarray = weight, true=true, proxy=proxy) -> float:
            a, b = centred(true, groups), centred(proxy, groups)
            return float(weight @ b**2 - (weight @ (a * b)) ** 2 / (weight @ a**2))

        assert residual(prompt) <= residual(np.zeros(12, int)) + 1e-12
