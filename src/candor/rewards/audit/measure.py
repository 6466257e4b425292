"""What a log shows, with limits: gains, distances, and how far the proxy was to be trusted.

Prompts weigh alike and are the draws that limits are about. A gain is the mean over prompts of the policy's
mean reward less the reference's, so it is paired by prompt.

**The audited proxy is clipped, for the certificate only, to the range that gold labels have seen**: within a
prompt the policy is credited no reward beyond the highest, less the prompt's mean, of a labelled completion.
Clipping is a change of the proxy, and the bounds hold for any proxy. Without it a completion of a kind that
no label showed, which the proxy likes, would count with all of its reward and none of its error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from candor.core.errors import InputError
from candor.core.limits import Function, Limits, limits
from candor.core.statistics import Estimate
from candor.rewards.audit.checks import Identity, prompt_means
from candor.rewards.audit.log import Log
from candor.rewards.calibration import Calibration, calibrate
from candor.rl.divergence import chi2_not_negative, chi2_of_policy, effective_samples, kl, pooled_terms

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Distance:
    """How far the policy is from the reference.

    Attributes:
        chi2: χ²(π‖π₀), pooled, with limits.
        chi2_policy, chi2_not_negative: by the policy's completions alone: what they say beside it.
        kl: KL(π‖π₀), nats a completion.
        effective_reference: (Σρ)²/Σρ² of the reference's completions: as many of them tell of the policy.
        effective_policy: the same the other way round.
        effective_prompts: (Σu)²/Σu², u being a prompt's part of χ²: how many carry it.
    """

    chi2: Limits
    chi2_policy: float
    chi2_not_negative: float
    kl: float
    effective_reference: float
    effective_policy: float
    effective_prompts: float


@dataclass(frozen=True)
class Measured:
    """All that the verdict is made of. Limits are each one-sided at `confidence`."""

    confidence: float
    calibration: Calibration | None
    uncalibrated: str  # why not, "" if it is
    proxy_gain: Limits
    gold_gain: Limits | None
    gold_prompts: int
    sd_gold_gain: float  # of a prompt's, to say how many would settle it
    distance: Distance
    ratio: Limits | None  # gain / √χ² of the clipped proxy, in the proxy's units
    clipped: float  # share of the policy's completions whose proxy was clipped
    identities: tuple[Identity, Identity]
    prompts: int
    completions: tuple[int, int]  # of the reference, of the policy
    labelled: tuple[int, int]


def measure(log: Log, identities: tuple[Identity, Identity], *, confidence: float, seed: int = 0) -> Measured:
    """Estimate everything at one confidence for each one-sided limit."""
    how = {"confidence": confidence, "seed": seed}
    labelled = np.isfinite(log.gold)
    calibration, why = _calibrated(log, labelled, how)
    shared = log.shared[log.prompt]
    gold_P = _gains(log, log.gold, labelled)
    gold_P = gold_P[np.isfinite(gold_P)]
    counts = [int((shared & log.of(policy=side)).sum()) for side in (False, True)]
    golds = [int((labelled & log.of(policy=side)).sum()) for side in (False, True)]
    proxy_P = _gains(log, log.proxy, shared)
    ratio, clipped = None, 0.0
    if calibration is not None:
        trusted, clipped = _clipped(log, labelled)
        ratio = _ratio(log, trusted, shared, how)
    return Measured(
        confidence=confidence,
        calibration=calibration,
        uncalibrated=why,
        proxy_gain=limits(proxy_P[np.isfinite(proxy_P)][:, None], _mean, **how),  # type: ignore[arg-type]
        gold_gain=limits(gold_P[:, None], _mean, **how) if len(gold_P) else None,  # type: ignore[arg-type]
        gold_prompts=len(gold_P),
        sd_gold_gain=float(gold_P.std(ddof=1)) if len(gold_P) > 1 else float("nan"),
        distance=_distance(log, shared, how),
        ratio=ratio,
        clipped=clipped,
        identities=identities,
        prompts=int(log.shared.sum()),
        completions=(counts[0], counts[1]),
        labelled=(golds[0], golds[1]),
    )


def _mean(means: Floats) -> Floats:
    return means[..., 0]


def _calibrated(log: Log, labelled: NDArray[np.bool_], how: dict) -> tuple[Calibration | None, str]:
    ours = labelled & ~log.policy
    if not ours.any():
        return None, "no completion of the reference has a gold label"
    try:
        return calibrate(log.proxy[ours], log.gold[ours], log.prompt[ours], **how), ""
    except InputError as error:
        return None, error.message


def _gains(log: Log, values: Floats, chosen: NDArray[np.bool_]) -> Floats:
    """The policy's mean of each prompt less the reference's, NaN where one is missing."""
    policy, reference = (
        prompt_means(values[side], log.prompt[side], log.prompts)
        for side in (chosen & log.policy, chosen & ~log.policy)
    )
    return policy - reference


def _distance(log: Log, shared: NDArray[np.bool_], how: dict) -> Distance:
    terms_P = _chi2_terms(log, shared)
    found = limits(terms_P[:, None], lambda m: np.log(m[..., 0]), **how)
    reference, policy = (log.log_ratio[shared & log.of(policy=side)] for side in (False, True))
    spread = float((terms_P**2).sum())
    return Distance(
        chi2=Limits(float(terms_P.mean()), float(np.exp(found.low)), float(np.exp(found.high))),
        chi2_policy=chi2_of_policy(policy),
        chi2_not_negative=chi2_not_negative(policy),
        kl=kl(policy),
        effective_reference=effective_samples(reference),
        effective_policy=effective_samples(-policy),
        effective_prompts=float(terms_P.sum() ** 2 / spread) if spread > 0 else float(len(terms_P)),
    )


def _chi2_terms(log: Log, shared: NDArray[np.bool_]) -> Floats:
    """Each shared prompt's pooled estimate of χ²."""
    sides = [shared & log.of(policy=side) for side in (False, True)]
    means = [prompt_means(pooled_terms(log.log_ratio[side]), log.prompt[side], log.prompts) for side in sides]
    return ((means[0] + means[1]) / 2)[log.shared]


def _clipped(log: Log, labelled: NDArray[np.bool_]) -> tuple[Floats, float]:
    """The proxy less its prompt's mean under the reference, within the range that labels have seen.

    Where a prompt has one completion of the reference that mean is the completion itself; it then adds to
    noise and not to the range, as prompts with two labelled ones at least make the range.
    """
    reference = ~log.policy
    centred = log.proxy - prompt_means(log.proxy[reference], log.prompt[reference], log.prompts)[log.prompt]
    seen = centred[labelled & reference]
    within = np.clip(centred, seen.min(), seen.max())
    ours = log.policy & np.isfinite(centred)
    return within, float((within[ours] != centred[ours]).mean()) if ours.any() else 0.0


def _ratio(log: Log, proxy: Floats, shared: NDArray[np.bool_], how: dict) -> Limits:
    """gain / √χ² with limits; its logarithm is what is about normal."""
    gains_P = _gains(log, proxy, shared)[log.shared]
    rows_PK = np.stack([gains_P, _chi2_terms(log, shared)], axis=1)
    gain, chi2 = rows_PK.mean(axis=0)
    if chi2 <= 0:
        return Limits(0.0, 0.0, 0.0)
    if gain <= 0:
        return Limits(float(gain / np.sqrt(chi2)), -np.inf, np.inf)
    log_ratio: Function = lambda m: np.log(m[..., 0]) - np.log(m[..., 1]) / 2  # noqa: E731
    found = limits(rows_PK, log_ratio, **how)
    return Limits(*(float(np.exp(end)) for end in (found.value, found.low, found.high)))


def estimate_of_limits(found: Limits | None, n: int) -> Estimate:
    """For JSON and the page: None where there is no limit."""
    if found is None:
        return Estimate(None, None, None, 0)
    low, high = (float(end) if np.isfinite(end) else None for end in (found.low, found.high))
    return Estimate(found.value, low, high, n)
