"""Policy gradients from samples on the enumerable model, with every quantity known exactly beside them.

Training sees samples only, as it would with a real model: completions of the policy with their rewards and
log-probabilities, and stored ones of the reference, from which χ² is estimated (`divergence.chi2_pooled`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from candor.core.progress import Bar
from candor.rewards.exact import gradients, sequences
from candor.rewards.exact.setting import Floats, Setting
from candor.rl import divergence

SAMPLES = 256  # completions a step, and as many stored ones of the reference
STEPS = 400
EVERY = 10  # steps between two exact measurements
KL_WEIGHTS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)  # β; the best is chosen by true reward, with hindsight
_RATE = 0.05  # of Adam
_SMALLEST_CHI2 = 1e-3  # at the reference χ² is 0 and its root has no gradient


@dataclass(frozen=True)
class Batch:
    """What a step of training sees: numbers of sampled completions, [n], and of their tokens, [n, 6]."""

    proxy_N: Floats
    log_ratio_NT: Floats
    stored_log_ratio_M: Floats
    setting: Setting

    @cached_property
    def log_ratio(self) -> Floats:
        """log ρ of whole completions."""
        return self.log_ratio_NT.sum(axis=1)

    @cached_property
    def ratio(self) -> Floats:
        """ρ."""
        return np.exp(self.log_ratio)

    @cached_property
    def chi2(self) -> float:
        """The pooled estimate."""
        return max(divergence.chi2_pooled(self.log_ratio, self.stored_log_ratio_M), _SMALLEST_CHI2)


def _none(batch: Batch) -> Floats:
    return _advantage(batch.proxy_N)


def _kl_in_reward(batch: Batch, beta: float) -> Floats:
    return _advantage(batch.proxy_N - beta * batch.log_ratio)


def _k3_in_loss(batch: Batch, beta: float) -> Floats:
    """k3 of each token, differentiated: a weight of each token beside its completion's advantage."""
    return _advantage(batch.proxy_N) - beta * (1 - np.exp(-batch.log_ratio_NT))


def _chi2(batch: Batch) -> Floats:
    weight = batch.setting.weight_of_theory
    return _advantage(gradients.chi2_shaped(batch.proxy_N, batch.ratio, batch.chi2, weight))


def _chi2_in_loss(batch: Batch) -> Floats:
    estimate = max(divergence.chi2_not_negative(batch.log_ratio), _SMALLEST_CHI2)
    weight = batch.setting.weight_of_theory
    followed = gradients.chi2_in_the_loss(batch.proxy_N, batch.ratio, estimate, weight)
    return (followed - batch.proxy_N.mean())[:, None]


def _chi2_by_token(batch: Batch) -> Floats:
    """The sum of tokens' ratios in place of their product."""
    ratio_NT = np.exp(batch.log_ratio_NT)
    estimate = max(float((ratio_NT - 1).sum(axis=1).mean()), _SMALLEST_CHI2)
    weight = batch.setting.weight_of_theory
    return _advantage(gradients.chi2_shaped(batch.proxy_N, ratio_NT.sum(axis=1), estimate, weight))


def _max_min(batch: Batch) -> Floats:
    setting = batch.setting
    delta = (batch.proxy_N - setting.weight_N @ setting.proxy_N) / setting.sd_proxy
    gain = float(delta.mean())
    # An estimate may break gain² ≤ χ²; and where all change is along the proxy there is nothing to avoid.
    chi2 = max(batch.chi2, gain**2 + _SMALLEST_CHI2)
    shaped_N = gradients.max_min_shaped(delta, batch.ratio, gain, chi2, setting.r)
    return _advantage(shaped_N * setting.sd_proxy)


def _advantage(reward_N: Floats) -> Floats:
    """Rewards beside their batch's mean, one column; not divided by their spread, which would change λ."""
    return (reward_N - reward_N.mean())[:, None]


# A batch -> the weights of ∇ log π of its tokens, [n, 6] or [n, 1].
ARMS: dict[str, Callable[[Batch], Floats]] = {
    "none": _none,
    "chi2": _chi2,
    "max-min": _max_min,
    "chi2 in the loss": _chi2_in_loss,
    "chi2 by token": _chi2_by_token,
}
KL_ARMS: dict[str, Callable[..., Floats]] = {
    "kl, k1 in reward": _kl_in_reward,
    "kl, k3 in loss": _k3_in_loss,
}


@dataclass(frozen=True)
class Learned:
    """One run.

    Attributes:
        logits: the parameters at its end.
        history: where the policy stood every `EVERY` steps, exactly, with the estimate of χ² that it went by.
    """

    logits: Floats
    history: list[dict[str, Any]]


def learn(
    reference: Floats,
    arm: Callable[[Batch], Floats],
    *,
    steps: int = STEPS,
    samples: int = SAMPLES,
    seed: int,
) -> Learned:
    """Train from the reference by sampled policy gradients with Adam.

    Args:
        reference: logits of π₀.
        arm: what is followed.
        steps: of training.
        samples: completions a step.
        seed: of what is drawn.
    """
    random = np.random.default_rng(seed)
    setting = sequences.enumerated_setting(reference)
    reference_YT = sequences.token_logprobs(reference)
    stored = random.choice(len(setting.weight_N), samples, p=setting.weight_N)
    logits, first, second = reference.copy(), np.zeros_like(reference), np.zeros_like(reference)
    history: list[dict[str, Any]] = []
    for step in range(steps + 1):
        log_ratio_YT = sequences.token_logprobs(logits) - reference_YT
        ratio_Y = np.exp(log_ratio_YT.sum(axis=1))
        policy_Y = setting.weight_N * ratio_Y
        drawn = random.choice(len(policy_Y), samples, p=policy_Y / policy_Y.sum())
        batch = Batch(setting.proxy_N[drawn], log_ratio_YT[drawn], log_ratio_YT[stored].sum(axis=1), setting)
        if step % EVERY == 0:
            history.append({"step": step, **setting.standing(ratio_Y).as_dict(), "chi2_estimate": batch.chi2})
        if step == steps:
            break
        gradient = sequences.weighted_score(logits, arm(batch) / samples, drawn)
        first, second = 0.9 * first + 0.1 * gradient, 0.99 * second + 0.01 * gradient**2
        unbiased = first / (1 - 0.9 ** (step + 1)), second / (1 - 0.99 ** (step + 1))
        logits = logits + _RATE * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
    return Learned(logits, history)


def learn_all(reference: Floats, *, steps: int, seed: int, bar: Bar | None = None) -> dict[str, Learned]:
    """Every arm from one seed; of each KL arm the β with the most true reward at the end, in its name."""
    found = {}
    for name, arm in ARMS.items():
        found[name] = learn(reference, arm, steps=steps, seed=seed)
        if bar is not None:
            bar.advance(note=name)
    for name, shape in KL_ARMS.items():
        tried = {}
        for beta in KL_WEIGHTS:
            tried[beta] = learn(reference, partial(shape, beta=beta), steps=steps, seed=seed)
            if bar is not None:
                bar.advance(note=f"{name}, β = {beta}")
        best = max(tried, key=lambda beta: tried[beta].history[-1]["true"])
        found[f"{name}, β = {best} by hindsight"] = tried[best]
    return found


RUNS = len(ARMS) + len(KL_ARMS) * len(KL_WEIGHTS)  # of `learn_all`
