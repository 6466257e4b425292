"""Who may ask: the key, the name asked for, the page asked from; and how much they may send."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import pytest
from live import Live

from byte_models import byte_engine
from candor.serve.server import hosts_for

BODY = {"prompt": "x", "max_tokens": 1}


@pytest.fixture(scope="module")
def locked() -> Iterator[Live]:
    """A server with a key, a small body and little patience."""
    with Live({"tiny": byte_engine()}, api_key="s3cret", max_body_bytes=2000, body_seconds=0.5) as live:
        yield live


@pytest.mark.parametrize(
    "header",
    [None, "", "s3cret", "Bearer", "Bearer wrong", "Bearer s3cret2", "Basic s3cret", "Bearer s3cret s3cret"],
)
def test_without_the_key_nothing_but_health_answers(locked: Live, header: str | None) -> None:
    headers = {} if header is None else {"authorization": header}
    for method, path in (
        ("GET", "/v1/models"),
        ("POST", "/v1/completions"),
        ("GET", "/metrics"),
        ("GET", "/x"),
    ):
        found = locked.http.request(method, path, headers=headers)
        assert found.status_code == 401, path
        assert found.json()["error"]["code"] == "invalid_api_key"
        assert found.headers["www-authenticate"] == "Bearer"
    assert locked.http.get("/health", headers=headers).json() == {"status": "ok"}


def test_with_the_key_it_answers(locked: Live) -> None:
    headers = {"authorization": "Bearer s3cret"}
    assert locked.http.post("/v1/completions", json=BODY, headers=headers).status_code == 200
    assert locked.http.get("/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "localhost.evil.example", "", "127.0.0.2"]
)
def test_a_loopback_server_answers_under_its_own_names_only(server: Live, host: str) -> None:
    found = server.http.get("/v1/models", headers={"host": host})
    assert found.status_code == 403
    assert found.json()["error"]["code"] == "unknown_host"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:9", "localhost."])
def test_names_of_loopback_are_its_own(server: Live, host: str) -> None:
    assert server.http.get("/v1/models", headers={"host": host}).status_code == 200


def test_a_server_for_a_network_answers_under_any_name() -> None:
    assert hosts_for("0.0.0.0") is None
    assert hosts_for("127.0.0.5") == {"localhost", "127.0.0.1", "::1", "127.0.0.5"}
    with Live({"tiny": byte_engine()}, hosts=None) as live:
        assert live.http.get("/health", headers={"host": "any.example"}).status_code == 200


def test_pages_of_other_sites_are_refused_and_no_cors_header_is_sent(server: Live) -> None:
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{server.port + 1}", "http://[", "x"):
        found = server.http.post("/v1/completions", json=BODY, headers={"origin": origin})
        assert found.status_code == 403, origin
    own = server.http.post("/v1/completions", json=BODY, headers={"origin": server.url})
    assert own.status_code == 200
    assert not any(name.startswith("access-control") for name in own.headers)


def test_a_body_that_is_too_large_is_413_announced_or_not(locked: Live) -> None:
    headers = {"authorization": "Bearer s3cret", "content-type": "application/json"}
    data = json.dumps({"prompt": "x" * 3000}).encode()
    assert locked.http.post("/v1/completions", content=data, headers=headers).status_code == 413
    parts = (data[i : i + 500] for i in range(0, len(data), 500))
    found = locked.http.post("/v1/completions", content=parts, headers=headers)  # chunked
    assert found.status_code == 413
    assert found.json()["error"]["code"] == "body_too_large"


def test_a_body_that_does_not_come_is_408(locked: Live) -> None:
    head = b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer s3cret\r\n"
    connection = locked.raw(head + b"content-type: application/json\r\ncontent-length: 50\r\n\r\n{")
    begun = time.monotonic()
    assert b" 408 " in connection.recv(1000)
    assert time.monotonic() - begun < 5
    connection.close()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"prompt": ' + b"1" * 5000 + b"}",
        b"{}x",
    ],
    ids=lambda data: repr(data[:12]),
)
def test_a_body_that_is_no_json_object_is_400(server: Live, data: bytes) -> None:
    for path in ("/v1/completions", "/v1/chat/completions", "/tokenize", "/detokenize"):
        found = server.http.post(path, content=data, headers={"content-type": "application/json"})
        assert found.status_code == 400, found.text
        assert found.json()["error"]["type"] == "invalid_request_error"


def test_half_a_surrogate_pair_is_no_text_and_breaks_no_answer(server: Live) -> None:
    headers = {"content-type": "application/json"}
    for path, body in {
        "/v1/completions": '{"prompt": "a\\ud800"}',
        "/tokenize": '{"prompt": "a\\ud800"}',
        "/v1/chat/completions": '{"messages": [{"role": "user", "content": "\\ud800"}]}',
        "/detokenize": '{"model": "\\ud800", "tokens": []}',
    }.items():
        found = server.http.post(path, content=body, headers=headers)
        assert found.status_code in (400, 404), found.text
        assert found.json()["error"]["message"]


def test_other_content_types_are_not_read(server: Live) -> None:
    """A form or plain text is what a page may send anywhere without asking."""
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        found = server.http.post("/v1/completions", content=json.dumps(BODY), headers={"content-type": kind})
        assert found.status_code == 400


def test_unknown_paths_methods_and_models_have_errors_of_the_same_shape(server: Live) -> None:
    assert server.refused("/v1/nothing", 404)
    assert server.http.get("/v1/completions").status_code == 405
    error = server.refused("/v1/completions", 404, prompt="x", model="gpt-4")
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert server.http.get("/v1/models/gpt-4").status_code == 404
    assert server.http.get("/v1/models/tiny").json()["id"] == "tiny"


def test_garbage_on_the_socket_disturbs_nobody(server: Live) -> None:
    for data in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/9.9\r\n\r\n", b"A" * 100_000):
        connection = server.raw(data)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(100)
        connection.close()
    assert server.http.get("/health").status_code == 200
