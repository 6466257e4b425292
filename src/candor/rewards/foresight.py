"""What a policy will gain by gold, foreseen from gold labels of the reference's completions alone.

With ρ = π / π₀ and ρ_M = min(ρ, M), R less any number and R̃ less any other, for any b

    E_π[R] - E_π₀[R] = b · E_π₀[(ρ_M - 1) R̃] + E_π₀[(ρ_M - 1)(R - b·R̃)] + E_π[(1 - M/ρ)₊ R]

The first part is b (E_π[min(1, M/ρ) R̃] - E_π₀[R̃]) and known well, since rewards cost nothing. The second
reweights what the proxy leaves unexplained, and needs labels of the reference's completions only; with b
the slope of gold on the proxy, and both less their means, it is small, and so is its error (Robins, Rotnitzky
and Zhao 1994; Dudík, Langford and Li 2011). M is the largest ρ of a labelled completion, as for a certificate
(`audit.cautious`): of what the policy makes likelier than anything that has a label nothing is known. So the
third part counts nothing, and in the lower limit as if all of it were the worst that labels have shown.

That is how a weight of √χ² can be chosen among several without any label of a policy's own completions: the
one whose foreseen gain has the largest lower limit. It is a choice, not a certificate, since the largest of
several limits is no limit at their confidence; `candor audit` says what is certified.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from candor.core.limits import Limits, limits
from candor.rewards.audit.cautious import cut_off
from candor.rewards.audit.checks import prompt_means, ratios_of
from candor.rewards.calibration import Calibration
from candor.rl.divergence import effective_samples

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Completions:
    """Rewards of completions, which prompt each is of, and the log-ratio of policy and reference, [n]."""

    proxy: ArrayLike
    prompts: Sequence[str] | NDArray[np.generic]
    log_ratio: ArrayLike | None = None

    def at(self, chosen: NDArray[np.bool_]) -> Completions:
        """Some of them."""
        ratio = None if self.log_ratio is None else np.asarray(self.log_ratio)[chosen]
        return Completions(np.asarray(self.proxy)[chosen], np.asarray(self.prompts)[chosen], ratio)


@dataclass(frozen=True)
class Foreseen:
    """A gain by gold, in gold's units, with a one-sided lower limit.

    Attributes:
        gain: the estimate, of what labels speak for.
        low: its limit; -inf where labels are too few for one.
        effective: how many of the labelled completions stand for the policy, (Σρ)² / Σρ².
        beyond: the policy's probability that is cut off.
        labels: labelled completions.
    """

    gain: float
    low: float
    effective: float
    beyond: float
    labels: int

    def as_dict(self) -> dict[str, float | int | None]:
        """Plain numbers for JSON; None for a limit that could not be found."""
        return {name: value if np.isfinite(value) else None for name, value in asdict(self).items()}


def foresee(
    known: Calibration,
    labelled: Completions,
    gold: ArrayLike,
    reference: Completions,
    policy: Completions,
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> Foreseen:
    """The gain of a policy over its reference.

    Args:
        known: the proxy's calibration, for the slope b.
        labelled: completions of the reference, at least two of each prompt, with log-ratios.
        gold: the true reward of each, [n].
        reference: completions of the reference to the same prompts as the policy's; no log-ratios needed.
        policy: completions of the policy, with log-ratios.
        confidence: of the limits. Those of the parts are put together by squares (Zou and Donner 2008).
        seed: of the bootstrap.
    """
    how = {"confidence": confidence, "seed": seed}
    slope = known.r * known.sd_gold / known.sd_proxy
    gold_N, proxy_N, rho_N = (
        np.asarray(gold, np.float64),
        np.asarray(labelled.proxy, np.float64),
        _ratios(labelled),
    )
    names, code_N = np.unique(np.asarray(labelled.prompts), return_inverse=True)
    largest = max(1.0, float(rho_N.max()))
    usual, level = gold_N.mean(), proxy_N.mean()
    unexplained_N = gold_N - usual - slope * (proxy_N - level)
    rest = limits(prompt_means((rho_N - 1) * unexplained_N, code_N, len(names))[:, None], _mean, **how)

    names, before_K = np.unique(np.asarray(reference.prompts), return_inverse=True)
    after_K = np.searchsorted(names, np.asarray(policy.prompts))
    kept_K = np.minimum(1.0, largest / _ratios(policy))
    gains_P = prompt_means(kept_K * (np.asarray(policy.proxy) - level), after_K, len(names)) - prompt_means(
        np.asarray(reference.proxy) - level, before_K, len(names)
    )
    explained = limits(slope * gains_P[:, None], _mean, **how)
    beyond = cut_off(1 - kept_K, after_K, len(names), how)

    gain = explained.value + rest.value
    low = gain - _below(rest, explained) - beyond.high * float(usual - gold_N.min())
    return Foreseen(gain, low, effective_samples(np.log(rho_N)), beyond.value, len(gold_N))


def best(foreseen: Sequence[Foreseen]) -> int:
    """The place of the one with the largest lower limit; where none has one, the first."""
    return max(range(len(foreseen)), key=lambda place: (foreseen[place].low, -place))


def _ratios(given: Completions) -> Floats:
    return ratios_of(np.asarray(given.log_ratio, np.float64))


def _below(*parts: Limits) -> float:
    below = [one.value - one.low for one in parts]
    return float(np.sqrt(np.square(below).sum())) if np.isfinite(below).all() else float("inf")


def _mean(means: Floats) -> Floats:
    return means[..., 0]
