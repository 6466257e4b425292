"""The HTTP application: which path does what, for any number of models."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response

import candor
from candor.serve import errors, page
from candor.serve.answers import sent
from candor.serve.chat import chat
from candor.serve.completions import complete
from candor.serve.errors import RequestError
from candor.serve.generation import GoneError
from candor.serve.guard import Guard
from candor.serve.machine import Machine
from candor.serve.metrics import Metrics
from candor.serve.replies import (
    Card,
    ChatCompletion,
    Completion,
    Detokenized,
    Fault,
    Health,
    Models,
    Tokenized,
)
from candor.serve.runs import routes
from candor.serve.runs.browser import Browser
from candor.serve.served import Served
from candor.serve.settings import Settings
from candor.serve.tokens import detokenized, tokenized
from candor.serve.wire import ChatRequest, CompletionRequest, DetokenizeRequest, TokenizeRequest

_FAULTS: dict[int | str, dict[str, Any]] = {
    status: {"model": Fault} for status in (400, 401, 403, 404, 405, 408, 413, 429, 500, 503)
}
_STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}


def create_app(
    models: Sequence[Served],
    machine: Machine,
    settings: Settings,
    metrics: Metrics,
    browser: Browser | None = None,
) -> FastAPI:
    """The application; its models are served from its start to its end, and the machine ends with it.

    Args:
        models: each with a name of its own; the first answers requests that name none, if it is the only one.
        machine: the models' workers'.
        settings: limits.
        metrics: what to show at /metrics.
        browser: of runs to show at /runs.
    """

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        machine.serve([served.worker for served in models])
        try:
            yield
        finally:
            await asyncio.to_thread(machine.stop)
            for served in models:
                served.close()

    # FastAPI's own pages load scripts from elsewhere.
    app = FastAPI(
        title="Candor",
        version=candor.__version__,
        lifespan=life,
        docs_url=None,
        redoc_url=None,
        responses=_FAULTS,
    )
    app.state.models = {served.name: served for served in models}
    errors.install(app)
    app.add_exception_handler(GoneError, _nobody)
    app.add_middleware(Guard, settings=settings, metrics=metrics)
    _add_generation(app, settings)
    _add_tokens(app)
    _add_facts(app, metrics)
    page.add(app, runs=browser is not None)
    if browser is not None:
        routes.add(app, browser)
    return app


def served_as(app: FastAPI, name: str | None) -> Served:
    """The model that a request means.

    Raises:
        RequestError: there is none by that name, or several and none was named.
    """
    models: dict[str, Served] = app.state.models
    if name is None:
        if len(models) == 1:
            return next(iter(models.values()))
        raise errors.bad(f"model: name one of {', '.join(models)}", "model")
    if name not in models:
        raise RequestError(
            404,
            f"there is no model {name[:80]!r} here, only {', '.join(models)}",
            param="model",
            code="model_not_found",
        )
    return models[name]


def _add_generation(app: FastAPI, settings: Settings) -> None:
    @app.post("/v1/completions", response_model=Completion, responses=_STREAM)
    async def completions(body: CompletionRequest, http: Request) -> Response:
        """Continue text or token ids as they are; with `echo` and `logprobs` score them."""
        return await complete(body, http, served_as(app, body.model), settings)

    @app.post("/v1/chat/completions", response_model=ChatCompletion, responses=_STREAM)
    async def chat_completions(body: ChatRequest, http: Request) -> Response:
        """Answer messages, through the model's chat template."""
        return await chat(body, http, served_as(app, body.model), settings)


def _add_tokens(app: FastAPI) -> None:
    @app.post("/tokenize", response_model=Tokenized)
    async def tokenize(body: TokenizeRequest) -> Response:
        """Token ids of a text or of messages, what each stands for, and where."""
        served = served_as(app, body.model)
        return await served.run(lambda: sent(tokenized(body, served)))

    @app.post("/detokenize", response_model=Detokenized)
    async def detokenize(body: DetokenizeRequest) -> Response:
        """The text of token ids."""
        served = served_as(app, body.model)
        return await served.run(lambda: sent(detokenized(body, served)))


def _add_facts(app: FastAPI, metrics: Metrics) -> None:
    started = int(time.time())

    @app.get("/v1/models", response_model=Models)
    async def models() -> Response:
        """The models that are served."""
        cards = [_card(served, started) for served in app.state.models.values()]
        return sent({"object": "list", "data": cards})

    @app.get("/v1/models/{name:path}", response_model=Card)
    async def model(name: str) -> Response:
        """One of them."""
        return sent(_card(served_as(app, name), started))

    @app.get("/health", response_model=Health)
    async def health() -> Response:
        """Whether all models work."""
        dead = [served.name for served in app.state.models.values() if not served.worker.alive]
        if dead:
            raise RequestError(503, f"not working: {', '.join(dead)}", kind="server_error")
        return sent({"status": "ok"})

    @app.get("/metrics", response_class=Response)
    async def numbers() -> Response:
        """Counters in Prometheus' text format."""
        return Response(metrics.text(), media_type=metrics.content_type)


def _card(served: Served, started: int) -> dict[str, Any]:
    return {
        "id": served.name,
        "object": "model",
        "created": started,
        "owned_by": "candor",
        "max_model_len": served.engine.context,
        "chat": served.engine.chat,
        "gate": served.worker.gate is not None,
    }


async def _nobody(_request: Request, _error: Exception) -> Response:
    return Response(status_code=499)
