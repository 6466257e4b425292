"""Facts that the corpus states a known number of times, for measuring what repetition does.

An entry of the embedded encyclopaedia (an element, a country) is rendered so many times, each time in
wordings of its own: every second time it tells its facts, and every second time it asks and answers them. So
each of its facts is stated in exactly so many documents. Which entry gets which number is drawn by seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from candor.core.errors import CandorError
from candor.data.facts import restatable_entries
from candor.data.types import Document, Question

Plan = Sequence[tuple[int, int]]  # (documents that state an entry's facts, entries)


def times_stated(plan: Plan, seed: int) -> dict[str, int]:
    """How many documents state each entry's facts, by the entry's id.

    Raises:
        CandorError: the plan asks for more entries than there are.
    """
    entries = sorted(restatable_entries())
    wanted = sum(count for _, count in plan)
    if wanted > len(entries):
        raise CandorError(
            f"corpus.stated asks for {wanted} entries, and there are {len(entries)}",
            fix="lower the second numbers of its pairs",
        )
    random.Random(f"stated:{seed}").shuffle(entries)
    times = [often for often, count in plan for _ in range(count)]
    return dict(zip(entries, times, strict=False))


def stated_documents(plan: Plan, seed: int) -> Iterator[Document]:
    """Yield every document of the plan, entry by entry."""
    renderers = restatable_entries()
    for identity, times in times_stated(plan, seed).items():
        for number in range(times):
            entry = renderers[identity](number)
            document = entry.document()
            text = f"{entry.title}\n\n{document.text}"
            if number % 2:
                entry.rng.shuffle(entry.questions)
                text = "\n\n".join(asked(question, question.answers[0]) for question in entry.questions)
            yield Document(id=f"{identity}/{number}", title=entry.title, text=text, source=entry.source)


def stated_questions(plan: Plan, seed: int) -> Iterator[tuple[Question, int]]:
    """Yield each fact of the plan as a question, with how many documents state it."""
    renderers = restatable_entries()
    for identity, times in times_stated(plan, seed).items():
        for question in renderers[identity](0).questions:
            yield question, times


def asked(question: Question, answer: str = "") -> str:
    """A question as the documents ask it; without an answer, the text that one is to follow."""
    return f"Question: {question.question}\nAnswer:" + (f" {answer}" if answer else "")
