"""Find the clause around an answer, and its subject and verb.

A sentence says more than one thing; a question is turned from one clause of it. What is cut off are openings
("However,"), adjuncts ("In 1890,"), asides and tails; what is left is split at its first finite verb. Where
that is doubtful there is no clause, for a passage has other sentences.
"""

from __future__ import annotations

import re

from candor.knowledge.questions.names import names
from candor.knowledge.questions.words import (
    AUXILIARIES,
    BASE_FORMS,
    PRESENT,
    is_participle,
    is_past,
    listed,
)

COMMA = "\ue001"  # stands for the comma in "1,000"
GAP = "\ue000"  # stands for the answer while a sentence is being turned
LEADING = re.compile(
    r"^(?:However|Also|For instance|For example|In addition|In particular|In fact|In turn|Additionally|Moreover"  # noqa: E501
    r"|Furthermore|Thus|Therefore|Meanwhile|Nevertheless|Nonetheless|Similarly|Consequently|As a result|Then|Later"  # noqa: E501
    r"|Instead|Indeed|Finally|Initially|Eventually|Subsequently|Generally|Historically|Typically|Overall|Specifically"
    r"|And|But|Yet|So|Hence|Somewhat earlier|\w+ly(?=,)|According to [^,]*),? "
)
ADJUNCT = re.compile(
    r"^((?:In|On|At|By|From|During|After|Before|Since|Under|Following|As of|Between|Within|Throughout|For|Until"  # noqa: E501
    r"|Despite|Around|About|Near|To|With|Of) [^,]{1,60}), (?=\S)"
)
_BARE_YEAR = re.compile(rf"^(In (?:{GAP}|\d{{4}}(?:[–-]\d{{2,4}})?|[A-Z]\w+ \d{{4}})) (?=the |[A-Z]|a )")
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
PREPOSITIONS = "in|on|at|by|from|to|into|with|for|of|since|until|during|near|under|after|before|between|as|through|within|against|over|above|below|around|about|along|across"  # noqa: E501
NOT_A_NOUN = re.compile(
    rf"^(?:{PREPOSITIONS}|and|or|but|that|which|who|is|are|was|were|have|has|had|can|will|would|than|the|a|an|per)$"
)
PRONOUN = re.compile(
    r"\b(?:it|he|she|they|them|him|its|his|her|their|theirs|this|these|those|such|we|our|us|i|my|you|your|there|here|one)\b",
    re.I,
)
_DETERMINERS = frozenset(
    listed(
        """
    a an the of in some many several most its their his her this these that and or no
    """
    )
)


def main_clause(sentence: str) -> tuple[str, str] | None:  # noqa: PLR0911, PLR0912
    """(leading adjunct or "", the clause around the answer), without asides; None where there is none."""
    sentence = re.sub(r"\[[^\]]*\]", "", sentence)
    sentence = re.sub(r" ?\([^()]*\)", "", sentence)
    sentence = re.sub(r"\s+", " ", sentence).strip()
    sentence = re.sub(r"(?<=\d),(?=\d{3})", COMMA, sentence)
    sentence = re.sub(r"[\"“”]|[.!?;]+[\"“”]*$", "", sentence).strip()
    if GAP not in sentence or re.search(r"[?()\[\]]", sentence):
        return None
    parts = re.split(
        r"; (?:however, |and |but )?|: |, (?:and|but|while|whereas|although|so) (?=[\w’'\ue000 -]{1,60}? (?:was|were|is|are|had|has|\w+ed)\b)",  # noqa: E501
        sentence,
    )
    index = next(i for i, part in enumerate(parts) if GAP in part)
    sentence = LEADING.sub("", parts[index].strip())
    adjunct = ""
    if (match := _SUBORDINATE.match(sentence)) is not None and GAP not in match.group():
        sentence = sentence[match.end() :]
    if (match := ADJUNCT.match(sentence) or _BARE_YEAR.match(sentence)) is not None:
        adjunct, sentence = match.group(1), sentence[match.end() :]
        if len(adjunct.split()) > 6 and GAP not in adjunct:
            adjunct = ""
    if match := re.match(rf"([^,]+), ((?:\w+ly )?\w+) ([^,]*{GAP}[^,]*)(?:,|$)", sentence):  # noqa: SIM102
        # "The bridge, completed in 1932, carries …": the aside is a clause of its own.
        if (
            is_participle(match.group(2))
            and not adjunct
            and split_clause(match.group(1) + " .") is None
            and len(match.group(1).split()) < 7
        ):
            return "", f"{match.group(1)} {_was(match.group(1))} {match.group(2)} {match.group(3)}"
    if match := re.search(rf"((?:the )?[A-ZÀ-Þ][\w’'. -]*?), (?:which|who) ([^,]*{GAP}[^,]*)", sentence):
        antecedent = _last_name(sentence[: match.end(1)])
        if antecedent:
            return "", f"{antecedent} {match.group(2)}".strip()
    sentence = _without_aside(sentence)
    sentence = _cut(_TAIL, sentence, "")
    if _TAIL.search(sentence):
        return None  # the answer is in a clause of its own that no rule above took out
    if GAP not in sentence and GAP not in adjunct:
        return None
    sentence = sentence.rstrip(" ,.")
    # Commas that remain are lists or clauses the rules above do not know ("Fresno, California" is fine).
    # A list behind the verb does no harm where the answer is the subject.
    if re.match(rf"(?:(?:the|a|an) )?{GAP} ", sentence, re.I):
        if sentence.count(",") > 3 or re.match(rf"[^,]*{GAP} ?(?:[^,]{{0,20}},|and\b|or\b)", sentence):
            return None
    elif re.search(r",(?! [A-Z\ue000])", sentence) or sentence.count(",") > 1:
        return None
    if (inner := re.search(r"\b(?:that|because) (.*)$", sentence)) is not None and not any(
        word in AUXILIARIES or is_past(word) or word in PRESENT or word in BASE_FORMS
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
    if match is None or GAP in match.group():
        return sentence
    words = sentence[match.end() :].split()
    if not words or not (
        words[0] in AUXILIARIES or is_past(words[0]) or words[0] in PRESENT or words[0] in BASE_FORMS
    ):
        return sentence
    return f"{sentence[: match.start()]} {sentence[match.end() :].strip()}"


def _cut(pattern: re.Pattern[str], sentence: str, by: str) -> str:
    match = pattern.search(sentence)
    if match is None:
        return sentence
    if GAP in match.group():
        return sentence
    return (sentence[: match.start()] + by + sentence[match.end() :]).replace("  ", " ").strip()


def split_clause(clause: str) -> tuple[str, str, str] | None:  # noqa: PLR0912
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
                word in BASE_FORMS and before.endswith("s") and not before.endswith(("'s", "ss"))
            )
            if (
                finite
                and index == 1
                and after == "in"
                and words[0].lower() not in _DETERMINERS
                and words[0][:1].isupper()
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


def _later_verb(words: list[str]) -> bool:
    return any(word in AUXILIARIES for word in words[:12])


def subject_is_clear(subject: str) -> bool:
    """Whether a subject can stand in a question: no pronoun, not long, and a noun phrase at all."""
    if PRONOUN.search(subject) or len(subject.split()) > 10 or "," in subject:
        return False
    if re.match(rf"(?:{PREPOSITIONS}|not|even|only|another|other) ", subject, re.I):
        return False
    if re.match(r"(?!Italy|Sicily|July|Assembly|Family)\w+ly\b", subject) or re.search(  # noqa: SIM103
        r"\b(?:what|oldest|the other)$|\bwhat\b", subject
    ):
        return False
    return True  # whether it says which one is for `filters` to judge


def noun_phrase(words: str) -> tuple[str, str]:
    """("different species", "of fish live there") of the words after a number."""
    parts = words.split(" ")
    for index, word in enumerate(parts[:5]):
        if NOT_A_NOUN.match(word) or word in AUXILIARIES or word in PRESENT or (index and is_past(word)):
            noun = parts[:index]
            break
        if word.endswith(","):
            return "", ""
    else:
        noun = parts if len(parts) <= 4 else []
    if not noun or not noun[-1].endswith(("s", "men", "women", "people", "children", "species")):
        return "", ""
    return " ".join(noun), " ".join(parts[len(noun) :])
