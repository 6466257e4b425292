"""What the server answers, for its OpenAPI schema; the answers themselves are made as plain dictionaries."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

Finish = Literal["stop", "length"]


class Problem(BaseModel):
    """What is wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class Fault(BaseModel):
    """Any error."""

    error: Problem


class Usage(BaseModel):
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class CompletionLogprobs(BaseModel):
    """Parallel lists over the tokens; a text's first token has no log-probability."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class CompletionChoice(BaseModel):
    """One completion."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: Finish
    token_ids: list[int] | None = None
    prompt_token_ids: list[int] | None = None


class Completion(BaseModel):
    """The answer of /v1/completions."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage


class Alternative(BaseModel):
    """A token at a place."""

    token: str
    logprob: float
    bytes: list[int]


class ChatToken(Alternative):
    """A drawn token."""

    top_logprobs: list[Alternative]


class ChatLogprobs(BaseModel):
    """One object for each token."""

    content: list[ChatToken]
    refusal: None


class Reply(BaseModel):
    """The assistant's turn."""

    role: Literal["assistant"]
    content: str
    refusal: None


class ChatChoice(BaseModel):
    """One reply."""

    index: int
    message: Reply
    logprobs: ChatLogprobs | None
    finish_reason: Finish
    token_ids: list[int] | None = None
    prompt_token_ids: list[int] | None = None


class GateReading(BaseModel):
    """How sure a tuned model is inside, before it answers."""

    confidence: float | None
    threshold: float
    abstained: bool


class ChatCompletion(BaseModel):
    """The answer of /v1/chat/completions."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
    candor: GateReading | None = None


class Tokenized(BaseModel):
    """The answer of /tokenize."""

    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str]
    offsets: list[list[int]]
    text: str


class Detokenized(BaseModel):
    """The answer of /detokenize."""

    prompt: str


class Card(BaseModel):
    """A model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    max_model_len: int
    chat: bool
    gate: bool


class Models(BaseModel):
    """The answer of /v1/models."""

    object: Literal["list"]
    data: list[Card]


class Health(BaseModel):
    """The answer of /health."""

    status: Literal["ok"]
