"""Estimates with intervals: proportions, and bootstraps over documents for everything else.

Questions about one document are not independent, so the bootstrap draws whole clusters (documents) with
replacement. A replicate is a row of integer weights, how often each item was drawn: a statistic that can be
written with weights is computed for all replicates at once, which is why AUROC of 400 items with 1000
replicates takes milliseconds. Replicates depend on (`seed`, clusters) only, so two scores of the same items
are always compared on the same resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]
Weighted = Callable[[Floats], Floats]  # weights [replicate, item] -> statistic [replicate], NaN: undefined

BLOCK_ELEMENTS = 1 << 21  # weights held at once: 16 MiB as float64, and a few arrays of that size


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval (unless said otherwise) and the number of items behind it.

    `value` is None where the statistic is undefined (no items, one class only); `low` and `high` are None
    where no honest interval exists (one cluster, or too few resamples in which the statistic is defined).
    """

    value: float | None
    low: float | None
    high: float | None
    n: int

    def as_dict(self) -> dict[str, float | int | None]:
        """Plain numbers for JSON; None instead of NaN and infinities."""
        return {
            "value": _finite(self.value),
            "low": _finite(self.low),
            "high": _finite(self.high),
            "n": int(self.n),
        }


def wilson(k: float, n: float, confidence: float = 0.95) -> Estimate:
    """Proportion `k` of `n` with the score interval of Wilson (1927), sound at 0 and at 1.

    Raises:
        ValueError: not 0 <= k <= n.
    """
    if not 0 <= k <= n:
        raise ValueError(f"need 0 <= k <= n, got k={k}, n={n}")
    if n == 0:
        return Estimate(None, None, None, 0)
    z = float(ndtri(0.5 + confidence / 2))
    p = k / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # At the ends the bounds are exactly 0 and 1; rounding would leave 1e-17.
    low = 0.0 if k == 0 else max(0.0, centre - half)
    high = 1.0 if k == n else min(1.0, centre + half)
    return Estimate(p, low, high, round(n))


def proportion(hits: ArrayLike, clusters: ArrayLike | None = None, *, confidence: float = 0.95) -> Estimate:
    """Share of true `hits`, with a Wilson interval at the effective sample size under clustering.

    The effective size is n / deff (Kish 1965), deff being the variance of the clustered proportion over
    that of independent draws, never below 1. Where every item agrees deff can't be estimated, and the
    number of clusters is taken: the cautious end. Unlike a bootstrap this has an interval at 0 % and 100 %.
    """
    values = np.asarray(hits, dtype=np.float64)
    n = len(values)
    codes, count = _codes(clusters, n)
    plain = wilson(float(values.sum()), n, confidence)
    if clusters is None or n == 0:
        return plain
    p = float(values.mean())
    if count < 2:
        return Estimate(p, None, None, n)
    effective = float(count)
    if 0 < p < 1:
        residual = np.bincount(codes, weights=values - p, minlength=count)
        design_effect = float(residual @ residual) * count / (count - 1) / (p * (1 - p) * n)
        effective = n / max(1.0, design_effect)
    interval = wilson(p * effective, effective, confidence)
    return Estimate(p, interval.low, interval.high, n)


def bootstrap(
    statistic: Callable[..., float | None],
    *columns: ArrayLike,
    clusters: ArrayLike | None = None,
    replicates: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Estimate:
    """Percentile bootstrap (Efron 1979) of any statistic of equally long columns.

    Args:
        statistic: maps the columns, with the same rows drawn from each, to a number; None or NaN where it
            is undefined.
        columns: arrays with one row an item (further axes are allowed).
        clusters: a label for each item; whole clusters are drawn. None: every item is its own.
        replicates: resamples to draw.
        seed: the same seed and clusters give the same resamples for every statistic.
        confidence: mass between `low` and `high`.

    Returns:
        The statistic of the data and its percentile interval; None for the bounds if it is undefined in
        more than half of the replicates, or if there are fewer than two clusters.

    Raises:
        ValueError: the columns differ in length.
    """
    arrays = [np.asarray(column) for column in columns]
    n = len(arrays[0])
    if any(len(array) != n for array in arrays):
        raise ValueError(f"columns differ in length: {[len(array) for array in arrays]}")

    def weighted(weights: Floats) -> Floats:
        values = np.full(len(weights), np.nan)
        for row, counts in enumerate(weights):
            drawn = np.repeat(np.arange(n), counts.astype(np.int64))
            value = statistic(*(array[drawn] for array in arrays))
            values[row] = np.nan if value is None else value
        return values

    return _resample(weighted, n, clusters, replicates=replicates, seed=seed, confidence=confidence)


def paired_difference(a: ArrayLike, b: ArrayLike, clusters: ArrayLike | None = None, **how: Any) -> Estimate:
    """Mean of `a - b` over the same items, resampled by cluster. `how`: as for `bootstrap`."""
    left, right = _columns(a, b)
    return _mean(left - right, clusters, how)


def auroc(scores: ArrayLike, labels: ArrayLike, clusters: ArrayLike | None = None, **how: Any) -> Estimate:
    """Probability that a random positive outranks a random negative, ties counting half.

    Equal to scikit-learn's `roc_auc_score`; None when there is one class only. A perfect ranking has every
    replicate at 1: its interval then says nothing about the population.
    """
    ranking = _Ranking(scores, labels)
    return _resample(ranking.auroc, ranking.n, clusters, **how)


def paired_auroc_difference(
    scores_a: ArrayLike, scores_b: ArrayLike, labels: ArrayLike, clusters: ArrayLike | None = None, **how: Any
) -> Estimate:
    """AUROC of `scores_a` minus AUROC of `scores_b` on the same items and the same resamples."""
    a, b = _Ranking(scores_a, labels), _Ranking(scores_b, labels)
    return _resample(lambda weights: a.auroc(weights) - b.auroc(weights), a.n, clusters, **how)


def risk_coverage(scores: ArrayLike, correct: ArrayLike) -> tuple[list[float], list[float]]:
    """Selective risk at every coverage k/n when the k items with the highest scores are answered.

    Risk is the share of answers that are wrong (Geifman & El-Yaniv 2017, "Selective Classification for
    Deep Neural Networks"). Tied items are in random order: the risk is the mean over all their orders.

    Returns:
        (coverage, risk), both of length n, coverage rising from 1/n to 1.
    """
    ranking = _Ranking(scores, correct)
    if ranking.n == 0:
        return [], []
    count_G, errors_G = (groups[0] for groups in ranking.groups(np.ones((1, ranking.n))))
    answered = np.arange(1, ranking.n + 1)
    errors = np.interp(answered, np.append(0, count_G.cumsum()), np.append(0, errors_G.cumsum()))
    return (answered / ranking.n).tolist(), (errors / answered).tolist()


def aurc(scores: ArrayLike, correct: ArrayLike, clusters: ArrayLike | None = None, **how: Any) -> Estimate:
    """Area under the risk-coverage curve, the mean of its n risks: lower is better.

    AURC = 1/n Σ_k (wrong answers among the k highest scores) / k (Geifman & El-Yaniv 2017; Geifman, Uziel &
    El-Yaniv 2019). A random order gives the error rate. Ties take the mean over their orders, in closed
    form: a group of m items with e errors, after N items with E errors, adds
    Σ_{j=1..m} (E + j e/m) / (N + j) = e + (E - N e/m) (H(N+m) - H(N)), H being harmonic numbers.
    """
    ranking = _Ranking(scores, correct)

    def area(weights: Floats) -> Floats:
        count, errors = ranking.groups(weights)
        after, total = count.cumsum(axis=1), count.sum(axis=1)
        before = after - count
        errors_before = errors.cumsum(axis=1) - errors
        harmonic = np.append(0, np.cumsum(1 / np.arange(1, int(total.max(initial=0)) + 1)))
        steps = harmonic[after.astype(np.int64)] - harmonic[before.astype(np.int64)]
        rate = _divide(errors, count, empty=0.0)
        return _divide((errors + (errors_before - before * rate) * steps).sum(axis=1), total)

    return _resample(area, ranking.n, clusters, **how)


def risk_at_coverage(
    scores: ArrayLike, correct: ArrayLike, coverage: float, clusters: ArrayLike | None = None, **how: Any
) -> Estimate:
    """Share of wrong answers when the `coverage` (0 to 1] of items with the highest scores is answered."""
    if not 0 < coverage <= 1:
        raise ValueError(f"coverage must be in (0, 1], got {coverage}")
    ranking = _Ranking(scores, correct)

    def risk(weights: Floats) -> Floats:
        count, errors = ranking.groups(weights)
        answered = coverage * count.sum(axis=1)
        rows = zip(answered, count.cumsum(axis=1), errors.cumsum(axis=1), strict=True)
        wrong = [np.interp(k, np.append(0, N), np.append(0, E)) for k, N, E in rows]
        return _divide(np.asarray(wrong), answered)

    return _resample(risk, ranking.n, clusters, **how)


def brier(
    confidence: ArrayLike, correct: ArrayLike, clusters: ArrayLike | None = None, **how: Any
) -> Estimate:
    """Mean squared distance between confidence in [0, 1] and outcome (Brier 1950): lower is better."""
    stated, outcome = _columns(confidence, correct)
    return _mean((stated - outcome) ** 2, clusters, how)


def expected_calibration_error(
    confidence: ArrayLike,
    correct: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    bins: int = 10,
    **how: Any,
) -> Estimate:
    """Mean gap between confidence and accuracy over equally wide bins (Naeini et al. 2015; Guo et al. 2017).

    A gap can't be negative, so noise adds to it: resamples lie above the value when items are few.
    """
    stated, outcome = _columns(confidence, correct)
    member_NB = np.eye(bins)[_bin_of(stated, bins)]

    def gap(weights: Floats) -> Floats:
        gaps = (weights * (stated - outcome)) @ member_NB
        return _divide(np.abs(gaps).sum(axis=1), weights.sum(axis=1))

    return _resample(gap, len(stated), clusters, **how)


def reliability_bins(
    confidence: ArrayLike, correct: ArrayLike, bins: int = 10
) -> list[dict[str, float | int | None]]:
    """Rows of a reliability diagram: mean `confidence`, `accuracy` with Wilson bounds, `n`; no empty bins."""
    stated, outcome = _columns(confidence, correct)
    index = _bin_of(stated, bins)
    rows = []
    for i in np.unique(index):
        inside = index == i
        share = wilson(float(outcome[inside].sum()), int(inside.sum())).as_dict()
        rows.append(
            {
                "confidence": float(stated[inside].mean()),
                "accuracy": share["value"],
                "low": share["low"],
                "high": share["high"],
                "n": share["n"],
            }
        )
    return rows


def _resample(
    weighted: Weighted,
    n: int,
    clusters: ArrayLike | None,
    *,
    replicates: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Estimate:
    if n == 0:
        return Estimate(None, None, None, 0)
    codes, count = _codes(clusters, n)
    value = _finite(float(weighted(np.ones((1, n)))[0]))
    if value is None or count < 2 or replicates < 1:
        return Estimate(value, None, None, n)
    drawn = np.concatenate([weighted(block) for block in _weights(codes, count, replicates, seed)])
    defined = drawn[np.isfinite(drawn)]
    if 2 * len(defined) < replicates:
        return Estimate(value, None, None, n)
    low, high = np.quantile(defined, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Estimate(value, float(low), float(high), n)


def _weights(codes: NDArray[np.int64], count: int, replicates: int, seed: int) -> Iterator[Floats]:
    """Yield blocks [replicate, item] of how often each item is drawn when `count` clusters are drawn."""
    random = np.random.default_rng(seed)
    rows = max(1, BLOCK_ELEMENTS // len(codes))
    for start in range(0, replicates, rows):
        size = min(rows, replicates - start)
        picks = random.integers(count, size=(size, count)) + np.arange(size)[:, None] * count
        times = np.bincount(picks.ravel(), minlength=size * count).reshape(size, count)
        yield times[:, codes].astype(np.float64)


class _Ranking:
    """Items sorted by falling score, with ties grouped, ready for many weightings."""

    def __init__(self, scores: ArrayLike, labels: ArrayLike) -> None:
        values, labels_N = _columns(scores, labels)
        if np.isnan(values).any():
            raise ValueError("a NaN score has no rank: drop the item or give it a score")
        if not np.isin(labels_N, (0, 1)).all():
            raise ValueError("labels must be true or false")
        self.n = len(values)
        self.order = np.argsort(-values, kind="stable")
        self.labels = labels_N[self.order]
        falling = values[self.order]
        # != rather than diff: the difference of two infinities is NaN.
        self.starts = (
            np.flatnonzero(np.append(True, falling[1:] != falling[:-1])) if self.n else np.zeros(0, int)
        )

    def groups(self, weights: Floats) -> tuple[Floats, Floats]:
        """Items and false labels in each group of equal scores, best first: two of [replicate, group]."""
        falling = weights[:, self.order]
        count = np.add.reduceat(falling, self.starts, axis=1)
        return count, np.add.reduceat(falling * (1 - self.labels), self.starts, axis=1)

    def auroc(self, weights: Floats) -> Floats:
        count, negative = self.groups(weights)
        positive, total = count - negative, negative.sum(axis=1)
        below = total[:, None] - negative.cumsum(axis=1)
        won = (positive * (below + negative / 2)).sum(axis=1)
        return _divide(won, positive.sum(axis=1) * total)


def _mean(values: Floats, clusters: ArrayLike | None, how: dict[str, Any]) -> Estimate:
    return _resample(lambda w: _divide(w @ values, w.sum(axis=1)), len(values), clusters, **how)


def _divide(a: Floats, b: Floats, empty: float = np.nan) -> Floats:
    return np.divide(a, b, out=np.full(a.shape, empty), where=b != 0)


def _columns(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if left.ndim != 1 or left.shape != right.shape:
        raise ValueError(f"need two columns of one length, got shapes {left.shape} and {right.shape}")
    return left, right


def _codes(clusters: ArrayLike | None, n: int) -> tuple[NDArray[np.int64], int]:
    if clusters is None:
        return np.arange(n), n
    labels = np.asarray(clusters)
    if labels.shape != (n,):
        raise ValueError(f"need one cluster for each of {n} items, got shape {labels.shape}")
    names, codes = np.unique(labels, return_inverse=True)
    return codes.astype(np.int64), len(names)


def _bin_of(confidence: Floats, bins: int) -> NDArray[np.int64]:
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError("confidence must lie in [0, 1]")
    return np.minimum((confidence * bins).astype(np.int64), bins - 1)


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
