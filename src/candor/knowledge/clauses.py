"""Turn a sentence round into questions about one of its spans, by rules.

A 135M model that is asked to write a question for a chosen answer ignores the answer more often than not.
So the sentence itself supplies the words: "The first meeting took place on 12 May 1999." gives "On what
date did the first meeting take place?". The rules are those of classic question generation (over-generate
by transformation, then rank; Heilman & Smith 2010), kept to the clauses that they can turn safely: when
in doubt they return nothing, for a passage has other spans.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from candor.data.chunks import sentence_spans
from candor.knowledge.spans import Span, names
from candor.knowledge.words import (
    ACTS,
    AUXILIARIES,
    CLASS_NOUNS,
    COUNTRIES,
    PERSON_NOUN,
    PRESENT,
    base_form,
    is_participle,
    is_past,
    looks_like_person,
    looks_like_place,
)

_COMMA = "\ue001"  # stands for the comma in "1,000"
_GAP = "\ue000"  # stands for the answer while a sentence is being turned
_LEADING = re.compile(
    r"^(?:However|Also|For instance|For example|In addition|In particular|In fact|In turn|Additionally|Moreover"  # noqa: E501
    r"|Furthermore|Thus|Therefore|Meanwhile|Nevertheless|Nonetheless|Similarly|Consequently|As a result|Then|Later"  # noqa: E501
    r"|Instead|Indeed|Finally|Initially|Eventually|Subsequently|Generally|Historically|Typically|Overall|Specifically"
    r"|And|But|Yet|So|Hence|Somewhat earlier|\w+ly(?=,)|According to [^,]*),? "
)
_ADJUNCT = re.compile(
    r"^((?:In|On|At|By|From|During|After|Before|Since|Under|Following|As of|Between|Within|Throughout|For|Until"  # noqa: E501
    r"|Despite|Around|About|Near|To|With|Of) [^,]{1,60}), (?=\S)"
)
_BARE_YEAR = re.compile(rf"^(In (?:{_GAP}|\d{{4}}(?:[–-]\d{{2,4}})?|[A-Z]\w+ \d{{4}})) (?=the |[A-Z]|a )")
_SUBORDINATE = re.compile(
    r"^(?:While|When|Although|Though|If|Because|As|Since|Unlike|Where|Whereas)\b[^,]*, "
)
_TAIL = re.compile(
    r"(?:;|:| [–—-] |—|, (?:which|who|whose|whom|where|when|while|but|and|or|with|as|although|though|so|making|because|since"  # noqa: E501
    r"|including|such as|especially|particularly|for example|for instance|followed|until|after|before|whereas|thus|due to"  # noqa: E501
    r"|in which|of which|not|rather than|despite|following|depending|owing|[a-z]+ing|[a-z]+ed)\b"
    r"|, (?:a|an|the|one|both) [a-z][^,]*$"
    r"| (?:although|whereas|while|even though|but)\b|(?<=\ue000) (?:which|who|that)\b"
    r"| and (?=(?:(?:a|an|the) (?:\w+ ){1,3})?(?:was|were|is|are|had|has|have|will|would|did|then|later|it|he|she|they|therefore)\b)).*$"  # noqa: E501
)
_ASIDE = re.compile(
    r", (?:who|which|whose|where|when|a|an|the|also|or|including|then|now|formerly|later|however|for example|[a-z]+ed)\b[^,]{0,80},"  # noqa: E501
)
_PREPOSITIONS = "in|on|at|by|from|to|into|with|for|of|since|until|during|near|under|after|before|between|as|through|within|against|over|above|below|around|about|along|across"  # noqa: E501
_STOP_NOUN = re.compile(
    rf"^(?:{_PREPOSITIONS}|and|or|but|that|which|who|is|are|was|were|have|has|had|can|will|would|than|the|a|an|per)$"
)
_PRONOUN = re.compile(
    r"\b(?:it|he|she|they|them|him|its|his|her|their|theirs|this|these|those|such|we|our|us|i|my|you|your|there|here|one)\b",
    re.I,
)


_BASE = frozenset(PRESENT.values())
# Titles that name a field of knowledge, of which one says "in geology".
_FIELD = re.compile(
    r"(?:logy|ics|istry|nomy|graphy|metry|gebra|medicine|law|engineering|architecture|music)$", re.I
)


@dataclass(frozen=True)
class Form:
    """A question made from a clause.

    Attributes:
        question: the whole clause turned round.
        opening: its beginning (question word, auxiliary, subject), for a model to complete.
        kind: the question word or phrase, in lower case.
    """

    question: str
    opening: str
    kind: str


def turn(text: str, span: Span, title: str = "", *, who: str | None = None) -> list[Form]:
    """Questions whose answer is `span`, made from its sentence; empty where no rule is safe.

    Args:
        text: the passage.
        span: one of its spans.
        title: the document's title, for "It", "Its" and "the university" that stand for it.
        who: "person", "place" or "thing", where a model has said what a name is; rules guess otherwise.
    """
    start, end = span.sentence
    sentence = text[start : span.start] + _GAP + text[span.end : end]
    kept = _main_clause(_resolve(sentence, text[:start], title))
    if kept is None:
        return []
    adjunct, clause = kept
    context = _Context(span, text, title, who)
    if _GAP in adjunct:
        forms = _adjunct_questions(adjunct, clause, context)
    else:
        forms = _clause_questions(clause, context)
        if adjunct and not _PRONOUN.search(adjunct):
            tail = " " + adjunct[0].lower() + adjunct[1:]
            forms = [Form(form.question + tail, form.opening, form.kind) for form in forms]
    return [
        Form(
            _capital(_scoped(_name_topic(form.question, context), context)) + "?",
            _capital(form.opening),
            form.kind,
        )
        for form in forms
        if _GAP not in form.question
    ]


@dataclass(frozen=True)
class _Context:
    span: Span
    text: str
    title: str
    who: str | None


def _topic(title: str) -> str:
    return re.sub(r" \(.*?\)$", "", title).strip()


def _name_topic(question: str, context: _Context) -> str:
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


def _scoped(question: str, context: _Context) -> str:
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


_GENERIC = frozenset(
    [
        "Board",
        "Trustees",
        "Chairman",
        "Directive",
        "Court",
        "Parliament",
        "Council",
        "Commission",
        "Government",
        "Party",
        "Committee",
        "Members",
        "Treaty",
        "State",
        "States",
        "President",
        "Presiding",
        "Officer",
        "College",
        "Class",
        "Minister",
        "First",
        "Prime",
        "School",
        "University",
        "City",
        "House",
        "Senate",
        "Assembly",
        "Law",
        "Justice",
    ]
)
_EVENTS = ("crisis", "war", "dynasty", "empire", "death", "union")


def subject_spans(text: str, title: str = "") -> list[Span]:  # noqa: PLR0912
    """Common-noun subjects of the passage's sentences, as spans of kind "term".

    Passages without names ("Metamorphic rocks form when …") still say things about something.
    """
    spans = []
    topic = set(re.findall(r"\w+", title.lower()))
    for start, end in sentence_spans(text):
        sentence = text[start:end]
        opening = 0
        for pattern in (_LEADING, _ADJUNCT):
            if (match := pattern.match(sentence[opening:])) is not None:
                opening += match.end()
        parts = _split(re.sub(r"[.!?]$", "", sentence[opening:]))
        if parts is None:
            continue
        match = re.match(r"(?:(?:The|A|An|the|a|an) )?(.+)$", parts[0])
        subject = match.group(1) if match else ""
        words = subject.split()
        if (
            not words
            or len(words) > 5
            or re.search(r"[^\w \-’']", subject)
            or _PRONOUN.search(subject)
            or subject[0].isdigit()
        ):
            continue
        if re.match(
            r"(?:Important|New|Such|Notable|Similar|Different|Various|Minor|Major|Typical|Two|Three|Main|Certain|One|Early|Recent|Some|Many|Several|Most|Other|Another|Both|Each|No|All|What|Any|More|Only|Much|Another|Further|If|Either|Not)\b",
            subject,
            re.I,
        ):
            continue
        if re.match(
            rf"(?:{_PREPOSITIONS}|since|once|nor|now|when|while|as|although|if|how|why|whether) ",
            subject + " ",
            re.I,
        ):
            continue
        if re.search(
            r"\b(?:[Oo]nce|[Ii]f|[Ww]hen|what|[Tt]hat|which|because|oldest|largest|latter|former|following|first|second)\b",
            subject,
        ):
            continue
        if re.match(r"\w+ly\b", subject):
            continue
        if parts[1] in ("may", "can", "could", "might", "would", "should", "must", "shall"):
            continue  # what may be so has no one answer
        if len(words) == 1 and parts[0][:3] in ("The", "the"):
            continue  # "The law requires …": which law?
        if set(re.findall(r"\w+", subject.lower())) <= topic:
            continue
        if any(text[a:b] == subject for a, b in names(text)):
            continue  # a name; `find_spans` has it
        at = start + opening + (match.start(1) if match else 0)
        spans.append(Span(at, at + len(subject), subject, "term", (start, end), 0.6))
    return spans


def object_spans(text: str, title: str = "") -> list[Span]:
    """Short common-noun objects of the passage's verbs, as spans of kind "term"."""
    spans = []
    for start, end in sentence_spans(text):
        sentence = text[start:end]
        opening = 0
        for pattern in (_LEADING, _ADJUNCT):
            if (match := pattern.match(sentence[opening:])) is not None:
                opening += match.end()
        parts = _split(re.sub(r"[.!?]$", "", sentence[opening:]))
        if parts is None or parts[1] in AUXILIARIES or _PRONOUN.search(parts[0]):
            continue
        match = re.match(
            rf"(?:(?:the|an?) )?((?:[\w’'-]+ ){{0,3}}?[\w’'-]+)(?=[.,]|$| (?:{_PREPOSITIONS}|and|that|which|who)\b)",  # noqa: E501
            parts[2],
        )
        if match is None or parts[2][match.end() :].startswith(" of"):
            continue
        found, words = match.group(1), match.group(1).split()
        if (
            _STOP_NOUN.match(words[0])
            or _PRONOUN.search(found)
            or re.search(r"(?:ly|ing)$", words[0])
            or re.match(r"(?:and|or|,)", parts[2][match.end() :].lstrip(" "))
            or re.match(
                r"(?:that|to|not|all|some|many|several|more|most|part|place|control|back|out|up|down|how|if|one|no|any|both)\b",
                found,
            )
            or is_past(words[-1])
            or len(found) < 4
            or found[0].isupper()
            or any(character.isdigit() for character in found)
        ):
            continue
        at = text.find(parts[2], start + opening)
        if at < 0:
            continue
        at += match.start(1)
        spans.append(Span(at, at + len(found), found, "term", (start, end), 0.5))
    return spans


def _resolve(sentence: str, before: str, title: str) -> str:
    """Put the title in the place of an opening "It" / "Its" that stands for it."""
    topic = re.sub(r" \(.*?\)$", "", title).strip()
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


def _main_clause(sentence: str) -> tuple[str, str] | None:  # noqa: PLR0911, PLR0912
    """(leading adjunct or "", the clause around the answer), without asides; None where there is none."""
    sentence = re.sub(r"\[[^\]]*\]", "", sentence)
    sentence = re.sub(r" ?\([^()]*\)", "", sentence)
    sentence = re.sub(r"\s+", " ", sentence).strip()
    sentence = re.sub(r"(?<=\d),(?=\d{3})", _COMMA, sentence)
    sentence = re.sub(r"[\"“”]|[.!?;]+[\"“”]*$", "", sentence).strip()
    if _GAP not in sentence or re.search(r"[?()\[\]]", sentence):
        return None
    parts = re.split(
        r"; (?:however, |and |but )?|: |, (?:and|but|while|whereas|although|so) (?=[\w’'\ue000 -]{1,60}? (?:was|were|is|are|had|has|\w+ed)\b)",  # noqa: E501
        sentence,
    )
    index = next(i for i, part in enumerate(parts) if _GAP in part)
    sentence = _LEADING.sub("", parts[index].strip())
    adjunct = ""
    if (match := _SUBORDINATE.match(sentence)) is not None and _GAP not in match.group():
        sentence = sentence[match.end() :]
    if (match := _ADJUNCT.match(sentence) or _BARE_YEAR.match(sentence)) is not None:
        adjunct, sentence = match.group(1), sentence[match.end() :]
        if len(adjunct.split()) > 6 and _GAP not in adjunct:
            adjunct = ""
    if match := re.match(rf"([^,]+), ((?:\w+ly )?\w+) ([^,]*{_GAP}[^,]*)(?:,|$)", sentence):  # noqa: SIM102
        # "The bridge, completed in 1932, carries …": the aside is a clause of its own.
        if (
            is_participle(match.group(2))
            and not adjunct
            and _split(match.group(1) + " .") is None
            and len(match.group(1).split()) < 7
        ):
            return "", f"{match.group(1)} {_was(match.group(1))} {match.group(2)} {match.group(3)}"
    if match := re.search(rf"((?:the )?[A-ZÀ-Þ][\w’'. -]*?), (?:which|who) ([^,]*{_GAP}[^,]*)", sentence):
        antecedent = _last_name(sentence[: match.end(1)])
        if antecedent:
            return "", f"{antecedent} {match.group(2)}".strip()
    sentence = _without_aside(sentence)
    sentence = _cut(_TAIL, sentence, "")
    if _TAIL.search(sentence):
        return None  # the answer is in a clause of its own that no rule above took out
    if _GAP not in sentence and _GAP not in adjunct:
        return None
    sentence = sentence.rstrip(" ,.")
    # Commas that remain are lists or clauses the rules above do not know ("Fresno, California" is fine).
    # A list behind the verb does no harm where the answer is the subject.
    if re.match(rf"(?:(?:the|a|an) )?{_GAP} ", sentence, re.I):
        if sentence.count(",") > 3 or re.match(rf"[^,]*{_GAP} ?(?:[^,]{{0,20}},|and\b|or\b)", sentence):
            return None
    elif re.search(r",(?! [A-Z\ue000])", sentence) or sentence.count(",") > 1:
        return None
    if (inner := re.search(r"\b(?:that|because) (.*)$", sentence)) is not None and not any(
        word in AUXILIARIES or is_past(word) or word in PRESENT or word in _BASE
        for word in inner.group(1).split()
    ):
        return None  # cut in the middle of "argues that …, with its …, cannot"
    if re.search(
        r"\bthat (?:because|if|when|in|where|although|despite)\b|, [A-Z][^,]* (?:lies|is|was|are|were|has|had)\b",  # noqa: E501
        sentence,
    ):
        return None
    if re.search(r"\b(?:that|and|or|of|the|a|to|by|as|with|than)$", sentence):
        return None
    return adjunct, sentence


def _last_name(text: str) -> str:
    """The name that ends `text`, with its article, or ""."""
    for start, end in names(text):
        if end == len(text):
            return ("the " if text[:start].lower().endswith("the ") else "") + text[start:end]
    return ""


def _was(subject: str) -> str:
    last = subject.rsplit(maxsplit=1)[-1]
    return "were" if last.endswith("s") and last[0].islower() and not last.endswith("ss") else "was"


def _without_aside(sentence: str) -> str:
    """Without ", who was born in Bonn," where the verb of the main clause follows."""
    match = _ASIDE.search(sentence)
    if match is None or _GAP in match.group():
        return sentence
    words = sentence[match.end() :].split()
    if not words or not (
        words[0] in AUXILIARIES or is_past(words[0]) or words[0] in PRESENT or words[0] in _BASE
    ):
        return sentence
    return f"{sentence[: match.start()]} {sentence[match.end() :].strip()}"


def _cut(pattern: re.Pattern[str], sentence: str, by: str) -> str:
    match = pattern.search(sentence)
    if match is None:
        return sentence
    if _GAP in match.group():
        return sentence
    return (sentence[: match.start()] + by + sentence[match.end() :]).replace("  ", " ").strip()


def _split(clause: str) -> tuple[str, str, str] | None:  # noqa: PLR0912
    """(subject, verb, rest) of a clause by its first finite verb; None where that is doubtful."""
    words = clause.split(" ")
    for index, word in enumerate(words[:14]):
        if index == 0:
            continue
        before, after = words[index - 1], words[index + 1] if index + 1 < len(words) else ""
        if word in ("that", "which", "who", "whose", "whom", "to") or word.endswith(","):
            return None
        if word.rstrip(",") in ("in", "on", "at") and any(character.isdigit() for character in after):
            return None
        if is_past(word) and word.endswith("ed"):
            if before.lower() in _DETERMINERS or is_past(after) or after in AUXILIARIES:
                continue  # an adjective: "the elected assembly was"
            if after in ("by", "as", "around") or (
                after in ("in", "to", "with", "from", "for", "on") and _later_verb(words[index + 1 :])
            ):
                return None  # a participle: "a body led by …"
            finite = True
        elif word in AUXILIARIES or is_past(word):
            finite = True
        else:
            # "limits", "transports", "states" are nouns as often as verbs.
            finite = word in PRESENT or (
                word in _BASE and before.endswith("s") and not before.endswith(("'s", "ss"))
            )
            if (
                finite
                and index == 1
                and after == "in"
                and words[0].lower() not in _DETERMINERS
                and words[0][0].isupper()
            ):
                continue
            if finite and (
                after in ("of", "and", "or", "")
                or is_past(after)
                or after in AUXILIARIES
                or word in ("states", "state")
            ):
                continue
            if finite and before.lower() in _DETERMINERS:
                continue
            if finite and after in ("in", "for", "on", "to", "from") and _later_verb(words[index + 1 :]):
                continue
        if finite:
            subject = re.sub(
                r" (?:also|now|often|then|later|still|already|soon|first|once|nonetheless|nevertheless|therefore|thus|however|in particular|typically|[a-z]+ly)$",  # noqa: E501
                "",
                " ".join(words[:index]),
            )
            return subject, word, " ".join(words[index + 1 :])
    return None


_DETERMINERS = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "in",
        "some",
        "many",
        "several",
        "most",
        "its",
        "their",
        "his",
        "her",
        "this",
        "these",
        "that",
        "and",
        "or",
        "no",
    ]
)


def _later_verb(words: list[str]) -> bool:
    return any(word in AUXILIARIES for word in words[:12])


def _subject_is_clear(subject: str) -> bool:
    if _PRONOUN.search(subject) or len(subject.split()) > 10 or "," in subject:
        return False
    if re.match(rf"(?:{_PREPOSITIONS}|not|even|only|another|other) ", subject, re.I):
        return False
    if re.match(r"(?!Italy|Sicily|July|Assembly|Family)\w+ly\b", subject) or re.search(  # noqa: SIM103
        r"\b(?:what|oldest|the other)$|\bwhat\b", subject
    ):
        return False
    return True  # whether it says which one is for `question_form` to judge


def _lower(subject: str, verb: str, text: str, title: str) -> str:  # noqa: PLR0911
    """The subject without its sentence capital, unless the word is a name."""
    first = subject.split(" ", maxsplit=1)[0]
    if first in (
        "The",
        "A",
        "An",
        "Nearly",
        "Almost",
        "Approximately",
        "Over",
        "About",
        "Both",
        "All",
        "Most",
        "Many",
        "Some",
        "Each",
        "Every",
        "Several",
        "Two",
        "Three",
    ):
        return first.lower() + subject[len(first) :]
    if re.match(r"[A-Z][a-z]+ed [a-z]", subject):
        return first.lower() + subject[len(first) :]
    if "'" in first or "’" in first:
        return subject
    if first in title.split():
        return subject
    plural = (
        (verb in ("are", "were", "have") or verb in _BASE)
        and first.endswith("s")
        and len(first) > 4
        and not first.endswith("ss")
        and not looks_like_place(first, text)
    )
    if (
        plural
        and not re.search(rf"[a-z,] {re.escape(first)}\b", text)
        and re.match(r"\S+(?:$| [a-z])", subject)
    ) or re.match(r"[A-Z][a-z]+-[a-z]+ [a-z]", subject):
        return first.lower() + subject[len(first) :]
    if first.isupper() or any(character.isupper() for character in first[1:]):
        return subject
    # A name is capitalised elsewhere too, or followed by another capital; a common noun is not.
    if re.search(rf"[a-z,] {re.escape(first)}\b", text) or re.match(r"\S+ (?:of |de )?[A-Z]", subject):
        return subject
    if re.search(rf"\b{re.escape(first.lower())}\b", text):
        return first.lower() + subject[len(first) :]
    return subject


def _inverted(subject: str, verb: str, rest: str) -> tuple[str, str] | None:  # noqa: PLR0911
    """("aux subject", "verb rest") of the clause as a question would have it."""
    first = re.sub(r"^(?:not|also|since|now|long|\w+ly) ", "", rest).split(" ")[0]
    if verb in ("has", "have", "had") and not is_participle(first):
        return f"{'does' if verb == 'has' else 'do' if verb == 'have' else 'did'} {subject}", f"have {rest}"
    if rest.startswith(("that ", "not ")):
        return None
    if verb in ("would", "could", "may", "might", "must", "should", "shall"):
        return None  # what might be has no one answer
    if verb in AUXILIARIES:
        return f"{verb} {subject}", rest
    if joined := re.search(r"(?:^| )and (?:\w+ly )?(\w+)", rest):  # noqa: SIM102
        if is_past(joined.group(1)) or joined.group(1) in PRESENT:
            rest = rest[
                : joined.start()
            ]  # the second verb would keep its ending: "did France fight and lost"
    if is_past(verb):
        return f"did {subject}", f"{base_form(verb)} {rest}".strip()
    if verb in _BASE:
        return f"do {subject}", f"{verb} {rest}".strip()
    if verb in PRESENT:
        return f"does {subject}", f"{PRESENT[verb]} {rest}".strip()
    return None


def _time_phrase(preposition: str, answer: str) -> str | None:
    preposition = preposition.lower()
    if re.search(r"century", answer):
        return (
            f"{preposition} which century" if preposition in ("in", "during", "since", "from", "by") else None
        )
    if re.fullmatch(r"\d{4}", answer):
        return {
            "in": "in what year",
            "since": "since what year",
            "by": "by what year",
            "until": "until what year",
            "from": "from what year",
            "during": "in what year",
            "after": None,
            "before": None,
        }.get(preposition)
    if re.match(r"(?:\d{1,2} )?[A-Z]\w+\.? (?:\d{1,2},? )?\d{4}", answer):
        day = re.search(r"\d{1,2},? \d{4}|^\d{1,2} ", answer)
        noun = "date" if day else "month and year"
        return {
            "in": f"in what {noun}",
            "on": "on what date",
            "since": "since when",
            "until": "until when",
        }.get(preposition)
    return None


def _kind_of_name(context: _Context) -> str:
    name = context.span.text
    if context.who:
        return context.who
    if looks_like_person(name, context.text):
        return "person"
    return "place" if looks_like_place(name, context.text) else "thing"


def _name_word(context: _Context) -> str | None:
    """Who, what or which <class> for a name; None for a place, which each rule asks for in its own way."""
    name = context.span.text
    if name.removeprefix("the ") in COUNTRIES:
        return "which country"
    parts = re.split(r" (?:of|for|in) ", name)
    heads = [name.split()[-1].lower()]
    if len(parts) == 2 and (len(parts[1].split()) != 2 or parts[1].startswith("the ")):
        heads.append(parts[0].split()[-1].lower())  # not of "University of Chicago Press"
    for head in heads:
        if len(name.split()) > 1 and (
            head in CLASS_NOUNS or (head.endswith("s") and head[:-1] in CLASS_NOUNS)
        ):
            return f"which {head}"
    return {"person": "who", "place": None}.get(_kind_of_name(context), "what")


def _adjunct_questions(adjunct: str, clause: str, context: _Context) -> list[Form]:
    """The answer is in the leading adjunct: "In 1890, the university was founded"."""
    text = context.text
    match = re.fullmatch(rf"(\w+(?: of)?) (?:the )?{_GAP}", adjunct)
    parts = _split(clause)
    if match is None or parts is None or not _subject_is_clear(parts[0]):
        return []
    phrase = _where_or_when(match.group(1), context)
    turned = _inverted(_lower(parts[0], parts[1], text, context.title), parts[1], parts[2])
    if phrase is None or turned is None:
        return []
    return [Form(f"{phrase} {turned[0]} {turned[1]}".strip(), f"{phrase} {turned[0]}", phrase)]


def _where_or_when(preposition: str, context: _Context) -> str | None:  # noqa: PLR0911
    span = context.span
    if span.kind == "date":
        return _time_phrase(preposition, span.text)
    if span.kind == "quantity":
        return {
            "for": "for how much" if re.match(r"\D", span.text) else "for how long",
            "by": "by how much",
        }.get(preposition.lower())
    if span.kind == "name":
        if preposition.lower() in ("in", "at", "near") and _kind_of_name(context) == "place":
            return "where" if preposition.lower() != "near" else "near which place"
        word = _name_word(context)
        if word is None or preposition.lower() not in (
            "in",
            "at",
            "by",
            "from",
            "to",
            "for",
            "with",
            "under",
        ):
            return None
        if word == "who":
            return f"{preposition.lower()} whom"
        return f"{preposition.lower()} {word}" if word != "what" else None
    return None


def _clause_questions(clause: str, context: _Context) -> list[Form]:  # noqa: PLR0911, PLR0912
    span, text = context.span, context.text
    if match := re.match(rf"((?:The|A|An|the|a|an) )?{_GAP} ", clause):
        return _subject_questions(clause[match.end() :], context)
    parts = _split(clause)
    if parts is None or _GAP in parts[0] or not _subject_is_clear(parts[0]):
        return []
    subject, verb, rest = _lower(parts[0], parts[1], text, context.title), parts[1], parts[2]
    forms: list[Form] = []

    def add(phrase: str | None, rest_without: str) -> None:
        turned = _inverted(subject, verb, re.sub(r"\s+", " ", rest_without).strip())
        if phrase is not None and turned is not None:
            forms.append(Form(f"{phrase} {turned[0]} {turned[1]}".strip(), f"{phrase} {turned[0]}", phrase))

    be = verb in ("is", "was", "are", "were")
    if (
        match := re.match(
            rf"(?:an?|the) ((?:[\w-]+ ){{1,4}})of (?:about |around |over |approximately |only )?{_GAP}$", rest
        )
    ) and verb in ("has", "have", "had"):
        copula = "was" if verb == "had" else "is"
        return [
            Form(
                f"what {copula} the {match.group(1)}of {subject}",
                f"what {copula} the {match.group(1)}of",
                "what",
            )
        ]
    if be and re.match(rf"(?:the |about |around |approximately )?{_GAP}$", rest):
        word = _name_word(context) or "what" if span.kind == "name" else "what"
        return [Form(f"{word} {verb} {subject}", f"{word} {verb}", word)]
    before_gap = rest.split(_GAP)[0]
    if re.search(
        r"\b(?:that|which|who|whose|where|if|when|after|before|because|since|until|to \w+ed)\b",
        before_gap.rsplit(" ", 2)[0] + " ",
    ):
        return forms  # the answer is in a relative clause
    complement = be and re.match(r"(?:an?|the|one|its) ", rest) is not None
    if complement and re.search(r"\b\w+ed\b", before_gap):
        return forms  # "was a network developed by Apple in 1985": the year is not that of "was"
    if (
        (
            match := re.search(
                rf"\b(called|known as|named|termed|referred to as|nicknamed) (?:the |an? )?{_GAP}", rest
            )
        )
        and be
        and match.start() <= 12
        and re.match(rf"$| (?:{_PREPOSITIONS})\b", rest[match.end() :])
    ):
        add("what", rest[: match.start(1)] + match.group(1) + rest[match.end() :])
        return forms
    if span.kind == "count":
        if match := re.search(rf"{_GAP} (.+)$", rest):
            noun, after = _noun_phrase(match.group(1))
            before = rest[: match.start()].rstrip()
            before = re.sub(
                r"\b(?:about|around|over|approximately|nearly|some|roughly|almost|at least|the|only)$",
                "",
                before,
            ).rstrip()
            if before.endswith(("'", "’", "'s", "’s", " every", " each", " per")):
                return forms
            if (
                noun
                and not after.startswith(("of ", "and ", "or ", "after", "before", "later", "ago", "earlier"))
                and (before.endswith("home to") or not re.search(rf"\b(?:{_PREPOSITIONS})$", before))
            ):
                add(f"how many {noun}", f"{before} {after}")
        return forms
    if match := re.search(rf"\b({_PREPOSITIONS}) (?:the |about |around |nearly |over )?{_GAP}", rest):
        remaining = rest[: match.start()] + rest[match.end() :]
        if (
            not be
            and verb not in ("has", "have", "had", "will")
            and (
                re.search(r"\b\w+ing$", rest[: match.start()].rstrip())
                or is_participle(rest[: match.start()].split(" ")[-2] if " " in rest[: match.start()] else "")
            )
        ):
            return forms  # "maintains a course designed by …": the phrase belongs to the participle
        if re.match(r"[\w’'-]", rest[match.end() : match.end() + 1]) or (
            re.match(r" (?:[a-z]+s?\b)", rest[match.end() :])
            and not re.match(rf" (?:{_PREPOSITIONS}|to)\b", rest[match.end() :])
        ):
            return forms  # the span is part of a longer noun phrase: "in 1973 dollars"
        if match.group(1) == "by" and span.kind == "name" and be and is_participle(before_gap.split(" ")[0]):
            word = _name_word(context) or "what"
            if word != "what":
                add("by whom" if word == "who" else f"by {word}", remaining)
            elif is_participle(remaining.strip().split(" ")[-1]):
                add("what", remaining.rstrip() + " by")
        elif (
            (noun := re.fullmatch(r"an? ((?:[\w-]+ ){1,3})", before_gap[: match.start()]))
            and be
            and match.group(1) == "in"
        ):
            if _kind_of_name(context) == "place" and not rest[match.end() :]:
                forms.append(Form(f"where {verb} the {noun.group(1)}{subject}", f"where {verb} the", "where"))
        elif len(before_gap.split()) <= 12:  # further on, the phrase seldom belongs to the verb
            add(_where_or_when(match.group(1), context), remaining)
        return forms
    if (match := re.match(rf"(?:the |a |an )?{_GAP}(?= (?:{_PREPOSITIONS})\b|$)", rest)) and (
        span.kind in ("name", "term")
        and not be
        and not rest[match.end() :].startswith((" to ", " as "))
        and verb not in ("can", "will", "would", "may", "could", "became", "remained")
    ):
        word = _name_word(context) if span.kind == "name" else "what"
        add("whom" if word == "who" else word or "what", rest[match.end() :])
    return forms


def _subject_questions(rest: str, context: _Context) -> list[Form]:  # noqa: PLR0911, PLR0912
    """The answer is the subject: the question word takes its place and nothing else moves."""
    span = context.span
    rest = re.sub(
        r"^(?:also|once|now|then|later|still|already|soon|first|often|therefore|thus|\w+ly) (?=[a-z])",
        "",
        rest,
    )
    words = rest.split(" ")
    if span.kind == "count":
        noun, after = _noun_phrase(rest)
        first = after.split(" ")[0]
        if (
            not noun
            or after.startswith(("of ", "and ", "or "))
            or not (first in AUXILIARIES or is_past(first))
        ):
            return []
        return [Form(f"how many {noun} {after}", f"how many {noun} {first}", f"how many {noun}")]
    if words[0] in _BASE and (span.kind == "term" or span.text.endswith("s") or " and " in span.text):
        words[0] = next(third for third, base in PRESENT.items() if base == words[0])
        rest = " ".join(words)
    if span.kind not in ("name", "term") or not (
        words[0] in AUXILIARIES or is_past(words[0]) or words[0] in PRESENT
    ):
        return []
    if re.match(
        r"(?:is|are|was|were) (?:that|when|toward|towards|through|whether|to|in|on|at|for|what|how|why|not|such|both|either)\b",  # noqa: E501
        rest,
    ):
        return []
    if len(words) < 5 and not names("x " + rest):
        return []  # "What is common?"
    if span.kind == "term":
        word = (
            "who"
            if re.search(r"(?:ists|icians|men|people|workers|teachers|students)$", span.text)
            and words[0] in AUXILIARIES
            else "what"
        )
        if context.who == "person" or _acts(rest) or PERSON_NOUN.search(span.text):
            word = "who"
        if (
            re.fullmatch(r"[A-Z][a-z]+[^s\W]", span.text)
            and is_past(words[0])
            and not re.search(rf"\b{span.text.lower()}\b", context.text)
        ):
            word = "who"  # a surname that opens a sentence
        return [Form(f"{word} {rest}", f"{word} {words[0]}", word)]
    if len(words) > 1 and is_past(words[0]) and words[1] in ("by", "as"):
        return []
    word = _name_word(context)
    if (
        word in ("what", None)
        and context.who != "thing"
        and (
            (
                is_past(words[0])
                and words[0] not in ("became", "began", "included", "contained", "took", "made")
            )
            or (words[0] == "was" and words[1:2] and words[1] in ("elected", "born", "appointed", "killed"))
            or re.match(
                r"(?:was|is) (?:the|a|an) (?:\w+ )?(?:director|leader|founder|president|author|governor|king|head|member)\b",  # noqa: E501
                rest,
            )
        )
    ):
        word = "who"  # people, countries and companies act; things seldom do
    if word == "what" and context.who != "thing" and _acts(rest):
        word = "who"
    if word == "what" and re.search(r"\b(?:military|army|navy|forces|government|troops)$", span.text, re.I):
        word = "who"
    if word is None:
        word = "what" if words[0] in ("is", "was") and words[1:2] == ["the"] else "which place"
    return [Form(f"{word} {rest}", f"{word} {words[0]}", word)]


def _acts(rest: str) -> bool:
    """Whether a predicate is one of people, or of countries and companies that act like people."""
    words = rest.split(" ")
    if words[0] in ACTS or (
        words[0] in AUXILIARIES and len(words) > 1 and words[1] in ACTS and words[0] in ("has", "have", "had")
    ):
        return True
    return (
        re.match(
            r"(?:is|was|are|were|became|remained) (?:(?:an?|the|one) )?(?:[\w’'-]+ ){0,3}?(?="
            + PERSON_NOUN.pattern
            + ")",
            rest,
        )
        is not None
    )


def _noun_phrase(words: str) -> tuple[str, str]:
    """("different species", "of fish live there") of the words after a number."""
    parts = words.split(" ")
    for index, word in enumerate(parts[:5]):
        if _STOP_NOUN.match(word) or word in AUXILIARIES or word in PRESENT or (index and is_past(word)):
            noun = parts[:index]
            break
        if word.endswith(","):
            return "", ""
    else:
        noun = parts if len(parts) <= 4 else []
    if not noun or not noun[-1].endswith(("s", "men", "women", "people", "children", "species")):
        return "", ""
    return " ".join(noun), " ".join(parts[len(noun) :])


def _capital(text: str) -> str:
    text = re.sub(r"\s+", " ", text.replace(_COMMA, ",")).strip()
    return text[:1].upper() + text[1:]
