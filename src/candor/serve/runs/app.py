"""The browser alone: a server of runs without a model."""

from __future__ import annotations

from fastapi import FastAPI, Response

import candor
from candor.serve import errors
from candor.serve.guard import Guard
from candor.serve.metrics import Metrics
from candor.serve.runs import routes
from candor.serve.runs.browser import Browser
from candor.serve.settings import Settings


def create_app(browser: Browser, settings: Settings) -> FastAPI:
    """The application.

    Args:
        browser: of the folder to show.
        settings: who may ask.
    """
    app = FastAPI(
        title="Candor runs", version=candor.__version__, docs_url=None, redoc_url=None, openapi_url=None
    )
    errors.install(app)
    app.add_middleware(Guard, settings=settings, metrics=Metrics())

    @app.api_route("/", methods=["GET", "HEAD"])
    async def begin() -> Response:
        """To the list."""
        return Response(status_code=307, headers={"location": routes.PREFIX})

    @app.get("/health")
    async def health() -> dict[str, str]:
        """It works."""
        return {"status": "ok"}

    routes.add(app, browser)
    return app
