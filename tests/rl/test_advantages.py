"""Advantages by hand."""

from __future__ import annotations

import numpy as np
import pytest

from candor.core.errors import InputError
from candor.rl.advantages import advantages, without_variance

REWARDS = np.array([[1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 2.0]])


def test_grpo_takes_the_prompts_mean_away_and_no_more():
    expected = [[0.5, -0.5, -0.5, 0.5], [0, 0, 0, 0], [-0.5, -0.5, -0.5, 1.5]]
    np.testing.assert_array_equal(advantages("grpo", REWARDS), expected)


def test_grpo_with_std_divides_by_the_prompts_deviation_where_there_is_one():
    expected = [[1, -1, -1, 1], [0, 0, 0, 0], np.array([-0.5, -0.5, -0.5, 1.5]) / np.sqrt(0.75)]
    np.testing.assert_allclose(advantages("grpo", REWARDS, std=True), np.array(expected))


def test_rloo_compares_with_the_others():
    expected = [[2 / 3, -2 / 3, -2 / 3, 2 / 3], [0, 0, 0, 0], [-2 / 3, -2 / 3, -2 / 3, 2.0]]
    np.testing.assert_allclose(advantages("rloo", REWARDS), expected, atol=1e-15)
    np.testing.assert_allclose(advantages("rloo", REWARDS), advantages("grpo", REWARDS) * 4 / 3)
    assert not advantages("rloo", REWARDS[:, :1]).any(), "one sample has no others"
    np.testing.assert_allclose(advantages("rloo", REWARDS[:, :2]), [[1, -1], [0, 0], [0, 0]])
    with_std = advantages("rloo", REWARDS, std=True)
    np.testing.assert_allclose(with_std, advantages("grpo", REWARDS, std=True) * 4 / 3)


def test_reinforce_plus_plus_compares_with_the_batch():
    mean, deviation = REWARDS.mean(), REWARDS.std()
    np.testing.assert_allclose(advantages("reinforce++", REWARDS), (REWARDS - mean) / deviation)
    np.testing.assert_allclose(advantages("reinforce++", REWARDS, std=False), REWARDS - mean)
    assert not advantages("reinforce++", np.ones((2, 3))).any()


def test_prompts_without_variance_are_counted():
    assert without_variance(REWARDS) == pytest.approx(1 / 3)


def test_an_unknown_method_is_named():
    with pytest.raises(InputError, match="grpo, rloo, reinforce"):
        advantages("ppo", REWARDS)
