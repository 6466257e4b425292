"""Dialogues about packaged facts, in which later questions only make sense with the earlier ones.

All questions of a dialogue are about one entity: it is named once, in the first question, before it, or in
the first answer ("Which chemical element has the symbol Au?"), and later it is "it", or nothing at all ("And
the currency?"). Some dialogues end with the same question about another one ("What about Chile?"). An answer
that names another thing of which the same could be asked (a neighbour, say) comes last, so that "it" never
means two things.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from candor.data.conversations import Conversation, Turn
from candor.data.facts import embedded_questions
from candor.data.types import Question

_FEWEST, _MOST = 2, 6  # questions of a dialogue
_ANOTHER = 0.25  # share of dialogues that end with another entity

# Where an entity's name stands in a question that each entity of its sort has.
_NAMED = {
    "atomic_number": re.compile(r"What is the atomic number of (.+)\?"),
    "internet_domain": re.compile(r"What is the internet country-code domain of (.+)\?"),
    "city_time_zone": re.compile(r"What is the IANA time zone of (.+)\?"),
    "airport_code": re.compile(r"What is the IATA code of (.+)\?"),
}
_INTRODUCTIONS = (
    "I have some questions about {x}. {ask}",
    "Let's talk about {x}. {ask}",
    "I'd like to know a few things about {x}. {ask}",
    "Can you help me with {x}? {ask}",
)
_ABOUT_ANOTHER = ("And {x}?", "What about {x}?", "And for {x}?", "The same question for {x}, please.")


@dataclass(frozen=True)
class _Kind:
    """How one kind of fact is asked of something that was named before, and told."""

    asks: tuple[str, ...]
    ellipses: tuple[str, ...]
    answers: tuple[str, ...]
    last: bool = False  # its answer names another thing that "it" could mean


def _noun(noun: str, *answers: str, asks: tuple[str, ...] = (), tell: str = "{a}") -> _Kind:
    """A fact that has a name of its own: its capital, its symbol."""
    return _Kind(
        (f"What is its {noun}?", f"Can you tell me its {noun}?", f"Do you know its {noun}?", *asks),
        (f"And its {noun}?", f"And the {noun}?", f"What about the {noun}?", f"Its {noun}, too?"),
        (tell, f"Its {noun} is {tell}", *answers),
    )


_WHERE = ("And in which country is it?", "Which country is that in?")
_KINDS: dict[str, _Kind] = {
    "element_symbol": _noun("chemical symbol", "It is written {a}", asks=("How is it written in formulas?",)),
    "atomic_number": _noun("atomic number", asks=("How many protons does it have?",)),
    "element_group": _Kind(
        ("In which group is it?", "Which group of the periodic table is it in?"),
        ("And the group?", "And its group in the periodic table?"),
        ("Group {a}", "It is in group {a}", "{a}"),
    ),
    "element_period": _Kind(
        ("In which period is it?", "Which period of the periodic table is it in?"),
        ("And the period?", "And its period in the periodic table?"),
        ("Period {a}", "It is in period {a}", "{a}"),
    ),
    "element_category": _Kind(
        ("What type of element is it?", "What kind of element is it?", "How is it classed by chemists?"),
        ("And what type of element is it?", "And its chemical series?"),
        ("{a}", "It is {an a}", "It is classed as {an a}"),
    ),
    "element_discoverer": _Kind(
        ("Who discovered it?", "Who is credited with its discovery?", "Do you know who discovered it?"),
        ("And who discovered it?", "And its discoverer?"),
        ("{a}", "It was discovered by {a}"),
    ),
    "element_named_after": _Kind(
        ("What is it named after?", "Where does its name come from?", "What or whom is it named after?"),
        ("And what is it named after?", "And the name?"),
        ("It is named after {a}", "{a}", "Its name comes from {a}"),
    ),
    "element_year": _Kind(
        ("When was it discovered?", "In what year was it discovered?"),
        ("And the year of its discovery?", "And when was it discovered?"),
        ("In {a}", "{a}", "It was discovered in {a}"),
    ),
    "continent": _Kind(
        ("On which continent is it?", "Which continent is it on?", "What continent does it belong to?"),
        ("And the continent?", "And its continent?"),
        ("{a}", "It is in {a}", "It belongs to {a}"),
    ),
    "capital": _noun("capital", "That is {a}", asks=("Which city is its capital?",)),
    "currency": _noun(
        "currency",
        "People pay with the {a} there",
        asks=("What do people pay with there?", "What money is used there?"),
        tell="the {a}",
    ),
    "currency_code": _noun("currency's three-letter code", "It is abbreviated {a}"),
    "internet_domain": _noun("internet domain", asks=("What do its internet addresses end in?",)),
    "calling_code": _noun("calling code", asks=("What do its telephone numbers begin with?",)),
    "largest_city": _noun("largest city", asks=("Which of its cities is the largest?",)),
    "language": _noun("official language", asks=("Which language is official there?",)),
    "neighbour": _Kind(
        ("Name one of its neighbours.", "Which country does it share a border with?"),
        ("And one of its neighbours?", "And a country that it borders?"),
        ("{a}", "It borders {a}", "One of its neighbours is {a}"),
        last=True,
    ),
    "only_neighbour": _Kind(
        ("Which is the only country that it borders?", "What is its only neighbour?"),
        ("And its only neighbour?", "And the country that it borders?"),
        ("{a}", "Its only neighbour is {a}"),
        last=True,
    ),
    "city_country": _Kind(
        ("In which country is it?", "Which country is it in?"),
        ("And the country?", *_WHERE),
        ("{a}", "It is in {a}"),
        last=True,
    ),
    "city_state": _Kind(
        ("In which US state is it?", "Which state is it in?"),
        ("And the state?",),
        ("{a}", "It is in {a}"),
        last=True,
    ),
    "city_time_zone": _noun("time zone", "Clocks there follow {a}"),
    "airport_country": _Kind(
        ("In which country is it?", "Which country is it in?"),
        ("And the country?", *_WHERE),
        ("{a}", "It is in {a}"),
        last=True,
    ),
    "airport_code": _noun("IATA code", asks=("What is it called on tickets, in three letters?",)),
    "airport_icao": _noun("ICAO code", asks=("Which code do pilots use for it?",)),
    "airport_city": _Kind(
        ("Which city does it serve?", "What city is it for?"),
        ("And the city?", "And which city does it serve?"),
        ("{a}", "It serves {a}"),
        last=True,
    ),
}
_KINDS["city_continent"] = _KINDS["continent"]
# Questions whose answer is the entity: they can only come first, and give away the other kind.
_NAMING = {
    "symbol_element": "element_symbol",
    "number_element": "atomic_number",
    "capital_country": "capital",
    "code_airport": "airport_code",
}
_NAMING_ANSWERS = ("{a}", "That is {a}", "It is {a}")


@dataclass(frozen=True)
class _Entity:
    id: str
    name: str
    facts: dict[str, Question]
    naming: dict[str, Question]


def fact_dialogues(count: int | None = None, seed: int = 0) -> Iterator[tuple[str, Conversation]]:
    """Yield (id, dialogue) of two to six questions about an entity; no two are the same.

    Args:
        count: how many; more than there are entities (about 550) give some of them several, in other words.
            None: one for each.
        seed: which entities come first, what is asked, and in which words.

    Yields:
        ids such as `country/japan/dialogue/0`, and the conversations.

    Raises:
        CandorError: the packages of facts are not installed.
        ValueError: there aren't so many different ones.
    """
    entities = [entity for entity in _entities(seed) if len(entity.facts) >= _FEWEST]
    articles = _articles(entities)
    others = {kind: [entity for entity in entities if kind in entity.facts] for kind in _KINDS}
    count = len(entities) if count is None else count
    random.Random(f"{seed}:dialogues").shuffle(entities)
    told: set[tuple[str, ...]] = set()
    turn = idle = 0
    while len(told) < count:
        entity = entities[turn % len(entities)]
        identity = f"{entity.id}/dialogue/{turn // len(entities)}"
        turns = _Dialogue(entity, articles, random.Random(f"{seed}:{identity}")).turns(others)
        turn += 1
        if tuple(turns) in told:
            idle += 1
            if idle > 10 * len(entities):
                raise ValueError(f"there are no {count} different dialogues, only {len(told)} were found")
            continue
        idle = 0
        told.add(tuple(turns))
        yield identity, conversation_of_two(turns)


class _Dialogue:
    """One dialogue in the making."""

    def __init__(self, entity: _Entity, articles: dict[str, str], rng: random.Random) -> None:
        self._entity, self._articles, self._rng = entity, articles, rng

    def turns(self, others: dict[str, list[_Entity]]) -> list[str]:
        """What the two say, by turns."""
        rng, entity = self._rng, self._entity
        kinds = sorted(entity.facts)
        rng.shuffle(kinds)
        said: list[str] = []
        if entity.naming and rng.random() < 0.25:
            kind = rng.choice(sorted(entity.naming))
            question = entity.naming[kind]
            said += [question.question, self._told(_NAMING_ANSWERS, self._article(entity.name), question)]
            kinds = [other for other in kinds if other != _NAMING[kind]]
        kinds = kinds[: rng.randint(_FEWEST, _MOST) - len(said) // 2]
        kinds.sort(key=lambda kind: _KINDS[kind].last)
        for kind in kinds:
            said += [self._asked(kind, first=not said), self._answer(kind, entity.facts[kind])]
        rest = [other for other in others[kinds[-1]] if other.id != entity.id]
        if rest and rng.random() < _ANOTHER:
            other = rng.choice(rest)
            said += [rng.choice(_ABOUT_ANOTHER).format(x=other.name)]
            said += [self._answer(kinds[-1], other.facts[kinds[-1]])]
        return said

    def _asked(self, kind: str, *, first: bool) -> str:
        words, rng = _KINDS[kind], self._rng
        if not first:
            return rng.choice(words.asks if rng.random() < 0.5 else words.ellipses)
        if rng.random() < 0.5:
            return self._entity.facts[kind].question
        return rng.choice(_INTRODUCTIONS).format(x=self._entity.name, ask=rng.choice(words.asks))

    def _answer(self, kind: str, question: Question) -> str:
        return self._told(_KINDS[kind].answers, self._article(question.answers[0]), question)

    def _told(self, wordings: tuple[str, ...], answer: str, question: Question) -> str:
        """One of the wordings as a sentence; half of them the shortest, as in the packaged questions."""
        wording = wordings[0] if self._rng.random() < 0.5 else self._rng.choice(wordings)
        article = "an" if answer[0] in "aeiou" else "a"
        text = wording.replace("{an a}", f"{article} {answer}").replace("{a}", answer)
        text = text[0].upper() + text[1:]
        return text if text.endswith(".") else f"{text}."

    def _article(self, name: str) -> str:
        """A name as it stands within a sentence: the United States."""
        return self._articles.get(name, name)


def _entities(seed: int) -> list[_Entity]:
    grouped: dict[str, list[Question]] = {}
    for question in embedded_questions(seed):
        grouped.setdefault(question.document, []).append(question)
    found = []
    for identity, questions in grouped.items():
        kinds = {question.kind: question for question in questions}
        naming = {kind: kinds.pop(kind) for kind in _NAMING if kind in kinds}
        name = next(
            match[1]
            for kind, pattern in _NAMED.items()
            if kind in kinds and (match := pattern.fullmatch(kinds[kind].question))
        )
        found.append(_Entity(identity, name, kinds, naming))
    return found


def _articles(entities: list[_Entity]) -> dict[str, str]:
    """Names that have an article within a sentence, with it."""
    return {e.name.removeprefix("the "): e.name for e in entities if e.name.startswith("the ")}


def conversation_of_two(turns: Sequence[str]) -> Conversation:
    """A conversation in which user and assistant speak by turns."""
    return Conversation(
        messages=tuple(
            Turn(role="assistant" if number % 2 else "user", content=turn)
            for number, turn in enumerate(turns)
        )
    )
