"""The part of the proxy's gain that may count for a certificate: of what gold labels have shown.

    a · ΔJ  ≥  gain_M - sd(e) · √χ²_M - δ · a · D

The bound of `bound.residual_bound` with three changes, since no finite log bounds χ² from above, and few
labels do not show an error that is rare under the reference and common under the policy:

- ρ is cut at M, the largest ρ of a labelled completion: ρ_M = min(ρ, M). What the policy makes likelier than
  anything that was labelled is of a kind that no label speaks for.
- δ = E_π[(1 - M/ρ)₊] is the policy's probability that is cut off. It is credited no gain and charged D for
  each unit, the whole range of gold that labels have shown within prompts. Its upper limit is never 0: what
  n completions never showed has a probability below 1 - (1 - confidence)^(1/n).
- The proxy is clipped to the range that labels have seen within prompts. That is another proxy, for which the
  bound holds as well; it keeps one completion that the proxy adores from counting for the rest.

Derivation: with R, R̃ centred in each prompt and R̃ = a·R + e, a · ΔJ = a · E₀[(ρ - 1)R]
= E₀[(ρ_M - 1)(R̃ - e)] + a · E_π[(1 - M/ρ)₊ R]. Cauchy–Schwarz bounds the part with e by sd(e) · √χ²_M, with
χ²_M = E₀[(ρ_M - 1)²]; the last part is at least -δ · a · D. All of it is estimated from bounded terms: of the
mixture of both sides' completions χ²_M is the mean of 2(ρ_M - 1)²/(1 + ρ) < 2M.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from candor.core.limits import Limits, limits
from candor.rewards.audit.checks import prompt_means, ratios_of
from candor.rewards.audit.log import Log
from candor.rewards.calibration import Calibration

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cautious:
    """What may count.

    Attributes:
        ratio: (gain_M - allowance) / √χ²_M in the proxy's units, with limits. A certificate needs it above
            sd(e). The value itself is without the allowance.
        bound: the lower limit of the true gain that it gives, in units of gold; above 0 where the
            certificate's inequality holds, and only there.
        largest: M.
        beyond: δ, and its upper limit.
        allowance: what the upper limit of δ costs, in the proxy's units.
        clipped: share of the policy's completions whose proxy was clipped.
    """

    ratio: Limits
    bound: float
    largest: float
    beyond: Limits
    allowance: float
    clipped: float


def cautious_gain(log: Log, calibration: Calibration, *, confidence: float = 0.95, seed: int = 0) -> Cautious:
    """Estimate it, with each limit one-sided at `confidence`.

    Args:
        log: with gold labels on completions of the reference.
        calibration: of these.
        confidence: of each limit.
        seed: of the bootstrap.
    """
    how = {"confidence": confidence, "seed": seed}
    labelled = np.isfinite(log.gold) & ~log.policy
    shared = log.shared[log.prompt]
    ratio = ratios_of(log.log_ratio)
    largest = max(1.0, float(ratio[labelled].max()))
    kept = np.minimum(1.0, largest / ratio)
    ours = shared & log.policy
    beyond = cut_off((1 - kept)[ours], log.prompt[ours], log.prompts, how)
    gold = _centred(log, log.gold, labelled)[labelled]
    allowance = max(0.0, min(calibration.slope_high, 1e300)) * float(np.ptp(gold)) * beyond.high
    proxy, clipped = _clipped(log, labelled)
    gain_P = gains(log, np.where(log.policy, kept * proxy, proxy), shared)[log.shared]
    terms = 2 * (np.minimum(ratio, largest) - 1) ** 2 / (1 + ratio)
    sides = [shared & ~log.policy, ours]
    chi2_P = sum(prompt_means(terms[side], log.prompt[side], log.prompts) for side in sides)[log.shared] / 2  # type: ignore[index]
    rows_PK = np.stack([gain_P, chi2_P], axis=1)
    found = _ratio(rows_PK, allowance, how)
    return Cautious(
        ratio=found,
        bound=_bound(rows_PK, allowance, found, calibration, how),
        largest=largest,
        beyond=beyond,
        allowance=allowance,
        clipped=clipped,
    )


def gains(log: Log, values: Floats, chosen: NDArray[np.bool_]) -> Floats:
    """The policy's mean of each prompt less the reference's, NaN where one is missing."""
    policy, reference = (
        prompt_means(values[side], log.prompt[side], log.prompts)
        for side in (chosen & log.policy, chosen & ~log.policy)
    )
    return policy - reference


def cut_off(values: Floats, prompt: NDArray[np.int64], count: int, how: dict) -> Limits:
    """δ, the mean of (1 - M/ρ)₊ of the policy's completions; nothing seen does not make its upper limit 0.

    Args:
        values: of each completion, [n].
        prompt: which prompt it is of, [n], of so many.
        count: of the prompts.
        how: confidence and seed of `limits`.
    """
    means = prompt_means(values, prompt, count)
    found = limits(means[np.isfinite(means)][:, None], lambda m: m[..., 0], **how)
    never_seen = 1 - (1 - how["confidence"]) ** (1 / len(values))
    return Limits(found.value, 0.0, min(1.0, max(found.high, never_seen)))


def _centred(log: Log, values: Floats, chosen: NDArray[np.bool_]) -> Floats:
    """Values less the mean of the chosen ones of their prompt; NaN where there are none."""
    return values - prompt_means(values[chosen], log.prompt[chosen], log.prompts)[log.prompt]


def _clipped(log: Log, labelled: NDArray[np.bool_]) -> tuple[Floats, float]:
    """The proxy less its prompt's mean under the reference, within the range that labels have seen."""
    centred = _centred(log, log.proxy, ~log.policy)
    seen = centred[labelled]
    within = np.clip(centred, seen.min(), seen.max())
    ours = log.policy & np.isfinite(centred)
    return within, float((within[ours] != centred[ours]).mean()) if ours.any() else 0.0


def _ratio(rows_PK: Floats, allowance: float, how: dict) -> Limits:
    """(gain - allowance) / √χ², whose logarithm is about normal; the value without the allowance."""
    gain, chi2 = rows_PK.mean(axis=0)
    if not chi2 > 0:
        return Limits(0.0, 0.0, 0.0)
    value = float(gain / np.sqrt(chi2))
    if gain <= allowance:
        return Limits(value, -np.inf, np.inf)
    found = limits(rows_PK, lambda m: np.log(m[..., 0] - allowance) - np.log(m[..., 1]) / 2, **how)
    return Limits(value, float(np.exp(found.low)), max(value, float(np.exp(found.high))))


def _bound(rows_PK: Floats, allowance: float, ratio: Limits, calibration: Calibration, how: dict) -> float:
    """The lower limit of (gain - allowance - sd(e) · √χ²) / a, with the sign that the ratio decides."""
    error = calibration.residual_sd_high
    if ratio.low > error:
        chi2 = limits(rows_PK, lambda m: np.log(m[..., 1]), **how)
        # A larger slope makes a positive bound smaller and a negative one less negative.
        return float((ratio.low - error) * np.exp(chi2.low / 2) / calibration.slope_high)
    if not calibration.slope_low > 0:
        return -np.inf
    margin = limits(rows_PK, lambda m: m[..., 0] - error * np.sqrt(np.maximum(m[..., 1], 0.0)), **how)
    return min(0.0, float(margin.low - allowance)) / calibration.slope_low
