"""What a command gave: its exit code and what it printed."""

from __future__ import annotations

from typing import NamedTuple


class Result(NamedTuple):
    code: int | str | None
    out: str
    err: str


def assert_told(result: Result, *parts: str) -> None:
    """One error line that says these things, one line with a fix, exit code 2, no traceback."""
    assert result.code == 2, result
    lines = [line for line in result.err.splitlines() if not line.startswith("loading ")]
    assert len(lines) == 2, result.err
    assert lines[0].startswith("error: "), result.err
    assert lines[1].startswith("  fix: "), result.err
    for part in parts:
        assert part in result.err, result.err
