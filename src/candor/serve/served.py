"""A model as the server has it: its worker, and a thread for work on text."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from candor.core.errors import CandorError
from candor.engine.local import LocalEngine
from candor.engine.prompts import encode_chat
from candor.engine.text import TokenText
from candor.serve.errors import RequestError, bad, of_candor
from candor.serve.scheduler import Worker
from candor.serve.wire import ChatMessage, Prompt

Result = TypeVar("Result")


@dataclass(frozen=True)
class Encoded:
    """A prompt.

    Attributes:
        ids: its tokens.
        text: what it says, control tokens included that the client gave; not those put before it.
        added: how many control tokens were put before it.
    """

    ids: list[int]
    text: str
    added: int = 0


class Served:
    """One model.

    Args:
        worker: what computes.

    Attributes:
        name: what requests call it.
        engine: the worker's; only its tokenizer and its facts are for anybody else.
    """

    def __init__(self, worker: Worker) -> None:
        self.worker, self.name, self.engine = worker, worker.name, worker.engine
        # Tokenising a long prompt takes longer than the event loop may be held up.
        self._clerk = ThreadPoolExecutor(1, thread_name_prefix=f"candor-text-{worker.name}")

    @property
    def text(self) -> TokenText:
        """What tokens stand for."""
        return self.engine.text

    def close(self) -> None:
        """End the thread for text."""
        self._clerk.shutdown(wait=False, cancel_futures=True)

    async def run(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Do this in the thread for text."""
        return await asyncio.get_running_loop().run_in_executor(self._clerk, work, *arguments)

    def encode(self, prompts: Sequence[Prompt], add_special_tokens: bool) -> list[Encoded]:
        """Token ids of raw prompts; for the thread for text.

        Raises:
            RequestError: a prompt has no tokens, or one that the model lacks, or is no text.
        """
        return [self._encode(prompt, add_special_tokens) for prompt in prompts]

    def encode_any(self, text: str, add_special_tokens: bool) -> Encoded:
        """Token ids of a raw text, which may have none; for the thread for text.

        Raises:
            RequestError: it is no text.
        """
        return _encoded(self.engine, text, add_special_tokens)

    def spans(self, prompt: Encoded) -> list[tuple[int, int]]:
        """Where in its text the tokenizer takes a prompt's tokens from, in characters."""
        tokenizer: Any = self.engine.tokenizer
        found = tokenizer(prompt.text, add_special_tokens=False, return_offsets_mapping=True)
        return [(0, 0)] * prompt.added + [tuple(span) for span in found["offset_mapping"]]

    def _encode(self, prompt: Prompt, add_special_tokens: bool) -> Encoded:
        if isinstance(prompt, str):
            found = _encoded(self.engine, prompt, add_special_tokens)
        else:
            self.check_ids(prompt, "prompt")
            found = Encoded(list(prompt), self.text.decode(prompt, skip_special=False))
        if not found.ids:
            raise bad("prompt: there is nothing to continue; give at least one token", "prompt")
        return found

    def encode_messages(
        self, messages: Sequence[ChatMessage], tools: list[dict[str, Any]] | None, open_turn: bool = True
    ) -> Encoded:
        """Token ids of a conversation; for the thread for text.

        Raises:
            RequestError: there is no chat template, or it refuses the messages.
        """
        if not self.engine.chat:
            raise bad(
                f"{self.name} is a base model without a chat template; use /v1/completions, which continues "
                "text as it is, or serve the model with --template",
                "messages",
                code="no_chat_template",
            )
        turns = [_turn(message) for message in messages]
        try:
            text, ids = encode_chat(self.engine.tokenizer, turns, tools=tools, open_turn=open_turn)
        except CandorError as error:
            raise of_candor(error, "messages") from error
        except (UnicodeError, TypeError) as error:  # tokenizers says TypeError of half a surrogate pair
            raise _no_text("messages") from error
        if not ids:
            raise bad("messages: the chat template makes no text of them", "messages")
        return Encoded(ids, text)

    def check_ids(self, tokens: Sequence[int], param: str) -> None:
        """See that the model has these tokens.

        Raises:
            RequestError: it lacks one.
        """
        vocabulary = self.engine.vocabulary
        if tokens and max(tokens) >= vocabulary:
            raise bad(f"{param}: {self.name} has tokens 0 to {vocabulary - 1}, not {max(tokens)}", param)


def _encoded(engine: LocalEngine, text: str, add_special_tokens: bool) -> Encoded:
    tokenizer: Any = engine.tokenizer
    try:
        found = tokenizer(text, add_special_tokens=add_special_tokens, return_special_tokens_mask=True)
    except (UnicodeError, TypeError) as error:
        raise _no_text("prompt") from error
    mask = cast("list[int]", found["special_tokens_mask"])
    added = next((place for place, own in enumerate(mask) if not own), len(mask))
    return Encoded(list(found["input_ids"]), text, added)


def _no_text(param: str) -> RequestError:
    return bad(f"{param}: not a text that can be written as UTF-8", param)


def _turn(message: ChatMessage) -> dict[str, Any]:
    """A message as templates expect it."""
    content = message.content
    if isinstance(content, list):
        content = "".join(part.text for part in content)
    turn: dict[str, Any] = {
        "role": "system" if message.role == "developer" else message.role,
        "content": content or "",
    }
    for name in ("name", "tool_calls", "tool_call_id"):
        if (value := getattr(message, name)) is not None:
            turn[name] = value
    return turn
