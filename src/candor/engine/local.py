"""The default engine: PyTorch and transformers, batched continuously, for any causal language model.

One prompt is prefilled once however many completions it gets; completions of many prompts run as rows of
one batch; rows that are done leave it and waiting prompts take their place; text that all prompts share
(a system message, few-shot examples) is computed once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import torch

from candor.core.errors import CandorError
from candor.engine import attention
from candor.engine.cache import BatchCache
from candor.engine.decoder import Decoder, decoder_for
from candor.engine.prompts import encode_pairs, encode_prompt, end_tokens, set_template, shared_prefix
from candor.engine.protocol import Completion, Generation, Prompt, Sampling, settings_of
from candor.engine.sampling import RowSettings, draw, row_key
from candor.engine.scoring import score_batches
from candor.engine.slots import Slots
from candor.model.blocks import decoder_blocks
from candor.model.first_use import compile_kernels
from candor.model.forward import Forward
from candor.model.load import load_model, load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# With fewer tokens to decode, weights are not laid out for it first.
_WORTH_PREPARING = 2048
# Shorter shared text than this costs more to split off than to compute again.
_MIN_PREFIX = 8


@dataclass(eq=False)
class _Row:
    """One completion in the making."""

    prompt: int
    place: int  # among the prompt's completions
    sampling: Sampling
    key: int
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    top: list[dict[str, float]] = field(default_factory=list)
    finish: Literal["stop", "length"] | None = None
    text: str | None = None  # set when a stop string cut it
    retired: bool = False  # counted among the finished; it may still run along


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
        self._blocks = decoder_blocks(model)
        self._decoder = decoder_for(model)
        self._passes: Forward | None = None
        text_config = model.config.get_text_config()
        self._context = int(getattr(text_config, "max_position_embeddings", 0) or 1 << 30)
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
    def chat(self) -> bool:
        """Whether there is a chat template."""
        return bool(self.tokenizer.chat_template)

    # --- generation ---------------------------------------------------------------------------------

    @torch.inference_mode()
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
            prompts: raw texts or messages.
            sampling: one or several settings; a prompt's completions come back in their order.
            hidden_layers: layers whose state at the prompt's last token to return (0 is the embedding).
            on_progress: called with the number of prompts finished since the last call.

        Raises:
            CandorError: a prompt is empty or does not fit the model's context with its completion, or a
                layer does not exist.
        """
        settings = settings_of(sampling)
        self._check_layers(hidden_layers)
        ids = [encode_prompt(self.tokenizer, prompt) for prompt in prompts]
        self._check_lengths(ids, settings)
        prefix = shared_prefix(ids) if self._may_share else 0
        prefix = prefix if prefix >= _MIN_PREFIX else 0
        start = self._prefix_cache(ids[0][:prefix]) if prefix else None

        # Long prompts first, in groups of like length: little padding, and the longest answers start early.
        waiting = sorted(range(len(ids)), key=lambda index: (-len(ids[index]), index))
        rows: list[_Row] = []
        done: dict[int, list[_Row]] = {index: [] for index in range(len(ids))}
        hidden: dict[int, np.ndarray] = {}
        fan_out = sum(setting.n for setting in settings)
        most = len(ids) * sum(setting.n * setting.max_tokens for setting in settings)
        batch = self._batch(start, max(setting.max_tokens for setting in settings))
        logits = torch.empty(0)
        with batch.prepared(min(self.max_rows, len(ids) * fan_out), most):
            while waiting or rows:
                # Prompts join in groups, so that reading them is worth a pass of its own.
                if waiting and len(rows) + max(fan_out, self.max_rows // 4) <= max(self.max_rows, fan_out):
                    group = self._next_group(waiting, ids, prefix, self.max_rows - len(rows), fan_out)
                    fresh, fresh_logits, states = self._prefill([ids[i] for i in group], start, hidden_layers)
                    for place, index in enumerate(group):
                        if states is not None:
                            hidden[index] = states[place]
                    batch.admit(fresh, fan_out)
                    fresh_logits = fresh_logits.repeat_interleave(fan_out, dim=0)
                    logits = torch.cat([logits, fresh_logits]) if rows else fresh_logits
                    rows += [row for index in group for row in _rows_of(index, settings)]
                self._step(rows, logits)
                for row in rows:
                    if row.finish is not None and not row.retired:
                        row.retired = True
                        done[row.prompt].append(row)
                        if on_progress and len(done[row.prompt]) == fan_out:
                            on_progress(1)
                alive = [place for place, row in enumerate(rows) if row.finish is None]
                if not alive or len(rows) - len(alive) >= max(1, len(rows) * batch.patience):
                    rows = [rows[place] for place in alive]
                    batch.keep(alive)
                if rows:
                    logits = batch.decode(torch.tensor([row.tokens[-1] for row in rows]))
        return [
            Generation(
                completions=tuple(
                    self._completion(row) for row in sorted(done[index], key=lambda row: row.place)
                ),
                prompt_tokens=len(ids[index]),
                hidden=hidden.get(index),
            )
            for index in range(len(ids))
        ]

    def _check_layers(self, layers: Sequence[int]) -> None:
        for layer in layers:
            if not 0 <= layer <= self.layers:
                raise CandorError(
                    f"layer {layer} does not exist: {self._name} has {self.layers} layers",
                    fix=f"choose layers between 0 (the embedding) and {self.layers}",
                )

    def _check_lengths(self, ids: list[list[int]], settings: list[Sampling]) -> None:
        room = self._context - max(setting.max_tokens for setting in settings)
        for index, prompt in enumerate(ids):
            if len(prompt) > room:
                raise CandorError(
                    f"prompt {index} has {len(prompt)} tokens; with its completion it does not fit the "
                    f"model's context of {self._context}",
                    fix="shorten the prompt or the chunk size, or use a model with a longer context",
                )

    def _prefix_cache(self, ids: list[int]) -> BatchCache:
        cache = BatchCache(self.layers)
        cache.mask = torch.ones(1, len(ids), dtype=torch.bool)
        self._forward(torch.tensor([ids]), cache, keep=1)
        cache.prefix = len(ids)
        return cache

    def _next_group(
        self, waiting: list[int], ids: list[list[int]], prefix: int, free_rows: int, fan_out: int
    ) -> list[int]:
        """Take the next prompts that fit the free rows and one prefill."""
        width = len(ids[waiting[0]]) - prefix
        count = max(1, min(len(waiting), free_rows // fan_out, self.prefill_tokens // width))
        group = waiting[:count]
        del waiting[:count]
        return group

    def _prefill(
        self, prompts: list[list[int]], start: BatchCache | None, hidden_layers: Sequence[int]
    ) -> tuple[BatchCache, torch.Tensor, np.ndarray | None]:
        """Run prompts, left-padded; returns cache, last logits [P, V] and hidden states [P, layer, width]."""
        prefix = start.prefix if start else 0
        width = max(len(prompt) for prompt in prompts) - prefix
        pad = int(self.tokenizer.pad_token_id or 0)  # type: ignore[arg-type]
        ids = torch.full((len(prompts), width), pad, dtype=torch.long)
        own = torch.zeros(len(prompts), width, dtype=torch.bool)
        for row, prompt in enumerate(prompts):
            length = len(prompt) - prefix
            ids[row, width - length :] = torch.tensor(prompt[prefix:])
            own[row, width - length :] = True
        if start:
            cache = start.rows(torch.zeros(len(prompts), dtype=torch.long))
            cache.mask = torch.cat([cache.mask, own], dim=1)
        else:
            cache = BatchCache(self.layers)
            cache.mask = own
        with self._watching(hidden_layers) as states:
            logits = self._forward(ids, cache, keep=1)[:, 0]
        stacked = torch.stack(states, dim=1).float().cpu().numpy() if hidden_layers else None
        return cache, logits, stacked

    def _batch(self, start: BatchCache | None, longest: int) -> _Batch:
        if self._decoder is not None and not self._decoder.current:
            self._decoder = decoder_for(self.model)
        return _PaddedBatch(self) if self._decoder is None else _SlotBatch(self._decoder, start, longest)

    def _forward(self, ids_RT: torch.Tensor, cache: BatchCache, keep: int) -> torch.Tensor:
        mask = cache.mask
        positions = mask.long().cumsum(dim=1)[:, -ids_RT.shape[1] :] - 1
        # Padding is before 0; a finished row that runs along may leave a learned position table behind.
        positions = positions.clamp(min=0, max=self._context - 1)
        device = self.model.device
        return self.model(
            input_ids=ids_RT.to(device),
            attention_mask=mask.to(device),
            position_ids=positions.to(device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=keep,
        ).logits

    @contextlib.contextmanager
    def _watching(self, layers: Sequence[int]) -> Iterator[list[torch.Tensor]]:
        """Collect the residual stream at the last position of each asked layer during one forward pass."""
        found: dict[int, torch.Tensor] = {}
        states: list[torch.Tensor] = []

        def keep_input(_module: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
            value = arguments[0] if arguments else keywords["hidden_states"]
            found[0] = value[:, -1].clone()

        def keep_output(layer: int) -> Callable[..., None]:
            def hook(_module: Any, _arguments: Any, output: Any) -> None:
                value = output[0] if isinstance(output, tuple) else output
                found[layer] = value[:, -1].clone()

            return hook

        handles = [
            self._blocks[0].register_forward_pre_hook(keep_input, with_kwargs=True)
            if layer == 0
            else self._blocks[layer - 1].register_forward_hook(keep_output(layer))
            for layer in layers
        ]
        try:
            yield states
            states.extend(found[layer] for layer in layers)
        finally:
            for handle in handles:
                handle.remove()

    def _step(self, rows: list[_Row], logits_RV: torch.Tensor) -> None:
        """Draw a token for each row and see which rows are done."""
        settings = RowSettings(
            temperature_R=torch.tensor([row.sampling.temperature for row in rows]),
            top_p_R=torch.tensor([row.sampling.top_p for row in rows]),
            top_k_R=torch.tensor([row.sampling.top_k for row in rows]),
            keys_R=np.array([row.key for row in rows], dtype=np.uint64),
        )
        steps = np.array([len(row.tokens) for row in rows])
        for place, row in enumerate(rows):
            if row.sampling.forbid_first and not row.tokens:
                logits_RV[place, list(row.sampling.forbid_first)] = float("-inf")
        tokens_R, logprobs_R = draw(logits_RV, settings, steps)
        for place, (row, token, logprob) in enumerate(
            zip(rows, tokens_R.tolist(), logprobs_R.tolist(), strict=True)
        ):
            if row.finish is not None:
                continue
            row.tokens.append(token)
            row.logprobs.append(logprob)
            if row.sampling.top_logprobs:
                row.top.append(self._alternatives(logits_RV[place].float(), row.sampling.top_logprobs))
            if token in self._ends or (row.sampling.stop and self._stopped(row)):
                row.finish = "stop"
            elif len(row.tokens) >= row.sampling.max_tokens:
                row.finish = "length"

    def _alternatives(self, logits_V: torch.Tensor, count: int) -> dict[str, float]:
        values, tokens = torch.log_softmax(logits_V, dim=-1).topk(min(count, len(logits_V)))
        texts = [self.tokenizer.decode([token]) for token in tokens.tolist()]
        best: dict[str, float] = {}
        for text, value in zip(texts, values.tolist(), strict=True):
            best.setdefault(str(text), value)
        return best

    def _stopped(self, row: _Row) -> bool:
        text = str(self.tokenizer.decode(row.tokens, skip_special_tokens=True))
        places = [text.find(stop) for stop in row.sampling.stop]
        if found := [place for place in places if place >= 0]:
            row.text = text[: min(found)]
            return True
        return False

    def _completion(self, row: _Row) -> Completion:
        tokens = row.tokens[:-1] if row.tokens and row.tokens[-1] in self._ends else row.tokens
        text = row.text
        if text is None:
            text = str(self.tokenizer.decode(tokens, skip_special_tokens=True))
        return Completion(
            text=text,
            token_ids=tuple(row.tokens),
            logprobs=tuple(row.logprobs),
            finish_reason=row.finish or "length",
            top_logprobs=tuple(row.top),
        )

    # --- scoring ------------------------------------------------------------------------------------

    @torch.inference_mode()
    def score(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[list[float]]:
        """Log-probability of each token of `completions[i]` after `prompts[i]`; no end token is added."""
        return self.score_tokens(encode_pairs(self.tokenizer, prompts, completions))

    @torch.inference_mode()
    def score_tokens(self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[list[float]]:
        """Log-probability of each token of the second list of each pair after the first.

        Raises:
            CandorError: a first list is empty, or a pair is longer than the model's context.
        """
        if not all(len(first) for first, _ in pairs):
            raise CandorError(
                "nothing before a text to score", fix="give at least one token, such as the start"
            )
        results: list[list[float]] = [[] for _ in pairs]
        asked = [i for i, (_, tail) in enumerate(pairs) if len(tail)]
        order = sorted(asked, key=lambda i: -len(pairs[i][0]) - len(pairs[i][1]))
        if not order:
            return results
        longest = len(pairs[order[0]][0]) + len(pairs[order[0]][1])
        if longest > self._context:
            raise CandorError(
                f"a text of {longest} tokens does not fit the model's context of {self._context}",
                fix="score it in pieces",
            )
        forward = self._forward_for(pairs[order[0]])
        for places, batch in score_batches(
            [pairs[i] for i in order],
            self.prefill_tokens,
            packs=forward.packs,
            branches=forward.branches,
        ):
            on_device = batch.to(self.model.device)
            with forward.states(on_device) as states:
                chunks = zip(states.split(forward.chunk), on_device.targets.split(forward.chunk), strict=True)
                found = [_logprobs(forward.logits(some), targets) for some, targets in chunks]
            logprobs = iter(torch.cat(found).tolist())
            for i in (order[place] for place in places):
                results[i] = list(islice(logprobs, len(pairs[i][1])))
        return results

    def _forward_for(self, pair: tuple[Sequence[int], Sequence[int]]) -> Forward:
        """Passes over whole texts, checked on a first one."""
        if self._passes is None:
            self._passes = Forward(self.model, [*pair[0], *pair[1]])
        return self._passes


def _logprobs(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return logits.gather(1, targets[:, None]).squeeze(1) - torch.logsumexp(logits, dim=-1)


class _Batch(Protocol):
    """The keys and values of the rows that are being decoded, and the step that adds to them."""

    patience: float  # share of the rows that may be done before they are taken out

    def prepared(self, rows: int, tokens: int) -> contextlib.AbstractContextManager[None]:
        """For decoding about so many rows at once and at most so many tokens in all."""
        ...

    def admit(self, cache: BatchCache, completions: int) -> None:
        """Add so many rows for each prompt that was read into the cache."""
        ...

    def keep(self, rows: list[int]) -> None:
        """Let all other rows go."""
        ...

    def decode(self, tokens_R: torch.Tensor) -> torch.Tensor:
        """One more token for each row; returns logits [R, V]."""
        ...


class _PaddedBatch:
    """Through transformers: any architecture, any device."""

    patience = 1 / 8  # taking rows out copies the cache; until then finished rows just run along

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine
        self._cache: BatchCache | None = None

    def prepared(self, rows: int, tokens: int) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def admit(self, cache: BatchCache, completions: int) -> None:
        fresh = cache.rows(torch.arange(len(cache.mask)).repeat_interleave(completions))
        self._cache = fresh if self._cache is None else self._cache.joined(fresh)

    def keep(self, rows: list[int]) -> None:
        assert self._cache is not None
        self._cache = self._cache.rows(torch.tensor(rows, dtype=torch.long)) if rows else None

    def decode(self, tokens_R: torch.Tensor) -> torch.Tensor:
        cache = self._cache
        assert cache is not None
        cache.mask = torch.cat([cache.mask, torch.ones(len(tokens_R), 1, dtype=torch.bool)], dim=1)
        return self._engine._forward(tokens_R[:, None], cache, keep=1)[:, 0]


class _SlotBatch:
    """Through the compiled step."""

    patience = 0.0

    def __init__(self, decoder: Decoder, start: BatchCache | None, longest: int) -> None:
        self._decoder, self._start, self._longest = decoder, start, longest
        self._slots: Slots | None = None

    def prepared(self, rows: int, tokens: int) -> contextlib.AbstractContextManager[None]:
        worth = tokens >= _WORTH_PREPARING
        return self._decoder.prepared(rows) if worth else contextlib.nullcontext()

    def admit(self, cache: BatchCache, completions: int) -> None:
        if self._slots is None:
            self._slots = Slots(self._start, cache, self._longest)
        self._slots.admit(cache, completions)

    def keep(self, rows: list[int]) -> None:
        assert self._slots is not None
        self._slots.keep(rows)

    def decode(self, tokens_R: torch.Tensor) -> torch.Tensor:
        assert self._slots is not None
        return self._decoder.step(tokens_R, self._slots)


def _rows_of(prompt: int, settings: Sequence[Sampling]) -> list[_Row]:
    rows = []
    for setting in settings:
        for _ in range(setting.n):
            place = len(rows)
            rows.append(_Row(prompt, place, setting, row_key(setting.seed, prompt, place)))
    return rows


def _contiguous_input(_module: torch.nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The last positions' states are a slice, for which torch may copy a frozen head once for each row."""
    return (arguments[0].contiguous(), *arguments[1:])
