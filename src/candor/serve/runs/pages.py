"""Answers of the browser: pages from templates, JSON beside them, and the headers that guard both."""

from __future__ import annotations

import json
import math
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Response
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from candor.report import wording
from candor.report.template import script_source, style

_HEADERS = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
# Everything is put in as text; this is for what nobody thought of.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# A report carries its style and its one script; it is kept apart from the other pages of this server.
_REPORT_POLICY = (
    f"default-src 'none'; style-src 'unsafe-inline'; script-src {script_source('report.js')}; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox allow-scripts"
)
_STATIC = files("candor.serve.runs") / "static"


def page(template: str, status: int = 200, /, **context: Any) -> Response:
    """A page of a template."""
    return _html(_environment().get_template(f"{template}.html.jinja").render(context), _POLICY, status)


def report(text: str) -> Response:
    """A run's report."""
    return _html(text, _REPORT_POLICY)


def answer(value: object) -> Response:
    """JSON; numbers that are none become null."""
    data = json.dumps(_finite(value), default=_other)  # ASCII: half a surrogate pair stays an escape
    return Response(data, media_type="application/json", headers=_HEADERS)


def stylesheet() -> Response:
    """The reports' style, and what the browser adds."""
    text = style() + (_STATIC / "runs.css").read_text(encoding="utf-8")
    return Response(text, media_type="text/css; charset=utf-8", headers=_HEADERS)


def script() -> Response:
    """What has a page follow a run."""
    text = (_STATIC / "live.js").read_text(encoding="utf-8")
    return Response(text, media_type="text/javascript; charset=utf-8", headers=_HEADERS)


def address(path: str, **query: object) -> str:
    """A page's address, relative to the server."""
    given = {key: value for key, value in query.items() if value not in (None, "")}
    return f"/runs{path}?{urlencode(given, doseq=True)}" if given else f"/runs{path}"


def report_address(name: str) -> str:
    """Of a run's report; see `routes`."""
    return "/runs/report/report.html" if name == "." else f"/runs/report/{quote(name)}/report.html"


def _html(text: str, policy: str, status: int = 200) -> Response:
    # A lone surrogate, which JSON can carry and UTF-8 can't, becomes a question mark.
    return Response(
        text.encode("utf-8", "replace"),
        status,
        media_type="text/html; charset=utf-8",
        headers={**_HEADERS, "content-security-policy": policy},
    )


@cache
def _environment() -> Environment:
    found = Environment(
        loader=ChoiceLoader([PackageLoader("candor.serve.runs"), PackageLoader("candor.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(
        size=wording.size,
        duration=wording.duration,
        plain=lambda estimate: wording.shown(estimate, "plain"),
        interval=lambda estimate: wording.interval(estimate, "plain"),
        sized=wording.sized,
        when=lambda moment: moment.strftime("%Y-%m-%d %H:%M UTC"),
    )
    found.globals.update(address=address, report_address=report_address)
    return found


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value


def _other(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
