"""The page of a whole life: of each claim what was expected, what was measured, whether it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from candor.core.files import read_json
from candor.report import (
    base_figures,
    chat_page,
    confidence_figures,
    emerge_figures,
    hacking_page,
    outcome_figures,
    served_page,
    wording,
)
from candor.report.evidence import Evidence, number_of, read_evidence
from candor.report.life_claims import FAILS, HOLDS, MISSING, UNDECIDED, Claim, claims_of
from candor.report.plotted import Figure, count_figure
from candor.report.provenance import provenance, provenance_tables
from candor.report.rewards_exact_page import exact_figure
from candor.report.tables import Cell, Table
from candor.report.template import rendered

_TITLES = {
    "base": "Born: a base model from text",
    "serve": "Asked raw",
    "chat": "Learning to converse",
    "knowledge": "Knowing what it doesn’t know",
    "think": "Tokens to think",
    "rewards": "Not gaming its reward",
}
_STORY = {
    "base": "A small model reads a corpus once, from nothing. What it has learned is what it expects of "
    "text, and so how well it compresses it; and it keeps what it met often. Which facts stand how often was "
    "drawn by lot.",
    "serve": "The base model is no assistant: it goes on with a text. It is served as it is, over HTTP on "
    "this machine, and asked by the client that programs use everywhere.",
    "chat": "Special tokens mark who speaks. They are added after pretraining, and the model learns from "
    "conversations, with loss on the assistant’s turns only.",
    "knowledge": "A larger model, SmolLM2-135M unless the recipe says otherwise, is asked closed-book. What "
    "it gets wrong becomes “I don’t know”; it is tuned, and asked again on documents that took no part.",
    "think": "A model that mostly answers at once, and works few answers out, is rewarded for right answers "
    "and for nothing else.",
    "rewards": "Reward models learn from few and noisy preferences what an answer is worth; what it is truly "
    "worth is known here. Policies then learn from the same reward model, with and without something that "
    "holds them. A weight of KL that suits may do better than √χ²: but nobody knows it beforehand, and λ is "
    "known from labels.",
}
_SYMBOLS = {
    HOLDS: ("✓", "correct"),
    FAILS: ("✗", "incorrect"),
    UNDECIDED: ("≈", "other"),
    MISSING: ("–", "other"),
}


@dataclass(frozen=True)
class Chapter:
    """One stage as the page shows it."""

    name: str
    title: str
    story: str
    status: str
    fix: str
    claims: list[tuple[Claim, list[Figure]]]
    samples: list[tuple[str, list[tuple[str, str]]]]  # a title, and labels with texts
    links: list[tuple[str, str]]  # words and addresses


@dataclass(frozen=True)
class Life:
    """Everything of a life that is recorded."""

    evidence: Evidence
    stages: dict[str, Evidence]
    bandit: dict[str, Any]

    @property
    def claims(self) -> list[Claim]:
        """In the order of life; those of stages that are not done as not measured."""
        return claims_of({name: self.stages.get(name, self.evidence) for name in _TITLES}, self.bandit)

    def status(self, name: str) -> str:
        """Done, failed, or not done yet."""
        if self.failure(name):
            return "failed"
        return "done" if name in self._done else "not done yet"

    def failure(self, name: str) -> dict[str, Any]:
        """Why a stage failed; empty if it did not."""
        failed = self.evidence.manifest.get("failed")
        found = failed.get(name) if isinstance(failed, Mapping) else None
        return dict(found) if isinstance(found, Mapping) else {}

    def seconds(self, name: str) -> float | None:
        """How long a stage took."""
        found = self._done.get(name)
        return number_of(found.get("seconds")) if isinstance(found, Mapping) else None

    @property
    def _done(self) -> dict[str, Any]:
        found = self.evidence.manifest.get("stages")
        return dict(found) if isinstance(found, Mapping) else {}


def read_life(evidence: Evidence) -> Life:
    """The stages' folders beside a life's own files.

    Raises:
        InputError: a file in one of them is damaged.
    """
    folder = evidence.run
    stages = {
        name: read_evidence(folder / name) for name in _TITLES if (folder / name / "recipe.toml").is_file()
    }
    file = folder / "rewards" / "bandit.json"
    bandit = read_json(file) if file.is_file() else {}
    return Life(evidence, stages, bandit if isinstance(bandit, dict) else {})


def render_life_page(evidence: Evidence) -> str:
    """The page as HTML text."""
    return rendered("life.html.jinja", context(read_life(evidence)))


def life_data(evidence: Evidence) -> dict[str, Any]:
    """What report.json holds: stages and claims."""
    life = read_life(evidence)
    return {
        "created": evidence.manifest.get("created"),
        "stages": [
            {
                "name": name,
                "status": life.status(name),
                "seconds": life.seconds(name),
                "report": f"{name}/report.html" if _page(life, name) else None,
                **life.failure(name),
            }
            for name in _TITLES
        ],
        "claims": [claim.as_dict() for claim in life.claims],
    }


def context(life: Life) -> dict[str, Any]:
    """Everything that the template shows, finished: figures, tables and sentences."""
    claims = life.claims
    chapters = [_chapter(life, name, [c for c in claims if c.stage == name]) for name in _TITLES]
    sections = [("claims", "All claims"), *_TITLES.items(), ("reproduce", "Reproduce")]
    return {
        **provenance(life.evidence),
        "model": "From raw text to a reasoner",
        "sections": sections,
        "headline": headline(claims),
        "lead": lead(life),
        "claims": claims,
        "symbols": _SYMBOLS,
        "chapters": chapters,
        "commands": ["candor life recipe.toml --out NEW"],
        "figures": {"timings": _timings(life)},
        "tables": {"stages": _stages_table(life), **provenance_tables(life.evidence)},
    }


def headline(claims: list[Claim]) -> str:
    """The result in one sentence."""
    counts = {verdict: sum(claim.verdict == verdict for claim in claims) for verdict in _SYMBOLS}
    measured = len(claims) - counts[MISSING]
    if not measured:
        return "This life has no results yet."
    words = f"{counts[HOLDS]} of {measured} claims hold"
    others = [
        f"{counts[kind]} {name}"
        for kind, name in ((FAILS, "don’t"), (UNDECIDED, "can’t be decided"))
        if counts[kind]
    ]
    words = f"{words}, {' and '.join(others)}" if others else words
    return f"{words}; {counts[MISSING]} not measured yet." if counts[MISSING] else f"{words}."


def lead(life: Life) -> str:
    """How long it took, and how to read the page."""
    took = [seconds for name in _TITLES if (seconds := life.seconds(name))]
    first = f"{len(took)} stages in {wording.duration(sum(took))}. " if took else ""
    return (
        f"{first}What is said of language models, in the order of a model’s life. For each claim: what was "
        "expected before, what was measured, with its 95% interval and number of items, and whether it holds."
    )


def _page(life: Life, name: str) -> bool:
    return (life.evidence.run / name / "report.html").is_file()


def _chapter(life: Life, name: str, claims: list[Claim]) -> Chapter:
    evidence, failure = life.stages.get(name), life.failure(name)
    status = life.status(name)
    links = [("The stage’s own report", f"{name}/report.html")] if _page(life, name) else []
    if name == "rewards" and life.bandit:
        links.append(("Bandits, exactly", "rewards/bandit.html"))
    drawn = [(claim, _figures(claim.name, evidence, life.bandit)) for claim in claims]
    samples = _SAMPLES[name](evidence) if evidence is not None and name in _SAMPLES else []
    if failure:
        status = f"failed: {failure.get('message', '')}"
    return Chapter(
        name, _TITLES[name], _STORY[name], status, str(failure.get("fix") or ""), drawn, samples, links
    )


def _figures(name: str, evidence: Evidence | None, bandit: dict[str, Any]) -> list[Figure]:
    """The pictures of a claim, as far as its stage is done."""
    if name == "rewards-exact":
        return [exact_figure(bandit)] if bandit else []
    if evidence is None or not evidence.metrics:
        return []
    found = [draw(evidence) for draw in _FIGURES[name]]
    return [figure for figure in found if figure is not None]


_FIGURES: dict[str, tuple[Callable[[Evidence], Figure | None], ...]] = {
    "base-compresses": (base_figures.compression,),
    "base-repeats": (base_figures.facts, base_figures.passages),
    "serve-agrees": (served_page.agreement,),
    "chat-learned": (chat_page.learning,),
    "knowledge-cut": (outcome_figures.outcome_bars,),
    "knowledge-kept": (outcome_figures.outcome_panels,),
    "knowledge-invented": (outcome_figures.invented,),
    "knowledge-inside": (confidence_figures.scores,),
    "think-right": (emerge_figures.onset,),
    "think-steps": (emerge_figures.length,),
    "think-forbidden": (emerge_figures.compared,),
    "rewards-hacked": (lambda evidence: hacking_page.worth(evidence.rows("arms")),),
    "rewards-held": (lambda evidence: hacking_page.against_kl(evidence.rows("arms")),),
}


def _base_samples(evidence: Evidence) -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        (str(row.get("prompt", "")), [("It goes on, drawn", str(row.get("drawn", "")))])
        for row in evidence.rows("samples")
    ]


def _chat_samples(evidence: Evidence) -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        (row["prompt"], [("Before", row["before"]), ("After", row["after"])])
        for row in chat_page.replies(evidence)
    ]


_SAMPLES: dict[str, Callable[[Evidence], list[tuple[str, list[tuple[str, str]]]]]] = {
    "base": _base_samples,
    "serve": served_page.completions,
    "chat": _chat_samples,
}


def _stages_table(life: Life) -> Table:
    rows = [
        [Cell(name), Cell(life.status(name)), Cell(wording.duration(life.seconds(name)))] for name in _TITLES
    ]
    return Table("Stages", ["Stage", "State", "Time"], rows)


def _timings(life: Life) -> Figure | None:
    counts = [(name, seconds) for name in _TITLES if (seconds := life.seconds(name))]
    if not counts:
        return None
    plot = count_figure("life-timings", "Time by stage", counts, "duration")
    return Figure(plot, f"{wording.duration(sum(seconds for _, seconds in counts))} in all.")
