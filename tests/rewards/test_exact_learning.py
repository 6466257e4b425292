"""What each arm of the enumerable laboratory follows, on draws that are in exact proportion."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy.special import log_softmax

from candor.rewards.exact import learning, sequences
from candor.rewards.exact.setting import Setting

DRAWS, ARMS = 400, 7


class Drawn:
    """Arms of which the policy and the reference are drawn so often as they are likely: no noise is left."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        counts = [random.multinomial(DRAWS - ARMS, np.ones(ARMS) / ARMS) + 1 for _ in range(2)]
        self.reference, self.policy = (count / DRAWS for count in counts)
        true = random.normal(size=ARMS)
        self.setting = Setting.of(self.reference, true + 0.5 * random.normal(size=ARMS), true)
        self.arms, stored = (np.repeat(np.arange(ARMS), count) for count in counts[::-1])
        logs = np.log(self.policy / self.reference)
        proxy = self.setting.proxy_N[self.arms]
        self.batch = learning.Batch(proxy, logs[self.arms][:, None], logs[stored], self.setting)

    def gradient(self, weights: np.ndarray) -> np.ndarray:
        return ((np.eye(ARMS)[self.arms] - self.policy) * weights).mean(axis=0)

    def slope(self, objective) -> np.ndarray:
        """Central differences in the policy's logits."""
        logits, steps = np.log(self.policy), 1e-5 * np.eye(ARMS)
        rise = [
            objective(np.exp(log_softmax(logits + s))) - objective(np.exp(log_softmax(logits - s)))
            for s in steps
        ]
        return np.array(rise) / 2e-5

    def chi2(self, policy: np.ndarray) -> float:
        return float(((policy - self.reference) ** 2 / self.reference).sum())


@pytest.mark.parametrize("seed", range(3))
def test_arms_follow_the_gradient_of_their_objective(seed: int) -> None:
    made = Drawn(seed)
    setting, proxy = made.setting, made.setting.proxy_N
    sd, r, beta = setting.sd_proxy, setting.r, 0.6
    weight = sd * np.sqrt(1 - r**2)

    def max_min(policy: np.ndarray) -> float:
        gain = policy @ setting.delta
        return float(sd * (gain - np.sqrt(1 - r**2) / r * np.sqrt(made.chi2(policy) - gain**2)))

    objectives = {
        learning.ARMS["none"]: lambda p: p @ proxy,
        learning.ARMS["chi2"]: lambda p: p @ proxy - weight * np.sqrt(made.chi2(p)),
        learning.ARMS["max-min"]: max_min,
        # Of one token there is no other sum over tokens.
        learning.ARMS["chi2 by token"]: lambda p: p @ proxy - weight * np.sqrt(made.chi2(p)),
        partial(learning.KL_ARMS["kl, k1 in reward"], beta=beta): lambda p: (
            p @ proxy - beta * (p @ np.log(p / made.reference))
        ),
        partial(learning.KL_ARMS["kl, k3 in loss"], beta=beta): lambda p: (
            p @ proxy - beta * (made.reference @ np.log(made.reference / p))
        ),
    }
    for arm, objective in objectives.items():
        np.testing.assert_allclose(made.gradient(arm(made.batch)), made.slope(objective), atol=1e-7)
    # The estimate in the loss follows half of the penalty, and KL(π₀‖π) over it.
    root = np.sqrt(made.chi2(made.policy))
    followed = made.slope(lambda p: p @ proxy) - weight / (2 * root) * made.slope(
        lambda p: made.chi2(p) / 2 + made.reference @ np.log(made.reference / p)
    )
    np.testing.assert_allclose(
        made.gradient(learning.ARMS["chi2 in the loss"](made.batch)), followed, atol=1e-7
    )


def test_near_the_reference_a_small_chi2_does_not_blow_up() -> None:
    made = Drawn(0)
    still = learning.Batch(made.batch.proxy_N, np.zeros((DRAWS, 1)), np.zeros(5), made.setting)
    assert still.chi2 == 1e-3
    for arm in learning.ARMS.values():
        assert np.isfinite(arm(still)).all()
    expected = made.batch.proxy_N - made.batch.proxy_N.mean()
    np.testing.assert_allclose(learning.ARMS["chi2"](still)[:, 0], expected)


def test_tokens_have_ratios_of_their_own_and_a_completion_their_product() -> None:
    made = Drawn(0)
    logs = np.log(np.array([[2.0, 0.5, 1.5], [1.0, 3.0, 0.25]]))
    batch = learning.Batch(np.array([1.0, 3.0]), logs, np.array([0.0, 0.5]), made.setting)
    np.testing.assert_allclose(batch.ratio, [1.5, 0.75])
    k3 = learning.KL_ARMS["kl, k3 in loss"](batch, beta=0.5)
    np.testing.assert_allclose(k3, np.array([[-1.0], [1.0]]) - 0.5 * (1 - np.exp(-logs)))
    sums = np.exp(logs).sum(axis=1)
    shaped = batch.proxy_N - made.setting.weight_of_theory / np.sqrt((1.0 + 1.25) / 2) * sums
    found = learning.ARMS["chi2 by token"](batch)[:, 0]
    np.testing.assert_allclose(found, shaped - shaped.mean())


def test_a_first_step_is_the_rate_along_the_gradients_signs() -> None:
    """Adam's averages of one gradient, made unbiased, are that gradient and its square."""
    reference = sequences.reference_logits()
    learned = learning.learn(reference, learning.ARMS["none"], steps=1, samples=64, seed=0)
    moved = learned.logits - reference
    np.testing.assert_allclose(np.abs(moved[np.abs(moved) > 1e-4]), 0.05, rtol=1e-3)
    assert [row["step"] for row in learned.history] == [0]
    assert learned.history[0]["chi2"] == pytest.approx(0, abs=1e-12)


def test_history_is_kept_every_ten_steps_and_of_the_last() -> None:
    reference = sequences.reference_logits()
    learned = learning.learn(reference, learning.ARMS["chi2"], steps=20, samples=32, seed=0)
    assert [row["step"] for row in learned.history] == [0, 10, 20]
    setting = sequences.enumerated_setting(reference)
    ratio = np.exp(sequences.logprobs(learned.logits)) / setting.weight_N
    assert learned.history[-1]["true"] == pytest.approx(setting.standing(ratio).true)
