"""Conversations that are longer than a model reads, in pieces that it can read.

A piece begins with the conversation's system message and a user's turn, and holds as many whole exchanges (a
user's turn with all that comes before the next one) as fit. No reply is in two pieces, and none is cut: one
that does not fit behind its own exchange's beginning alone is left out, and counted.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from candor.data.conversations import Conversation, Example, PrefixError, Turn, encode, growing
from candor.tools import Tool

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Pieces:
    """What became of a conversation.

    Attributes:
        examples: in its order.
        lost: assistant turns that are in none of them.
        cut: whether anything stands behind less than all that was said before it.
    """

    examples: tuple[Example, ...]
    lost: int = 0
    cut: bool = False


def encode_pieces(
    conversation: Conversation,
    tokenizer: PreTrainedTokenizerBase,
    template: str | None = None,
    *,
    max_tokens: int,
    tools: Sequence[Tool] = (),
) -> Pieces:
    """Tokenise a conversation of any length; one that fits gives what `encode_turns` gives.

    For a template that drops what earlier replies had (see `encode_turns`), each assistant turn is an example
    of its own, behind as many of the exchanges before it as fit.

    Args:
        conversation: with an assistant turn; a system message, if there is one, comes first.
        tokenizer: with a chat template, unless one is given.
        template: Jinja text.
        max_tokens: of a piece.
        tools: as `encode` takes them.

    Raises:
        CandorError: as `encode`.
    """
    exchanges = _Exchanges(conversation)
    try:
        found = list(_grown(exchanges, tokenizer, template, max_tokens, tools))
    except PrefixError:
        found = list(_turn_by_turn(exchanges, tokenizer, template, max_tokens, tools))
    examples = tuple(example for example, _, _ in found if example is not None)
    lost = sum(replies for _, replies, _ in found)
    return Pieces(examples, lost, lost > 0 or any(begin for _, _, begin in found))


class _Exchanges:
    """A conversation by exchanges: where each begins, and its assistant turns."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation, turns = conversation, conversation.messages
        self.head: Sequence[Turn] = turns[:1] if turns[0].role == "system" else ()
        begins = [place for place, turn in enumerate(turns) if turn.role == "user"]
        # A conversation of our own may open with the assistant; files' conversations never do.
        self.begins = [len(self.head), *(place for place in begins if place > len(self.head))]
        self.replies = [place for place, turn in enumerate(turns) if turn.role == "assistant"]

    def between(self, begin: int, end: int | None = None) -> Conversation:
        """The system message and the turns of [begin, end)."""
        return self.conversation.model_copy(
            update={"messages": (*self.head, *self.conversation.messages[begin:end])}
        )

    def replies_in(self, begin: int, end: int) -> int:
        """How many assistant turns stand there."""
        return bisect_left(self.replies, end) - bisect_left(self.replies, begin)

    def of(self, place: int) -> int:
        """The exchange that a turn stands in."""
        return bisect_right(self.begins, place) - 1


def _grown(
    exchanges: _Exchanges,
    tokenizer: PreTrainedTokenizerBase,
    template: str | None,
    limit: int,
    tools: Sequence[Tool],
) -> Iterator[tuple[Example | None, int, int]]:
    """Yield (piece, replies lost with it, the exchange it begins with), each piece as long as it can be."""
    ends = [*exchanges.begins[1:], len(exchanges.conversation.messages)]
    first = 0
    while first < len(ends):
        begin = exchanges.begins[first]
        if not exchanges.replies_in(begin, ends[-1]):
            return  # the user's last words, which nobody answers
        piece, after = None, first
        part, read_to = None, begin
        for read, example in growing(exchanges.between(begin), tokenizer, template, tools=tools):
            if len(example.token_ids) > limit:
                break
            end = begin + read - len(exchanges.head)
            own = exchanges.of(end - 1)
            if not exchanges.replies_in(end, ends[own]):
                piece, after = example, own + 1
            elif own == first:
                part, read_to = example, end
        if piece is not None:
            yield piece, 0, first
            first = after
        else:  # not even this exchange: what of it fits
            yield part, exchanges.replies_in(read_to, ends[first]), first
            first += 1


def _turn_by_turn(
    exchanges: _Exchanges,
    tokenizer: PreTrainedTokenizerBase,
    template: str | None,
    limit: int,
    tools: Sequence[Tool],
) -> Iterator[tuple[Example | None, int, int]]:
    """Yield (example of one assistant turn, or None, replies lost, the exchange that it begins with)."""
    first = 0
    for place in exchanges.replies:
        own = exchanges.of(place)
        while True:
            part = exchanges.between(exchanges.begins[first], place + 1)
            example = encode(part, tokenizer, template, last_only=True, tools=tools)
            if len(example.token_ids) <= limit:
                yield example, 0, first
                break
            if first == own:
                yield None, 1, first
                break
            first += 1  # what was too far back for this turn is so for later ones
