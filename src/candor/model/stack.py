"""The decoder of a Llama-family model over a packed row, on a CPU: products by torch, the rest in kernels.

The same arithmetic as transformers' modules, with its way back written out: what stands between two products
is one pass over memory, queries, keys and values are one product, and attention weights are never kept. For
any other model, device or type `packing` has transformers' own modules run on the packed row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from candor.model.family import Block, Family, beside, family_of
from candor.model.kernels import (
    add_norm,
    flat,
    gated,
    gated_back,
    norm_back,
    turn_back,
    turn_rows,
)
from candor.model.packed_kernels import attend_packed, attend_packed_back
from candor.model.packing import Layout, attend_long


class Stack:
    """Embedding, blocks and last norm of one model; make it with `stack_of`."""

    def __init__(self, family: Family) -> None:
        self._family = family

    def __call__(self, ids: torch.Tensor, layout: Layout, *, recompute: bool = False) -> torch.Tensor:
        """Hidden states [tokens, width] that the head reads.

        Args:
            ids: [tokens], a packed row.
            layout: of the row.
            recompute: keep only what enters each block, and compute the rest again on the way back
                (gradient checkpointing, Chen et al. 2016).
        """
        family = self._family
        stream: torch.Tensor = family.embed(ids)
        turns = {kind: family.turns(stream, layout.positions[0], kind) for kind in family.kinds}
        update: torch.Tensor | None = None
        for block in family.blocks:
            arguments = (block, stream, update, turns[block.kind], layout)
            if recompute and torch.is_grad_enabled():
                stream, update = checkpoint(self._block, *arguments, use_reentrant=False)  # type: ignore[misc]
            else:
                stream, update = self._block(*arguments)
        return self._add_norm(stream, update, family.norm)[1]

    def _block(
        self,
        block: Block,
        stream: torch.Tensor,
        update: torch.Tensor | None,
        turns: tuple[torch.Tensor, torch.Tensor],
        layout: Layout,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The stream before the block's last update, and that update: the next norm adds it on its way."""
        family = self._family
        stream, normed = self._add_norm(stream, update, block.attention_norm)
        mixed = _product(normed, block.mixed, block.mixed_bias)
        norms = (block.query_norm, block.key_norm)
        learns = torch.is_grad_enabled()
        mixed = _Attention.apply(mixed, *norms, turns, family, block.window, layout, learns)
        update = self._after(F.linear(mixed, block.output, block.output_bias), block.after_attention)
        stream, normed = self._add_norm(stream, update, block.mlp_norm)
        activated = _Gated.apply(_product(normed, block.both, ()), family.gelu)
        return stream, self._after(F.linear(activated, block.down), block.after_mlp)

    def _add_norm(
        self, stream: torch.Tensor, update: torch.Tensor | None, weight: nn.Parameter
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The stream with the update, and that normed."""
        found = _AddNorm.apply(stream, update, weight, self._family.unit, self._family.epsilon)
        return (stream, found) if update is None else found

    def _after(self, update: torch.Tensor, weight: nn.Parameter | None) -> torch.Tensor:
        return update if weight is None else self._add_norm(update, None, weight)[1]


def stack_of(model: PreTrainedModel) -> Stack | None:
    """A stack for the model, or None where it has to be computed by transformers."""
    family = family_of(model)
    if family is None or family.size % 4 or getattr(model.config.get_text_config(), "attention_dropout", 0):
        return None
    return Stack(family)


def _parts() -> int:
    """Into how many parts the rows are cut where a sum over them is needed."""
    return torch.get_num_threads()


class _AddNorm(torch.autograd.Function):
    """stream + update, and its RMS norm; without an update the norm alone."""

    @staticmethod
    def forward(ctx, stream, update, weight, unit: float, epsilon: float):  # type: ignore[override]
        stream = stream.contiguous()
        width = stream.shape[-1]
        total = stream if update is None else torch.empty_like(stream)
        out = torch.empty_like(stream)
        inverse = np.empty(stream.numel() // width, np.float32)
        line = flat(stream)
        added = line[:0] if update is None else flat(update)
        add_norm(line, added, flat(weight), unit, epsilon, width, flat(total), inverse, flat(out))
        ctx.save_for_backward(total, weight)
        ctx.extra = (inverse, unit, update is not None)
        ctx.set_materialize_grads(False)
        return out if update is None else (total, out)

    @staticmethod
    def backward(ctx, *above: torch.Tensor | None):  # type: ignore[override]
        total, weight = ctx.saved_tensors
        inverse, unit, has_update = ctx.extra
        along, coming = above if has_update else (None, above[0])
        if coming is None:
            return along, along if has_update else None, None, None, None
        width = total.shape[-1]
        back = torch.empty_like(total)
        learned = np.zeros((_parts(), width), np.float32)
        line = flat(coming)
        more = line[:0] if along is None else flat(along)
        norm_back(flat(total), inverse, flat(weight), unit, width, line, more, flat(back), learned)
        to_weight = _summed(learned, weight) if ctx.needs_input_grad[2] else None
        return back, back if has_update else None, to_weight, None, None


class _Gated(torch.autograd.Function):
    """act(gate) · up of [tokens, gate and up]."""

    @staticmethod
    def forward(ctx, both, gelu: bool):  # type: ignore[override]
        tokens, wide = both.shape
        out = both.new_empty(tokens, wide // 2)
        gated(flat(both), wide // 2, gelu, flat(out))
        ctx.save_for_backward(both)
        ctx.gelu = gelu
        return out

    @staticmethod
    def backward(ctx, *above: torch.Tensor):  # type: ignore[override]
        (both,) = ctx.saved_tensors
        back = torch.empty_like(both)
        gated_back(flat(both), both.shape[1] // 2, ctx.gelu, flat(above[0]), flat(back))
        return back, None


class _Product(torch.autograd.Function):
    """x times several weights at once, which lie beside each other in memory: [tokens, all of their rows]."""

    @staticmethod
    def forward(ctx, x, count: int, *parameters):  # type: ignore[override]
        weight, bias = beside(parameters[:count]), beside(parameters[count:])
        assert weight is not None
        ctx.save_for_backward(x, weight)
        ctx.count = count
        ctx.sizes = [len(parameter) for parameter in parameters]
        return F.linear(x, weight, bias)

    @staticmethod
    def backward(ctx, *above: torch.Tensor):  # type: ignore[override]
        x, weight = ctx.saved_tensors
        count, sizes = ctx.count, ctx.sizes
        to_x = above[0] @ weight if ctx.needs_input_grad[0] else None
        to_parameters: list[torch.Tensor | None] = [None] * len(sizes)
        if any(ctx.needs_input_grad[2:]):
            to_parameters[:count] = (above[0].t() @ x).split(sizes[:count])
            if len(sizes) > count:
                to_parameters[count:] = above[0].sum(0).split(sizes[count:])
        return to_x, None, *to_parameters


def _product(
    x: torch.Tensor, weights: tuple[nn.Parameter, ...], biases: tuple[nn.Parameter, ...]
) -> torch.Tensor:
    return _Product.apply(x, len(weights), *weights, *biases)


class _Attention(torch.autograd.Function):
    """Rotated and mixed: [tokens, (heads + 2 groups) · size] to [tokens, heads · size].

    The memory of what comes in is used for the rotated: nothing else may need it.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx, mixed, query_norm, key_norm, turns, family: Family, window: int, layout: Layout, learns: bool
    ):
        heads, groups, size = family.heads, family.groups, family.size
        nothing = flat(mixed)[:0]
        norms = [nothing if norm is None else flat(norm) for norm in (query_norm, key_norm)]
        # What both kernels and both of their ways back get.
        turning: list[Any] = [*norms, family.unit, family.epsilon, *(part.numpy() for part in turns)]
        turning += [heads, groups]
        mixing: list[Any] = [layout.prefix, heads, groups, size, family.scale, window]
        # In place where the way back does not ask for what was there before.
        plain = query_norm is None and key_norm is None
        turned = mixed if plain else mixed.clone()
        turn_rows(flat(turned), *turning)
        out = mixed.new_empty(len(mixed), heads * size)
        spread = np.empty((len(mixed), heads), np.float32)
        attend_packed(flat(turned), *layout.short, *mixing, _parts(), flat(out), spread)
        fused = attend_long(
            turned.view(len(mixed), -1, size),
            out.view(len(mixed), -1, size),
            layout,
            *(groups, family.scale, window or None),
            learns=learns,
        )
        ctx.save_for_backward(None if plain else mixed, turned, query_norm, key_norm)
        ctx.extra = (turning, mixing, layout.short, spread, fused)
        return out

    @staticmethod
    def backward(ctx, *above: torch.Tensor):  # type: ignore[override]
        mixed, turned, query_norm, key_norm = ctx.saved_tensors
        turning, mixing, sequences, spread, fused = ctx.extra
        prefix, heads, groups, size = mixing[:4]
        coming = above[0].contiguous()
        back = torch.zeros_like(turned) if fused else torch.empty_like(turned)
        common = np.zeros((_parts(), groups, 2, prefix, size), np.float32)
        # A sequence that continues no other begins a family of those that continue it.
        families = np.append(np.flatnonzero(sequences[4] == 0), len(sequences[4]))
        gradients = (spread, flat(coming), flat(back), common)
        attend_packed_back(flat(turned), *sequences, families, *mixing, *gradients)
        lines = back.view(len(back), -1, size)
        shared = torch.from_numpy(common.sum(0)).permute(2, 1, 0, 3)  # [prefix, side, group, size]
        lines[:prefix, heads:] = shared.reshape(prefix, 2 * groups, size).to(back.dtype)
        for part in fused:
            part.send_back(coming.view(len(back), -1, size), lines)
        learned = np.zeros((_parts(), 2, size), np.float32)
        turn_back(flat(turned if mixed is None else mixed), *turning, flat(back), learned)
        to_norms = [
            _summed(learned[:, side], norm) if norm is not None else None
            for side, norm in enumerate((query_norm, key_norm))
        ]
        return (back, *to_norms, *[None] * 5)


def _summed(parts: Any, like: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(parts.sum(0)).to(like.dtype)
