"""What a log says against itself: identities that honest logs fulfil, and what was not sampled as it must.

    E_π₀[ρ] = 1    what the policy may draw, the reference's completions show in the right measure
    E_π[1/ρ] = 1   likewise the other way round
    duplicates     n draws of probability p coincide in Σ p (n - 1) / 2 pairs, not in more

The first two fail where a side was drawn with top-p or top-k or at another temperature, where the two
log-probabilities are of different texts, and where so few completions were drawn that they miss where the
other side goes. A log can't tell these apart; none of them allows a certificate.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from candor.core.limits import limits
from candor.core.statistics import Estimate
from candor.rewards.audit.log import Log

Floats = NDArray[np.float64]

# Pairs of equal completions that chance may add to what their probabilities lead to expect.
_CHANCE_PAIRS = 10
_LARGEST = 700.0  # a log-ratio above which exp() is infinite


# What each kind of objection says, as one among the reasons against a certificate.
_BRIEFLY = {
    "one model": "by the log, policy and reference are one model",
    "truncated sampling": "some completions were drawn with part of the distribution cut off",
    "temperatures": "completions were drawn at different temperatures",
    "temperature": "completions were drawn at another temperature than 1",
    "identity": "the mean of ρ under the reference, or of 1/ρ under the policy, is not 1",
    "duplicates": "more completions are equal than their probabilities explain",
    "prompts of one side": "most prompts have completions of one side only",
    "one response a prompt": "each prompt has one completion of the reference",
}


@dataclass(frozen=True)
class Objection:
    """Something that the reader has to know; `blocks` where it rules a certificate out."""

    code: str
    text: str
    blocks: bool = True

    @property
    def briefly(self) -> str:
        """A few words for a list of reasons."""
        return _BRIEFLY[self.code]


@dataclass(frozen=True)
class Identity:
    """An expectation that has to be 1, with its interval."""

    name: str
    estimate: Estimate

    @property
    def holds(self) -> bool:
        """Whether 1 lies within the interval; unknown counts as not."""
        low, high = self.estimate.low, self.estimate.high
        return low is not None and high is not None and low <= 1 <= high


def ratios_of(log_ratio: Floats) -> Floats:
    """exp of log-ratios; none is infinite."""
    return np.exp(np.clip(log_ratio, -_LARGEST, _LARGEST))


def prompt_means(values: Floats, prompt: NDArray[np.int64], count: int) -> Floats:
    """Mean of each prompt's values, NaN where it has none."""
    with np.errstate(invalid="ignore"):
        return np.bincount(prompt, weights=values, minlength=count) / np.bincount(prompt, minlength=count)


def identities(log: Log, *, confidence: float = 0.99, seed: int = 0) -> tuple[Identity, Identity]:
    """E_π₀[ρ] and E_π[1/ρ], prompts weighing alike; two-sided intervals at `confidence`."""
    found = []
    for name, policy, sign in (("mean ρ of the reference", False, 1), ("mean 1/ρ of the policy", True, -1)):
        side = log.of(policy=policy)
        ratios = ratios_of(sign * log.log_ratio[side])
        means = prompt_means(ratios, log.prompt[side], log.prompts)
        means = means[np.isfinite(means)]
        one = limits(means[:, None], lambda m: m[..., 0], confidence=0.5 + confidence / 2, seed=seed)
        low, high = one.low, one.high
        if len(means) > 1 and not np.ptp(means):
            # Equal everywhere, as of one model: no interval of width 0 that a rounding error falls out of.
            low, high = one.value - 1e-6, one.value + 1e-6
        low, high = (float(end) if np.isfinite(end) else None for end in (low, high))
        found.append(Identity(name, Estimate(one.value, low, high, int(side.sum()))))
    return found[0], found[1]


def objections(log: Log, both: tuple[Identity, Identity]) -> list[Objection]:
    """Everything that is odd about a log."""
    return [*_one_model(log), *_sampling(log), *_identities(both), *_duplicates(log), *_prompts(log)]


def _one_model(log: Log) -> list[Objection]:
    if log.log_ratio.any():
        return []
    text = (
        "Both log-probabilities are the same for every completion: by this log the policy is the reference. "
        "If it was trained, one model was loaded twice, or one model's log-probabilities were logged twice."
    )
    return [Objection("one model", text)]


def _sampling(log: Log) -> list[Objection]:
    found = []
    if count := int(log.truncated.sum()):
        text = (
            f"{count:,} completions were drawn with top_p below 1, top_k or min_p: what was cut off has "
            "probability 0 under the one and not under the other, and χ² has no meaning. Draw with top_p 1 "
            "and neither of the others."
        )
        found.append(Objection("truncated sampling", text))
    reference, policy = log.temperatures
    if len(reference | policy) > 1:
        named = ", ".join(f"{value:g}" for value in sorted(reference | policy))
        text = (
            f"Completions were drawn at different temperatures ({named}): use one for both, and for scoring."
        )
        found.append(Objection("temperatures", text))
    elif other := (reference | policy) - {1.0}:
        text = (
            f"Completions were drawn at temperature {min(other):g}: the audit holds if both "
            "log-probabilities are of that temperature, too, which a log can't show."
        )
        found.append(Objection("temperature", text))
    return found


def _identities(both: tuple[Identity, Identity]) -> list[Objection]:
    found = []
    for one, drew, other in zip(both, ("reference", "policy"), ("policy", "reference"), strict=True):
        estimate = one.estimate
        if one.holds:
            continue
        if estimate.low is None or estimate.value is None or estimate.high is None:
            text = f"The {one.name} can't be compared with 1: too few prompts."
        else:
            shown = f"{estimate.value:.3g} ({estimate.low:.3g} to {estimate.high:.3g})"
            text = f"The {one.name} is {shown} and has to be 1. "
            text += (
                f"Some of what the {other} draws is missing from the {drew}'s completions: they were drawn "
                f"with top-p, top-k or another temperature, or are too few to show where the {other} goes."
                if estimate.high < 1
                else "The two log-probabilities can't be of the same tokens and of the distribution that was "
                "drawn from: another tokenisation, text or temperature."
            )
        found.append(Objection("identity", text))
    return found


def duplicate_pairs(log: Log) -> tuple[int, float]:
    """Pairs of equal completions of a prompt and side, and how many their probabilities lead to expect.

    Each of n draws meets an equal one among the others p (n - 1) times, p being its probability.
    """
    keys = list(zip(log.prompt.tolist(), log.policy.tolist(), log.text, strict=True))
    pairs = sum(count * (count - 1) // 2 for count in Counter(keys).values())
    drawn = Counter((prompt, policy) for prompt, policy, _ in keys)
    others = np.array([drawn[prompt, policy] - 1 for prompt, policy, _ in keys], dtype=np.float64)
    return pairs, float((others * np.exp(np.minimum(log.logp_own, 0))).sum() / 2)


def _duplicates(log: Log) -> list[Objection]:
    keys = set(zip(log.prompt.tolist(), log.policy.tolist(), log.text, strict=True))
    pairs, expected = duplicate_pairs(log)
    if pairs <= 2 * expected + _CHANCE_PAIRS:
        return []
    text = (
        f"Only {len(keys):,} of {len(log.text):,} completions are distinct: {pairs:,} pairs are equal where "
        f"their probabilities lead to expect {expected:.3g}. Lines seem to be repeated, which makes "
        "intervals too narrow."
    )
    return [Objection("duplicates", text)]


def _prompts(log: Log) -> list[Objection]:
    found = []
    shared = int(log.shared.sum())
    if shared < log.prompts:
        text = (
            f"{log.prompts - shared:,} of {log.prompts:,} prompts have completions of one side only and are "
            f"left out of gains and distances: the audit is about the other {shared:,}."
        )
        found.append(Objection("prompts of one side", text, blocks=2 * shared < log.prompts))
    if np.bincount(log.prompt[log.of(policy=False)]).max() < 2:
        text = (
            "Each prompt has one completion of the reference: how the proxy varies within a prompt, and so "
            "how far to trust it there, can't be seen. Draw at least two of each, better four."
        )
        found.append(Objection("one response a prompt", text))
    return found
