"""`candor compress` and `candor decompress`: a language model as a lossless compressor."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from candor.cli.options import Json
from candor.core.errors import CandorError, InputError

if TYPE_CHECKING:
    from candor.base.codec import Codec
    from candor.core.progress import Reporter

_SUFFIX = ".cz"

Model = Annotated[
    str,
    typer.Option("--model", help="Checkpoint folder, hub id, .gguf file, or `smollm2` (from its package)."),
]
Output = Annotated[
    Path | None, typer.Option("--out", "-o", help="Where to write; default: with or without .cz.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]


def compress(
    file: Annotated[Path, typer.Argument(help="Any file; text is what a model is good at.")],
    model: Model = "smollm2",
    out: Output = None,
    chunk_tokens: Annotated[
        int | None,
        typer.Option(
            "--chunk-tokens",
            min=1,
            help="Tokens that are coded with one another as context (default 1024). More compress better, "
            "but fewer can be decoded at once.",
        ),
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Compress a file with a language model; the very same model is needed to get it back.

    The result is the same on every machine. Slow by design: a pass of the model for each token, both ways.

    Example: candor compress book.txt --model smollm2 -o book.txt.cz
    """
    from candor.base.codec import CHUNK_TOKENS  # noqa: PLC0415

    target, data = _places(file, out or file.with_name(file.name + _SUFFIX), force)
    reporter, codec = _ready(model, as_json)
    begun = time.monotonic()
    with reporter.bar("compressing", 0) as bar:
        found = codec.compress(data, chunk_tokens=chunk_tokens or CHUNK_TOKENS, on_progress=bar.progress)
    _write(target, found)
    _tell(reporter, target, len(data), len(found), time.monotonic() - begun, as_json)


def decompress(
    file: Annotated[Path, typer.Argument(help="A file that `candor compress` made.")],
    model: Model = "smollm2",
    out: Output = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Get a compressed file back, to the byte; another model or a damaged file is an error.

    Example: candor decompress book.txt.cz --model smollm2 -o book.txt
    """
    from candor.base.codec import read_file  # noqa: PLC0415

    if out is None and file.suffix != _SUFFIX:
        raise InputError(f"the name does not end in {_SUFFIX}", path=file, fix="say where to write with -o")
    target, data = _places(file, out or file.with_suffix(""), force)
    with _about(file):
        read_file(data)  # a file that is none of ours is refused before a model is loaded
    reporter, codec = _ready(model, as_json)
    begun = time.monotonic()
    with reporter.bar("decompressing", 0) as bar, _about(file):
        found = codec.decompress(data, on_progress=bar.progress)
    _write(target, found)
    _tell(reporter, target, len(found), len(data), time.monotonic() - begun, as_json)


def _places(file: Path, target: Path, force: bool) -> tuple[Path, bytes]:
    """Where to write, and what to read; what is wrong with either shows before the long work begins."""
    from candor.core.files import need_writable  # noqa: PLC0415

    if target.is_dir():
        raise InputError("is a folder", path=target, fix="name a file with -o")
    if target.exists() and not force:
        raise InputError(
            "the file is there already", path=target, fix="give --force, or another name with -o"
        )
    try:
        data = file.read_bytes()
    except OSError as error:
        raise InputError(f"can't be read ({error.strerror})", path=file, fix="check the path") from error
    if target.exists() and target.samefile(file):
        raise InputError("would replace the file that is read", path=target, fix="give another name with -o")
    need_writable(target)
    return target, data


@contextmanager
def _about(file: Path) -> Iterator[None]:
    """Name the file in errors about what is in it."""
    try:
        yield
    except CandorError as error:
        raise InputError(error.message, path=file, fix=error.fix) from error


def _ready(model: str, as_json: bool) -> tuple[Reporter, Codec]:
    from candor.base.codec import Codec  # noqa: PLC0415
    from candor.core.progress import Reporter  # noqa: PLC0415

    reporter = Reporter("json" if as_json else "auto")
    reporter.say(f"loading {model}")
    return reporter, Codec.load(model)


def _write(path: Path, data: bytes) -> None:
    from candor.core.files import atomic_path  # noqa: PLC0415

    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def _tell(reporter: Reporter, path: Path, plain: int, packed: int, seconds: float, as_json: bool) -> None:
    bits = 8 * packed / plain if plain else 0.0
    if as_json:
        row = {"file": str(path), "bytes": plain, "compressed_bytes": packed, "bits_per_byte": bits}
        print(json.dumps({**row, "seconds": round(seconds, 3)}))
        return
    share = f", {plain / packed:.2f} times smaller, {bits:.3f} bits a byte" if plain else ""
    reporter.say(f"{path}: {plain:,} bytes ↔ {packed:,} compressed{share} ({seconds:.0f} s)")
