"""Attention among short packed sequences on a CPU, forward and back, compiled by numba.

One sequence's scores of one head fit the inner caches, so nothing is gathered, padded or kept: keys and
values are widened to float32 once for all heads that share them, and attention weights are computed again on
the way back. Conventions are those of `model.kernels`.

Sequences lie one after the other in `rows`, [tokens · (heads + 2 groups) · size]: rotated queries, rotated
keys, values. Of their kinds, 1 sees the first `prefix` tokens before its own, 2 is that prefix, 0 is neither.
A sequence may continue another: it then sees `length_before` tokens from `before` on between prefix and own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, prange

from candor.model.kernels import exp, inner, kernel, load, store

# Loops from 0 over slices, not from an offset: numba allows for negative indices where it can't exclude
# them, and such a loop does not become vector code. Nothing is assigned to slices: numba 0.68 lost such
# assignments behind a `continue` in a `prange`.


@inner
def _dots(lines: Any, others: Any, first: int, size: int, count: int, out: Any) -> None:
    """out[i, j] = lines[i, :size] · others[j, first:first+size] for four i and `count` j, 4 × 2 at once."""
    l0, l1, l2, l3 = lines[0, :size], lines[1, :size], lines[2, :size], lines[3, :size]
    for j in range(0, count - 1, 2):
        x, y = others[j, first : first + size], others[j + 1, first : first + size]
        s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = np.float32(0.0)
        for d in range(size):
            v, w, a, b, c, e = x[d], y[d], l0[d], l1[d], l2[d], l3[d]
            s0 += a * v
            s1 += b * v
            s2 += c * v
            s3 += e * v
            t0 += a * w
            t1 += b * w
            t2 += c * w
            t3 += e * w
        out[0, j], out[1, j], out[2, j], out[3, j] = s0, s1, s2, s3
        out[0, j + 1], out[1, j + 1], out[2, j + 1], out[3, j + 1] = t0, t1, t2, t3
    if count % 2:
        x = others[count - 1, first : first + size]
        s0 = s1 = s2 = s3 = np.float32(0.0)
        for d in range(size):
            v = x[d]
            s0 += l0[d] * v
            s1 += l1[d] * v
            s2 += l2[d] * v
            s3 += l3[d] * v
        out[0, count - 1], out[1, count - 1], out[2, count - 1], out[3, count - 1] = s0, s1, s2, s3


@inner
def _spread(weights: Any, lines: Any, count: int, into: Any) -> None:
    """into[j] += Σ weights[i, j] · lines[i] over four i, for the first `count` j."""
    l0, l1, l2, l3 = lines[0], lines[1], lines[2], lines[3]
    for j in range(count):
        a, b, c, e = weights[0, j], weights[1, j], weights[2, j], weights[3, j]
        to = into[j]
        for d in range(len(to)):
            to[d] += a * l0[d] + b * l1[d] + c * l2[d] + e * l3[d]


@inner
def _widened(rows: Any, wide: int, offset: int, start: int, length: int, out: Any, place: int) -> None:
    """Keys or values of some tokens as float32, from out[place] on."""
    size = out.shape[1]
    for j in range(length):
        at = (start + j) * wide + offset
        line, to = rows[at : at + size], out[place + j]
        for d in range(size):
            to[d] = load(line, d)


@inner
def _transposed(lines: Any, count: int, out: Any) -> None:
    """out[:, j] = lines[j]; what is behind them stays finite, whatever it is."""
    for j in range(count):
        line = lines[j]
        for d in range(len(line)):
            out[d, j] = line[d]


@inner
def _whole(count: int) -> int:
    """The next multiple of 16: sums over so many, the rest of them times 0, are vector code throughout."""
    return (count + 15) // 16 * 16


@inner
def _four(rows: Any, wide: int, offset: int, first: int, length: int, factor: float, out: Any) -> None:
    """Queries or gradients of up to four tokens as float32 [4, size], times a factor; the rest is 0."""
    size = out.shape[1]
    for i in range(4):
        to = out[i]
        at = (first + i) * wide + offset
        if i < length:
            line = rows[at : at + size]
            for d in range(size):
                to[d] = load(line, d) * np.float32(factor)
        else:
            for d in range(size):
                to[d] = np.float32(0.0)


@inner
def _softmax(scores: Any) -> Any:
    """In place exp(scores - largest); returns their sum and the largest."""
    count = len(scores)
    top = scores[0]
    for j in range(count):
        top = max(top, scores[j])
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
    wide, share = (heads + 2 * groups) * size, heads // groups
    most = prefix + ((lengths + length_before).max() if len(lengths) else 0)
    for part in prange(parts):
        keys, values = np.empty((most, size), np.float32), np.empty((most, size), np.float32)
        turned, scores = np.zeros((size, most + 16), np.float32), np.zeros((4, most + 16), np.float32)
        queries, mixed = np.empty((4, size), np.float32), np.empty((4, size), np.float32)
        totals = np.empty(4, np.float32)
        for item in range(int64(part), len(starts) * groups, parts):
            number, group = item // groups, item % groups
            start, length = int64(starts[number]), int64(lengths[number])
            common = prefix if kinds[number] == 1 else 0
            earlier, many = int64(before[number]), int64(length_before[number])
            shared = common + many
            for side in range(2):
                out_of = keys if side == 0 else values
                offset = (heads + side * groups + group) * size
                _widened(rows, wide, offset, 0, common, out_of, 0)
                _widened(rows, wide, offset, earlier, many, out_of, common)
                _widened(rows, wide, offset, start, length, out_of, shared)
            _transposed(values, shared + length, turned)
            for head in range(group * share, (group + 1) * share):
                for block in range(0, length, 4):
                    count = min(4, length - block)
                    end = shared + block + count
                    begin = max(0, shared + block + 1 - window) if window else 0
                    _four(rows, wide, head * size, start + block, count, scale, queries)
                    whole = _whole(end - begin)
                    _dots(queries, keys[begin:end], 0, size, end - begin, scores)
                    for i in range(count):
                        last = shared + block + i + 1 - begin
                        first = max(0, last - window) if window else 0
                        total, top = _softmax(scores[i, first:last])
                        _clear(scores[i, :whole], first, last)
                        spread[start + block + i, head] = top + np.log(total)
                        totals[i] = total
                    _dots(scores, turned, begin, whole, size, mixed)
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
    """The way back of `attend_packed`, of sequences that continue no other but the prefix."""
    wide, share, parts = (heads + 2 * groups) * size, heads // groups, len(common)
    most = prefix + (lengths.max() if len(lengths) else 0)
    for part in prange(parts):
        keys, values = np.empty((most, size), np.float32), np.empty((most, size), np.float32)
        to_keys, to_values = np.empty((most, size), np.float32), np.empty((most, size), np.float32)
        turned = np.zeros((size, most + 16), np.float32)
        weights, pulls = np.zeros((4, most + 16), np.float32), np.zeros((4, most + 16), np.float32)
        queries, coming = np.empty((4, size), np.float32), np.empty((4, size), np.float32)
        pulled = np.empty((4, size), np.float32)
        for item in range(int64(part), len(starts) * groups, parts):
            number, group = item // groups, item % groups
            start, length = int64(starts[number]), int64(lengths[number])
            shared = prefix if kinds[number] == 1 else 0
            for side in range(2):
                out_of = keys if side == 0 else values
                offset = (heads + side * groups + group) * size
                _widened(rows, wide, offset, 0, shared, out_of, 0)
                _widened(rows, wide, offset, start, length, out_of, shared)
            _transposed(keys, shared + length, turned)
            for j in range(shared + length):
                key, value = to_keys[j], to_values[j]
                for d in range(size):
                    key[d] = np.float32(0.0)
                    value[d] = np.float32(0.0)
            for head in range(group * share, (group + 1) * share):
                for block in range(0, length, 4):
                    many = min(4, length - block)
                    end = shared + block + many
                    begin = max(0, shared + block + 1 - window) if window else 0
                    _four(rows, wide, head * size, start + block, many, scale, queries)
                    _four(above, heads * size, head * size, start + block, many, 1.0, coming)
                    whole = _whole(end - begin)
                    _dots(queries, keys[begin:end], 0, size, end - begin, weights)
                    _dots(coming, values[begin:end], 0, size, end - begin, pulls)
                    for i in range(4):
                        last = shared + block + i + 1 - begin if i < many else 0
                        first = max(0, last - window) if window else 0
                        weight, pull = weights[i, :whole], pulls[i, :whole]
                        if i < many:
                            _slopes(weight[first:last], pull[first:last], spread[start + block + i, head])
                        _clear(weight, first, last)
                        _clear(pull, first, last)
                    _dots(pulls, turned, begin, whole, size, pulled)
                    for i in range(many):
                        at = (start + block + i) * wide + head * size
                        to, line = back[at : at + size], pulled[i]
                        for d in range(size):
                            store(to, d, line[d] * np.float32(scale))
                    _spread(pulls, queries, end - begin, to_keys[begin:end])
                    _spread(weights, coming, end - begin, to_values[begin:end])
            own = shared + length if kinds[number] == 2 else shared  # the prefix's own are common too
            for side in range(2):
                found = to_keys if side == 0 else to_values
                for j in range(own):
                    line, kept = found[j], common[part, group, side, j]
                    for d in range(size):
                        kept[d] += line[d]
                for j in range(own, shared + length):
                    at = (start + j - shared) * wide + (heads + side * groups + group) * size
                    line, to = found[j], back[at : at + size]
                    for d in range(size):
                        store(to, d, line[d])
