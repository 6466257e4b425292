"""The state of an unfinished run on disk, from which it goes on to bitwise the same result.

A state is a folder `step-N` of safetensors files and `state.json`. It is written under another name and
renamed when it is whole and flushed, and only then is the older one removed: whenever the process dies or
the disk fills, one whole state is there. Only the latest is kept.

Tensors are whole on disk, however many processes the model was divided among, so any number can go on from
what any other number saved. Both ways one tensor at a time is put together: beside what it keeps anyway, a
process needs the largest tensor, and the one that writes up to twice `SHARD_BYTES`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save

from candor.core.errors import CandorError
from candor.core.files import atomic_path, read_json, write_json
from candor.train.distributed import Group
from candor.train.sharding import assign, whole

# Serialising copies the tensors, so files of this size bound the extra memory.
SHARD_BYTES = 256 << 20


def save_state(
    folder: Path, step: int, tensors: Iterable[tuple[str, torch.Tensor]], notes: dict[str, Any]
) -> None:
    """Write the state after `step` updates, then drop older ones.

    Raises:
        CandorError: the disk is full or not writable; the older state is untouched.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
    except OSError as error:
        raise CandorError(
            f"{folder}: can't keep the training state here ({error.strerror})",
            fix="free some space or choose a folder you may write to",
        ) from error
    try:
        shard: dict[str, torch.Tensor] = {}
        size = files = 0
        for name, tensor in tensors:
            shard[name] = whole(tensor.detach()).cpu().contiguous()
            size += tensor.nbytes
            if size >= SHARD_BYTES:
                _write(temporary / f"{files:04d}.safetensors", shard)
                shard, size, files = {}, 0, files + 1
        if shard:
            _write(temporary / f"{files:04d}.safetensors", shard)
        write_json(temporary / "state.json", {"step": step, **notes})
        target = folder / f"step-{step:08d}"
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
        _flush(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for other in folder.iterdir():
        if other != target and (other.name.startswith(("step-", ".writing-"))):
            shutil.rmtree(other, ignore_errors=True)


def read_notes(folder: Path) -> dict[str, Any] | None:
    """The latest state's `state.json`, or None if there is no state."""
    latest = _latest(folder)
    return None if latest is None else read_json(latest / "state.json")


def unfinished(folder: Path | None, fingerprint: str, group: Group, other: str) -> dict[str, Any] | None:
    """Notes of the state that all processes are to go on from, or None if there is none.

    Args:
        folder: of the state.
        fingerprint: of this run.
        group: the processes; all have to ask.
        other: what a run with another fingerprint has, such as "other examples, settings or model".

    Raises:
        CandorError: the state is of another run, or not all processes find the same one.
    """
    notes = None if folder is None else read_notes(folder)
    if not group.same(-1 if notes is None else int(notes["step"])):
        raise CandorError(
            f"{folder}: not all of the {group.size} processes find the same training state here",
            fix="put --out on a disk that all machines share",
        )
    if notes is not None and notes.get("fingerprint") != fingerprint:
        raise CandorError(
            f"{folder}: the training state here is of a run with {other}",
            fix="remove that folder to start over, or choose another one for this run",
        )
    return notes


def load_state(folder: Path, tensors: Iterable[tuple[str, torch.Tensor]]) -> None:
    """Read the latest state into tensors of the same names and shapes.

    Raises:
        CandorError: the state does not fit these tensors.
    """
    latest = _latest(folder)
    assert latest is not None
    wanted = dict(tensors)
    for file in sorted(latest.glob("*.safetensors")):
        with safe_open(file, framework="pt") as stored:
            for name in stored.keys():  # noqa: SIM118 (not a dict)
                value = stored.get_tensor(name)
                if name not in wanted or wanted[name].shape != value.shape:
                    raise _unfit(folder)
                assign(wanted.pop(name), value)
    if wanted:
        raise _unfit(folder)


def clear_state(folder: Path) -> None:
    """Remove the state of a run that is done, and the folder if nothing else is in it."""
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.name.startswith(("step-", ".writing-")):
            shutil.rmtree(entry, ignore_errors=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def _unfit(folder: Path) -> CandorError:
    return CandorError(
        f"{folder}: the training state here is of another model",
        fix="remove that folder, or choose another one for this run",
    )


def _latest(folder: Path) -> Path | None:
    # The name is given by the rename that completes a state, so every one that is there is whole.
    return max((file.parent for file in folder.glob("step-*/state.json")), default=None)


def _write(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    data = save(tensors)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def _flush(folder: Path) -> None:
    """Make a rename survive a power cut, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
