"""What every engine does: generate text and score text, with exact log-probabilities.

Stages talk to this protocol only and never call `model.generate`. `local` (PyTorch) needs nothing else;
`remote` speaks to any OpenAI-compatible URL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Literal, Protocol, TypedDict

from candor.core.errors import CandorError
from candor.tools.tool import Tool, ToolLimits, check_tools

if TYPE_CHECKING:
    import numpy as np


class Message(TypedDict):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str


# Raw text is continued as it is, token ids too, with nothing put before them; messages go through the model's
# chat template with an open assistant turn.
Prompt = str | Sequence[Message] | Sequence[int]


@dataclass(frozen=True)
class Sampling:
    """How to draw completions of a prompt.

    Temperature 0 is greedy. `n` completions of one prompt share one prefill. What is left out of the
    distribution goes by the probabilities at this temperature: first `min_p`, then `top_k`, then `top_p`;
    biases and penalties come before all of them. A completion depends on
    (`seed`, prompt index in the call, place among the prompt's completions, step) and not on what else is
    in the batch, up to the rounding of the arithmetic type.

    Raises:
        CandorError: a value outside its range.
    """

    max_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0  # 0: no limit
    n: int = 1
    seed: int = 0
    # The text ends before the first of these strings; the model's own end tokens always stop.
    stop: tuple[str, ...] = ()
    top_logprobs: int = 0  # alternatives to return for each token
    min_p: float = 0.0  # tokens less probable than this share of the likeliest are left out
    # Taken from a token's logit for each time that the completion has it already, and once if it has it at
    # all (OpenAI's penalties). Inserted tokens don't count.
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()  # (token, what is added to its logit)
    ignore_end: bool = False  # end tokens don't stop
    # Tokens that the first draw may not take (a refusal's first word, to hear the answer behind it). Local
    # engine only; the first log-probability is then relative to the tokens that are left.
    forbid_first: tuple[int, ...] = ()
    # What the model may call while it writes: behind each call the engine inserts the result, a token a step.
    # Inserted tokens count for `max_tokens`, and neither end nor stop a completion. Local engine only.
    tools: tuple[Tool, ...] = ()
    tool_limits: ToolLimits = field(default_factory=ToolLimits)

    def __post_init__(self) -> None:
        # Written so that a NaN fails too.
        for name, fine, wanted in (
            ("max_tokens", self.max_tokens >= 1, "at least 1"),
            ("temperature", 0 <= self.temperature < float("inf"), "0 (greedy) or more"),
            ("top_p", 0 < self.top_p <= 1, "more than 0 and at most 1"),
            ("top_k", self.top_k >= 0, "0 (no limit) or more"),
            ("min_p", 0 <= self.min_p <= 1, "between 0 (no limit) and 1"),
            ("frequency_penalty", isfinite(self.frequency_penalty), "a number"),
            ("presence_penalty", isfinite(self.presence_penalty), "a number"),
            (
                "logit_bias",
                all(token >= 0 and isfinite(value) for token, value in self.logit_bias),
                "pairs of a token id and a number",
            ),
            ("n", self.n >= 1, "at least 1"),
            ("stop", all(self.stop), "strings that are not empty"),
            ("top_logprobs", self.top_logprobs >= 0, "0 or more"),
        ):
            if not fine:
                raise CandorError(f"{name} is {getattr(self, name)!r}", fix=f"{name} must be {wanted}")
        check_tools(self.tools)


@dataclass(frozen=True)
class Completion:
    """One sampled continuation.

    `logprobs` are natural logarithms of the model's own probabilities, at temperature 1 and before any
    bias, penalty or truncation, one for each of `token_ids` (the end token, when one was drawn, included),
    whatever the sampling settings were. Empty when a remote server does not return them.

    `inserted` says for each token whether the engine put it there, as a tool's result, instead of drawing it;
    empty when there is none. Such a token's log-probability is what the model would have given it: nothing
    that was sampled, so a policy gradient leaves it out.
    """

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: Literal["stop", "length"]
    top_logprobs: tuple[dict[str, float], ...] = ()
    inserted: tuple[bool, ...] = ()


@dataclass(frozen=True)
class Generation:
    """All completions of one prompt, in the order of the sampling settings asked for.

    `hidden` is [layer, width] float32: the residual stream at the prompt's last token after each asked
    layer (0 is the embedding, L the last block before the final norm), or None where an engine can't.
    """

    completions: tuple[Completion, ...]
    prompt_tokens: int
    hidden: np.ndarray | None = field(default=None, compare=False)


def settings_of(sampling: Sampling | Sequence[Sampling]) -> list[Sampling]:
    """The sampling settings of a call, one or several, as a list.

    Raises:
        ValueError: there are none.
    """
    settings = [sampling] if isinstance(sampling, Sampling) else list(sampling)
    if not settings:
        raise ValueError("no sampling settings: there is nothing to generate")
    return settings


def refuse_tools(settings: Sequence[Sampling], engine: str) -> None:
    """For engines that can't insert anything into a completion while it is written.

    Raises:
        CandorError: one of the settings has tools.
    """
    if any(setting.tools for setting in settings):
        raise CandorError(
            f"{engine} can't insert a tool's results while the model writes",
            fix="use the local engine for models that call tools, or leave the tools out",
        )


class Engine(Protocol):
    """Generates and scores text with one model."""

    @property
    def model_name(self) -> str:
        """What the model is called in manifests and reports."""
        ...

    @property
    def layers(self) -> int:
        """Number of hidden layers that `generate` can return, 0 if none (remote engines)."""
        ...

    @property
    def chat(self) -> bool:
        """Whether the model has a chat template, so that prompts may be messages."""
        ...

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling | Sequence[Sampling],
        *,
        hidden_layers: Sequence[int] = (),
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Generation]:
        """Complete each prompt under each of the sampling settings.

        Args:
            prompts: raw texts, token ids or messages.
            sampling: one or several settings; a prompt's completions come back in their order.
            hidden_layers: layers whose state at the prompt's last token to return (0 is the embedding);
                engines whose `layers` is 0 ignore it.
            on_progress: called with the number of prompts finished since the last call.
        """
        ...

    def score(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[list[float]]:
        """Log-probability of each token of `completions[i]` after `prompts[i]`."""
        ...
