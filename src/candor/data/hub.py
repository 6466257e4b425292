"""Rows of a Hugging Face data set, read as a stream: nothing is downloaded that is not needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from candor.core.errors import CandorError


def hub_rows(
    name: str, *, config: str | None = None, split: str = "train", revision: str | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (1-based row number, row) in the order of the data set.

    Args:
        name: `org/name`, or a folder that `datasets` can read.
        config: the data set's configuration, if it has several.
        split: the split to read.
        revision: branch, tag or commit; name a commit to have the same data again.

    Raises:
        CandorError: `datasets` is not installed, or the data set can't be read.
    """
    try:
        import datasets  # noqa: PLC0415  (an optional extra)
    except ImportError as error:
        raise CandorError(
            "reading a Hugging Face data set needs the package 'datasets'",
            fix='pip install "candor-lm[hub]", or give a path',
        ) from error
    try:
        rows: Any = datasets.load_dataset(name, config, split=split, revision=revision, streaming=True)
        yield from enumerate(rows, start=1)
    # Whatever goes wrong in there is about the name, the network or a login.
    except (OSError, ValueError, LookupError, RuntimeError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise CandorError(
            f"{name}: this data set can't be read ({first})",
            fix="check hub, config, split and revision; without a network give a path",
        ) from error
