"""Find the names of a passage: runs of capitalised words, without a list of names."""

from __future__ import annotations

import re

from candor.data.chunks import sentence_spans
from candor.knowledge.questions.words import listed

_WORD = r"(?:[A-ZÀ-ÖØ-Þ][\w’'&-]*\w|[A-Z]\.(?: ?[A-Z]\.)*|[A-Z])"
_NAME = re.compile(
    rf"(?<![\w'’-]){_WORD}(?:(?: | (?:of|de|la|van|von|der|du|del|al|ibn|bin|da)(?: the)? | of the ){_WORD})*"
)
_NOT_NAMES = frozenset(
    listed(
        """
    The A An In On At By For From With To Of As It Its He She They His Her Their This That These
    Those There When While Where Who What Which Why How If But And Or Nor So Yet After Before During
    Since Until Although Though Because However Also Both Most Many Some Several All Each Every
    Other Another Such One Two Three Four Five Six Seven Eight Nine Ten No Not Only Even Then Thus
    Therefore Hence Here I We You My Our Your January February March April May June July August
    September October November December Monday Tuesday Wednesday Thursday Friday Saturday Sunday
    Under Over Between Among Through Within Without About Following According Despite Unlike Like
    Today Now Early Late Later First Second Third Finally Instead Rather Once Whether Due Given
    Around Along Near Outside Inside Against Upon Throughout Beyond Modern Its Currently Recently
    Additionally Furthermore Moreover Nevertheless Nonetheless Similarly Conversely Consequently
    Eventually Initially Originally Historically Generally Usually Typically Often Sometimes More
    Less Few Any Neither Either Part Various Different Few Much
    """
    )
)


def names(text: str) -> list[tuple[int, int]]:
    """[start, end) of the names in `text`: runs of capitalised words, less an opening function word.

    A single capitalised word that opens a sentence counts only if it is capitalised elsewhere too, away
    from a sentence's beginning: "Iron" in "Iron rusts." may be any noun.
    """
    found: list[tuple[int, int]] = []
    openings = {start for start, _ in sentence_spans(text)}
    inside: set[str] = set()
    doubtful: list[tuple[int, int]] = []
    for match in _NAME.finditer(text):
        start, end = match.span()
        opening = start in openings or text[max(0, start - 1) : start] in ("“", '"', "(", "•", "-")
        while start < end:  # drop "The", "In", … from the front
            first = re.match(r"\S+", text[start:end])
            if first is None or first.group().rstrip(".,") not in _NOT_NAMES:
                break
            rest = text[start + first.end() : end]
            start += first.end() + len(rest) - len(rest.lstrip())
            opening = False
            while (joint := re.match(r"(?:of|de|la|the|van|von|der) ", text[start:end])) is not None:
                start += joint.end()
        if text[start:end].endswith(("'s", "’s")):
            end -= 2
        if start >= end:
            continue
        if opening and " " not in text[start:end]:
            doubtful.append((start, end))
            continue
        found.append((start, end))
        inside.update(text[start:end].split())
    found += [
        (start, end) for start, end in doubtful if text[start:end] in inside or _is_acronym(text[start:end])
    ]
    return sorted(found)


def _is_acronym(word: str) -> bool:
    return len(word) > 1 and word.isupper()
