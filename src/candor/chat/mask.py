"""What a model reads and what it is made to write, token by token: the loss mask made visible.

On a terminal what is learned is green and underlined, so that it shows without colour too; elsewhere it
stands in brackets ⟦ ⟧. Line breaks show as ↵, control tokens by their names, and a character that is spread
over tokens of which only some are learned as its bytes.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from candor.data.conversations import Example
from candor.engine.text import TokenText

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

OPEN, CLOSE, BORDER = "⟦", "⟧", "┊"

_LEARNED, _READ, _CONTROL = "bold underline green", "", "dim"
# Marks that stand in the text itself are written by number, so that those that show are ours; what moves a
# terminal's cursor becomes a picture.
_SHOWN = {
    **{code: chr(0x2400 + code) for code in range(0x20)},
    0x7F: "␡",
    **{code: f"\\x{code:02x}" for code in range(0x80, 0xA0)},
    **{code: f"\\u{code:04x}" for code in (0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))},
    **{ord(mark): f"\\u{ord(mark):04x}" for mark in (OPEN, CLOSE, BORDER)},
    ord("\n"): "↵\n",
}


@dataclass(frozen=True)
class Piece:
    """Tokens that show together, usually one: several if they share a character."""

    text: str
    learned: bool
    control: bool
    tokens: int


class Mask:
    """An example to look at.

    Args:
        example: the tokens, and which of them are learned.
        tokenizer: what they mean.
        table: `TokenText(tokenizer)`, if it is there already.
    """

    def __init__(
        self, example: Example, tokenizer: PreTrainedTokenizerBase, table: TokenText | None = None
    ) -> None:
        self._example = example
        self._table = table or TokenText(tokenizer)
        self.pieces = list(self._pieces())

    @property
    def counts(self) -> str:
        """How much of it is learned, in words."""
        total, learned = len(self._example.token_ids), sum(self._example.supervised)
        return f"{learned:,} of {total:,} tokens are learned"

    def as_plain(self, *, borders: bool = False) -> str:
        """The text with what is learned in brackets; with `borders`, ┊ stands between tokens."""
        parts, inside = [], False
        for number, piece in enumerate(self.pieces):
            if piece.learned != inside:
                parts.append(OPEN if piece.learned else CLOSE)
                inside = piece.learned
            elif borders and number:
                parts.append(BORDER)
            parts.append(piece.text)
        return "".join(parts) + (CLOSE if inside else "")

    def as_text(self, *, borders: bool = False) -> Text:
        """The text with what is learned in green and underlined, and control tokens dim."""
        text = Text()
        for number, piece in enumerate(self.pieces):
            if borders and number:
                text.append(BORDER, "dim")
            text.append(piece.text, _style(piece.learned, piece.control))
        return text

    def as_json(self) -> list[dict[str, Any]]:
        """A row for each token: id, what it stands for, whether it is learned, whether it controls."""
        pairs = zip(self._example.token_ids, self._example.supervised, strict=True)
        return [
            {
                "id": token,
                "text": self._table.shown(token),
                "learned": learned,
                "control": self._table.special(token),
            }
            for token, learned in pairs
        ]

    def print(self, console: Console, *, borders: bool = False) -> None:
        """Show it with its counts, as the console can: styled, or in brackets."""
        styled = _styles(console)
        shown = self.as_text(borders=borders) if styled else Text(self.as_plain(borders=borders))
        console.print(shown, soft_wrap=True)
        console.print(Text(self.counts, "italic"), soft_wrap=True)

    def _pieces(self) -> Iterator[Piece]:
        ids, learned = self._example.token_ids, self._example.supervised
        begin = 0
        for end, text in self._borders():
            if len(set(learned[begin:end])) > 1:
                yield from map(self._alone, ids[begin:end], learned[begin:end])
            else:
                control = any(map(self._table.special, ids[begin:end]))
                shown = text.translate(_SHOWN) or f"[{ids[begin]}]"
                yield Piece(shown, learned[begin], control, end - begin)
            begin = end
        # What is left are a character's first bytes.
        yield from map(self._alone, ids[begin:], learned[begin:])

    def _borders(self) -> Iterator[tuple[int, str]]:
        """Yield (tokens so far, text since the last time) wherever a token ends with a whole character."""
        decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        stream = self._table.stream(skip_special=False)
        text = ""
        for end, token in enumerate(self._example.token_ids, start=1):
            if self._table.exact:
                text += decoder.decode(self._table.bytes_of(token))
                whole = not decoder.getstate()[0]
            else:
                text = stream.push(token)
                whole = bool(text)
            if whole:
                yield end, text
                text = ""

    def _alone(self, token: int, learned: bool) -> Piece:
        text = self._table.bytes_of(token).decode("utf-8", "backslashreplace").translate(_SHOWN)
        return Piece(text or f"[{token}]", learned, self._table.special(token), 1)


def print_legend(console: Console) -> None:
    """Say once what the marks mean."""
    if _styles(console):
        text = Text.assemble(
            ("learned", _style(True, False)), "  ", ("read only", _style(False, False)), "  "
        )
        text.append("<control token>", _style(False, True))
        text.append("  ↵ line break")
    else:
        text = Text(f"{OPEN}learned{CLOSE} read only, ↵ line break")
    console.print(text, soft_wrap=True)


def _style(learned: bool, control: bool) -> str:
    return " ".join(filter(None, (_LEARNED if learned else _READ, _CONTROL if control else "")))


def _styles(console: Console) -> bool:
    """Whether the console shows styles: a terminal that can underline, with colours or without."""
    return console.is_terminal and console.color_system is not None
