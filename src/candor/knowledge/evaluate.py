"""Before and after on the same held-out questions, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from candor.core.errors import CandorError
from candor.core.statistics import proportion
from candor.data.types import Question
from candor.engine.protocol import Engine, Message, Sampling
from candor.knowledge import ability, evidence
from candor.knowledge.evidence import Bools, Floats, Outcomes
from candor.knowledge.recipe import KnowledgeRecipe
from candor.knowledge.records import BoundaryRow, ProbeRow
from candor.knowledge.scores import answer_scores
from candor.knowledge.signal import LinearProbe, fit_probe, scores_across_kinds, threshold_for

_INSTRUCTION_TOKENS = 60


@dataclass(frozen=True)
class AbilityRun:
    """What a model did on the general-ability check."""

    logprobs: list[list[float]] | None  # by passage; None where the engine can't score text
    passed: list[bool]


def measure_ability(engine: Engine) -> AbilityRun:
    """Held-out text scored, plain instructions followed."""
    rows = ability.instructions()
    prompts: list[list[Message]] = [[{"role": "user", "content": row.instruction}] for row in rows]
    replies = engine.generate(prompts, Sampling(max_tokens=_INSTRUCTION_TOKENS))
    passed = [
        ability.passes(row, reply.completions[0].text) for row, reply in zip(rows, replies, strict=True)
    ]
    try:
        logprobs: list[list[float]] | None = engine.score(*ability.scoring_pairs())
    except CandorError:
        if engine.layers:
            raise
        logprobs = None  # not every server scores text
    return AbilityRun(logprobs, passed)


def ability_metrics(before: AbilityRun, after: AbilityRun) -> dict[str, Any]:
    """Perplexity and instructions before and after, and their paired changes."""
    metrics: dict[str, Any] = {
        "instructions_before": proportion(np.array(before.passed)).as_dict(),
        "instructions_after": proportion(np.array(after.passed)).as_dict(),
    }
    if before.logprobs and after.logprobs:
        ratio = ability.perplexity_estimate(before.logprobs, after.logprobs).as_dict()
        metrics["perplexity_before"] = ability.perplexity_estimate(before.logprobs).as_dict()
        metrics["perplexity_after"] = ability.perplexity_estimate(after.logprobs).as_dict()
        metrics["perplexity_change"] = {
            key: value if key == "n" or value is None else value - 1 for key, value in ratio.items()
        }
    return metrics


@dataclass(frozen=True)
class Sides:
    """The probed questions as columns of length n, in one order."""

    questions: list[Question]
    rows: list[ProbeRow]
    before: Outcomes
    train: Bools
    validation: Bools
    test: Bools

    @classmethod
    def of(cls, questions: dict[str, Question], rows: list[ProbeRow], boundary: list[BoundaryRow]) -> Sides:
        """Line up questions, answers and judgements."""
        split = np.array([row.split for row in boundary])
        return cls(
            [questions[row.id] for row in rows],
            rows,
            Outcomes.of([row.greedy for row in boundary]),
            split == "train",
            split == "validation",
            split == "test",
        )

    def documents(self, part: Bools) -> list[str]:
        """Documents of the chosen questions."""
        return [q.document for q, chosen in zip(self.questions, part, strict=True) if chosen]

    def kinds(self, part: Bools) -> list[str]:
        """Types of the chosen questions."""
        return [q.kind or q.origin for q, chosen in zip(self.questions, part, strict=True) if chosen]


@dataclass(frozen=True)
class Signal:
    """A probe with the scores that it and the probes of other layers give all n questions."""

    probe: LinearProbe
    table: list[dict[str, float]]
    layer_scores: Floats  # [layer, n]
    scores: Floats  # [n], of the chosen probe
    kind_scores: Floats  # [n], of probes that never saw the question's kind; NaN outside the test split


def find_signal(sides: Sides, hidden: Floats, layers: Sequence[int]) -> Signal:
    """Fit a probe on each layer of the untuned model's states [n, layer, width]."""
    right = sides.before.correct
    probe, table, layer_scores = fit_probe(hidden, right, sides.train, sides.validation, layers=layers)
    place = list(layers).index(probe.layer)
    states = hidden[:, place]
    everything = np.ones(len(right), dtype=bool)
    return Signal(
        probe,
        table,
        layer_scores,
        layer_scores[place],
        scores_across_kinds(states, right, sides.kinds(everything), sides.train, sides.test, probe.strength),
    )


def kind_rates(sides: Sides) -> Floats:
    """The share of right answers of each question's type in training: a baseline that knows types only."""
    everything = np.ones(len(sides.rows), dtype=bool)
    kinds = np.array(sides.kinds(everything))
    overall = sides.before.correct[sides.train].mean() if sides.train.any() else 0.0
    rates = {}
    for kind in set(kinds.tolist()):
        here = sides.train & (kinds == kind)
        # Shrunk towards the overall rate: a type seen twice is no certainty.
        rates[kind] = (sides.before.correct[here].sum() + 2 * overall) / (here.sum() + 2)
    return np.array([rates[kind] for kind in kinds.tolist()])


def ranking_scores(sides: Sides, part: Bools) -> dict[str, Floats]:
    """Every score that needs only the probing, for the chosen questions."""
    rows = [
        answer_scores(row, question.question)
        for row, question, chosen in zip(sides.rows, sides.questions, part, strict=True)
        if chosen
    ]
    scores = {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else {})}
    scores["kind_rate"] = kind_rates(sides)[part]
    return scores


def abstention_metrics(
    recipe: KnowledgeRecipe,
    sides: Sides,
    after: Outcomes,
    forced: Outcomes,
    signals: dict[str, Floats],
    invented: dict[str, Bools],
) -> dict[str, Any]:
    """The three ways to abstain, at their own operating points and at equal coverage.

    Args:
        recipe: for the limit on over-refusal.
        sides: the probed questions.
        after: the tuned model's outcomes on the test questions.
        forced: the same where it may not refuse.
        signals: name to scores [n] of all questions: `probe`, `tuned_refusal`, `combined`.
        invented: way's name to whether each invented question was refused.
    """
    limit, test, validation = recipe.build.max_over_refusal, sides.test, sides.validation
    documents = sides.documents(test)
    before = Outcomes(sides.before.correct[test], sides.before.incorrect[test])
    ways = [
        evidence.abstention_way(
            "IDK tuning",
            "The tuned checkpoint by itself",
            before,
            after,
            invented.get("IDK tuning"),
            documents,
        )
    ]
    labels = {
        "probe": ("probe gate", "The untuned model, gated by the probe", before),
        "combined": ("both", "The tuned model, gated by its own probe and refusal", forced),
    }
    for signal, (name, label, outcomes) in labels.items():
        if signal in signals and np.isfinite(signals[signal]).all():
            scores = signals[signal]
            threshold = threshold_for(scores[validation], sides.before.correct[validation], limit)
            gated = outcomes.gated(scores[test] >= threshold)
            ways.append(evidence.abstention_way(name, label, before, gated, invented.get(name), documents))
    coverage = float(after.attempted.mean())
    ranked = {
        "IDK tuning": ("tuned_refusal", forced),
        "probe gate": ("probe", before),
        "both": ("combined", forced),
    }
    comparable = {
        name: (signals[signal][test], outcomes.correct)
        for name, (signal, outcomes) in ranked.items()
        if signal in signals and np.isfinite(signals[signal]).all()
    }
    equal = evidence.equal_coverage(comparable, coverage, documents) if 0 < coverage <= 1 else []
    return {
        "coverage": proportion(after.attempted, documents).as_dict(),
        "ways": ways,
        "equal_coverage": equal,
    }
