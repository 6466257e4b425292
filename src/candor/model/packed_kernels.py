"""Attention among short packed sequences on a CPU, forward and back, compiled by numba.

One sequence's scores of one head fit the inner caches, so nothing is gathered, padded or kept: keys and
values are widened to float32 once for all heads that share them, and attention weights are computed again on
the way back. Conventions are those of `model.kernels`.

Sequences lie one after the other in `rows`, [tokens · (heads + 2 groups) · size]: rotated queries, rotated
keys, values. Of their kinds, 1 sees the first `prefix` tokens before its own, 2 is that prefix, 0 is neither.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, njit, prange

from candor.model.kernels import OPTIONS, exp, load, store


@njit(**OPTIONS)
def _products(line: Any, turned: Any, first: int, last: int, out: Any) -> None:
    """out[j] = line · turned[:, j] for j from `first` to `last`; the line's length is a multiple of 4."""
    for j in range(first, last):
        out[j] = np.float32(0.0)
    for d in range(0, len(line), 4):
        a, b, c, e = line[d], line[d + 1], line[d + 2], line[d + 3]
        k0, k1, k2, k3 = turned[d], turned[d + 1], turned[d + 2], turned[d + 3]
        for j in range(first, last):
            out[j] += a * k0[j] + b * k1[j] + c * k2[j] + e * k3[j]


@njit(**OPTIONS)
def _mix(weights: Any, lines: Any, first: int, last: int, out: Any) -> None:
    """out = Σ weights[j] · lines[j] for j from `first` to `last`."""
    size = len(out)
    for d in range(size):
        out[d] = np.float32(0.0)
    j = int64(first)
    while j + 4 <= last:
        a, b, c, e = weights[j], weights[j + 1], weights[j + 2], weights[j + 3]
        v0, v1, v2, v3 = lines[j], lines[j + 1], lines[j + 2], lines[j + 3]
        for d in range(size):
            out[d] += a * v0[d] + b * v1[d] + c * v2[d] + e * v3[d]
        j += 4
    while j < last:
        a, v0 = weights[j], lines[j]
        for d in range(size):
            out[d] += a * v0[d]
        j += 1


@njit(**OPTIONS)
def _spread(weights: Any, lines: Any, first: int, last: int, into: Any) -> None:
    """into[j] += Σ weights[i, j] · lines[i] over four i, for j from `first` to `last`."""
    l0, l1, l2, l3 = lines[0], lines[1], lines[2], lines[3]
    for j in range(first, last):
        a, b, c, e = weights[0, j], weights[1, j], weights[2, j], weights[3, j]
        to = into[j]
        for d in range(len(to)):
            to[d] += a * l0[d] + b * l1[d] + c * l2[d] + e * l3[d]


@njit(**OPTIONS)
def _widened(
    rows: Any, wide: int, offset: int, size: int, shared: int, start: int, length: int, out: Any
) -> None:
    """Keys or values as float32 [shared + length, size]: the prefix's, then the sequence's own."""
    for j in range(shared + length):
        token = j if j < shared else start + j - shared
        at = token * wide + offset
        line, to = rows[at : at + size], out[j]
        for d in range(size):
            to[d] = load(line, d)


@njit(**OPTIONS)
def _transposed(lines: Any, count: int, out: Any) -> None:
    for j in range(count):
        line = lines[j]
        for d in range(len(line)):
            out[d, j] = line[d]


@njit(parallel=True, **OPTIONS)
def attend_packed(
    rows: Any,
    starts: Any,  # [sequences]
    lengths: Any,
    kinds: Any,
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
    most = prefix + (lengths.max() if len(lengths) else 0)
    for part in prange(parts):
        keys, values = np.empty((most, size), np.float32), np.empty((most, size), np.float32)
        turned, scores = np.empty((size, most), np.float32), np.empty(most, np.float32)
        query, mixed = np.empty(size, np.float32), np.empty(size, np.float32)
        for item in range(int64(part), len(starts) * groups, parts):
            number, group = item // groups, item % groups
            start, length = int64(starts[number]), int64(lengths[number])
            shared = prefix if kinds[number] == 1 else 0
            _widened(rows, wide, (heads + group) * size, size, shared, start, length, keys)
            _widened(rows, wide, (heads + groups + group) * size, size, shared, start, length, values)
            _transposed(keys, shared + length, turned)
            for i in range(length):
                last = shared + i + 1
                first = max(0, last - window) if window else 0
                for head in range(group * share, (group + 1) * share):
                    at = (start + i) * wide + head * size
                    line = rows[at : at + size]
                    for d in range(size):
                        query[d] = load(line, d) * np.float32(scale)
                    _products(query, turned, first, last, scores)
                    top = scores[first]
                    for j in range(first, last):
                        top = max(top, scores[j])
                    total = np.float32(0.0)
                    for j in range(first, last):
                        scores[j] = exp(scores[j] - top)
                    for j in range(first, last):
                        total += scores[j]
                    _mix(scores, values, first, last, mixed)
                    inverse = np.float32(1.0) / total
                    spread[start + i, head] = top + np.log(total)
                    at = ((start + i) * heads + head) * size
                    to = out[at : at + size]
                    for d in range(size):
                        store(to, d, mixed[d] * inverse)


@njit(parallel=True, **OPTIONS)
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
    """The way back of `attend_packed`."""
    wide, share, parts = (heads + 2 * groups) * size, heads // groups, len(common)
    most = prefix + (lengths.max() if len(lengths) else 0)
    for part in prange(parts):
        keys, values = np.empty((most, size), np.float32), np.empty((most, size), np.float32)
        turned_keys, turned_values = np.empty((size, most), np.float32), np.empty((size, most), np.float32)
        to_keys, to_values = np.empty((most, size), np.float32), np.empty((most, size), np.float32)
        weights, pulls = np.empty((4, most), np.float32), np.empty((4, most), np.float32)
        queries, coming = np.zeros((4, size), np.float32), np.zeros((4, size), np.float32)
        pulled = np.empty(size, np.float32)
        for item in range(int64(part), len(starts) * groups, parts):
            number, group = item // groups, item % groups
            start, length = int64(starts[number]), int64(lengths[number])
            shared = prefix if kinds[number] == 1 else 0
            count = shared + length
            _widened(rows, wide, (heads + group) * size, size, shared, start, length, keys)
            _widened(rows, wide, (heads + groups + group) * size, size, shared, start, length, values)
            _transposed(keys, count, turned_keys)
            _transposed(values, count, turned_values)
            for j in range(count):
                for d in range(size):
                    to_keys[j, d] = np.float32(0.0)
                    to_values[j, d] = np.float32(0.0)
            for head in range(group * share, (group + 1) * share):
                for block in range(0, length, 4):
                    end = shared + min(block + 4, length)
                    begin = max(0, shared + block + 1 - window) if window else 0
                    for b in range(4):
                        weight, pull, query, given = weights[b], pulls[b], queries[b], coming[b]
                        i = block + b
                        if i >= length:
                            for j in range(begin, end):
                                weight[j] = np.float32(0.0)
                                pull[j] = np.float32(0.0)
                            continue
                        last = shared + i + 1
                        first = max(0, last - window) if window else 0
                        at = (start + i) * wide + head * size
                        line = rows[at : at + size]
                        for d in range(size):
                            query[d] = load(line, d) * np.float32(scale)
                        at = ((start + i) * heads + head) * size
                        line = above[at : at + size]
                        for d in range(size):
                            given[d] = load(line, d)
                        _products(query, turned_keys, first, last, weight)
                        _products(given, turned_values, first, last, pull)
                        top = spread[start + i, head]
                        along = np.float32(0.0)
                        for j in range(first, last):
                            weight[j] = exp(min(weight[j] - top, np.float32(0.0)))
                        for j in range(first, last):
                            along += weight[j] * pull[j]
                        for j in range(first, last):
                            pull[j] = weight[j] * (pull[j] - along)
                        for j in range(begin, first):
                            weight[j] = np.float32(0.0)
                            pull[j] = np.float32(0.0)
                        for j in range(last, end):
                            weight[j] = np.float32(0.0)
                            pull[j] = np.float32(0.0)
                        _mix(pull, keys, first, last, pulled)
                        at = (start + i) * wide + head * size
                        to = back[at : at + size]
                        for d in range(size):
                            store(to, d, pulled[d] * np.float32(scale))
                    _spread(pulls, queries, begin, end, to_keys)
                    _spread(weights, coming, begin, end, to_values)
            for side in range(2):
                found = to_keys if side == 0 else to_values
                own = shared
                if kinds[number] == 2:
                    kept = common[part, group, side]
                    for j in range(length):
                        for d in range(size):
                            kept[j, d] += found[j, d]
                    continue
                if shared:
                    kept = common[part, group, side]
                    for j in range(shared):
                        for d in range(size):
                            kept[j, d] += found[j, d]
                for j in range(length):
                    at = (start + j) * wide + (heads + side * groups + group) * size
                    to = back[at : at + size]
                    for d in range(size):
                        store(to, d, found[own + j, d])
