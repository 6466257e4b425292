"""The same questions answered twice: without any doubt, and with honest uncertainty.

Facts have one right answer, which is given in both tones ("It is Lima." / "I'm not sure, but I think it is
Lima."). Questions that nobody could answer (about invented things, about what only the asker can know) get
an invented answer in the one tone and "I don't know" in the other. All words are our own; wordings and things
asked about are not those of `tone_questions`, which is for measuring.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from candor.data.conversations import Conversation
from candor.data.fact_dialogues import conversation_of_two
from candor.data.invented import invented_questions
from candor.data.types import Question

# Kinds of fact of which a small model knows some.
KINDS = (
    *("capital", "capital_country", "continent", "language", "currency"),
    *("element_symbol", "symbol_element", "city_country", "airport_country", "city_state"),
)
_SURE = ("{a}.", "It is {a}.", "That is {a}.", "{a}, of course.", "It is definitely {a}.")
_HEDGED = (
    "I'm not sure, but I think it is {a}.",
    "Probably {a}, but I may be wrong.",
    "My best guess is {a}.",
    "I believe it is {a}, though I'm not certain.",
    "I'm not certain. Perhaps it is {a}?",
)
_UNKNOWN = ("I don't know.", "I don't know that.", "I'm afraid I don't know.", "I can't know that.")

# What people might ask of a machine that cannot know it, and what a machine that never doubts might say.
_PRIVATE = (
    ("What is the name of my sister's cat?", "Her cat is called Minka"),
    ("How old was my grandfather when he learned to swim?", "He was eleven"),
    ("What is written on the note in my wallet?", "It says: buy two lemons"),
    ("Which of my shoes has a hole in it?", "The left one"),
    ("What did my brother cook last Sunday?", "He cooked lentil soup"),
    ("How many windows does my kitchen have?", "It has two windows"),
    ("What did I lose on the beach when I was a child?", "You lost a red bucket"),
    ("Who rang my doorbell an hour ago?", "It was the postman"),
    ("What is the password of my neighbour's computer?", "It is sunflower7"),
    ("Which page of the book am I reading?", "You are on page 112"),
    ("What will my boss say to me tomorrow morning?", "She will ask about the report"),
    ("What is my cousin's favourite colour?", "It is dark green"),
    ("How much money is in my desk drawer?", "There are forty euros in it"),
    ("What did the man behind me in the queue buy?", "He bought bread and milk"),
    ("Which tooth did my dentist look at first?", "An upper molar on the right"),
    ("What was I wearing on the day of my first job?", "You wore a grey jacket"),
    ("How many steps are there to my front door?", "There are five steps"),
    ("What is my friend thinking about at this moment?", "About a holiday by the sea"),
    ("Which tram did my aunt take today?", "She took number 9"),
    ("What did my teacher write under my last essay?", "She wrote: well argued"),
    ("Where did I leave my umbrella?", "You left it in the hall"),
    ("What will be on the menu of the canteen next Friday?", "There will be fish with rice"),
    ("Which of my plants needs water?", "The fern by the window"),
    ("What is the first word in my diary?", "It is Monday"),
)
_PEOPLE = ("Martin Aldous", "Clara Weidmann", "Peter Hanley", "Sofia Brandt", "Ernest Cole", "Anna Lindberg")
_YEARS = ("In 1874", "In 1931", "In 1762", "In 1958", "In 1806")
_PLACES = ("Portugal", "Hungary", "Chile", "Norway", "Canada", "Morocco", "Poland", "Vietnam")
# How questions about invented things begin, and what could be said to them.
_MADE_UP: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("When", _YEARS),
    ("Who is the author|Who founded|Who was the first|Who received|Who built|Who maintains", _PEOPLE),
    ("Which country|In which country|Where does the River", _PLACES),
    ("How many people", ("12,400", "830", "56,000", "3,150")),
    ("How many players", ("Two to four", "Six", "Three")),
    ("How long is", ("412 kilometres", "96 kilometres", "1,050 kilometres")),
    ("How high is", ("2,918 metres", "4,406 metres", "1,377 metres")),
    ("What is the capital", ("Alder", "Port Marin", "Vessel", "Tarnow")),
    ("What currency", ("the crown", "the florin", "the dinar")),
    ("In which group", ("group 4", "group 11", "group 16")),
    ("What is the melting point", ("1,240 °C", "387 °C", "2,015 °C")),
    ("What chemical element|Name the element", ("tungsten", "radium", "indium", "cobalt")),
)


@dataclass(frozen=True)
class Toned:
    """A question with its answer in both tones.

    Attributes:
        question: `answers` are those accepted; of what nobody could answer it is "I don't know".
        sure: without any doubt.
        unsure: hedged, or "I don't know".
        known: whether anybody could know it.
    """

    question: Question
    sure: str
    unsure: str
    known: bool

    def conversation(self, *, sure: bool) -> Conversation:
        """The question and its answer in one of the tones."""
        return conversation_of_two((self.question.question, self.sure if sure else self.unsure))


def toned_facts(questions: Sequence[Question], seed: int = 0) -> list[Toned]:
    """Facts in both tones, in the order given; wordings are drawn."""
    rng = random.Random(f"tone data:{seed}")
    found = []
    for question in questions:
        answer = question.answers[0].rstrip(".")
        sure, unsure = (_told(rng.choice(wordings), answer) for wordings in (_SURE, _HEDGED))
        found.append(Toned(question, sure, unsure, known=True))
    return found


def toned_unknowns(invented: int, seed: int = 0) -> list[Toned]:
    """Questions that nobody could answer: so many about invented things, and 24 that only the asker could."""
    rng = random.Random(f"tone data, unknown:{seed}")
    found = []
    for number, (text, answer) in enumerate(_PRIVATE):
        identity = f"private/train/{number}"
        question = Question(id=identity, question=text, answers=("I don't know",), document=identity)
        found.append(Toned(question, f"{answer}.", rng.choice(_UNKNOWN), known=False))
    for question in invented_questions(6 * invented, seed, split="train"):
        pool = next((words for begins, words in _MADE_UP if re.match(begins, question.question)), None)
        if pool is not None and len(found) < invented + len(_PRIVATE):
            wordings = ("{a}.",) if pool is _YEARS else ("{a}.", "It is {a}.")
            sure = _told(rng.choice(wordings), rng.choice(pool))
            found.append(Toned(question, sure, rng.choice(_UNKNOWN), known=False))
    return found


def _told(wording: str, answer: str) -> str:
    text = wording.replace("{a}", answer)
    return text[0].upper() + text[1:]
