"""How far to go from the untuned weights towards the tuned ones: one dial for how readily a model refuses.

weights(α) = untuned + α · (tuned − untuned), in float32 (Wortsman et al. 2022 for α < 1; Ilharco et al. 2023
for α > 1). The result is an ordinary checkpoint, so the limit on over-refusal that the user set holds in
any server, without a gate. α is chosen on the validation documents by bisection: refusing grows with α.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Trial:
    """What a blend did on the validation questions."""

    alpha: float
    over_refusal: float  # share of the questions answered rightly before that are refused now
    refused_unknown: float  # share of the questions answered wrongly before that are refused now


@torch.no_grad()
def set_blend(
    model: nn.Module, untuned: Mapping[str, torch.Tensor], tuned: Mapping[str, torch.Tensor], alpha: float
) -> None:
    """Set the model's weights to a blend, rounded once to the model's type."""
    for name, parameter in model.named_parameters():
        if name in tuned:
            parameter.copy_(torch.lerp(untuned[name].float(), tuned[name].float(), alpha))


def choose_alpha(
    measure: Callable[[float], Trial],
    max_over_refusal: float,
    *,
    lowest: float = 0.25,
    highest: float = 1.5,
    steps: int = 5,
) -> tuple[float, list[Trial]]:
    """The largest α found that keeps over-refusal within the limit.

    Args:
        measure: tries one α on the validation questions.
        max_over_refusal: the user's limit.
        lowest: where to end if nothing keeps the limit.
        highest: beyond this a model is extrapolated too far from anything it was trained to be.
        steps: trials of the bisection.

    Returns:
        α, and every trial in the order made.
    """
    trials = [measure(1.0)]
    low, high = (1.0, highest) if trials[0].over_refusal <= max_over_refusal else (lowest, 1.0)
    best = 1.0 if trials[0].over_refusal <= max_over_refusal else None
    for _ in range(steps - 1):
        if high - low < 0.04:
            break
        trial = measure((low + high) / 2)
        trials.append(trial)
        if trial.over_refusal <= max_over_refusal:
            low = trial.alpha
            best = trial.alpha if best is None else max(best, trial.alpha)
        else:
            high = trial.alpha
    return (lowest if best is None else best), trials
