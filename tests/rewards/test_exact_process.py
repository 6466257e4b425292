"""Processes of five states, whose solvers are held to sums, enumeration and general optimisers."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.linalg import null_space
from scipy.optimize import minimize

from candor.rewards import bound
from candor.rewards.exact import actions, occupancies
from candor.rewards.exact.process import Process, policy_of

STATES, ACTIONS = 5, 3


def process(seed: int = 0) -> Process:
    random = np.random.default_rng(seed)
    following = random.integers(STATES, size=(STATES, ACTIONS))
    following[:, 0] = (np.arange(STATES) + 1) % STATES  # so that every state is reached
    true, noise = random.normal(size=(2, STATES, ACTIONS))
    return Process(following, true, true + 0.7 * noise, discount=0.8, horizon=4)


def some_policy(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(100 + seed).dirichlet(np.full(ACTIONS, 2.0), size=STATES)


def standardised(measure: np.ndarray, reward: np.ndarray) -> np.ndarray:
    centred = reward - (measure * reward).sum()
    return centred / np.sqrt((measure * centred**2).sum())


def flow(made: Process) -> np.ndarray:
    """What an occupancy measure is multiplied by to give (1 - γ) in the first state and 0 in all others."""
    rows = np.zeros((STATES, STATES * ACTIONS))
    for place, (state, action) in enumerate(product(range(STATES), range(ACTIONS))):
        rows[state, place] += 1
        rows[made.next_SA[state, action], place] -= made.discount
    return rows


def best_measure(made: Process, start: np.ndarray, objective) -> float:
    """The largest objective(μ) over all occupancy measures, by a general optimiser."""
    rows, wanted = flow(made), (1 - made.discount) * np.eye(STATES)[0]
    best = -np.inf
    for seed in range(3):
        begin = start if seed == 0 else made.occupancy(some_policy(seed))
        found = minimize(
            lambda m: -objective(m),
            begin.ravel(),
            bounds=[(1e-12, None)] * begin.size,
            constraints={"type": "eq", "fun": lambda m: rows @ m - wanted, "jac": lambda m: rows},
            method="SLSQP",
            options={"maxiter": 1000, "ftol": 1e-14},
        )
        best = max(best, -float(found.fun))
    return best


def test_an_occupancy_measure_is_where_a_policy_is_with_discounted_steps():
    made, policy = process(), some_policy()
    state, expected = np.eye(STATES)[0], np.zeros((STATES, ACTIONS))
    for step in range(400):
        expected += 0.2 * 0.8**step * state[:, None] * policy
        state = np.bincount(made.next_SA.ravel(), (state[:, None] * policy).ravel(), STATES)
    found = made.occupancy(policy)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(flow(made) @ found.ravel(), 0.2 * np.eye(STATES)[0], atol=1e-12)
    np.testing.assert_allclose(made.lookahead.T @ found.ravel(), -0.2 * np.eye(STATES)[0], atol=1e-12)


def test_an_episodes_return_is_the_sum_over_all_that_may_be_done_in_it():
    made, policy, expected = process(), some_policy(), 0.0
    for chosen in product(range(ACTIONS), repeat=made.horizon):
        state, chance, earned = 0, 1.0, 0.0
        for action in chosen:
            chance *= policy[state, action]
            earned += made.true_SA[state, action]
            state = made.next_SA[state, action]
        expected += chance * earned
    assert made.episode(policy, made.true_SA) == pytest.approx(expected)


def test_values_fulfil_their_equation():
    made, policy = process(), some_policy()
    value = made.values(policy, made.true_SA)
    found = made.action_values(value, made.true_SA)
    np.testing.assert_allclose((policy * found).sum(axis=1), value)
    for state, action in product(range(STATES), range(ACTIONS)):
        expected = made.true_SA[state, action] + 0.8 * value[made.next_SA[state, action]]
        assert found[state, action] == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(4))
def test_the_best_policy_is_the_best_of_all_243(seed: int):
    made = process(seed)
    every = [np.eye(ACTIONS)[list(chosen)] for chosen in product(range(ACTIONS), repeat=STATES)]
    best = np.max([made.values(policy, made.true_SA) for policy in every], axis=0)
    found = made.best_policy(made.true_SA)
    assert set(found.ravel().tolist()) == {0.0, 1.0} and (found.sum(axis=1) == 1).all()
    np.testing.assert_allclose(made.values(found, made.true_SA), best)


def test_the_uniform_policy_picks_each_action_equally_often():
    np.testing.assert_allclose(process().uniform, np.full((STATES, ACTIONS), 1 / 3))


def test_a_policy_is_read_off_its_measure_and_is_the_fallback_where_that_is_0():
    measure = np.array([[0.1, 0.3], [0.0, 0.0]])
    np.testing.assert_allclose(
        policy_of(measure, np.array([[0.5, 0.5], [0.2, 0.8]])), [[0.25, 0.75], [0.2, 0.8]]
    )


def test_divergences_of_action_distributions_by_hand():
    reference = np.array([[0.25, 0.25, 0.5], [0.2, 0.2, 0.6]])
    policy = np.array([[1.0, 0.0, 0.0], [0.2, 0.2, 0.6]])
    np.testing.assert_allclose(actions.chi2_of(policy, reference), [3, 0], atol=1e-15)
    np.testing.assert_allclose(actions.kl_of(policy, reference), [np.log(4), 0], atol=1e-15)


@pytest.mark.parametrize("strength", [0.1, 0.5, 3.0])
def test_the_best_response_is_the_best_of_its_state(strength: float):
    random = np.random.default_rng(3)
    reference, found = some_policy(), random.normal(size=(STATES, ACTIONS))

    def by_kl(p, q):
        return (p * np.log(np.maximum(p, 1e-300) / q)).sum()

    def by_chi2(p, q):
        return ((p - q) ** 2 / q).sum() / 2

    for respond, measure in ((actions.kl_best_response, by_kl), (actions.chi2_best_response, by_chi2)):
        response = respond(reference, found, strength)
        np.testing.assert_allclose(response.sum(axis=1), 1)
        for state in range(STATES):

            def objective(p, state=state, measure=measure):
                return p @ found[state] - strength * measure(p, reference[state])

            general = minimize(
                lambda p: -objective(p),
                reference[state],
                bounds=[(0, 1)] * ACTIONS,
                constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
                method="SLSQP",
                options={"ftol": 1e-14},
            )
            assert objective(response[state]) >= -general.fun - 1e-8


@pytest.mark.parametrize(("kind", "factor"), [("kl", 1.0), ("chi2", 0.5)])
def test_penalties_on_actions_are_paid_in_every_state_that_is_visited(kind: str, factor: float):
    made, reference, strength = process(1), some_policy(1), 0.4
    solved = actions.action_penalised(made, reference, made.proxy_SA, kind, strength)
    np.testing.assert_allclose(solved.occupancy_SA, made.occupancy(solved.policy_SA))

    def each(policy):
        ratio = policy / reference
        terms = ratio * np.log(np.maximum(ratio, 1e-300)) if kind == "kl" else ratio**2 - 1
        return (reference * terms).sum(axis=1)

    expected = float(solved.occupancy_SA.sum(axis=1) @ each(solved.policy_SA))
    assert solved.divergence == pytest.approx(expected) and solved.residual < 1e-9

    def objective(flat):
        policy = np.exp(flat.reshape(STATES, ACTIONS))
        policy /= policy.sum(axis=1, keepdims=True)
        occupancy = made.occupancy(policy)
        paid = factor * strength * float(occupancy.sum(axis=1) @ each(policy))
        return float((occupancy * made.proxy_SA).sum()) - paid

    mine = objective(np.log(np.maximum(solved.policy_SA, 1e-12)).ravel())
    general = minimize(lambda flat: -objective(flat), np.log(reference).ravel(), method="BFGS")
    assert mine >= -general.fun - 1e-7


def test_the_root_of_action_chi2_has_its_own_condition_and_a_limit_from_which_nothing_moves():
    made, reference = process(2), some_policy(2)
    # c · sqrt(E[χ²]) rises with the penalty to what nearly no change has.
    limit = 1e4 * np.sqrt(actions.action_penalised(made, reference, made.proxy_SA, "chi2", 1e4).divergence)
    weight = 0.8 * limit
    solved = actions.action_chi2_optimum(made, reference, made.proxy_SA, weight)
    again = [
        actions.action_penalised(
            made, reference, made.proxy_SA, "chi2", weight / np.sqrt(solved.divergence) * factor
        )
        for factor in (1.0, 0.8, 1.25)
    ]
    np.testing.assert_allclose(solved.policy_SA, again[0].policy_SA, atol=1e-5)

    assert solved.divergence > 0.01, "or nothing is weighed"

    def objective(one: actions.ActionSolution) -> float:
        return float((one.occupancy_SA * made.proxy_SA).sum()) - weight * np.sqrt(one.divergence)

    assert objective(solved) > max(objective(one) for one in again[1:])
    far = actions.action_chi2_optimum(made, reference, made.proxy_SA, 1.5 * limit)
    np.testing.assert_allclose(far.policy_SA, reference, atol=1e-3)


@pytest.mark.parametrize("strength", [0.2, 1.0])
@pytest.mark.parametrize("kind", ["chi2", "kl"])
def test_penalised_measures_are_the_best_of_all(kind: str, strength: float):
    made = process(1)
    reference = made.occupancy(some_policy(1))
    divergence = occupancies.Chi2() if kind == "chi2" else occupancies.Kl()

    def objective(measure):
        ratio = np.maximum(measure.reshape(reference.shape), 1e-300) / reference
        f = (ratio**2 - 1) / 2 if kind == "chi2" else ratio * np.log(ratio)
        return float((ratio * reference * made.proxy_SA).sum() - strength * (reference * f).sum())

    solved = occupancies.penalised(made, reference, made.proxy_SA, divergence, strength)
    assert solved.strength == strength and 0 <= solved.gap < 1e-9
    np.testing.assert_allclose(made.occupancy(solved.policy_SA), solved.occupancy_SA)
    general = best_measure(made, reference, objective)
    assert objective(solved.occupancy_SA) == pytest.approx(general, abs=2e-6)


def test_conjugates_are_what_they_say():
    """f*(x) is the largest L x - f(L), at L = f*'(x), and its slope is f*''."""
    ratios = np.linspace(1e-9, 12, 200_001)
    for one in (occupancies.Chi2(), occupancies.Kl()):
        for x in (-0.7, 0.3, 1.0, 2.5):
            values = ratios * x - one.penalty(ratios)
            at, step = np.array([x]), 1e-5
            assert one.conjugate(at)[0] == pytest.approx(values.max(), abs=1e-6)
            assert one.ratio(at)[0] == pytest.approx(ratios[values.argmax()], abs=1e-3)
            slope = (one.ratio(at + step) - one.ratio(at - step)) / (2 * step)
            assert one.slope(at)[0] == pytest.approx(slope[0], abs=1e-6)
    assert occupancies.Kl().penalty(np.array([0.0, 1.0])).tolist() == [0, 0]
    assert np.isfinite(occupancies.Kl().conjugate(np.array([5e3]))).all()


def test_the_frontier_goes_from_strong_to_weak_and_gains_more_for_more_distance():
    made = process(1)
    reference = made.occupancy(some_policy(1))
    delta = standardised(reference, made.proxy_SA)
    found = occupancies.frontier(made, reference, delta, occupancies.Chi2(), np.array([0.3, 3.0, 1.0]))
    assert [one.strength for one in found] == [3.0, 1.0, 0.3]
    gains = [float((one.occupancy_SA * delta).sum()) for one in found]
    distances = [float((reference * (one.occupancy_SA / reference - 1) ** 2).sum()) for one in found]
    assert 0 < gains[0] < gains[1] < gains[2] and 0 < distances[0] < distances[1] < distances[2]


@pytest.mark.parametrize("seed", range(3))
def test_no_small_move_of_a_measure_is_more_along_the_proxy_than_the_largest_kappa(seed: int):
    made = process(seed)
    reference = made.occupancy(some_policy(seed))
    delta = standardised(reference, made.proxy_SA)
    # Moves L - 1, times the measure's root so that lengths are plain ones, which keep the flow.
    root = np.sqrt(reference.ravel())
    moves = null_space(flow(made) * root)
    expected = float(np.linalg.norm(moves.T @ (root * delta.ravel())))
    assert occupancies.largest_kappa(made, reference, delta) == pytest.approx(expected)
    assert 0 < expected < 1


def test_optima_of_the_root_and_of_max_min_are_the_best_of_all():
    made = process(1)
    reference = made.occupancy(some_policy(1))
    delta = standardised(reference, made.proxy_SA)
    limit = occupancies.largest_kappa(made, reference, delta)
    w = 0.5 * limit
    r = float(np.sqrt(1 - w**2))

    def parts(measure):
        measure = measure.reshape(reference.shape)
        chi2 = float((reference * (measure / reference - 1) ** 2).sum())
        return float((measure * delta).sum()), chi2

    def root(measure):
        gain, chi2 = parts(measure)
        return gain - w * np.sqrt(max(chi2, 1e-16))

    def worst(measure):
        gain, chi2 = parts(measure)
        return float(bound.max_min_bound(gain, max(chi2, gain**2 + 1e-14), r))

    solved = occupancies.chi2_optimum(made, reference, delta, w)
    start = solved.occupancy_SA * 0.5 + reference * 0.5
    assert root(solved.occupancy_SA) > 0
    assert root(solved.occupancy_SA) == pytest.approx(best_measure(made, start, root), abs=2e-6)
    solved = occupancies.max_min_optimum(made, reference, delta, r)
    assert worst(solved.occupancy_SA) > 0
    assert worst(solved.occupancy_SA) == pytest.approx(best_measure(made, start, worst), abs=2e-6)
    stays = occupancies.chi2_optimum(made, reference, delta, limit * 1.001)
    assert (stays.strength, stays.gap) == (np.inf, 0.0)
    np.testing.assert_allclose(stays.policy_SA, some_policy(1), atol=1e-9)
    np.testing.assert_array_equal(stays.occupancy_SA, reference)


def test_the_gap_is_never_less_than_what_an_unfinished_solution_lacks(monkeypatch):
    made = process(1)
    reference = made.occupancy(some_policy(1))

    def objective(occupancy: np.ndarray) -> float:
        penalty = 0.2 * float((reference * ((occupancy / reference) ** 2 - 1) / 2).sum())
        return float((occupancy * made.proxy_SA).sum()) - penalty

    best = occupancies.penalised(made, reference, made.proxy_SA, occupancies.Chi2(), 0.2)
    monkeypatch.setattr(occupancies, "_STEPS", 1)
    early = occupancies.penalised(made, reference, made.proxy_SA, occupancies.Chi2(), 0.2)
    lacks = objective(best.occupancy_SA) - objective(early.occupancy_SA)
    assert 1e-6 < lacks <= early.gap
