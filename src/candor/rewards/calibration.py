"""How far a proxy reward is to be trusted, from a few completions of the reference with gold labels.

    R̃ = a · R + b(prompt) + e

fitted by least squares within prompts. The regulariser's weight is λ = sd(e), and what certifies is its upper
confidence limit (`bound.residual_bound`). Any a > 0 makes a valid bound, so the limit is of sd(e) at the
population's a, the one that makes it smallest.

Prompts weigh alike, however many of their completions have labels: the bounds' expectations are over prompts
first. Limits treat a prompt as one draw (`core.limits`). Their coverage, measured, is in docs/guide-audit.md:
at 95 % or a little above for errors that are about normal, less where an error is rare and large, which no
number of labels short of seeing it can show.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from candor.core.errors import InputError
from candor.core.limits import Limits, limits
from candor.rewards.bound import chi2_weight

Floats = NDArray[np.float64]

# A share of a variance below which it is rounding.
_NOTHING = 1e-12


@dataclass(frozen=True)
class Calibration:
    """A proxy beside gold labels under the reference policy.

    Within prompts is what the sharper bound (`bound.residual_bound`) goes by; overall, with the differences
    between prompts in it, is what the definition of an r-correlated proxy and the theorem mean.

    Attributes:
        slope: a, proxy units for each unit of gold, and its one-sided limits `slope_low`, `slope_high`.
        residual_sd: sd(e) within prompts, in proxy units: λ.
        residual_sd_high: its one-sided upper confidence limit.
        r: the correlation of proxy and gold within prompts, and its one-sided lower limit `r_low`.
        sd_proxy, sd_gold: their standard deviations within prompts.
        prompts, n: prompts with at least two labelled completions, and these completions.
        r_overall: the correlation over all prompts together, with its limits `r_overall_low` and
            `r_overall_high`, each one-sided.
        sd_proxy_overall, sd_gold_overall: their standard deviations over all prompts together.
        sd_proxy_all: the proxy's deviation within prompts over all of the reference's completions that were
            drawn, with labels or without; `sd_proxy` where there are no others.
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
    slope_high: float
    r_overall: float
    r_overall_low: float
    r_overall_high: float
    sd_proxy_overall: float
    sd_gold_overall: float
    sd_proxy_all: float

    @property
    def weight(self) -> float:
        """λ of √χ²: the deviation of the proxy's error within prompts."""
        return self.residual_sd

    @property
    def weight_high(self) -> float:
        """λ with care: σ̃ · sqrt(1 - r_low²), within prompts, σ̃ being `sd_proxy_all`.

        An upper limit of λ as far as σ̃ is known, for which labels are not needed: with that of 800 × 4
        completions beside labels of 50 × 4 it is at least sd(e) in 88–95 % of draws and at least .976 of it
        in 95 %, by the shape of errors; with σ̃ of the labelled ones alone in 64–95 %, and .86 (`limits` of
        `benchmarks/audit.py`). Unlike `residual_sd_high` it is never above σ̃, where nothing could move.
        """
        return chi2_weight(self.sd_proxy_all, max(0.0, self.r_low))

    def as_dict(self) -> dict[str, float | int | None]:
        """Plain numbers for JSON; None for a limit that could not be found."""
        return {name: value if np.isfinite(value) else None for name, value in asdict(self).items()}

    @classmethod
    def of(cls, value: dict[str, Any]) -> Calibration:
        """The way back from `as_dict`: a lower limit that could not be found is as low as can be."""
        value = {"sd_proxy_all": value["sd_proxy"], **value}  # runs of before have none
        lowest = {name: -np.inf if name.endswith("_low") else np.inf for name in value}
        whole: dict[str, Any] = {key: lowest[key] if found is None else found for key, found in value.items()}
        return cls(**whole)


def calibrate(
    proxy: ArrayLike,
    gold: ArrayLike,
    prompts: ArrayLike,
    *,
    drawn: tuple[ArrayLike, ArrayLike] | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    replicates: int = 1000,
) -> Calibration:
    """Fit, with limits that treat a prompt as one draw.

    Args:
        proxy, gold: rewards of completions of the reference, [n].
        prompts: a label of each one's prompt, [n].
        drawn: the proxy's rewards of all completions of the reference, labelled or not, and each one's
            prompt, [m] each.
        confidence: of each one-sided limit.
        seed: of the bootstrap.
        replicates: of the bootstrap.

    Raises:
        InputError: fewer than two prompts with two completions, rewards that are no numbers, or a proxy or
            gold that never varies within a prompt.
    """
    proxy_N, gold_N, code_N, count_P = _checked(proxy, gold, prompts)
    within_PK = _within(gold_N, proxy_N, code_N, count_P)
    overall_PK = _overall(gold_N, proxy_N, code_N, count_P)
    gold_variance, covariance, proxy_variance = within_PK.mean(axis=0)
    for name, values, variance in (("gold", gold_N, gold_variance), ("proxy", proxy_N, proxy_variance)):
        if variance <= _NOTHING * float(np.mean(values**2)):
            raise InputError(
                f"the {name} reward never varies within a prompt: nothing can be compared with it",
                field=name,
                fix="label completions of the reference that differ, drawn at temperature 1",
            )
    # Fitting a took one degree of freedom from the n - prompts that the means of prompts left.
    free = len(proxy_N) - len(count_P)
    correction = free / (free - 1)
    how: dict[str, Any] = {"confidence": confidence, "seed": seed, "replicates": replicates}
    slope = limits(within_PK, lambda m: m[..., 1] / m[..., 0], **how)
    r = limits(within_PK, lambda m: _fisher(m[..., 1], m[..., 0], m[..., 2]), **how)
    residual_variance = (proxy_variance - covariance**2 / gold_variance) * correction
    if residual_variance > _NOTHING * proxy_variance:
        found = limits(within_PK, lambda m: _log_residual(m, correction), **how)
        residual_sd, residual_sd_high = float(np.exp(found.value)), float(np.exp(found.high))
        r_low = float(np.tanh(r.low))
    else:
        residual_sd, residual_sd_high = 0.0, _never_seen(proxy_N, code_N, count_P, confidence)
        r_low = float(np.sqrt(max(0.0, 1 - residual_sd_high**2 / proxy_variance)))
    overall = _overall_correlation(overall_PK, how)
    gold_sd, proxy_sd = _overall_deviations(overall_PK)
    return Calibration(
        slope=slope.value,
        slope_low=slope.low,
        slope_high=slope.high,
        residual_sd=residual_sd,
        residual_sd_high=residual_sd_high,
        r=float(np.tanh(r.value)),
        r_low=r_low,
        sd_proxy=float(np.sqrt(proxy_variance)),
        sd_gold=float(np.sqrt(gold_variance)),
        prompts=len(count_P),
        n=len(proxy_N),
        r_overall=overall.value,
        r_overall_low=overall.low,
        r_overall_high=overall.high,
        sd_proxy_overall=proxy_sd,
        sd_gold_overall=gold_sd,
        sd_proxy_all=float(np.sqrt(proxy_variance)) if drawn is None else _deviation_within(*drawn),
    )


def correlation(
    proxy: ArrayLike, gold: ArrayLike, prompts: ArrayLike, *, confidence: float = 0.95, seed: int = 0
) -> Limits:
    """r over all prompts together, with one-sided limits; one completion of a prompt is enough.

    Args:
        proxy, gold: rewards of completions of the reference, [n].
        prompts: a label of each one's prompt, [n].
        confidence: of each limit.
        seed: of the bootstrap.
    """
    _, code_N, count_P = np.unique(np.asarray(prompts), return_inverse=True, return_counts=True)
    gold_N, proxy_N = np.asarray(gold, dtype=np.float64), np.asarray(proxy, dtype=np.float64)
    overall_PK = _overall(gold_N, proxy_N, code_N.astype(np.int64), count_P.astype(np.float64))
    return _overall_correlation(overall_PK, {"confidence": confidence, "seed": seed})


def _checked(
    proxy: ArrayLike, gold: ArrayLike, prompts: ArrayLike
) -> tuple[Floats, Floats, NDArray[np.int64], Floats]:
    """Rewards of prompts with at least two completions, which prompt each is of, and how many each has."""
    proxy_N, gold_N = np.asarray(proxy, dtype=np.float64), np.asarray(gold, dtype=np.float64)
    labels_N = np.asarray(prompts)
    if proxy_N.ndim != 1 or not proxy_N.shape == gold_N.shape == labels_N.shape:
        shapes = f"{proxy_N.shape}, {gold_N.shape} and {labels_N.shape}"
        raise ValueError(f"need as many proxy as gold rewards and prompts, got shapes {shapes}")
    for name, values in (("proxy", proxy_N), ("gold", gold_N)):
        if not np.isfinite(values).all():
            raise InputError(
                f"{int((~np.isfinite(values)).sum())} of {len(values)} {name} rewards are no finite numbers",
                field=name,
                fix="leave these completions out, or give each a number",
            )
    _, code_N, count_P = np.unique(labels_N, return_inverse=True, return_counts=True)
    kept_N = (count_P > 1)[code_N]
    if (count_P > 1).sum() < 2:
        raise InputError(
            f"{int((count_P > 1).sum())} prompts have two labelled completions or more, of {len(count_P)}: "
            "two are the least, and 50 with four each a good number",
            field="gold",
            fix="label several completions of each prompt",
        )
    _, code_N, count_P = np.unique(code_N[kept_N], return_inverse=True, return_counts=True)
    return proxy_N[kept_N], gold_N[kept_N], code_N.astype(np.int64), count_P.astype(np.float64)


def _within(gold_N: Floats, proxy_N: Floats, code_N: NDArray[np.int64], count_P: Floats) -> Floats:
    """Unbiased variance of gold, covariance, variance of the proxy in each prompt: [prompts, 3]."""
    x, y = (
        values - (np.bincount(code_N, weights=values) / count_P)[code_N]
        for values in (gold_N, proxy_N)
    )  # fmt: skip
    columns = [np.bincount(code_N, weights=product) / (count_P - 1) for product in (x * x, x * y, y * y)]
    return np.stack(columns, axis=1)


def _overall(gold_N: Floats, proxy_N: Floats, code_N: NDArray[np.int64], count_P: Floats) -> Floats:
    """Means of gold, proxy, gold², gold·proxy, proxy² of each prompt, [prompts, 5], both rewards centred.

    Centred so that squares keep their digits.
    """
    x, y = (values - (np.bincount(code_N, weights=values) / count_P).mean() for values in (gold_N, proxy_N))
    columns = [np.bincount(code_N, weights=product) / count_P for product in (x, y, x * x, x * y, y * y)]
    return np.stack(columns, axis=1)


def _deviation_within(values: ArrayLike, prompts: ArrayLike) -> float:
    """The standard deviation within prompts of at least two values; prompts weigh alike."""
    _, code_N, count_P = np.unique(np.asarray(prompts), return_inverse=True, return_counts=True)
    kept_N = (count_P > 1)[code_N]
    _, code_N, count_P = np.unique(code_N[kept_N], return_inverse=True, return_counts=True)
    values_N = np.asarray(values, dtype=np.float64)[kept_N]
    within_PK = _within(values_N, values_N, code_N.astype(np.int64), count_P.astype(np.float64))
    return float(np.sqrt(within_PK[:, 0].mean()))


def _log_residual(within: Floats, correction: float) -> Floats:
    """log sd(e) of mean moments within prompts."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return 0.5 * np.log((within[..., 2] - within[..., 1] ** 2 / within[..., 0]) * correction)


def _fisher(covariance: Floats, variance: Floats, other: Floats) -> Floats:
    """Fisher's z of a correlation; finite at 1, where rounding is all that differs."""
    with np.errstate(divide="ignore", invalid="ignore"):
        r = covariance / np.sqrt(variance * other)
    return np.arctanh(np.clip(r, -1 + _NOTHING, 1 - _NOTHING))


def _overall_correlation(overall_PK: Floats, how: dict[str, Any]) -> Limits:
    def fisher(m: Floats) -> Floats:
        gold, proxy = m[..., 2] - m[..., 0] ** 2, m[..., 4] - m[..., 1] ** 2
        return _fisher(m[..., 3] - m[..., 0] * m[..., 1], gold, proxy)

    found = limits(overall_PK, fisher, **how)
    value, low, high = (float(np.tanh(z)) for z in (found.value, found.low, found.high))
    return Limits(value, low, high)


def _overall_deviations(overall_PK: Floats) -> tuple[float, float]:
    """Standard deviations of gold and proxy; a mean's square is too large by the mean's variance."""
    of_mean_K = overall_PK.var(axis=0, ddof=1) / len(overall_PK)
    mean_K = overall_PK.mean(axis=0)
    gold = mean_K[2] - mean_K[0] ** 2 + of_mean_K[0]
    proxy = mean_K[4] - mean_K[1] ** 2 + of_mean_K[1]
    return float(np.sqrt(max(gold, 0.0))), float(np.sqrt(max(proxy, 0.0)))


def _never_seen(proxy_N: Floats, code_N: NDArray[np.int64], count_P: Floats, confidence: float) -> float:
    """An upper limit of sd(e) where no completion showed any error.

    What n draws never showed has a probability below 1 - (1 - confidence)^(1/n), and its error is taken to be
    as large as the proxy's whole range within prompts. Prompts are counted as the draws.
    """
    centred = proxy_N - (np.bincount(code_N, weights=proxy_N) / count_P)[code_N]
    probability = 1 - (1 - confidence) ** (1 / len(count_P))
    return float(np.sqrt(probability) * np.ptp(centred))
