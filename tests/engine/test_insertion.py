"""What tools insert leaves a completion what it would be if the same text were the prompt.

The models are random; so that they call, the marks of a call are words that they write by themselves.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
from openai_server import OpenAIServer
from tiny_engine import ENDS, KINDS, PROMPTS, ids_of, tiny_engine, tiny_tokenizer, words

from byte_models import byte_model, byte_tokenizer
from candor.core.errors import CandorError
from candor.engine.flow import Room
from candor.engine.local import LocalEngine
from candor.engine.protocol import Completion, Sampling
from candor.engine.remote import RemoteEngine
from candor.engine.rows import Request
from candor.engine.vllm import VllmEngine
from candor.model.tokens import NewToken, add_tokens
from candor.tools import Calculator, ToolLimits


@dataclass(frozen=True)
class Counted:
    """A call is any text from a word that begins with w3 to one that begins with w5; says how long it was."""

    opening: str = " w3"
    closing: str = " w5"
    name: str = "counted"
    result_opening: str = " w60 w5"  # an end token, and what would close a call
    result_closing: str = " w61"

    def run(self, text: str) -> str:
        return f" w{70 + len(text) % 20}"


OFTEN = Sampling(max_tokens=40, temperature=1.2, n=6, seed=5, tools=(Counted(),), ignore_end=True)
# An engine's requests of all kinds, with tools and without.
PLAN = [
    replace(OFTEN, n=3, top_p=0.95),
    Sampling(max_tokens=9, temperature=1.0, n=2, seed=2),
    replace(OFTEN, n=1, frequency_penalty=0.5, top_logprobs=3, ignore_end=False),
    replace(OFTEN, n=2, max_tokens=25, stop=("w88",)),
]


def often(engine: LocalEngine, **changes: object) -> list[Completion]:
    found = engine.generate(PROMPTS["apart"], replace(OFTEN, **changes))  # type: ignore[arg-type]
    return [completion for generation in found for completion in generation.completions]


def borders(completion: Completion) -> list[tuple[int, int]]:
    """[start, end) of what was inserted."""
    flags = [False, *completion.inserted, False]
    starts = [i for i in range(1, len(flags)) if flags[i] and not flags[i - 1]]
    ends = [i for i in range(1, len(flags)) if flags[i - 1] and not flags[i]]
    return [(start - 1, end - 1) for start, end in zip(starts, ends, strict=True)]


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_what_follows_a_result_is_what_follows_the_same_text_as_a_prompt(kind: str, compiled: bool) -> None:
    engine, seen = tiny_engine(kind, ends=[]), 0
    if not compiled:
        engine._decoder = None
    for prompt in map(ids_of, PROMPTS["apart"]):
        (plain,) = engine.generate([prompt], Sampling(max_tokens=24))
        written = plain.completions[0].token_ids
        closing = next((token for token in written[2:] if token != written[1]), None)
        if closing is None:
            continue
        sampling = Sampling(max_tokens=24, tools=(Counted(f" w{written[1]}", f" w{closing}"),))
        (found,) = engine.generate([prompt], sampling)
        whole = found.completions[0]
        for start, end in borders(whole):
            seen += 1
            if end == len(whole.token_ids):
                continue
            again = replace(sampling, max_tokens=len(whole.token_ids) - end)
            (rest,) = engine.generate([[*prompt, *whole.token_ids[:end]]], again)
            assert rest.completions[0].token_ids == whole.token_ids[end:]
            assert rest.completions[0].logprobs == pytest.approx(whole.logprobs[end:], abs=1e-4)
            inserted = engine.text.decode(whole.token_ids[start:end])
            assert inserted.startswith("w60 w5 w") and inserted.endswith(" w61")
    assert seen >= 5


def test_inserted_tokens_have_the_models_own_logprobs_and_are_flagged() -> None:
    engine = tiny_engine()
    for completion, prompt in zip(
        often(engine), [p for p in PROMPTS["apart"] for _ in range(6)], strict=True
    ):
        (scores,) = engine.score_tokens([(ids_of(prompt), completion.token_ids)])
        assert completion.logprobs == pytest.approx(scores, abs=1e-4)
        assert len(completion.inserted) in (0, len(completion.token_ids))
        for start, end in borders(completion):
            inserted = completion.token_ids[start:end]
            assert inserted[:2] == (60, 5)[: end - start]
            assert inserted[3:] == (61,)[: max(0, end - start - 3)]
    assert sum(len(borders(completion)) for completion in often(engine)) > 40


def test_the_alternatives_at_an_inserted_token_are_those_that_it_was_put_before() -> None:
    for completion in often(tiny_engine(), top_logprobs=97):
        for token, logprob, top in zip(
            completion.token_ids, completion.logprobs, completion.top_logprobs, strict=True
        ):
            assert top[f"w{token}"] == logprob


def alone(engine: LocalEngine, request: Request) -> list[tuple[int, ...]]:
    (generation,) = engine.generate([request.ids], request.settings)
    return [completion.token_ids for completion in generation.completions]


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_completions_with_tools_do_not_depend_on_what_else_is_decoded(kind: str, compiled: bool) -> None:
    engine = tiny_engine(kind)
    if not compiled:
        engine._decoder = None

    def requests() -> list[Request]:
        texts = PROMPTS["apart"]
        return [Request(ids_of(text), [PLAN[i % len(PLAN)]]) for i, text in enumerate(texts)]

    expected = [alone(engine, request) for request in requests()]
    waiting, draw, flow = requests(), random.Random(0), engine.flow(Room(rows=7, prefill_tokens=64))
    everything = list(waiting)
    while waiting or flow.busy:
        for _ in range(draw.choice([0, 0, 1, 3])):
            if waiting:
                flow.submit(waiting.pop(0))
        flow.step()
    assert [[tuple(row.tokens) for row in request.rows] for request in everything] == expected
    assert any(row.calls and any(row.calls.inserted) for request in everything for row in request.rows)


def test_prompts_that_share_a_beginning_and_samples_that_share_a_prompt_call_for_themselves() -> None:
    engine = tiny_engine()
    together = engine.generate(PROMPTS["shared"], OFTEN)
    for index, prompt in enumerate(PROMPTS["shared"]):
        request = Request(ids_of(prompt), [OFTEN], index=index)
        flow = engine.flow(Room(rows=64, prefill_tokens=64))
        flow.submit(request)
        while flow.busy:
            flow.step()
        found = [completion.token_ids for completion in together[index].completions]
        assert [tuple(row.tokens) for row in request.rows] == found
    assert len({c.token_ids for found in together for c in found.completions}) == 6 * len(PROMPTS["shared"])


def test_tools_that_are_never_called_change_nothing() -> None:
    engine = tiny_engine()
    without = often(engine, tools=())
    assert often(engine, tools=(Counted("never", "written"),)) == without
    assert all(completion.inserted == () for completion in without)


def test_no_completion_exceeds_its_limit_and_a_shorter_one_is_the_beginning_of_a_longer() -> None:
    engine = tiny_engine()
    longest = often(engine)
    for limit in range(1, 40):
        for short, long in zip(often(engine, max_tokens=limit), longest, strict=True):
            assert short.token_ids == long.token_ids[:limit]
            assert not any(short.inserted) or short.inserted == long.inserted[:limit]
            assert short.finish_reason == "length"


def test_end_tokens_end_a_completion_only_where_they_are_drawn() -> None:
    engine, passed = tiny_engine(), 0
    for completion in often(engine, ignore_end=False):
        flags = completion.inserted or (False,) * len(completion.token_ids)
        drawn = [token for token, flag in zip(completion.token_ids, flags, strict=True) if not flag]
        passed += sum(flags[i] and token in ENDS for i, token in enumerate(completion.token_ids))
        assert not set(drawn[:-1]) & set(ENDS)
        assert (drawn[-1] in ENDS and not flags[-1]) == (completion.finish_reason == "stop")
    assert passed >= 3


def test_stop_strings_are_looked_for_in_what_the_model_writes() -> None:
    """Nor does a string stop that is written half by the model and half by the tool."""
    engine = tiny_engine()
    free = often(engine)
    last = free[[bool(c.inserted) for c in free].index(True)]
    start, _ = borders(last)[0]
    across = engine.text.decode(last.token_ids[start - 1 : start + 1])
    for found, expected in zip(often(engine, stop=("w60 w5 w", f"{across} w5")), free, strict=True):
        assert found == expected
    stopped = often(engine, stop=("w88",))
    for found, expected in zip(stopped, free, strict=True):
        drawn = [token == 88 and not flag for token, flag in _flagged(expected)]
        assert (found.finish_reason == "stop") == any(drawn)
        if any(drawn):
            assert found.token_ids == expected.token_ids[: drawn.index(True) + 1]
            assert found.text.rstrip() == engine.text.decode(found.token_ids[:-1])


def _flagged(completion: Completion) -> list[tuple[int, bool]]:
    flags = completion.inserted or (False,) * len(completion.token_ids)
    return list(zip(completion.token_ids, flags, strict=True))


def test_streams_give_the_whole_text_with_what_was_inserted() -> None:
    engine = tiny_engine()
    sampling = replace(OFTEN, stop=("w88", "w60 w5 w7"))
    expected = engine.generate([words(5)], sampling)[0].completions
    request, flow = Request(ids_of(words(5)), [sampling], watched=True), engine.flow(Room(8, 64))
    flow.submit(request)
    pieces = [""] * sampling.n
    while flow.busy:
        for row in flow.step():
            assert row.growing is not None
            pieces[row.place] += row.growing.take()
    assert pieces == [completion.text if completion.finish_reason == "length" else piece
                      for completion, piece in zip(expected, pieces, strict=True)]  # fmt: skip
    assert [row.growing.text for row in request.rows if row.growing] == pieces
    assert any(completion.inserted for completion in expected)


def test_a_model_with_tokens_for_the_marks_is_answered_by_tokens() -> None:
    model, tokenizer, tool = byte_model(), byte_tokenizer(), Calculator.by_tokens()
    marks = [tool.opening, tool.closing, tool.result_opening, tool.result_closing]
    ids = add_tokens(model, tokenizer, [NewToken(mark, "a calculator") for mark in marks]).fresh
    engine = LocalEngine(model, tokenizer, name="calls")
    # It writes nothing but marks of calls, ones and plus signs.
    usual = [*(ids[mark] for mark in marks[:2]), *engine.text.encode("1+")]
    sampling = Sampling(
        max_tokens=60, temperature=1.0, n=8, tools=(tool,), logit_bias=tuple((token, 1e4) for token in usual)
    )
    texts = [completion.text for completion in engine.generate(["hello"], sampling)[0].completions]
    whole = " ".join(texts)
    assert "<|calc|>1<|/calc|><|result|>1<|/result|>" in whole or "<|result|>11<|/result|>" in whole
    assert "<|result|>error: " in whole
    assert all(text.count("<|result|>") <= text.count("<|/calc|>") for text in texts)


def test_limits_hold_for_each_completion() -> None:
    for completion in often(tiny_engine(), tool_limits=ToolLimits(tokens=3)):
        # No result fits: all are replaced by an error, of words that the vocabulary lacks.
        for start, end in borders(completion):
            assert end == len(completion.token_ids) or 1 in completion.token_ids[start:end]


def test_engines_that_can_not_insert_say_so_before_they_ask_anything() -> None:
    class Unused:
        """As much of `vllm.LLM` as its engine looks at when it is made."""

        model_config = SimpleNamespace(max_model_len=96)

    sampling = [Sampling(), Sampling(tools=(Counted(),))]
    vllm = VllmEngine(Unused(), tiny_tokenizer(), name="vllm", ends=())
    with pytest.raises(CandorError, match=r"the vllm engine can't insert.*\n.*use the local engine"):
        vllm.generate(["w20"], sampling)
    with OpenAIServer() as server:
        remote = RemoteEngine(server.url)
        with pytest.raises(CandorError, match=r"a server can't insert.*\n.*use the local engine"):
            remote.generate(["w20"], sampling)
        assert server.bodies() == []
