"""Put a clause into the order of a question: "the meeting took place" as "did the meeting take place"."""

from __future__ import annotations

import re

from candor.knowledge.questions.words import (
    AUXILIARIES,
    BASE_FORMS,
    PRESENT,
    base_form,
    is_participle,
    is_past,
    listed,
    looks_like_place,
)

_NOT_A_NAME = frozenset(
    listed(
        """
    The A An Nearly Almost Approximately Over About Both All Most Many Some Each Every Several Two Three
    """
    )
)


def lowered(subject: str, verb: str, text: str, title: str) -> str:  # noqa: PLR0911
    """The subject without its sentence capital, unless the word is a name."""
    first = subject.split(" ", maxsplit=1)[0]
    if first in _NOT_A_NAME:
        return first.lower() + subject[len(first) :]
    if re.match(r"[A-Z][a-z]+ed [a-z]", subject):
        return first.lower() + subject[len(first) :]
    if "'" in first or "’" in first:
        return subject
    if first in title.split():
        return subject
    plural = (
        (verb in ("are", "were", "have") or verb in BASE_FORMS)
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


def inverted(subject: str, verb: str, rest: str) -> tuple[str, str] | None:  # noqa: PLR0911
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
    joined = re.search(r"(?:^| )and (?:\w+ly )?(\w+)", rest)
    if joined and (is_past(joined.group(1)) or joined.group(1) in PRESENT):
        # The second verb would keep its ending: "did France fight and lost".
        rest = rest[: joined.start()]
    if is_past(verb):
        return f"did {subject}", f"{base_form(verb)} {rest}".strip()
    if verb in BASE_FORMS:
        return f"do {subject}", f"{verb} {rest}".strip()
    if verb in PRESENT:
        return f"does {subject}", f"{PRESENT[verb]} {rest}".strip()
    return None
