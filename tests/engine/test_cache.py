"""A batch's cache holds exactly its rows' tokens, whoever joins and leaves."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from candor.engine.cache import BatchCache

LAYERS, HEADS, WIDTH = 2, 2, 3
Rows = list[list[int]]  # the naive model: each row's tokens, the shared prefix's first


def states(tokens: list[list[int]], layer: int, sign: int) -> torch.Tensor:
    """Keys or values [R, H, T, D] that tell token, layer, head and dimension."""
    token_RT = torch.tensor(tokens, dtype=torch.float64)
    mark_HD = torch.arange(HEADS * WIDTH, dtype=torch.float64).view(HEADS, 1, WIDTH) / 16 + layer * 100_000
    return sign * (token_RT[:, None, :, None] + mark_HD)


def append(cache: BatchCache, tokens: list[list[int]], mask: torch.Tensor) -> None:
    """What a forward pass over these columns does to the cache."""
    cache.mask = torch.cat([cache.mask, mask], dim=1) if cache.mask.numel() else mask
    for layer in range(LAYERS):
        cache.update(states(tokens, layer, 1), states(tokens, layer, -1), layer)


def prefilled(prefix: list[int], rows: Rows) -> BatchCache:
    """Rows behind a prefix, left-padded as the engine does it; padding is token -7."""
    if prefix:
        start = BatchCache(LAYERS)
        append(start, [prefix], torch.ones(1, len(prefix), dtype=torch.bool))
        start.prefix = len(prefix)
        cache = start.rows(torch.zeros(len(rows), dtype=torch.long))
    else:
        cache = BatchCache(LAYERS)
    width = max(len(row) for row in rows)
    padded = [[-7] * (width - len(row)) + row for row in rows]
    append(cache, padded, torch.tensor(padded) != -7)
    return cache


def assert_holds(cache: BatchCache, rows: Rows) -> None:
    assert cache.mask.shape[0] == len(rows)
    assert cache.get_seq_length() == cache.mask.shape[1]
    for layer, (keys, values) in enumerate(cache.parts()):
        assert keys.shape == values.shape == (len(rows), HEADS, cache.mask.shape[1], WIDTH)
        for place, row in enumerate(rows):
            own = cache.mask[place]
            assert torch.equal(keys[place][:, own], states([row], layer, 1)[0])
            assert torch.equal(values[place][:, own], states([row], layer, -1)[0])
            # The newest token is last, and own tokens are without gaps behind the prefix.
            tail = len(row) - cache.prefix
            assert bool(own[: cache.prefix].all())
            assert bool(own[len(own) - tail :].all())


@settings(max_examples=80, deadline=None, derandomize=True)
@given(data=st.data())
def test_rows_that_join_grow_and_leave_keep_exactly_their_tokens(data: st.DataObject) -> None:
    prefix = list(range(900, 900 + data.draw(st.integers(0, 4))))
    counter = iter(range(1, 100_000))

    def new_rows() -> Rows:
        lengths = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
        return [[next(counter) for _ in range(length)] for length in lengths]

    first = new_rows()
    cache, rows = prefilled(prefix, first), [prefix + row for row in first]
    for _ in range(data.draw(st.integers(1, 8))):
        match data.draw(st.sampled_from(["decode", "decode", "choose", "join"])):
            case "decode":
                for _ in range(data.draw(st.sampled_from([1, 2, 40]))):  # 40: more than the spare columns
                    fresh = [next(counter) for _ in rows]
                    append(cache, [[token] for token in fresh], torch.ones(len(rows), 1, dtype=torch.bool))
                    rows = [[*row, token] for row, token in zip(rows, fresh, strict=True)]
            case "choose":
                index = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=4))
                cache, rows = cache.rows(torch.tensor(index)), [rows[i] for i in index]
                # Nothing is kept that no row needs.
                assert cache.mask.shape[1] == max(len(row) for row in rows)
            case "join":
                added = new_rows()
                cache = cache.joined(prefilled(prefix, added))
                rows = rows + [prefix + row for row in added]
        assert_holds(cache, rows)


def test_taking_rows_and_joining_leave_the_sources_as_they_were() -> None:
    a, b = prefilled([900], [[1, 2, 3], [4]]), prefilled([900], [[5, 6]])
    taken, both = a.rows(torch.tensor([1, 1])), a.joined(b)
    for cache in (taken, both):
        rows = cache.mask.shape[0]
        append(cache, [[50]] * rows, torch.ones(rows, 1, dtype=torch.bool))
    assert_holds(a, [[900, 1, 2, 3], [900, 4]])
    assert_holds(b, [[900, 5, 6]])
    assert_holds(taken, [[900, 4, 50], [900, 4, 50]])
    assert_holds(both, [[900, 1, 2, 3, 50], [900, 4, 50], [900, 5, 6, 50]])
