"""The tomato garden: exact occupancy measures, optima with a certificate, and what the theory's λ does."""

from __future__ import annotations

import numpy as np
import pytest

from candor.core.errors import CandorError
from candor.rewards import bound
from candor.rewards.exact import actions, occupancies, tomato
from candor.rewards.exact.process import Process, policy_of
from candor.rewards.exact.tomato_methods import Lab


@pytest.fixture(scope="module")
def lab() -> Lab:
    return Lab.of()


def some_policy(process: Process, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(process.next_SA.shape[1]), size=process.states)


def gain_and_chi2(lab: Lab, occupancy_SA: np.ndarray) -> tuple[float, float]:
    chi2 = float((lab.measure * (occupancy_SA / lab.measure - 1) ** 2).sum())
    return float((occupancy_SA * lab.deltas).sum()), chi2


def test_the_garden_is_the_published_one_and_its_best_return_is_near_the_published():
    garden = tomato.tomato_garden()
    assert sum(row.count("t") for row in tomato.GARDEN) == 9
    assert sum(len(row) - row.count("#") for row in tomato.GARDEN) == 26  # 26 · 2⁹ = 13,312 states
    process = garden.process
    assert process.states == 463  # that can be reached: distant tomatoes are dry
    best = process.episode(process.best_policy(process.true_SA), process.true_SA)
    assert 9.1 < best < 10  # 9.1 is the best that was published


def test_rewards_differ_on_the_bucket_only():
    garden = tomato.tomato_garden()
    process = garden.process
    lands = np.array([cell == garden.bucket for cell in garden.cells])[process.next_SA]
    np.testing.assert_array_equal(process.proxy_SA[~lands], process.true_SA[~lands])
    np.testing.assert_allclose(process.proxy_SA[lands], 26 * 0.02)


def test_the_reference_has_the_published_return(lab: Lab):
    assert lab.process.episode(lab.reference_SA, lab.process.true_SA) == pytest.approx(5.96, abs=1e-6)
    assert lab.reference_SA.min() > 0.1  # it still does everything, so χ² is finite


def test_occupancy_is_the_discounted_sum_of_where_a_policy_is(lab: Lab):
    process, policy_SA = lab.process, some_policy(lab.process)
    state_S, total_SA = np.eye(process.states)[0], np.zeros(process.next_SA.shape)
    for step in range(3_000):
        mass_SA = state_S[:, None] * policy_SA
        total_SA += (1 - process.discount) * process.discount**step * mass_SA
        state_S = np.bincount(process.next_SA.ravel(), mass_SA.ravel(), process.states)
    occupancy_SA = process.occupancy(policy_SA)
    np.testing.assert_allclose(occupancy_SA, total_SA, atol=1e-12)
    value = (1 - process.discount) * process.values(policy_SA, process.true_SA)[0]
    assert float((occupancy_SA * process.true_SA).sum()) == pytest.approx(value)
    np.testing.assert_allclose(policy_of(occupancy_SA, policy_SA), policy_SA, atol=1e-9)


@pytest.mark.parametrize("divergence", [occupancies.Chi2(), occupancies.Kl()], ids=["chi2", "kl"])
def test_penalised_optima_have_no_duality_gap_and_beat_other_policies(lab: Lab, divergence):
    for solution in occupancies.frontier(
        lab.process, lab.measure, lab.deltas, divergence, np.geomspace(5, 0.05, 8)
    ):
        assert solution.gap < 1e-9

        def objective(occupancy_SA: np.ndarray, c: float = solution.strength) -> float:
            ratio = occupancy_SA / lab.measure
            return float(
                (occupancy_SA * lab.deltas).sum() - c * (lab.measure * divergence.penalty(ratio)).sum()
            )

        best = objective(solution.occupancy_SA)
        for seed in range(3):
            mixed = 0.9 * solution.policy_SA + 0.1 * some_policy(lab.process, seed)
            assert objective(lab.process.occupancy(mixed)) < best


def test_the_optimum_at_the_theorys_weight_satisfies_its_equation_and_improves_the_true_reward(lab: Lab):
    w = float(bound.needed_kappa(lab.setting.r))
    solution = occupancies.chi2_optimum(lab.process, lab.measure, lab.deltas, w)
    gain, chi2 = gain_and_chi2(lab, solution.occupancy_SA)
    assert solution.strength * np.sqrt(chi2) == pytest.approx(w, rel=1e-6)
    assert gain - w * np.sqrt(chi2) > 0
    found = lab.row(solution.policy_SA)
    assert found["certified"] and 7.0 < found["true_return"] < 7.5
    assert found["true_gain"] >= found["max_min"] >= found["theorem"] > 0
    # Weaker and stronger penalties of the family have a smaller objective.
    for other in occupancies.frontier(
        lab.process, lab.measure, lab.deltas, occupancies.Chi2(), solution.strength * np.array([0.8, 1.25])
    ):
        other_gain, other_chi2 = gain_and_chi2(lab, other.occupancy_SA)
        assert other_gain - w * np.sqrt(other_chi2) < gain - w * np.sqrt(chi2)


def test_the_max_min_optimum_has_the_largest_bound_of_the_family(lab: Lab):
    r = lab.setting.r
    solution = occupancies.max_min_optimum(lab.process, lab.measure, lab.deltas, r)
    best = bound.max_min_bound(*gain_and_chi2(lab, solution.occupancy_SA), r)
    strengths = solution.strength * np.geomspace(0.3, 3, 7)
    for other in occupancies.frontier(lab.process, lab.measure, lab.deltas, occupancies.Chi2(), strengths):
        assert bound.max_min_bound(*gain_and_chi2(lab, other.occupancy_SA), r) <= best + 1e-9
    # Nor does any policy near it have a larger one.
    for seed in range(5):
        mixed = 0.99 * solution.policy_SA + 0.01 * some_policy(lab.process, seed)
        assert bound.max_min_bound(*gain_and_chi2(lab, lab.process.occupancy(mixed)), r) < best


def test_no_policy_has_more_than_the_largest_kappa(lab: Lab):
    largest = occupancies.largest_kappa(lab.process, lab.measure, lab.deltas)
    assert float(bound.needed_kappa(lab.setting.r)) < largest < 1
    nearest = occupancies.penalised(lab.process, lab.measure, lab.deltas, occupancies.Chi2(), 100.0)
    assert bound.kappa(*gain_and_chi2(lab, nearest.occupancy_SA)) == pytest.approx(largest, rel=1e-4)
    for seed in range(20):
        mixed = 0.95 * lab.reference_SA + 0.05 * some_policy(lab.process, seed)
        assert bound.kappa(*gain_and_chi2(lab, lab.process.occupancy(mixed))) <= largest


def test_a_weight_above_what_any_direction_earns_leaves_the_reference(lab: Lab):
    solution = occupancies.chi2_optimum(lab.process, lab.measure, lab.deltas, 0.99)
    np.testing.assert_allclose(solution.policy_SA, lab.reference_SA, atol=1e-12)


def test_without_a_penalty_and_with_one_on_actions_the_robot_sits_on_the_bucket(lab: Lab):
    process, setting = lab.process, lab.setting
    none = lab.row(process.best_policy(process.proxy_SA))
    action = lab.row(
        actions.action_chi2_optimum(
            process, lab.reference_SA, process.proxy_SA, setting.weight_of_theory
        ).policy_SA
    )
    for found in (none, action):
        assert found["hacked"] and found["on_bucket"] > 0.8 and not found["certified"]
        assert found["true_return"] < 3 < 40 < found["proxy_return"]


@pytest.mark.parametrize("divergence", ["kl", "chi2"])
def test_action_penalties_are_solved_to_their_bellman_equation(lab: Lab, divergence: str):
    process = lab.process
    for strength in (0.5, 0.05):
        solved = actions.action_penalised(process, lab.reference_SA, process.proxy_SA, divergence, strength)
        assert solved.residual < 1e-10
        measure, factor = (actions.kl_of, 1.0) if divergence == "kl" else (actions.chi2_of, 0.5)

        def objective(policy_SA, measure=measure, factor=factor, strength=strength) -> float:
            paid = factor * strength * measure(policy_SA, lab.reference_SA)[:, None]
            return float((process.occupancy(policy_SA) * (process.proxy_SA - paid)).sum())

        best = objective(solved.policy_SA)
        for seed in range(3):
            assert objective(0.9 * solved.policy_SA + 0.1 * some_policy(process, seed)) < best


def test_kl_of_occupancies_has_a_best_weight_that_theory_did_not_give_and_earns_less(lab: Lab):
    kl = max(row["true_return"] for row in lab.sweep("kl", points=20))
    assert 5.96 < kl < 6.4
    action = max(row["true_return"] for row in lab.sweep("action kl", points=12))
    assert action < kl


def test_other_references_are_solved_too_and_a_proxy_without_fault_is_told():
    for true_return in (5.6, 8.5):
        found = Lab.of(true_return)
        assert all(row["gap"] < 1e-9 for row in found.theory().values())
    with pytest.raises(CandorError, match="too small to solve for"):
        Lab.of(9.3).theory()
