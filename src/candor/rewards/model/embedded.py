"""The embedded default: preferences made of packaged facts, with nothing to download and nobody to ask.

    right over wrong       the answer, against that of another question of its kind
    right over unsure      the answer, against "I don't know"
    unsure over wrong      "I don't know", against a wrong answer
    invented               "I don't know", against an answer about a thing that does not exist

So a right answer is best, a wrong one worst, and "I don't know" in between. What can be learned of the first
three on things that are held out is what the model knows already: it has to weigh an answer by its own
knowledge. The last is also a matter of how names sound.
"""

from __future__ import annotations

import random
from collections import defaultdict
from itertools import cycle, islice

from candor.core.errors import CandorError
from candor.data.facts import embedded_questions
from candor.data.invented import invented_questions
from candor.data.types import Question
from candor.engine.gate import refusal_for
from candor.engine.protocol import Prompt
from candor.judge import Verdict, judge
from candor.rewards.model.pairs import Pair

RIGHT_WRONG, RIGHT_UNSURE, UNSURE_WRONG, INVENTED = (
    "right over wrong",
    "right over unsure",
    "unsure over wrong",
    "invented",
)
# How often each comes; right against wrong is the hardest, and what a reward of truth is for.
_TURNS = (RIGHT_WRONG, RIGHT_UNSURE, RIGHT_WRONG, UNSURE_WRONG, INVENTED)
# Kinds of fact whose answers could be said to a question that begins like this.
_SOUNDS_LIKE = (
    ("Who", ("element_discoverer",)),
    ("When", ("element_year",)),
    ("How", ("atomic_number", "calling_code")),
    ("Where", ("city_country", "capital")),
    ("Which country", ("city_country",)),
)
_ELSE = ("capital", "city_country", "element_category")
_TRIES = 20  # answers of other questions that are looked at for one that is wrong here


def fact_pairs(count: int = 1600, seed: int = 0) -> list[Pair]:
    """So many pairs about facts and about invented things; `group` says of which sort each is.

    What one is about, or the kind of invented thing, is held out together (`unit`).

    Args:
        count: how many.
        seed: which facts and wordings.

    Raises:
        CandorError: the packages of facts are not installed, or there aren't so many facts.
    """
    facts = list(embedded_questions(seed))
    draw = random.Random(f"{seed}:preferences")
    draw.shuffle(facts)
    answers: dict[str, list[str]] = defaultdict(list)
    for fact in facts:
        answers[fact.kind].append(fact.answers[0])
    each = count // len(_TURNS) // 2 + 1
    both = [one for split in ("train", "test") for one in invented_questions(each, seed, split=split)]
    invented, asked = iter(both), iter(facts)
    found: list[Pair] = []
    for group in islice(cycle(_TURNS), 3 * count):
        if len(found) == count:
            return found
        question = next(invented if group == INVENTED else asked, None)
        if question is None:
            break
        pair = _pair(group, question, answers, draw)
        if pair is not None:
            found.append(pair)
    if len(found) == count:
        return found
    raise CandorError(
        f"there are only {len(found):,} embedded preferences, not {count:,}", fix="ask for fewer: data.pairs"
    )


def _pair(group: str, question: Question, answers: dict[str, list[str]], draw: random.Random) -> Pair | None:
    unsure = refusal_for(question.id)
    if group == RIGHT_UNSURE:
        chosen, rejected = _said(question.answers[0]), unsure
    else:
        wrong = _invented(question, answers, draw) if group == INVENTED else _wrong(question, answers, draw)
        if wrong is None:
            return None
        chosen = _said(question.answers[0]) if group == RIGHT_WRONG else unsure
        rejected = _said(wrong)
    unit = question.kind if group == INVENTED else question.document
    prompt: Prompt = ({"role": "user", "content": question.question},)
    return Pair(prompt, chosen, rejected, group=group, unit=unit)


def _wrong(question: Question, answers: dict[str, list[str]], draw: random.Random) -> str | None:
    """The answer of another question of its kind that is wrong here; None where all are right."""
    for _ in range(_TRIES):
        other = draw.choice(answers[question.kind])
        if judge(question.question, question.answers, other) == Verdict.INCORRECT:
            return other
    return None


def _invented(question: Question, answers: dict[str, list[str]], draw: random.Random) -> str:
    """An answer of a kind that the question could have."""
    kinds = next((kinds for start, kinds in _SOUNDS_LIKE if question.question.startswith(start)), _ELSE)
    return draw.choice(answers[draw.choice(kinds)])


def _said(answer: str) -> str:
    """As a sentence of its own."""
    return f"{answer[:1].upper()}{answer[1:]}" + ("" if answer.endswith(".") else ".")
