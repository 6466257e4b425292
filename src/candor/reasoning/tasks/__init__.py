"""Tasks by name: `task_of("addition:1-9")`.

addition:3, subtraction:1-4, multiplication:2    by number of digits
decimals, decimals:version                       which is larger, 9.9 or 9.11? By context
letters                                          how often a letter is in a word
words, words:2                                   stories of one to four steps
digit-sum:12, parity:16, cups:8                  a state followed through a row of symbols
path/to/file.jsonl                               problems in GSM8K's format
gym:NAME                                         any task of the package reasoning-gym
"""

from __future__ import annotations

from collections.abc import Callable

from candor.core.errors import InputError, did_you_mean
from candor.reasoning.tasks.arithmetic import OPERATIONS, Arithmetic
from candor.reasoning.tasks.decimals import Decimals
from candor.reasoning.tasks.gsm8k import Gsm8k
from candor.reasoning.tasks.gym import Gym
from candor.reasoning.tasks.letters import Letters
from candor.reasoning.tasks.sequences import NAMES, sequence_task
from candor.reasoning.tasks.words import Words
from candor.rl.problem import Task

TaskMaker = Callable[[str | None], Task]  # from the part of a name behind the colon, None where there is none
_FAMILIES: dict[str, TaskMaker] = {
    **{name: (lambda digits, name=name: Arithmetic.of(name, digits)) for name in OPERATIONS},
    "decimals": Decimals.of,
    "letters": Letters.of,
    "words": Words.of,
    **{name: (lambda length, name=name: sequence_task(f"{name}:{length or ''}")) for name in NAMES},
    "gym": Gym.of,
}
_SUFFIXES = (".jsonl", ".jsonl.gz")


def register_task(name: str, maker: TaskMaker) -> None:
    """Add a task by name; one of that name that was there is replaced."""
    _FAMILIES[name] = maker


def task_of(spec: str) -> Task:
    """A task as a user names it.

    Raises:
        InputError: there is none by that name; the error names the nearest.
    """
    if spec.endswith(_SUFFIXES):
        return Gsm8k(spec)
    family, colon, rest = spec.partition(":")
    if family not in _FAMILIES:
        meant = did_you_mean(family, _FAMILIES)
        raise InputError(
            f"there is no task by the name '{spec}'",
            field="tasks",
            fix=f"{meant}there are {', '.join(_FAMILIES)}, and files in GSM8K's format (.jsonl, .jsonl.gz)",
        )
    return _FAMILIES[family](rest if colon else None)
