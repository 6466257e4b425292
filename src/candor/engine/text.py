"""From tokens to text, a token at a time: whole characters only, and nothing that may become a stop string.

What a token stands for is bytes, not text: a character can be spread over several tokens. For byte-level
vocabularies (GPT-2, Llama 3, Qwen, SmolLM) the bytes are known exactly; the pieces of a stream are then what
an incremental UTF-8 decoder gives, and add up to what the tokenizer makes of all tokens at once. Other
vocabularies are decoded in a window that moves along.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, cast

from transformers.convert_slow_tokenizer import bytes_to_unicode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BYTE_PIECE = re.compile("<0x([0-9A-F]{2})>")  # how SentencePiece writes bytes outside its vocabulary
_SPACE = "▁"  # and a space


class TokenText:
    """What each token of a vocabulary stands for.

    Args:
        tokenizer: a fast tokenizer.

    Attributes:
        exact: the vocabulary is byte-level, so that the tokens' bytes in a row are the text's.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        core = getattr(tokenizer, "backend_tokenizer", None)
        # transformers itself leaves the texts of BPE alone, whatever the configuration says.
        cleans = getattr(tokenizer, "clean_up_tokenization_spaces", False)
        kept = not cleans or type(getattr(core, "model", None)).__name__ == "BPE"
        self.exact = type(getattr(core, "decoder", None)).__name__ == "ByteLevel" and kept
        self._special = {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
        self._known: dict[int, bytes] = {}

    @cached_property
    def _alphabet(self) -> dict[str, int]:
        """The byte that each character of a byte-level vocabulary stands for (Radford et al. 2019)."""
        return {character: byte for byte, character in bytes_to_unicode().items()}

    def special(self, token: int) -> bool:
        """Whether it is a control token, which is no part of a completion's text."""
        return token in self._special

    def bytes_of(self, token: int) -> bytes:
        """The token's bytes; of a control token its name's."""
        found = self._known.get(token)
        if found is None:
            found = self._known[token] = self._bytes(token)
        return found

    def _bytes(self, token: int) -> bytes:
        written = cast("str | None", self._tokenizer.convert_ids_to_tokens(token))
        if written is None:  # a row of the embedding that the vocabulary does not use
            return b""
        if token in self._special:
            return written.encode()
        if self.exact:
            try:
                return bytes(self._alphabet[character] for character in written)
            except KeyError:  # an added token is written as it is
                return written.encode()
        if byte := _BYTE_PIECE.fullmatch(written):
            return bytes([int(byte[1], 16)])
        return written.replace(_SPACE, " ").encode()

    def shown(self, token: int) -> str:
        """The token as text to look at; `bytes:\\xf0\\x9f` if it is a part of a character."""
        try:
            return self.bytes_of(token).decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in self.bytes_of(token))

    def decode(self, tokens: Sequence[int], *, skip_special: bool = True, shown: Collection[int] = ()) -> str:
        """The text of a row of tokens.

        Args:
            tokens: ids.
            skip_special: leave control tokens out.
            shown: all control tokens but these.
        """
        if skip_special and shown:
            tokens = [token for token in tokens if token in shown or not self.special(token)]
            skip_special = False
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=skip_special))

    def stream(
        self, *, skip_special: bool = True, before: Sequence[int] = (), shown: Collection[int] = ()
    ) -> TextStream:
        """The same, a token at a time.

        Args:
            skip_special: leave control tokens out.
            before: tokens whose text this one goes on; many vocabularies write a space at the start of a
                word, but not at the start of a text.
            shown: control tokens that are not left out.
        """
        skipped = self._special.difference(shown) if skip_special else frozenset[int]()
        return _ByteStream(self, skipped) if self.exact else _WindowStream(self, skip_special, before, shown)

    def encode(self, text: str, after: str = "") -> list[int]:
        """Tokens of a text that goes on another, which has its tokens already and keeps them.

        Many vocabularies write the start of a text differently, so the two are written together where that
        leaves the first alone, as in training (`candor.data.conversations`).
        """
        before, joint = self._ids(after), self._ids(after + text)
        return joint[len(before) :] if joint[: len(before)] == before else self._ids(text)

    def control_tokens(self, names: Sequence[str]) -> frozenset[int]:
        """Ids of those names that are control tokens."""
        added = self._tokenizer.added_tokens_decoder
        return frozenset(token for token in self._special if added[token].content in names)

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False, verbose=False).input_ids) if text else []


class TextStream(Protocol):
    """Tokens go in, text comes out."""

    def push(self, token: int) -> str:
        """The text that is certain now and was not before; often all of the token's, sometimes none."""
        ...

    def finish(self) -> str:
        """What was kept back: a character's first bytes become the replacement character."""
        ...


class _ByteStream:
    def __init__(self, table: TokenText, skipped: Collection[int]) -> None:
        self._table, self._skipped = table, skipped
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        if token in self._skipped:
            return ""
        return self._decoder.decode(self._table.bytes_of(token))

    def finish(self) -> str:
        return self._decoder.decode(b"", final=True)


class _WindowStream:
    """Decodes the newest tokens together with those before them, which say whether a space belongs between.

    The two ends of the window move only where text ends with a whole character.
    """

    def __init__(
        self, table: TokenText, skip_special: bool, before: Sequence[int], shown: Collection[int]
    ) -> None:
        self._table, self._skips, self._shown = table, skip_special, shown
        self._window = list(before)
        self._read = len(before)  # tokens of the window whose text has been given out
        self._given = self._decode()  # their text

    def push(self, token: int) -> str:
        self._window.append(token)
        text = self._decode()
        if text.endswith("\ufffd") or not text.startswith(self._given):
            return ""
        return self._move(text)

    def finish(self) -> str:
        text = self._decode()
        return self._move(text) if text.startswith(self._given) else ""

    def _move(self, text: str) -> str:
        piece = text[len(self._given) :]
        if piece:
            self._window = self._window[self._read :]
            self._read = len(self._window)
            self._given = self._decode()
        return piece

    def _decode(self) -> str:
        return self._table.decode(self._window, skip_special=self._skips, shown=self._shown)


class GrowingText:
    """A completion's text as it grows, cut before the first stop string.

    Attributes:
        text: so far.
        stopped: the stop string that was found, or None.
    """

    def __init__(self, stream: TextStream, stops: Sequence[str]) -> None:
        self.text = ""
        self.stopped: str | None = None
        self._stream, self._stops = stream, stops
        self._longest = max(map(len, stops), default=0)
        self._taken = 0
        self._floor = 0  # stop strings lie behind it as a whole
        self._finished = False

    def push(self, token: int) -> bool:
        """Add a token; True if the text has come to a stop string."""
        return self._add(self._stream.push(token))

    def insert(self, token: int) -> None:
        """Add a token that nobody drew: no stop string is looked for in it, or across it."""
        self.text += self._stream.push(token)
        self._floor = len(self.text)

    def finish(self) -> None:
        """No more tokens come."""
        if self.stopped is None and not self._finished:
            self._add(self._stream.finish())
        self._finished = True

    def take(self) -> str:
        """What can be shown now and was not before: all but what may turn out to begin a stop string."""
        end = len(self.text)
        if self.stopped is None and not self._finished:
            end -= self._held()
        piece = self.text[self._taken : end]
        self._taken += len(piece)
        return piece

    def _add(self, piece: str) -> bool:
        if not piece:
            return False
        begin = max(self._floor, len(self.text) - self._longest + 1)
        self.text += piece
        found = [(place, stop) for stop in self._stops if (place := self.text.find(stop, begin)) >= 0]
        if found:
            place, self.stopped = min(found)
            self.text = self.text[:place]
        return bool(found)

    def _held(self) -> int:
        """Characters at the end that a stop string may begin with."""
        for length in range(min(self._longest - 1, len(self.text) - max(self._taken, self._floor)), 0, -1):
            if any(len(stop) > length and self.text.endswith(stop[:length]) for stop in self._stops):
                return length
        return 0
