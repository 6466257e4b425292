"""What the Llama family computes between matrix products, as one pass over memory each: CPU kernels by numba.

Around matrix products there are norms, rotations, gates: little arithmetic, but as separate tensor operations
each costs a launch and a way through memory, with intermediate values in between. Here each is one loop, with
its way back for training. Arrays are flat; bfloat16 comes as the uint16 of its bits, float32 as it is. All
arithmetic is float32.

numba's cache of compiled code notices changes of a function's own file only: other modules may use `load`,
`store` and `exp`, which don't change.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import int64, njit, prange, types
from numba.extending import intrinsic, overload

_OPTIONS = {
    "fastmath": {"reassoc", "contract", "nsz", "arcp", "afn", "nnan"},
    "cache": True,
    "error_model": "numpy",
}
# Compiles a function that is called from Python, and one that is called by those.
kernel: Any = njit(parallel=True, **_OPTIONS)
inner: Any = njit(**_OPTIONS)


def flat(tensor: torch.Tensor) -> np.ndarray:
    """A CPU tensor's memory as the kernels take it: one line, bfloat16 as the uint16 of its bits."""
    line = tensor.detach().reshape(-1)
    return (line.view(torch.uint16) if line.dtype == torch.bfloat16 else line).numpy()


def _float_of(_context: Any, bits: Any) -> Any:
    def code(_c: Any, builder: Any, _s: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.uint32), code


def _bits_of(_context: Any, value: Any) -> Any:
    def code(_c: Any, builder: Any, _s: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(32))

    return types.uint32(types.float32), code


as_float: Any = intrinsic(_float_of)
as_bits: Any = intrinsic(_bits_of)


def load(array: Any, place: Any) -> Any:
    """array[place] as float32."""
    raise NotImplementedError


def store(array: Any, place: Any, value: Any) -> None:
    """array[place] = value, rounded to nearest even."""
    raise NotImplementedError


# numba wants implementations to have the very signature of what they implement, annotations included.
@overload(load, inline="always")
def _load_any(array: Any, place: Any) -> Any:
    def widened(array: Any, place: Any) -> Any:
        return as_float(np.uint32(array[place]) << np.uint32(16))

    def plain(array: Any, place: Any) -> Any:
        return array[place]

    return widened if array.dtype == types.uint16 else plain


@overload(store, inline="always")
def _store_any(array: Any, place: Any, value: Any) -> Any:
    def rounded(array: Any, place: Any, value: Any) -> None:
        bits = as_bits(np.float32(value))
        even = (bits >> np.uint32(16)) & np.uint32(1)
        array[place] = np.uint16((bits + np.uint32(0x7FFF) + even) >> np.uint32(16))

    def plain(array: Any, place: Any, value: Any) -> None:
        array[place] = value

    return rounded if array.dtype == types.uint16 else plain


@njit(inline="always")
def exp(value: Any) -> Any:
    """exp for value ≤ 0, without a call, so that loops of it become vector code; 2e-7 relative."""
    x = max(value, np.float32(-87.0)) * np.float32(1.4426950408889634)
    whole = np.floor(x + np.float32(0.5))
    part = x - whole
    # 2^part on [-½, ½]: minimax polynomial of degree 6.
    y = np.float32(1.5403530393381608e-4)
    y = y * part + np.float32(1.3333558146428443e-3)
    y = y * part + np.float32(9.618129107628477e-3)
    y = y * part + np.float32(5.550410866482158e-2)
    y = y * part + np.float32(0.2402265069591007)
    y = y * part + np.float32(0.6931471805599453)
    y = y * part + np.float32(1.0)
    return y * as_float(np.uint32(np.int32(whole) + np.int32(127)) << np.uint32(23))


@kernel
def gated(both: Any, width: int, gelu: bool, out: Any) -> None:
    """out = act(gate) · up, of rows [gate, up] each `width` wide; act is SiLU, or GELU by tanh."""
    for index in prange(len(out) // width):
        row = int64(index)
        gates = both[row * 2 * width : (row * 2 + 1) * width]
        ups = both[(row * 2 + 1) * width : (row * 2 + 2) * width]
        to = out[row * width : (row + 1) * width]
        for i in range(width):
            gate = load(gates, i)
            if gelu:
                inner = np.float32(1.5957691216057308) * (gate + np.float32(0.044715) * gate * gate * gate)
            else:
                inner = gate
            # x · sigmoid(y), with the exponential of a negative number only
            small = exp(-abs(inner))
            share = (np.float32(1.0) if inner >= 0 else small) / (np.float32(1.0) + small)
            store(to, i, gate * share * load(ups, i))


@inner
def turn(line: Any, norm: Any, unit: Any, epsilon: Any, cosine: Any, sine: Any, out: Any) -> None:
    """A head's query or key, normed if there is a norm, and rotated by its position."""
    size = len(line)
    half = size // 2
    for i in range(size):
        out[i] = load(line, i)
    if len(norm):
        total = np.float32(0.0)
        for i in range(size):
            total += out[i] * out[i]
        factor = np.float32(1.0) / np.sqrt(total / np.float32(size) + np.float32(epsilon))
        for i in range(size):
            out[i] *= factor * (load(norm, i) + np.float32(unit))
    # Slices, since an index with an offset is not made vector code.
    low, high, cosine_high, sine_high = out[:half], out[half:], cosine[half:], sine[half:]
    for i in range(half):
        x, y = low[i], high[i]
        low[i] = x * cosine[i] - y * sine[i]
        high[i] = y * cosine_high[i] + x * sine_high[i]


@kernel
def add_norm(
    stream: Any,
    update: Any,
    weight: Any,
    unit: float,
    epsilon: float,
    width: int,
    total: Any,
    inverse: Any,
    out: Any,
) -> None:
    """total = stream + update; out = total / rms(total) · (weight + unit), row by row.

    Args:
        stream: [rows · width], the residual stream.
        update: [rows · width], or empty.
        weight: [width].
        unit: 1 for models whose norms store the difference from 1 (Gemma), else 0.
        epsilon: added to the mean square.
        width: of a row.
        total: [rows · width], written; may be the stream's own memory, and is not used without an update.
        inverse: [rows] float32, written: 1 / rms(total), which the way back needs.
        out: [rows · width], written.
    """
    for index in prange(len(inverse)):
        begin = int64(index) * width
        kept, to = stream[begin : begin + width], out[begin : begin + width]
        values = np.empty(width, np.float32)
        if len(update):
            added, result = update[begin : begin + width], total[begin : begin + width]
            # Through `values`, as loops between arrays that may be the same memory are not vector code.
            for i in range(width):
                values[i] = load(kept, i) + load(added, i)
            for i in range(width):
                store(result, i, values[i])
            for i in range(width):
                values[i] = load(result, i)
        else:
            for i in range(width):
                values[i] = load(kept, i)
        squares = np.float32(0.0)
        for i in range(width):
            squares += values[i] * values[i]
        scale = np.float32(1.0) / np.sqrt(squares / np.float32(width) + np.float32(epsilon))
        inverse[index] = scale
        for i in range(width):
            store(to, i, values[i] * scale * (load(weight, i) + np.float32(unit)))


@kernel
def norm_back(
    total: Any,
    inverse: Any,
    weight: Any,
    unit: float,
    width: int,
    above: Any,
    beside: Any,
    back: Any,
    learned: Any,
) -> None:
    """The way back of `add_norm`.

    Args:
        total: [rows · width], what was normed.
        inverse: [rows].
        weight: [width].
        unit: see `add_norm`.
        width: of a row.
        above: [rows · width], the gradient at `out`.
        beside: [rows · width], the gradient that reaches `total` otherwise, or empty.
        back: [rows · width], written: the gradient at `total`, and so at stream and update.
        learned: [parts, width] float32, 0 before: the weight's gradient, in parts to be added up.
    """
    rows, parts = len(inverse), len(learned)
    for part in prange(parts):
        mine = learned[part]
        values, turned = np.empty(width, np.float32), np.empty(width, np.float32)
        for row in range(int64(part), rows, parts):
            begin = row * width
            kept, coming = total[begin : begin + width], above[begin : begin + width]
            to, scale = back[begin : begin + width], inverse[row]
            along = np.float32(0.0)
            for i in range(width):
                value = load(kept, i) * scale
                gradient = load(coming, i)
                mine[i] += gradient * value
                values[i] = value
                turned[i] = gradient * (load(weight, i) + np.float32(unit))
                along += turned[i] * value
            along /= np.float32(width)
            if len(beside):
                more = beside[begin : begin + width]
                for i in range(width):
                    store(to, i, (turned[i] - values[i] * along) * scale + load(more, i))
            else:
                for i in range(width):
                    store(to, i, (turned[i] - values[i] * along) * scale)


@kernel
def gated_back(both: Any, width: int, gelu: bool, above: Any, back: Any) -> None:
    """The way back of `gated`: from `above` [rows · width] to `back` [rows · 2 width]."""
    for index in prange(len(above) // width):
        row = int64(index)
        gates = both[row * 2 * width : (row * 2 + 1) * width]
        ups = both[(row * 2 + 1) * width : (row * 2 + 2) * width]
        to_gates = back[row * 2 * width : (row * 2 + 1) * width]
        to_ups = back[(row * 2 + 1) * width : (row * 2 + 2) * width]
        coming = above[row * width : (row + 1) * width]
        for i in range(width):
            gate, gradient = load(gates, i), load(coming, i)
            if gelu:
                square = gate * gate
                inner = (
                    np.float32(1.5957691216057308) * gate * (np.float32(1.0) + np.float32(0.044715) * square)
                )
                slope = np.float32(1.5957691216057308) * (np.float32(1.0) + np.float32(0.134145) * square)
            else:
                inner, slope = gate, np.float32(1.0)
            small = exp(-abs(inner))
            share = (np.float32(1.0) if inner >= 0 else small) / (np.float32(1.0) + small)
            store(to_ups, i, gradient * gate * share)
            rising = share + gate * slope * share * (np.float32(1.0) - share)
            store(to_gates, i, gradient * load(ups, i) * rising)


@kernel
def turn_rows(
    mixed: Any,  # [rows · (heads + 2 groups) · size]: queries, keys, values; changed in place
    query_norm: Any,  # [size] or empty
    key_norm: Any,
    unit: float,
    epsilon: float,
    cosine: Any,  # [rows, size] float32
    sine: Any,
    heads: int,
    groups: int,
) -> None:
    """Norm (where there is a norm) and rotate queries and keys by their positions; values stay."""
    size = cosine.shape[1]
    wide = (heads + 2 * groups) * size
    for index in prange(len(cosine)):
        begin = int64(index) * wide
        line = np.empty(size, np.float32)
        for head in range(heads + groups):
            at = begin + head * size
            norm = query_norm if head < heads else key_norm
            part = mixed[at : at + size]
            turn(part, norm, unit, epsilon, cosine[index], sine[index], line)
            for i in range(size):
                store(part, i, line[i])


@kernel
def turn_back(
    mixed: Any,  # as it was before `turn_rows`; read only where there is a norm
    query_norm: Any,
    key_norm: Any,
    unit: float,
    epsilon: float,
    cosine: Any,
    sine: Any,
    heads: int,
    groups: int,
    above: Any,  # like mixed: the gradient behind `turn_rows`, changed in place to that before it
    learned: Any,  # [parts, 2, size] float32, 0 before: the gradients of both norms, in parts to be added up
) -> None:
    """The way back of `turn_rows`."""
    size = cosine.shape[1]
    half, wide, parts = size // 2, (heads + 2 * groups) * size, len(learned)
    for part in prange(parts):
        line, raw = np.empty(size, np.float32), np.empty(size, np.float32)
        for row in range(int64(part), len(cosine), parts):
            cos, sin = cosine[row, :half], sine[row, :half]
            cos_high, sin_high = cosine[row, half:], sine[row, half:]
            lows, highs = line[:half], line[half:]
            for head in range(heads + groups):
                at = row * wide + head * size
                given = above[at : at + size]
                given_low, given_high = given[:half], given[half:]
                for i in range(half):
                    low, high = load(given_low, i), load(given_high, i)
                    lows[i] = low * cos[i] + high * sin_high[i]
                    highs[i] = high * cos_high[i] - low * sin[i]
                norm = query_norm if head < heads else key_norm
                if len(norm):
                    mine = learned[part, 0 if head < heads else 1]
                    source = mixed[at : at + size]
                    squares = np.float32(0.0)
                    for i in range(size):
                        raw[i] = load(source, i)
                        squares += raw[i] * raw[i]
                    scale = np.float32(1.0) / np.sqrt(squares / np.float32(size) + np.float32(epsilon))
                    along = np.float32(0.0)
                    for i in range(size):
                        raw[i] *= scale
                        mine[i] += line[i] * raw[i]
                        line[i] *= load(norm, i) + np.float32(unit)
                        along += line[i] * raw[i]
                    along /= np.float32(size)
                    for i in range(size):
                        line[i] = (line[i] - raw[i] * along) * scale
                for i in range(size):
                    store(given, i, line[i])


@kernel
def accumulate(total: Any, values: Any) -> None:
    """total += values, float32 and any; torch's own addition of two types goes through a copy of one."""
    for i in prange(len(total)):
        total[i] += load(values, int64(i))


@kernel
def cross_entropy(
    logits: Any,  # [rows · vocabulary]; with `learns` overwritten by the gradient of Σ factor · loss
    vocabulary: int,
    targets: Any,  # [rows]
    factors: Any,  # [rows] float32
    learns: bool,
    losses: Any,  # [rows] float32, written: -log softmax at the target
) -> None:
    """Losses and their gradient in three passes over each row, in the logits' own memory."""
    for index in prange(len(targets)):
        row = int64(index)
        line = logits[row * vocabulary : (row + 1) * vocabulary]
        target = int64(targets[row])
        top = load(line, 0)
        for i in range(vocabulary):
            top = max(top, load(line, i))
        total = np.float32(0.0)
        for begin in range(0, vocabulary, 1024):
            some = line[begin : begin + 1024]
            partial = np.float32(0.0)
            for i in range(len(some)):
                partial += exp(load(some, i) - top)
            total += partial
        chosen = load(line, target)
        losses[row] = top + np.log(total) - chosen
        if learns:
            factor = factors[row] / total
            for i in range(vocabulary):
                store(line, i, exp(load(line, i) - top) * factor)
            store(line, target, (np.exp(chosen - top) / total - np.float32(1.0)) * factors[row])
