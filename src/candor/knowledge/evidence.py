"""The numbers of a knowledge run: pure functions from judged items to metrics with intervals.

Everything here is about held-out questions, the same ones before and after; intervals are bootstraps by
document unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candor.core.statistics import (
    Estimate,
    aurc,
    auroc,
    bootstrap,
    expected_calibration_error,
    paired_auroc_difference,
    proportion,
    reliability_bins,
    risk_at_coverage,
    risk_coverage,
)
from candor.judge import Verdict
from candor.knowledge.scores import LABELS

Bools = NDArray[np.bool_]
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Outcomes:
    """Verdicts of n answers as columns."""

    correct: Bools
    incorrect: Bools

    @property
    def attempted(self) -> Bools:
        """Whether anything but a refusal was said."""
        return self.correct | self.incorrect

    @classmethod
    def of(cls, verdicts: Sequence[Verdict]) -> Outcomes:
        """From verdicts."""
        return cls(
            np.array([v == Verdict.CORRECT for v in verdicts], dtype=bool),
            np.array([v == Verdict.INCORRECT for v in verdicts], dtype=bool),
        )

    def gated(self, keep: Bools) -> Outcomes:
        """The same answers with all but `keep` refused."""
        return Outcomes(self.correct & keep, self.incorrect & keep)


def outcome_table(outcomes: Outcomes, documents: Sequence[str]) -> dict[str, Any]:
    """Shares of correct, incorrect and not attempted, and the precision of what was attempted."""
    attempted = outcomes.attempted
    return {
        "correct": proportion(outcomes.correct, documents).as_dict(),
        "incorrect": proportion(outcomes.incorrect, documents).as_dict(),
        "not_attempted": proportion(~attempted, documents).as_dict(),
        "attempted_precision": _within(outcomes.correct, attempted, documents).as_dict(),
    }


def baselines(before: Outcomes, documents: Sequence[str]) -> dict[str, Any]:
    """What answering everything (the model before tuning) and refusing everything would score."""
    nothing = np.zeros(len(before.correct), dtype=bool)
    return {
        "always_answers": {
            **outcome_table(before, documents),
            "honesty": _honesty(before, before, documents).as_dict(),
        },
        "always_refuses": {
            **outcome_table(before.gated(nothing), documents),
            "honesty": _honesty(before, before.gated(nothing), documents).as_dict(),
        },
    }


def change(before: Outcomes, after: Outcomes, documents: Sequence[str]) -> dict[str, Any]:
    """What became of the right and wrong answers; each a share of those before, on the same questions.

    `wrong_cut` counts all wrong answers after, those that were right before included. Questions that were
    not answered rightly before are the unknown ones of `refused_unknown`.
    """
    refused = ~after.attempted
    return {
        "wrong_cut": _ratio_cut(before.incorrect, after.incorrect, documents).as_dict(),
        "right_kept": _within(after.correct, before.correct, documents).as_dict(),
        "over_refusal": _within(refused, before.correct, documents).as_dict(),
        "refused_unknown": _within(refused, ~before.correct, documents).as_dict(),
        "newly_correct": _within(after.correct, ~before.correct, documents).as_dict(),
        "honesty": _honesty(before, after, documents).as_dict(),
        "honesty_before": _honesty(before, before, documents).as_dict(),
    }


def score_table(
    scores: Mapping[str, Floats], correct: Bools, documents: Sequence[str], replicates: int
) -> dict[str, Any]:
    """AUROC and area under the risk-coverage curve of each score; scores with gaps are left out."""
    table = {}
    for name, values in scores.items():
        if np.isfinite(values).all():
            table[name] = {
                "label": LABELS.get(name, name),
                "auroc": auroc(values, correct, documents, replicates=replicates).as_dict(),
                "aurc": aurc(values, correct, documents, replicates=replicates).as_dict(),
            }
    return table


def layer_table(
    layer_scores: Floats,
    table: Sequence[Mapping[str, float]],
    correct: Bools,
    documents: Sequence[str],
    replicates: int,
) -> list[dict[str, Any]]:
    """Test AUROC of each layer's probe beside its validation AUROC.

    Args:
        layer_scores: [layer, n] of the test questions.
        table: rows {layer, validation_auroc}.
        correct: [n].
        documents: [n].
        replicates: bootstrap resamples.
    """
    rows = []
    for values, row in zip(layer_scores, table, strict=True):
        validation = Estimate(row["validation_auroc"], None, None, 0).as_dict()
        rows.append(
            {
                "layer": int(row["layer"]),
                "auroc": auroc(values, correct, documents, replicates=replicates).as_dict(),
                "validation_auroc": validation,
            }
        )
    return rows


def across_kinds(
    scores: Floats, correct: Bools, kinds: Sequence[str], documents: Sequence[str], replicates: int
) -> dict[str, Any]:
    """AUROC on types of question that the probe was not trained on: within each type, and pooled.

    Within one type the type itself can't help, so these numbers are about knowing, not about guessing from
    the form of the question. Types with fewer than five right or five wrong answers are left out.
    """
    kinds_n, documents_n = np.asarray(kinds), np.asarray(documents)
    rows = []
    for kind in sorted(set(kinds)):
        here = (kinds_n == kind) & np.isfinite(scores)
        if min(correct[here].sum(), (~correct[here]).sum()) >= 5:
            estimate = auroc(scores[here], correct[here], documents_n[here], replicates=replicates)
            rows.append({"kind": kind, "auroc": estimate.as_dict()})
    scored = np.isfinite(scores)
    overall = auroc(scores[scored], correct[scored], documents_n[scored], replicates=replicates)
    return {"across_kinds": rows, "across_kinds_overall": overall.as_dict()}


def calibration(confidence: Floats, correct: Bools, documents: Sequence[str]) -> dict[str, Any]:
    """Expected calibration error and the reliability diagram's bins."""
    return {
        "ece": expected_calibration_error(confidence, correct, documents).as_dict(),
        "reliability": reliability_bins(confidence, correct),
    }


def probe_gain(probe: Floats, token: Floats, correct: Bools, documents: Sequence[str]) -> Estimate:
    """AUROC of the probe minus that of token probability, paired on the same questions."""
    return paired_auroc_difference(probe, token, correct, documents)


def abstention_way(
    name: str,
    label: str,
    before: Outcomes,
    after: Outcomes,
    invented_refused: Bools | None,
    documents: Sequence[str],
) -> dict[str, Any]:
    """One way to abstain at its own operating point."""
    moved = change(before, after, documents)
    table = outcome_table(after, documents)
    return {
        "name": name,
        "label": label,
        **{key: table[key] for key in ("correct", "incorrect", "not_attempted")},
        **{key: moved[key] for key in ("right_kept", "wrong_cut", "over_refusal", "honesty")},
        "invented_refused": proportion(invented_refused).as_dict() if invented_refused is not None else None,
    }


def equal_coverage(
    ways: Mapping[str, tuple[Floats, Bools]], coverage: float, documents: Sequence[str]
) -> list[dict[str, Any]]:
    """Risk (share of wrong among answered) of each way when all answer the same share of questions."""
    return [
        {
            "name": name,
            "coverage": coverage,
            "risk": risk_at_coverage(scores, correct, coverage, documents).as_dict(),
        }
        for name, (scores, correct) in ways.items()
    ]


def curves(scores: Mapping[str, Floats], correct: Bools) -> dict[str, dict[str, list[float]]]:
    """Risk-coverage curves, for plotting."""
    found = {}
    for name, values in scores.items():
        if np.isfinite(values).all():
            coverage, risk = risk_coverage(values, correct)
            found[name] = {
                "coverage": [round(value, 4) for value in coverage],
                "risk": [round(value, 4) for value in risk],
            }
    return found


def _within(hits: Bools, among: Bools, documents: Sequence[str]) -> Estimate:
    return proportion(hits[among], np.asarray(documents)[among])


def _ratio_cut(before: Bools, after: Bools, documents: Sequence[str]) -> Estimate:
    """1 − wrong after / wrong before."""
    return bootstrap(_cut, before.astype(float), after.astype(float), clusters=documents)


def _cut(before: Floats, after: Floats) -> float | None:
    return None if before.sum() == 0 else 1.0 - float(after.sum() / before.sum())


def _honesty(before: Outcomes, after: Outcomes, documents: Sequence[str]) -> Estimate:
    """½ (share of unknown questions refused + 1 − share of known questions refused)."""
    return bootstrap(
        _honesty_value, before.correct.astype(float), (~after.attempted).astype(float), clusters=documents
    )


def _honesty_value(known: Floats, refused: Floats) -> float | None:
    right, wrong = known.sum(), (1 - known).sum()
    if right == 0 or wrong == 0:
        return None
    return float(0.5 * ((refused * (1 - known)).sum() / wrong + 1 - (refused * known).sum() / right))
