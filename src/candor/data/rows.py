"""Fields of the rows that users give, with errors that name the line and the field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from candor.core.errors import InputError


def text_field(
    row: dict[str, Any], field: str, path: Path, line: int, *, required: bool = False
) -> str | None:
    """Return a row's string, or None where the field is absent or null and not required.

    Whole numbers are taken as text, since ids often are numbers.

    Raises:
        InputError: the field is missing though required, is not a string, or can't be written as UTF-8.
    """
    value = row.get(field)
    if value is None:
        if not required:
            return None
        raise InputError(
            f"missing; this row has {', '.join(sorted(map(str, row))) or 'no fields'}",
            path=path,
            line=line,
            field=field,
            fix=f'give each row a "{field}" string',
        )
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise InputError(
            f"expected a string, found {type(value).__name__}",
            path=path,
            line=line,
            field=field,
            fix=f'write "{field}" as a string',
        )
    if not is_text(value):
        raise InputError(
            "holds half of a surrogate pair, which is not text",
            path=path,
            line=line,
            field=field,
            fix="write the file again with whole characters (or escapes of whole pairs)",
        )
    return value


def is_text(text: str) -> bool:
    """Whether a string can be written as UTF-8: one with half of a surrogate pair can't."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
