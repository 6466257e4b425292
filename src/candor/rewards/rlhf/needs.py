"""What a run of RLHF can't do without, told before its long parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from candor.core.errors import CandorError, InputError
from candor.rewards.calibration import Calibration

Floats = NDArray[np.float64]

# Two to hold out, as the labels of one prompt have no limits, and two to learn from.
_LEAST_PROMPTS = 4


def need_prompts(count: int, path: Path) -> None:
    """See that there are enough prompts to hold some out.

    Raises:
        InputError: there are too few.
    """
    if count < _LEAST_PROMPTS:
        raise InputError(
            f"there are {count} prompts in it; {_LEAST_PROMPTS} are the least, half of them held out",
            path=path,
            fix="give more prompts, some hundreds if you can",
        )


def need_variation(rewards_PS: Floats, name: str) -> None:
    """See that a reward model tells one reply from another.

    Args:
        rewards_PS: of the reference's replies, [prompts, samples].
        name: of the reward model.

    Raises:
        CandorError: rewards are no numbers, or the same for all of a prompt's replies, for every prompt.
    """
    if bad := int((~np.isfinite(rewards_PS)).sum()):
        raise CandorError(
            f"the reward model {name} gives {bad} of {rewards_PS.size} replies no finite number",
            fix="its weights may hold NaN: train it again, with a lower learning rate",
        )
    if rewards_PS.shape[1] > 1 and not np.ptp(rewards_PS, axis=1).any():
        raise CandorError(
            f"the reward model {name} gives all replies to a prompt the same reward, for every prompt: "
            "nothing can be learned from it",
            fix="look at its report, and at whether the policy's replies differ at all (reference.jsonl)",
        )


def not_shown(known: Calibration, r: float, low: float, where: str) -> CandorError:
    """What is said of labels that don't show r above 0.

    Args:
        known: from the labels.
        r, low: the correlation and its lower limit.
        where: what it was taken over.
    """
    cure = "label more replies whose gold differs, or train a better reward model"
    if r > 0:
        cure += ", or take the estimate, in another folder: --set calibration.cautious=false --out NEW"
    return CandorError(
        f"{known.n} labels of {known.prompts} prompts don't show that the reward goes with gold at all "
        f"(r {where} {r:.2f}, at least {low:.2f})",
        fix=cure,
    )
