"""The evaluate stage: ask the untuned and the tuned model, and fit what tells right from wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from candor.cluster.shards import Shard, Workers, complete
from candor.core.errors import CandorError
from candor.core.files import read_json, read_jsonl
from candor.data.invented import invented_questions
from candor.data.types import Question
from candor.engine.gate import Gate
from candor.judge import Verdict, judge
from candor.knowledge.asking import (
    AbilityShard,
    instead_shards,
    read_ability,
    read_answers,
    read_p_true,
    read_replies,
    reply_shards,
    true_shards,
)
from candor.knowledge.evaluate import AbilityRun, Sides, Signal, find_signal, ranking_scores
from candor.knowledge.evidence import Bools, Floats
from candor.knowledge.gate import asking_of, fit_gate
from candor.knowledge.probe import kept_layers, read_hidden, read_probe
from candor.knowledge.recipe import KnowledgeRecipe
from candor.knowledge.records import BoundaryRow
from candor.knowledge.refusal import Reply, refusal_logit
from candor.knowledge.results import Measured, items_of, metrics_of
from candor.knowledge.signal import fit_probe, threshold_for

if TYPE_CHECKING:
    from candor.knowledge.pipeline import KnowledgeRun

ASKED = "asked"  # the folder of what the models say, until the evaluation is done


@dataclass(frozen=True)
class Asked:
    """What one model said: to the probed questions, to the invented ones, on the ability check."""

    replies: list[Reply]  # to all probed questions, in their order; empty for the untuned model
    invented: list[Reply]
    ability: AbilityRun | None
    p_true: Floats  # [n], NaN outside the test split


def evaluate_run(job: KnowledgeRun) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """All metrics of a run, and one row for each held-out question.

    What the models say is kept in the run's folder evaluation/asked, so that a killed evaluation goes on.

    Args:
        job: the run, tuned.

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
    hidden, layers = read_hidden(run.path("probe")), kept_layers(run.path("probe"), recipe.probe)
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
    workers = job.models.asking_tuned()
    after = _ask_tuned(job, workers, sides, invented, chosen)
    token = int(read_json(run.path("tune.json"))["dial"]["token"])
    signals, gate = _signals(recipe, sides, signal, after.replies, token)
    if gate is not None:
        gate.save(run.path("checkpoint"), asking_of(recipe.probe))
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
        forced=_forced(job, workers, sides, after.replies, token),
        invented_gated=_invented_gated(recipe, sides, signal, gate, before, after),
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
    recipe, folder = job.recipe, job.run.path("evaluation", ASKED)
    test = np.flatnonzero(sides.test) if recipe.evaluate.p_true else np.zeros(0, dtype=int)
    texts = [sides.questions[i].question for i in test]
    said = [sides.rows[i].greedy.text for i in test]
    replies = reply_shards("before-invented", [q.question for q in invented], recipe.probe, layers)
    checked = true_shards("before-true", texts, said, recipe.probe)
    ability = [AbilityShard(name="before-ability")] if recipe.evaluate.ability else []
    _complete(job, "asking the untuned model", [*replies, *checked, *ability], job.models.asking())
    values = np.full(len(sides.rows), np.nan)
    values[test] = read_p_true(folder, checked)
    return Asked(
        [],
        read_replies(folder, replies),
        read_ability(folder, ability[0]) if ability else None,
        values,
    )


def _ask_tuned(
    job: KnowledgeRun, workers: Workers, sides: Sides, invented: list[Question], layers: list[int]
) -> Asked:
    """The tuned model, on all questions: its own probe is fitted on the training and validation ones."""
    recipe, folder = job.recipe, job.run.path("evaluation", ASKED)
    texts = [question.question for question in sides.questions]
    replies = reply_shards("after", texts, recipe.probe, layers)
    to_invented = reply_shards("after-invented", [q.question for q in invented], recipe.probe, layers)
    ability = [AbilityShard(name="after-ability")] if recipe.evaluate.ability else []
    _complete(job, "asking the tuned model", [*replies, *to_invented, *ability], workers)
    return Asked(
        read_replies(folder, replies),
        read_replies(folder, to_invented),
        read_ability(folder, ability[0]) if ability else None,
        np.full(len(texts), np.nan),
    )


def _complete(job: KnowledgeRun, title: str, shards: Sequence[Shard], workers: Workers) -> None:
    with job.reporter.bar(title, sum(shard.size for shard in shards)) as bar:
        complete(
            shards,
            job.run.path("evaluation", ASKED),
            workers,
            on_done=lambda shard: bar.advance(shard.size),
        )


def _judged(sides: Sides, replies: list[Reply]) -> list[Verdict]:
    return [
        judge(question.question, question.answers, reply.answer.text)
        for question, reply in zip(sides.questions, replies, strict=True)
    ]


def _signals(
    recipe: KnowledgeRecipe, sides: Sides, signal: Signal | None, replies: list[Reply], token: int
) -> tuple[dict[str, Floats], Gate | None]:
    """Scores of all questions by the probes and the tuned model, and the tuned checkpoint's gate."""
    right, validation = sides.before.correct, sides.validation
    refusal = refusal_logit(replies)
    signals: dict[str, Floats] = {"tuned_refusal": refusal}
    if signal is None or replies[0].hidden is None:
        return signals, None
    signals["probe"] = signal.scores
    states = _states(replies)
    probe, _, scores = fit_probe(states[:, None], right, sides.train, validation, layers=[signal.probe.layer])
    signals["probe_tuned"] = scores[0]
    limit = recipe.build.max_over_refusal
    gate = fit_gate(probe, scores[0], refusal, right, validation, max_over_refusal=limit, token=token)
    signals["combined"] = gate.confidence(states, refusal)
    return signals, gate


def _forced(
    job: KnowledgeRun, workers: Workers, sides: Sides, replies: list[Reply], token: int
) -> list[Verdict]:
    """Verdicts on the test questions where the tuned model may not refuse: the gate may overrule it."""
    test = [int(i) for i in np.flatnonzero(sides.test)]
    refused = [i for i in test if replies[i].refused]
    questions = [sides.questions[i].question for i in refused]
    shards = instead_shards("after-instead", questions, job.recipe.probe, token)
    _complete(job, "asking behind refusals", shards, workers)
    answers = read_answers(job.run.path("evaluation", ASKED), shards)
    texts = {i: replies[i].answer.text for i in test}
    texts.update({i: answer.text for i, answer in zip(refused, answers, strict=True)})
    return [judge(sides.questions[i].question, sides.questions[i].answers, texts[i]) for i in test]


def _invented_gated(
    recipe: KnowledgeRecipe,
    sides: Sides,
    signal: Signal | None,
    gate: Gate | None,
    before: Asked,
    after: Asked,
) -> dict[str, Bools]:
    """Whether each way to abstain refuses each invented question, at its threshold for held-out ones."""
    found: dict[str, Bools] = {"IDK tuning": _refused(after.invented)}
    if signal is not None:
        right, validation = sides.before.correct[sides.validation], sides.validation
        threshold = threshold_for(signal.scores[validation], right, recipe.build.max_over_refusal)
        logits = signal.probe.logit(_states(before.invented))
        found["probe gate"] = (logits < threshold) | _refused(before.invented)
    if gate is not None:
        confidence = gate.confidence(_states(after.invented), refusal_logit(after.invented))
        found["both"] = confidence < gate.threshold
    return found


def _refused(replies: list[Reply]) -> Bools:
    return np.array([reply.refused for reply in replies], dtype=bool)


def _states(replies: list[Reply]) -> Floats:
    """Hidden states of the one layer asked for, [n, width]."""
    return np.stack([reply.hidden[0] for reply in replies if reply.hidden is not None])
