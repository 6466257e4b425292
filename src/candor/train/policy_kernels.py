"""The policy gradient at the logits, in the memory of the logits; see `model.kernels` on kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, prange

from candor.model.kernels import exp, kernel, load, store


@kernel
def policy_gradient(
    logits: Any,  # [rows · vocabulary]; with `learns` overwritten by the gradient of the loss
    vocabulary: int,
    sharpness: float,  # 1 / temperature: the policy is softmax(sharpness · logits)
    targets: Any,  # [rows]
    weights: Any,  # [rows] float32: advantage over what the loss is divided by
    old: Any,  # [rows] float32: log-probability under the policy that drew it; above 0: that is this one
    low: float,  # ratios outside [1 - low, 1 + high] that would move on outwards send nothing back
    high: float,
    learns: bool,
    logprobs: Any,  # [rows] float32, written: log-probability of the target
    ratios: Any,  # [rows] float32, written: of the probabilities, new to old
    clipped: Any,  # [rows] bool, written: nothing was sent back because of the clip
) -> None:
    """d/dlogits of -Σ min(ratio · weight, clip(ratio) · weight) (Schulman et al. 2017), row by row."""
    sharp = np.float32(sharpness)
    for index in prange(len(targets)):
        row = int64(index)
        line = logits[row * vocabulary : (row + 1) * vocabulary]
        target = int64(targets[row])
        top = load(line, 0)
        for i in range(vocabulary):
            top = max(top, load(line, i))
        total = np.float32(0.0)
        for begin in range(0, vocabulary, 1024):
            some = line[begin : begin + 1024]
            partial = np.float32(0.0)
            for i in range(len(some)):
                partial += exp((load(some, i) - top) * sharp)
            total += partial
        chosen = (load(line, target) - top) * sharp
        logprob = chosen - np.log(total)
        weight = weights[row]
        ratio = np.float32(1.0)
        # Not a test for NaN, which fast arithmetic may take for never true: log-probabilities are at most 0.
        if old[row] <= np.float32(0.5):
            ratio = np.exp(logprob - old[row])
        outside = (weight > 0 and ratio > np.float32(1.0 + high)) or (
            weight < 0 and ratio < np.float32(1.0 - low)
        )
        logprobs[row], ratios[row], clipped[row] = logprob, ratio, outside
        if learns:
            factor = np.float32(0.0) if outside else weight * ratio * sharp
            share = factor / total
            for i in range(vocabulary):
                store(line, i, exp((load(line, i) - top) * sharp) * share)
            store(line, target, (np.exp(chosen) / total - np.float32(1.0)) * factor)
