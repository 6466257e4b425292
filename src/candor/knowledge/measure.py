"""The evaluate stage: ask the untuned and the tuned model, and fit what tells right from wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from candor.core.errors import CandorError
from candor.core.files import read_jsonl
from candor.data.invented import invented_questions
from candor.data.types import Question
from candor.engine.local import LocalEngine
from candor.knowledge.evaluate import (
    AbilityRun,
    Sides,
    Signal,
    find_signal,
    measure_ability,
    ranking_scores,
    refusal_logit,
)
from candor.knowledge.evidence import Bools, Floats
from candor.knowledge.gate import save_gate
from candor.knowledge.judge import Verdict, judge
from candor.knowledge.probe import layers_of, read_hidden, read_probe
from candor.knowledge.records import BoundaryRow
from candor.knowledge.refusal import Reply, reply_to
from candor.knowledge.results import Measured, items_of, metrics_of
from candor.knowledge.scores import p_true
from candor.knowledge.signal import LinearProbe, fit_probe, threshold_for

if TYPE_CHECKING:
    from candor.knowledge.pipeline import KnowledgeRun


@dataclass(frozen=True)
class Gates:
    """What decides whether an answer is given."""

    untuned: LinearProbe | None = None
    tuned: LinearProbe | None = None
    combined: Pipeline | None = None  # of (tuned probe's log-odds, log-odds against refusing)


@dataclass(frozen=True)
class Asked:
    """What one model said: to the probed questions, to the invented ones, on the ability check."""

    replies: list[Reply]  # to all probed questions, in their order; empty for the untuned model
    invented: list[Reply]
    ability: AbilityRun | None
    p_true: Floats  # [n], NaN outside the test split


def evaluate_run(job: KnowledgeRun, tuned: LocalEngine | None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """All metrics of a run, and one row for each held-out question.

    Args:
        job: the run, tuned.
        tuned: the tuned model's engine if it is still loaded.

    Raises:
        CandorError: there is nothing to test on, or too little to fit a probe on.
    """
    recipe, run = job.recipe, job.run
    boundary = read_jsonl(run.path("boundary.jsonl"), BoundaryRow)
    sides = Sides.of(job.questions_by_id(), read_probe(run.path("probe")), boundary)
    if not sides.test.any():
        raise CandorError(
            "no question is in the test split", fix="use more documents, or raise split.test in the recipe"
        )
    invented = invented_questions(recipe.evaluate.invented, recipe.seed, split="test")
    hidden, layers = read_hidden(run.path("probe")), layers_of(job.engine, recipe.probe)
    signal, notes = None, []
    if hidden is None:
        notes.append("no uncertainty probe: the engine gives no hidden states")
    else:
        try:
            signal = find_signal(sides, hidden, layers)
        except CandorError as error:  # the rest of the evaluation stands without it
            notes.append(f"no uncertainty probe: {error.message}")
    for note in notes:
        job.reporter.say(note)
    chosen = [signal.probe.layer] if signal else []

    before = _ask_untuned(job, sides, invented, chosen)
    job.release()  # never two models in memory without need
    after = _ask_tuned(job, tuned or job.load_tuned(), sides, invented, chosen)

    signals, gates = _signals(recipe.build.max_over_refusal, sides, signal, after.replies)
    _save_probes(job, sides, signal, gates)
    scores = ranking_scores(sides, np.ones(len(sides.rows), dtype=bool))
    if recipe.evaluate.p_true:
        scores["p_true"] = before.p_true
    scores.update(signals)
    confidence = None
    if signal is not None and hidden is not None:
        confidence = signal.probe.confidence(hidden[:, layers.index(signal.probe.layer)])
    measured = Measured(
        sides=sides,
        boundary=boundary,
        replies=after.replies,
        verdicts=_judged(sides, after.replies),
        invented=invented,
        invented_before=before.invented,
        invented_after=after.invented,
        invented_gated=_invented_gated(recipe.build.max_over_refusal, sides, signals, gates, before, after),
        ability_before=before.ability,
        ability_after=after.ability,
        signal=signal,
        signals=signals,
        scores=scores,
        confidence=confidence,
        notes=notes,
    )
    return metrics_of(job, measured), items_of(measured)


def _ask_untuned(job: KnowledgeRun, sides: Sides, invented: list[Question], layers: list[int]) -> Asked:
    """The model as it was; its answers to the probed questions are known already."""
    recipe, engine = job.recipe, job.engine
    values = np.full(len(sides.rows), np.nan)
    test = np.flatnonzero(sides.test)
    with job.reporter.bar("asking the untuned model", len(invented) + len(test)) as bar:
        replies = reply_to(engine, [q.question for q in invented], recipe.probe, layers=layers)
        bar.advance(len(invented))
        if recipe.evaluate.p_true:
            texts = [sides.questions[i].question for i in test]
            values[test] = p_true(engine, texts, [sides.rows[i] for i in test], recipe.probe)
        ability = measure_ability(engine) if recipe.evaluate.ability else None
        bar.advance(len(test))
    return Asked([], replies, ability, values)


def _ask_tuned(
    job: KnowledgeRun, engine: LocalEngine, sides: Sides, invented: list[Question], layers: list[int]
) -> Asked:
    """The tuned model, on all questions: its own probe is fitted on the training and validation ones."""
    recipe = job.recipe
    texts = [question.question for question in sides.questions]
    with job.reporter.bar("asking the tuned model", len(texts) + len(invented)) as bar:
        replies = reply_to(engine, texts, recipe.probe, layers=layers, on_progress=bar.advance)
        to_invented = reply_to(engine, [q.question for q in invented], recipe.probe, layers=layers)
        ability = measure_ability(engine) if recipe.evaluate.ability else None
        bar.advance(len(invented))
    return Asked(replies, to_invented, ability, np.full(len(texts), np.nan))


def _judged(sides: Sides, replies: list[Reply]) -> list[Verdict]:
    return [
        judge(question.question, question.answers, reply.answer.text)
        for question, reply in zip(sides.questions, replies, strict=True)
    ]


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
    columns = np.stack([scores[0], refusal], axis=1)
    combined = make_pipeline(StandardScaler(), LogisticRegression(C=1.0))
    combined.fit(columns[validation], right[validation])
    signals["combined"] = combined.decision_function(columns)
    return signals, Gates(signal.probe, replace(probe, threshold=threshold), combined)


def _save_probes(job: KnowledgeRun, sides: Sides, signal: Signal | None, gates: Gates) -> None:
    """The tuned model's probe beside its checkpoint, the untuned model's in its own folder."""
    if gates.tuned is not None:
        save_gate(job.run.path("checkpoint"), gates.tuned, job.recipe.probe)
    if signal is not None:
        validation = sides.validation
        confidence = signal.probe.slope * signal.scores + signal.probe.offset
        threshold = threshold_for(
            confidence[validation], sides.before.correct[validation], job.recipe.build.max_over_refusal
        )
        probe = replace(signal.probe, threshold=float(1 / (1 + np.exp(-threshold))))
        save_gate(job.run.path("signal"), probe, job.recipe.probe)


def _invented_gated(
    limit: float, sides: Sides, signals: dict[str, Floats], gates: Gates, before: Asked, after: Asked
) -> dict[str, Bools]:
    """Whether each way to abstain refuses each invented question, at its threshold for held-out questions."""
    right, validation = sides.before.correct[sides.validation], sides.validation
    found: dict[str, Bools] = {
        "IDK tuning": np.array([reply.refused for reply in after.invented], dtype=bool)
    }
    if gates.untuned is not None:
        scores = gates.untuned.logit(_states(before.invented))
        threshold = threshold_for(signals["probe"][validation], right, limit)
        found["probe gate"] = (scores < threshold) | np.array([reply.refused for reply in before.invented])
    if gates.tuned is not None and gates.combined is not None:
        columns = np.stack(
            [gates.tuned.logit(_states(after.invented)), refusal_logit(after.invented)], axis=1
        )
        threshold = threshold_for(signals["combined"][validation], right, limit)
        found["both"] = gates.combined.decision_function(columns) < threshold
    return found


def _states(replies: list[Reply]) -> Floats:
    """Hidden states of the one layer asked for, [n, width]."""
    return np.stack([reply.hidden[0] for reply in replies if reply.hidden is not None])
