"""Attention among packed sequences: one row of tokens, of which each sequence sees only itself.

Linear layers don't care where a sequence ends, so a step runs fastest as one row [1, T] of all its tokens,
without padding, and what all sequences start with is in it once. Attention does care: a token attends to
the shared prefix and to its own sequence up to itself. Here the short sequences are gathered into small
padded groups for batched products and scattered back; long ones go to PyTorch's fused kernel, equal
lengths together. The result is that of each sequence by itself, up to the rounding of the arithmetic type.

PyTorch's fused kernel is made for long sequences: on a CPU its backward pass works through each head of each
row by itself (40 rows of 46 tokens, 9 heads, one Zen 5 core: 27 ms forward and backward; grouped: 9 ms).

This is for transformers' modules, of any architecture and on any device; `stack` has kernels of its own for
the Llama family on a CPU, and takes from here the layout and what becomes of long sequences.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

NAME = "candor_packed"

# Keys beyond which the fused kernel wins: the scores of one sequence's head no longer fit the inner caches.
LONGEST = 512
# What some architectures ask of their attention and this one can't do.
_UNKNOWN = ("softcap", "s_aux", "head_mask", "position_bias")
# Sequences of a padded group differ at most so much in length.
_SPREAD = 1.25


class UnsupportedAttentionError(Exception):
    """The model's attention does something that packed attention does not know."""


@dataclass(frozen=True)
class Group:
    """Sequences that attention works on together; `index` says where each one's tokens are packed."""

    index: torch.Tensor  # [sequences, longest]; padding repeats the last token
    lengths: tuple[int, ...]
    after_prefix: bool  # sees the shared prefix


@dataclass(frozen=True)
class Layout:
    """Where sequences are in a packed row: a prefix that many share first, then each one's own tokens."""

    prefix: int
    groups: tuple[Group, ...]
    short: tuple[np.ndarray, ...]  # starts, lengths and so on of the short sequences (see `packed_kernels`)
    slot: torch.Tensor  # [tokens]: each packed token's place among the groups' index tensors, laid end to end
    positions: torch.Tensor  # [1, tokens]: each packed token's position in its own sequence

    @classmethod
    def of(cls, lengths: Sequence[int], prefix: int = 0, after: Sequence[bool] | None = None) -> Layout:
        """The layout of sequences packed in this order.

        Args:
            lengths: tokens of each sequence, less the prefix where it starts with it; at least 1.
            prefix: tokens that sequences start with, packed once before them.
            after: which sequences start with it; None for all.
        """
        groups = [Group(torch.arange(prefix)[None], (prefix,), False)] if prefix else []
        starts = [prefix]
        for length in lengths:
            starts.append(starts[-1] + length)
        for member in (True, False):
            chosen = [i for i in range(len(lengths)) if (after[i] if after else True) == member]
            part: list[int] = []
            for number in sorted(chosen, key=lambda i: (lengths[i], i)):
                if part and not _together(lengths[part[0]], lengths[number], prefix * member):
                    groups.append(_group(part, starts, lengths, member and prefix > 0))
                    part = []
                part.append(number)
            if part:
                groups.append(_group(part, starts, lengths, member and prefix > 0))
        short: list[tuple[int, ...]] = []
        slot, positions = torch.empty(2, starts[-1], dtype=torch.long)
        offset = 0
        for group in groups:
            longest = group.index.shape[1]
            for row, length in enumerate(group.lengths):
                tokens, counted = group.index[row, :length], torch.arange(length)
                slot[tokens] = offset + row * longest + counted
                positions[tokens] = prefix * group.after_prefix + counted
                kind = 1 if group.after_prefix else 2 if prefix and not tokens[0] else 0
                if not _is_long(group, prefix):
                    short.append((int(tokens[0]), length, kind, 0, 0))
            offset += group.index.numel()
        return cls(prefix, tuple(groups), _columns(short), slot, positions[None])

    @classmethod
    def of_branches(cls, prefix: int, branches: Sequence[tuple[int, Sequence[int]]]) -> Layout:
        """The layout of sequences each followed by several continuations of it, for `stack` alone.

        They are packed in this order: a sequence, its continuations, the next sequence. All start with the
        prefix; all have to be short.

        Args:
            prefix: tokens that all sequences start with, packed once before them.
            branches: tokens of a sequence less the prefix, and of each of its continuations; may be 0.
        """
        short: list[tuple[int, ...]] = [(0, prefix, 2, 0, 0)]
        positions = [torch.arange(prefix)]
        end = prefix
        for length, tails in branches:
            stem = end
            short.append((stem, length, 1, 0, 0))
            positions.append(torch.arange(prefix, prefix + length))
            end += length
            for tail in tails:
                short.append((end, tail, 1, stem, length))
                positions.append(torch.arange(prefix + length, prefix + length + tail))
                end += tail
        short = [one for one in short if one[1]]
        return cls(prefix, (), _columns(short), torch.empty(0, dtype=torch.long), torch.cat(positions)[None])

    def to(self, device: torch.device) -> Layout:
        """The same layout on a device."""
        groups = tuple(Group(g.index.to(device), g.lengths, g.after_prefix) for g in self.groups)
        return Layout(self.prefix, groups, self.short, self.slot.to(device), self.positions.to(device))


def _columns(short: list[tuple[int, ...]]) -> tuple[np.ndarray, ...]:
    return tuple(np.array(short, np.int64).reshape(-1, 5).T.copy())


def _together(shortest: int, length: int, prefix: int) -> bool:
    if prefix + length > LONGEST:
        return length == shortest
    return length <= max(_SPREAD * shortest, shortest + 4)


def _group(part: list[int], starts: list[int], lengths: Sequence[int], after_prefix: bool) -> Group:
    longest = max(lengths[i] for i in part)
    index = torch.stack(
        [(starts[i] + torch.arange(longest)).clamp(max=starts[i] + lengths[i] - 1) for i in part]
    )
    return Group(index, tuple(lengths[i] for i in part), after_prefix)


class _Pass:
    """The layout that the pass now running works on.

    Models hand unknown arguments down to their attention in different ways or not at all, hence a variable
    of the module. Training is one pass at a time.
    """

    layout: Layout | None = None


def packed_attention(
    module: nn.Module,
    query: torch.Tensor,  # [1, heads, tokens, width]
    key: torch.Tensor,  # [1, key heads, tokens, width]
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention with the signature that transformers asks for, among the sequences of the layout in force.

    Raises:
        UnsupportedAttentionError: dropout, soft caps, sinks or an explicit mask are asked for.
    """
    layout = _Pass.layout
    extra = [name for name in _UNKNOWN if kwargs.get(name) is not None]
    if layout is None or attention_mask is not None or dropout or extra:
        raise UnsupportedAttentionError(f"packed attention does not know {extra or 'this mask or dropout'}")
    if getattr(module, "is_causal", True) is False or kwargs.get("is_causal") is False:
        raise UnsupportedAttentionError("packed attention is causal")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    mixed = _Packed.apply(query[0], key[0], value[0], layout, scale, sliding_window)
    return mixed.transpose(0, 1)[None], None


def _no_mask(*_: Any, **__: Any) -> None:
    """The layout says who sees whom."""


AttentionInterface.register(NAME, packed_attention)
AttentionMaskInterface.register(NAME, _no_mask)


@contextmanager
def packing(model: PreTrainedModel, layout: Layout) -> Iterator[None]:
    """Within the block, the model's forward and backward passes are on one row packed like this."""
    before = _Pass.layout
    with packed_model(model):
        _Pass.layout = layout
        try:
            yield
        finally:
            _Pass.layout = before


@contextmanager
def packed_model(model: PreTrainedModel) -> Iterator[None]:
    """Keep the packed attention switched on for a while: switching walks through all modules."""
    before = str(model.config._attn_implementation)
    if before != NAME:
        model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        if before != NAME:
            model.set_attn_implementation(before)


class _Packed(torch.autograd.Function):
    """softmax(scale · q kᵀ) v within each sequence; q [heads, tokens, width], k and v [key heads, …].

    Attention weights are computed again on the way back: kept, they would be most of a step's memory.
    """

    @staticmethod
    def forward(ctx, q, k, v, layout: Layout, scale: float, window: int | None):  # type: ignore[override]
        parts, kept = [], []
        learns = any(ctx.needs_input_grad[:3])
        for group in layout.groups:
            if _is_long(group, layout.prefix):
                with torch.set_grad_enabled(learns):
                    leaves = [x.detach().requires_grad_(learns) for x in (q, k, v)]
                    part = _fused(leaves[0], leaves[1], leaves[2], group, layout, scale, window)
                kept.append((leaves, part))
                parts.append(part.detach().flatten(1, 2))
            else:
                weights = _weights(q, k, group, layout, scale, window)
                mixed = weights @ _gathered(v, group, layout)
                kept.append(None)
                parts.append(_ungrouped(mixed, group, k.shape[0]).to(q.dtype))
        ctx.save_for_backward(q, k, v)
        ctx.extra = (layout, scale, window, kept if learns else None)
        return torch.cat(parts, dim=1).index_select(1, layout.slot)

    @staticmethod
    def backward(ctx, *outputs: torch.Tensor):  # type: ignore[override]
        q, k, v = ctx.saved_tensors
        layout, scale, window, kept = ctx.extra
        G, P = k.shape[0], layout.prefix
        slots = sum(group.index.numel() for group in layout.groups)
        dq, dk, dv = (x.new_empty(x.shape[0], slots, x.shape[2]) for x in (q, k, v))
        prefix_k, prefix_v = (torch.zeros_like(x[:, :P], dtype=torch.float32) for x in (k, v))
        whole: list[tuple[torch.Tensor, ...]] = []
        offset = 0
        for group, fused in zip(layout.groups, kept, strict=True):
            B, L = group.index.shape
            place = slice(offset, offset + B * L)
            offset += B * L
            above = outputs[0].index_select(1, group.index.flatten())  # [heads, B L, width]
            if fused is not None:
                leaves, part = fused
                whole.append(torch.autograd.grad(part, leaves, above.unflatten(1, (B, L))))
                for rows in (dq, dk, dv):
                    rows[:, place] = 0
                continue
            # A padded place repeats a token that has a place of its own: nothing may flow back through it.
            for row, length in enumerate(group.lengths):
                above[:, row * L + length : (row + 1) * L] = 0
            weights = _weights(q, k, group, layout, scale, window)  # [B G, R L, keys]
            above = _grouped(above, group, G)
            back = above @ _gathered(v, group, layout).transpose(1, 2)
            back = weights * (back - (back * weights).sum(-1, keepdim=True)) * scale  # at q kᵀ
            dq[:, place] = _ungrouped(back @ _gathered(k, group, layout), group, G).to(q.dtype)
            for rows, shared, products in (
                (dk, prefix_k, back.transpose(1, 2) @ _queries(q, group, G)),
                (dv, prefix_v, weights.transpose(1, 2) @ above),
            ):
                found = products.unflatten(0, (B, G))  # [B, G, keys, width]
                rows[:, place] = found[:, :, -L:].transpose(0, 1).flatten(1, 2).to(rows.dtype)
                if group.after_prefix:
                    shared.add_(found[:, :, :P].sum(0))
        results = [rows.index_select(1, layout.slot) for rows in (dq, dk, dv)]
        for parts in whole:
            for result, part in zip(results, parts, strict=True):
                result.add_(part)
        if P:
            results[1][:, :P] += prefix_k.to(k.dtype)
            results[2][:, :P] += prefix_v.to(v.dtype)
        return (*results, None, None, None)


def _is_long(group: Group, prefix: int) -> bool:
    return group.index.shape[1] + (prefix if group.after_prefix else 0) > LONGEST


def _grouped(x: torch.Tensor, group: Group, shared: int) -> torch.Tensor:
    """[heads, B L, width] to float32 [B G, R L, width]: heads that read the same keys in one product."""
    B, L = group.index.shape
    heads, _, D = x.shape
    return x.view(shared, heads // shared, B, L, D).permute(2, 0, 1, 3, 4).reshape(B * shared, -1, D).float()


def _ungrouped(x: torch.Tensor, group: Group, shared: int) -> torch.Tensor:
    """The way back from `_grouped`."""
    B, L = group.index.shape
    D = x.shape[-1]
    return x.view(B, shared, -1, L, D).permute(1, 2, 0, 3, 4).reshape(-1, B * L, D)


def _queries(q: torch.Tensor, group: Group, shared: int) -> torch.Tensor:
    return _grouped(q.index_select(1, group.index.flatten()), group, shared)


def _gathered(x: torch.Tensor, group: Group, layout: Layout) -> torch.Tensor:
    """float32 keys or values of a group, the prefix's before each sequence's own: [B G, keys, width]."""
    B, L = group.index.shape
    own = x.index_select(1, group.index.flatten()).unflatten(1, (B, L)).transpose(0, 1)
    if group.after_prefix:
        own = torch.cat([x[None, :, : layout.prefix].expand(B, -1, -1, -1), own], dim=2)
    return own.flatten(0, 1).float()


def _weights(
    q: torch.Tensor, k: torch.Tensor, group: Group, layout: Layout, scale: float, window: int | None
) -> torch.Tensor:
    """Attention weights, float32 [B G, R L, keys]. In bfloat16 scores would move them by several per cent."""
    scores = _queries(q, group, k.shape[0]) * scale @ _gathered(k, group, layout).transpose(1, 2)
    L, S = group.index.shape[1], scores.shape[2]
    seen = _seen(L, S, window, scores.device)
    bias = torch.zeros(L, S, device=scores.device).masked_fill_(~seen, float("-inf"))
    scores.unflatten(1, (-1, L)).add_(bias)
    return scores.softmax(-1)


def _seen(queries: int, keys: int, window: int | None, device: torch.device) -> torch.Tensor:
    """Whether the i-th of the last `queries` tokens sees the j-th of `keys`: causal, within the window."""
    distance = torch.arange(keys - queries, keys, device=device)[:, None] - torch.arange(keys, device=device)
    return (distance >= 0) if window is None else (distance >= 0) & (distance < window)


def _fused(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    group: Group,
    layout: Layout,
    scale: float,
    window: int | None,
) -> torch.Tensor:
    """PyTorch's kernel on sequences of equal length, [heads, B, L, width]."""
    B, L = group.index.shape
    flat = group.index.flatten()
    query = q.index_select(1, flat).unflatten(1, (B, L)).transpose(0, 1)  # [B, heads, L, width]
    pairs = []
    for x in (k, v):
        own = x.index_select(1, flat).unflatten(1, (B, L)).transpose(0, 1)
        if group.after_prefix:
            own = torch.cat([x[None, :, : layout.prefix].expand(B, -1, -1, -1), own], dim=2)
        pairs.append(own)
    S = pairs[0].shape[2]
    plain = S == L and (window is None or window >= S)
    mask = None if plain else _seen(L, S, window, q.device)
    mixed = torch.nn.functional.scaled_dot_product_attention(
        query, *pairs, attn_mask=mask, is_causal=plain, scale=scale, enable_gqa=k.shape[0] != q.shape[0]
    )
    return mixed.transpose(0, 1)


@dataclass
class Fused:
    """Long sequences of a packed row that went through PyTorch's kernel, and how gradients go back there."""

    group: Group
    leaves: list[torch.Tensor]  # queries, keys, values [heads, tokens, size]
    mixed: torch.Tensor  # [heads, B, L, size]

    def send_back(self, above: torch.Tensor, back: torch.Tensor) -> None:
        """Add the gradients at queries, keys and values to `back` [tokens, all heads, size]."""
        coming = above[self.group.index.flatten()].unflatten(0, self.group.index.shape).permute(2, 0, 1, 3)
        found = torch.autograd.grad(self.mixed, self.leaves, coming)
        back += torch.cat(found).transpose(0, 1)


def attend_long(
    turned: torch.Tensor,
    out: torch.Tensor,
    layout: Layout,
    groups: int,
    scale: float,
    window: int | None,
    *,
    learns: bool,
) -> list[Fused]:
    """The long sequences' part of packed attention.

    Args:
        turned: [tokens, heads + 2 groups, size].
        out: [tokens, heads, size], written where long sequences are.
        layout: of the row.
        groups: heads of keys, and of values.
        scale: of the scores.
        window: tokens that a token sees, itself included; None for all.
        learns: whether gradients are to go back.
    """
    found: list[Fused] = []
    parts = [out.shape[1], groups, groups]
    for group in layout.groups:
        if _is_long(group, layout.prefix):
            with torch.set_grad_enabled(learns):
                leaves = [
                    part.detach().requires_grad_(learns) for part in turned.transpose(0, 1).split(parts)
                ]
                mixed = _fused(leaves[0], leaves[1], leaves[2], group, layout, scale, window)
            out[group.index.flatten()] = mixed.detach().permute(1, 2, 0, 3).flatten(0, 1)
            if learns:
                found.append(Fused(group, leaves, mixed))
    return found
