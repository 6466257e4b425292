"""Reading prompts: keys and values of all their tokens, the logits behind the last, and hidden states."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from candor.engine.cache import BatchCache
from candor.model.blocks import decoder_blocks

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Prefill:
    """Forward passes of a model over a cache.

    Args:
        model: a causal language model in evaluation mode.
        pad: any token.
        context: the most positions that the model has.

    Attributes:
        blocks: the model's decoder blocks.
    """

    def __init__(self, model: PreTrainedModel, *, pad: int, context: int) -> None:
        self.blocks = decoder_blocks(model)
        self._model, self._pad, self._context = model, pad, context

    def prefix(self, ids: Sequence[int]) -> BatchCache:
        """The cache, of one row, of tokens that all prompts begin with."""
        cache = BatchCache(len(self.blocks))
        cache.mask = torch.ones(1, len(ids), dtype=torch.bool)
        self.forward(torch.tensor([list(ids)]), cache, keep=1)
        cache.prefix = len(ids)
        return cache

    def read(
        self, prompts: Sequence[Sequence[int]], start: BatchCache | None, hidden_layers: Sequence[int]
    ) -> tuple[BatchCache, torch.Tensor, np.ndarray | None]:
        """Run prompts, left-padded; returns cache, last logits [P, V] and hidden states [P, layer, width]."""
        prefix = start.prefix if start else 0
        width = max(len(prompt) for prompt in prompts) - prefix
        ids = torch.full((len(prompts), width), self._pad, dtype=torch.long)
        own = torch.zeros(len(prompts), width, dtype=torch.bool)
        for row, prompt in enumerate(prompts):
            length = len(prompt) - prefix
            ids[row, width - length :] = torch.tensor(prompt[prefix:])
            own[row, width - length :] = True
        if start:
            cache = start.rows(torch.zeros(len(prompts), dtype=torch.long))
            cache.mask = torch.cat([cache.mask, own], dim=1)
        else:
            cache = BatchCache(len(self.blocks))
            cache.mask = own
        with self._watching(hidden_layers) as states:
            logits = self.forward(ids, cache, keep=1)[:, 0]
        stacked = torch.stack(states, dim=1).float().cpu().numpy() if hidden_layers else None
        return cache, logits, stacked

    def forward(self, ids_RT: torch.Tensor, cache: BatchCache, keep: int) -> torch.Tensor:
        """Logits [R, keep, V] of the last places; the cache's mask knows these columns already."""
        mask = cache.mask
        positions = mask.long().cumsum(dim=1)[:, -ids_RT.shape[1] :] - 1
        # Padding is before 0; a finished row that runs along may leave a learned position table behind.
        positions = positions.clamp(min=0, max=self._context - 1)
        device = self._model.device
        return self._model(
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
            self.blocks[0].register_forward_pre_hook(keep_input, with_kwargs=True)
            if layer == 0
            else self.blocks[layer - 1].register_forward_hook(keep_output(layer))
            for layer in layers
        ]
        try:
            yield states
            states.extend(found[layer] for layer in layers)
        finally:
            for handle in handles:
                handle.remove()
