"""Fields of a chat data set's rows, checked one by one: errors name the place and the kind of problem."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from candor.core.errors import InputError, printable
from candor.data.rows import is_text


class Where(NamedTuple):
    """The place of a conversation: a file or data set, and a 1-based line or row in it."""

    path: Path | str
    line: int

    def __str__(self) -> str:
        return f"{printable(self.path)}:{self.line}"


class RowError(InputError):
    """A row that is no conversation; `reason` names the kind of problem, to count by."""

    def __init__(self, reason: str, message: str, where: Where, field: str | None, fix: str) -> None:
        super().__init__(message, path=where.path, line=where.line, field=field, fix=fix)
        self.reason = reason


def words(row: Any, name: Any, field: str, where: Where) -> str:
    """A turn's words: a string, or the texts of its parts one after the other, and not blank."""
    if isinstance(row, Mapping) and name not in row:
        raise missing(row, name, where, field)
    value = row[name]
    if isinstance(value, list | tuple):
        text = "".join(_part(part, f"{field}[{number}]", where) for number, part in enumerate(value))
    else:
        text = string(value, field, where)
    if not text.strip():
        raise RowError("empty turn", "is empty", where, field, "write what is said, or remove the row")
    return text


def _part(part: Any, field: str, where: Where) -> str:
    if not isinstance(part, Mapping) or part.get("type") != "text":
        kind = part.get("type") if isinstance(part, Mapping) else None
        found = f"a part of the type {shown(kind)}" if isinstance(kind, str) else type(part).__name__
        raise RowError(
            "not text",
            f'expected {{"type": "text", "text": "…"}}, found {found}',
            where,
            field,
            "leave out images and the like: only text is learned here",
        )
    if "text" not in part:
        raise missing(part, "text", where, f"{field}.text")
    return string(part["text"], f"{field}.text", where)


def string(value: Any, field: str, where: Where) -> str:
    """A string that is text, blank or not."""
    if not isinstance(value, str):
        raise wrong_type("a string", value, where, field)
    if not is_text(value):
        raise RowError(
            "not text",
            "holds half of a surrogate pair, which is not text",
            where,
            field,
            "write the file again with whole characters (or escapes of whole pairs)",
        )
    return value


def missing(row: Mapping[str, Any], name: Any, where: Where, field: str) -> RowError:
    """The error for a field that is not there."""
    return RowError(
        "missing field", f"missing; there are {names_of(row)}", where, field, f'give it a "{name}"'
    )


def wrong_type(expected: str, found: Any, where: Where, field: str) -> RowError:
    """The error for a value that is no text, or not the list or object that it should be."""
    kind = "nothing (null)" if found is None else type(found).__name__
    return RowError("wrong type", f"expected {expected}, found {kind}", where, field, f"write {expected}")


def names_of(row: Mapping[str, Any], most: int = 12) -> str:
    """The fields that a row has, for errors."""
    names = [shown(str(name), quoted=False) for name in row]
    more = [f"{len(names) - most} more"] if len(names) > most else []
    return ", ".join([*names[:most], *more]) or "no fields"


def shown(text: str, *, quoted: bool = True) -> str:
    """A word of the data, short and fit for any terminal."""
    short = text if len(text) <= 40 else text[:39] + "…"
    return repr(short) if quoted or not short.isprintable() else short
