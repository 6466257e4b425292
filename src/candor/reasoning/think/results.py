"""What the answers say: accuracy by task, kind and way, against direct, by tokens, and what went wrong.

Proportions have Wilson intervals: every problem is asked once in a way. Differences are between answers to
the same problems. An answer that could not be read is wrong, and counted apart as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from candor.core.statistics import bootstrap, paired_difference, wilson
from candor.reasoning.numbers import stated, value_of
from candor.reasoning.tasks.decimals import chosen, conflicting, later_as_version
from candor.reasoning.tasks.decimals import named as pair_of
from candor.reasoning.think.asked import Answered
from candor.reasoning.think.tokenised import in_one
from candor.reasoning.ways.answers import EXPLANATION
from candor.rl.problem import Problem

FAILURES = 3  # shown of each task and way

Table = list[dict[str, Any]]


def summary(rows: Sequence[Answered], within: Sequence[Answered]) -> dict[str, Any]:
    """All tables of metrics.json.

    Args:
        rows: whole completions.
        within: those cut at budgets.
    """
    return {
        "accuracy": accuracy(rows),
        "against_direct": against_direct(rows),
        "budgets": by_budget(within),
        "tokenisation": by_tokenisation(rows),
        "decimals": by_context(rows),
        "explanations": explanations(rows),
        "failures": failures(rows),
    }


def accuracy(rows: Sequence[Answered]) -> Table:
    """By task and way, of all kinds together (kind "") and of each; with it the answer that is given most.

    Whoever gives one answer to everything gets what its share of the right ones is.
    """
    table = []
    for (task, way), members in _grouped(rows, lambda row: (row.task, row.way)):
        kinds = list(_grouped(members, lambda row: row.kind))
        for kind, some in [("", members), *(kinds if len(kinds) > 1 else [])]:
            tokens = [float(row.tokens) for row in some]
            table.append(
                {
                    "task": task,
                    "way": way,
                    "kind": kind,
                    "right": _share(some),
                    "unread": sum(row.read is None for row in some),
                    "unfinished": sum(not row.finished for row in some),
                    "tokens": bootstrap(lambda n: float(n.mean()), tokens, seed=0).as_dict(),
                    "most": _most(some),
                }
            )
    return table


def against_direct(rows: Sequence[Answered]) -> Table:
    """Right answers of each way minus those of direct, on the same problems."""
    table = []
    for task, members in _grouped(rows, lambda row: row.task):
        direct = {row.id: row.right for row in members if row.way == "direct"}
        for way, some in _grouped(members, lambda row: row.way):
            pairs = [(float(row.right), float(direct[row.id])) for row in some if row.id in direct]
            if way == "direct" or not pairs:
                continue
            other, first = zip(*pairs, strict=True)
            table.append({"task": task, "way": way, "difference": paired_difference(other, first).as_dict()})
    return table


def by_budget(within: Sequence[Answered]) -> Table:
    """Accuracy by the number of tokens allowed before the answer."""
    return [
        {
            "task": task,
            "way": way,
            "budget": budget,
            "right": _share(some),
            "forced": sum(row.forced for row in some),
            "unread": sum(row.read is None for row in some),
            "tokens": sum(row.tokens for row in some) / len(some),
        }
        for (task, way, budget), some in _grouped(within, lambda row: (row.task, row.way, row.budget))
    ]


def by_tokenisation(rows: Sequence[Answered]) -> Table:
    """Accuracy where each of a question's numbers is one token, and where one is several; if both occur."""
    table = []
    for (task, way), members in _grouped([row for row in rows if row.parts], lambda row: (row.task, row.way)):
        groups = dict(_grouped(members, lambda row: "one" if in_one(row.parts) else "several"))
        if len(groups) == 2:
            table += [
                {"task": task, "way": way, "pieces": pieces, "right": _share(groups[pieces])}
                for pieces in ("one", "several")
            ]
    return table


def by_context(rows: Sequence[Answered]) -> Table:
    """Of pairs where the logics of numbers and of versions conflict: how often an answer goes by versions.

    With it how often the number named first is chosen, which balanced pairs make ½ for whoever knows.
    """
    table = []
    some = [row for row in rows if row.task.partition(":")[0] == "decimals"]
    for (context, way), members in _grouped(some, lambda row: (row.kind.partition(",")[0], row.way)):
        choices = []
        for row in members:
            problem = _problem(row)
            choice = None if row.read is None else chosen(problem, row.read)
            choices.append((pair_of(problem), conflicting(problem), choice))
        clashes = [(pair, choice) for pair, conflict, choice in choices if conflict]
        version = sum(choice == later_as_version(*pair) for pair, choice in clashes)
        number = sum(choice is not None for _, choice in clashes) - version
        first = sum(choice == pair[0] for pair, _, choice in choices)
        table.append(
            {
                "context": context,
                "way": way,
                "right": _share(members),
                "by_version": wilson(version, len(clashes)).as_dict(),
                "by_number": wilson(number, len(clashes)).as_dict(),
                "first": wilson(first, len(choices)).as_dict(),
            }
        )
    return table


def explanations(rows: Sequence[Answered]) -> Table:
    """Of wrong answers that were then explained: how often the explanation ends on the answer given, on the
    right one, or on neither. Only explanations that the completion marks as such."""
    table = []
    for task, members in _grouped([row for row in rows if row.way == "explain"], lambda row: row.task):
        ends = {"justified": 0, "corrected": 0, "neither": 0}
        for row in members:
            _, mark, explained = row.completion.partition(EXPLANATION)
            if row.right or row.read is None or not mark:
                continue
            last = value_of(stated(explained) or "")
            given = value_of(stated(row.read) or row.read)
            if last is not None and last == given:
                ends["justified"] += 1
            elif last is not None and last == value_of(row.answer):
                ends["corrected"] += 1
            else:
                ends["neither"] += 1
        count = sum(ends.values())
        if count:
            table.append(
                {"task": task, **{end: wilson(number, count).as_dict() for end, number in ends.items()}}
            )
    return table


def failures(rows: Sequence[Answered]) -> Table:
    """Some wrong answers of each task and way, of different kinds where there are."""
    table = []
    for _, members in _grouped([row for row in rows if not row.right], lambda row: (row.task, row.way)):
        kinds = [list(some) for _, some in _grouped(members, lambda row: row.kind)]
        spread = [some[place] for place in range(FAILURES) for some in kinds if place < len(some)]
        step = max(1, len(spread) // FAILURES)
        fields = ("task", "way", "kind", "question", "answer", "read", "completion", "parts", "tokens")
        table += [row.model_dump(mode="json", include=set(fields)) for row in spread[::step][:FAILURES]]
    return table


def _problem(row: Answered) -> Problem:
    return Problem(id=row.id, question=row.question, answer=row.answer, kind=row.kind)


def _most(rows: Sequence[Answered]) -> dict[str, Any] | None:
    """The answer that was read most often, and the share of all that it is."""
    said = Counter(row.read for row in rows if row.read is not None).most_common(1)
    return {"answer": said[0][0], "share": said[0][1] / len(rows)} if said else None


def _share(rows: Sequence[Answered]) -> dict[str, Any]:
    return wilson(sum(row.right for row in rows), len(rows)).as_dict()


def _grouped(
    rows: Iterable[Answered], key: Callable[[Answered], Any]
) -> Iterable[tuple[Any, list[Answered]]]:
    """Rows by a key, in the order in which keys come up."""
    groups: dict[Any, list[Answered]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups.items()
