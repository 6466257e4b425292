"""From what was measured to metrics.json and to one row for each held-out question."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from candor.core.files import read_json
from candor.core.statistics import proportion
from candor.data.types import Question
from candor.judge import Verdict, judge_accuracy
from candor.knowledge import evidence
from candor.knowledge.evaluate import AbilityRun, Sides, Signal, ability_metrics, abstention_metrics
from candor.knowledge.evidence import Bools, Floats, Outcomes
from candor.knowledge.records import BoundaryRow, Split
from candor.knowledge.refusal import Reply
from candor.knowledge.split import sizes

if TYPE_CHECKING:
    from candor.knowledge.pipeline import KnowledgeRun

_SHOWN = {"id", "question", "answers", "document", "kind", "origin"}


@dataclass(frozen=True)
class Measured:
    """Everything that was asked and scored; columns of length n are in the order of `sides`."""

    sides: Sides
    boundary: list[BoundaryRow]
    replies: list[Reply]  # the tuned model's
    verdicts: list[Verdict]  # of those
    forced: list[Verdict]  # of the test questions only, where the tuned model may not refuse
    invented: list[Question]
    invented_before: list[Reply]
    invented_after: list[Reply]
    invented_gated: dict[str, Bools]
    ability_before: AbilityRun | None
    ability_after: AbilityRun | None
    signal: Signal | None
    signals: dict[str, Floats]
    scores: dict[str, Floats]
    confidence: Floats | None
    notes: list[str]


def metrics_of(job: KnowledgeRun, measured: Measured) -> dict[str, Any]:
    """What metrics.json holds; every rate and difference with n and a 95 % interval."""
    recipe, run, sides = job.recipe, job.run, measured.sides
    test, documents = sides.test, sides.documents(sides.test)
    before = Outcomes(sides.before.correct[test], sides.before.incorrect[test])
    after = Outcomes.of([measured.verdicts[i] for i in np.flatnonzero(test)])
    scores = {name: values[test] for name, values in measured.scores.items()}
    labels = Counter(row.label for row in measured.boundary)
    splits: dict[str, Split] = {row.id: row.split for row in measured.boundary}
    replicates = recipe.evaluate.replicates
    metrics: dict[str, Any] = {
        "model": recipe.model.name,
        "created": run.manifest.get("created"),
        "seed": recipe.seed,
        "splits": sizes(splits, {q.id: q.document for q in sides.questions}),
        "questions": _question_counts(job, sides.questions),
        "notes": measured.notes,
        "boundary": {label: labels[label] for label in ("known", "unsure", "unknown")},
        "before": evidence.outcome_table(before, documents),
        "after": evidence.outcome_table(after, documents),
        "baselines": evidence.baselines(before, documents),
        "change": evidence.change(before, after, documents),
        "invented": _invented(measured),
        "scores": evidence.score_table(scores, before.correct, documents, replicates),
        "abstention": abstention_metrics(
            recipe, sides, after, Outcomes.of(measured.forced), measured.signals, measured.invented_gated
        ),
        "curves": {"risk_coverage": evidence.curves(scores, before.correct)},
        "judge": _judge(),
        "tuning": read_json(run.path("tune.json")),
        "commands": _commands(job),
    }
    if measured.ability_before and measured.ability_after:
        metrics["ability"] = ability_metrics(measured.ability_before, measured.ability_after)
    if measured.signal is not None and measured.confidence is not None:
        metrics["probe"] = _probe(sides, measured.signal, measured.confidence[test], scores, replicates)
    return metrics


def _probe(
    sides: Sides, signal: Signal, confidence: Floats, scores: dict[str, Floats], replicates: int
) -> dict[str, Any]:
    test = sides.test
    correct, documents, kinds = sides.before.correct[test], sides.documents(test), sides.kinds(test)
    layer_scores = signal.layer_scores[:, test]
    found: dict[str, Any] = {
        "best_layer": signal.probe.layer,
        "layers": evidence.layer_table(layer_scores, signal.table, correct, documents, replicates),
        **evidence.across_kinds(signal.kind_scores[test], correct, kinds, documents, replicates),
        **evidence.calibration(confidence, correct, documents),
    }
    for name, key in (
        ("token_probability", "minus_token_probability"),
        ("kind_rate", "minus_kind_rate"),
    ):
        if np.isfinite(scores[name]).all():
            gain = evidence.probe_gain(scores["probe"], scores[name], correct, documents)
            found[key] = gain.as_dict()
    return found


def _invented(measured: Measured) -> dict[str, Any]:
    before = np.array([reply.refused for reply in measured.invented_before], dtype=bool)
    after = np.array([reply.refused for reply in measured.invented_after], dtype=bool)
    kinds = np.array([question.kind for question in measured.invented])
    return {
        "refused_before": proportion(before).as_dict(),
        "refused_after": proportion(after).as_dict(),
        "by_kind": {kind: proportion(after[kinds == kind]).as_dict() for kind in sorted(set(kinds.tolist()))},
    }


def _question_counts(job: KnowledgeRun, questions: list[Question]) -> dict[str, Any]:
    made = read_json(job.run.path("generation.json"))
    found: dict[str, Any] = {
        "total": len(questions),
        "by_origin": dict(Counter(question.origin for question in questions)),
        "by_kind": dict(Counter(question.kind or "other" for question in questions).most_common()),
        "topped_up": made.get("topped_up", 0),
        "notes": made.get("notes", []),
    }
    if "candidates" in made:
        found["generation"] = {key: made[key] for key in ("chunks", "candidates", "kept", "rejected")}
    return found


def _judge() -> dict[str, Any]:
    accuracy = judge_accuracy()
    return {"accuracy": accuracy["all"], "by_label": accuracy["labels"], "held": accuracy["held"]}


def _commands(job: KnowledgeRun) -> dict[str, str]:
    folder = job.run.folder
    return {
        "everything": f"candor knowledge run --recipe {folder}/recipe.toml --out NEW",
        "questions": f"candor knowledge questions --recipe {folder}/recipe.toml --out NEW",
        "before": "candor knowledge probe --out NEW",
        "boundary": "candor knowledge build --out NEW",
        "after": "candor knowledge tune --out NEW && candor knowledge evaluate --out NEW",
        "page": f"candor report {folder}",
    }


def items_of(measured: Measured) -> list[dict[str, Any]]:
    """One row for each held-out and each invented question, with the answers before and after."""
    sides, rows = measured.sides, []
    for i in np.flatnonzero(sides.test):
        question, row = sides.questions[i], sides.rows[i]
        scores = {name: round(float(values[i]), 4) for name, values in measured.signals.items()}
        confidence = None if measured.confidence is None else round(float(measured.confidence[i]), 4)
        rows.append(
            {
                **question.model_dump(mode="json", include=_SHOWN),
                "before": {"text": row.greedy.text, "verdict": measured.boundary[i].greedy.value},
                "after": {"text": measured.replies[i].answer.text, "verdict": measured.verdicts[i].value},
                "confidence": confidence,
                "scores": {name: value for name, value in scores.items() if np.isfinite(value)},
            }
        )
    for question, old, new in zip(
        measured.invented, measured.invented_before, measured.invented_after, strict=True
    ):
        rows.append(
            {
                **question.model_dump(mode="json", include=_SHOWN),
                "before": {"text": old.answer.text, "verdict": _invented_verdict(old)},
                "after": {"text": new.answer.text, "verdict": _invented_verdict(new)},
                "confidence": None,
            }
        )
    return rows


def _invented_verdict(reply: Reply) -> str:
    return (Verdict.NOT_ATTEMPTED if reply.refused else Verdict.INCORRECT).value
