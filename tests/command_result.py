"""What a command gave: its exit code and what it printed."""

from __future__ import annotations

from typing import NamedTuple


class Result(NamedTuple):
    code: int | str | None
    out: str
    err: str
