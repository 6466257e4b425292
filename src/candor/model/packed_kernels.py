"""Attention among short packed sequences on a CPU, forward and back, compiled by numba.

One sequence's scores of one head fit the inner caches, so nothing is gathered or kept: keys and values are
widened to float32 once for all heads that share them, a block of queries goes through products that stay in
registers (`model.tiles`), and attention weights are computed again on the way back. Conventions are those of
`model.kernels`.

Sequences lie one after the other in `rows`, [tokens · (heads + 2 groups) · size]: rotated queries, rotated
keys, values. Of their kinds, 1 sees the first `prefix` tokens before its own, 2 is that prefix, 0 is neither.
A sequence may continue another: it then sees `length_before` tokens from `before` on between prefix and own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, prange

from candor.model.kernels import exp, inner, kernel, load, store
from candor.model.tiles import add_product

# Queries that are worked on together: enough that a key read once serves many, few enough that little is
# computed behind the diagonal.
_BLOCK = 16

# Loops from 0 over slices, not from an offset: numba allows for negative indices where it can't exclude
# them, and such a loop does not become vector code. Nothing is assigned to slices: numba 0.68 lost such
# assignments behind a `continue` in a `prange`.


@inner
def _whole(count: int) -> int:
    """The next multiple of 16, which products work on."""
    return (count + 15) // 16 * 16


@inner
def _zero(lines: Any, count: int, width: int) -> None:
    """0 in the first `width` places of the first `count` lines."""
    for i in range(count):
        line = lines[i]
        for j in range(width):
            line[j] = np.float32(0.0)


@inner
def _widened(
    rows: Any, wide: int, offset: int, start: int, length: int, size: int, factor: float, out: Any, place: int
) -> None:
    """One head's part of some tokens as float32, times a factor, from out[place] on."""
    for j in range(length):
        at = (start + j) * wide + offset
        line, to = rows[at : at + size], out[place + j]
        for d in range(size):
            to[d] = load(line, d) * np.float32(factor)


@inner
def _transposed(lines: Any, count: int, size: int, out: Any) -> None:
    """out[:, j] = lines[j]; what is behind them stays finite, whatever it is."""
    for j in range(count):
        line = lines[j]
        for d in range(size):
            out[d, j] = line[d]


@inner
def _softmax(scores: Any) -> Any:
    """In place exp(scores - largest); returns their sum and the largest."""
    count = len(scores)
    a = b = c = e = scores[0]  # four at once: the compiler makes no vector code of a maximum
    for j in range(0, count - 3, 4):
        a, b = max(a, scores[j]), max(b, scores[j + 1])
        c, e = max(c, scores[j + 2]), max(e, scores[j + 3])
    for j in range(count // 4 * 4, count):
        a = max(a, scores[j])
    top = max(a, b, c, e)
    total = np.float32(0.0)
    for j in range(count):
        scores[j] = exp(scores[j] - top)
    for j in range(count):
        total += scores[j]
    return total, top


@inner
def _slopes(weights: Any, pulls: Any, spread: Any) -> None:
    """From scores and the gradient at the weights: weights, and the gradient at the scores, in place."""
    along = np.float32(0.0)
    for j in range(len(weights)):
        weights[j] = exp(min(weights[j] - spread, np.float32(0.0)))
    for j in range(len(weights)):
        along += weights[j] * pulls[j]
    for j in range(len(weights)):
        pulls[j] = weights[j] * (pulls[j] - along)


@inner
def _clear(line: Any, first: int, last: int) -> None:
    """0 but from `first` to `last`."""
    before, behind = line[:first], line[last:]
    for j in range(len(before)):
        before[j] = np.float32(0.0)
    for j in range(len(behind)):
        behind[j] = np.float32(0.0)


@kernel
def attend_packed(
    rows: Any,
    starts: Any,  # [sequences]
    lengths: Any,
    kinds: Any,
    before: Any,
    length_before: Any,
    prefix: int,
    heads: int,
    groups: int,
    size: int,
    scale: float,
    window: int,  # tokens that a token sees, itself included; 0 for all
    parts: int,  # that the work is cut into
    out: Any,  # [tokens · heads · size], written
    spread: Any,  # [tokens, heads] float32, written: log Σ exp of the scores
) -> None:
    """Mix values by softmax(scale · q kᵀ) within each sequence."""
    wide, share, padded = (heads + 2 * groups) * size, heads // groups, _whole(size)
    most = prefix + ((lengths + length_before).max() if len(lengths) else 0)
    for part in prange(parts):
        keys, values = np.zeros((most, padded), np.float32), np.zeros((most, padded), np.float32)
        turned, scores = np.zeros((size, most + 16), np.float32), np.zeros((_BLOCK, most + 16), np.float32)
        queries, mixed = np.zeros((_BLOCK, padded), np.float32), np.zeros((_BLOCK, padded), np.float32)
        totals = np.empty(_BLOCK, np.float32)
        for item in range(int64(part), len(starts) * groups, parts):
            number, group = item // groups, item % groups
            start, length = int64(starts[number]), int64(lengths[number])
            common = prefix if kinds[number] == 1 else 0
            earlier, many = int64(before[number]), int64(length_before[number])
            shared = common + many
            for side in range(2):
                out_of = keys if side == 0 else values
                offset = (heads + side * groups + group) * size
                _widened(rows, wide, offset, 0, common, size, 1.0, out_of, 0)
                _widened(rows, wide, offset, earlier, many, size, 1.0, out_of, common)
                _widened(rows, wide, offset, start, length, size, 1.0, out_of, shared)
            _transposed(keys, shared + length, size, turned)
            for head in range(group * share, (group + 1) * share):
                for block in range(0, length, _BLOCK):
                    count = min(_BLOCK, length - block)
                    end = shared + block + count
                    begin = max(0, shared + block + 1 - window) if window else 0
                    whole, lines = _whole(end - begin), (count + 3) // 4 * 4
                    _widened(rows, wide, head * size, start + block, count, size, scale, queries, 0)
                    _zero(scores, lines, whole)
                    add_product(queries, padded, 1, turned, begin, scores, lines, whole, size)
                    for i in range(count):
                        last = shared + block + i + 1 - begin
                        first = max(0, last - window) if window else 0
                        total, top = _softmax(scores[i, first:last])
                        _clear(scores[i, :whole], first, last)
                        spread[start + block + i, head] = top + np.log(total)
                        totals[i] = total
                    _zero(mixed, lines, padded)
                    add_product(scores, most + 16, 1, values[begin:end], 0, mixed, lines, padded, end - begin)
                    for i in range(count):
                        at = ((start + block + i) * heads + head) * size
                        to, line, inverse = out[at : at + size], mixed[i], np.float32(1.0) / totals[i]
                        for d in range(size):
                            store(to, d, line[d] * inverse)


@kernel
def attend_packed_back(
    rows: Any,
    starts: Any,
    lengths: Any,
    kinds: Any,
    before: Any,
    length_before: Any,
    families: Any,  # [families + 1]: the first of each: a sequence, and those that continue it behind it
    prefix: int,
    heads: int,
    groups: int,
    size: int,
    scale: float,
    window: int,
    spread: Any,  # [tokens, heads]
    above: Any,  # [tokens · heads · size], the gradient at the mixed values
    back: Any,  # like rows, written but for the prefix's keys and values
    common: Any,  # [parts, groups, 2, prefix, size] float32, 0 before: the gradient at those, in parts
) -> None:
    """The way back of `attend_packed`.

    A family is one part's work, and those that continue a sequence come before it: what they send back to its
    keys and values is added up by then.
    """
    wide, share, parts, padded = (heads + 2 * groups) * size, heads // groups, len(common), _whole(size)
    most = prefix + ((lengths + length_before).max() if len(lengths) else 0)
    longest = length_before.max() if len(lengths) else 0
    for part in prange(parts):
        keys, values = np.zeros((most, padded), np.float32), np.zeros((most, padded), np.float32)
        # Gradients are added four keys at a time, of which the last may be behind the end.
        to_keys, to_values = (
            np.empty((most + 3, padded), np.float32),
            np.empty((most + 3, padded), np.float32),
        )
        keys_turned, values_turned = (
            np.zeros((size, most + 16), np.float32),
            np.zeros((size, most + 16), np.float32),
        )
        weights, pulls = np.zeros((_BLOCK, most + 16), np.float32), np.zeros((_BLOCK, most + 16), np.float32)
        queries, coming = np.zeros((_BLOCK, padded), np.float32), np.zeros((_BLOCK, padded), np.float32)
        pulled = np.empty((_BLOCK, padded), np.float32)
        from_later = np.zeros((2, longest, padded), np.float32)
        for item in range(int64(part), (len(families) - 1) * groups, parts):
            family, group = item // groups, item % groups
            oldest, after = int64(families[family]), int64(families[family + 1])
            for turn in range(after - oldest):
                number = after - 1 - turn
                start, length = int64(starts[number]), int64(lengths[number])
                leading = prefix if kinds[number] == 1 else 0
                earlier, inherited = int64(before[number]), int64(length_before[number])
                shared = leading + inherited
                for side in range(2):
                    out_of = keys if side == 0 else values
                    offset = (heads + side * groups + group) * size
                    _widened(rows, wide, offset, 0, leading, size, 1.0, out_of, 0)
                    _widened(rows, wide, offset, earlier, inherited, size, 1.0, out_of, leading)
                    _widened(rows, wide, offset, start, length, size, 1.0, out_of, shared)
                _transposed(keys, shared + length, size, keys_turned)
                _transposed(values, shared + length, size, values_turned)
                _zero(to_keys, shared + length + 3, padded)
                _zero(to_values, shared + length + 3, padded)
                for head in range(group * share, (group + 1) * share):
                    for block in range(0, length, _BLOCK):
                        many = min(_BLOCK, length - block)
                        end = shared + block + many
                        begin = max(0, shared + block + 1 - window) if window else 0
                        seen = end - begin
                        whole, lines = _whole(seen), (many + 3) // 4 * 4
                        _widened(rows, wide, head * size, start + block, many, size, scale, queries, 0)
                        _widened(above, heads * size, head * size, start + block, many, size, 1.0, coming, 0)
                        _zero(weights, lines, whole)
                        _zero(pulls, lines, whole)
                        add_product(queries, padded, 1, keys_turned, begin, weights, lines, whole, size)
                        add_product(coming, padded, 1, values_turned, begin, pulls, lines, whole, size)
                        for i in range(many):
                            last = shared + block + i + 1 - begin
                            first = max(0, last - window) if window else 0
                            weight, pull = weights[i, :whole], pulls[i, :whole]
                            _slopes(weight[first:last], pull[first:last], spread[start + block + i, head])
                            _clear(weight, first, last)
                            _clear(pull, first, last)
                        _zero(pulled, lines, padded)
                        add_product(pulls, most + 16, 1, keys[begin:end], 0, pulled, lines, padded, seen)
                        for i in range(many):
                            at = (start + block + i) * wide + head * size
                            to, line = back[at : at + size], pulled[i]
                            for d in range(size):
                                store(to, d, line[d] * np.float32(scale))
                        lines = (seen + 3) // 4 * 4
                        add_product(pulls, 1, most + 16, queries, 0, to_keys[begin:], lines, padded, many)
                        add_product(weights, 1, most + 16, coming, 0, to_values[begin:], lines, padded, many)
                whole_prefix = kinds[number] == 2  # its own keys and values are common too
                for side in range(2):
                    found, held = (to_keys if side == 0 else to_values), from_later[side]
                    for j in range(shared + length if whole_prefix else leading):
                        line, kept = found[j], common[part, group, side, j]
                        for d in range(size):
                            kept[d] += line[d]
                    for j in range(inherited):
                        line, kept = found[leading + j], held[j]
                        for d in range(size):
                            kept[d] += line[d]
                    if number == oldest and after - oldest > 1:  # all that continue it have been here
                        for j in range(length):
                            line, kept = found[shared + j], held[j]
                            for d in range(size):
                                line[d] += kept[d]
                                kept[d] = np.float32(0.0)
                    for j in range(0 if whole_prefix else length):
                        at = (start + j) * wide + (heads + side * groups + group) * size
                        line, to = found[shared + j], back[at : at + size]
                        for d in range(size):
                            store(to, d, line[d])
