"""The page of a base model's run: what it compresses, how it learned, what it kept, what it read."""

from __future__ import annotations

from typing import Any

from candor.report import base_figures, outcome_figures, wording
from candor.report.evidence import Evidence, estimate_of, number_of
from candor.report.provenance import provenance, provenance_tables
from candor.report.tables import Cell, Table, facts_table
from candor.report.template import rendered
from candor.report.tiles import Tile, tile

SECTIONS = (
    ("compression", "Compression"),
    ("learning", "As it learned"),
    ("recall", "What it kept"),
    ("samples", "What it writes"),
    ("corpus", "The corpus"),
    ("reproduce", "Reproduce"),
)
_FIGURES = ("compression", "learning", "passages", "facts", "choices")
_SHOWN_SAMPLES = 4  # times during training whose continuations are shown


def render_base_page(evidence: Evidence) -> str:
    """The page as HTML text."""
    return rendered("base.html.jinja", context(evidence))


def context(evidence: Evidence) -> dict[str, Any]:
    """Everything that the template shows, finished: figures, tables and sentences."""
    return {
        **provenance(evidence),
        "sections": SECTIONS,
        "model": _model(evidence),
        "headline": headline(evidence),
        "lead": lead(evidence),
        "tiles": tiles(evidence),
        "figures": {name: getattr(base_figures, name)(evidence) for name in _FIGURES}
        | {"timings": outcome_figures.timings(evidence)},
        "tables": {
            "compression": _compression_table(evidence),
            "sources": _sources_table(evidence),
            "removed": _removed_table(evidence),
            "tokenizers": _tokenizer_table(evidence),
            "training": facts_table("The model and its training", _training(evidence)),
            **provenance_tables(evidence),
        },
        "learned": _learned(evidence),
        "samples": evidence.rows("samples"),
        "removed": _removed_samples(evidence),
    }


def headline(evidence: Evidence) -> str:
    """The result in one sentence."""
    ours, xz = _bits(evidence, "this model"), _bits(evidence, "xz -9e")
    if ours is None:
        return "This run has no results yet."
    text = f"A byte of held-out text costs this model {ours:.2f} bits"
    return f"{text}, and xz {xz:.2f}." if xz is not None else f"{text}."


def lead(evidence: Evidence) -> str:
    """What was trained on what."""
    training = evidence.table("pretrain")
    weights, tokens = number_of(training.get("weights")), number_of(training.get("tokens"))
    if not weights or not tokens:
        return ""
    sentence = f"{weights / 1e6:.1f} million weights read {tokens / 1e6:.1f} million tokens."
    held = estimate_of(next((row.get("bits_per_byte") for row in evidence.rows("compression")), None))
    train = number_of(evidence.at("corpus", "splits", "train", "bytes"))
    if held and train:
        sentence += (
            f" The corpus has {train / 1e6:.1f} MB; measured on {held.n:,} documents that were held out."
        )
    return sentence


def tiles(evidence: Evidence) -> list[Tile]:
    """The numbers that a user looks at first."""
    found = []
    ours = estimate_of(next((row.get("bits_per_byte") for row in evidence.rows("compression")), None))
    if ours:
        found.append(tile("Bits per byte", ours, "of held-out text", "score"))
    for part, key, label, detail in (
        ("facts", "right", "Facts answered", "of those stated most often"),
        ("passages", "exact", "Passages recited", "of those repeated most often"),
    ):
        rows = evidence.rows("recall", part)
        estimate = estimate_of(rows[-1].get(key)) if rows else None
        if estimate:
            times = number_of(rows[-1].get("times")) or 0
            found.append(tile(label, estimate, f"{detail} ({times:,.0f} times)"))
    speed = number_of(evidence.at("pretrain", "tokens_per_second"))
    if speed:
        mfu = number_of(evidence.at("pretrain", "mfu"))
        of = f", {wording.percent(mfu)} of the machine’s matrix products" if mfu else ""
        found.append(Tile("Training speed", wording.count(speed), f"tokens a second{of}", "", ""))
    return found


def _model(evidence: Evidence) -> str:
    training = evidence.table("pretrain")
    layers, width = number_of(training.get("layers")), number_of(training.get("width"))
    return f"A base model of {layers:.0f} layers, width {width:.0f}" if layers and width else "A base model"


def _bits(evidence: Evidence, name: str) -> float | None:
    for row in evidence.rows("compression"):
        if row.get("name") == name:
            found = estimate_of(row.get("bits_per_byte"))
            return found.value if found else None
    return None


def _compression_table(evidence: Evidence) -> Table | None:
    rows = []
    for row in evidence.rows("compression"):
        estimate = estimate_of(row.get("bits_per_byte"))
        weights = number_of(row.get("weights_bytes"))
        if estimate is None:
            rows.append([Cell(str(row.get("name"))), Cell(f"not measured: {row.get('note')}"), Cell("")])
            continue
        bits = Cell(
            wording.shown(estimate, "score"), wording.interval(estimate, "score"), wording.sized(estimate)
        )
        rows.append([Cell(str(row.get("name"))), bits, Cell(wording.size(weights) if weights else "")])
    caption = "Bits per byte of held-out text, and what a decoder has to have"
    return Table(caption, ["", "Bits per byte", "Weights"], rows) if rows else None


def _sources_table(evidence: Evidence) -> Table | None:
    rows = [
        [
            Cell(str(name)),
            *(Cell(wording.count(number_of(found.get(key)))) for key in ("read", "kept")),
            Cell(wording.size(number_of(found.get("kept_bytes")))),
        ]
        for name, found in evidence.table("corpus", "sources").items()
        if isinstance(found, dict)
    ]
    return Table("Where documents came from", ["Source", "Read", "Kept", "Text kept"], rows) if rows else None


def _removed_table(evidence: Evidence) -> Table | None:
    rows = []
    for step, found in evidence.table("corpus", "removed").items():
        if not isinstance(found, dict):
            continue
        given = found.get("reasons")
        reasons = given if isinstance(given, dict) else {}
        listed = ", ".join(
            f"{name} {count:,}" for name, count in sorted(reasons.items(), key=lambda r: -r[1])
        )
        counts = (
            wording.count(number_of(found.get("documents"))),
            wording.size(number_of(found.get("bytes"))),
        )
        rows.append([Cell(str(step)), *map(Cell, counts), Cell(listed)])
    return (
        Table("What was left out, by step", ["Step", "Documents", "Text", "Reasons"], rows) if rows else None
    )


def _tokenizer_table(evidence: Evidence) -> Table | None:
    rows = []
    for row in evidence.rows("tokenizer", "compared"):
        rate = number_of(row.get("bytes_per_token"))
        shown = f"not measured: {row.get('note')}" if rate is None else f"{rate:.2f}"
        rows.append(
            [Cell(str(row.get("name"))), Cell(wording.count(number_of(row.get("vocabulary")))), Cell(shown)]
        )
    caption = "Bytes of held-out text for each token"
    return Table(caption, ["Tokenizer", "Tokens", "Bytes per token"], rows) if rows else None


def _training(evidence: Evidence) -> dict[str, Any]:
    """The model and its training, with numbers as people read them."""
    found = evidence.table("pretrain")
    forms = {
        "tokens_per_second": wording.count,
        "mfu": wording.percent,
        "seconds": wording.duration,
        "learning_rate": lambda value: "" if value is None else f"{value:.2g}",
    }
    return {name: forms[name](number_of(value)) if name in forms else value for name, value in found.items()}


def _learned(evidence: Evidence) -> list[dict[str, Any]]:
    """Continuations at a few times of the training, the first and the last among them."""
    events = {
        event.get("step"): event
        for event in evidence.events
        if event.get("event") == "validation" and event.get("samples")
    }
    found = [events[step] for step in sorted(events, key=lambda step: number_of(step) or 0)]
    if len(found) > _SHOWN_SAMPLES:
        last = len(found) - 1
        found = [found[round(place * last / (_SHOWN_SAMPLES - 1))] for place in range(_SHOWN_SAMPLES)]
    return [
        {"step": wording.count(number_of(event.get("step"))), "samples": event["samples"]} for event in found
    ]


def _removed_samples(evidence: Evidence) -> list[dict[str, Any]]:
    return [
        {"step": step, "samples": found["samples"]}
        for step, found in evidence.table("corpus", "removed").items()
        if isinstance(found, dict) and isinstance(found.get("samples"), list)
    ]
