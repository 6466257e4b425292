"""What clients send, in OpenAI's terms; fields that are none of these are ignored, as OpenAI does."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, model_validator

from candor.engine.protocol import Sampling

_LONG = 2**63
TokenId = Annotated[int, Strict(), Field(ge=0, lt=2**31)]
Prompt = str | list[TokenId]
Number = Annotated[float, Field(allow_inf_nan=False)]


def _prompts(value: Any) -> Any:
    """One prompt or several, as a list of texts and lists of ids; a wrong shape is told in one sentence."""
    if isinstance(value, str) or (isinstance(value, list) and value and _all_ids(value)):
        return [value]
    if isinstance(value, list) and value and all(isinstance(one, str) or _is_ids(one) for one in value):
        return value
    raise ValueError("must be a text, token ids, or a list of these, and not empty")


def _is_ids(value: Any) -> bool:
    return isinstance(value, list) and _all_ids(value)


def _all_ids(value: list[Any]) -> bool:
    return all(type(one) is int for one in value)


def _stops(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str | None = Field(default=None, description="A name from /v1/models; not needed if there is one.")

    @model_validator(mode="before")
    @classmethod
    def _null_is_default(cls, data: Any) -> Any:
        """Clients write `null` for what they leave open."""
        if isinstance(data, dict):
            return {name: value for name, value in data.items() if value is not None}
        return data


class StreamOptions(BaseModel):
    """What a stream has beside its pieces."""

    include_usage: bool = False


class _Generation(_Request):
    """What both generating endpoints take."""

    max_tokens: int | None = Field(default=None, ge=0, description="The most tokens of a completion.")
    temperature: Number = Field(default=1.0, ge=0, le=100, description="0 is greedy.")
    top_p: Number = Field(default=1.0, gt=0, le=1)
    n: int = Field(default=1, ge=1, description="Completions of each prompt, which share its reading.")
    stop: Annotated[list[str], BeforeValidator(_stops, json_schema_input_type=str | list[str])] = Field(
        default=[], description="Text before the first of these strings is the completion."
    )
    seed: int | None = Field(
        default=None,
        ge=-_LONG,
        lt=_LONG,
        description="The same request with the same seed gets the same completion, up to rounding.",
    )
    frequency_penalty: Number = Field(default=0.0, ge=-2, le=2)
    presence_penalty: Number = Field(default=0.0, ge=-2, le=2)
    logit_bias: dict[int, Number] = Field(default={}, description="Token id: what is added to its logit.")
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    # Beyond OpenAI's API, by the names that vLLM has for them.
    top_k: int = Field(
        default=0, ge=-1, lt=2**31, description="Draw from so many likeliest tokens; 0 or -1: all."
    )
    min_p: Number = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Leave out tokens below this share of the likeliest's probability.",
    )
    ignore_eos: bool = Field(default=False, description="Go on behind end tokens.")
    return_token_ids: bool = Field(default=False, description="Add `token_ids` to what is generated.")

    @model_validator(mode="after")
    def _possible(self) -> _Generation:
        for token, bias in self.logit_bias.items():
            if token < 0 or abs(bias) > 100:
                raise ValueError("logit_bias: token ids are 0 or more, biases from -100 to 100")
        if not all(self.stop):
            raise ValueError("stop: a stop string must not be empty")
        return self

    def sampling(self, *, max_tokens: int, n: int, seed: int, alternatives: int) -> Sampling:
        """How completions are drawn."""
        return Sampling(
            max_tokens=max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=max(0, self.top_k),
            min_p=self.min_p,
            n=n,
            seed=seed,
            stop=tuple(self.stop),
            frequency_penalty=self.frequency_penalty,
            presence_penalty=self.presence_penalty,
            logit_bias=tuple(self.logit_bias.items()),
            ignore_end=self.ignore_eos,
            top_logprobs=alternatives,
        )


class CompletionRequest(_Generation):
    """/v1/completions: text that goes on, with no template around it."""

    prompt: Annotated[
        list[Prompt], BeforeValidator(_prompts, json_schema_input_type=Prompt | list[Prompt])
    ] = Field(description="A text, token ids, or a list of these.")
    logprobs: int | None = Field(default=None, ge=0, description="Likeliest tokens to return for each place.")
    echo: bool = Field(default=False, description="Return the prompt too, with `logprobs` scored.")
    best_of: int | None = Field(
        default=None, ge=1, description="Draw so many, return the n of the highest mean log-probability."
    )
    suffix: str | None = None
    add_special_tokens: bool = Field(
        default=True, description="Put the model's start token, if it has one, before a text."
    )

    @model_validator(mode="after")
    def _together(self) -> CompletionRequest:
        if self.suffix:
            raise ValueError("suffix: completing the middle of a text is not supported")
        if self.best_of is not None and self.best_of < self.n:
            raise ValueError("best_of: must be at least n")
        if self.best_of is not None and self.best_of > self.n and self.stream:
            raise ValueError("best_of: what is best is known at the end only, so it can't be streamed")
        if self.max_tokens == 0 and not self.echo:
            raise ValueError("max_tokens: 0 is for scoring a prompt, together with echo")
        return self


class Part(BaseModel):
    """A part of a message."""

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """One turn."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None


class ResponseFormat(BaseModel):
    """How a reply is to be formed."""

    type: str = "text"


class ChatRequest(_Generation):
    """/v1/chat/completions: messages through the model's chat template."""

    messages: list[ChatMessage] = Field(min_length=1)
    max_completion_tokens: int | None = Field(default=None, ge=1, description="The newer name of max_tokens.")
    logprobs: bool = False
    top_logprobs: int = Field(default=0, ge=0)
    tools: list[dict[str, Any]] | None = Field(
        default=None, description="Given to the template; calls come back as the text that the model writes."
    )
    tool_choice: Any = None
    response_format: ResponseFormat = ResponseFormat()

    @model_validator(mode="after")
    def _together(self) -> ChatRequest:
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs: needs logprobs to be true")
        if self.max_tokens == 0:
            raise ValueError("max_tokens: must be at least 1")
        if self.response_format.type != "text":
            raise ValueError(
                f"response_format: only text is supported, not {self.response_format.type[:40]!r}"
            )
        return self


class TokenizeRequest(_Request):
    """/tokenize: a raw text, or messages through the chat template."""

    prompt: str | None = None
    messages: list[ChatMessage] | None = Field(default=None, min_length=1)
    add_special_tokens: bool = True
    add_generation_prompt: bool = True
    tools: list[dict[str, Any]] | None = None

    @model_validator(mode="after")
    def _one(self) -> TokenizeRequest:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("prompt: give either a prompt or messages")
        return self


class DetokenizeRequest(_Request):
    """/detokenize: the text of token ids."""

    tokens: list[TokenId]
    skip_special_tokens: bool = False
