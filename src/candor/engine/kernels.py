"""Decoding's own CPU kernels, compiled by numba: attention over slots, and drawing tokens.

A decode step handles one token a row. Its matrix products are large enough to be efficient; all else is
small, and as separate tensor operations costs more in launching, and in reading and writing intermediate
values, than in arithmetic. Conventions are those of `model.kernels`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, prange

from candor.model.kernels import exp, inner, kernel, load, store, turn


@inner
def _score(queries: Any, keys: Any, skip: Any, scores: Any, offset: int) -> None:
    """scores[head, offset + j] = queries[head] · keys[j], for j from `skip`; four keys at once."""
    heads, size = queries.shape
    count = len(keys) // size
    for head in range(heads):
        query, out = queries[head], scores[head]
        for j in range(skip, count - 3, 4):
            at = j * size
            k0, k1 = keys[at : at + size], keys[at + size : at + 2 * size]
            k2, k3 = keys[at + 2 * size : at + 3 * size], keys[at + 3 * size : at + 4 * size]
            s0 = s1 = s2 = s3 = np.float32(0.0)
            for i in range(size):
                value = query[i]
                s0 += value * load(k0, i)
                s1 += value * load(k1, i)
                s2 += value * load(k2, i)
                s3 += value * load(k3, i)
            out[offset + j], out[offset + j + 1] = s0, s1
            out[offset + j + 2], out[offset + j + 3] = s2, s3
        for j in range(count - (count - skip) % 4, count):
            k0 = keys[j * size : (j + 1) * size]
            s0 = np.float32(0.0)
            for i in range(size):
                s0 += query[i] * load(k0, i)
            out[offset + j] = s0


@inner
def _gather(weights: Any, values: Any, skip: Any, sums: Any, offset: int) -> None:
    """sums[head] += weights[head, offset + j] · values[j], for j from `skip`; four at once."""
    heads, size = sums.shape
    count = len(values) // size
    for head in range(heads):
        into, mine = sums[head], weights[head]
        for j in range(skip, count - 3, 4):
            at = j * size
            a, b = mine[offset + j], mine[offset + j + 1]
            c, e = mine[offset + j + 2], mine[offset + j + 3]
            v0, v1 = values[at : at + size], values[at + size : at + 2 * size]
            v2, v3 = values[at + 2 * size : at + 3 * size], values[at + 3 * size : at + 4 * size]
            for i in range(size):
                into[i] += a * load(v0, i) + b * load(v1, i) + c * load(v2, i) + e * load(v3, i)
        for j in range(count - (count - skip) % 4, count):
            a, v0 = mine[offset + j], values[j * size : (j + 1) * size]
            for i in range(size):
                into[i] += a * load(v0, i)


@inner
def _softmax(scores: Any, scale: Any) -> None:
    """In place: softmax(scale · scores)."""
    top = scores[0]
    for j in range(len(scores)):
        top = max(top, scores[j])
    total = np.float32(0.0)
    for j in range(len(scores)):
        scores[j] = exp((scores[j] - top) * np.float32(scale))
    for j in range(len(scores)):
        total += scores[j]
    inverse = np.float32(1.0) / total
    for j in range(len(scores)):
        scores[j] *= inverse


@kernel
def attend(
    mixed: Any,  # [rows · (heads + 2 groups) · size]: queries, keys, values
    query_norm: Any,  # [size] or empty
    key_norm: Any,
    unit: float,
    epsilon: float,
    cosine: Any,  # [rows, size] float32
    sine: Any,
    prefix: Any,  # keys, values [2, groups · columns · size] that all rows share
    prompts: Any,  # [2, …]: blocks of keys, values [groups · tokens · size] that a prompt's completions share
    prompt_start: Any,  # [rows]: where the prompt's block begins, in tokens
    prompt_length: Any,  # [rows]
    own: Any,  # [2, …]: likewise, each row's own tokens
    start: Any,  # [rows]
    length: Any,  # [rows]: own tokens before this one
    capacity: Any,  # [rows]: tokens that the row's block has room for
    groups: int,
    size: int,
    scale: float,
    window: int,  # tokens that a token sees, itself included; 0 for all
    out: Any,  # [rows · heads · size]
) -> None:
    """Rotate queries and keys, keep the new keys and values, attend to prefix, prompt and own tokens."""
    rows = len(start)
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
            turn(line_in[head * size : (head + 1) * size], norm, unit, epsilon, cos, sin, turned[head])
        asked, made = int64(prompt_length[row]), int64(length[row])
        count = shared + asked + made + 1
        skipped = int64(0) if window == 0 else max(int64(0), count - window)
        after_prefix, after_prompt = max(int64(0), skipped - shared), max(int64(0), skipped - shared - asked)
        scores = np.empty((share, count), np.float32)
        sums = np.empty((share, size), np.float32)
        for group in range(groups):
            p = group * shared * size
            q = (int64(prompt_start[row]) * groups + group * asked) * size
            o = (int64(start[row]) * groups + group * int64(capacity[row])) * size
            new_key = own[0, o + made * size : o + (made + 1) * size]
            new_value = own[1, o + made * size : o + (made + 1) * size]
            given = line_in[(heads + groups + group) * size : (heads + groups + group + 1) * size]
            for i in range(size):
                store(new_key, i, turned[heads + group, i])
                new_value[i] = given[i]
            queries = turned[group * share : (group + 1) * share]
            _score(queries, prefix[0, p : p + shared * size], min(skipped, shared), scores, 0)
            _score(queries, prompts[0, q : q + asked * size], min(after_prefix, asked), scores, shared)
            _score(queries, own[0, o : o + (made + 1) * size], after_prompt, scores, shared + asked)
            for head in range(share):
                _softmax(scores[head, skipped:], scale)
                for i in range(size):
                    sums[head, i] = np.float32(0.0)
            _gather(scores, prefix[1, p : p + shared * size], min(skipped, shared), sums, 0)
            _gather(scores, prompts[1, q : q + asked * size], min(after_prefix, asked), sums, shared)
            _gather(scores, own[1, o : o + (made + 1) * size], after_prompt, sums, shared + asked)
            for head in range(share):
                at = (row * heads + group * share + head) * size
                to, total = out[at : at + size], sums[head]
                for i in range(size):
                    store(to, i, total[i])


@kernel
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
        top = load(line, 0)
        for i in range(vocabulary):
            top = max(top, load(line, i))
        warm = temperature[row]
        inverse = np.float32(min(1.0 / warm, 1e30)) if warm > 0 else np.float32(1.0)
        ends = np.empty(blocks, np.float64)
        total, mass = 0.0, 0.0
        for number in range(blocks):
            part = line[number * block : min((number + 1) * block, vocabulary)]
            plain, tempered = np.float32(0.0), np.float32(0.0)
            for i in range(len(part)):
                plain += exp(load(part, i) - top)
            total += plain
            if warm > 0:
                for i in range(len(part)):
                    tempered += exp((load(part, i) - top) * inverse)
                mass += tempered
            ends[number] = mass
        best = int64(0)
        if warm > 0:
            best = _reached(line, ends, uniform[row] * mass, top, inverse, block)
        else:
            while load(line, best) != top:
                best += 1
        tokens[row] = best
        logprobs[row] = (load(line, best) - top) - np.log(total)


@inner
def _reached(line: Any, ends: Any, target: Any, top: Any, inverse: Any, block: Any) -> Any:
    """The first token whose cumulative weight exceeds the target; `ends` are those of the blocks."""
    number = 0
    while number < len(ends) - 1 and ends[number] <= target:
        number += 1
    reached = ends[number - 1] if number else 0.0
    last = number * block
    for i in range(number * block, min((number + 1) * block, len(line))):
        share = exp((load(line, i) - top) * inverse)
        reached += share
        if share > 1e-37:  # what exp makes of anything below -85
            last = i
        if reached > target:
            return i
    return last  # rounding between the two sums left nothing above the target
