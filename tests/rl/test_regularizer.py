"""The estimators of KL by hand, and in the mean over many draws."""

from __future__ import annotations

import numpy as np
import pytest

from candor.rl.regularizer import KlPenalty, divergence


def test_a_completions_penalty_is_the_sum_over_its_own_tokens():
    policy = np.log([[0.5, 0.2, 0.9], [0.4, 0.1, 1.0]])
    reference = np.log([[0.25, 0.4, 0.1], [0.4, 0.2, 1.0]])
    own = np.array([[True, True, False], [True, True, False]])
    expected = [np.log(2) + np.log(0.5), np.log(0.5)]
    np.testing.assert_allclose(KlPenalty(0.3).penalty(policy, reference, own), 0.3 * np.array(expected))
    k3 = [(0.5 - 1 - np.log(0.5)) + (2 - 1 - np.log(2)), 2 - 1 - np.log(2)]
    np.testing.assert_allclose(KlPenalty(1.0, "k3").penalty(policy, reference, own), k3)


def test_both_estimators_have_the_divergence_as_their_mean_and_k3_varies_less():
    random = np.random.default_rng(0)
    policy, reference = np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.3, 0.3])
    exact = float((policy * np.log(policy / reference)).sum())
    drawn = random.choice(3, size=(200_000, 1), p=policy)
    own = np.ones(drawn.shape, np.bool_)
    k1, k3 = (divergence(np.log(policy)[drawn], np.log(reference)[drawn], own, name) for name in ("k1", "k3"))
    assert k1.mean() == pytest.approx(exact, abs=2e-3) and k3.mean() == pytest.approx(exact, abs=2e-4)
    assert k3.std() < k1.std() / 3 and k3.min() >= 0
