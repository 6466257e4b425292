"""How much better than expected each completion was: rewards [prompts, samples] to advantages alike.

All take the mean away in some way, so that the gradient has less variance and the same direction.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from candor.core.errors import InputError

Floats = NDArray[np.float64]

# Where rewards don't vary, nothing is divided by their deviation.
_LEAST_DEVIATION = 1e-8


def grpo(rewards_PS: Floats, *, std: bool = False) -> Floats:
    """Reward less the mean of its prompt's (Shao et al. 2024, DeepSeekMath).

    Args:
        rewards_PS: [prompts, samples].
        std: also divide by the prompt's standard deviation, as the paper does. Prompts that are nearly always
            or nearly never solved then weigh more than others, which is a bias; off, as in Dr. GRPO
            (Liu et al. 2025).
    """
    centred = rewards_PS - rewards_PS.mean(axis=1, keepdims=True)
    return _divided(centred, rewards_PS.std(axis=1, keepdims=True)) if std else centred


def rloo(rewards_PS: Floats, *, std: bool = False) -> Floats:
    """Reward less the mean of the prompt's other completions (Kool et al. 2019; Ahmadian et al. 2024).

    It is `grpo` times samples / (samples - 1): the baseline does not contain the reward itself, so the
    gradient's expectation is exact.

    Args:
        rewards_PS: [prompts, samples], at least two samples.
        std: as in `grpo`.
    """
    samples = rewards_PS.shape[1]
    others = (rewards_PS.sum(axis=1, keepdims=True) - rewards_PS) / max(1, samples - 1)
    centred = rewards_PS - others if samples > 1 else np.zeros_like(rewards_PS)
    return _divided(centred, rewards_PS.std(axis=1, keepdims=True)) if std else centred


def reinforce_plus_plus(rewards_PS: Floats, *, std: bool = True) -> Floats:
    """Reward less the mean of the whole batch, over the batch's standard deviation (Hu 2025, REINFORCE++).

    No prompt is compared with itself: one sample a prompt is enough, and prompts whose completions are all
    right still teach.

    Args:
        rewards_PS: [prompts, samples].
        std: divide by the deviation. One factor for all is no bias, only a scale.
    """
    centred = rewards_PS - rewards_PS.mean()
    return _divided(centred, rewards_PS.std()) if std else centred


def _divided(values: Floats, deviation: Floats | float) -> Floats:
    varies = np.asarray(deviation) > _LEAST_DEVIATION
    return np.where(varies, values / np.where(varies, deviation, 1.0), 0.0)


ADVANTAGES: dict[str, Callable[..., Floats]] = {
    "grpo": grpo,
    "rloo": rloo,
    "reinforce++": reinforce_plus_plus,
}


def advantages(name: str, rewards_PS: Floats, *, std: bool | None = None) -> Floats:
    """Advantages by the name of the method; `std` None takes the method's default.

    Raises:
        InputError: there is no such method.
    """
    if name not in ADVANTAGES:
        raise InputError(
            f"there are no advantages '{name}'",
            field="advantage",
            fix=f"choose one of {', '.join(ADVANTAGES)}",
        )
    return ADVANTAGES[name](rewards_PS, **({} if std is None else {"std": std}))


def without_variance(rewards_PS: Floats) -> float:
    """Share of prompts whose completions were all rewarded alike: they say nothing about what is better."""
    return float((np.ptp(rewards_PS, axis=1) <= _LEAST_DEVIATION).mean()) if rewards_PS.size else 0.0
