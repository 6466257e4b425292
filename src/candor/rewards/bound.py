"""What a proxy reward's gain says of the true reward's: the bounds, their weights, and the certificate.

Setting: a reference policy π₀, a policy π, a true reward R and a proxy R̃, all over completions of prompts.
Under π₀ they have standard deviations σ and σ̃ and the correlation r > 0 ("r-correlated proxy"). *Reward
hacking* is that π, optimised for such a proxy, has less true reward than π₀ (Laidlaw, Singhal, Dragan, ICLR
2025). In this module

    gain   = (E_π[R̃] - E_π₀[R̃]) / σ̃      the proxy's gain in its standard deviations under π₀
    chi2   = χ²(π‖π₀), of whole completions (`candor.rl.divergence`), or of occupancies in an environment

and bounds are on (E_π[R] - E_π₀[R]) / σ. All functions work on numbers and on arrays alike.

Why they hold: write the normalised proxy as r · (normalised true reward) + sqrt(1 - r²) · ε; ε has mean 0 and
variance 1 and is orthogonal to the true reward. With L = π/π₀ the true gain is E₀[(L-1)R], so
r · true gain = gain - sqrt(1 - r²) · E₀[(L-1)ε]. Cauchy–Schwarz gives |E₀[(L-1)ε]| ≤ sqrt(chi2): the
theorem. It wastes something, as L-1 cannot be all along ε when it is partly along the proxy: among all true
rewards with correlation r, the worst one for the given L has `max_min_bound` exactly (Liu, Sun, Zheng, ICLR
2026).
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", float, NDArray[np.float64])


def theorem_bound(gain: Number, chi2: Number, r: Number) -> Number:
    """(gain - sqrt((1 - r²) · chi2)) / r: the true gain is at least this, in σ.

    Holds for 0 < r ≤ 1.
    """
    return (gain - np.sqrt((1 - r**2) * chi2)) / r  # type: ignore[return-value]


def max_min_bound(gain: Number, chi2: Number, r: Number) -> Number:
    """r · gain - sqrt(1 - r²) · sqrt(chi2 - gain²): the true gain is at least this, in σ.

    The worst case over all true rewards of correlation r, so it can't be improved without knowing more. With
    gain = sqrt(chi2) · cos φ and r = cos α it is sqrt(chi2) · cos(α + φ), and `theorem_bound` is less by
    sqrt(chi2) · tan α · (1 - sin(α + φ)): never above it, and equal where both are 0, or r is 1. So they are
    positive together. gain² ≤ chi2 always holds of exact values (Cauchy–Schwarz); estimates that break it
    are read as equal.
    """
    return r * gain - np.sqrt((1 - r**2) * np.maximum(chi2 - gain**2, 0.0))  # type: ignore[return-value]


def kappa(gain: Number, chi2: Number) -> Number:
    """gain / sqrt(chi2), in [-1, 1]: how much of the policy's change is along the proxy. 0 for no change."""
    root = np.sqrt(chi2)
    return np.where(root > 0, gain / np.where(root > 0, root, 1.0), 0.0)[()]  # type: ignore[return-value]


def needed_kappa(r: Number) -> Number:
    """sqrt(1 - r²): where kappa is above it, both bounds are positive, and only there."""
    return np.sqrt(1 - r**2)  # type: ignore[return-value]


def chi2_weight(sd_proxy: float, r: float) -> float:
    """λ = σ̃ · sqrt(1 - r²) of the objective E_π[R̃] - λ · sqrt(chi2), in the proxy's units.

    Maximising the objective maximises the theorem's bound, times r · σ̃ / σ.
    """
    return sd_proxy * float(np.sqrt(1 - r**2))


def max_min_weight(r: float) -> float:
    """sqrt(1 - r²) / r of the objective gain - weight · sqrt(chi2 - gain²), in standard deviations."""
    return float(np.sqrt(1 - r**2) / r)


def residual_bound(gain_in_units: Number, chi2: Number, slope: Number, residual_sd: Number) -> Number:
    """(E_π[R̃] - E_π₀[R̃] - sd(e) · sqrt(chi2)) / a, in the true reward's units, for R̃ = a·R + b(prompt) + e.

    Any a > 0 and any b give a valid bound: b is the same under both policies, as prompts are, and
    E_π[e] ≤ sqrt(chi2) · sd(e) whatever e is, sd(e) being taken within prompts. With one b for all prompts
    and a by least squares it is `theorem_bound` times σ; a b for each prompt can only make sd(e) smaller.
    """
    return (gain_in_units - residual_sd * np.sqrt(chi2)) / slope  # type: ignore[return-value]
