"""What each regulariser takes off, by hand, and the objective whose gradient that is, by enumeration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import softmax

from candor.core.errors import InputError
from candor.rl.regularizer import (
    ChiSquare,
    KlLoss,
    KlPenalty,
    MaxMin,
    ProxyFacts,
    RegularizerSettings,
    Seen,
    regularizer_of,
)

POLICY = np.log([[0.5, 0.2, 0.9], [0.4, 0.1, 1.0]])
REFERENCE = np.log([[0.25, 0.4, 0.1], [0.4, 0.2, 1.0]])
OWN = np.array([[True, True, False], [True, True, False]])


def test_kl_takes_the_log_ratio_of_a_completions_own_tokens_off_its_reward():
    seen = Seen(np.array([[1.0, 2.0]]), POLICY, REFERENCE, OWN)
    ratios = [np.log(2) + np.log(0.5), np.log(0.5)]
    np.testing.assert_allclose(KlPenalty(0.3).shaped(seen).rewards_PS, [[1, 2] - 0.3 * np.array(ratios)])


def test_kl_in_the_loss_leaves_rewards_and_pulls_at_each_own_token():
    shaped = KlLoss(0.3).shaped(Seen(np.array([[1.0, 2.0]]), POLICY, REFERENCE, OWN))
    np.testing.assert_allclose(shaped.rewards_PS, [[1, 2]])
    np.testing.assert_allclose(shaped.per_token_NT, 0.3 * np.array([[0.5 - 1, 2 - 1, 0], [0, 2 - 1, 0]]))


def test_nothing_is_taken_where_the_policy_is_the_reference():
    seen = Seen(np.array([[1.0, 2.0]]), POLICY, POLICY, OWN, np.zeros(4))
    for one in (KlPenalty(1), KlLoss(1), ChiSquare(1), MaxMin(0.5, 0, 1)):
        shaped = one.shaped(seen)
        np.testing.assert_allclose(shaped.rewards_PS, [[1, 2]])
        assert shaped.per_token_NT is None or not shaped.per_token_NT.any()


class Bandit:
    """Seven arms as one-token completions, each "drawn" in exact proportion: expectations without noise.

    Probabilities are multiples of 1/400, so that 400 draws are the distribution itself.
    """

    draws = 400

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.reference, self.policy = (
            random.multinomial(self.draws - 7, np.ones(7) / 7) + 1 for _ in range(2)
        )
        self.proxy = random.normal(size=7)

    def seen(self) -> Seen:
        arms, others = (np.repeat(np.arange(7), counts) for counts in (self.policy, self.reference))
        logs = [np.log(counts / self.draws) for counts in (self.policy, self.reference)]
        policy, reference = (log[arms][:, None] for log in logs)
        own = np.ones(policy.shape, np.bool_)
        return Seen(self.proxy[arms][None], policy, reference, own, (logs[0] - logs[1])[others])

    def arms(self) -> np.ndarray:
        return np.repeat(np.arange(7), self.policy)


def gradient(logits: np.ndarray, objective) -> np.ndarray:
    """Central differences."""
    steps = 1e-5 * np.eye(len(logits))
    return np.array([(objective(logits + step) - objective(logits - step)) / 2e-5 for step in steps])


def policy_gradient(bandit: Bandit, per_draw: np.ndarray) -> np.ndarray:
    """E_π[advantage · ∇ log π] for a policy given by logits: ∇ log π(a) = one-hot(a) - π."""
    rows = np.eye(7)[bandit.arms()] - bandit.policy / bandit.draws
    return (per_draw[:, None] * rows).mean(axis=0)


def objectives(bandit: Bandit) -> dict[str, tuple]:
    reference = bandit.reference / bandit.draws
    mean = float(reference @ bandit.proxy)
    sd = float(np.sqrt(reference @ (bandit.proxy - mean) ** 2))

    def chi2(policy):
        return ((policy - reference) ** 2 / reference).sum()

    def max_min(policy):
        gain = (policy @ bandit.proxy - mean) / sd
        return sd * (gain - np.sqrt(1 - 0.6**2) / 0.6 * np.sqrt(chi2(policy) - gain**2))

    return {
        "kl": (KlPenalty(0.7), lambda p: p @ bandit.proxy - 0.7 * (p @ np.log(p / reference))),
        "kl of the reference": (
            KlLoss(0.7),
            lambda p: p @ bandit.proxy - 0.7 * (reference @ np.log(reference / p)),
        ),
        "chi2": (ChiSquare(0.7), lambda p: p @ bandit.proxy - 0.7 * np.sqrt(chi2(p))),
        "max-min": (MaxMin(0.6, mean, sd), max_min),
    }


@pytest.mark.parametrize("name", ["kl", "kl of the reference", "chi2", "max-min"])
@pytest.mark.parametrize("seed", range(5))
def test_the_policy_gradient_of_shaped_rewards_is_that_of_the_objective(name, seed):
    bandit = Bandit(seed)
    regularizer, objective = objectives(bandit)[name]
    shaped = regularizer.shaped(bandit.seen())
    advantage = shaped.rewards_PS[0]
    if shaped.per_token_NT is not None:
        advantage = advantage + shaped.per_token_NT[:, 0]
    logits = np.log(bandit.policy / bandit.draws)
    expected = gradient(logits, lambda x: objective(softmax(x)))
    np.testing.assert_allclose(policy_gradient(bandit, advantage), expected, atol=1e-7)


def test_chi2_is_the_true_one_where_draws_are_exact():
    bandit = Bandit(0)
    shaped = ChiSquare(0.5).shaped(bandit.seen())
    policy, reference = bandit.policy / 400, bandit.reference / 400
    assert shaped.chi2 == pytest.approx(((policy - reference) ** 2 / reference).sum())


@pytest.mark.parametrize("with_reference", [True, False])
@pytest.mark.parametrize("cap", [1.02, 1.05, 1.1])
def test_capped_ratios_follow_a_penalty_that_grows_linearly_beyond_the_cap(cap: float, with_reference: bool):
    bandit, weight = Bandit(1), 0.7
    reference, seen = bandit.reference / 400, bandit.seen()
    seen = seen if with_reference else replace(seen, reference_draws=None)
    assert (np.exp(seen.log_ratios) > cap).any()

    def penalty(policy: np.ndarray) -> float:
        ratio = policy / reference
        beyond = (cap - 1) ** 2 + 2 * (cap - 1) * (ratio - cap)
        return float(reference @ np.where(ratio > cap, beyond, (ratio - 1) ** 2))

    shaped = ChiSquare(weight, cap).shaped(seen)
    assert shaped.chi2 == pytest.approx(penalty(bandit.policy / 400))
    logits = np.log(bandit.policy / 400)
    expected = gradient(logits, lambda x: softmax(x) @ bandit.proxy - weight * np.sqrt(penalty(softmax(x))))
    np.testing.assert_allclose(policy_gradient(bandit, shaped.rewards_PS[0]), expected, atol=1e-7)


def test_a_completion_beyond_the_cap_does_not_vanish_beside_the_root_of_chi2():
    far = np.array([[0.0], [700.0]])
    seen = Seen(np.zeros((1, 2)), far, np.zeros((2, 1)), np.ones((2, 1), np.bool_), np.zeros(2))
    shaped = ChiSquare(1.0, cap=1e4).shaped(seen)
    assert shaped.chi2 == pytest.approx(9999)  # 4 · 9,999 for one of two draws of one of two sides
    assert shaped.rewards_PS[0, 1] == pytest.approx(-np.sqrt(9999))


def test_without_draws_of_the_reference_chi2_is_estimated_from_the_policys():
    seen = Seen(np.array([[1.0, 2.0]]), POLICY, REFERENCE, OWN)
    ratio = np.array([1.0, 0.5])
    shaped = ChiSquare(0.3).shaped(seen)
    assert shaped.chi2 == pytest.approx((ratio + 1 / ratio - 2).mean())
    np.testing.assert_allclose(shaped.rewards_PS, [[1, 2] - 0.3 * (ratio - 1) / np.sqrt(shaped.chi2)])


def test_where_an_estimate_of_chi2_is_below_the_gains_square_max_min_does_not_let_go():
    """Exact values never are (Cauchy-Schwarz); then a thousandth of χ² counts as what is across the proxy."""
    seen = Seen(np.array([[4.0, 2.0]]), POLICY, REFERENCE, OWN, np.zeros(2))
    shaped = MaxMin(0.6, 1.0, 0.5).shaped(seen)
    delta, ratio = np.array([6.0, 2.0]), np.array([1.0, 0.5])
    chi2 = (2 * 0.5**2 / 1.5) / 4
    assert shaped.chi2 == pytest.approx(chi2)
    penalty = 0.8 / 0.6 * (ratio - 1 - 4 * delta) / np.sqrt(1e-3 * chi2)
    np.testing.assert_allclose(shaped.rewards_PS[0], [4, 2] - 0.5 * penalty)


def test_a_regulariser_by_its_settings_is_the_one_of_the_same_defaults():
    assert regularizer_of(RegularizerSettings(name="chi2", weight=0.1)) == ChiSquare(0.1)
    assert regularizer_of(RegularizerSettings(name="kl-loss", weight=0.1)) == KlLoss(0.1)
    facts = ProxyFacts(r=1.0, mean=0.0)
    assert regularizer_of(RegularizerSettings(name="max-min"), facts) == MaxMin(1.0, 0.0, 1.0)
    wider = RegularizerSettings(name="max-min", cap=9, reference_samples=3)
    assert regularizer_of(wider, facts) == MaxMin(1.0, 0.0, 1.0, 9, 3)
    assert KlPenalty(1).reference_samples == KlLoss(1).reference_samples == 0
    assert ChiSquare(1).reference_samples == MaxMin(1, 0, 1).reference_samples == 4


@pytest.mark.parametrize(
    ("field", "least", "too_little"), [("weight", 0, -0.1), ("cap", 1.1, 1), ("reference_samples", 1, 0)]
)
def test_settings_have_the_ranges_in_which_they_mean_something(field, least, too_little):
    assert getattr(RegularizerSettings(**{field: least}), field) == least
    with pytest.raises(ValidationError, match=field):
        RegularizerSettings(**{field: too_little})


@pytest.mark.parametrize("r", [0.0, -0.3, 1.1])
def test_max_min_is_only_for_proxies_with_a_correlation_above_0(r):
    with pytest.raises(InputError, match="max-min has to know"):
        regularizer_of(RegularizerSettings(name="max-min"), ProxyFacts(r=r, mean=0))


def test_settings_name_what_they_lack():
    assert regularizer_of(RegularizerSettings()) is None
    assert regularizer_of(RegularizerSettings(name="kl", weight=0.1)) == KlPenalty(0.1)
    assert regularizer_of(RegularizerSettings(name="chi2", weight=0.1, cap=50)) == ChiSquare(0.1, 50)
    facts = ProxyFacts(r=0.5, mean=1, sd=2)
    assert regularizer_of(RegularizerSettings(name="max-min"), facts) == MaxMin(0.5, 1, 2)
    with pytest.raises(InputError, match="chi2 needs a weight"):
        regularizer_of(RegularizerSettings(name="chi2"))
    with pytest.raises(InputError, match="max-min has to know"):
        regularizer_of(RegularizerSettings(name="max-min"))
