"""The inner uncertainty signal: does a hidden state tell, before answering, that the answer will be right?

A regularised linear probe for each layer reads the residual stream at the prompt's last token (Kadavath et
al. 2022, Azaria & Mitchell 2023). Layer and regularisation are chosen on the validation documents, the
reported numbers come from the test documents, and across question types from types never trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from candor.core.errors import CandorError
from candor.model.probe import Floats, LinearProbe

Bools = NDArray[np.bool_]

# Strong to weak; with hundreds of questions and hundreds of dimensions the strong end wins.
_STRENGTHS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 1e-1, 1.0)


def fit_probe(
    hidden: Floats,
    labels: Bools,
    train: Bools,
    validation: Bools,
    *,
    layers: Sequence[int],
) -> tuple[LinearProbe, list[dict[str, float]], Floats]:
    """Fit a probe on every layer and choose one.

    Args:
        hidden: [n, layer, width].
        labels: [n], whether the greedy answer was right.
        train: [n], which questions to fit on.
        validation: [n], which to choose and calibrate on.
        layers: the layer numbers of the second axis.

    Returns:
        The best probe, calibrated; for each layer {layer, validation_auroc}; and the uncalibrated scores of
        all questions by every layer's best probe, [layer, n].

    Raises:
        CandorError: too few right or wrong answers to learn from.
    """
    for name, part in (("train", train), ("validation", validation)):
        right, wrong = int(labels[part].sum()), int((~labels[part]).sum())
        if min(right, wrong) < 3:
            raise CandorError(
                f"too few answers to learn an uncertainty signal from: {right} right and {wrong} wrong in "
                f"the {name} split (3 of each are needed)",
                fix="ask more questions (data.max_questions), or easier ones",
            )
    best: LinearProbe | None = None
    best_auroc, table, scores = -1.0, [], []
    for place, layer in enumerate(layers):
        states = hidden[:, place]
        probe, auroc = _best_strength(states, labels, train, validation, layer)
        table.append({"layer": layer, "validation_auroc": auroc})
        scores.append(probe.logit(states))
        if auroc > best_auroc:
            best, best_auroc = probe, auroc
    assert best is not None
    return (
        calibrated(best, hidden[:, list(layers).index(best.layer)], labels, validation),
        table,
        np.stack(scores),
    )


def calibrated(probe: LinearProbe, states: Floats, labels: Bools, chosen: Bools) -> LinearProbe:
    """The probe with its log-odds rescaled on the chosen questions (Platt 1999)."""
    logits = probe.logit(states[chosen])
    # A strongly regularised probe has tiny log-odds; unscaled, the penalty here would keep them tiny and
    # every confidence near the base rate. Scaled, it only keeps the slope finite where all is separable.
    spread = float(logits.std()) or 1.0
    platt = LogisticRegression(C=1.0).fit(logits[:, None] / spread, labels[chosen])
    return replace(probe, slope=float(platt.coef_[0, 0]) / spread, offset=float(platt.intercept_[0]))


def _best_strength(
    states: Floats, labels: Bools, train: Bools, validation: Bools, layer: int
) -> tuple[LinearProbe, float]:
    best: LinearProbe | None = None
    best_auroc = -1.0
    for strength in _STRENGTHS:
        probe = _fit(states[train], labels[train], layer, strength)
        auroc = float(roc_auc_score(labels[validation], probe.logit(states[validation])))
        if auroc > best_auroc:
            best, best_auroc = probe, auroc
    assert best is not None
    return best, best_auroc


def _fit(states: Floats, labels: Bools, layer: int, strength: float) -> LinearProbe:
    mean, scale = states.mean(axis=0), states.std(axis=0) + 1e-6
    model = LogisticRegression(C=strength, max_iter=300).fit((states - mean) / scale, labels)
    return LinearProbe(layer, model.coef_[0], float(model.intercept_[0]), mean, scale, strength=strength)


def scores_across_kinds(
    states: Floats, labels: Bools, kinds: Sequence[str], train: Bools, test: Bools, strength: float
) -> Floats:
    """Scores of test questions by probes that never saw a question of their kind, [n]; NaN elsewhere."""
    kinds_n = np.asarray(kinds)
    scores = np.full(len(labels), np.nan)
    for kind in sorted(set(kinds_n[test].tolist())):
        others = train & (kinds_n != kind)
        asked = test & (kinds_n == kind)
        if len(set(labels[others].tolist())) == 2:
            scores[asked] = _fit(states[others], labels[others], 0, strength).logit(states[asked])
    return scores


def threshold_for(scores: Floats, right: Bools, max_over_refusal: float) -> float:
    """The highest threshold that refuses at most this share of the right answers.

    Args:
        scores: [n], higher is surer; answers with a score under the threshold are refused.
        right: [n], whether the answer is right.
        max_over_refusal: share of right answers that may be refused.
    """
    kept = np.sort(scores[right])
    if not len(kept):
        return float("-inf")
    # The last bit of 0.29 * 100 must not cost an answer; a limit of 1 still keeps the surest answers.
    refused = int(np.floor(max_over_refusal * len(kept) + 1e-9))
    return float(kept[min(refused, len(kept) - 1)])
