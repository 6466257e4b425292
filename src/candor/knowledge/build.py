"""The \"I don't know\" data set: the model's own right answers kept, the rest refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from candor.data.types import Question
from candor.engine.gate import refusal_for
from candor.judge import Verdict, judge
from candor.knowledge.probe import ask
from candor.knowledge.recipe import BuildSettings, ProbeSettings
from candor.knowledge.records import Answer, BoundaryRow, ProbeRow


def build_examples(
    questions: Mapping[str, Question],
    probe: Mapping[str, ProbeRow],
    boundary: Iterable[BoundaryRow],
    settings: BuildSettings,
    asking: ProbeSettings,
) -> list[dict[str, Any]]:
    """Training rows in the `messages` layout that TRL, Axolotl and LLaMA-Factory read as it is.

    Known questions keep the model's own right answer, unknown ones are refused, unsure ones follow
    `settings.unsure`.

    Returns:
        One row a question: `messages`, with `id` and `label` (answer or refuse) for people.
    """
    rows = []
    for row in boundary:
        question = questions[row.id]
        own = own_answer(question, probe[row.id])
        answers = row.label == "known" or (
            row.label == "unsure"
            and (
                settings.unsure == "answer" or (settings.unsure == "greedy" and row.greedy == Verdict.CORRECT)
            )
        )
        if row.label == "unsure" and settings.unsure == "drop":
            continue
        if answers and own is None:
            continue  # its right answers were all cut short: nothing whole to learn from
        text = own if answers and own is not None else refusal_for(row.id)
        rows.append(
            conversation(ask(question.question, asking), text, row.id, "answer" if answers else "refuse")
        )
    return rows


def balanced(rows: Sequence[dict[str, Any]], most: float = 8.0) -> list[dict[str, Any]]:
    """The rows with a `weight`: answers to keep count as much in all as refusals do, rehearsal rows alike.

    Most questions are beyond a small model; unweighted, tuning would learn to refuse everything first and
    the difference later. What is left of the balance is set afterwards, on the validation split (`dial`).
    """
    count = Counter(row["label"] for row in rows)
    weight = min(most, max(1.0, count["refuse"] / max(1, count["answer"])))
    return [{**row, "weight": 1.0 if row["label"] == "refuse" else round(weight, 4)} for row in rows]


def own_answer(question: Question, row: ProbeRow) -> str | None:
    """The model's own right answer: the greedy one if it is right, else its likeliest right sample.

    An answer that ran into the length limit is cut after its first sentence, if that alone is right.
    """
    candidates: Sequence[Answer] = (
        row.greedy,
        *sorted(row.samples, key=lambda a: -(sum(a.logprobs) / max(1, len(a.logprobs)))),
    )
    for answer in candidates:
        text = answer.text.strip()
        if answer.finish == "length":
            head, dot, _ = text.partition(". ")
            text = head + "." if dot else text if text.endswith((".", "!")) else ""
        if text and judge(question.question, question.answers, text) == Verdict.CORRECT:
            return text
    return None


def conversation(prompt: Sequence[Mapping[str, Any]], reply: str, key: str, label: str) -> dict[str, Any]:
    """One training row."""
    messages = [{"role": m["role"], "content": m["content"]} for m in prompt]
    return {"id": key, "label": label, "messages": [*messages, {"role": "assistant", "content": reply}]}
