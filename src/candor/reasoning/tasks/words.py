"""Word problems of our own making: somebody has some things, and one to four things happen."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from candor.reasoning.numbers import same_number
from candor.reasoning.tasks.numbered import in_turn, shares, sizes_of
from candor.rl.problem import Problem

_NAMES = (
    *(("Mia", "she"), ("Tom", "he"), ("Aisha", "she"), ("Jonas", "he"), ("Priya", "she")),
    *(("Mateo", "he"), ("Ines", "she"), ("Kofi", "he"), ("Yuki", "she"), ("Omar", "he")),
)
_THINGS = (
    *("apples", "marbles", "stamps", "pencils", "shells", "cards", "buttons", "stickers"),
    *("walnuts", "beads", "postcards", "candles"),
)
_MOST = 200  # things at any time: the steps are to be hard, not their arithmetic


@dataclass(frozen=True)
class _Event:
    """Something that happens: how it is told, and what it makes of a number; None where it can't happen."""

    told: tuple[str, ...]
    sign: str
    draw: Callable[[int, random.Random], int | None]


def _divisor(now: int, random_: random.Random) -> int | None:
    fine = [number for number in range(2, 7) if now % number == 0 and now // number > 1]
    return random_.choice(fine) if fine else None


_EVENTS = (
    _Event(
        ("{She} buys {k} more.", "{She} is given {k} more.", "Then {she} finds another {k}."),
        "+",
        lambda now, random_: random_.randint(3, 40) if now + 40 <= _MOST else None,
    ),
    _Event(
        ("{She} gives {k} of them to a friend.", "{She} loses {k} of them.", "{She} sells {k} of them."),
        "-",
        lambda now, random_: random_.randint(2, now - 2) if now >= 6 else None,
    ),
    _Event(
        (
            "By the end of the week {she} has {k} times as many.",
            "A year later {she} has {k} times as many.",
        ),
        "*",
        lambda now, random_: random_.randint(2, min(4, _MOST // now)) if 2 * now <= _MOST else None,
    ),
    _Event(
        (
            "{She} shares them equally among {k} people, {herself} among them, and keeps {her} share.",
            "{She} puts them into {k} boxes, equally many in each, and keeps only one of the boxes.",
        ),
        "/",
        _divisor,
    ),
)
_FORMS = {
    "she": {"she": "she", "She": "She", "her": "her", "herself": "herself"},
    "he": {"she": "he", "She": "He", "her": "his", "herself": "himself"},
}


@dataclass(frozen=True)
class Words:
    """Stories in which one to four things happen, in equal shares."""

    steps: range
    spec: str

    @classmethod
    def of(cls, steps: str | None) -> Words:
        """From the part of a name behind the colon, such as `2` or `1-4`; None: all."""
        return cls(
            sizes_of("words", steps, default=(1, 4), most=4, what="steps"),
            "words" if steps is None else f"words:{steps}",
        )

    @property
    def name(self) -> str:
        """As the user named it."""
        return self.spec

    def problems(self, count: int, seed: int) -> list[Problem]:
        """At most 2,000 of each number of steps."""
        groups = []
        for steps, share in zip(self.steps, shares(count, [2000] * len(self.steps)), strict=True):
            random_ = random.Random(f"words:{steps}:{seed}")
            found: dict[str, Problem] = {}
            while len(found) < share:
                problem = _story(steps, random_)
                found[problem.question] = problem
            groups.append(list(found.values()))
        return in_turn(groups)

    def right(self, problem: Problem, answer: str) -> bool:
        """Whether the answer gives exactly the number."""
        return same_number(answer, problem.answer)


def _story(steps: int, random_: random.Random) -> Problem:
    name, pronoun = random_.choice(_NAMES)
    things, now = random_.choice(_THINGS), random_.randint(6, 60)
    told, worked, last = [f"{name} has {now} {things}."], [], None
    while len(worked) < steps:
        event = random_.choice(_EVENTS)
        k = None if event is last else event.draw(now, random_)  # the same twice would be told as one
        if k is None:
            continue
        last, before = event, now
        now = {"+": now + k, "-": now - k, "*": now * k, "/": now // k}[event.sign]
        told.append(random_.choice(event.told).format(k=k, **_FORMS[pronoun]))
        worked.append(f"{before} {event.sign} {k} = {now}")
    question = " ".join([*told, f"How many {things} does {name} have now?"])
    return Problem(
        id=question,
        question=question,
        answer=str(now),
        steps="\n".join(worked),
        kind="1 step" if steps == 1 else f"{steps} steps",
    )
