"""A decoder's arithmetic with one result on every machine: CPU kernels by numba, without fast mathematics.

Each number is a fixed sequence of IEEE operations on float32: a product's sums run over its terms one after
the other, as fused multiply-adds; other sums over sixteen partial ones, in an order that is written down.
What is computed together (rows, threads, vectors) never enters into it. exp is our own polynomial, and no
function of the system's mathematics library is called. Conventions are those of `model.kernels`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, njit, prange, uint64

from candor.model.kernels import exp
from candor.model.tiles import COLUMNS, ROWS, add_product

# No fastmath: that would allow the compiler to reorder.
strict: Any = njit(parallel=True, cache=True, error_model="numpy")
strict_inner: Any = njit(cache=True, error_model="numpy")

_LANES = 16
# Rows that one thread multiplies with a panel of weights before it takes another panel.
_BLOCK = 64
# Probabilities of tokens are whole numbers up to about this.
SCALE = float(1 << 24)


@strict_inner
def _summed(parts: Any) -> Any:
    total = np.float32(0.0)
    for i in range(_LANES):
        total += parts[i]
    return total


@strict_inner
def _inverse_rms(line: Any, epsilon: Any) -> Any:
    """1 / √(mean of squares + epsilon)."""
    count = len(line)
    parts = np.zeros(_LANES, np.float32)
    for i in range(0, count - _LANES + 1, _LANES):
        some = line[i : i + _LANES]
        for lane in range(_LANES):
            parts[lane] += some[lane] * some[lane]
    for i in range(count // _LANES * _LANES, count):
        parts[i % _LANES] += line[i] * line[i]
    mean = _summed(parts) / np.float32(count)
    return np.float32(1.0) / np.sqrt(mean + np.float32(epsilon))


@strict
def product(x: Any, panels: Any, bias: Any, out: Any) -> None:
    """out = x · weightᵀ + bias.

    Args:
        x: [rows rounded up to 4, k].
        panels: [panels · k, 32], the weights of 32 outputs after those of the 32 before.
        bias: [outputs] or empty.
        out: [rows, outputs], written.
    """
    k, rows, outputs = x.shape[1], out.shape[0], out.shape[1]
    blocks = (rows + _BLOCK - 1) // _BLOCK
    for item in prange(len(panels) // k * blocks):
        panel, block = int64(item) // blocks, int64(item) % blocks
        tile = np.empty((_BLOCK, COLUMNS), np.float32)
        column = panel * COLUMNS
        wide = min(COLUMNS, outputs - column)
        begin = block * _BLOCK
        count = min(_BLOCK, rows - begin)
        lines = (count + ROWS - 1) // ROWS * ROWS
        for line in range(lines):
            for j in range(COLUMNS):
                tile[line, j] = np.float32(0.0)
        add_product(x[begin:], k, 1, panels[panel * k : (panel + 1) * k], 0, tile, lines, COLUMNS, k)
        for line in range(count):
            to, found = out[begin + line], tile[line]
            if len(bias):
                for j in range(wide):
                    to[column + j] = found[j] + bias[column + j]
            else:
                for j in range(wide):
                    to[column + j] = found[j]


@strict
def add_norm(stream: Any, update: Any, weight: Any, unit: float, epsilon: float, out: Any) -> None:
    """stream += update (where there is one); out = stream / rms(stream) · (weight + unit), row by row."""
    rows, width = stream.shape
    for index in prange(rows):
        line, to = stream[index], out[index]
        if len(update):
            more = update[index]
            for i in range(width):
                line[i] += more[i]
        scale = _inverse_rms(line, epsilon)
        for i in range(width):
            to[i] = line[i] * scale * (weight[i] + np.float32(unit))


@strict
def gate(both: Any, gelu: bool, out: Any) -> None:
    """out = act(gate) · up of [rows, gate and up]; act is SiLU, or GELU by tanh."""
    rows, width = len(both), both.shape[1] // 2
    for index in prange(rows):
        gates, ups, to = both[index, :width], both[index, width:], out[index]
        for i in range(width):
            value = gates[i]
            if gelu:
                inner = np.float32(1.5957691216057308) * (
                    value + np.float32(0.044715) * value * value * value
                )
            else:
                inner = value
            small = exp(-abs(inner))
            share = (np.float32(1.0) if inner >= 0 else small) / (np.float32(1.0) + small)
            to[i] = value * share * ups[i]


@strict_inner
def _turned(
    line: Any, norm: Any, unit: Any, epsilon: Any, cosine: Any, sine: Any, factor: Any, out: Any
) -> None:
    """A head's query or key, normed if there is a norm, rotated, and times a factor."""
    size = len(line)
    half = size // 2
    if len(norm):
        scale = _inverse_rms(line, epsilon)
        for i in range(size):
            out[i] = line[i] * scale * (norm[i] + np.float32(unit))
    else:
        for i in range(size):
            out[i] = line[i]
    for i in range(half):
        x, y = out[i], out[half + i]
        out[i] = (x * cosine[i] - y * sine[i]) * np.float32(factor)
        out[half + i] = (y * cosine[i] + x * sine[i]) * np.float32(factor)


@strict
def keep(
    mixed: Any,  # [rows, (heads + 2 groups) · size]: queries, keys, values; queries are turned in place
    query_norm: Any,  # [size] or empty
    key_norm: Any,
    unit: float,
    epsilon: float,
    cosine: Any,  # [positions, size / 2]
    sine: Any,
    scale: float,
    slots: Any,  # [rows]
    positions: Any,  # [rows]
    heads: int,
    groups: int,
    keys: Any,  # [slots · groups · size, capacity]: keys as columns
    values: Any,  # [slots · groups · capacity, size rounded up to 32]
) -> None:
    """Turn queries (scaled) and keys by their positions; keep keys and values."""
    capacity, size = keys.shape[1], mixed.shape[1] // (heads + 2 * groups)
    for index in prange(len(mixed)):
        line, turned = mixed[index], np.empty(size, np.float32)
        slot, position = int64(slots[index]), int64(positions[index])
        cos, sin = cosine[position], sine[position]
        for head in range(heads):
            part = line[head * size : (head + 1) * size]
            _turned(part, query_norm, unit, epsilon, cos, sin, scale, turned)
            for i in range(size):
                part[i] = turned[i]
        for group in range(groups):
            at = (heads + group) * size
            _turned(line[at : at + size], key_norm, unit, epsilon, cos, sin, 1.0, turned)
            place = slot * groups + group
            for i in range(size):
                keys[place * size + i, position] = turned[i]
            at += groups * size
            to = values[place * capacity + position]
            for i in range(size):
                to[i] = line[at + i]


@strict
def attend(
    mixed: Any,  # as `keep` left it
    slots: Any,
    positions: Any,
    heads: int,
    groups: int,
    keys: Any,
    values: Any,
    window: int,  # tokens that a token sees, itself included; 0 for all
    out: Any,  # [rows, heads · size], written
) -> None:
    """Mix the values of a slot's tokens up to each row's position by softmax(q kᵀ)."""
    capacity, share = keys.shape[1], heads // groups
    size, padded = mixed.shape[1] // (heads + 2 * groups), values.shape[1]
    lines = (share + ROWS - 1) // ROWS * ROWS
    for item in prange(len(positions) * groups):
        row, group = int64(item) // groups, int64(item) % groups
        end = int64(positions[row]) + 1
        first = max(int64(0), end - window) if window else int64(0)
        count = end - first
        span = (count + COLUMNS - 1) // COLUMNS * COLUMNS
        queries, sums = np.zeros((lines, size), np.float32), np.zeros((lines, padded), np.float32)
        scores, parts = np.zeros((lines, span), np.float32), np.empty(_LANES, np.float32)
        for head in range(share):
            at = (group * share + head) * size
            for i in range(size):
                queries[head, i] = mixed[row, at + i]
        place = int64(slots[row]) * groups + group
        mine = keys[place * size : (place + 1) * size]
        add_product(queries, size, 1, mine, first, scores, lines, span, size)
        for head in range(share):
            line = scores[head]
            top = line[0]
            for j in range(count):
                top = max(top, line[j])
            for j in range(count):
                line[j] = exp(line[j] - top)
            for j in range(count, span):
                line[j] = np.float32(0.0)
            for lane in range(_LANES):
                parts[lane] = np.float32(0.0)
            for j in range(0, span, _LANES):
                some = line[j : j + _LANES]
                for lane in range(_LANES):
                    parts[lane] += some[lane]
            inverse = np.float32(1.0) / _summed(parts)
            for j in range(count):
                line[j] *= inverse
        seen = values[place * capacity + first : place * capacity + end]
        add_product(scores, span, 1, seen, 0, sums, lines, padded, count)
        for head in range(share):
            at = (group * share + head) * size
            for i in range(size):
                out[row, at + i] = sums[head, i]


@strict
def weigh(logits: Any, softcap: float, weights: Any, totals: Any) -> None:
    """Whole numbers in proportion to the tokens' probabilities, none of them 0, and their sums.

    Args:
        logits: [rows, vocabulary], changed.
        softcap: logits are softcap · tanh(logits / softcap); 0 for none.
        weights: [rows, vocabulary] uint32, written.
        totals: [rows] uint64, written.
    """
    vocabulary = logits.shape[1]
    for index in prange(len(logits)):
        line, to = logits[index], weights[index]
        if softcap:
            for i in range(vocabulary):
                ratio = np.float32(2.0) * line[i] / np.float32(softcap)
                small = exp(-abs(ratio))
                bent = (np.float32(1.0) - small) / (np.float32(1.0) + small)
                line[i] = np.float32(softcap) * (bent if ratio >= 0 else -bent)
        top = line[0]
        for i in range(vocabulary):
            top = max(top, line[i])
        for i in range(vocabulary):
            to[i] = np.uint32(exp(line[i] - top) * np.float32(SCALE)) + np.uint32(1)
        total = uint64(0)
        for i in range(vocabulary):
            total += uint64(to[i])
        totals[index] = total


@strict
def below(weights: Any, tokens: Any, lows: Any) -> None:
    """The sums of the weights of all tokens before the given ones: [rows] uint64."""
    for index in prange(len(tokens)):
        line = weights[index, : tokens[index]]
        total = uint64(0)
        for i in range(len(line)):
            total += uint64(line[i])
        lows[index] = total


@strict
def locate(weights: Any, targets: Any, tokens: Any, lows: Any) -> None:
    """The token into whose share of the total each target falls, and what is below that share."""
    for index in prange(len(targets)):
        line, target = weights[index], uint64(targets[index])
        low, start = uint64(0), 0
        while start + 256 < len(line):
            some, total = line[start : start + 256], uint64(0)
            for i in range(256):
                total += uint64(some[i])
            if low + total > target:
                break
            low += total
            start += 256
        while low + uint64(line[start]) <= target:
            low += uint64(line[start])
            start += 1
        tokens[index] = start
        lows[index] = low
