"""How far a proxy reward is to be trusted, from a few completions of the reference with gold labels.

    R̃ = a · R + b(prompt) + e

fitted by least squares within prompts. The regulariser's weight is λ = sd(e), and what certifies is its upper
confidence limit (`bound.residual_bound`).
"""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Calibration:
    """A proxy beside gold labels under the reference policy.

    Attributes:
        slope: a, proxy units for each unit of gold.
        residual_sd: sd(e) within prompts, in proxy units: λ.
        residual_sd_high: its one-sided upper confidence limit.
        r: the correlation of proxy and gold within prompts, and its one-sided lower limit `r_low`.
        sd_proxy, sd_gold: their standard deviations within prompts.
        prompts, n: prompts with at least two labelled completions, and these completions.
    """

    slope: float
    slope_low: float
    residual_sd: float
    residual_sd_high: float
    r: float
    r_low: float
    sd_proxy: float
    sd_gold: float
    prompts: int
    n: int


def calibrate(
    proxy: ArrayLike, gold: ArrayLike, prompts: ArrayLike, *, confidence: float = 0.95, seed: int = 0
) -> Calibration:
    """Fit, with limits from a bootstrap over prompts.

    Args:
        proxy, gold: rewards of completions of the reference, [n].
        prompts: a label of each one's prompt, [n].
        confidence: of each one-sided limit.
        seed: of the bootstrap.

    Raises:
        InputError: fewer than two prompts with two completions, rewards that are no numbers, or a proxy or
            gold that never varies.
    """
    raise NotImplementedError
