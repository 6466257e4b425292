"""Keep the questions that lead back to their answer.

Asked with its sentence, does the generator return the span that the question was made for (round-trip
consistency, Alberti et al. 2019)?
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from candor.data.types import Question
from candor.engine.protocol import Engine, Prompt, Sampling
from candor.knowledge.questions.filters import content_words
from candor.knowledge.questions.harvest import Candidate, QuestionHarvest
from candor.knowledge.questions.settings import QuestionSettings

# Examples of every kind of answer: with dates alone, a 135M model answers every question with a year.
_READ = """Text: A glacier is a large body of ice that moves under its own weight.
Question: What is a large body of ice that moves under its own weight?
Answer: glacier

Text: The Sydney Opera House was opened by Queen Elizabeth II on 20 October 1973.
Question: On what date was the Sydney Opera House opened?
Answer: 20 October 1973

Text: Nurses, who outnumber doctors, were the first to ask for shorter working hours in hospitals.
Question: Who were the first to ask for shorter working hours in hospitals?
Answer: Nurses

Text: Penicillin was discovered in 1928 by Alexander Fleming in London.
Question: Who was penicillin discovered by?
Answer: Alexander Fleming

Text: The right of way was defined by the Highways Act and covers all footpaths in Wales.
Question: What covers all footpaths in Wales?
Answer: right of way

Text: The Danish archipelago has 443 named islands, of which 76 are inhabited.
Question: How many named islands does the Danish archipelago have?
Answer: 443

Text: Lagos is a large port city in Nigeria.
Question: Where is the city Lagos?
Answer: Nigeria

Text: {text}
Question: {question}
Answer:"""
_SAME = 0.6  # token F1 from which a reply counts as the answer
_DIGITS = {
    word: str(number)
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen".split()  # noqa: E501, SIM905
    )
}


def keep_what_survives(
    engine: Engine, candidates: list[Candidate], settings: QuestionSettings, harvest: QuestionHarvest
) -> None:
    """Ask the candidates with their sentences; the best of those whose answer comes back are kept."""
    if not candidates:
        return
    # The sentence alone: with the whole passage before it, a 135M model answers with any date or name.
    prompts: list[Prompt] = [
        _READ.format(text=_sentence(c), question=_unscoped(c.question)) for c in candidates
    ]
    replies = engine.generate(prompts, Sampling(max_tokens=20, stop=("\n",)))
    survivors: list[tuple[float, Candidate]] = []
    for candidate, reply in zip(candidates, replies, strict=True):
        completion = reply.completions[0]
        text = completion.text.strip()
        sure = _mean(completion.logprobs) if completion.logprobs else 0.0
        if not same_answer(text, candidate.span.text):
            harvest.reject(candidate, "round trip: another answer", text)
        elif sure < settings.min_answer_logprob:
            harvest.reject(candidate, "round trip: unsure", text)
        else:
            survivors.append((candidate.span.rank + sure, candidate))
    _keep_best(survivors, settings.max_per_chunk, harvest)


def _sentence(candidate: Candidate) -> str:
    start, end = candidate.span.sentence
    return candidate.chunk.text[start:end]


def _unscoped(question: str) -> str:
    """Without "In geology,": it helps someone who has not seen the text, and misleads a small model that has."""  # noqa: E501
    match = re.match(
        r"(?:In|Concerning) [^?]{3,50}?, (?=(?:(?:in|on|at|by|from|to|for|since|until|with|under|near|during) )?(?:wh|how))",  # noqa: E501
        question,
    )
    return question if match is None else question[match.end()].upper() + question[match.end() + 1 :]


def _keep_best(survivors: list[tuple[float, Candidate]], most: int, harvest: QuestionHarvest) -> None:
    """Keep the best of each chunk, in the chunks' order; one question for each fact."""
    taken: dict[str, list[Candidate]] = {}
    for _, candidate in sorted(survivors, key=lambda pair: -pair[0]):
        others = taken.setdefault(candidate.chunk.id, [])
        if len(others) >= most:
            harvest.reject(candidate, "enough kept")
        elif any(_alike(candidate.question, other.question) for other in others):
            harvest.reject(candidate, "near-duplicate")
        else:
            others.append(candidate)
    order = {candidate.chunk.id: None for _, candidate in survivors}
    for chunk_id in order:
        for index, one in enumerate(taken[chunk_id]):
            harvest.kept.append(
                Question(
                    id=f"{chunk_id}/q{index}",
                    question=one.question,
                    answers=(one.span.text,),
                    document=one.chunk.document,
                    kind=one.kind,
                    origin="generated",
                    chunk=chunk_id,
                    span=(one.span.start, one.span.end),
                )
            )


def _alike(one: str, other: str) -> bool:
    first, second = content_words(one), content_words(other)
    return len(first & second) > 0.8 * max(1, len(first | second))


def same_answer(reply: str, answer: str) -> bool:
    """Whether a short reply is the answer: it holds the answer's words, or shares most of them.

    "The Melbourne Cricket Ground" is "Melbourne Cricket Ground" and "John Bowman" is "Bowman"; "1958" is
    not "September 1957", and a reply that names another number besides is no answer.
    """
    got, wanted = _tokens(reply), _tokens(answer)
    if not got or not wanted:
        return False
    if {word for word in got if word.isdigit()} - {word for word in wanted if word.isdigit()}:
        return False
    if f" {' '.join(wanted)} " in f" {' '.join(got)} ":
        return True
    if len(got) < len(wanted) and wanted[-len(got) :] == got and not got[0].isdigit():
        return True  # "Lenin" for "Russian leader Lenin"
    common = sum((Counter(got) & Counter(wanted)).values())
    return 2 * common / (len(got) + len(wanted)) >= _SAME


def _tokens(text: str) -> list[str]:
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text.lower())
    words = re.findall(r"[^\W_]+", text)
    return [_DIGITS[word] if word in _DIGITS else word for word in words if word not in ("a", "an", "the")]  # noqa: SIM401


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("-inf")
