"""What OpenAI-compatible servers send, as far as Candor reads it, and how it becomes a `Completion`.

Three dialects of log-probabilities exist: the chat endpoint's list of objects, the completion endpoint's
parallel lists, and llama.cpp, which sends the first from both.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from candor.engine.protocol import Completion

# A little above 0 because servers round. NaN and infinities are refused: they would poison every mean.
LogProb = Annotated[float, Field(le=0.01, allow_inf_nan=False)]


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Card(_Wire):
    """One row of /v1/models."""

    id: str
    owned_by: str | None = None  # vllm, llamacpp, library (Ollama), openai …


class Cards(_Wire):
    """The answer of /v1/models."""

    data: tuple[Card, ...]


class Tokens(_Wire):
    """The answer of vLLM's /tokenize."""

    tokens: tuple[int, ...]


class _Alternative(_Wire):
    token: str
    logprob: LogProb


class _Drawn(_Alternative):
    id: int | None = None  # llama.cpp
    top_logprobs: tuple[_Alternative, ...] | None = None


class LogProbs(_Wire):
    """Log-probabilities of one choice, in either dialect."""

    content: tuple[_Drawn, ...] | None = None
    tokens: tuple[str, ...] | None = None
    token_logprobs: tuple[LogProb | None, ...] | None = None  # None: an echoed first token has no context
    top_logprobs: tuple[dict[str, LogProb] | None, ...] | None = None

    @model_validator(mode="after")
    def _lists_match(self) -> Self:
        if self.tokens is not None and len(self.tokens) != len(self.token_logprobs or ()):
            raise ValueError("tokens and token_logprobs differ in length")
        return self

    def drawn(self) -> tuple[float, ...]:
        """The drawn tokens' log-probabilities, empty when any is missing."""
        if self.content is not None:
            return tuple(entry.logprob for entry in self.content)
        values = self.token_logprobs or ()
        known = tuple(value for value in values if value is not None)
        return known if len(known) == len(values) else ()

    def ids(self) -> tuple[int, ...]:
        """The drawn tokens' ids where this dialect carries them, else empty."""
        found = tuple(entry.id for entry in self.content or () if entry.id is not None)
        return found if len(found) == len(self.content or ()) else ()

    def alternatives(self, count: int) -> tuple[dict[str, float], ...]:
        """The `count` likeliest tokens at each position, likeliest first.

        Two tokens can have the same text (parts of one character): the likelier stays.
        """
        if count == 0:
            return ()
        if self.content is not None:
            pairs = [[(a.token, a.logprob) for a in entry.top_logprobs or ()] for entry in self.content]
        else:
            pairs = [list((position or {}).items()) for position in self.top_logprobs or ()]
        kept = []
        for position in pairs:
            best: dict[str, float] = {}
            for text, value in sorted(position, key=lambda pair: -pair[1])[:count]:
                best.setdefault(text, value)
            kept.append(best)
        return tuple(kept)


class _Message(_Wire):
    content: str | None = None
    refusal: str | None = None


class _PromptToken(_Wire):
    logprob: LogProb


class Choice(_Wire):
    """One completion: `text` from the completion endpoint, `message` from the chat endpoint."""

    index: int = 0
    text: str | None = None
    message: _Message | None = None
    finish_reason: str | None = None
    logprobs: LogProbs | None = None
    token_ids: tuple[int, ...] | None = None  # vLLM, when asked
    # vLLM, when asked: for each prompt token but the first, {token id: log-probability}.
    prompt_logprobs: tuple[dict[int, _PromptToken] | None, ...] | None = None

    @model_validator(mode="after")
    def _has_text(self) -> Self:
        if self.text is None and self.message is None:
            raise ValueError("neither text nor message")
        return self

    def completion(self, top_logprobs: int) -> Completion:
        """The choice in Candor's terms."""
        text = self.text if self.message is None else self.message.content or self.message.refusal
        logprobs = self.logprobs.drawn() if self.logprobs else ()
        ids = self.token_ids or (self.logprobs.ids() if self.logprobs else ())
        finish: Literal["stop", "length"] = "length" if self.finish_reason == "length" else "stop"
        return Completion(
            text=text or "",
            # Ids and log-probabilities are read side by side, so ids that don't match are no use.
            token_ids=ids if not logprobs or len(ids) == len(logprobs) else (),
            logprobs=logprobs,
            finish_reason=finish,
            top_logprobs=self.logprobs.alternatives(top_logprobs) if self.logprobs else (),
        )


class _Usage(_Wire):
    prompt_tokens: int = 0


class Choices(_Wire):
    """The answer of both generating endpoints."""

    choices: Annotated[tuple[Choice, ...], Field(min_length=1)]
    usage: _Usage | None = None

    def completions(self, top_logprobs: int) -> list[Completion]:
        """Completions in the order of their index."""
        ordered = sorted(self.choices, key=lambda choice: choice.index)
        return [choice.completion(top_logprobs) for choice in ordered]
