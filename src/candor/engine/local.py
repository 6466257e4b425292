"""The default engine: PyTorch and transformers, batched continuously, for any causal language model.

One prompt is prefilled once however many completions it gets; completions of many prompts run as rows of
one batch; rows that are done leave it and waiting prompts take their place (`flow`); text that all prompts
share (a system message, few-shot examples) is computed once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from candor.core.errors import CandorError, enough_memory
from candor.engine import attention
from candor.engine.batch import PaddedBatch, SlotBatch
from candor.engine.decoder import decoder_for
from candor.engine.flow import Flow, Room, check_request
from candor.engine.prefill import Prefill
from candor.engine.prompts import encode_pairs, encode_prompt, end_tokens, set_template, shared_prefix
from candor.engine.protocol import Completion, Generation, Prompt, Sampling, settings_of
from candor.engine.reading import Reading, read_pairs
from candor.engine.rows import Request, Row
from candor.engine.text import TokenText
from candor.model.first_use import compile_kernels
from candor.model.forward import Forward
from candor.model.load import context_in, load_model, load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from candor.engine.cache import BatchCache

# With fewer tokens to decode, weights are not laid out for it first.
_WORTH_PREPARING = 2048
# Shorter shared text than this costs more to split off than to compute again.
_MIN_PREFIX = 8


class LocalEngine:
    """Generates and scores with a transformers model in this process.

    Args:
        model: a causal language model in evaluation mode.
        tokenizer: its tokenizer.
        name: what to call it in manifests.
        max_rows: completions decoded at once. 256 fills two CPU cores (decoding is bound by matrix
            products from about 64 rows on) at about 25 KB of cache a token for SmolLM2-135M. The
            completions of one prompt run together, so a prompt that asks for more gets more.
        prefill_tokens: padded prompt tokens in one prefill.

    A model that uses transformers' SDPA attention is switched to `candor.engine.attention`, which computes
    the same.

    Attributes:
        context: the most tokens that the model reads and writes together.
        text: what its tokens stand for.

    Raises:
        CandorError: the model is not a stack of attention blocks (a recurrent one, say).
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        name: str = "",
        max_rows: int = 256,
        prefill_tokens: int = 8192,
    ) -> None:
        if model.device.type == "cpu":
            compile_kernels(model.dtype)
        self.model = model
        self.tokenizer = tokenizer
        self.text = TokenText(tokenizer)
        self.max_rows = max_rows
        self.prefill_tokens = prefill_tokens
        self._name = name or str(getattr(model, "name_or_path", "") or "model")
        self._ends = end_tokens(model.generation_config, tokenizer)
        attention.register()
        if model.config._attn_implementation == "sdpa":
            model.set_attn_implementation(attention.NAME)
        head = model.get_output_embeddings()
        if head is not None:
            head.register_forward_pre_hook(_contiguous_input)
        text_config = model.config.get_text_config()
        self.context = context_in(model.config)
        pad = int(tokenizer.pad_token_id or 0)  # type: ignore[arg-type]
        self._prefill = Prefill(model, pad=pad, context=self.context)
        self._blocks = self._prefill.blocks
        self._decoder = decoder_for(model)
        self._passes: Forward | None = None
        # A gap behind the shared prefix would be counted as distance by a sliding window's mask.
        kinds = set(getattr(text_config, "layer_types", None) or ["full_attention"])
        if unknown := kinds - {"full_attention", "sliding_attention", "chunked_attention"}:
            raise CandorError(
                f"{self._name}: the local engine can't run layers of {', '.join(sorted(unknown))}",
                fix="serve the model with vLLM and use the remote engine",
            )
        self._may_share = kinds == {"full_attention"} and not getattr(text_config, "sliding_window", None)

    @classmethod
    def load(
        cls,
        spec: str,
        *,
        dtype: str = "bfloat16",
        device: str | None = None,
        template: str | None = None,
        trust_remote_code: bool = False,
        **options: Any,
    ) -> LocalEngine:
        """Load a model by name (see `candor.model.load.resolve`) with an optional chat template."""
        tokenizer = load_tokenizer(spec, trust_remote_code=trust_remote_code)
        set_template(tokenizer, template)
        model = load_model(spec, dtype=dtype, device=device, trust_remote_code=trust_remote_code)
        return cls(model, tokenizer, name=spec, **options)

    @property
    def model_name(self) -> str:
        """The name it was loaded by."""
        return self._name

    @property
    def layers(self) -> int:
        """Number of decoder blocks."""
        return len(self._blocks)

    @property
    def vocabulary(self) -> int:
        """Number of tokens that the model knows, those without a name included."""
        embedding: Any = self.model.get_input_embeddings()
        return int(embedding.weight.shape[0])

    @property
    def ends(self) -> frozenset[int]:
        """Tokens that end a completion."""
        return frozenset(self._ends)

    @property
    def chat(self) -> bool:
        """Whether there is a chat template."""
        return bool(self.tokenizer.chat_template)

    # --- generation ---------------------------------------------------------------------------------

    @torch.inference_mode()
    @enough_memory("writing completions", "max_rows (completions written at once) or max_tokens")
    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling | Sequence[Sampling],
        *,
        hidden_layers: Sequence[int] = (),
        on_progress: Callable[[int], None] | None = None,
        first: int = 0,
    ) -> list[Generation]:
        """Complete each prompt under each of the sampling settings.

        Args:
            prompts: raw texts, token ids or messages.
            sampling: one or several settings; a prompt's completions come back in their order.
            hidden_layers: layers whose state at the prompt's last token to return (0 is the embedding).
            first: index of the first prompt, where these are a part of a longer list: its random numbers
                are then those that it would get there.
            on_progress: called with the number of prompts finished since the last call.

        Raises:
            CandorError: a prompt is empty or does not fit the model's context with its completion, or a
                token or a layer does not exist.
        """
        settings = settings_of(sampling)
        ids = [encode_prompt(self.tokenizer, prompt) for prompt in prompts]
        requests = [
            Request(prompt, settings, index, hidden_layers) for index, prompt in enumerate(ids, first)
        ]
        for request in requests:
            self.check(request)
        prefix = shared_prefix(ids) if self._may_share else 0
        start = self._prefill.prefix(ids[0][:prefix]) if prefix >= _MIN_PREFIX else None
        # Prompts join in groups, so that reading them is worth a pass of its own.
        room = Room(self.max_rows, self.prefill_tokens, joining=self.max_rows // 4)
        flow = self.flow(room, start)
        # Long prompts first, in groups of like length: little padding, and the longest answers start early.
        flow.submit(*sorted(requests, key=lambda request: (-len(request.ids), request.index)))
        fan_out = sum(setting.n for setting in settings)
        most = len(ids) * sum(setting.n * setting.max_tokens for setting in settings)
        left = dict.fromkeys(requests, fan_out)
        worth = most >= _WORTH_PREPARING
        with self.prepared(min(self.max_rows, len(ids) * fan_out)) if worth else contextlib.nullcontext():
            while flow.busy:
                for row in flow.step():
                    if row.finish is not None:
                        left[row.request] -= 1
                        if on_progress and not left[row.request]:
                            on_progress(1)
        return [
            Generation(
                completions=tuple(self._completion(row) for row in request.rows),
                prompt_tokens=len(request.ids),
                hidden=request.hidden,
            )
            for request in requests
        ]

    def flow(self, room: Room, start: BatchCache | None = None) -> Flow:
        """Decode requests that come and go; see `candor.engine.flow`.

        Args:
            room: how much is done at once.
            start: what all prompts will begin with, as `Prefill.prefix` read it.
        """
        if self._decoder is not None and not self._decoder.current:
            self._decoder = decoder_for(self.model)
        batch = PaddedBatch(self._prefill) if self._decoder is None else SlotBatch(self._decoder, start)
        return Flow(batch, self._prefill, self.text, ends=self._ends, room=room, start=start)

    def prepared(self, rows: int) -> contextlib.AbstractContextManager[None]:
        """Within the block, decode steps of about so many rows are faster; weights must not change there."""
        return contextlib.nullcontext() if self._decoder is None else self._decoder.prepared(rows)

    def check(self, request: Request) -> None:
        """See that the model can do what is asked; raises as `generate`."""
        check_request(
            request,
            name=self._name,
            context=self.context,
            vocabulary=self.vocabulary,
            layers=self.layers,
            index=request.index,
        )

    def _completion(self, row: Row) -> Completion:
        stopped = row.growing is not None and row.growing.stopped is not None
        tokens = row.tokens[:-1] if row.ended_by_token else row.tokens
        shown = row.calls.shown if row.calls is not None else ()
        return Completion(
            text=row.growing.text if row.growing and stopped else self.text.decode(tokens, shown=shown),
            token_ids=tuple(row.tokens),
            logprobs=tuple(row.logprobs),
            finish_reason=row.finish or "length",
            top_logprobs=tuple(self._by_text(*top) for top in row.top),
            inserted=tuple(row.calls.inserted) if row.calls is not None and any(row.calls.inserted) else (),
        )

    def _by_text(self, tokens: Sequence[int], logprobs: Sequence[float]) -> dict[str, float]:
        best: dict[str, float] = {}
        for token, value in zip(tokens, logprobs, strict=True):
            best.setdefault(self.text.decode([token], skip_special=False), value)
        return best

    # --- scoring ------------------------------------------------------------------------------------

    @torch.inference_mode()
    def score(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[list[float]]:
        """Log-probability of each token of `completions[i]` after `prompts[i]`; no end token is added."""
        return self.score_tokens(encode_pairs(self.tokenizer, prompts, completions))

    def score_tokens(self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[list[float]]:
        """Log-probability of each token of the second list of each pair after the first.

        Raises:
            CandorError: a first list is empty, or a pair is longer than the model's context.
        """
        asked = [i for i, (_, tail) in enumerate(pairs) if len(tail)]
        results: list[list[float]] = [[] for _ in pairs]
        if not all(len(first) for first, _ in pairs):
            raise _nothing_before()
        for i, reading in zip(asked, self.read([pairs[i] for i in asked]), strict=True):
            results[i] = list(reading.logprobs)
        return results

    @torch.inference_mode()
    def read(
        self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], *, top: int = 0, last: bool = False
    ) -> list[Reading]:
        """The same for second lists that are not empty, with what else the model thinks of their tokens.

        Args:
            pairs: of token ids.
            top: likeliest tokens to return for each place.
            last: also return the logits at each pair's last place.

        Raises:
            CandorError: as `score_tokens`.
        """
        if not all(len(first) for first, _ in pairs):
            raise _nothing_before()
        order = sorted(range(len(pairs)), key=lambda i: -len(pairs[i][0]) - len(pairs[i][1]))
        if not order:
            return []
        longest = len(pairs[order[0]][0]) + len(pairs[order[0]][1])
        if longest > self.context:
            raise CandorError(
                f"a text of {longest} tokens does not fit the model's context of {self.context}",
                fix="score it in pieces",
            )
        forward = self._forward_for(pairs[order[0]])
        results: dict[int, Reading] = {}
        for place, reading in read_pairs(
            forward, [pairs[i] for i in order], budget=self.prefill_tokens, top=top, last=last
        ):
            results[order[place]] = reading
        return [results[i] for i in range(len(pairs))]

    def _forward_for(self, pair: tuple[Sequence[int], Sequence[int]]) -> Forward:
        """Passes over whole texts, checked on a first one."""
        if self._passes is None:
            self._passes = Forward(self.model, [*pair[0], *pair[1]])
        return self._passes


def _nothing_before() -> CandorError:
    return CandorError("nothing before a text to score", fix="give at least one token, such as the start")


def _contiguous_input(_module: torch.nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The last positions' states are a slice, for which torch may copy a frozen head once for each row."""
    return (arguments[0].contiguous(), *arguments[1:])
