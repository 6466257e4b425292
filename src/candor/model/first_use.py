"""Compiling the CPU kernels once on a machine, in processes of their own.

numba compiles a kernel at its first call and keeps the result on disk. What it runs in that first process is
not what it keeps: a parallel kernel's loop is there optimised by itself, and once more as part of the whole.
The two round differently in the last bit, so a process that compiles is not bitwise equal to those after it.
Here another process compiles, and this one loads what was kept, as all later ones do.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

import llvmlite.binding as llvm
import torch

from candor.model.kernels import add_norm

# Set in the processes that compile.
_COMPILING = "CANDOR_COMPILES_KERNELS"


class _Compiling:
    """The processes that compile for one arithmetic type, and what says that they have done so.

    Of several programs that begin at once the first one compiles, and the others wait for it.
    """

    def __init__(self, name: str, done: Path) -> None:
        self._done, self._children = done, []
        self._lock = done.with_suffix(".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        self._children = [
            subprocess.Popen(
                [sys.executable, "-m", "candor.cli.use_kernels", work, name],
                # Under torchrun it is none of those that train together, whose group it would wait for.
                env={**os.environ, _COMPILING: "1", "WORLD_SIZE": "1", "RANK": "0"},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for work in ("train", "decode")
        ]

    def wait(self) -> None:
        """Until both have ended."""
        if self._children:
            failed = [child.wait() for child in self._children]
            if not any(failed):
                self._done.touch()
        else:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._lock.close()


@cache
def compile_ahead(dtype: torch.dtype) -> _Compiling | None:
    """Begin to compile what is not on disk yet; `compile_kernels` waits for it."""
    folder = add_norm.stats.cache_path
    if os.environ.get(_COMPILING) or folder is None or dtype not in (torch.bfloat16, torch.float32):
        return None
    name = str(dtype).removeprefix("torch.")
    done = Path(folder) / f"candor-{name}-{_state()}.done"
    if done.exists():
        return None
    print("compiling kernels for this processor: once, about half a minute ...", file=sys.stderr, flush=True)
    try:
        return _Compiling(name, done)
    except OSError:
        return None  # no process can be started


@cache
def compile_kernels(dtype: torch.dtype) -> None:
    """Make sure that the kernels for an arithmetic type are on disk; says so where that takes a while.

    Where nothing can be kept, or a process can't be started, kernels are compiled as they are called.
    """
    compiling = compile_ahead(dtype)
    if compiling is not None:
        with suppress(OSError):  # nothing can be kept
            compiling.wait()


def _state() -> str:
    """What compiled code depends on: the sources as numba looks at them, its version, and the processor."""
    package = Path(__file__).parents[1]
    sources = [*sorted(package.glob("*/*kernels.py")), package / "model" / "tiles.py"]
    parts = [
        version("numba"),
        sys.version,
        str(llvm.get_host_cpu_name()),
        llvm.get_host_cpu_features().flatten(),
    ]
    for source in sources:
        found = source.stat()
        parts.append(f"{source} {found.st_mtime_ns} {found.st_size}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
