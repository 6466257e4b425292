"""The arms: what each of them learns from, and what holds it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from candor.core.errors import InputError, did_you_mean
from candor.rewards.calibration import Calibration, calibrate
from candor.rewards.model import EnsembleReward, RewardModel
from candor.rewards.replies import Replies
from candor.rewards.rlhf.proxy import Proxy, ReferenceRewards, Scoring, Transform
from candor.rl.problem import Way
from candor.rl.regularizer import ChiSquare, KlLoss, KlPenalty, MaxMin, Regularizer

Floats = NDArray[np.float64]

# Completions of the reference for each prompt of a step, so that χ² is known in every arm.
_WATCHED = 4
_WEIGHED = ("kl", "kl-loss", "chi2")
SELECTIONS = ("best-of", "pessimism")  # at inference, with nothing trained
_NAMES = ("none", *_WEIGHED, "max-min", "mean", "worst", "uncertainty", "par", "par+chi2", *SELECTIONS)


@dataclass(frozen=True)
class Arm:
    """An arm by its parts: `kl=0.1` is kl with .1."""

    name: str
    weight: float | None

    @classmethod
    def of(cls, spec: str) -> Arm:
        """Read one.

        Raises:
            InputError: there is no such arm, or its weight is missing or no number.
        """
        name, given, weight = spec.partition("=")
        if name not in _NAMES:
            raise InputError(
                f"there is no arm '{spec}'",
                field="arms",
                fix=f"{did_you_mean(name, _NAMES)}there are {', '.join(_NAMES)}",
            )
        try:
            value = float(weight) if given else None
        except ValueError:
            value = float("nan")
        if (given and (name not in _WEIGHED or not value or not value > 0)) or (
            not given and name in ("kl", "kl-loss")
        ):
            raise InputError(
                f"'{spec}': kl and kl-loss take a weight above 0, chi2 may have one, others have none",
                field="arms",
                fix="write kl=0.1",
            )
        return cls(name, value)


@dataclass(frozen=True)
class Trusted:
    """A proxy with what is known of it under the reference."""

    proxy: Proxy
    calibration: Calibration
    labelled: Labelled
    rewards: Floats  # the proxy's, of the labelled replies

    @property
    def mean(self) -> float:
        """The proxy's mean under the reference."""
        return float(self.rewards.mean())


@dataclass(frozen=True)
class Labelled:
    """Replies of the reference with their true worth, [n] in the order of `drawn.flat()`."""

    drawn: Replies
    gold: Floats


class Proxies:
    """What arms are rewarded by, each calibrated on the same labelled replies.

    Args:
        members: reward models; the first is the proxy of all arms but those of ensembles.
        way: gives prompts.
        reference: rewards of the reference's replies, as the first member says.
        labelled: replies with gold labels.
    """

    def __init__(
        self, members: Sequence[RewardModel], way: Way, reference: ReferenceRewards, labelled: Labelled
    ) -> None:
        self._members, self._way, self._reference, self._labelled = members, way, reference, labelled

    def of(self, arm: Arm) -> Trusted:
        """The arm's."""
        model: Scoring = self._members[0]
        if arm.name in ("mean", "worst", "uncertainty"):
            model = EnsembleReward(self._members, combine=arm.name)  # type: ignore[arg-type]
        transform: Transform = "par" if arm.name.startswith("par") else "none"
        proxy = Proxy(model, self._way, transform=transform, reference=self._reference)
        problems, texts = self._labelled.drawn.flat()
        rewards = proxy.of(problems, texts)
        drawn = proxy.of_reference() if model is self._members[0] else None
        found = calibrate(rewards, self._labelled.gold, [one.id for one in problems], drawn=drawn)
        return Trusted(proxy, found, self._labelled, rewards)


def regularizer_for(arm: Arm, trusted: Trusted) -> Regularizer:
    """What holds the arm back; its weight is from the labelled replies, never from the policy's gold.

    chi2 takes λ at the lower limit of r; max-min the estimate of r, at whose limit it would hardly move.
    """
    known = trusted.calibration
    if arm.name in ("kl", "kl-loss"):
        assert arm.weight is not None
        weight = arm.weight * known.sd_proxy_overall
        return (KlPenalty if arm.name == "kl" else KlLoss)(weight, reference_samples=_WATCHED)
    if arm.name in ("chi2", "par+chi2"):
        return ChiSquare((arm.weight or 1.0) * known.weight_high)
    if arm.name == "max-min":
        return MaxMin(max(known.r_overall, 1e-3), trusted.mean, known.sd_proxy_overall)
    return KlPenalty(0.0, reference_samples=_WATCHED)  # takes nothing off, and says how far the policy is
