"""Raw completions over HTTP are the engine's own, in one piece and streamed, and prompts can be scored."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from live import Live, choices_of

from candor.engine.local import LocalEngine
from candor.engine.protocol import Sampling

PATH = "/v1/completions"
PROMPT = "hello wörld 😀"
SAMPLED: dict[str, Any] = {"temperature": 1.0, "seed": 7, "max_tokens": 24}


def ids_of(engine: LocalEngine, text: str) -> list[int]:
    return engine.tokenizer(text)["input_ids"]  # type: ignore[return-value]


def test_a_completion_is_what_the_engine_writes(server: Live, engine: LocalEngine) -> None:
    (expected,) = engine.generate([PROMPT], Sampling(max_tokens=30))[0].completions
    found = server.post(PATH, prompt=PROMPT, max_tokens=30, temperature=0, return_token_ids=True)
    (choice,) = found["choices"]
    assert choice["text"] == expected.text
    assert tuple(choice["token_ids"]) == expected.token_ids
    assert choice["finish_reason"] == expected.finish_reason
    assert choice["prompt_token_ids"] == ids_of(engine, PROMPT)
    assert choice["logprobs"] is None
    counted = len(ids_of(engine, PROMPT)), len(expected.token_ids)
    assert found["usage"] == {
        "prompt_tokens": counted[0],
        "completion_tokens": counted[1],
        "total_tokens": sum(counted),
    }
    assert found["object"] == "text_completion"
    assert found["model"] == "tiny"


def test_sampling_with_a_seed_gives_the_engines_samples_and_n_share_one_prefill(
    server: Live, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    read = server.models[0].engine._prefill.read
    monkeypatch.setattr(
        server.models[0].engine._prefill,
        "read",
        lambda prompts, *a: reads.append(len(prompts)) or read(prompts, *a),
    )
    prompts = [PROMPT, "another"]
    sampling = Sampling(max_tokens=24, temperature=1.0, seed=7, n=3, top_p=0.9, top_k=50, min_p=0.01)
    expected = [
        completion.token_ids
        for generation in engine.generate(prompts, sampling)
        for completion in generation.completions
    ]
    body = {**SAMPLED, "n": 3, "top_p": 0.9, "top_k": 50, "min_p": 0.01, "return_token_ids": True}
    for _ in range(2):
        found = server.post(PATH, prompt=prompts, **body)
        assert [tuple(choice["token_ids"]) for choice in found["choices"]] == expected
        assert [choice["index"] for choice in found["choices"]] == list(range(6))
    assert sum(reads) == 4, "two prompts, twice"
    other = server.post(PATH, prompt=prompts, **{**body, "seed": 8})
    assert [tuple(choice["token_ids"]) for choice in other["choices"]] != expected


def test_without_a_seed_each_request_draws_anew(server: Live) -> None:
    texts = {server.post(PATH, prompt="x", max_tokens=20)["choices"][0]["text"] for _ in range(3)}
    assert len(texts) == 3


def test_a_prompt_may_be_text_or_token_ids_or_a_list_of_either(server: Live, engine: LocalEngine) -> None:
    ids, other = ids_of(engine, PROMPT), ids_of(engine, "other")
    texts = {}
    for name, prompt in {
        "text": PROMPT,
        "texts": [PROMPT, "other"],
        "ids": ids,
        "lists": [ids, other],
        "mixed": [PROMPT, other],
    }.items():
        found = server.post(PATH, prompt=prompt, max_tokens=12, temperature=0)
        texts[name] = [choice["text"] for choice in found["choices"]]
    assert texts["text"] == texts["ids"] == texts["texts"][:1]
    assert texts["texts"] == texts["lists"] == texts["mixed"]


def test_best_of_returns_the_likeliest_by_mean_logprob(server: Live) -> None:
    everything = server.post(PATH, prompt=PROMPT, n=6, logprobs=0, **SAMPLED)["choices"]
    best = server.post(PATH, prompt=PROMPT, n=2, best_of=6, logprobs=0, **SAMPLED)
    means = [
        sum(choice["logprobs"]["token_logprobs"]) / len(choice["logprobs"]["tokens"]) for choice in everything
    ]
    order = sorted(range(6), key=lambda place: -means[place])[:2]
    assert [choice["text"] for choice in best["choices"]] == [everything[place]["text"] for place in order]
    assert [choice["index"] for choice in best["choices"]] == [0, 1]
    assert best["usage"]["completion_tokens"] == sum(len(c["logprobs"]["tokens"]) for c in everything)


# --- log-probabilities ---------------------------------------------------------------------------------


@pytest.mark.parametrize("max_tokens", [0, 1, 5])
@pytest.mark.parametrize("logprobs", [0, 3])
def test_an_echoed_prompt_is_scored_as_the_engine_scores_it(
    server: Live, engine: LocalEngine, max_tokens: int, logprobs: int
) -> None:
    texts = [PROMPT, "he said hello", "é", "x"]
    prompts = [ids_of(engine, text) for text in texts]
    found = server.post(
        PATH, prompt=prompts, max_tokens=max_tokens, temperature=0, echo=True, logprobs=logprobs
    )
    scores = engine.score_tokens([(ids[:1], ids[1:]) for ids in prompts])
    for choice, ids, expected, text in zip(found["choices"], prompts, scores, texts, strict=True):
        parts = choice["logprobs"]
        assert len({len(part) for part in parts.values()}) == 1
        assert parts["token_logprobs"][0] is None
        assert parts["top_logprobs"][0] is None
        assert parts["token_logprobs"][1 : len(ids)] == pytest.approx(expected, abs=1e-5)
        drawn = len(parts["tokens"]) - len(ids)
        assert (drawn == max_tokens) or (choice["finish_reason"] == "stop" and drawn < max_tokens)
        assert choice["text"].startswith(text)
        for own, best in zip(parts["token_logprobs"][1:], parts["top_logprobs"][1:], strict=True):
            assert own in best.values()
            assert logprobs <= len(best) <= logprobs + 1 or "bytes:" in "".join(best)


def test_whether_a_token_is_the_likeliest_can_be_told_from_its_logprob(
    server: Live, engine: LocalEngine
) -> None:
    """As lm-eval does: a token is greedy when its log-probability is that of the best alternative."""
    ids = ids_of(engine, PROMPT)
    (greedy,) = engine.generate([ids], Sampling(max_tokens=6, ignore_end=True))[0].completions
    whole = [*ids, *greedy.token_ids, 77, 78]
    found = server.post(PATH, prompt=whole, max_tokens=1, temperature=0, echo=True, logprobs=1)
    parts = found["choices"][0]["logprobs"]
    flags = [
        own == max(best.values())
        for own, best in zip(parts["token_logprobs"][1:], parts["top_logprobs"][1:], strict=True)
    ]
    assert flags[len(ids) - 1 : len(ids) + 5] == [True] * 6
    assert flags[len(ids) + 5 : len(whole) - 1] == [False] * 2


def test_a_token_drawn_behind_a_scored_prompt_is_the_one_that_decoding_draws(server: Live) -> None:
    body = {
        "prompt": [PROMPT, "other"],
        "temperature": 1.0,
        "seed": 3,
        "n": 4,
        "max_tokens": 1,
        "logprobs": 2,
    }
    plain, echoed = server.post(PATH, **body), server.post(PATH, echo=True, **body)
    for one, other in zip(plain["choices"], echoed["choices"], strict=True):
        assert other["text"].endswith(one["text"])
        assert one["logprobs"]["tokens"] == other["logprobs"]["tokens"][-1:]
        assert other["logprobs"]["token_logprobs"][-1] == pytest.approx(
            one["logprobs"]["token_logprobs"][0], abs=1e-5
        )


def test_offsets_say_where_tokens_begin_in_the_text(server: Live) -> None:
    found = server.post(PATH, prompt="he 😀 é", max_tokens=0, echo=True, logprobs=0)["choices"][0]
    assert found["text"] == "he 😀 é"
    # 😀 is three bytes in one token and a fourth, which ends it.
    assert found["logprobs"]["tokens"] == ["he", " ", "bytes:\\xf0\\x9f\\x98", "bytes:\\x80", " ", "é"]
    assert found["logprobs"]["text_offset"] == [0, 2, 3, 3, 4, 5]
    long = server.post(PATH, prompt="he", max_tokens=30, echo=True, logprobs=0, seed=1)["choices"][0]
    offsets = long["logprobs"]["text_offset"]
    assert offsets == sorted(offsets)
    assert offsets[1] == 2
    assert offsets[-1] <= len(long["text"])


def test_penalties_and_biases_act_as_in_process(server: Live, engine: LocalEngine) -> None:
    sampling = Sampling(
        max_tokens=20,
        temperature=0.5,
        seed=1,
        frequency_penalty=1.5,
        presence_penalty=-0.5,
        logit_bias=((70, 3.0), (80, -100.0)),
    )
    (expected,) = engine.generate([PROMPT], sampling)[0].completions
    found = server.post(
        PATH,
        prompt=PROMPT,
        max_tokens=20,
        temperature=0.5,
        seed=1,
        frequency_penalty=1.5,
        presence_penalty=-0.5,
        logit_bias={"70": 3, "80": -100},
        return_token_ids=True,
        logprobs=0,
    )["choices"][0]
    assert tuple(found["token_ids"]) == expected.token_ids
    assert found["logprobs"]["token_logprobs"] == pytest.approx(expected.logprobs, abs=1e-5)


# --- where a completion ends ---------------------------------------------------------------------------


def test_a_stop_string_across_tokens_ends_the_text_before_it(server: Live) -> None:
    whole = server.post(PATH, prompt=PROMPT, ignore_eos=True, **SAMPLED)["choices"][0]["text"]
    stop = whole[9:12]
    assert whole.find(stop) == 9
    cut = server.post(PATH, prompt=PROMPT, ignore_eos=True, stop=["nowhere", stop], **SAMPLED)["choices"][0]
    assert cut["text"] == whole[:9]
    assert cut["finish_reason"] == "stop"


def test_ignore_eos_goes_on_behind_an_end_token(server: Live) -> None:
    bias = {"2": 100}  # nothing but the end token
    body = {"prompt": "x", "max_tokens": 5, "logit_bias": bias, "logprobs": 0}
    ended = server.post(PATH, **body)["choices"][0]
    assert (ended["finish_reason"], ended["text"]) == ("stop", "")
    assert ended["logprobs"]["tokens"] == ["<|end|>"]
    onward = server.post(PATH, ignore_eos=True, **body)["choices"][0]
    assert onward["finish_reason"] == "length"
    assert onward["logprobs"]["tokens"] == ["<|end|>"] * 5


# --- streams -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n": 3},
        {"prompt": ["hello", "wörld"], "n": 2, "echo": True},
        {"logprobs": 2, "echo": True},
        {"logprobs": 2, "return_token_ids": True},
        {"stop": ["e", "\u00a4z"], "ignore_eos": True},
        {"echo": True, "max_tokens": 0},
        {"echo": True, "max_tokens": 0, "logprobs": 1},
        {"echo": True, "max_tokens": 1, "logprobs": 1, "n": 2},
    ],
    ids=str,
)
def test_a_stream_adds_up_to_the_answer_in_one_piece(server: Live, options: dict[str, Any]) -> None:
    body = {"prompt": PROMPT, **SAMPLED, **options}
    whole = server.post(PATH, **body)
    chunks = server.stream(PATH, **body, stream_options={"include_usage": True})
    assert chunks[-1]["usage"] == whole["usage"]
    assert chunks[-1]["choices"] == []
    assert len({chunk["id"] for chunk in chunks}) == 1
    pieces = choices_of(chunks, "text")
    assert sorted(pieces) == list(range(len(whole["choices"])))
    for choice in whole["choices"]:
        parts = pieces[choice["index"]]
        assert "".join(part["text"] for part in parts) == choice["text"]
        assert [part["finish_reason"] for part in parts] == [None] * (len(parts) - 1) + [
            choice["finish_reason"]
        ]
        if choice["logprobs"]:
            for name in ("tokens", "token_logprobs", "top_logprobs"):
                joined = [*itertools.chain.from_iterable(p["logprobs"][name] for p in parts)]
                assert joined == choice["logprobs"][name]
        if "token_ids" in choice:
            assert [*itertools.chain.from_iterable(p["token_ids"] for p in parts)] == choice["token_ids"]


def test_a_stream_never_shows_half_a_character(server: Live, engine: LocalEngine) -> None:
    """The model is made to write an emoji, whose bytes are several tokens."""
    smile = ids_of(engine, "😀")
    # Presence penalties make each token come once: in the order of the biases.
    bias = {str(token): 90 - 30 * place for place, token in enumerate(smile)}
    body = {
        "prompt": "x",
        "max_tokens": len(smile),
        "temperature": 0,
        "logit_bias": bias,
        "presence_penalty": 2,
        "frequency_penalty": 2,
        "return_token_ids": True,
    }
    chunks = [choice for chunk in server.stream(PATH, **body) for choice in chunk["choices"]]
    tokens = [token for chunk in chunks for token in chunk["token_ids"]]
    text = "".join(chunk["text"] for chunk in chunks)
    assert text == engine.tokenizer.decode(tokens)
    if tokens == smile:
        assert [chunk["text"] for chunk in chunks] == [""] * (len(smile) - 1) + ["😀"]


def test_a_chunk_is_one_line_to_any_reader_of_lines(server: Live) -> None:
    text = "a\u2028b\u2029c\x85d\x1ce\r\n"
    found = server.http.post(PATH, json={"prompt": text, "max_tokens": 0, "echo": True, "stream": True})
    assert len(found.text.splitlines()) == 4, "a chunk, an empty line, [DONE], an empty line"
    (chunk,) = server.stream(PATH, prompt=text, max_tokens=0, echo=True)
    assert chunk["choices"][0]["text"] == text


def test_each_token_is_its_own_chunk_where_alternatives_are_asked_for(server: Live) -> None:
    chunks = server.stream(PATH, prompt=PROMPT, logprobs=4, ignore_eos=True, **SAMPLED)
    assert len(chunks) == 24
    for chunk in chunks:
        parts = chunk["choices"][0]["logprobs"]
        assert len(parts["tokens"]) == 1
        assert parts["token_logprobs"][0] in parts["top_logprobs"][0].values()


# --- refusals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": [[]]}, "prompt"),
        ({"prompt": {"a": 1}}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": [1, True]}, "prompt"),
        ({"prompt": [1.5]}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": [268]}, "prompt"),
        ({"prompt": [10**30]}, "prompt"),
        ({"prompt": ["x"] * 513}, "prompt"),
        ({"prompt": "x" * 600}, "prompt"),
        ({"prompt": "x", "max_tokens": -1}, "max_tokens"),
        ({"prompt": "x", "max_tokens": 0}, "max_tokens"),
        ({"prompt": "x", "max_tokens": 10**30}, "prompt"),
        ({"prompt": "x", "temperature": -1}, "temperature"),
        ({"prompt": "x", "temperature": "hot"}, "temperature"),
        ({"prompt": "x", "top_p": 0}, "top_p"),
        ({"prompt": "x", "top_p": 1.5}, "top_p"),
        ({"prompt": "x", "top_k": -2}, "top_k"),
        ({"prompt": "x", "top_k": 10**30}, "top_k"),
        ({"prompt": "x", "min_p": 2}, "min_p"),
        ({"prompt": "x", "n": 0}, "n"),
        ({"prompt": "x", "n": 513}, "n"),
        ({"prompt": "x", "n": 3, "best_of": 2}, "best_of"),
        ({"prompt": "x", "best_of": 2, "stream": True}, "best_of"),
        ({"prompt": "x", "stop": ["a"] * 17}, "stop"),
        ({"prompt": "x", "stop": ["a" * 513]}, "stop"),
        ({"prompt": "x", "stop": [""]}, "stop"),
        ({"prompt": "x", "seed": 2**63}, "seed"),
        ({"prompt": "x", "logprobs": 21}, "logprobs"),
        ({"prompt": "x", "logprobs": -1}, "logprobs"),
        ({"prompt": "x", "frequency_penalty": 3}, "frequency_penalty"),
        ({"prompt": "x", "logit_bias": {"5": 101}}, "logit_bias"),
        ({"prompt": "x", "logit_bias": {"a": 1}}, "logit_bias"),
        ({"prompt": "x", "logit_bias": {"268": 1}}, "logit_bias"),
        ({"prompt": "x", "logit_bias": {"-1": 1}}, "logit_bias"),
        ({"prompt": "x", "suffix": "end"}, "suffix"),
        ({"prompt": "x", "stream_options": 3}, "stream_options"),
    ],
    ids=str,
)
def test_bad_values_are_400_and_name_the_field(server: Live, body: dict[str, Any], param: str) -> None:
    error = server.refused(PATH, **body)
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert len(error["message"]) < 400


def test_what_does_not_fit_the_context_has_a_code_of_its_own(server: Live) -> None:
    assert server.refused(PATH, prompt="x" * 500, max_tokens=13)["code"] == "context_length_exceeded"
    assert server.post(PATH, prompt="x" * 500, max_tokens=12, temperature=0)
    echoed = server.post(PATH, prompt="x" * 512, max_tokens=0, echo=True, logprobs=0)
    assert len(echoed["choices"][0]["logprobs"]["tokens"]) == 512


def test_nulls_and_unknown_fields_are_as_if_they_were_not_there(server: Live) -> None:
    plain = server.post(PATH, prompt="x", max_tokens=5, temperature=0)
    odd = server.post(
        PATH, prompt="x", max_tokens=5, temperature=0, seed=None, stop=None, n=None, user="u", whatever=[1]
    )
    assert odd["choices"] == plain["choices"]
