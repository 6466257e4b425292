"""Rows of user-given JSONL files, plain or gzipped, with errors that name the line and the field."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from candor.core.errors import InputError


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (1-based line number, object) for each non-blank line of a `.jsonl` or `.jsonl.gz` file.

    Raises:
        InputError: the file can't be read, or a line is not UTF-8, not JSON or not an object.
    """
    try:
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                if raw.strip():
                    yield number, _parse(raw, path, number)
    except FileNotFoundError as error:
        raise InputError("no such file", path=path, fix="check the path") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"not a whole gzip file ({error})", path=path, fix="copy or compress the file again"
        ) from error
    except OSError as error:
        raise InputError(
            f"can't be read ({error.strerror})", path=path, fix="check its permissions"
        ) from error


def _parse(raw: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        value = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(
            "not UTF-8 text", path=path, line=number, fix="save the file as UTF-8, one JSON object a line"
        ) from error
    except json.JSONDecodeError as error:
        raise InputError(
            f"not valid JSON ({error.msg} at column {error.colno})",
            path=path,
            line=number,
            fix="each line must be one whole JSON object",
        ) from error
    except RecursionError as error:
        raise InputError("JSON nested too deeply", path=path, line=number, fix="flatten the row") from error
    if not isinstance(value, dict):
        raise InputError(
            f"expected a JSON object, found {type(value).__name__}",
            path=path,
            line=number,
            fix='write each row as {"field": value, ...}',
        )
    return value


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
    if not _encodable(value):
        raise InputError(
            "holds half of a surrogate pair, which is not text",
            path=path,
            line=line,
            field=field,
            fix="write the file again with whole characters (or escapes of whole pairs)",
        )
    return value


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
