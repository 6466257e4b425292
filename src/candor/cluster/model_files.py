"""A checkpoint's folder on the machines of a cluster: read where it lies, or sent there and checked.

A folder on the driver's machine is used as it is by workers on that machine, and by those that find the same
files at the same path (a shared file system). Others receive it, piece by piece through Ray's object store,
once a machine, into the cache: under the hash of its content, which is checked, so that no worker ever takes
one checkpoint for another.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from candor.cluster.connection import beside_driver, import_ray
from candor.core.errors import CandorError
from candor.core.files import sha256_of
from candor.core.lock import turn

_PIECE = 64 << 20
# Weights in formats that are never read, beside safetensors ones in many a folder.
_LEFT_OUT = {".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".gguf", ".onnx"}

Stamp = tuple[str, int, int]  # name, bytes, time of change in ns


class Sender:
    """An actor on the driver's machine that reads the folder for others."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def piece(self, name: str, begin: int) -> bytes:
        """At most `_PIECE` bytes of a file."""
        with (self._folder / name).open("rb") as file:
            file.seek(begin)
            return file.read(_PIECE)


@dataclass(frozen=True)
class SentFolder:
    """What workers need to know in order to have the folder.

    Attributes:
        path: on the driver's machine.
        node: Ray's id of that machine.
        stamps: of its files.
        digest: of its content, hexadecimal; empty if all workers are on that machine.
        sender: the actor that reads it, or None then.
    """

    path: str
    node: str
    stamps: tuple[Stamp, ...]
    digest: str = ""
    sender: Any = None

    def here(self, cache: Path) -> str:
        """The folder's path on this machine, received into the cache if need be.

        Raises:
            CandorError: what came is not what was sent.
            OSError: it can't be written.
        """
        node = import_ray().get_runtime_context().get_node_id()
        if node == self.node or _stamps(Path(self.path)) == self.stamps:
            return self.path
        folder = cache / "received" / self.digest[:32]
        folder.parent.mkdir(parents=True, exist_ok=True)
        receiving = folder.parent / f".{folder.name}.turn"
        receiving.mkdir(exist_ok=True)
        with turn(receiving):  # one worker of a machine receives, the others find it done
            if not folder.is_dir():
                self._receive(folder)
        return str(folder)

    def _receive(self, folder: Path) -> None:
        ray = import_ray()
        staging = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(staging, ignore_errors=True)  # of a worker that was killed
        staging.mkdir()
        for name, size, _ in self.stamps:
            with (staging / name).open("wb") as file:
                for begin in range(0, size, _PIECE):
                    file.write(ray.get(self.sender.piece.remote(name, begin)))
        if _digest(staging, tuple(name for name, _, _ in self.stamps)) != self.digest:
            shutil.rmtree(staging)
            raise CandorError(
                f"{self.path}: the checkpoint changed while it was sent to another machine",
                fix="leave it alone during the run, and run the same command again",
            )
        staging.rename(folder)


def send(path: str) -> SentFolder:
    """Make a folder known to the workers of the connected cluster.

    Args:
        path: a checkpoint's folder on this machine.
    """
    ray = import_ray()
    node = ray.get_runtime_context().get_node_id()
    stamps = _stamps(Path(path))
    path = str(Path(path).resolve())
    if all(other["NodeID"] == node for other in ray.nodes() if other["Alive"]):
        return SentFolder(path, node, stamps)
    return SentFolder(path, node, stamps, _known_digest(path, stamps), beside_driver(Sender, path))


def _stamps(folder: Path) -> tuple[Stamp, ...]:
    if not folder.is_dir():
        return ()
    files = (path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    stats = {path.name: path.stat() for path in files if path.suffix not in _LEFT_OUT}
    return tuple((name, stats[name].st_size, stats[name].st_mtime_ns) for name in sorted(stats))


@lru_cache(maxsize=8)
def _known_digest(path: str, stamps: tuple[Stamp, ...]) -> str:
    """The same folder is sent once for each stage, and large ones take minutes to hash."""
    return _digest(Path(path), tuple(name for name, _, _ in stamps))


def _digest(folder: Path, names: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name}\0{sha256_of(folder / name)}\n".encode())
    return digest.hexdigest()
