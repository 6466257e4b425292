"""Messages go through the template; a base model says so; a gate's confidence comes along and acts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from live import Live, choices_of

from byte_models import byte_engine
from candor.engine.gate import ABSTENTION, Gate
from candor.engine.local import LocalEngine
from candor.engine.protocol import Sampling
from candor.model.probe import LinearProbe

PATH = "/v1/chat/completions"
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "be kind"},
    {"role": "user", "content": "hello wörld"},
]


def test_a_reply_is_what_the_engine_writes_behind_the_template(server: Live, engine: LocalEngine) -> None:
    (generation,) = engine.generate([MESSAGES], Sampling(max_tokens=20))  # type: ignore[list-item]
    found = server.post(PATH, messages=MESSAGES, max_tokens=20, temperature=0, return_token_ids=True)
    (choice,) = found["choices"]
    assert choice["message"] == {
        "role": "assistant",
        "content": generation.completions[0].text,
        "refusal": None,
    }
    assert tuple(choice["token_ids"]) == generation.completions[0].token_ids
    assert found["usage"]["prompt_tokens"] == generation.prompt_tokens
    assert found["object"] == "chat.completion"
    assert "candor" not in found


def test_logprobs_carry_bytes_and_alternatives(server: Live, engine: LocalEngine) -> None:
    (expected,) = engine.generate(
        [MESSAGES],  # type: ignore[list-item]
        Sampling(max_tokens=12, temperature=1.0, seed=4, top_logprobs=3),
    )[0].completions
    found = server.post(
        PATH, messages=MESSAGES, max_tokens=12, seed=4, temperature=1, logprobs=True, top_logprobs=3
    )
    content = found["choices"][0]["logprobs"]["content"]
    assert [entry["logprob"] for entry in content] == pytest.approx(expected.logprobs, abs=1e-5)
    for entry in content:
        assert [len(entry["top_logprobs"]), len(entry["bytes"]) > 0] == [3, True]
        best = [one["logprob"] for one in entry["top_logprobs"]]
        assert best == sorted(best, reverse=True)
    text = b"".join(bytes(e["bytes"]) for e in content if not e["token"].startswith("<|"))
    assert text.decode("utf-8", "replace") == found["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    "options", [{}, {"n": 2, "logprobs": True, "top_logprobs": 2}, {"stop": "e"}], ids=str
)
def test_a_stream_adds_up_to_the_reply(server: Live, options: dict[str, Any]) -> None:
    body = {"messages": MESSAGES, "seed": 5, "max_tokens": 16, **options}
    whole = server.post(PATH, **body)
    chunks = server.stream(PATH, **body, stream_options={"include_usage": True})
    assert chunks[-1]["usage"] == whole["usage"]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    for index, parts in choices_of(chunks, "delta").items():
        choice = whole["choices"][index]
        assert parts[0]["delta"]["role"] == "assistant"
        assert "".join(part["delta"].get("content") or "" for part in parts) == choice["message"]["content"]
        assert parts[-1]["finish_reason"] == choice["finish_reason"]
        if choice["logprobs"]:
            joined = [entry for part in parts if part["logprobs"] for entry in part["logprobs"]["content"]]
            assert joined == choice["logprobs"]["content"]


def test_tools_parts_and_roles_reach_the_template(server: Live, engine: LocalEngine) -> None:
    tools = [{"type": "function", "function": {"name": "add", "parameters": {}}}]
    turns: list[dict[str, Any]] = [
        {
            "role": "developer",
            "content": [{"type": "text", "text": "be "}, {"type": "text", "text": "brief"}],
        },
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function"}]},
        {"role": "tool", "content": "4", "tool_call_id": "1"},
    ]
    found = server.post("/tokenize", messages=turns, tools=tools)["text"]
    assert found.startswith('<|turn|>tools [{"type": "function"')
    assert found.endswith(
        "<|turn|>system be brief<|end|>\n<|turn|>assistant <|end|>\n<|turn|>tool 4<|end|>\n<|turn|>assistant "
    )
    body = {"messages": turns, "max_tokens": 1, "temperature": 0}
    with_tools = server.post(PATH, tools=tools, **body)["usage"]["prompt_tokens"]
    without = server.post(PATH, **body)["usage"]["prompt_tokens"]
    assert with_tools > without
    assert server.post(PATH, tools=tools, tool_choice="none", **body)["usage"]["prompt_tokens"] == without


def test_without_a_limit_a_reply_may_fill_the_context(server: Live) -> None:
    found = server.post(PATH, messages=MESSAGES, ignore_eos=True)
    assert found["usage"]["total_tokens"] == 512
    assert found["choices"][0]["finish_reason"] == "length"
    newer = server.post(PATH, messages=MESSAGES, ignore_eos=True, max_completion_tokens=3)
    assert newer["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages"),
        ({"messages": MESSAGES, "top_logprobs": 2}, "top_logprobs"),
        ({"messages": MESSAGES, "logprobs": True, "top_logprobs": 21}, "logprobs"),
        ({"messages": MESSAGES, "max_tokens": 0}, "max_tokens"),
        ({"messages": MESSAGES, "response_format": {"type": "json_object"}}, "response_format"),
        ({"messages": [{"role": "user", "content": "x" * 600}]}, "prompt"),
    ],
    ids=str,
)
def test_bad_values_are_400_and_name_the_field(server: Live, body: dict[str, Any], param: str) -> None:
    assert server.refused(PATH, **body)["param"] == param


def test_a_base_model_says_that_it_is_one_and_a_choking_template_that_it_is_that() -> None:
    engines = {
        "base": byte_engine(template=None),
        "picky": byte_engine(template="{{ raise_exception('no ' + messages[0].role) }}"),
        "broken": byte_engine(template="{{ messages[0].content.nothing.there }}"),
    }
    with Live(engines) as live:
        error = live.refused(PATH, model="base", messages=MESSAGES)
        assert error["code"] == "no_chat_template"
        assert "/v1/completions" in error["message"]
        assert live.post("/v1/completions", model="base", prompt="x", max_tokens=2)
        assert "no system" in live.refused(PATH, model="picky", messages=MESSAGES)["message"]
        assert "template" in live.refused(PATH, model="broken", messages=MESSAGES)["message"]
        assert [card["chat"] for card in live.http.get("/v1/models").json()["data"]] == [False, True, True]
        assert live.refused(PATH, messages=MESSAGES)["param"] == "model", "three models: one has to be named"


# --- the gate ------------------------------------------------------------------------------------------


def gate_of(bias: float) -> Gate:
    """Whatever the state, as sure as the bias says."""
    probe = LinearProbe(layer=2, weight=np.zeros(32), bias=0.0, mean=np.zeros(32), scale=np.ones(32))
    return Gate(probe, on_probe=1.0, on_refusal=0.0, bias=bias, threshold=0.5, token=40)


@pytest.fixture(params=["sure", "unsure"])
def gated(request: pytest.FixtureRequest) -> Iterator[tuple[Live, bool]]:
    sure = request.param == "sure"
    gate = gate_of(2.0 if sure else -2.0)
    with Live({"tiny": byte_engine()}, gate=gate, abstain_below=0.5) as live:
        yield live, sure


def test_a_reply_carries_the_models_confidence() -> None:
    with Live({"tiny": byte_engine()}, gate=gate_of(-2.0)) as live:
        found = live.post(PATH, messages=MESSAGES, max_tokens=4, temperature=0)
        assert found["candor"] == {"confidence": 0.1192, "threshold": 0.5, "abstained": False}
        assert found["choices"][0]["message"]["content"] != ABSTENTION
        chunks = live.stream(PATH, messages=MESSAGES, max_tokens=4)
        assert chunks[0]["candor"] == found["candor"]
        assert "candor" not in live.post("/v1/completions", prompt="x")


def test_below_the_threshold_the_gate_answers_instead(gated: tuple[Live, bool]) -> None:
    live, sure = gated
    found = live.post(PATH, messages=MESSAGES, max_tokens=4, temperature=0, n=2)
    assert found["candor"]["abstained"] != sure
    for choice in found["choices"]:
        assert (choice["message"]["content"] == ABSTENTION) != sure
    chunks = live.stream(PATH, messages=MESSAGES, max_tokens=4)
    text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert (text == ABSTENTION) != sure
    assert live.numbers()['candor_abstained_total{model="tiny"}'] == (0 if sure else 2) if not sure else True
    assert live.worker._flow.busy is False


def test_above_the_threshold_the_model_may_not_begin_a_refusal() -> None:
    with Live({"tiny": byte_engine()}) as live:
        body = {"messages": MESSAGES, "max_tokens": 4, "temperature": 0, "return_token_ids": True}
        first = live.post(PATH, **body)["choices"][0]["token_ids"][0]
    gate = Gate(gate_of(0).probe, 1.0, 0.0, 2.0, 0.5, token=first)
    with Live({"tiny": byte_engine()}, gate=gate, abstain_below=0.5) as live:
        assert live.post(PATH, **body)["choices"][0]["token_ids"][0] != first
