"""What a model wrote, in the shapes of OpenAI's answers.

Tokens are shown as the text they stand for; one that is a part of a character as `bytes:\\xf0\\x9f`.
"""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from starlette.responses import Response

from candor.engine.rows import Alternatives
from candor.engine.text import TextStream, TokenText

_LEAST = -9999.0  # JSON has no infinity
# Line ends to Python's `splitlines` and httpx's `iter_lines`, with which clients read streams.
_LINE_ENDS = {ord(end): f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}


class Offsets:
    """Where tokens begin in a text, one after the other.

    Args:
        stream: the text's tokens as they become text.
        at: where the first one begins.
    """

    def __init__(self, stream: TextStream, at: int = 0) -> None:
        self._stream, self.at = stream, at

    def of(self, token: int) -> int:
        """Where the next token begins, in characters; that of a part of a character is where that begins."""
        begin = self.at
        self.at += len(self._stream.push(token))
        return begin


def completion_logprobs(
    text: TokenText,
    tokens: Sequence[int],
    logprobs: Sequence[float | None],
    top: Sequence[Alternatives | None],
    offsets: Sequence[int],
) -> dict[str, Any]:
    """The completion endpoint's log-probabilities: parallel lists.

    A place's alternatives contain its own token, too, whether it is among the likeliest or not.

    Args:
        text: what tokens stand for.
        tokens: at their places.
        logprobs: theirs; None for a first token.
        top: the likeliest at each place, or None, or nothing at all.
        offsets: where each begins in the text.
    """
    shown = [text.shown(token) for token in tokens]
    alternatives: list[dict[str, float] | None] = []
    for place, (name, logprob) in enumerate(zip(shown, logprobs, strict=True)):
        if logprob is None:
            alternatives.append(None)
            continue
        best: dict[str, float] = {}
        for token, value in zip(*(top[place] if place < len(top) else None) or ((), ()), strict=True):
            best.setdefault(text.shown(token), _finite(value))
        best.setdefault(name, _finite(logprob))
        alternatives.append(best)
    return {
        "tokens": shown,
        "token_logprobs": [None if value is None else _finite(value) for value in logprobs],
        "top_logprobs": alternatives,
        "text_offset": list(offsets),
    }


def chat_logprobs(
    text: TokenText, tokens: Iterable[int], logprobs: Iterable[float], top: Sequence[Alternatives]
) -> dict[str, Any]:
    """The chat endpoint's log-probabilities: a list of objects."""
    content = []
    for place, (token, logprob) in enumerate(zip(tokens, logprobs, strict=True)):
        found = top[place] if place < len(top) else ((), ())
        content.append(
            {
                **_token(text, token, logprob),
                "top_logprobs": [_token(text, *pair) for pair in zip(*found, strict=True)],
            }
        )
    return {"content": content, "refusal": None}


def _token(text: TokenText, token: int, logprob: float) -> dict[str, Any]:
    return {
        "token": text.shown(token),
        "logprob": _finite(logprob),
        "bytes": list(text.bytes_of(token)),
    }


def _finite(value: float) -> float:
    return value if math.isfinite(value) else _LEAST


def usage(prompt: int, completion: int) -> dict[str, int]:
    """Tokens that were read and written."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def envelope(kind: str, prefix: str, model: str) -> dict[str, Any]:
    """What every answer, and every chunk of one stream, begins with."""
    return {
        "id": f"{prefix}-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
    }


def dumped(value: dict[str, Any]) -> bytes:
    """As JSON, on what any reader of lines takes for one line."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate(_LINE_ENDS).encode()


def sent(value: dict[str, Any]) -> Response:
    """An answer in one piece; made off the event loop where it is large."""
    return Response(dumped(value), media_type="application/json")


def sse(value: dict[str, Any]) -> bytes:
    """A server-sent event."""
    return b"data: " + dumped(value) + b"\n\n"


DONE = b"data: [DONE]\n\n"
