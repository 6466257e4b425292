"""How a question's numbers and words are cut into tokens: a part of why a model fails at them."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BORDER = "|"
_QUOTED = re.compile(r"[“\"]([^”\"]+)[”\"]")
_NUMBER = re.compile(r"[0-9](?:[0-9.,]*[0-9])?")


def parts_of(question: str, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The numbers of a question, or the words it quotes if there are none, with borders between tokens.

    "What is 1234 + 5?" gives ["123|4", "5"] where tokens have up to three digits. Special tokens aside, a
    text's tokens are those that it has within a prompt, its first one at times excepted.

    Args:
        question: without quotation marks inside quotes.
        tokenizer: a fast one, which knows where its tokens stand.
    """
    spans = [match.span() for match in _NUMBER.finditer(question)]
    spans = spans or [match.span(1) for match in _QUOTED.finditer(question)]
    encoded: Any = tokenizer(question, add_special_tokens=False, return_offsets_mapping=True)
    starts = {start for start, _ in cast("list[tuple[int, int]]", encoded["offset_mapping"])}
    # A token may take the space before a word with it: then it starts there.
    starts |= {start + 1 for start in starts if question[start : start + 1].isspace()}
    return [_cut(question, span, starts) for span in spans]


def in_one(parts: list[str] | tuple[str, ...]) -> bool:
    """Whether each of the parts is a single token."""
    return not any(BORDER in part for part in parts)


def _cut(text: str, span: tuple[int, int], starts: set[int]) -> str:
    begin, end = span
    borders = [begin, *(place for place in range(begin + 1, end) if place in starts), end]
    return BORDER.join(text[a:b] for a, b in pairwise(borders))
