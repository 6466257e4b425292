"""Choosing among completions: against drawing and choosing, against formulas, and what r allows."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from candor.rewards.rlhf.selection import best_of_weights, choose_n, pessimistic_weights

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_the_weights_are_the_chances_over_all_choices(n: int):
    rewards = np.array([[3.0, 1.0, 2.0, 2.0, 0.0, 5.0], [1.0] * 6])
    expected = np.zeros_like(rewards)
    for row, chances in zip(rewards, expected, strict=True):
        for some in combinations(range(6), n):
            best = max(row[list(some)])
            tied = [i for i in some if row[i] == best]
            for i in tied:
                chances[i] += 1 / len(tied)
    expected /= expected.sum(axis=1, keepdims=True)
    # Equal rewards share between all that have them, not only those drawn together.
    expected[0, [2, 3]] = expected[0, [2, 3]].mean()
    np.testing.assert_allclose(best_of_weights(rewards, n), expected, atol=1e-12)
    with pytest.raises(ValueError, match="best of 7"):
        best_of_weights(rewards, 7)


@pytest.mark.parametrize("n", [2, 5, 16])
def test_chi2_and_kl_of_the_best_are_those_of_the_weights(n: int):
    found = choose_n(RANDOM.normal(size=(40, 16)), 1.0)
    assert found.n == 16  # a perfect reward is to be followed all the way
    weights = 4000 * best_of_weights(RANDOM.normal(size=(1, 4000)), n)[0]
    assert (weights**2).mean() - 1 == pytest.approx(
        (n - 1) ** 2 / (2 * n - 1), rel=4e-3
    )  # of 4,000, not of all
    kl = np.log(n) - (n - 1) / n
    assert (weights * np.log(np.maximum(weights, 1e-300))).mean() == pytest.approx(kl, rel=5e-3)


def test_less_correlation_means_fewer_to_choose_from():
    rewards = RANDOM.normal(size=(500, 32))
    chosen = [choose_n(rewards, r) for r in (0.3, 0.6, 0.8, 0.95, 1.0)]
    assert [one.n for one in chosen] == sorted(one.n for one in chosen)
    assert chosen[0].n < chosen[-2].n and chosen[-1].n == 32
    assert all(one.bound >= 0 for one in chosen)
    assert choose_n(rewards, 0.0).n == choose_n(rewards, -0.5).n == 1


def test_pessimism_beats_the_best_of_n_by_its_own_measure():
    rewards = RANDOM.normal(size=(60, 24))
    weight = 0.6 * rewards.std(axis=1).mean()

    def objective(weights: np.ndarray) -> float:
        ratio = weights * rewards.shape[1]
        return float((weights * rewards).sum(axis=1).mean() - weight * np.sqrt((ratio**2).mean() - 1))

    found = pessimistic_weights(rewards, weight)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found >= 0).all() and (found == 0).any()
    best = max(objective(best_of_weights(rewards, n)) for n in range(2, 25))
    assert objective(found) > best > 0


def test_what_is_not_trusted_is_not_followed():
    rewards = RANDOM.normal(size=(20, 8))
    np.testing.assert_allclose(pessimistic_weights(rewards, 10.0), 1 / 8)
    np.testing.assert_allclose(pessimistic_weights(np.ones((3, 4)), 0.1), 1 / 4)


def test_few_completions_promise_what_many_do():
    """The largest of three normal rewards is .846 deviations above the mean, however few are looked at."""
    found = choose_n(np.random.default_rng(3).normal(size=(20_000, 3)), 1.0)
    assert found.n == 3
    assert found.gain == pytest.approx(0.8463, abs=0.015)
    assert found.gain < np.sqrt(found.chi2)  # Cauchy–Schwarz


def test_what_is_promised_of_two_completions_by_hand():
    """Prompts on different levels: deviations, and so gains and bounds, are within prompts."""
    rewards = np.array([[0.0, 2.0], [100.0, 102.0], [7.0, 7.0]])
    found = choose_n(rewards, 0.9)
    sd = np.sqrt(4 / 3)  # ±1 in two prompts of three, one degree of freedom in each
    assert (found.n, found.gain) == (2, pytest.approx(2 / 3 / sd))
    assert (found.chi2, found.kl) == (pytest.approx(1 / 3), pytest.approx(np.log(2) - 1 / 2))
    assert found.bound == pytest.approx(0.9 * found.gain)  # gain² is χ²
    one = choose_n(rewards, 0.0)
    assert (one.n, one.gain, one.chi2, one.kl, one.bound) == (1, 0, 0, 0, 0)
    assert choose_n(rewards, 1.5) == choose_n(rewards, 1.0)


def test_the_bound_of_the_chosen_n_is_the_largest_of_all():
    rewards = RANDOM.normal(size=(300, 12)) + 5 * RANDOM.normal(size=(300, 1))
    centred = rewards - rewards.mean(axis=1, keepdims=True)
    sd, r = np.sqrt(rewards.var(axis=1, ddof=1).mean()), 0.75
    bounds = []
    for n in range(1, 13):
        gain = (best_of_weights(rewards, n) * centred).sum(axis=1).mean() / sd
        chi2 = (n - 1) ** 2 / (2 * n - 1)
        bounds.append(r * gain - np.sqrt((1 - r**2) * max(chi2 - gain**2, 0)))
    found = choose_n(rewards, r)
    assert 1 < found.n < 12 and found.n == 1 + int(np.argmax(bounds))
    assert found.bound == pytest.approx(max(bounds))


def test_rewards_that_never_vary_choose_nothing():
    assert choose_n(np.ones((3, 4)) * [[1.0], [2.0], [3.0]], 0.9).n == 1


def test_the_best_of_as_many_as_there_are_is_the_best_and_of_none_is_an_error():
    np.testing.assert_array_equal(best_of_weights(np.array([[3.0, 1.0, 2.0]]), 3), [[1, 0, 0]])
    for n in (0, 4):
        with pytest.raises(ValueError, match=f"best of {n} needs as many"):
            best_of_weights(np.array([[3.0, 1.0, 2.0]]), n)


def test_pessimism_is_in_the_units_of_the_reward_and_the_same_in_each_prompt():
    rewards = RANDOM.normal(size=(5, 8))
    found = pessimistic_weights(rewards, 0.4)
    np.testing.assert_allclose(pessimistic_weights(10 * rewards + 3, 4.0), found, atol=1e-9)
    moved = rewards + np.arange(5)[:, None]  # a prompt's level is nothing that can be chosen
    np.testing.assert_allclose(pessimistic_weights(moved, 0.4), found, atol=1e-9)
    # (reward - ν)₊ over their sum: in proportion to how far above a prompt's ν each is.
    for row, weights in zip(rewards, found, strict=True):
        on = weights > 1e-9
        slopes = np.diff(weights[on][np.argsort(row[on])]) / np.diff(np.sort(row[on]))
        np.testing.assert_allclose(slopes, slopes[0] if len(slopes) else 0, rtol=1e-6)
    one_flat = np.vstack([rewards, np.ones(8)])
    np.testing.assert_allclose(pessimistic_weights(one_flat, 0.4)[-1], 1 / 8)
