"""/tokenize and /detokenize: between text and token ids, with what each token stands for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from candor.serve.served import Encoded, Served
from candor.serve.wire import DetokenizeRequest, TokenizeRequest


def tokenized(body: TokenizeRequest, served: Served) -> dict[str, Any]:
    """Token ids of a text or of messages; for the thread for text.

    Returns:
        `tokens` (ids), `token_strs` (what each stands for), `offsets` ([begin, end) of each, in bytes of the
        UTF-8 text; tokens that were put before it are empty), `count`, `max_model_len`.

    Raises:
        RequestError: it can't be done with this text.
    """
    if body.messages is not None:
        found = served.encode_messages(body.messages, body.tools, body.add_generation_prompt)
    else:
        found = served.encode_any(body.prompt or "", body.add_special_tokens)
    return {
        "count": len(found.ids),
        "max_model_len": served.engine.context,
        "tokens": found.ids,
        "token_strs": [served.text.shown(token) for token in found.ids],
        "offsets": _offsets(found, served),
        "text": found.text,
    }


def detokenized(body: DetokenizeRequest, served: Served) -> dict[str, Any]:
    """The text of token ids; for the thread for text.

    Raises:
        RequestError: the model lacks one.
    """
    served.check_ids(body.tokens, "tokens")
    return {"prompt": served.text.decode(body.tokens, skip_special=body.skip_special_tokens)}


def _offsets(found: Encoded, served: Served) -> list[tuple[int, int]]:
    own = [served.text.bytes_of(token) for token in found.ids[found.added :]]
    if b"".join(own) == found.text.encode():
        return [(0, 0)] * found.added + _laid_out(own)
    # A vocabulary that changes text on its way in: the tokenizer says where its tokens come from.
    before = [0, *accumulate(len(character.encode()) for character in found.text)]
    return [(before[begin], before[end]) for begin, end in served.spans(found)]


def _laid_out(pieces: Sequence[bytes]) -> list[tuple[int, int]]:
    at, spans = 0, []
    for piece in pieces:
        spans.append((at, at + len(piece)))
        at += len(piece)
    return spans
