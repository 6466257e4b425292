"""Where the answer stands in what a model wrote.

All ways mark it as "Answer: …" ("the answer is …" counts, too). A text without a mark gives its last number
(`numbers.stated`: nothing that is asked or still to be calculated), or, if it is a single line, that line.
What a model writes after its answer as if it were the next problem is no part of it.
"""

from __future__ import annotations

import re

from candor.reasoning.numbers import stated

MARK = "Answer:"
EXPLANATION = "Explanation:"
_MARK = re.compile(r"\banswer\s*(?:\*\*)?\s*(?:is\s*:?|[:：])(?:\s*\*\*)?[^\S\n]*", re.IGNORECASE)
_NEXT = re.compile(r"\n\s*(?:Question|Problem|User|Q)\s*:|<\|im_")
_BEHIND = re.compile(r"\n\s*(?:\*\*)?(?:Explanation|Steps|Because)\b", re.IGNORECASE)


def own(text: str) -> str:
    """A completion up to where it begins another problem."""
    found = _NEXT.search(text)
    return text[: found.start()] if found else text


def marked(text: str, *, first: bool) -> str | None:
    """What stands behind the first or the last mark, None where there is no mark or nothing behind it."""
    marks = list(_MARK.finditer(text))
    if not marks:
        return None
    behind = text[marks[0 if first else -1].end() :]
    # Of several marks the first one's answer ends where the next stands.
    if first and len(marks) > 1:
        between = text[marks[0].end() : marks[1].start()]
        behind = between.rpartition("\n")[0] or between
    tail = _BEHIND.search(behind)
    return (behind[: tail.start()] if tail else behind).strip() or None


def answer_in(completion: str, *, first: bool = False) -> str | None:
    """The answer that a completion gives, or None.

    Args:
        completion: what the model wrote, nothing of the prompt.
        first: of several marked answers the first counts, not the last.
    """
    text = own(completion)
    if _MARK.search(text):
        return marked(text, first=first)
    bare = text.strip()
    if "\n" not in bare:
        return bare or None
    return stated(bare)


def missing(text: str, *, first: bool) -> str | None:
    """What has to be written for a cut text to go on with its answer.

    Returns:
        None if the answer stands there with a line's end behind it, "" if the text breaks off within the
        answer, else the mark.
    """
    marks = list(_MARK.finditer(own(text)))
    if not marks:
        return f"\n{MARK}"
    behind = own(text)[marks[0 if first else -1].end() :].lstrip()
    return None if "\n" in behind or len(own(text)) < len(text) else ""
