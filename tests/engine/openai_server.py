"""A small OpenAI-compatible server on loopback, with the quirks that real ones have, for the tests.

Its "model" is a function of (prompt, seed, sample): words and log-probabilities drawn from a hash. Every
quirk is an attribute that a test sets.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORDS = ["the", " cat", " sat", " on", " a", " mat", " and", " slept", "."]
Drawn = list[tuple[str, float]]


def draw(prompt: str, seed: int, sample: int, length: int) -> Drawn:
    """The model: `length` tokens with log-probabilities, a function of its arguments."""
    drawn = []
    for step in range(length):
        digest = hashlib.sha256(f"{prompt}|{seed}|{sample}|{step}".encode()).digest()
        drawn.append((WORDS[digest[0] % len(WORDS)], -(1 + digest[1]) / 64))
    return drawn


class OpenAIServer:
    """Serves until `close`; use as a context manager."""

    def __init__(self) -> None:
        self.models: list[dict[str, Any]] = [{"id": "toy", "owned_by": "nobody"}]
        self.faults: deque[tuple[int, str]] = deque()  # (status, body) for the next generating requests
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.api_key: str | None = None
        self.most_choices = 99  # a server that limits or ignores n
        self.refuses: dict[str, str] = {}  # option: what the server says about it
        self.logprobs = True
        self.delay: Callable[[dict[str, Any]], float] = lambda _body: 0.0
        self.start_token = ""  # echoed in front of a prompt
        self.answer: Callable[[str, dict[str, Any]], dict[str, Any]] | None = None  # replaces the model
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_arguments: object) -> None:
                pass

            def do_GET(self) -> None:
                outer._serve(self, {})

            def do_POST(self) -> None:
                outer._serve(self, json.loads(self.rfile.read(int(self.headers["content-length"]))))

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_arguments: object) -> None:
                pass  # a client that gave up, which is what some tests are about

        self._http = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> OpenAIServer:
        return self

    def __exit__(self, *_arguments: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def bodies(self, path: str = "completions") -> list[dict[str, Any]]:
        """The requests received so far whose path ends in `path`."""
        return [body for seen, body in self.requests if seen.endswith(path)]

    def _serve(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        status, text = self._respond(handler, body)
        if status == 0:  # drop the connection
            handler.close_connection = True
            return
        data = text.encode()
        handler.send_response(status)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(data)))
        handler.send_header("retry-after-ms", "1")  # so that the client's own pauses take no time here
        handler.end_headers()
        handler.wfile.write(data)

    def _respond(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> tuple[int, str]:
        path = handler.path
        if self.api_key and handler.headers.get("authorization") != f"Bearer {self.api_key}":
            return 401, '{"error": {"message": "bad key"}}'
        if path == "/v1/models":
            return 200, json.dumps({"object": "list", "data": self.models})
        with self._lock:
            self.requests.append((path, body))
            if self.faults:
                return self.faults.popleft()
        time.sleep(self.delay(body))
        for option, said in self.refuses.items():
            if option in body or option == path:
                return 400, json.dumps({"error": {"message": said}})
        if self.answer:
            return 200, json.dumps(self.answer(path, body))
        if path == "/tokenize":
            text = body["prompt"] if "prompt" in body else chat_text(body["messages"])
            return 200, json.dumps({"tokens": list(text.encode())})
        if path == "/v1/completions":
            return 200, json.dumps(self._completions(body))
        if path == "/v1/chat/completions":
            return 200, json.dumps(
                self._completions({**body, "prompt": chat_text(body["messages"])}, chat=True)
            )
        return 404, '{"error": {"message": "no such path"}}'

    def _completions(self, body: dict[str, Any], *, chat: bool = False) -> dict[str, Any]:
        prompt = body["prompt"]
        if "prompt_logprobs" in body:  # vLLM, token ids
            scored = [None, *({str(token): {"logprob": -token / 256}} for token in prompt[1:])]
            return {"choices": [{"text": "", "prompt_logprobs": scored}]}
        length = body.get("max_tokens", body.get("max_completion_tokens"))
        count = min(body.get("n", 1), self.most_choices)
        samples = [draw(prompt, body.get("seed", 0), sample, length) for sample in range(count)]
        if body.get("echo"):
            echoed: list[tuple[str, float | None]] = [(c, -ord(c) / 256) for c in self.start_token + prompt]
            samples = [[(echoed[0][0], None), *echoed[1:]]]  # type: ignore[list-item]
        choices = [self._choice(index, drawn, body, chat) for index, drawn in enumerate(samples)]
        return {"choices": choices[::-1], "usage": {"prompt_tokens": len(prompt)}}

    def _choice(self, index: int, drawn: Drawn, body: dict[str, Any], chat: bool) -> dict[str, Any]:
        text = "".join(token for token, _ in drawn)
        choice: dict[str, Any] = {"index": index, "finish_reason": "length"}
        choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        if not self.logprobs or "logprobs" not in body:
            return choice
        if chat:
            top = body.get("top_logprobs", 0)
            choice["logprobs"] = {
                "content": [
                    {"token": t, "logprob": p, "top_logprobs": [{"token": t, "logprob": p}] * min(top, 1)}
                    for t, p in drawn
                ]
            }
        else:
            choice["logprobs"] = {
                "tokens": [t for t, _ in drawn],
                "token_logprobs": [p for _, p in drawn],
                "top_logprobs": [None if p is None else {t: p, "zzz": -50.0} for t, p in drawn],
            }
        return choice


def chat_text(messages: list[dict[str, str]]) -> str:
    """The server's chat template."""
    return "".join(f"<{m['role']}>{m['content']}" for m in messages) + "<assistant>"
