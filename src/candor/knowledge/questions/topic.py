"""Say what a question is about, where only the document's title says it."""

from __future__ import annotations

import re

from candor.knowledge.questions.names import names
from candor.knowledge.questions.question_words import Context
from candor.knowledge.questions.words import CLASS_NOUNS, listed

# Titles that name a field of knowledge, of which one says "in geology".
_FIELD = re.compile(
    r"(?:logy|ics|istry|nomy|graphy|metry|gebra|medicine|law|engineering|architecture|music)$", re.I
)
_GENERIC = frozenset(
    listed(
        """
    Board Trustees Chairman Directive Court Parliament Council Commission Government Party Committee
    Members Treaty State States President Presiding Officer College Class Minister First Prime
    School University City House Senate Assembly Law Justice
    """
    )
)
_EVENTS = ("crisis", "war", "dynasty", "empire", "death", "union")


def _topic(title: str) -> str:
    return re.sub(r" \(.*?\)$", "", title).strip()


def resolved(sentence: str, before: str, title: str) -> str:
    """Put the title in the place of an opening "It" / "Its" that stands for it."""
    topic = _topic(title)
    if not topic or topic.lower() not in before.lower():
        return sentence
    previous = re.split(r"(?<=[.!?])\s+", before.strip())
    # Only when every sentence so far had the title, or a pronoun for it, as its subject.
    if not all(
        re.match(rf"(?:The |An? )?{re.escape(topic)}\b|It\b|Its\b", one, re.I) for one in previous if one
    ):
        return sentence
    sentence = re.sub(r"^It(?= )", topic, sentence)
    owner = topic + ("'" if topic.endswith("s") else "'s")
    return re.sub(r"(?:^|(?<=, )|(?<= ))[Ii]ts (?=[a-z])", lambda _: f"{owner} ", sentence)


def name_topic(question: str, context: Context) -> str:
    """Write the title for "the university" where the title is "University of Chicago"."""
    topic = _topic(context.title)
    nouns = [word.lower() for word in topic.split() if len(word) > 4 and word.lower() in CLASS_NOUNS]
    if len(topic.split()) < 2 or not nouns or topic.lower() in question.lower():
        return question
    article = (
        "the "
        if re.search(rf"\b[Tt]he {re.escape(topic)}", context.text)
        or topic.split()[-1].islower()
        or re.match(r"(?:University|College|Bank|Kingdom|Republic|Battle|Treaty|House|Institute) of ", topic)
        else ""
    )
    pattern = rf"\b[Tt]he (?:{'|'.join(nouns)})\b(?! (?:of|for|[A-Z]))"
    return re.sub(pattern, article + topic, question, count=1)


def scoped(question: str, context: Context) -> str:
    """Open with the topic where the question would not make sense without it.

    "In geology, what …" where the title is a field (a common noun), "Concerning Victoria, in what year …"
    where it is a name and the question has at most a one-word name of its own ("the Greens").
    """
    topic = _topic(context.title)
    words = {word for word in re.findall(r"\w+", topic.lower()) if len(word) > 3}
    asked = set(re.findall(r"\w+", question.lower()))
    if not words or asked & {form for word in words for form in (word, word + "s", word.removesuffix("s"))}:
        return question
    body = "x " + question
    inside = [body[start:end] for start, end in names(body)]
    inside = [
        name for name in inside if any(word[:1].isupper() and word not in _GENERIC for word in name.split())
    ]
    if any(
        " " in name or (len(name) > 2 and not name.islower() and any(c.isupper() for c in name[1:]))
        for name in inside
    ):
        return question
    head = re.split(r" of ", topic)[0].split()[-1].lower()
    event = topic.lower().endswith(_EVENTS)
    common = " " in topic and topic[1:] == topic[1:].lower()
    common = common or re.search(rf"\b{re.escape(topic.lower())}\b", context.text) is not None
    if common and not re.search(rf"\w {re.escape(topic)}\b", context.text) and not event:
        # "In geology" says where to look; "In force" and "In private school" are no English.
        return f"in {topic.lower()}, {question}" if _FIELD.search(topic) else question
    named = f"the {topic}" in context.text or (
        head in CLASS_NOUNS and head not in ("university", "college", "school")
    )
    article = "the " if " " in topic and (event or named) else ""
    if re.fullmatch(r"what (?:is|was|are|were) the (?:[a-z-]+ ?){1,3}", question.strip()):
        return f"{question.strip()} of {article}{topic}"
    return f"concerning {article}{topic}, {question}"
