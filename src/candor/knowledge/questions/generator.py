"""What the generator adds to the rules: which names are persons, and questions in its own words.

SmolLM2-135M's own questions mostly ignore the answer they should ask for, so `written_per_span` is 0 by
default; a larger generator is worth trying with 1 or 2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from candor.data.types import Chunk
from candor.engine.protocol import Engine, Prompt, Sampling
from candor.knowledge.questions.harvest import Candidate
from candor.knowledge.questions.settings import QuestionSettings
from candor.knowledge.questions.spans import find_spans
from candor.knowledge.questions.turn import turn

# "Who" or "what"? A list of first names can't say; the generator is right about most names.
_SORT = """"In 1928 Alexander Fleming discovered penicillin." Alexander Fleming: person
"The river flows through Hamburg." Hamburg: place
"The Treaty of Paris ended the war." Treaty of Paris: thing
"Two engineers built the first model." Two engineers: person
"Toyota raised its prices." Toyota: organization
"Limestone is a sedimentary rock." Limestone: thing
"Tennyson had moved to the island by then." Tennyson: person
"In 1812, France invaded Russia." France: place
"The court rejected the appeal." court: organization
"{text}" {name}:"""
_MADE = re.compile(
    r".*\bwhat (?:is|was|are|were|has been|had been) (?:\w+ly )?(?:made|designed|built|printed|published|constructed|composed|introduced|used|located)\b",  # noqa: E501
    re.I,
)
_ABSTRACT = re.compile(r"(?:ism|ity|tion|ness|ment|logy|nomics|ance|ence)$")
_WRITE = (
    'Read the text about {title}.\n\nText: {text}\n\nWrite one question that the text answers with exactly "{answer}". '  # noqa: E501
    "The question must make sense to someone who has not seen the text, and must not contain the answer. "
    "Reply with the question alone."
)


def with_persons(engine: Engine, candidates: list[Candidate]) -> list[Candidate]:
    """Ask for persons with "who": the generator says which of the capitalised answers are persons."""
    doubtful = [
        index
        for index, candidate in enumerate(candidates)
        if candidate.kind in ("what", "place")
        and candidate.span.text[0].isupper()
        and not _ABSTRACT.search(candidate.span.text)
    ]
    prompts = [
        _SORT.format(text=_around(candidates[index]), name=candidates[index].span.text) for index in doubtful
    ]
    replies = engine.generate(prompts, Sampling(max_tokens=2, stop=("\n",))) if prompts else []
    for index, reply in zip(doubtful, replies, strict=True):
        candidate = candidates[index]
        said = reply.completions[0].text.strip().lower()
        who = (
            "person"
            if said in ("person", "people")
            else "thing"
            if said == "thing" and " " in candidate.span.text
            else None
        )
        if who == "person" and _MADE.match(candidate.question):
            continue  # what is designed or built is no person
        if who is None:
            continue
        forms = turn(candidate.chunk.text, candidate.span, candidate.chunk.title, who=who)
        if forms:
            kind = forms[0].kind.split(" ")[-1]
            candidates[index] = Candidate(candidate.chunk, candidate.span, forms[0].question, kind)
    return candidates


def _around(candidate: Candidate) -> str:
    """The part of the sentence around the answer."""
    start, end = candidate.span.sentence
    return candidate.chunk.text[max(start, candidate.span.start - 60) : min(end, candidate.span.end + 80)]


def written(engine: Engine, chunks: Sequence[Chunk], settings: QuestionSettings) -> list[Candidate]:
    """Questions in the generator's own words, for the best spans of each chunk."""
    if not settings.written_per_span:
        return []
    jobs = [(chunk, span) for chunk in chunks for span in find_spans(chunk.text, title=chunk.title, limit=4)]
    prompts: list[Prompt] = []
    for chunk, span in jobs:
        request = _WRITE.format(title=chunk.title or "this", text=chunk.text, answer=span.text)
        prompts.append([{"role": "user", "content": request}] if engine.chat else request + "\nQuestion:")
    greedy = settings.written_per_span == 1
    sampling = Sampling(
        max_tokens=40,
        temperature=0.0 if greedy else 0.7,
        n=settings.written_per_span,
        seed=settings.seed,
        stop=("\n",),
    )
    found = []
    for (chunk, span), generation in zip(jobs, engine.generate(prompts, sampling), strict=True):
        for text in dict.fromkeys(completion.text.strip() for completion in generation.completions):
            question = re.sub(r"^(?:Question|Q)\s*[:.]\s*", "", text.strip('"“” '))
            if question:
                found.append(Candidate(chunk, span, question, question.split(" ")[0].lower()))
    return found
