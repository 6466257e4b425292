"""One decode step of the Llama family on a CPU: fused projections, everything else in kernels."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
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


class _Product:
    """x times a weight; laid out for the processor's matrix units where that is worth its memory."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        self.weight, self.bias = weight, bias
        self._packed: torch.Tensor | None = None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if self._packed is None:
            return F.linear(x, self.weight, self.bias)
        return torch.ops.mkldnn._linear_pointwise(x, self._packed, self.bias, "none", [], "")

    def pack(self, rows: int) -> None:
        self._packed = torch.ops.mkldnn._reorder_linear_weight(self.weight.detach(), rows)

    def unpack(self) -> None:
        self._packed = None


@dataclass(frozen=True)
class _Layer:
    """One block's weights; norms as flat arrays over the model's own memory, empty where there are none."""

    attention_norm: np.ndarray
    mixed: _Product  # [(heads + 2 groups) · size, width]
    query_norm: np.ndarray
    key_norm: np.ndarray
    output: _Product
    after_attention: np.ndarray
    mlp_norm: np.ndarray
    both: _Product  # gate, then up
    down: _Product
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
            mixed=_Product(mixed, beside(block.mixed_bias)),
            query_norm=norm(block.query_norm),
            key_norm=norm(block.key_norm),
            output=_Product(block.output, block.output_bias),
            after_attention=norm(block.after_attention),
            mlp_norm=norm(block.mlp_norm),
            both=_Product(both),
            down=_Product(block.down),
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
        self._head = _Product(family.head.weight, family.head.bias)

    @property
    def current(self) -> bool:
        """Whether the model still uses the weights that were laid out (`model.to` replaces them)."""
        return self._family.blocks[0].mixed[0].data_ptr() == self._layers[0].mixed.weight.data_ptr()

    @contextlib.contextmanager
    def prepared(self, rows: int) -> Iterator[None]:
        """Within the block, products of about so many rows run on weights laid out for them, if it helps.

        The copy takes as much memory as the weights and a fraction of a second. It lives for the block only,
        so that weights which are updated in place are never seen in an older state.
        """
        products = [self._head]
        products += [
            part for layer in self._layers for part in (layer.mixed, layer.output, layer.both, layer.down)
        ]
        packs = self._head.weight.dtype == torch.bfloat16 and hasattr(
            torch.ops.mkldnn, "_reorder_linear_weight"
        )
        try:
            for product in products if packs else ():
                product.pack(rows)
            yield
        finally:
            for product in products:
                product.unpack()

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
        rows = len(stream)
        positions = torch.from_numpy(slots.positions)
        turns = {
            kind: tuple(part.numpy() for part in family.turns(stream, positions, kind))
            for kind in family.kinds
        }
        normed = torch.empty_like(stream)
        mixed_out = stream.new_empty(rows, family.heads * family.size)
        activated = stream.new_empty(rows, self._layers[0].down.weight.shape[1])
        update: torch.Tensor | None = None
        for number, layer in enumerate(self._layers):
            self._add_norm(stream, update, layer.attention_norm, normed)
            mixed = layer.mixed(normed)
            prefix, prompts, own = (flat(part).reshape(2, -1) for part in slots.layer(number))
            attend(
                flat(mixed),
                layer.query_norm,
                layer.key_norm,
                family.unit,
                family.epsilon,
                *turns[layer.kind],
                prefix,
                prompts,
                slots.prompt_start,
                slots.prompt_length,
                own,
                slots.start,
                slots.length,
                slots.capacity,
                family.groups,
                family.size,
                family.scale,
                layer.window,
                flat(mixed_out),
            )
            update = self._after(layer.output(mixed_out), layer.after_attention)
            self._add_norm(stream, update, layer.mlp_norm, normed)
            both = layer.both(normed)
            gated(flat(both), activated.shape[1], family.gelu, flat(activated))
            update = self._after(layer.down(activated), layer.after_mlp)
        self._add_norm(stream, update, self._norm, normed)
        slots.length += 1
        logits = self._head(normed)
        return logits if family.softcap is None else family.softcap * torch.tanh(logits / family.softcap)

    def _add_norm(
        self, stream: torch.Tensor, update: torch.Tensor | None, weight: np.ndarray, out: torch.Tensor
    ) -> None:
        """stream += update, and that normed."""
        rows, width = stream.shape
        line, inverse = flat(stream), np.empty(rows, np.float32)
        added = line[:0] if update is None else flat(update)
        add_norm(
            line, added, weight, self._family.unit, self._family.epsilon, width, line, inverse, flat(out)
        )

    def _after(self, update: torch.Tensor, weight: np.ndarray) -> torch.Tensor:
        if not len(weight):
            return update
        out = torch.empty_like(update)
        self._add_norm(update, None, weight, out)
        return out


def decoder_for(model: PreTrainedModel) -> Decoder | None:
    """A decoder for the model, or None where it has to decode through transformers."""
    family = family_of(model)
    return None if family is None else Decoder(family)
