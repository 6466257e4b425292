"""The judge's own examination: hand-written cases, hard on purpose, and its accuracy on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from candor.core.files import read_jsonl
from candor.core.statistics import wilson
from candor.data.types import NonEmpty, Row
from candor.judge.rules import Verdict, judge

_PATH = Path(__file__).parent / "judge_cases.jsonl"


class JudgeCase(Row):
    """A labelled case. `held` cases were never run while the judge was developed."""

    question: NonEmpty
    answers: tuple[NonEmpty, ...]
    response: str
    label: Verdict
    tags: tuple[NonEmpty, ...]
    held: bool


@lru_cache(maxsize=1)
def judge_cases() -> tuple[JudgeCase, ...]:
    """All labelled cases that Candor ships."""
    return tuple(read_jsonl(_PATH, JudgeCase))


def judge_accuracy(judge_one: Callable[[str, Sequence[str], str], Verdict] = judge) -> dict[str, Any]:
    """Accuracy of a judge on the shipped cases.

    Args:
        judge_one: takes question, accepted answers, response; the rule judge by default.

    Returns:
        For "all", "dev" and "held": {value, low, high, n} with Wilson 95 % intervals; the same for every
        label (recall) under "labels" and every tag under "tags"; "confusion" counts label -> verdict; and
        "failures", the misjudged cases. All but the "observed" cases were written before the judge, by the
        same author; every third question of each tag, in the order of its SHA-256, was then held and not run
        until the end. Held accuracy is the number to quote, and still kinder than a stranger's cases.
    """
    rows = [(case, judge_one(case.question, case.answers, case.response)) for case in judge_cases()]
    confusion = {label.value: {verdict.value: 0 for verdict in Verdict} for label in Verdict}
    for case, verdict in rows:
        confusion[case.label.value][verdict.value] += 1
    tags = sorted({tag for case, _ in rows for tag in case.tags})
    return {
        "all": _share(rows),
        "dev": _share(row for row in rows if not row[0].held),
        "held": _share(row for row in rows if row[0].held),
        "labels": {label.value: _share(row for row in rows if row[0].label is label) for label in Verdict},
        "tags": {tag: _share(row for row in rows if tag in row[0].tags) for tag in tags},
        "confusion": confusion,
        "failures": [
            {**case.model_dump(mode="json"), "verdict": verdict.value}
            for case, verdict in rows
            if verdict is not case.label
        ],
    }


def _share(rows: Iterable[tuple[JudgeCase, Verdict]]) -> dict[str, float | int | None]:
    counted = [verdict is case.label for case, verdict in rows]
    return wilson(sum(counted), len(counted)).as_dict()
