"""Clients that people use: the openai package, and Candor's own remote engine."""

from __future__ import annotations

import asyncio

import openai
import pytest
from live import Live

from candor.engine.local import LocalEngine
from candor.engine.protocol import Message, Sampling
from candor.engine.remote import RemoteEngine

TURNS = [Message(role="user", content="hello wörld")]


@pytest.fixture
def client(server: Live) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def test_openai_completes(client: openai.OpenAI, engine: LocalEngine) -> None:
    (expected,) = engine.generate(["hello"], Sampling(max_tokens=12))[0].completions
    found = client.completions.create(model="tiny", prompt="hello", max_tokens=12, temperature=0, logprobs=2)
    assert found.choices[0].text == expected.text
    assert found.choices[0].logprobs is not None
    assert found.choices[0].logprobs.token_logprobs == pytest.approx(expected.logprobs, abs=1e-5)
    assert found.usage is not None
    assert found.usage.completion_tokens == len(expected.token_ids)


def test_openai_streams_completions(client: openai.OpenAI) -> None:
    whole = client.completions.create(model="tiny", prompt="hello", max_tokens=20, seed=1)
    stream = client.completions.create(
        model="tiny",
        prompt="hello",
        max_tokens=20,
        seed=1,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == whole.choices[0].text
    assert chunks[-1].usage == whole.usage


def test_openai_chats_and_streams(client: openai.OpenAI, engine: LocalEngine) -> None:
    (expected,) = engine.generate([TURNS], Sampling(max_tokens=12))[0].completions
    turns = [{"role": "user", "content": "hello wörld"}]
    options = {"model": "tiny", "messages": turns, "max_tokens": 12, "temperature": 0}
    found = client.chat.completions.create(**options, logprobs=True, top_logprobs=2)  # type: ignore[call-overload]
    assert found.choices[0].message.content == expected.text
    assert len(found.choices[0].logprobs.content) == len(expected.token_ids)
    stream = client.chat.completions.create(**options, stream=True)  # type: ignore[call-overload]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == expected.text


def test_openai_works_asynchronously_many_at_once(server: Live) -> None:
    async def main() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:

            async def ask(seed: int) -> str:
                stream = await client.completions.create(
                    model="tiny", prompt="hello", max_tokens=20, seed=seed % 4, stream=True
                )
                return "".join([chunk.choices[0].text async for chunk in stream])

            return await asyncio.gather(*(ask(seed) for seed in range(12)))

    texts = asyncio.run(main())
    assert texts[:4] == texts[4:8] == texts[8:]
    assert len(set(texts)) == 4


def test_openai_reads_the_models_and_the_errors(client: openai.OpenAI) -> None:
    (card,) = client.models.list().data
    assert (card.id, card.owned_by) == ("tiny", "candor")
    assert client.models.retrieve("tiny").id == "tiny"
    with pytest.raises(openai.BadRequestError, match="temperature") as caught:
        client.completions.create(model="tiny", prompt="x", temperature=-1)
    assert caught.value.param == "temperature"
    with pytest.raises(openai.NotFoundError, match="no model 'gpt-4' here"):
        client.completions.create(model="gpt-4", prompt="x")


PROMPTS = ["hello wörld", [20, 21, 22, 270 - 20], TURNS]


def test_the_remote_engine_gets_the_local_engines_completions(server: Live, engine: LocalEngine) -> None:
    remote = RemoteEngine(server.url)
    assert (remote.model_name, remote.chat) == ("tiny", True)
    sampling = Sampling(
        max_tokens=14, top_logprobs=3, logit_bias=((70, 2.0),), frequency_penalty=0.5, stop=("q",)
    )
    for here, there in zip(
        engine.generate(PROMPTS, sampling), remote.generate(PROMPTS, sampling), strict=True
    ):
        (mine,), (theirs,) = here.completions, there.completions
        assert (theirs.text, theirs.finish_reason) == (mine.text, mine.finish_reason)
        assert theirs.token_ids == mine.token_ids
        assert theirs.logprobs == pytest.approx(mine.logprobs, abs=1e-5)
        assert there.prompt_tokens == here.prompt_tokens
    beyond = Sampling(max_tokens=14, ignore_end=True, min_p=0.2, presence_penalty=-1.0)
    assert len(remote.generate(["x"], beyond)[0].completions[0].token_ids) == 14


def test_the_remote_engine_gets_the_local_engines_scores(server: Live, engine: LocalEngine) -> None:
    completions = [" and more", "é", "fine"]
    here = engine.score(PROMPTS, completions)
    there = RemoteEngine(server.url).score(PROMPTS, completions)
    for mine, theirs in zip(here, there, strict=True):
        assert theirs == pytest.approx(mine, abs=1e-5)


def test_the_remote_engine_needs_the_key(engine: LocalEngine) -> None:
    with Live({"tiny": engine}, api_key="k3y") as live:
        assert RemoteEngine(live.url, api_key="k3y").generate(["x"], Sampling(max_tokens=2))
        with pytest.raises(Exception, match=r"does not accept the API key|wants an API key"):
            RemoteEngine(live.url, api_key="other")
