"""A language model as a lossless compressor: what it expects costs few bits, what it does not costs many.

Text becomes tokens, tokens are cut into chunks, and each chunk is coded by itself under the model's
expectations (`canonical`), so that many can be decoded at once. What is no text, or would not come back from
tokens, is kept by LZMA. A file says which model it needs, and the hash of what it holds: anything else gives
an error and no bytes.

    magic, format (1 byte), CRC-32 of the rest of the header (4 bytes), its length (4 bytes)
    model's fingerprint (32), SHA-256 of the content (32), then whole numbers of variable length:
        bytes of content, tokens of a chunk, segments, and of each segment either its bytes of LZMA,
        or 0, its tokens and the bytes of each chunk
    the segments' data
"""

from __future__ import annotations

import hashlib
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from transformers import PreTrainedTokenizerBase

from candor.base.canonical import Canonical
from candor.base.canonical_kernels import below, locate
from candor.base.coder import Decoder, Encoder
from candor.core.errors import CandorError
from candor.model.load import load_model, load_tokenizer

MAGIC, FORMAT = b"CANDOR-CZ", 1
# Text is tokenised in pieces of about so many bytes, cut at line ends.
_SEGMENT = 1 << 20
# A chunk begins without context, and is decoded one token after the other.
CHUNK_TOKENS = 1024
# Tokens of one chunk that are read together when compressing.
_AT_ONCE = 256
# Memory for what chunks that are decoded together keep of their tokens.
_ROOM_BYTES = 3 << 30
_MOST_SLOTS = 64

Progress = Callable[[int, int], None]


@dataclass
class Segment:
    """A stretch of the content: tokens in chunks, or bytes by LZMA."""

    tokens: int = 0
    chunks: list[bytes] = field(default_factory=list)
    packed: bytes = b""


class Codec:
    """Compresses and decompresses with one model.

    Args:
        model: its expectations.
        tokenizer: the model's.
    """

    def __init__(self, model: Canonical, tokenizer: PreTrainedTokenizerBase) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._fingerprint = model.fingerprint(tokenizer)
        start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        self._start = int(start or 0)  # type: ignore[arg-type]  # a document's beginning, as the model knows it

    @classmethod
    def load(cls, spec: str) -> Codec:
        """A codec with a model by name (see `candor.model.load.resolve`)."""
        return cls(Canonical(load_model(spec, dtype="float32", device="cpu")), load_tokenizer(spec))

    def compress(
        self, data: bytes, *, chunk_tokens: int = CHUNK_TOKENS, on_progress: Progress | None = None
    ) -> bytes:
        """Compress any bytes; text the better, the more the model knows of its kind."""
        chunk_tokens = min(chunk_tokens, self._model.context)
        pieces = [(piece, self._tokens(piece)) for piece in _pieces(data)]
        total = sum(len(tokens) for _, tokens in pieces if tokens is not None)
        self._model.room(1, chunk_tokens)
        segments, done = [], 0
        for piece, tokens in pieces:
            if tokens is None:
                segments.append(Segment(packed=lzma.compress(piece, preset=9 | lzma.PRESET_EXTREME)))
                continue
            segment = Segment(tokens=len(tokens))
            for begin in range(0, len(tokens), chunk_tokens):
                chunk = tokens[begin : begin + chunk_tokens]
                segment.chunks.append(self._encoded(chunk))
                done += len(chunk)
                if on_progress:
                    on_progress(done, total)
            segments.append(segment)
        return _file(self._fingerprint, data, chunk_tokens, segments)

    def decompress(self, file: bytes, *, on_progress: Progress | None = None) -> bytes:
        """The bytes that were compressed.

        Raises:
            CandorError: the file is damaged, of another format, or was made with another model.
        """
        found = read_file(file)
        if found.fingerprint != self._fingerprint:
            raise CandorError(
                f"this file was compressed with another model ({found.fingerprint.hex()[:12]}…, and this one "
                f"is {self._fingerprint.hex()[:12]}…)",
                fix="give the very checkpoint that it was compressed with, tokenizer included",
            )
        if not 1 <= found.chunk_tokens <= self._model.context:
            raise damaged("its chunks are longer than the model's context")
        lengths = [
            min(found.chunk_tokens, segment.tokens - begin)
            for segment in found.segments
            for begin in range(0, segment.tokens, found.chunk_tokens)
        ]
        chunks = [chunk for segment in found.segments for chunk in segment.chunks]
        decoded = iter(self._decoded(chunks, lengths, found.chunk_tokens, on_progress))
        parts = []
        for segment in found.segments:
            if segment.packed:
                parts.append(_unpacked(segment.packed, found.size))
            else:
                tokens = [token for _ in segment.chunks for token in next(decoded)]
                parts.append(self._text(tokens).encode("utf-8", "surrogatepass"))
        data = b"".join(parts)
        if len(data) != found.size or hashlib.sha256(data).digest() != found.sha256:
            raise damaged("what it holds is not what was compressed")
        return data

    def _tokens(self, piece: bytes) -> np.ndarray | None:
        """The piece's tokens, if it is text that comes back from them."""
        try:
            text = piece.decode("utf-8")
        except UnicodeDecodeError:
            return None
        ids = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        if not ids or self._text(ids) != text:  # type: ignore[arg-type]
            return None
        return np.array(ids, np.int64)

    def _text(self, tokens: list[int]) -> str:
        return str(
            self._tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        )

    def _encoded(self, chunk: np.ndarray) -> bytes:
        encoder = Encoder()
        inputs = np.concatenate([[self._start], chunk[:-1]]).astype(np.int64)
        for begin in range(0, len(chunk), _AT_ONCE):
            positions = np.arange(begin, min(begin + _AT_ONCE, len(chunk)))
            expected = self._model.read(inputs[positions], np.zeros_like(positions), positions)
            tokens = chunk[positions]
            lows = np.empty(len(tokens), np.uint64)
            below(expected.weights, tokens, lows)
            widths = expected.weights[np.arange(len(tokens)), tokens]
            for low, width, total in zip(
                lows.tolist(), widths.tolist(), expected.totals.tolist(), strict=True
            ):
                encoder.add(low, width, total)
        return encoder.finish()

    def _decoded(
        self, chunks: list[bytes], lengths: list[int], longest: int, on_progress: Progress | None
    ) -> list[list[int]]:
        """The tokens of all chunks, many of them a token at a time."""
        if not chunks:
            return []
        longest = min(longest, max(lengths))
        slots = max(1, min(len(chunks), _MOST_SLOTS, _ROOM_BYTES // (longest * self._model.token_bytes)))
        self._model.room(slots, longest)
        found: list[list[int]] = [[] for _ in chunks]
        # Long ones first: the last to finish are then short.
        waiting = sorted(range(len(chunks)), key=lambda number: lengths[number])
        running: dict[int, int] = {}  # slot: chunk
        decoders: dict[int, Decoder] = {}
        done, total = 0, sum(lengths)
        while waiting or running:
            for slot in range(slots):
                if slot not in running and waiting:
                    running[slot] = waiting.pop()
                    decoders[slot] = Decoder(chunks[running[slot]])
            rows = list(running)
            last = [found[running[slot]][-1] if found[running[slot]] else self._start for slot in rows]
            positions = [len(found[running[slot]]) for slot in rows]
            expected = self._model.read(np.array(last), np.array(rows), np.array(positions))
            totals = expected.totals.tolist()
            targets = [decoders[slot].target(all_) for slot, all_ in zip(rows, totals, strict=True)]
            tokens, lows = np.empty(len(rows), np.int64), np.empty(len(rows), np.uint64)
            locate(expected.weights, np.array(targets, np.uint64), tokens, lows)
            widths = expected.weights[np.arange(len(rows)), tokens]
            for slot, token, low, width in zip(
                rows, tokens.tolist(), lows.tolist(), widths.tolist(), strict=True
            ):
                decoders[slot].take(low, width)
                chunk = running[slot]
                found[chunk].append(token)
                if len(found[chunk]) == lengths[chunk]:
                    del running[slot]
            done += len(rows)
            if on_progress:
                on_progress(done, total)
        return found


@dataclass(frozen=True)
class Parts:
    """What a compressed file says and holds."""

    fingerprint: bytes
    sha256: bytes
    size: int
    chunk_tokens: int
    segments: list[Segment]


def damaged(how: str) -> CandorError:
    """The error for a file that can't be trusted."""
    return CandorError(f"this compressed file is damaged: {how}", fix="copy it again from where it came from")


def _pieces(data: bytes) -> Iterator[bytes]:
    """The data in stretches that end at line ends, or else between characters."""
    begin = 0
    while begin < len(data):
        end = min(begin + _SEGMENT, len(data))
        if end < len(data):
            line = data.rfind(b"\n", begin, end)
            if line > begin:
                end = line + 1
            else:
                while end > begin + _SEGMENT - 4 and data[end] & 0xC0 == 0x80:
                    end -= 1
        yield data[begin:end]
        begin = end


def _file(fingerprint: bytes, data: bytes, chunk_tokens: int, segments: list[Segment]) -> bytes:
    header = bytearray(fingerprint + hashlib.sha256(data).digest())
    for number in (len(data), chunk_tokens, len(segments)):
        header += _number(number)
    payload = bytearray()
    for segment in segments:
        header += _number(len(segment.packed))
        payload += segment.packed
        if not segment.packed:
            header += _number(segment.tokens)
            for chunk in segment.chunks:
                header += _number(len(chunk))
                payload += chunk
    start = MAGIC + bytes([FORMAT]) + zlib.crc32(header).to_bytes(4, "big") + len(header).to_bytes(4, "big")
    return start + bytes(header) + bytes(payload)


def read_file(file: bytes) -> Parts:
    """Take a compressed file apart.

    Raises:
        CandorError: it is none, is of a later format, or is damaged.
    """
    if not file.startswith(MAGIC):
        raise CandorError("not a file that `candor compress` made", fix="check the path")
    at = len(MAGIC)
    if len(file) < at + 9:
        raise damaged("it ends within its header")
    if file[at] != FORMAT:
        raise CandorError(
            f"this file has format {file[at]}; this version of Candor reads format {FORMAT}",
            fix="use the version of Candor that made it",
        )
    check, length = (int.from_bytes(file[at + i : at + i + 4], "big") for i in (1, 5))
    header = file[at + 9 : at + 9 + length]
    if len(header) != length or zlib.crc32(header) != check or length < 64:
        raise damaged("its header is not as it was written")
    numbers, payload = _Numbers(header[64:]), file[at + 9 + length :]
    size, chunk_tokens, count = numbers.take(), numbers.take(), numbers.take()
    segments, used = [], 0

    def data(bytes_: int) -> bytes:
        nonlocal used
        if used + bytes_ > len(payload):
            raise damaged("it ends too early")
        used += bytes_
        return payload[used - bytes_ : used]

    for _ in range(count):
        segment = Segment()
        if packed := numbers.take():
            segment.packed = data(packed)
        else:
            segment.tokens = numbers.take()
            chunks = -(-segment.tokens // max(1, chunk_tokens))
            segment.chunks = [data(numbers.take()) for _ in range(chunks)]
        segments.append(segment)
    if used != len(payload):
        raise damaged("there is something behind its end")
    return Parts(header[:32], header[32:64], size, chunk_tokens, segments)


def _unpacked(packed: bytes, most: int) -> bytes:
    try:
        return lzma.LZMADecompressor().decompress(packed, max_length=most + 1)
    except lzma.LZMAError as error:
        raise damaged(str(error)) from error


def _number(value: int) -> bytes:
    """A whole number in as few bytes as it needs: seven bits each, the lowest first (LEB128)."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class _Numbers:
    """Reads what `_number` wrote."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self) -> int:
        value = shift = 0
        while True:
            if self._at >= len(self._data):
                raise damaged("its header is too short")
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
