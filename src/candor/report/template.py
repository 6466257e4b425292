"""Pages from templates: style and script of this package go in as they are, everything else as text."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def rendered(name: str, context: dict[str, Any], script: str | None = None) -> str:
    """A page as HTML text.

    Args:
        name: of the template.
        context: what it shows.
        script: the file of the page's script; the page allows no other.
    """
    trusted: dict[str, Any] = {"style": Markup(style()), "script_source": Markup("'none'")}
    if script is not None:
        trusted["script"] = Markup(_file(script))
        trusted["script_source"] = Markup(script_source(script))
    return _environment().get_template(name).render(trusted | context)


def script_source(name: str) -> str:
    """What a Content-Security-Policy says to allow this script of the package, and no other."""
    digest = base64.b64encode(hashlib.sha256(_file(name).encode()).digest()).decode()
    return f"'sha256-{digest}'"


def style() -> str:
    """The style sheet that all pages share."""
    return _file("report.css")


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("candor.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _file(name: str) -> str:
    return (files("candor.report") / "templates" / name).read_text(encoding="utf-8")
