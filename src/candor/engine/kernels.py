"""What decoding does between matrix products, as one pass over memory each: CPU kernels, compiled by numba.

A decode step handles one token a row. Its matrix products are large enough to be efficient; all else is
small, and as separate tensor operations costs more in launching, and in reading and writing intermediate
values, than in arithmetic. Arrays are flat; bfloat16 comes as the uint16 of its bits, float32 as it is.
All arithmetic is float32.
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


_as_float: Any = intrinsic(_float_of)
_as_bits: Any = intrinsic(_bits_of)


def _load(array: Any, place: Any) -> Any:
    """array[place] as float32."""
    raise NotImplementedError


def _store(array: Any, place: Any, value: Any) -> None:
    """array[place] = value, rounded to nearest even."""
    raise NotImplementedError


# numba wants implementations to have the very signature of what they implement, annotations included.
@overload(_load, inline="always")
def _load_any(array: Any, place: Any) -> Any:
    def widened(array: Any, place: Any) -> Any:
        return _as_float(np.uint32(array[place]) << np.uint32(16))

    def plain(array: Any, place: Any) -> Any:
        return array[place]

    return widened if array.dtype == types.uint16 else plain


@overload(_store, inline="always")
def _store_any(array: Any, place: Any, value: Any) -> Any:
    def rounded(array: Any, place: Any, value: Any) -> None:
        bits = _as_bits(np.float32(value))
        even = (bits >> np.uint32(16)) & np.uint32(1)
        array[place] = np.uint16((bits + np.uint32(0x7FFF) + even) >> np.uint32(16))

    def plain(array: Any, place: Any, value: Any) -> None:
        array[place] = value

    return rounded if array.dtype == types.uint16 else plain


@njit(inline="always")
def _exp(value: Any) -> Any:
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
    return y * _as_float(np.uint32(np.int32(whole) + np.int32(127)) << np.uint32(23))


@njit(parallel=True, **_OPTIONS)
def add_norm(
    stream: Any, update: Any, weight: Any, unit: float, epsilon: float, width: int, out: Any
) -> None:
    """stream += update; out = stream / rms(stream) · (weight + unit), row by row.

    Args:
        stream: [rows · width], the residual stream, changed in place.
        update: [rows · width], or empty.
        weight: [width].
        unit: 1 for models whose norms store the difference from 1 (Gemma), else 0.
        epsilon: added to the mean square.
        width: of a row.
        out: [rows · width].
    """
    for index in prange(len(stream) // width):
        begin = int64(index) * width
        kept = stream[begin : begin + width]
        to = out[begin : begin + width]
        values = np.empty(width, np.float32)
        if len(update):
            added = update[begin : begin + width]
            for i in range(width):
                values[i] = _load(kept, i) + _load(added, i)
            for i in range(width):
                _store(kept, i, values[i])
        else:
            for i in range(width):
                values[i] = _load(kept, i)
        total = np.float32(0.0)
        for i in range(width):
            total += values[i] * values[i]
        scale = np.float32(1.0) / np.sqrt(total / np.float32(width) + np.float32(epsilon))
        for i in range(width):
            _store(to, i, values[i] * scale * (_load(weight, i) + np.float32(unit)))


@njit(parallel=True, **_OPTIONS)
def gated(both: Any, width: int, gelu: bool, out: Any) -> None:
    """out = act(gate) · up, of rows [gate, up] each `width` wide; act is SiLU, or GELU by tanh."""
    for index in prange(len(out) // width):
        row = int64(index)
        gates = both[row * 2 * width : (row * 2 + 1) * width]
        ups = both[(row * 2 + 1) * width : (row * 2 + 2) * width]
        to = out[row * width : (row + 1) * width]
        for i in range(width):
            gate = _load(gates, i)
            if gelu:
                inner = np.float32(1.5957691216057308) * (gate + np.float32(0.044715) * gate * gate * gate)
            else:
                inner = gate
            # x · sigmoid(y), with the exponential of a negative number only
            small = _exp(-abs(inner))
            share = (np.float32(1.0) if inner >= 0 else small) / (np.float32(1.0) + small)
            _store(to, i, gate * share * _load(ups, i))


@njit(**_OPTIONS)
def _turned(line: Any, norm: Any, unit: Any, epsilon: Any, cosine: Any, sine: Any, out: Any) -> None:
    """A head's query or key, normed if there is a norm, and rotated by its position."""
    size = len(line)
    half = size // 2
    for i in range(size):
        out[i] = _load(line, i)
    if len(norm):
        total = np.float32(0.0)
        for i in range(size):
            total += out[i] * out[i]
        factor = np.float32(1.0) / np.sqrt(total / np.float32(size) + np.float32(epsilon))
        for i in range(size):
            out[i] *= factor * (_load(norm, i) + np.float32(unit))
    low, high = out[:half], out[half:]
    for i in range(half):
        x, y = low[i], high[i]
        low[i] = x * cosine[i] - y * sine[i]
        high[i] = y * cosine[half + i] + x * sine[half + i]


@njit(**_OPTIONS)
def _score(queries: Any, keys: Any, skip: Any, scores: Any, offset: int, line: Any) -> None:
    """scores[head, offset + j] = queries[head] · keys[j], for j from `skip`; keys [n · size]."""
    heads, size = queries.shape
    for j in range(skip, len(keys) // size):
        key = keys[j * size : (j + 1) * size]
        for i in range(size):
            line[i] = _load(key, i)
        for head in range(heads):
            query = queries[head]
            total = np.float32(0.0)
            for i in range(size):
                total += query[i] * line[i]
            scores[head, offset + j] = total


@njit(**_OPTIONS)
def _gather(weights: Any, values: Any, skip: Any, sums: Any, offset: int, line: Any) -> None:
    """sums[head] += weights[head, offset + j] · values[j], for j from `skip`; values [n · size]."""
    heads, size = sums.shape
    for j in range(skip, len(values) // size):
        value = values[j * size : (j + 1) * size]
        for i in range(size):
            line[i] = _load(value, i)
        for head in range(heads):
            weight = weights[head, offset + j]
            into = sums[head]
            for i in range(size):
                into[i] += weight * line[i]


@njit(**_OPTIONS)
def _softmax(scores: Any, scale: Any) -> None:
    """In place: softmax(scale · scores)."""
    top = scores[0]
    for j in range(len(scores)):
        top = max(top, scores[j])
    total = np.float32(0.0)
    for j in range(len(scores)):
        scores[j] = _exp((scores[j] - top) * np.float32(scale))
    for j in range(len(scores)):
        total += scores[j]
    inverse = np.float32(1.0) / total
    for j in range(len(scores)):
        scores[j] *= inverse


@njit(parallel=True, **_OPTIONS)
def attend(
    mixed: Any,  # [rows · (heads + 2 groups) · size]: queries, keys, values
    query_norm: Any,  # [size] or empty
    key_norm: Any,
    unit: float,
    epsilon: float,
    cosine: Any,  # [rows, size] float32
    sine: Any,
    prefix: Any,  # keys, values [2, groups · columns · size] that all rows share
    prompts: Any,  # [2, places · groups · capacity · size] that the completions of a prompt share
    prompt_place: Any,  # [rows]
    prompt_length: Any,  # [rows]
    prompt_capacity: int,
    own: Any,  # [2, places · groups · capacity · size], each row's own tokens
    place: Any,  # [rows]
    length: Any,  # [rows]: own tokens before this one
    capacity: int,
    groups: int,
    size: int,
    scale: float,
    window: int,  # tokens that a token sees, itself included; 0 for all
    out: Any,  # [rows · heads · size]
) -> None:
    """Rotate queries and keys, keep the new keys and values, attend to prefix, prompt and own tokens."""
    rows = len(place)
    heads = len(out) // (rows * size)
    share = heads // groups
    shared = prefix.shape[1] // (groups * size)
    for index in prange(rows):
        row = int64(index)
        line_in = mixed[row * (heads + 2 * groups) * size : (row + 1) * (heads + 2 * groups) * size]
        turned = np.empty((heads + groups, size), np.float32)
        cos, sin = cosine[row], sine[row]
        for head in range(heads + groups):
            norm = query_norm if head < heads else key_norm
            _turned(line_in[head * size : (head + 1) * size], norm, unit, epsilon, cos, sin, turned[head])
        asked, made = int64(prompt_length[row]), int64(length[row])
        count = shared + asked + made + 1
        skipped = int64(0) if window == 0 else max(int64(0), count - window)
        after_prefix, after_prompt = max(int64(0), skipped - shared), max(int64(0), skipped - shared - asked)
        scores = np.empty((share, count), np.float32)
        line = np.empty(size, np.float32)
        sums = np.empty((share, size), np.float32)
        for group in range(groups):
            p = group * shared * size
            q = (int64(prompt_place[row]) * groups + group) * prompt_capacity * size
            o = (int64(place[row]) * groups + group) * capacity * size
            new_key = own[0, o + made * size : o + (made + 1) * size]
            new_value = own[1, o + made * size : o + (made + 1) * size]
            given = line_in[(heads + groups + group) * size : (heads + groups + group + 1) * size]
            for i in range(size):
                _store(new_key, i, turned[heads + group, i])
                new_value[i] = given[i]
            queries = turned[group * share : (group + 1) * share]
            _score(queries, prefix[0, p : p + shared * size], min(skipped, shared), scores, 0, line)
            _score(queries, prompts[0, q : q + asked * size], min(after_prefix, asked), scores, shared, line)
            _score(queries, own[0, o : o + (made + 1) * size], after_prompt, scores, shared + asked, line)
            for head in range(share):
                _softmax(scores[head, skipped:], scale)
                for i in range(size):
                    sums[head, i] = np.float32(0.0)
            _gather(scores, prefix[1, p : p + shared * size], min(skipped, shared), sums, 0, line)
            _gather(scores, prompts[1, q : q + asked * size], min(after_prefix, asked), sums, shared, line)
            _gather(scores, own[1, o : o + (made + 1) * size], after_prompt, sums, shared + asked, line)
            for head in range(share):
                at = (row * heads + group * share + head) * size
                to, total = out[at : at + size], sums[head]
                for i in range(size):
                    _store(to, i, total[i])


@njit(parallel=True, **_OPTIONS)
def choose(
    logits: Any,  # [rows · vocabulary]
    vocabulary: int,
    temperature: Any,  # [rows], 0 is greedy
    uniform: Any,  # [rows], in [0, 1)
    tokens: Any,  # [rows], written
    logprobs: Any,  # [rows], written: under the model itself, at temperature 1
) -> None:
    """Draw a token a row by inverting the cumulative distribution, or take the first of the likeliest."""
    block = 256
    blocks = (vocabulary + block - 1) // block
    for index in prange(len(tokens)):
        row = int64(index)
        line = logits[row * vocabulary : (row + 1) * vocabulary]
        top = _load(line, 0)
        for i in range(vocabulary):
            top = max(top, _load(line, i))
        warm = temperature[row]
        inverse = np.float32(min(1.0 / warm, 1e30)) if warm > 0 else np.float32(1.0)
        ends = np.empty(blocks, np.float64)
        total, mass = 0.0, 0.0
        for number in range(blocks):
            part = line[number * block : min((number + 1) * block, vocabulary)]
            plain, tempered = np.float32(0.0), np.float32(0.0)
            for i in range(len(part)):
                plain += _exp(_load(part, i) - top)
            total += plain
            if warm > 0:
                for i in range(len(part)):
                    tempered += _exp((_load(part, i) - top) * inverse)
                mass += tempered
            ends[number] = mass
        best = int64(0)
        if warm > 0:
            best = _reached(line, ends, uniform[row] * mass, top, inverse, block)
        else:
            while _load(line, best) != top:
                best += 1
        tokens[row] = best
        logprobs[row] = (_load(line, best) - top) - np.log(total)


@njit(**_OPTIONS)
def _reached(line: Any, ends: Any, target: Any, top: Any, inverse: Any, block: Any) -> Any:
    """The first token whose cumulative weight exceeds the target; `ends` are those of the blocks."""
    number = 0
    while number < len(ends) - 1 and ends[number] <= target:
        number += 1
    reached = ends[number - 1] if number else 0.0
    last = number * block
    for i in range(number * block, min((number + 1) * block, len(line))):
        share = _exp((_load(line, i) - top) * inverse)
        reached += share
        if share > 1e-37:  # what exp makes of anything below -85
            last = i
        if reached > target:
            return i
    return last  # rounding between the two sums left nothing above the target
