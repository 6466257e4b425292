"""Files of a run, read within limits: what is damaged or too large is a fact to show, never an exception."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from candor.serve.runs.folder import RECIPE, Folder

MAX_RECIPE = 1 << 20
MAX_JSON = 32 << 20
MAX_EVENTS = 64 << 20  # of events.jsonl, the last ones
Stamp = tuple[tuple[int, int], ...]


def stamp(folder: Folder, run: Path, *names: str) -> Stamp:
    """What changes when one of these files does."""
    found = []
    for name in names:
        path = folder.file(run, name)
        try:
            about = path.stat() if path else None
        except OSError:
            about = None
        found.append((about.st_mtime_ns, about.st_size) if about else (0, -1))
    return tuple(found)


def read_text(folder: Folder, run: Path, name: str, limit: int) -> str | None:
    """A text file; None if it is not there, can't be read or is larger than `limit` bytes."""
    path = folder.file(run, name)
    try:
        if path is None or path.stat().st_size > limit:
            return None
        return path.read_bytes()[: limit + 1].decode("utf-8", "replace")
    except OSError:
        return None


def read_object(folder: Folder, run: Path, name: str) -> tuple[dict[str, Any], str]:
    """A JSON object, and what is wrong with it; an empty one where there is none."""
    path = folder.file(run, name)
    if path is None:
        return {}, ""
    text = read_text(folder, run, name, MAX_JSON)
    if text is None:
        return {}, f"{name} can't be read, or is larger than {MAX_JSON >> 20} MiB"
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}, f"{name} is not valid JSON"
    return (value, "") if isinstance(value, dict) else ({}, f"{name} is no JSON object")


def read_settings(folder: Folder, run: Path) -> tuple[dict[str, Any], str, str]:
    """A recipe as TOML has it, its text, and what is wrong with it."""
    text = read_text(folder, run, RECIPE, MAX_RECIPE)
    if text is None:
        return {}, "", f"{RECIPE} can't be read, or is larger than {MAX_RECIPE >> 20} MiB"
    try:
        return tomllib.loads(text), text, ""
    except (ValueError, RecursionError):  # also a number of thousands of digits
        return {}, text, f"{RECIPE} is not valid TOML"


def parsed(line: bytes) -> dict[str, Any] | None:
    """A line of a .jsonl file, None if it is no object."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def lines_from(path: Path, start: int, limit: int) -> Iterator[tuple[int, bytes]]:
    """(offset behind it, line) of whole lines from an offset on, at most so many bytes of them."""
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(limit)
    at = 0
    while (end := data.find(b"\n", at)) >= 0:
        yield start + end + 1, data[at:end]
        at = end + 1
