"""Errors that a user can act on.

Anything a user can cause (bad input, a missing file, a full disk, a model that can't do what was asked)
is raised as `CandorError`; the command line prints it with its fix and exits with code 2. Anything else
is a bug and keeps its traceback.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path


class CandorError(Exception):
    """A problem that the user can mend: `message` says what is wrong, `fix` what to do about it."""

    def __init__(self, message: str, *, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}\n  fix: {self.fix}" if self.fix else self.message


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ "did you mean 'addition'? ", to begin a fix with; empty where nothing known is near."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return f"did you mean '{close[0]}'? " if close else ""


def printable(path: Path | str) -> str:
    """A path as text that any file and terminal can hold: bytes that are not UTF-8 are written out."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class InputError(CandorError):
    """Bad input at a known place.

    Args:
        message: what is wrong, and what was expected instead.
        path: the file.
        line: 1-based line number in that file.
        field: the field's name within the line or table.
        fix: what the user should do.
    """

    def __init__(
        self,
        message: str,
        *,
        path: Path | str | None = None,
        line: int | None = None,
        field: str | None = None,
        fix: str | None = None,
    ) -> None:
        place = "" if path is None else printable(path) + (f":{line}" if line is not None else "")
        if field is not None:
            place = f"{place}: field '{field}'" if place else f"field '{field}'"
        super().__init__(f"{place}: {message}" if place else message, fix=fix)
        self.path = None if path is None else Path(path)
        self.line = line
        self.field = field


# Words of those errors that are not of a type of their own: of CUDA's libraries, and of memory on the CPU.
_SAID = 200  # characters of another library's message
_NO_MEMORY = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
_LEAST_MEMORY = (
    "micro_batch_tokens where a model is trained, engine.max_rows and max_tokens where it writes, or take a "
    "smaller model"
)


def out_of_memory(error: Exception, doing: str = "", lower: str = _LEAST_MEMORY) -> CandorError | None:
    """The error for memory that did not suffice, a GPU's or the machine's, or None if `error` is another one.

    Args:
        error: PyTorch's, whose types are not imported here, or Python's.
        doing: what was being done, such as "training".
        lower: which settings to lower, or what else to do.
    """
    text = str(error)
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    if not known and not (isinstance(error, RuntimeError) and any(words in text for words in _NO_MEMORY)):
        return None
    first = text.partition("\n")[0].partition(" GPU ")[0].strip()[:_SAID]
    return CandorError(
        f"memory ran out{' while ' if doing else ''}{doing}{f' ({first})' if first else ''}",
        fix=f"lower {lower}",
    )


@contextlib.contextmanager
def enough_memory(doing: str, lower: str) -> Iterator[None]:
    """Where memory runs out within the block, say what was being done and what to lower; see `out_of_memory`.

    Raises:
        CandorError: memory ran out.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if (told := out_of_memory(error, doing, lower)) is None:
            raise
        raise told from error


_DENIED = (
    errno.EACCES,
    errno.EROFS,
    errno.EPERM,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
)


def unwritable(error: Exception, path: Path | str | None = None) -> CandorError | None:
    """The error for a full disk or a place that can't be written, or None if `error` is about another thing.

    Args:
        error: an `OSError`, or the error of a library that writes by itself and only quotes the system.
        path: what was to be written; an `OSError` may know it.
    """
    code = error.errno if isinstance(error, OSError) else None
    where = path if path is not None else getattr(error, "filename", None)
    place = "" if where is None else f"{where}: "
    # safetensors' own error has no number, only the words.
    if code in (errno.ENOSPC, errno.EDQUOT) or (code is None and "No space left on device" in str(error)):
        return CandorError(
            f"{place}the disk is full; nothing was overwritten",
            fix="free some space and run the same command again: it continues where it stopped",
        )
    if code in _DENIED:
        return CandorError(
            f"{place}can't write here ({getattr(error, 'strerror', error)})",
            fix="choose a folder you may write to with --out",
        )
    return None
