"""How often a letter is in a word: easy for whoever sees letters, and a model sees tokens."""

from __future__ import annotations

import random
from dataclasses import dataclass

from candor.core.errors import InputError
from candor.reasoning.numbers import same_number
from candor.reasoning.tasks.numbered import in_turn, shares
from candor.rl.problem import Problem

_LIST = """
    strawberry banana blueberry raspberry cranberry pineapple coconut cinnamon pepper broccoli
    cucumber tomato potato avocado asparagus cabbage chocolate cheese butter coffee
    address bubble balloon balcony bottle button cabin candle carpet cellar
    committee connection corridor cottage cupboard curtain daffodil december difference dinner
    engineer envelope evening excellence expression feather february fellowship finger follow
    forgotten fountain funnel garage garden giraffe grammar grasshopper guitar hammer
    happiness harbour hedgehog hippopotamus horizon hurricane illness island jewellery journey
    kangaroo kettle kitchen ladder language lantern leather letter library lighthouse
    magazine mammal marathon meadow memory message millennium mirror mississippi mosquito
    mountain mushroom narrow necessary needle neighbour november occasion occurrence october
    onion orchestra parallel parliament passenger penguin piccolo pillow possession possible
    programme pumpkin puzzle quarrel rabbit railroad referee register restaurant river
    saddle sandwich sausage scissors sentence september shoulder silver sparrow spelling
    squirrel statistics success suggestion summer sunflower tattoo teacher tennessee terrace
    thunder together tomorrow tongue tunnel umbrella unnecessary vacuum valley village
    vinegar volleyball waterfall whisper window winter woodpecker xylophone yellow zipper
"""
_WORDS = tuple(_LIST.split())
_TIMES = ("not at all", "once", "twice", "three times or more")


@dataclass(frozen=True)
class Letters:
    """Words of our own list; letters that are not there, there once, twice and more often in equal shares."""

    name: str = "letters"

    @classmethod
    def of(cls, rest: str | None) -> Letters:
        """The task.

        Raises:
            InputError: something stands behind the name.
        """
        if rest is not None:
            raise InputError(f"'letters:{rest}' names no task", field="tasks", fix="write letters")
        return cls()

    def problems(self, count: int, seed: int) -> list[Problem]:
        """A letter of a word each; “strawberry” and its r are always among those of three or more."""
        random_ = random.Random(f"letters:{seed}")
        groups: list[list[tuple[str, str]]] = [[] for _ in _TIMES]
        for word in _WORDS:
            for letter in "abcdefghijklmnopqrstuvwxyz":
                groups[min(word.count(letter), 3)].append((letter, word))
        for group in groups:
            random_.shuffle(group)
        groups[3].remove(("r", "strawberry"))
        groups[3].insert(0, ("r", "strawberry"))
        taken = shares(count, [len(group) for group in groups])
        # Most often first, so that a single problem is the one that everybody asks.
        chosen = in_turn([group[:share] for group, share in zip(groups, taken, strict=True)][::-1])
        return [_problem(letter, word) for letter, word in chosen]

    def right(self, problem: Problem, answer: str) -> bool:
        """Whether the answer gives exactly the number, in digits or as a word up to ten."""
        return same_number(_in_digits(answer), problem.answer)


_SPELLED = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def _in_digits(answer: str) -> str:
    """An answer that is a number's name, as digits."""
    bare = answer.strip().strip(".!*").lower()
    return str(_SPELLED.index(bare)) if bare in _SPELLED else answer


def _problem(letter: str, word: str) -> Problem:
    times, seen = word.count(letter), 0
    spelled = []
    for sign in word:
        seen += sign == letter
        spelled.append(f"{sign} ({seen})" if sign == letter else sign)
    return Problem(
        id=f"{letter}:{word}",
        question=f'How many times does the letter "{letter}" occur in the word "{word}"?',
        answer=str(times),
        steps=", ".join(spelled),
        kind=_TIMES[min(times, 3)],
    )
