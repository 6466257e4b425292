"""One decode step of the Llama family on a CPU: fused projections, everything else in kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from candor.engine.kernels import attend
from candor.model.family import Block, Family, beside, family_of
from candor.model.kernels import add_norm, flat, gated

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from candor.engine.slots import Slots


@dataclass(frozen=True)
class _Layer:
    """One block's weights; norms as flat arrays over the model's own memory, empty where there are none."""

    attention_norm: np.ndarray
    mixed: torch.Tensor  # [(heads + 2 groups) · size, width]
    mixed_bias: torch.Tensor | None
    query_norm: np.ndarray
    key_norm: np.ndarray
    output: torch.Tensor
    output_bias: torch.Tensor | None
    after_attention: np.ndarray
    mlp_norm: np.ndarray
    both: torch.Tensor  # gate, then up
    down: torch.Tensor
    after_mlp: np.ndarray
    window: int
    kind: str

    @classmethod
    def of(cls, block: Block) -> _Layer:
        nothing = flat(block.down)[:0]

        def norm(weight: nn.Parameter | None) -> np.ndarray:
            return nothing if weight is None else flat(weight)

        mixed, both = beside(block.mixed), beside(block.both)
        assert mixed is not None
        assert both is not None
        return cls(
            attention_norm=norm(block.attention_norm),
            mixed=mixed,
            mixed_bias=beside(block.mixed_bias),
            query_norm=norm(block.query_norm),
            key_norm=norm(block.key_norm),
            output=block.output,
            output_bias=block.output_bias,
            after_attention=norm(block.after_attention),
            mlp_norm=norm(block.mlp_norm),
            both=both,
            down=block.down,
            after_mlp=norm(block.after_mlp),
            window=block.window,
            kind=block.kind,
        )


class Decoder:
    """The decode step of one model; make it with `decoder_for`."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._norm = flat(family.norm)
        self._layers = [_Layer.of(block) for block in family.blocks]

    @property
    def current(self) -> bool:
        """Whether the model still uses the weights that were laid out (`model.to` replaces them)."""
        return self._family.blocks[0].mixed[0].data_ptr() == self._layers[0].mixed.data_ptr()

    def step(self, tokens: torch.Tensor, slots: Slots) -> torch.Tensor:
        """Logits after one more token for each row.

        Args:
            tokens: [rows] ids.
            slots: the rows; their lengths are one more afterwards.

        Returns:
            [rows, vocabulary], in the model's type.
        """
        slots.extend()
        family = self._family
        stream = family.embed(tokens)
        rows, width = stream.shape
        positions = torch.from_numpy(slots.positions)
        turns = {
            kind: tuple(part.numpy() for part in family.turns(stream, positions, kind))
            for kind in family.kinds
        }
        x, normed = flat(stream), torch.empty_like(stream)
        mixed_out = stream.new_empty(rows, family.heads * family.size)
        activated = stream.new_empty(rows, self._layers[0].down.shape[1])
        norm = (family.unit, family.epsilon)
        update = x[:0]
        for number, layer in enumerate(self._layers):
            add_norm(x, update, layer.attention_norm, *norm, width, flat(normed))
            mixed = F.linear(normed, layer.mixed, layer.mixed_bias)
            prefix, prompts, own = (flat(part).reshape(2, -1) for part in slots.layer(number))
            prompt_capacity, own_capacity = slots.capacities
            attend(
                flat(mixed),
                layer.query_norm,
                layer.key_norm,
                *norm,
                *turns[layer.kind],
                prefix,
                prompts,
                slots.prompt_place,
                slots.prompt_length,
                prompt_capacity,
                own,
                slots.place,
                slots.length,
                own_capacity,
                family.groups,
                family.size,
                family.scale,
                layer.window,
                flat(mixed_out),
            )
            added = self._normed(F.linear(mixed_out, layer.output, layer.output_bias), layer.after_attention)
            add_norm(x, flat(added), layer.mlp_norm, *norm, width, flat(normed))
            both = F.linear(normed, layer.both)
            gated(flat(both), activated.shape[1], family.gelu, flat(activated))
            added = self._normed(F.linear(activated, layer.down), layer.after_mlp)
            update = flat(added)
        add_norm(x, update, self._norm, *norm, width, flat(normed))
        slots.length += 1
        logits = family.head(normed)
        return logits if family.softcap is None else family.softcap * torch.tanh(logits / family.softcap)

    def _normed(self, values: torch.Tensor, weight: np.ndarray) -> torch.Tensor:
        if not len(weight):
            return values
        out, line = torch.empty_like(values), flat(values)
        family = self._family
        add_norm(line, line[:0], weight, family.unit, family.epsilon, values.shape[-1], flat(out))
        return out


def decoder_for(model: PreTrainedModel) -> Decoder | None:
    """A decoder for the model, or None where it has to decode through transformers."""
    family = family_of(model)
    return None if family is None else Decoder(family)
