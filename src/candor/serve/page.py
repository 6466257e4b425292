"""The playground at `/`: files of this package, which ask nothing of any other server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import FastAPI, Response

_KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
_FOLDER = files("candor.serve") / "playground"
_FILES = {
    file.name: file.read_bytes()
    for file in sorted(_FOLDER.iterdir(), key=lambda file: file.name)
    if file.name.rpartition(".")[2] in _KINDS
}
# What a model writes is put into the page as text; this is for what nobody thought of.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_LINK = (b' href="runs" hidden>', b' href="runs">')
PAGES = ("/", *(f"/playground/{name}" for name in _FILES))


def add(app: FastAPI, *, runs: bool = False) -> None:
    """Answer with the page at `/` and with its parts beside it.

    Args:
        app: the application.
        runs: whether it shows runs, too, which the page then leads to.
    """
    for path in PAGES:
        name = path.rpartition("/")[2] or "index.html"
        text = _FILES[name].replace(*_LINK) if runs else _FILES[name]
        app.add_api_route(path, _answer(name, text), methods=["GET", "HEAD"], include_in_schema=False)


def _answer(name: str, text: bytes) -> Callable[[], Awaitable[Response]]:
    async def page() -> Response:
        headers = {
            "content-security-policy": _POLICY,
            "x-content-type-options": "nosniff",
            "cache-control": "no-cache",
        }
        kind = _KINDS[name.rpartition(".")[2]]
        return Response(text, media_type=f"{kind}; charset=utf-8", headers=headers)

    return page
