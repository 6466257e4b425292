"""Estimators of χ² and KL: unbiased where claimed, over *all* samples of a tiny case and by exact moments."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from candor.rl import divergence

POLICY, REFERENCE = np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.3, 0.5])
LOGS = np.log(POLICY / REFERENCE)
CHI2 = float((POLICY**2 / REFERENCE).sum() - 1)
KL = float((POLICY * LOGS).sum())


def expectation(estimate, policy_draws: int, reference_draws: int = 0) -> float:
    """The mean of an estimate over every possible sample, by its probability."""
    total = 0.0
    for drawn in product(range(3), repeat=policy_draws + reference_draws):
        ours, stored = list(drawn[:policy_draws]), list(drawn[policy_draws:])
        chance = float(POLICY[ours].prod() * REFERENCE[stored].prod())
        total += chance * estimate(LOGS[ours], *([LOGS[stored]] if reference_draws else []))
    return total


def test_every_estimator_of_chi2_is_unbiased_over_all_samples():
    assert expectation(divergence.chi2_of_policy, 3) == pytest.approx(CHI2, rel=1e-12)
    assert expectation(divergence.chi2_not_negative, 3) == pytest.approx(CHI2, rel=1e-12)
    assert expectation(divergence.chi2_pooled, 3, 3) == pytest.approx(CHI2, rel=1e-12)
    assert expectation(divergence.chi2_pooled, 2, 4) == pytest.approx(CHI2, rel=1e-12)  # any two numbers
    assert expectation(divergence.kl, 3) == pytest.approx(KL, rel=1e-12)


def test_only_two_of_them_are_never_negative():
    random = np.random.default_rng(0)
    logs = random.normal(scale=3, size=(5_000, 4))
    assert min(divergence.chi2_pooled(row[:2], row[2:]) for row in logs) >= 0
    assert min(divergence.chi2_not_negative(row) for row in logs) >= 0
    assert min(divergence.chi2_of_policy(row) for row in logs) < -0.5


def test_where_the_reference_covers_what_the_policy_left_only_one_over_rho_is_wild():
    """A policy that has all but dropped half of the reference: 1/ρ is seldom drawn, and then enormous."""
    policy, reference = np.array([1 - 1e-6, 1e-6]), np.array([0.5, 0.5])
    ratio = policy / reference

    def variance(weight: np.ndarray, values: np.ndarray) -> float:
        return float(weight @ (values - weight @ values) ** 2)

    wild = variance(policy, ratio + 1 / ratio - 2)
    pooled = 2 * (ratio - 1) ** 2 / (1 + ratio)
    tame = (variance(policy, pooled) + variance(reference, pooled)) / 4
    assert wild > 1e4 * tame


def test_a_completions_ratio_is_the_product_over_its_own_tokens():
    policy = np.log([[0.5, 0.2, 0.9], [0.4, 0.1, 1.0]])
    reference = np.log([[0.25, 0.4, 0.1], [0.4, 0.2, 1.0]])
    own = np.array([[True, True, False], [True, True, True]])
    reference[0, 2] = np.nan  # padding
    found = np.exp(divergence.log_ratios(policy, reference, own))
    np.testing.assert_allclose(found, [2 * 0.5, 1 * 0.5 * 1])


def test_sequence_chi2_is_the_mean_product_and_not_the_sum_over_tokens():
    """Two tokens that each double their odds: (1 + χ²) multiplies."""
    token = float((POLICY**2 / REFERENCE).sum())
    logs = np.array([LOGS[a] + LOGS[b] for a, b in product(range(3), repeat=2)])
    weight = np.array([POLICY[a] * POLICY[b] for a, b in product(range(3), repeat=2)])
    sequence = float(weight @ np.exp(logs)) - 1
    assert sequence == pytest.approx(token**2 - 1)
    assert sequence > 1.5 * 2 * (token - 1)


def test_enormous_ratios_are_enormous_and_not_infinite():
    for logs in ([600.0], [-600.0], [5_000.0]):
        for estimate in (divergence.chi2_of_policy, divergence.chi2_not_negative):
            assert np.isfinite(estimate(logs))
        assert np.isfinite(divergence.chi2_pooled(logs, logs))
    assert divergence.chi2_pooled([600.0], [600.0]) == pytest.approx(2 * np.exp(600.0))


def test_pooled_keeps_its_digits_near_the_reference():
    tiny = 1e-9
    assert divergence.chi2_pooled([tiny], [tiny]) == pytest.approx(tiny**2, rel=1e-6)


def test_effective_samples_count_equal_weights_and_fall_to_one():
    assert divergence.effective_samples([0.3] * 7) == pytest.approx(7)
    assert divergence.effective_samples([900.0, 0.0, 0.0]) == pytest.approx(1)
    drawn = np.random.default_rng(0).choice(3, size=200_000, p=REFERENCE)
    assert divergence.effective_samples(LOGS[drawn]) == pytest.approx(200_000 / (1 + CHI2), rel=0.01)


def test_with_few_samples_the_effective_number_is_above_its_limit():
    few = sum(
        REFERENCE[list(drawn)].prod() * divergence.effective_samples(LOGS[list(drawn)])
        for drawn in product(range(3), repeat=3)
    )
    assert few > 1.1 * 3 / (1 + CHI2)


@pytest.mark.parametrize("n", [1, 2, 4, 16])
def test_best_of_n_has_the_chi2_of_its_formula(n: int):
    """In the limit of many equally likely rewards: ρ = k · ((i/k)ⁿ - ((i-1)/k)ⁿ)."""
    k = 200_000
    up_to = np.arange(1, k + 1) / k
    ratio = k * (up_to**n - (up_to - 1 / k) ** n)
    assert float((ratio**2).mean() - 1) == pytest.approx(divergence.chi2_best_of_n(n), abs=1e-6, rel=1e-6)


def test_nothing_to_estimate_from_is_an_error():
    with pytest.raises(ValueError, match="no completions"):
        divergence.chi2_of_policy([])
