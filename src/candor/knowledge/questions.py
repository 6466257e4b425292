"""Documents to questions: choose answers, write questions for them, keep those that survive every filter.

For each chunk: answer spans by rules (`spans`); questions by turning their sentences round (`clauses`), with
the generator saying which names are persons; for generators that can do it, questions in their own words;
then cheap filters (`question_form`); then the round trip: asked with its sentence, does the generator return
the span that the question was made for (round-trip consistency, Alberti et al. 2019)?

SmolLM2-135M's own questions mostly ignore the answer they should ask for, so `written_per_span` is 0 by
default; a larger generator is worth trying with 1 or 2.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

from candor.core.errors import CandorError
from candor.data.types import Chunk, Question
from candor.engine.protocol import Engine, Prompt, Sampling
from candor.knowledge.clauses import object_spans, subject_spans, turn
from candor.knowledge.question_form import content_words, form_problem
from candor.knowledge.spans import Span, find_spans

SHARD = 32  # chunks: small enough to lose little to a kill, large enough to fill a batch

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
_NUMERAL = re.compile(r"[A-Z][a-z]+ (?:hundred|thousand|million)$")
_ABSTRACT = re.compile(r"(?:ism|ity|tion|ness|ment|logy|nomics|ance|ence)$")
_WRITE = (
    'Read the text about {title}.\n\nText: {text}\n\nWrite one question that the text answers with exactly "{answer}". '  # noqa: E501
    "The question must make sense to someone who has not seen the text, and must not contain the answer. "
    "Reply with the question alone."
)


class QuestionSettings(BaseModel):
    """How questions are made from documents."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_per_chunk: int = Field(default=4, ge=1, description="most pairs kept from one chunk, best first")
    candidates_per_chunk: int = Field(
        default=8, ge=1, description="most candidates of one chunk that the generator reads; bounds the cost"
    )
    written_per_span: int = Field(
        default=0,
        ge=0,
        description="questions the generator writes itself for each answer; for 1B parameters and more",
    )
    min_answer_logprob: float = Field(
        default=-1.2, description="least mean token log-probability of the answer in the round trip"
    )
    seed: int = Field(default=0, description="seed of the questions that the generator writes itself")


@dataclass(frozen=True)
class Candidate:
    """A question that may be kept: made for `span` of `chunk`."""

    chunk: Chunk
    span: Span
    question: str
    kind: str


@dataclass(frozen=True)
class Rejected:
    """A candidate that was not kept, with the reason and, where a model read it, what it answered."""

    question: str
    answer: str
    chunk: str
    reason: str
    reply: str = ""


@dataclass
class QuestionHarvest:
    """What came of some chunks: `candidates == len(kept) + sum(rejected.values())`."""

    kept: list[Question] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    candidates: int = 0
    rejected_rows: list[Rejected] = field(default_factory=list)
    chunks: int = 0

    def reject(self, candidate: Candidate, reason: str, reply: str = "") -> None:
        """Count a rejected candidate and keep it for inspection."""
        self.rejected[reason] += 1
        row = Rejected(candidate.question, candidate.span.text, candidate.chunk.id, reason, reply)
        self.rejected_rows.append(row)

    def add(self, other: QuestionHarvest) -> None:
        """Add another shard's harvest to this one."""
        self.kept += other.kept
        self.rejected += other.rejected
        self.candidates += other.candidates
        self.rejected_rows += other.rejected_rows
        self.chunks += other.chunks


def write_questions(
    engine: Engine,
    chunks: Sequence[Chunk],
    settings: QuestionSettings | None = None,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    deadline: float | None = None,
) -> QuestionHarvest:
    """Make questions from all chunks, shard by shard.

    Args:
        engine: the generator.
        chunks: passages, with their documents' titles.
        settings: how; the defaults suit a generator of 135M parameters.
        on_progress: called with (chunks done, chunks in all) after each shard.
        deadline: `time.monotonic()` after which no further shard is begun.

    Raises:
        CandorError: not one question came of it.
    """
    settings = settings or QuestionSettings()
    harvest = QuestionHarvest()
    for start in range(0, len(chunks), SHARD):
        if deadline is not None and start and time.monotonic() > deadline:
            break
        harvest.add(write_questions_for_shard(engine, chunks[start : start + SHARD], settings))
        if on_progress:
            on_progress(min(start + SHARD, len(chunks)), len(chunks))
    harvest = deduplicate(harvest)
    require_questions(harvest)
    return harvest


def require_questions(harvest: QuestionHarvest) -> None:
    """Raise `CandorError` if nothing was kept, saying why and what to try."""
    if harvest.kept:
        return
    reasons = ", ".join(f"{count} {reason}" for reason, count in harvest.rejected.most_common(4))
    seen = (
        f"{harvest.candidates} candidates were rejected: {reasons}" if reasons else "no candidate was found"
    )
    raise CandorError(
        f"no question could be made from {harvest.chunks} passages ({seen})",
        fix="give a larger model with --generator, your own questions with --questions FILE.jsonl, "
        "or longer documents of full sentences that name people, places, dates or numbers",
    )


def write_questions_for_shard(
    engine: Engine, chunks: Sequence[Chunk], settings: QuestionSettings
) -> QuestionHarvest:
    """Make questions from a few chunks; the result depends on these chunks, the settings and the model alone."""  # noqa: E501
    harvest = QuestionHarvest(chunks=len(chunks))
    passed: list[Candidate] = []
    for candidate in [*_sorted(engine, list(_turned(chunks))), *_written(engine, chunks, settings)]:
        harvest.candidates += 1
        chunk, span = candidate.chunk, candidate.span
        problem = form_problem(candidate.question, span.text, title=chunk.title, text=chunk.text)
        if problem is None:
            problem = _answer_problem(span)
        if problem is None:
            passed.append(candidate)
        else:
            harvest.reject(candidate, problem)
    passed = _limit(passed, settings.candidates_per_chunk, harvest)
    _keep_what_survives(engine, passed, settings, harvest)
    return harvest


def _turned(chunks: Sequence[Chunk]) -> Iterable[Candidate]:
    for chunk in chunks:
        seen: set[str] = set()
        spans = find_spans(chunk.text, title=chunk.title, limit=30)
        for span in [*spans, *subject_spans(chunk.text, chunk.title), *object_spans(chunk.text, chunk.title)]:
            for form in turn(chunk.text, span, chunk.title):
                if form.question not in seen:
                    seen.add(form.question)
                    yield Candidate(chunk, span, form.question, form.kind.split(" ")[-1])


def _sorted(engine: Engine, candidates: list[Candidate]) -> list[Candidate]:
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


def _written(engine: Engine, chunks: Sequence[Chunk], settings: QuestionSettings) -> list[Candidate]:
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


def _answer_problem(span: Span) -> str | None:
    """Answers that say nothing: "basic principle", "The Commission's"."""
    if span.text.lower() in ("others", "other", "some", "many", "another", "most", "none", "all"):
        return "poor answer"
    if re.search(r"\b(?:also|apart|only|itself|then|often)$", span.text) or _NUMERAL.match(span.text):
        return "poor answer"
    if not re.search(r"\w", span.text) or span.text.endswith(("'", "’")):
        return "poor answer"
    if span.kind == "term" and not content_words(span.text):
        return "poor answer"
    return None


def _limit(candidates: list[Candidate], most: int, harvest: QuestionHarvest) -> list[Candidate]:
    """The best-ranked candidates of each chunk."""
    by_chunk: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_chunk.setdefault(candidate.chunk.id, []).append(candidate)
    best = []
    for group in by_chunk.values():
        group.sort(key=lambda candidate: -candidate.span.rank)
        best += group[:most]
        for candidate in group[most:]:
            harvest.reject(candidate, "enough candidates")
    return best


def _keep_what_survives(
    engine: Engine, candidates: list[Candidate], settings: QuestionSettings, harvest: QuestionHarvest
) -> None:
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


def deduplicate(harvest: QuestionHarvest) -> QuestionHarvest:
    """Drop questions asked before, in nearly the same words, by an earlier chunk.

    Shards are independent of each other; this is the one step across them.
    """
    result = QuestionHarvest(
        rejected=Counter(harvest.rejected),
        candidates=harvest.candidates,
        rejected_rows=list(harvest.rejected_rows),
        chunks=harvest.chunks,
    )
    seen: set[frozenset[str]] = set()
    for question in harvest.kept:
        words = frozenset(content_words(question.question)) | {question.question.split(" ")[0].lower()}
        if words in seen:
            result.rejected["near-duplicate"] += 1
            row = Rejected(question.question, question.answers[0], question.chunk or "", "near-duplicate")
            result.rejected_rows.append(row)
        else:
            seen.add(words)
            result.kept.append(question)
    return result


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


_SAME = 0.6  # token F1 from which a reply counts as the answer


def _tokens(text: str) -> list[str]:
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text.lower())
    words = re.findall(r"[^\W_]+", text)
    return [_DIGITS[word] if word in _DIGITS else word for word in words if word not in ("a", "an", "the")]  # noqa: SIM401


_DIGITS = {
    word: str(number)
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen".split()  # noqa: E501, SIM905
    )
}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("-inf")
