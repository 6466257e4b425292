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
    trusted: dict[str, Any] = {"style": Markup(_file("report.css")), "script_source": Markup("'none'")}
    if script is not None:
        text = _file(script)
        trusted["script"] = Markup(text)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        trusted["script_source"] = Markup(f"'sha256-{digest}'")
    return _environment().get_template(name).render(trusted | context)


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
