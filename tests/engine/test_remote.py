"""The remote engine against a real server on a real socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest
from openai_server import OpenAIServer, chat_text, draw

from candor.core.errors import CandorError
from candor.engine import endpoint
from candor.engine.endpoint import api_url
from candor.engine.protocol import Message, Sampling
from candor.engine.remote import RemoteEngine

GREEDY = Sampling(max_tokens=5)
SAMPLED = Sampling(max_tokens=5, temperature=0.7, n=4, seed=3)


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture(autouse=True)
def _quick_and_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses, and no key or proxy from the tester's own environment."""
    monkeypatch.setattr(endpoint, "_FIRST_PAUSE", 0.01)
    for name in ("OPENAI_API_KEY", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def text_of(prompt: str, seed: int, sample: int = 0, length: int = 5) -> str:
    return "".join(token for token, _ in draw(prompt, seed, sample, length))


def user(content: str) -> list[Message]:
    return [{"role": "user", "content": content}]


# --- generation ---------------------------------------------------------------------------------------


def test_completions_keep_the_order_of_the_prompts_however_long_each_takes(server: OpenAIServer) -> None:
    server.delay = lambda body: 0.05 if body["prompt"] in ("0", "3") else 0.0
    prompts = [str(index) for index in range(12)]
    progress: list[int] = []
    generations = RemoteEngine(server.url).generate(prompts, GREEDY, on_progress=progress.append)
    seeds = {body["prompt"]: body["seed"] for body in server.bodies()}
    assert [g.completions[0].text for g in generations] == [text_of(p, seeds[p]) for p in prompts]
    assert [g.prompt_tokens for g in generations] == [len(p) for p in prompts]
    assert sum(progress) == len(prompts)


def test_messages_go_to_the_chat_endpoint_and_text_to_the_completion_endpoint(server: OpenAIServer) -> None:
    engine = RemoteEngine(server.url)
    chat, raw = engine.generate([user("hi"), "hi"], GREEDY)
    paths = {path: body["seed"] for path, body in server.requests}
    assert chat.completions[0].text == text_of(
        chat_text([{"role": "user", "content": "hi"}]), paths["/v1/chat/completions"]
    )
    assert raw.completions[0].text == text_of("hi", paths["/v1/completions"])


def test_logprobs_and_alternatives_are_the_servers(server: OpenAIServer) -> None:
    sampling = Sampling(max_tokens=5, top_logprobs=1)
    chat, raw = RemoteEngine(server.url).generate([user("hi"), "hi"], sampling)
    for generation, prompt in ((chat, "<user>hi<assistant>"), (raw, "hi")):
        body = next(b for b in server.bodies() if b.get("prompt", "<user>hi<assistant>") == prompt)
        drawn = draw(prompt, body["seed"], 0, 5)
        (completion,) = generation.completions
        assert completion.logprobs == tuple(p for _, p in drawn)
        assert completion.top_logprobs == tuple({t: p} for t, p in drawn)
        assert completion.finish_reason == "length"
        assert completion.token_ids == ()


def test_settings_are_separate_requests_and_come_back_in_order(server: OpenAIServer) -> None:
    (generation,) = RemoteEngine(server.url).generate(["hi"], [GREEDY, SAMPLED])
    greedy, sampled = sorted(server.bodies(), key=lambda body: body["temperature"])
    assert "n" not in greedy and sampled["n"] == 4
    expected = [text_of("hi", greedy["seed"])] + [text_of("hi", sampled["seed"], i) for i in range(4)]
    assert [c.text for c in generation.completions] == expected


def test_same_seed_same_samples_and_other_seed_or_prompt_other_samples(server: OpenAIServer) -> None:
    engine = RemoteEngine(server.url)
    first = engine.generate(["a", "a"], SAMPLED)
    again = engine.generate(["a", "a"], SAMPLED)
    other = engine.generate(["a"], Sampling(max_tokens=5, temperature=0.7, n=4, seed=4))
    assert first == again
    assert first[0] != first[1]
    assert first[0] != other[0]


def test_greedy_copies_are_asked_for_once(server: OpenAIServer) -> None:
    server.refuses = {"n": "n must be 1 when using greedy sampling"}  # vLLM's rule
    (generation,) = RemoteEngine(server.url).generate(["hi"], Sampling(max_tokens=5, n=3))
    assert len(generation.completions) == 3
    assert len(set(generation.completions)) == 1
    assert len(server.bodies()) == 1


@pytest.mark.parametrize("most", [1, 3])
def test_samples_that_a_server_leaves_out_are_asked_for_again(server: OpenAIServer, most: int) -> None:
    server.most_choices = most
    (generation,) = RemoteEngine(server.url).generate(["hi"], SAMPLED)
    seeds = [body["seed"] for body in server.bodies()]
    expected = [text_of("hi", seed, i) for seed in seeds for i in range(most)][:4]
    assert [c.text for c in generation.completions] == expected
    assert len(set(seeds)) == len(seeds) == -(-4 // most)


def test_a_server_that_refuses_n_is_asked_for_one_sample_at_a_time(server: OpenAIServer) -> None:
    server.refuses = {"n": "only one choice is supported"}
    engine = RemoteEngine(server.url, concurrency=1)
    generations = engine.generate(["a", "b"], SAMPLED)
    assert [len(set(g.completions)) for g in generations] == [4, 4]
    assert sum("n" in body for body in server.bodies()) == 1  # remembered


def test_a_server_without_logprobs_gives_completions_without_them(server: OpenAIServer) -> None:
    server.logprobs = False
    (generation,) = RemoteEngine(server.url).generate(["hi"], GREEDY)
    assert generation.completions[0].logprobs == ()
    assert generation.completions[0].text


def test_refused_logprobs_are_left_out_unless_alternatives_were_asked_for(server: OpenAIServer) -> None:
    server.refuses = {"logprobs": "this model has no logprobs"}
    engine = RemoteEngine(server.url, concurrency=1)
    generations = engine.generate(["a", "b"], GREEDY)
    assert all(g.completions[0].text and g.completions[0].logprobs == () for g in generations)
    assert sum("logprobs" in body for body in server.bodies()) == 1  # remembered
    with pytest.raises(CandorError, match="this model has no logprobs"):
        engine.generate(["a"], Sampling(max_tokens=5, top_logprobs=2))


def test_max_completion_tokens_is_used_where_the_server_asks_for_it(server: OpenAIServer) -> None:
    server.refuses = {"max_tokens": "Unsupported parameter: use 'max_completion_tokens' instead."}
    (generation,) = RemoteEngine(server.url).generate(["hi"], GREEDY)
    assert generation.completions[0].text
    assert server.bodies()[-1]["max_completion_tokens"] == 5
    assert "logprobs" in server.bodies()[-1]


def test_defaults_of_known_servers_are_switched_off_and_unknown_servers_get_standard_fields(
    server: OpenAIServer,
) -> None:
    standard = {"model", "prompt", "max_tokens", "temperature", "top_p", "seed", "logprobs"}
    RemoteEngine(server.url).generate(["hi"], GREEDY)
    assert set(server.bodies()[-1]) == standard
    RemoteEngine(server.url).generate(["hi"], Sampling(top_k=7, stop=("\n",)))
    assert set(server.bodies()[-1]) == standard | {"top_k", "stop"}
    server.models = [{"id": "toy", "owned_by": "vllm"}]
    RemoteEngine(server.url).generate(["hi"], GREEDY)
    body = server.bodies()[-1]
    assert (body["top_k"], body["min_p"], body["repetition_penalty"]) == (0, 0.0, 1.0)


def test_token_ids_are_kept_where_a_server_gives_them(server: OpenAIServer) -> None:
    content = [{"token": "a", "logprob": -0.5, "id": 7}, {"token": "b", "logprob": -1.5, "id": 9}]
    choice = {"text": "ab", "logprobs": {"content": content}, "finish_reason": "stop"}  # llama.cpp
    server.answer = lambda _path, _body: {"choices": [choice]}
    (generation,) = RemoteEngine(server.url).generate(["hi"], GREEDY)
    assert generation.completions[0].token_ids == (7, 9)
    assert generation.completions[0].logprobs == (-0.5, -1.5)
    assert generation.completions[0].finish_reason == "stop"


def test_chat_is_false_when_the_server_refuses_messages(server: OpenAIServer) -> None:
    assert RemoteEngine(server.url).chat
    server.refuses = {"messages": "the model has no chat template"}
    assert not RemoteEngine(server.url).chat


# --- failures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [(429, "slow down"), (500, "oops"), (503, "loading"), (0, ""), (200, '{"choices": [')]
)
def test_a_passing_failure_is_outlasted(server: OpenAIServer, fault: tuple[int, str]) -> None:
    engine = RemoteEngine(server.url, concurrency=1)
    (calm,) = engine.generate(["hi"], GREEDY)
    server.faults.append(fault)
    assert engine.generate(["hi"], GREEDY) == [calm]


def test_our_patience_begins_where_the_clients_ends(server: OpenAIServer) -> None:
    server.faults.extend([(503, "restarting")] * 7)  # the client alone gives up after three
    assert RemoteEngine(server.url).generate(["hi"], GREEDY)[0].completions[0].text


@pytest.mark.parametrize(("status", "words"), [(500, "keeps failing"), (429, "too many requests")])
def test_a_lasting_failure_says_what_the_server_said(server: OpenAIServer, status: int, words: str) -> None:
    engine = RemoteEngine(server.url, patience=0.05)
    server.faults.extend([(status, '{"error": {"message": "out of memory on rank 3"}}')] * 200)
    with pytest.raises(CandorError, match=words) as caught:
        engine.generate(["hi"], GREEDY)
    assert "out of memory on rank 3" in caught.value.message
    assert caught.value.fix


def test_the_first_error_stops_the_rest(server: OpenAIServer) -> None:
    engine = RemoteEngine(server.url, concurrency=2)
    server.refuses = {"stop": "too many stop strings"}
    with pytest.raises(CandorError, match=r"prompt \d+: .*too many stop strings"):
        engine.generate(["hi"] * 200, Sampling(stop=("a",)))
    assert len(server.bodies()) < 50


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("<html>hello</html>", "Invalid JSON"),
        ("[]", "should be an object"),
        ("{}", "choices"),
        ('{"choices": []}', "choices"),
        ('{"choices": [{}]}', "neither text nor message"),
        ('{"choices": [{"text": 3}]}', "text"),
        (
            '{"choices": [{"text": "a", "logprobs": {"content": [{"token": "a", "logprob": 2.5}]}}]}',
            "logprob",
        ),
        (
            '{"choices": [{"text": "a", "logprobs": {"content": [{"token": "a", "logprob": NaN}]}}]}',
            "logprob",
        ),
        ('{"choices": [{"text": "a", "logprobs": {"tokens": ["a"], "token_logprobs": []}}]}', "length"),
    ],
)
def test_an_answer_of_another_shape_is_refused_in_plain_words(
    server: OpenAIServer, answer: str, words: str
) -> None:
    engine = RemoteEngine(server.url)
    server.faults.extend([(200, answer)] * 2)
    with pytest.raises(CandorError, match="not what an OpenAI-compatible server sends") as caught:
        engine.generate(["hi"], GREEDY)
    assert words in caught.value.message


def test_a_server_that_is_down_is_named_with_a_fix() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(CandorError) as caught:
            RemoteEngine(url)
    assert url in caught.value.message
    assert "start the server" in str(caught.value)


def test_a_server_that_hangs_ends_in_an_error(server: OpenAIServer) -> None:
    engine = RemoteEngine(server.url, timeout=0.05)
    server.delay = lambda _body: 0.5
    with pytest.raises(CandorError, match=r"did not answer within 0\.05 s"):
        engine.generate(["hi"], GREEDY)


def test_a_missing_or_wrong_key_names_where_to_put_it(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.api_key = "sesame"
    for key, words in ((None, "wants an API key"), ("wrong", "does not accept the API key")):
        with pytest.raises(CandorError, match=words) as caught:
            RemoteEngine(server.url, api_key=key)
        assert "OPENAI_API_KEY" in str(caught.value)
        assert "--api-key" in str(caught.value)
    monkeypatch.setenv("OPENAI_API_KEY", "sesame\n")
    assert RemoteEngine(server.url).generate(["hi"], GREEDY)


def test_the_model_is_the_only_one_or_must_be_named(server: OpenAIServer) -> None:
    assert RemoteEngine(server.url).model_name == "toy"
    server.models = [{"id": "small"}, {"id": "large"}]
    with pytest.raises(CandorError, match="2 models: small, large"):
        RemoteEngine(server.url)
    assert RemoteEngine(server.url, model="large").model_name == "large"
    server.models = []
    with pytest.raises(CandorError, match="no models"):
        RemoteEngine(server.url)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1"),
        ("https://api.openai.com/v1/chat/completions", "https://api.openai.com/v1"),
        ("https://api.groq.com/openai/v1", "https://api.groq.com/openai/v1"),
        ("https://example.com/v1beta/openai", "https://example.com/v1beta/openai"),
    ],
)
def test_the_api_version_is_added_to_a_url_that_lacks_it(given: str, meant: str) -> None:
    assert api_url(given) == meant


@pytest.mark.parametrize("given", ["localhost:8000", "ftp://host/v1", "http://", ""])
def test_what_is_not_a_url_is_refused(given: str) -> None:
    with pytest.raises(CandorError, match="not the URL of a server"):
        api_url(given)


# --- scoring ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", ["", "<s>"])
def test_scoring_by_echo_keeps_the_completions_tokens_alone(server: OpenAIServer, start: str) -> None:
    server.start_token = start
    scores = RemoteEngine(server.url).score(["Paris is", "a"], [" big", ""])
    assert scores == [[-ord(c) / 256 for c in " big"], []]


def test_an_echo_that_does_not_add_up_is_refused(server: OpenAIServer) -> None:
    echoed = {"tokens": ["Paris", "\ufffd"], "token_logprobs": [None, -1.0]}
    server.answer = lambda _path, _body: {"choices": [{"text": "Paris é", "logprobs": echoed}]}
    with pytest.raises(CandorError, match="don't add up"):
        RemoteEngine(server.url).score(["Paris"], [" é"])


def test_scoring_after_messages_needs_a_server_that_tokenises(server: OpenAIServer) -> None:
    with pytest.raises(CandorError, match="chat template") as caught:
        RemoteEngine(server.url).score([user("hi")], ["yes"])
    assert "local engine" in str(caught.value)
    server.models = [{"id": "toy", "owned_by": "vllm"}]
    assert RemoteEngine(server.url).score([user("hi")], ["yes"]) == [[-ord(c) / 256 for c in "yes"]]
    (scored,) = server.bodies("/v1/completions")[-1:]
    assert bytes(scored["prompt"]).decode() == "<user>hi<assistant>yes"


def test_requests_are_plain_json_with_no_key_material(server: OpenAIServer) -> None:
    engine = RemoteEngine(server.url, api_key="sesame")
    engine.generate([user("hi")], SAMPLED)
    assert "sesame" not in json.dumps(server.requests)
