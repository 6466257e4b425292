"""What a log shows, with limits: gains, distances, and how far the proxy was to be trusted.

Prompts weigh alike and are the draws that limits are about. A gain is the mean over prompts of the policy's
mean reward less the reference's, so it is paired by prompt. What certifies is in `cautious`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from candor.core.errors import InputError
from candor.core.limits import Limits, limits
from candor.rewards.audit.cautious import Cautious, cautious_gain, gains
from candor.rewards.audit.checks import Identity, prompt_means
from candor.rewards.audit.log import Log
from candor.rewards.calibration import Calibration, calibrate, correlation
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
    r: Limits | None  # over all prompts; known with one completion of a prompt, too
    proxy_gain: Limits
    gold_gain: Limits | None
    gold_prompts: int
    sd_gold_gain: float  # of a prompt's, to say how many would settle it
    distance: Distance
    cautious: Cautious | None  # None where there is no calibration
    identities: tuple[Identity, Identity]
    prompts: int
    completions: tuple[int, int]  # of the reference, of the policy
    labelled: tuple[int, int]
    labelled_prompts: int  # of the reference's completions


def measure(log: Log, identities: tuple[Identity, Identity], *, confidence: float, seed: int = 0) -> Measured:
    """Estimate everything at one confidence for each one-sided limit."""
    how = {"confidence": confidence, "seed": seed}
    labelled = np.isfinite(log.gold)
    calibration, why = _calibrated(log, labelled, how)
    shared = log.shared[log.prompt]
    gold_P = gains(log, log.gold, labelled)
    gold_P = gold_P[np.isfinite(gold_P)]
    counts = [int((shared & log.of(policy=side)).sum()) for side in (False, True)]
    golds = [int((labelled & log.of(policy=side)).sum()) for side in (False, True)]
    proxy_P = gains(log, log.proxy, shared)
    cautious = None if calibration is None else cautious_gain(log, calibration, **how)  # type: ignore[arg-type]
    return Measured(
        confidence=confidence,
        calibration=calibration,
        uncalibrated=why,
        r=_correlation(log, labelled, how),
        proxy_gain=limits(proxy_P[np.isfinite(proxy_P)][:, None], _mean, **how),  # type: ignore[arg-type]
        gold_gain=limits(gold_P[:, None], _mean, **how) if len(gold_P) else None,  # type: ignore[arg-type]
        gold_prompts=len(gold_P),
        sd_gold_gain=float(gold_P.std(ddof=1)) if len(gold_P) > 1 else float("nan"),
        distance=_distance(log, shared, how),
        cautious=cautious,
        identities=identities,
        prompts=int(log.shared.sum()),
        completions=(counts[0], counts[1]),
        labelled=(golds[0], golds[1]),
        labelled_prompts=len(np.unique(log.prompt[labelled & ~log.policy])),
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
        return None, error.message.removeprefix(f"field '{error.field}': ")


def _correlation(log: Log, labelled: NDArray[np.bool_], how: dict) -> Limits | None:
    ours = labelled & ~log.policy
    if len(np.unique(log.prompt[ours])) < 2:
        return None
    found = correlation(log.proxy[ours], log.gold[ours], log.prompt[ours], **how)
    return found if np.isfinite(found.value) else None


def _distance(log: Log, shared: NDArray[np.bool_], how: dict) -> Distance:
    sides = [shared & log.of(policy=side) for side in (False, True)]
    means = [prompt_means(pooled_terms(log.log_ratio[side]), log.prompt[side], log.prompts) for side in sides]
    terms_P = ((means[0] + means[1]) / 2)[log.shared]
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
