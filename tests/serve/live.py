"""A real server on a real socket, in a thread of this process."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Self

import httpx
from fastapi import FastAPI

from candor.engine.gate import Gate
from candor.engine.local import LocalEngine
from candor.serve.app import create_app
from candor.serve.machine import Machine
from candor.serve.metrics import Metrics
from candor.serve.runs.browser import Browser
from candor.serve.scheduler import Worker
from candor.serve.served import Served
from candor.serve.server import bind, hosts_for, serving
from candor.serve.settings import Settings


class Serving:
    """Serves an application until `stop`; use as a context manager."""

    def __init__(self, app: FastAPI, grace_seconds: float = 5.0) -> None:
        self.app = app
        self._open = ExitStack()
        listener = self._open.enter_context(bind("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self.url = self._open.enter_context(serving(app, listener, grace_seconds))
        self.http = self._open.enter_context(httpx.Client(base_url=self.url, timeout=120))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._open.close()

    def raw(self, request: bytes) -> socket.socket:
        """A connection on which these bytes have been sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        connection.sendall(request)
        return connection


class Live(Serving):
    """Serves models.

    Args:
        engines: by name.
        gate: a gate for all of them.
        abstain_below: see `Worker`.
        browser: of runs to show beside them.
        limits: fields of `Settings`.
    """

    def __init__(
        self,
        engines: dict[str, LocalEngine],
        *,
        gate: Gate | None = None,
        abstain_below: float | None = None,
        browser: Browser | None = None,
        **limits: Any,
    ) -> None:
        limits = {"hosts": hosts_for("127.0.0.1"), "grace_seconds": 5.0, **limits}
        self.settings, self.metrics = Settings(**limits), Metrics()
        machine = Machine()
        self.models = [
            Served(
                Worker(
                    engine,
                    machine,
                    name=name,
                    settings=self.settings,
                    metrics=self.metrics,
                    gate=gate,
                    abstain_below=abstain_below,
                )
            )
            for name, engine in engines.items()
        ]
        app = create_app(self.models, machine, self.settings, self.metrics, browser)
        super().__init__(app, self.settings.grace_seconds)

    @property
    def worker(self) -> Worker:
        return self.models[0].worker

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        """The answer to a request that is to succeed."""
        found = self.http.post(path, json=body)
        assert found.status_code == 200, found.text
        return found.json()

    def refused(self, path: str, status: int = 400, **body: Any) -> dict[str, Any]:
        """The error of a request that is to be refused."""
        found = self.http.post(path, json=body)
        assert found.status_code == status, found.text
        error = found.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return error

    def stream(self, path: str, **body: Any) -> list[dict[str, Any]]:
        """The chunks of a streamed answer."""
        import json

        with self.http.stream("POST", path, json={**body, "stream": True}) as answer:
            assert answer.status_code == 200, answer.read()
            assert answer.headers["content-type"].startswith("text/event-stream")
            events = [line.removeprefix("data: ") for line in answer.iter_lines() if line]
        assert events[-1] == "[DONE]"
        return [json.loads(event) for event in events[:-1]]

    def numbers(self) -> dict[str, float]:
        """What /metrics says, by name and labels."""
        lines = self.http.get("/metrics").text.splitlines()
        return {
            name: float(value)
            for name, _, value in (line.rpartition(" ") for line in lines if line[:1] not in ("", "#"))
        }


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


def choices_of(chunks: Sequence[dict[str, Any]], key: str) -> dict[int, list[dict[str, Any]]]:
    """A stream's pieces by choice; each has to have `key`."""
    found: dict[int, list[dict[str, Any]]] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            assert key in choice
            found.setdefault(choice["index"], []).append(choice)
    return found
