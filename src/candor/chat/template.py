"""Chat formats: a template, and the tokens that it needs in a vocabulary."""

from __future__ import annotations

import re
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from candor.core.errors import CandorError, InputError
from candor.data.conversations import chatml_template
from candor.engine.prompts import template_text
from candor.model.tokens import NewToken

_START, _END = "<|im_start|>", "<|im_end|>"
# How special tokens are written in templates: <|name|>, <name_of_turn>, [NAME].
_SPECIAL = re.compile(r"<\|[^<>|\s]+\|>|<(?:start|end)_of_\w+>|\[/?[A-Z_]{3,}\]")
# What a name says, in words that any vocabulary has.
_WORDS = {
    _START: "start of message",
    _END: "end of message",
}


@dataclass(frozen=True)
class ChatFormat:
    """A template and what it needs.

    Attributes:
        template: Jinja text.
        tokens: special tokens in it, in the order of their first use.
        end: the one that ends an assistant's turn.
    """

    template: str
    tokens: tuple[NewToken, ...]
    end: str


def chat_format(name: str, tokenizer: PreTrainedTokenizerBase, extra: tuple[str, ...] = ()) -> ChatFormat:
    """The format of a name, for a model.

    Args:
        name: `chatml`, or a Jinja file.
        tokenizer: the base model's: where it puts a start token before ordinary text, the template does too.
        extra: more special tokens, beside those that the template's text shows (`<|name|>`).

    Raises:
        InputError: there is no such file.
        CandorError: an assistant turn is not ended by one of the special tokens.
    """
    text = template_text(name)
    if text is None or text == "plain":
        raise CandorError(
            "the plain format has no tokens to add", fix="give chatml, or a Jinja file with special tokens"
        )
    template = chatml_template(tokenizer) if text == "chatml" else text
    found = dict.fromkeys([*_SPECIAL.findall(template), *extra])
    end = _end_of(template, list(found), tokenizer)
    like = {True: tokenizer.eos_token_id, False: tokenizer.bos_token_id}
    if like[False] is None:
        like[False] = tokenizer.eos_token_id
    tokens = tuple(
        NewToken(token, _WORDS.get(token) or _described(token), _number(like[token == end]))
        for token in found
    )
    return ChatFormat(template, tokens, end)


def _end_of(template: str, tokens: list[str], tokenizer: PreTrainedTokenizerBase) -> str:
    """The special token that comes first behind an assistant's words."""
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "@@@"}]
    try:
        text = str(tokenizer.apply_chat_template(turns, chat_template=template, tokenize=False))
    except Exception as error:  # templates are programs, and fail in every way that programs can
        raise InputError(
            f"the template fails on a question and its answer ({type(error).__name__}: {error})",
            fix="mend it: it gets `messages` with roles user and assistant, and `add_generation_prompt`",
        ) from error
    tail = text.rpartition("@@@")[2]
    places = {token: tail.find(token) for token in tokens if token in tail}
    if not places:
        raise CandorError(
            "the template writes no special token behind an assistant's words, so a model could not learn to "
            "stop",
            fix="end each turn with a token such as <|im_end|>, or name it with --token",
        )
    return min(places, key=lambda token: places[token])


def _described(token: str) -> str:
    return " ".join(re.findall(r"[A-Za-z]+", token)).lower() or token


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None
