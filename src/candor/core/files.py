"""Plain files, written whole or not at all, and read with errors that name the line and the field."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from candor.core.errors import CandorError, InputError, unwritable

Model = TypeVar("Model", bound=BaseModel)


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it when the block ends without an error.

    Readers see the old file or the new one, never a part. A full disk leaves the old file in place.

    Raises:
        CandorError: the disk is full or the folder can't be written.
    """
    path = Path(path)
    temporary = _temporary_beside(path)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except Exception as error:  # libraries that write by themselves have their own error for a full disk
        if known := unwritable(error, path):
            raise known from error
        raise
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def need_writable(path: Path | str) -> None:
    """Raise `CandorError` now, rather than after long work, if `path` can't be written."""
    _temporary_beside(Path(path)).unlink()


def _temporary_beside(path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise unwritable(error, path) or CandorError(
            f"{path}: can't write here ({error.strerror})", fix="choose another place with --out"
        ) from error
    os.close(handle)
    return Path(name)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write bytes atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path | str, value: Any) -> None:
    """Write indented JSON atomically."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """What `write_json` writes."""
    return json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def write_jsonl(path: Path | str, rows: Iterable[BaseModel | dict[str, Any]]) -> None:
    """Write one JSON object a line, atomically."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(json_lines(rows))


def json_lines(rows: Iterable[BaseModel | dict[str, Any]]) -> Iterator[str]:
    """What `write_jsonl` writes, line by line."""
    for row in rows:
        value = row.model_dump(mode="json") if isinstance(row, BaseModel) else row
        yield json.dumps(value, ensure_ascii=False) + "\n"


def read_text(path: Path | str) -> str:
    """Read UTF-8 text, without the mark that some editors put in front, lines ending as `\\n`.

    Raises:
        InputError: the file can't be read or is not UTF-8.
    """
    path = Path(path)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("not UTF-8 text", path=path, fix="save the file as UTF-8") from error
    except OSError as error:
        raise _unreadable(error, path) from error


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises:
        InputError: the file can't be read or is not JSON; it names the file, and the line if it can.
    """
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise InputError(f"not valid JSON ({error.msg})", path=path, line=error.lineno) from error
    except UnicodeDecodeError as error:
        raise InputError("not UTF-8 text", path=path) from error
    except OSError as error:
        raise _unreadable(error, path) from error


def read_json_lines(
    path: Path | str, on_bad_line: Callable[[InputError], None] | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (1-based line number, object) for each non-blank line of a JSONL file, plain or gzipped (`.gz`).

    Args:
        path: the file.
        on_bad_line: is given the error of a line that is no JSON object, which then is left out.

    Raises:
        InputError: the file can't be read, or, without `on_bad_line`, a line is not UTF-8, not JSON or not an
            object; it names the file and the line.
    """
    path = Path(path)
    try:
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                if not raw.strip():
                    continue
                try:
                    row = _parse(raw, path, number)
                except InputError as error:
                    if on_bad_line is None:
                        raise
                    on_bad_line(error)
                    continue
                yield number, row
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"not a whole gzip file ({error})", path=path, fix="copy or compress the file again"
        ) from error
    except OSError as error:
        raise _unreadable(error, path) from error


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
    except ValueError as error:  # a number of thousands of digits
        raise InputError(
            f"not readable as JSON ({error})", path=path, line=number, fix="write long numbers as strings"
        ) from error
    if not isinstance(value, dict):
        raise InputError(
            f"expected a JSON object, found {type(value).__name__}",
            path=path,
            line=number,
            fix='write each row as {"field": value, ...}',
        )
    return value


def _unreadable(error: OSError, path: Path) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError("no such file", path=path, fix="check the path")
    if isinstance(error, IsADirectoryError):
        return InputError("is a folder", path=path, fix="name a file, perhaps one in it")
    return InputError(f"can't be read ({error.strerror})", path=path, fix="check its permissions")


def read_jsonl(path: Path | str, model: type[Model]) -> list[Model]:
    """Read JSONL into pydantic models; a bad row raises `InputError` naming file, line and field."""
    rows = []
    for number, value in read_json_lines(path):
        try:
            rows.append(model.model_validate(value))
        except ValidationError as error:
            first = error.errors()[0]
            raise InputError(
                first["msg"],
                path=path,
                line=number,
                field=".".join(str(part) for part in first["loc"]) or None,
            ) from error
    return rows


def sha256_of(path: Path | str) -> str:
    """Hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
