"""Requests share batches, give back what a client leaves behind, and are told when there is too much."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from live import Live, until

from byte_models import byte_engine

PATH = "/v1/completions"


def slowed(live: Live, seconds: float) -> Callable[[], int]:
    """Make each step of the first model take at least so long; returns a counter of steps."""
    flow, steps = live.worker._flow, [0]
    step = flow.step

    def slow() -> Any:
        steps[0] += 1
        time.sleep(seconds)
        return step()

    flow.step = slow  # type: ignore[method-assign]
    return lambda: steps[0]


def post_raw(live: Live, body: dict[str, Any]) -> socket.socket:
    data = json.dumps(body).encode()
    head = f"POST {PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return live.raw(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)


def test_requests_that_run_at_once_share_steps_and_get_what_they_get_alone(server: Live) -> None:
    bodies = [
        {"prompt": f"number {i}", "max_tokens": 30, "seed": i, "n": 1 + i % 3, "ignore_eos": True}
        for i in range(16)
    ]
    alone = [server.post(PATH, **body)["choices"] for body in bodies]
    before = server.numbers()['candor_step_seconds_count{model="tiny"}']
    with ThreadPoolExecutor(16) as pool:
        together = [*pool.map(lambda body: server.post(PATH, **body)["choices"], bodies)]
    steps = server.numbers()['candor_step_seconds_count{model="tiny"}'] - before
    assert together == alone
    assert steps < 16 * 30 / 2, "one by one it would be 480"


def test_prompts_to_score_are_scored_many_in_one_pass(server: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    engine = server.models[0].engine
    read = engine.read
    monkeypatch.setattr(engine, "read", lambda pairs, **k: calls.append(len(pairs)) or read(pairs, **k))
    server.post(PATH, prompt=[f"text {i}" for i in range(50)], max_tokens=1, echo=True, logprobs=1)
    assert sum(calls) == 50
    assert len(calls) < 5


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_stops_its_work(stream: bool) -> None:
    with Live({"tiny": byte_engine()}) as live:
        steps = slowed(live, 0.02)
        connection = post_raw(
            live, {"prompt": "x", "max_tokens": 400, "n": 4, "stream": stream, "ignore_eos": True}
        )
        until(lambda: live.worker._flow.rows == 4)
        connection.close()
        until(lambda: live.worker._flow.rows == 0)
        assert steps() < 300
        assert live.numbers()['candor_cancelled_total{model="tiny"}'] == 4
        assert not live.worker._jobs
        assert live.post(PATH, prompt="x", max_tokens=2)


def test_a_client_that_goes_away_while_it_waits_is_never_served() -> None:
    with Live({"tiny": byte_engine()}, max_rows=1) as live:
        slowed(live, 0.01)
        first = post_raw(live, {"prompt": "x", "max_tokens": 100, "ignore_eos": True})
        until(lambda: live.worker._flow.rows == 1)
        second = post_raw(live, {"prompt": "y", "max_tokens": 100, "ignore_eos": True})
        until(lambda: live.worker.waiting == 1)
        second.close()
        assert first.recv(100).startswith(b"HTTP/1.1 200")
        until(lambda: not live.worker._flow.busy)
        assert live.numbers()['candor_generated_tokens_total{model="tiny"}'] == 100
        first.close()


def test_a_full_queue_is_429_and_says_when_to_come_back() -> None:
    with Live({"tiny": byte_engine()}, max_rows=1, max_queue=2) as live:
        slowed(live, 0.02)
        running = post_raw(live, {"prompt": "x", "max_tokens": 200, "ignore_eos": True})
        until(lambda: live.worker._flow.rows == 1)
        waiting = [post_raw(live, {"prompt": "x", "max_tokens": 1}) for _ in range(2)]
        until(lambda: live.worker.waiting == 2)
        found = live.http.post(PATH, json={"prompt": "x", "max_tokens": 1})
        assert found.status_code == 429
        assert found.headers["retry-after"] == "1"
        assert found.json()["error"]["code"] == "queue_full"
        streamed = live.http.post(PATH, json={"prompt": "x", "max_tokens": 1, "stream": True})
        assert streamed.status_code == 429, "a stream's refusal is a status, too"
        running.close()
        for connection in waiting:
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
            connection.close()


def test_a_request_may_not_ask_for_more_memory_than_there_is() -> None:
    with Live({"tiny": byte_engine()}, max_cache_tokens=200) as live:
        assert live.refused(PATH, prompt="x", n=4, max_tokens=50)["param"] == "n"
        assert len(live.post(PATH, prompt="x", n=3, max_tokens=50)["choices"]) == 3
        # Several requests wait for one another instead.
        with ThreadPoolExecutor(4) as pool:
            found = [*pool.map(lambda _: live.post(PATH, prompt="x", n=3, max_tokens=50), range(4))]
        assert [len(one["choices"]) for one in found] == [3] * 4


def test_a_failing_step_is_500_for_its_requests_and_the_next_ones_work(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with Live({"tiny": byte_engine()}) as live:

        def fail(*_: Any) -> Any:
            raise RuntimeError("out of memory, say")

        with monkeypatch.context() as patch:
            patch.setattr(live.worker._flow, "step", fail)
            error = live.refused(PATH, 500, prompt="my secret", max_tokens=2)
            assert error["type"] == "server_error"
        with monkeypatch.context() as patch:
            patch.setattr(live.worker._flow, "step", fail)
            chunks = live.stream(PATH, prompt="my secret", max_tokens=2)
            assert chunks[-1]["error"]["type"] == "server_error"
        with monkeypatch.context() as patch:
            patch.setattr(live.models[0].engine, "read", fail)
            assert live.refused(PATH, 500, prompt="my secret", max_tokens=0, echo=True, logprobs=1)
        assert live.post(PATH, prompt="x", max_tokens=2)
        assert live.numbers()['candor_failures_total{model="tiny"}'] == 3
        assert "out of memory, say" in caplog.text, "the cause is in the log"
        assert "my secret" not in caplog.text, "what was sent is not"


def test_a_server_that_is_stopped_lets_running_requests_end() -> None:
    live = Live({"tiny": byte_engine()})
    slowed(live, 0.005)
    found: list[httpx.Response] = []
    body = {"prompt": "x", "max_tokens": 100, "ignore_eos": True}
    client = threading.Thread(target=lambda: found.append(httpx.post(live.url + PATH, json=body, timeout=60)))
    client.start()
    until(lambda: live.worker._flow.rows == 1)
    live.stop()
    client.join()
    assert found[0].status_code == 200
    assert found[0].json()["usage"]["completion_tokens"] == 100
    assert not live.worker.alive
    with pytest.raises(httpx.ConnectError):
        httpx.get(live.url + "/health")


def test_what_outlasts_the_grace_is_broken_off() -> None:
    live = Live({"tiny": byte_engine(context=4096)}, grace_seconds=1)
    slowed(live, 0.05)
    connection = post_raw(live, {"prompt": "x", "max_tokens": 4000, "ignore_eos": True})
    until(lambda: live.worker._flow.rows == 1)
    begun = time.monotonic()
    live.stop()
    assert time.monotonic() - begun < 10
    connection.close()


def test_two_models_work_beside_each_other() -> None:
    with Live({"one": byte_engine(), "two": byte_engine(kind="qwen3")}) as live:
        bodies = [
            {"model": name, "prompt": f"p{i}", "max_tokens": 20, "seed": i}
            for i in range(6)
            for name in ("one", "two")
        ]
        alone = [live.post(PATH, **body)["choices"] for body in bodies]
        with ThreadPoolExecutor(12) as pool:
            assert [*pool.map(lambda body: live.post(PATH, **body)["choices"], bodies)] == alone
        cards = live.http.get("/v1/models").json()["data"]
        assert [card["id"] for card in cards] == ["one", "two"]
        numbers = live.numbers()
        assert numbers['candor_completions_total{model="two",reason="length"}'] > 0


def test_metrics_count_what_happened() -> None:
    with Live({"tiny": byte_engine()}) as live:
        found = live.post(PATH, prompt="hello", max_tokens=7, ignore_eos=True, n=2)
        live.refused(PATH, prompt="")
        numbers = live.numbers()
    assert numbers['candor_prompt_tokens_total{model="tiny"}'] == found["usage"]["prompt_tokens"]
    assert numbers['candor_generated_tokens_total{model="tiny"}'] == 14
    assert numbers['candor_completions_total{model="tiny",reason="length"}'] == 2
    assert numbers['candor_requests_total{path="/v1/completions",status="200"}'] == 1
    assert numbers['candor_requests_total{path="/v1/completions",status="400"}'] == 1
    assert numbers['candor_rows{model="tiny"}'] == numbers['candor_waiting{model="tiny"}'] == 0
    assert numbers['candor_first_token_seconds_count{model="tiny"}'] == 2


@pytest.mark.slow
def test_64_clients_for_two_minutes_lose_nothing() -> None:
    """Every request is answered, streams end with [DONE], and at the end nothing is left in the server."""
    with Live({"tiny": byte_engine(context=1024)}) as live:
        deadline, lost = time.monotonic() + 120, []

        def client(number: int) -> int:
            done = 0
            with httpx.Client(base_url=live.url, timeout=120) as http:
                while time.monotonic() < deadline:
                    body = {
                        "prompt": f"client {number} request {done} " * (1 + done % 9),
                        "max_tokens": 1 + (7 * number + done) % 60,
                        "seed": done,
                        "n": 1 + done % 3,
                        "ignore_eos": True,
                        "stream": done % 2 == 1,
                        "echo": done % 5 == 0,
                        "logprobs": 2 if done % 5 == 0 else None,
                    }
                    answer = http.post(PATH, json=body)
                    if answer.status_code != 200 or not _complete(answer, body):
                        lost.append((body, answer.status_code, answer.text[:200]))
                    done += 1
            return done

        with ThreadPoolExecutor(64) as pool:
            counts = [*pool.map(client, range(64))]
        assert not lost
        assert min(counts) > 0
        until(lambda: not live.worker._flow.busy)
        numbers = live.numbers()
        assert numbers['candor_requests_total{path="/v1/completions",status="200"}'] == sum(counts)
        assert not live.worker._jobs
        print(f"{sum(counts)} requests, {min(counts)} to {max(counts)} a client")


def _complete(answer: httpx.Response, body: dict[str, Any]) -> bool:
    if not body["stream"]:
        return len(answer.json()["choices"]) == body["n"]
    events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    ends = [c for e in events[:-1] for c in json.loads(e)["choices"] if c["finish_reason"]]
    return events[-1] == "[DONE]" and len(ends) == body["n"]
