"""What tasks by size share: sizes as a user writes them, and equal shares among them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

from candor.core.errors import InputError

Item = TypeVar("Item")


def sizes_of(task: str, text: str | None, *, default: tuple[int, int], most: int, what: str) -> range:
    """The sizes that "3" or "1-9" names.

    Args:
        task: the family, for the error.
        text: what stands behind its colon; None takes the default.
        default: smallest and largest.
        most: the largest that the task has.
        what: a size is of: digits, steps.

    Raises:
        InputError: something else, or sizes that the task does not have.
    """
    if text is None:
        return range(default[0], default[1] + 1)
    found = re.fullmatch(r"([0-9]{1,3})(?:-([0-9]{1,3}))?", text.strip())
    low = int(found[1]) if found else 0
    high = int(found[2] or low) if found else 0
    if not 1 <= low <= high <= most:
        raise InputError(
            f"'{task}:{text}' names no number of {what}",
            field="tasks",
            fix=f"write {task}:3 or {task}:1-{min(4, most)}; there are 1 to {most} {what}",
        )
    return range(low, high + 1)


def shares(count: int, capacities: Sequence[int]) -> list[int]:
    """How many of `count` each of several gets: equally many, as far as each has room."""
    given = [0] * len(capacities)
    while (left := count - sum(given)) > 0:
        free = [place for place, most in enumerate(capacities) if given[place] < most]
        if not free:
            break
        for number, place in enumerate(free):
            wanted = left // len(free) + (number < left % len(free))
            given[place] += min(wanted, capacities[place] - given[place])
    return given


def in_turn(groups: Sequence[Sequence[Item]]) -> list[Item]:
    """One of each group after another, so that a part of the whole has about equally many of each."""
    longest = max(map(len, groups), default=0)
    return [group[place] for place in range(longest) for group in groups if place < len(group)]
