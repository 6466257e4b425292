"""Requests that come and go get what they would get alone, in their order, and leave nothing behind."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_engine import KINDS, PROMPTS, ids_of, tiny_engine, words

from candor.core.errors import CandorError
from candor.engine.cache import BatchCache
from candor.engine.flow import Flow, Room
from candor.engine.local import LocalEngine
from candor.engine.protocol import Sampling
from candor.engine.rows import Request
from candor.engine.slots import Arena, Slots

ROOM = Room(rows=6, prefill_tokens=64)
PLAN = [
    Sampling(max_tokens=9),
    Sampling(max_tokens=14, temperature=1.0, n=3, seed=5, top_p=0.9),
    Sampling(max_tokens=6, temperature=1.2, seed=2, min_p=0.1, frequency_penalty=1.0, top_logprobs=3),
    Sampling(max_tokens=1),
]


def requests(**options: Any) -> list[Request]:
    return [
        Request(ids_of(prompt), [PLAN[place % len(PLAN)]], **options)
        for place, prompt in enumerate(PROMPTS["apart"])
    ]


def finish(flow: Flow) -> None:
    while flow.busy:
        flow.step()


def alone(engine: LocalEngine, request: Request) -> list[tuple[int, ...]]:
    (generation,) = engine.generate([request.ids], request.settings)
    return [completion.token_ids for completion in generation.completions]


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_requests_that_join_at_any_time_get_what_they_get_alone(kind: str, compiled: bool) -> None:
    engine = tiny_engine(kind)
    if not compiled:
        engine._decoder = None
    expected = [alone(engine, request) for request in requests()]
    for seed in range(2):
        waiting, draw, flow = requests(), random.Random(seed), engine.flow(ROOM)
        everything = list(waiting)
        while waiting or flow.busy:
            for _ in range(draw.choice([0, 0, 1, 3])):
                if waiting:
                    flow.submit(waiting.pop(0))
            flow.step()
        found = [[tuple(row.tokens) for row in request.rows] for request in everything]
        assert found == expected
        assert all(row.finish for request in everything for row in request.rows)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_cancelled_requests_leave_at_the_next_step_and_disturb_nobody(kind: str) -> None:
    engine = tiny_engine(kind, ends=[])
    kept, gone = requests(), requests()
    expected = [alone(engine, request) for request in requests()]
    flow = engine.flow(Room(rows=64, prefill_tokens=512))
    for one, other in zip(kept, gone, strict=True):
        flow.submit(other, one)
    flow.step()
    flow.step()
    before = flow.rows
    for request in gone:
        request.cancelled = True
    flow.step()
    assert flow.rows < before
    finish(flow)
    assert [[tuple(row.tokens) for row in request.rows] for request in kept] == expected
    assert all(len(row.tokens) <= 2 for request in gone for row in request.rows)


def test_requests_cancelled_while_they_wait_are_never_read() -> None:
    flow, waiting = tiny_engine().flow(ROOM), requests()
    flow.submit(*waiting)
    for request in waiting:
        request.cancelled = True
    assert flow.step() == []
    assert not flow.busy
    assert not any(request.rows for request in waiting)


def test_first_come_first_served() -> None:
    engine, order = tiny_engine(ends=[]), []
    flow = engine.flow(Room(rows=2, prefill_tokens=512))
    waiting = [Request(ids_of(words(5, seed)), [Sampling(max_tokens=3)], index=seed) for seed in range(7)]
    flow.submit(*waiting)
    while flow.busy:
        order += [row.request.index for row in flow.step() if len(row.tokens) == 1]
        assert flow.rows <= 2
    assert order == list(range(7))


def test_tokens_come_out_at_the_step_that_draws_them() -> None:
    engine = tiny_engine(ends=[])
    flow, request = engine.flow(ROOM), Request(ids_of(words(5)), [Sampling(max_tokens=5)])
    flow.submit(request)
    seen = []
    while flow.busy:
        (row,) = flow.step()
        seen.append(row.tokens[-1])
        assert len(row.tokens) == len(seen)
        assert (row.finish == "length") == (len(seen) == 5)
    assert tuple(seen) == alone(engine, request)[0]


def test_a_prompts_hook_may_forbid_a_first_token_or_give_up() -> None:
    engine = tiny_engine(ends=[])
    first = alone(engine, Request(ids_of(words(5)), [Sampling(max_tokens=2)]))[0]
    seen = []

    def judge(request: Request, logits_V: torch.Tensor) -> None:
        assert request.hidden is not None
        assert request.hidden.shape == (1, 32)
        seen.append(int(logits_V.argmax()))
        if request.index:
            request.cancelled = True
        else:
            request.forbid_first(seen[-1])

    both = [
        Request(ids_of(words(5)), [Sampling(max_tokens=2)], index, hidden_layers=[2], on_read=judge)
        for index in (0, 1)
    ]
    other = Request(ids_of(words(7)), [Sampling(max_tokens=4)])
    expected = alone(engine, other)
    flow = engine.flow(ROOM)
    flow.submit(both[0], other, both[1])
    finish(flow)
    assert seen == [first[0]] * 2
    assert both[0].rows[0].tokens[0] != first[0]
    assert both[1].rows[0].tokens == []
    assert [tuple(row.tokens) for row in other.rows] == expected


def test_rows_never_take_more_memory_than_there_is_room_for() -> None:
    engine = tiny_engine(ends=[])
    flow = engine.flow(Room(rows=64, prefill_tokens=512, tokens=60))
    waiting = [Request(ids_of(words(10, seed)), [Sampling(max_tokens=10)]) for seed in range(8)]
    flow.submit(*waiting)
    most = 0
    while flow.busy:
        flow.step()
        most = max(most, flow.rows)
    assert most == 3
    assert all(row.finish for request in waiting for row in request.rows)


def test_text_is_watched_as_it_grows() -> None:
    engine = tiny_engine(ends=[])
    request = Request(ids_of(words(5)), [Sampling(max_tokens=6)], watched=True, continues=True)
    flow, pieces = engine.flow(ROOM), []
    flow.submit(request)
    while flow.busy:
        for row in flow.step():
            assert row.growing is not None
            pieces.append(row.growing.take())
    assert "".join(pieces) == " " + engine.tokenizer.decode(request.rows[0].tokens)
    assert all(piece.startswith(" w") for piece in pieces)


@pytest.mark.parametrize(
    ("settings_", "ids", "message"),
    [
        ({}, [], "an empty prompt"),
        ({}, [3, 97], "token 97 does not exist.*97 tokens"),
        ({}, [-1], "token -1 does not exist"),
        ({"logit_bias": ((500, 1.0),)}, [3], "token 500 does not exist"),
        ({"max_tokens": 95}, [3, 4], "has 2 tokens.*context of 96"),
    ],
)
def test_what_the_model_can_not_do_is_told_before_anything_is_computed(
    settings_: dict[str, Any], ids: list[int], message: str
) -> None:
    with pytest.raises(CandorError, match=message):
        tiny_engine().check(Request(ids, [Sampling(**settings_)]))


def test_token_ids_are_prompts_as_they_are() -> None:
    engine = tiny_engine()
    texts = PROMPTS["shared"]
    plan = Sampling(max_tokens=8, temperature=1.0, n=2)
    by_ids = engine.generate([ids_of(text) for text in texts], plan)
    assert by_ids == engine.generate(texts, plan)
    assert engine.score([ids_of(texts[0])], ["w20 w21"]) == engine.score(texts[:1], ["w20 w21"])


def test_readings_are_scores_with_alternatives_from_the_same_sum() -> None:
    engine = tiny_engine(prefill_tokens=40)
    texts = [ids_of(words(length, seed=1)) for length in (2, 9, 30, 17)]
    pairs = [(ids[:1], ids[1:]) for ids in texts]
    scores = engine.score_tokens(pairs)
    for ids, plain, reading in zip(texts, scores, engine.read(pairs, top=97, last=True), strict=True):
        assert list(reading.logprobs) == plain
        assert reading.last_V is not None
        assert reading.last_V.shape == (97,)
        for token, logprob, (tokens, values) in zip(ids[1:], reading.logprobs, reading.top, strict=True):
            assert list(values) == sorted(values, reverse=True)
            assert values[tokens.index(token)] == logprob  # to the last bit: clients compare them
            assert sum(torch.tensor(values).exp()).item() == pytest.approx(1, abs=1e-4)


# --- memory --------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.data())
def test_blocks_never_overlap_and_what_is_given_back_is_used_again(data: st.DataObject) -> None:
    arena = Arena([torch.zeros(1, 2, 1, 3), torch.zeros(1, 1, 1, 4)])
    taken: dict[int, int] = {}
    for _ in range(data.draw(st.integers(1, 12))):
        if taken and data.draw(st.booleans()):
            start = data.draw(st.sampled_from(sorted(taken)))
            arena.give(start, taken.pop(start))
            continue
        sizes = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
        for start, size in zip(arena.take(sizes), sizes, strict=True):
            assert start not in taken
            taken[start] = size
            for layer in range(2):
                arena.block(layer, start, size).fill_(start)
        for start, size in taken.items():
            assert all(bool((arena.block(layer, start, size) == start).all()) for layer in range(2))
    for start, size in taken.items():
        arena.give(start, size)
    room = arena.tokens
    if room:
        assert arena.take([room]) == [0], "all that was given back is one block again"
        assert arena.tokens == room


def test_memory_goes_by_the_tokens_there_are() -> None:
    """One long prompt among short ones must not make room for its length everywhere."""
    cache = BatchCache(1)
    lengths = [500, *[4] * 63]
    cache.mask = torch.arange(500)[None, :] >= 500 - torch.tensor(lengths)[:, None]
    cache.update(torch.zeros(64, 2, 500, 8), torch.zeros(64, 2, 500, 8), 0)
    slots = Slots(None, cache)
    slots.admit(cache, [[8]] * 64)
    assert slots._prompts.tokens == sum(lengths)
    assert slots._own.tokens == 8 * 64
    slots.keep([1, 2])
    slots.admit(cache, [[8]] * 64)
    assert slots._prompts.tokens <= sum(lengths) + 8 + 500
