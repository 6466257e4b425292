"""What a reward model reads: a prompt, a completion, and what ends it.

The reward is read at the last token, and that is the end of the turn: a model that sees where a text ends can
tell a whole answer from a beginning. Behind messages stands all that the chat template writes after an
assistant's words, so that anybody who renders a conversation with the template and asks the checkpoint gets
our reward; behind raw text the end token.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, cast

from candor.data.conversations import PLACEHOLDER, lead_of, render
from candor.engine.prompts import encode_prompt, is_ids
from candor.engine.protocol import Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Encoder:
    """Prompts and completions as token ids.

    Args:
        tokenizer: of the model; for prompts that are messages it needs a chat template.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        end = cast("int | None", tokenizer.eos_token_id)
        self._end = [] if end is None else [end]

    def __call__(self, prompt: Prompt, completion: str) -> tuple[list[int], list[int]]:
        """Token ids of a prompt, and of what comes after it, its end included.

        Raises:
            CandorError: the prompt is empty, or consists of messages and there is no chat template.
        """
        head = encode_prompt(self._tokenizer, prompt)
        if isinstance(prompt, str) or is_ids(prompt):
            return head, [*self._ids(completion), *self._end]
        lead, tail = self._around
        # What an engine sampled has the blank already.
        said = completion if completion[:1].isspace() else lead + completion
        return head, [*self._ids(said), *tail]

    def all(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[tuple[list[int], list[int]]]:
        """The same of many."""
        return [self(*both) for both in zip(prompts, completions, strict=True)]

    def last_tokens(self) -> set[int]:
        """Tokens that a text may end with, so that none of them can be padding."""
        return {*self._end, *(self._around[1][-1:] if self._tokenizer.chat_template else ())}

    @cached_property
    def _around(self) -> tuple[str, list[int]]:
        """The blanks before an assistant's words, and the tokens behind them."""
        turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": PLACEHOLDER}]
        tail = render(turns, self._tokenizer).rpartition(PLACEHOLDER)[2]
        return lead_of(self._tokenizer), self._ids(tail) or self._end

    def _ids(self, text: str) -> list[int]:
        found = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return list(cast("list[int]", found))
