"""The report in words: headline, tiles, tables, examples, and why a part is missing."""

from __future__ import annotations

from collections import Counter
from typing import Any

from candor.report import wording
from candor.report.evidence import Evidence, number_of
from candor.report.tiles import Tile, tile

EXAMPLES = 3  # of each outcome
LONGEST_ANSWER = 600  # characters of an answer that the page shows

# Every outcome of a question, best known by what it means to the user.
OUTCOMES = {
    ("incorrect", "not_attempted"): "Wrong before, now says “I don’t know”: the aim",
    ("correct", "correct"): "Right before and after: kept",
    ("correct", "not_attempted"): "Right before, now refused: the cost",
    ("incorrect", "incorrect"): "Wrong before and still wrong",
    ("incorrect", "correct"): "Wrong before, right now",
    ("correct", "incorrect"): "Right before, wrong now",
    ("not_attempted", "not_attempted"): "Refused before and after",
    ("not_attempted", "correct"): "Refused before, right now",
    ("not_attempted", "incorrect"): "Refused before, wrong now",
}

UNEVALUATED = (
    "The run has not been evaluated yet: run the same `candor knowledge run` command again to finish it."
)
# Why a part of the report may be absent, in the words of someone who has to decide what to do about it.
MISSING = {
    "outcomes": UNEVALUATED,
    "abstention": "The run compared no ways to abstain: that takes a tuned model and a trained probe.",
    "risk_coverage": "No confidence score ranked the answers, so there is no risk–coverage curve.",
    "scores": "No confidence score was measured: the engine returned no token log-probabilities or samples.",
    "layers": (
        "The engine returned no hidden states (a remote server never does), so no probe was trained. "
        "Run with --engine local to look inside the model."
    ),
    "kinds": "The questions have no types, or too few of each, so the probe was not tested across types.",
    "reliability": "No calibrated confidence was recorded, so there is nothing to compare with the outcomes.",
    "invented": "The run asked about no invented things.",
    "questions": "The run kept no answers to the single questions (evaluation/items.jsonl is not there).",
    "generation": "No questions were generated in this run: they were given.",
    "judge": "The judge's accuracy on its labelled cases was not measured in this run.",
    "ability": "General ability was not measured in this run.",
    "commands": "The run recorded no commands.",
    "recipe": "The run folder holds no recipe.toml.",
}


def headline(evidence: Evidence) -> str:
    """The result in one sentence."""
    before, after = evidence.estimate("before", "incorrect"), evidence.estimate("after", "incorrect")
    kept = evidence.estimate("change", "right_kept")
    if before and after:
        parts = [f"Wrong answers went from {wording.shown(before)}\u00a0to\u00a0{wording.shown(after)}"]
        if kept:
            parts.append(f"{wording.shown(kept)} of the right ones were kept")
        return "; ".join(parts) + "."
    if before:
        return f"The model answers {wording.shown(before)} of the questions wrongly."
    return "This run has no results yet."


def lead(evidence: Evidence) -> str:
    """What was measured on what, in two or three sentences."""
    test = evidence.table("splits", "test")
    questions, documents = number_of(test.get("questions")), number_of(test.get("documents"))
    sentences = []
    if questions:
        of = f" from {wording.count(documents)} documents" if documents else ""
        sentences.append(
            f"Measured on {wording.count(questions)} held-out questions{of} that took no part in tuning, "
            "asked closed-book before and after."
        )
    probe = evidence.estimate("scores", "probe", "auroc")
    token = evidence.estimate("scores", "token_probability", "auroc")
    if probe:
        beside = f", against {wording.shown(token, 'score')} for token probability" if token else ""
        sentences.append(
            "Before a word is written, a linear probe inside the model tells right answers from wrong ones "
            f"with AUROC {wording.shown(probe, 'score')}{beside}."
        )
    return " ".join(sentences)


def tiles(evidence: Evidence) -> list[Tile]:
    """The four numbers that a user decides by."""
    found = []
    for label, key, detail in (
        ("Wrong answers", ("after", "incorrect"), "of held-out questions"),
        ("Right answers kept", ("change", "right_kept"), "of those right before"),
        (
            "Invented things refused",
            ("invented", "refused_after"),
            "of questions about things that don’t exist",
        ),
        ("Needless refusals", ("change", "over_refusal"), "of questions it had right"),
    ):
        estimate = evidence.estimate(*key)
        if estimate:
            was = {"after": ("before", "incorrect"), "invented": ("invented", "refused_before")}.get(key[0])
            before = evidence.estimate(*was) if was else None
            found.append(tile(label, estimate, detail, before=before))
    return found


def probe_gain(evidence: Evidence) -> str:
    """What the paired comparison of the probe with token probability says, "" if it was not made."""
    gain = evidence.estimate("probe", "minus_token_probability")
    if gain is None:
        return ""
    words = (
        "On the same questions, the probe's AUROC less that of token probability is "
        f"{wording.full(gain, 'score')}."
    )
    if gain.low is None or gain.high is None:
        return words
    if gain.low > 0:
        return f"{words} The paired interval excludes zero: the probe ranks these answers better."
    if gain.high < 0:
        return f"{words} The paired interval is below zero: token probability ranks these answers better."
    return f"{words} The paired interval includes zero: the two can't be told apart here."


def funnel(evidence: Evidence) -> list[str]:
    """How documents became questions, one sentence a step."""
    sentences = []
    total = number_of(evidence.at("questions", "total"))
    if total:
        origins = evidence.table("questions", "by_origin")
        by = ", ".join(f"{wording.count(number_of(n))} {name}" for name, n in origins.items())
        sentences.append(f"{wording.count(total)} questions in all{f': {by}' if by else ''}.")
    chunks, candidates, kept = (
        number_of(evidence.at("questions", "generation", key)) for key in ("chunks", "candidates", "kept")
    )
    if candidates:
        of = f" from {wording.count(chunks)} passages" if chunks else ""
        share = f" ({wording.percent(kept / candidates)})" if kept is not None else ""
        sentences.append(
            f"The generator wrote {wording.count(candidates)} candidates{of}; "
            f"{wording.count(kept)} were kept{share}."
        )
    topped_up = number_of(evidence.at("questions", "topped_up"))
    if topped_up:
        sentences.append(
            f"Generation alone gave too few, so {wording.count(topped_up)} questions rendered from packaged "
            "facts were added."
        )
    return sentences


def examples(evidence: Evidence) -> list[dict[str, Any]]:
    """Up to `EXAMPLES` questions of every outcome that occurs, with the count of each."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for item in evidence.items:
        groups.setdefault((verdict(item, "before"), verdict(item, "after")), []).append(item)
    order = [pair for pair in OUTCOMES if pair in groups]
    order += sorted(pair for pair in groups if pair not in OUTCOMES and "" not in pair)
    found = []
    for pair in order:
        chosen = groups[pair]
        # Spread over the list, so that the examples are not three questions about one document.
        every = max(1, len(chosen) // EXAMPLES)
        found.append(
            {
                "pair": "|".join(pair),
                "title": OUTCOMES.get(pair, f"{pair[0]} before, {pair[1]} after"),
                "count": len(chosen),
                "items": [_example(item) for item in chosen[::every][:EXAMPLES]],
            }
        )
    return found


def outcome_counts(evidence: Evidence) -> list[tuple[str, str, int]]:
    """(pair, title, count) of every outcome, in the order of the filter."""
    counts = Counter((verdict(item, "before"), verdict(item, "after")) for item in evidence.items)
    rows = [("|".join(pair), title, counts.pop(pair)) for pair, title in OUTCOMES.items() if pair in counts]
    return rows + [
        ("|".join(pair), " → ".join(p or "none" for p in pair), n) for pair, n in sorted(counts.items())
    ]


def verdict(item: dict[str, Any], stage: str) -> str:
    """The verdict of a stage's answer, "" where there is none."""
    answer = item.get(stage)
    return str(answer.get("verdict") or "") if isinstance(answer, dict) else ""


def answer(item: dict[str, Any], stage: str) -> str:
    """The text of a stage's answer, shortened."""
    found = item.get(stage)
    text = str(found.get("text") or "") if isinstance(found, dict) else ""
    return text if len(text) <= LONGEST_ANSWER else text[:LONGEST_ANSWER].rstrip() + " …"


def accepted(item: dict[str, Any]) -> str:
    """The accepted answers, joined."""
    answers = item.get("answers")
    return " / ".join(str(a) for a in answers) if isinstance(answers, list) else ""


def _example(item: dict[str, Any]) -> dict[str, Any]:
    confidence = number_of(item.get("confidence"))
    return {
        "question": str(item.get("question", "")),
        "accepted": accepted(item),
        "document": str(item.get("document") or ""),
        "before": {"text": answer(item, "before"), "verdict": verdict(item, "before")},
        "after": {"text": answer(item, "after"), "verdict": verdict(item, "after")},
        "confidence": wording.percent(confidence) if confidence is not None else "",
    }
