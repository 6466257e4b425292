"""The evaluate stage: ask the tuned model, fit the probes, put every number into metrics.json."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from candor.core.errors import CandorError
from candor.core.files import read_json, read_jsonl
from candor.core.run import peak_memory
from candor.core.statistics import proportion
from candor.data.invented import invented_questions
from candor.data.types import Question
from candor.engine.local import LocalEngine
from candor.knowledge import evidence
from candor.knowledge.evaluate import (
    Sides,
    Signal,
    ability_metrics,
    abstention_metrics,
    find_signal,
    measure_ability,
    ranking_scores,
    refusal_logit,
)
from candor.knowledge.evidence import Bools, Floats, Outcomes
from candor.knowledge.gate import save_gate
from candor.knowledge.judge import Verdict, judge, judge_accuracy
from candor.knowledge.probe import layers_of, read_hidden, read_probe
from candor.knowledge.records import BoundaryRow
from candor.knowledge.refusal import Reply, reply_to
from candor.knowledge.scores import p_true
from candor.knowledge.signal import LinearProbe, fit_probe, threshold_for
from candor.knowledge.split import sizes

if TYPE_CHECKING:
    from candor.knowledge.pipeline import KnowledgeRun


def evaluate_run(job: KnowledgeRun, tuned: LocalEngine | None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """All metrics of a run, and one row for each held-out question.

    Args:
        job: the run, tuned.
        tuned: the tuned model's engine if it is still loaded.
    """
    recipe, run = job.recipe, job.run
    rows = read_probe(run.path("probe"))
    boundary = read_jsonl(run.path("boundary.jsonl"), BoundaryRow)
    sides = Sides.of(job.questions_by_id(), rows, boundary)
    if not sides.test.any():
        raise CandorError(
            "no question is in the test split", fix="use more documents, or raise split.test in the recipe"
        )
    test = np.flatnonzero(sides.test)
    asked = [sides.questions[i] for i in test]
    documents = [question.document for question in asked]
    before = Outcomes(sides.before.correct[test], sides.before.incorrect[test])
    invented = invented_questions(recipe.evaluate.invented, recipe.seed, split="test")
    everything = np.ones(len(rows), dtype=bool)

    # Before: the untuned model.
    engine = job.engine
    layers = layers_of(engine, recipe.probe)
    hidden = read_hidden(run.path("probe"))
    signal = find_signal(sides, hidden, layers) if hidden is not None else None
    scores = ranking_scores(sides, everything)
    if recipe.evaluate.p_true:
        job.reporter.say("asking the model whether its answers are right")
        values = p_true(engine, [q.question for q in asked], [rows[i] for i in test], recipe.probe)
        scores["p_true"] = np.full(len(rows), np.nan)
        scores["p_true"][test] = values
    probe_layers = [signal.probe.layer] if signal else []
    invented_before = reply_to(engine, [q.question for q in invented], recipe.probe, layers=probe_layers)
    ability_before = measure_ability(engine) if recipe.evaluate.ability else None

    # After: the tuned model, on all questions (its probe is fitted on train and validation).
    job.release()
    if tuned is None:
        tuned = job.load_tuned()
    with job.reporter.bar("asking the tuned model", len(rows) + len(invented)) as bar:
        replies = reply_to(
            tuned,
            [q.question for q in sides.questions],
            recipe.probe,
            layers=probe_layers,
            on_progress=bar.advance,
        )
        invented_after = reply_to(tuned, [q.question for q in invented], recipe.probe, layers=probe_layers)
        bar.advance(len(invented))
    verdicts = [
        judge(question.question, question.answers, reply.answer.text)
        for question, reply in zip(sides.questions, replies, strict=True)
    ]
    after = Outcomes.of([verdicts[i] for i in test])
    ability_after = measure_ability(tuned) if recipe.evaluate.ability else None

    limit = recipe.build.max_over_refusal
    signals, gates = _signals(limit, sides, signal, replies)
    scores.update(signals)
    invented_refused = {
        "IDK tuning": np.array([reply.refused for reply in invented_after], dtype=bool),
        **_invented_gated(limit, sides, signals, gates, invented_before, invented_after),
    }
    if gates.tuned is not None:
        save_gate(run.path("checkpoint"), gates.tuned, recipe.probe)
    if signal is not None and hidden is not None:
        threshold = threshold_for(
            signal.probe.confidence(hidden[:, layers.index(signal.probe.layer)])[sides.validation],
            sides.before.correct[sides.validation],
            recipe.build.max_over_refusal,
        )
        replace(signal.probe, threshold=threshold).save(run.path("signal"))

    replicates = recipe.evaluate.replicates
    test_scores = {name: values[test] for name, values in scores.items()}
    shown = {name: values for name, values in test_scores.items() if np.isfinite(values).all()}
    metrics: dict[str, Any] = {
        "model": recipe.model.name,
        "created": run.manifest.get("created"),
        "seed": recipe.seed,
        "splits": sizes(
            {row.id: row.split for row in boundary},
            {q.id: q.document for q in sides.questions},
        ),
        "questions": _question_counts(job, sides.questions),
        "boundary": {
            label: sum(row.label == label for row in boundary) for label in ("known", "unsure", "unknown")
        },
        "before": evidence.outcome_table(before, documents),
        "after": evidence.outcome_table(after, documents),
        "baselines": evidence.baselines(before, documents),
        "change": evidence.change(before, after, documents),
        "invented": _invented(invented, invented_before, invented_after),
        "scores": evidence.score_table(shown, before.correct, documents, replicates),
        "abstention": abstention_metrics(recipe, sides, after, signals, invented_refused),
        "curves": {"risk_coverage": evidence.curves(shown, before.correct)},
        "judge": _judge(),
        "tuning": read_json(run.path("tune.json")),
        "timings": {name: stage["seconds"] for name, stage in run.manifest.get("stages", {}).items()},
        "peak_memory_bytes": peak_memory(),
        "commands": _commands(job),
    }
    if ability_before and ability_after:
        metrics["ability"] = ability_metrics(ability_before, ability_after)
    confidence: Floats | None = None
    if signal is not None and hidden is not None:
        states = hidden[:, layers.index(signal.probe.layer)]
        confidence = signal.probe.confidence(states)[test]
        metrics["probe"] = _probe_metrics(signal, sides, test, confidence, test_scores, replicates)
    items = _items(sides, test, replies, verdicts, confidence, signals)
    items += _invented_items(invented, invented_before, invented_after)
    return metrics, items


@dataclass(frozen=True)
class Gates:
    """What decides whether an answer is given."""

    untuned: LinearProbe | None = None
    tuned: LinearProbe | None = None
    combined: LogisticRegression | None = None  # of (tuned probe's log-odds, log-odds against refusing)


def _signals(
    limit: float, sides: Sides, signal: Signal | None, replies: list[Reply]
) -> tuple[dict[str, Floats], Gates]:
    """Scores of all questions by the probes and the tuned model, and the gates made of them."""
    right, validation = sides.before.correct, sides.validation
    refusal = refusal_logit(replies)
    signals: dict[str, Floats] = {"tuned_refusal": refusal}
    if signal is None or replies[0].hidden is None:
        return signals, Gates()
    signals["probe"] = signal.scores
    states = _states(replies)
    probe, _, scores = fit_probe(states[:, None], right, sides.train, validation, layers=[signal.probe.layer])
    signals["probe_tuned"] = scores[0]
    threshold = threshold_for(probe.confidence(states)[validation], right[validation], limit)
    tuned = replace(probe, threshold=threshold)
    columns = np.stack([scores[0], refusal], axis=1)
    combined = LogisticRegression(C=1.0).fit(columns[validation], right[validation])
    signals["combined"] = combined.decision_function(columns)
    return signals, Gates(signal.probe, tuned, combined)


def _invented_gated(
    limit: float,
    sides: Sides,
    signals: dict[str, Floats],
    gates: Gates,
    before: list[Reply],
    after: list[Reply],
) -> dict[str, Bools]:
    """Whether each way to abstain refuses each invented question, at its threshold for held-out questions."""
    right, validation = sides.before.correct[sides.validation], sides.validation
    found: dict[str, Bools] = {}
    if gates.untuned is not None:
        scores = gates.untuned.logit(_states(before))
        threshold = threshold_for(signals["probe"][validation], right, limit)
        found["probe gate"] = (scores < threshold) | np.array([reply.refused for reply in before])
    if gates.tuned is not None and gates.combined is not None:
        columns = np.stack([gates.tuned.logit(_states(after)), refusal_logit(after)], axis=1)
        threshold = threshold_for(signals["combined"][validation], right, limit)
        found["both"] = gates.combined.decision_function(columns) < threshold
    return found


def _states(replies: list[Reply]) -> Floats:
    """Hidden states of the one layer asked for, [n, width]."""
    return np.stack([reply.hidden[0] for reply in replies if reply.hidden is not None])


def _probe_metrics(
    signal: Signal,
    sides: Sides,
    test: np.ndarray,
    confidence: Floats,
    scores: dict[str, Floats],
    replicates: int,
) -> dict[str, Any]:
    correct = sides.before.correct[test]
    documents, kinds = sides.documents(sides.test), sides.kinds(sides.test)
    found: dict[str, Any] = {
        "best_layer": signal.probe.layer,
        "layers": evidence.layer_table(
            signal.layer_scores[:, test], signal.table, correct, documents, replicates
        ),
        **evidence.across_kinds(signal.kind_scores[test], correct, kinds, documents, replicates),
        **evidence.calibration(confidence, correct, documents),
    }
    token = scores["token_probability"]
    if np.isfinite(token).all():
        gain = evidence.probe_gain(scores["probe"], token, correct, documents)
        found["minus_token_probability"] = gain.as_dict()
    return found


def _invented(questions: list[Question], before: list[Reply], after: list[Reply]) -> dict[str, Any]:
    refused = np.array([reply.refused for reply in after], dtype=bool)
    kinds = np.array([question.kind for question in questions])
    return {
        "refused_before": proportion(np.array([reply.refused for reply in before], dtype=bool)).as_dict(),
        "refused_after": proportion(refused).as_dict(),
        "by_kind": {
            kind: proportion(refused[kinds == kind]).as_dict() for kind in sorted(set(kinds.tolist()))
        },
    }


def _question_counts(job: KnowledgeRun, questions: list[Question]) -> dict[str, Any]:
    origins: dict[str, int] = {}
    kinds: dict[str, int] = {}
    for question in questions:
        origins[question.origin] = origins.get(question.origin, 0) + 1
        kinds[question.kind or "other"] = kinds.get(question.kind or "other", 0) + 1
    made = read_json(job.run.path("generation.json"))
    found: dict[str, Any] = {
        "total": len(questions),
        "by_origin": origins,
        "by_kind": dict(sorted(kinds.items(), key=lambda pair: -pair[1])),
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
    again = f"candor knowledge run --recipe {folder}/recipe.toml --out NEW"
    return {
        "everything": again,
        "questions": f"candor knowledge questions --recipe {folder}/recipe.toml --out NEW",
        "before": "candor knowledge probe --out NEW",
        "boundary": "candor knowledge build --out NEW",
        "after": "candor knowledge tune --out NEW, then candor knowledge evaluate --out NEW",
        "page": f"candor report {folder}",
    }


def _items(
    sides: Sides,
    test: np.ndarray,
    replies: list[Reply],
    verdicts: list[Verdict],
    confidence: Floats | None,
    signals: dict[str, Floats],
) -> list[dict[str, Any]]:
    rows = []
    before = [
        judge(sides.questions[i].question, sides.questions[i].answers, sides.rows[i].greedy.text)
        for i in test
    ]
    for place, i in enumerate(test):
        question = sides.questions[i]
        rows.append(
            {
                **question.model_dump(
                    mode="json", include={"id", "question", "answers", "document", "kind", "origin"}
                ),
                "before": {"text": sides.rows[i].greedy.text, "verdict": before[place].value},
                "after": {"text": replies[i].answer.text, "verdict": verdicts[i].value},
                "confidence": None if confidence is None else round(float(confidence[place]), 4),
                "scores": {
                    name: round(float(values[i]), 4)
                    for name, values in signals.items()
                    if np.isfinite(values[i])
                },
                "gated": None,
            }
        )
    return rows


def _invented_items(
    questions: list[Question], before: list[Reply], after: list[Reply]
) -> list[dict[str, Any]]:
    return [
        {
            **question.model_dump(
                mode="json", include={"id", "question", "answers", "document", "kind", "origin"}
            ),
            "before": {"text": old.answer.text, "verdict": _invented_verdict(old)},
            "after": {"text": new.answer.text, "verdict": _invented_verdict(new)},
            "confidence": None,
            "gated": None,
        }
        for question, old, new in zip(questions, before, after, strict=True)
    ]


def _invented_verdict(reply: Reply) -> str:
    return (Verdict.NOT_ATTEMPTED if reply.refused else Verdict.INCORRECT).value
