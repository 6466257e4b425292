"""`render_report`: a run folder in, one self-contained HTML page out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from markupsafe import Markup

from candor.core.files import write_json, write_text
from candor.report import confidence_figures, outcome_figures, story, tables, wording
from candor.report.audit_page import render_audit_page
from candor.report.base_page import render_base_page
from candor.report.chat_page import render_chat_page
from candor.report.emerge_page import render_emerge_page
from candor.report.evidence import Evidence, number_of, read_evidence
from candor.report.hacking_page import render_hacking_page
from candor.report.life_page import life_data, render_life_page
from candor.report.plotted import Figure
from candor.report.reward_page import render_reward_page
from candor.report.rl_page import render_rl_page
from candor.report.rlhf_page import render_rlhf_page
from candor.report.served_page import render_served_page
from candor.report.template import rendered
from candor.report.think_page import render_think_page

TABLE_BYTES = 5_000_000  # of questions in the page; with plots and style the page stays under 8 MB


SECTIONS = (
    ("changed", "What changed"),
    ("outcomes", "Outcomes"),
    ("abstaining", "Ways to abstain"),
    ("ranking", "Confidence"),
    ("inside", "Inside the model"),
    ("invented", "Invented things"),
    ("examples", "Examples"),
    ("questions", "All questions"),
    ("origin", "Where questions came from"),
    ("judge", "The judge"),
    ("ability", "General ability"),
    ("reproduce", "Reproduce"),
)


def render_report(run: Path) -> Path:
    """Write `RUN/report.html` from what a run recorded; of a life also `report.json`, its claims as data.

    The page makes no request of any kind, runs no script but its own, and shows everything that a user or
    a model wrote as text. What the run lacks is left out with a sentence that says why.

    Args:
        run: a run folder, finished or not.

    Returns:
        The path of the page.

    Raises:
        InputError: `run` is no run folder, or one of its files is damaged.
        CandorError: the page can't be written.
    """
    evidence = read_evidence(Path(run))
    path = evidence.run / "report.html"
    write_text(path, report_text(evidence))
    if evidence.kind == "life":
        write_json(evidence.run / "report.json", life_data(evidence))
    return path


def report_text(evidence: Evidence) -> str:
    """The page of a run of any kind as HTML text."""
    pages = {
        "base": render_base_page,
        "chat": render_chat_page,
        "think": render_think_page,
        "rl": render_rl_page,
        "audit": render_audit_page,
        "rlhf": render_rlhf_page,
        "hacking": render_hacking_page,
        "reward": render_reward_page,
        "emerge": render_emerge_page,
        "serve": render_served_page,
        "life": render_life_page,
    }
    return pages.get(evidence.kind, render_page)(evidence)


def render_page(evidence: Evidence) -> str:
    """The page of a knowledge run as HTML text."""
    return rendered("knowledge.html.jinja", context(evidence), script="report.js")


def context(evidence: Evidence) -> dict[str, Any]:
    """Everything that the template shows, finished: figures, tables and sentences."""
    data, listed = question_data(evidence.items)
    metrics, manifest = evidence.metrics, evidence.manifest
    machine = manifest.get("machine")
    machine = machine if isinstance(machine, dict) else {"machine": machine}
    notes = [
        note
        for found in (evidence.at("questions", "notes"), evidence.at("notes"))
        if isinstance(found, list)
        for note in found
    ]
    memory = number_of(metrics.get("peak_memory_bytes"))
    return {
        "sections": SECTIONS,
        "model": str(metrics.get("model") or manifest.get("model") or "a model"),
        "created": str(metrics.get("created") or manifest.get("created") or ""),
        "run": evidence.run.name,
        "headline": story.headline(evidence),
        "lead": story.lead(evidence),
        "tiles": story.tiles(evidence),
        "figures": _figures(evidence),
        "tables": {
            "outcomes": tables.outcome_table(evidence),
            "change": tables.change_table(evidence),
            "abstention": tables.abstention_table(evidence),
            "scores": tables.score_table(evidence),
            "judge": tables.judge_table(evidence),
            "ability": tables.ability_table(evidence),
            "splits": tables.split_table(evidence),
            "versions": tables.versions_table(manifest),
            "machine": tables.facts_table("Machine", machine),
        },
        "probe_gain": story.probe_gain(evidence),
        "examples": story.examples(evidence),
        "outcome_counts": story.outcome_counts(evidence),
        "question_data": data,
        "questions_listed": listed,
        "questions_total": len(evidence.items),
        "funnel": story.funnel(evidence),
        "notes": list(map(str, notes)),
        "commands": {str(name): str(command) for name, command in evidence.table("commands").items()},
        "recipe": evidence.recipe,
        "missing": story.MISSING,
        "seed": str(metrics.get("seed", manifest.get("seed", ""))),
        "peak_memory": wording.size(memory) if memory else "",
        "symbols": {"correct": "✓", "incorrect": "✗", "not_attempted": "?"},
        "verdicts": wording.VERDICTS,
    }  # fmt: skip


def question_data(items: list[dict[str, Any]]) -> tuple[Markup, int]:
    """Rows of the questions table as JSON that is safe inside a script element, and how many fit.

    `<`, `>` and `&` leave as escapes, so no text can end the element or open a comment. When the rows are
    too many for the page, every k-th is taken.
    """
    encoded = [_embedded(_row(item)) for item in items]
    every = max(1, -(-sum(map(len, encoded)) // TABLE_BYTES))
    kept = encoded[::every]
    return Markup("[{}]").format(Markup(b",\n".join(kept).decode())), len(kept)


def _embedded(row: dict[str, Any]) -> bytes:
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    # A lone surrogate, which JSON can carry and UTF-8 can't, becomes a question mark.
    return text.encode("utf-8", "replace")


def _figures(evidence: Evidence) -> dict[str, Figure | None]:
    drawn = {
        outcome_figures: (
            "outcome_bars", "outcome_panels", "abstention", "invented", "rejections", "boundary", "timings",
        ),
        confidence_figures: ("scores", "risk_coverage", "layers", "across_kinds", "reliability"),
    }  # fmt: skip
    return {name: getattr(module, name)(evidence) for module, names in drawn.items() for name in names}


def _row(item: dict[str, Any]) -> dict[str, Any]:
    confidence = number_of(item.get("confidence"))
    gated = item.get("gated")
    return {
        "q": str(item.get("question", "")),
        "a": story.accepted(item),
        "d": str(item.get("document") or ""),
        "k": str(item.get("kind") or ""),
        "o": str(item.get("origin") or ""),
        "b": [story.answer(item, "before"), story.verdict(item, "before")],
        "t": [story.answer(item, "after"), story.verdict(item, "after")],
        "g": [story.answer(item, "gated"), story.verdict(item, "gated")] if isinstance(gated, dict) else None,
        "c": None if confidence is None else round(confidence, 4),
    }
