"""A test's own function in two processes that train together, as torchrun starts them."""

from __future__ import annotations

import inspect
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

_HERE = Path(__file__).parent


class Ended(NamedTuple):
    """Whether both processes ended well, and what they wrote to standard error."""

    well: bool
    err: str


def in_two(function: Callable[..., None], *words: str, seconds: float = 300) -> Ended:
    """Call a function of a test's module with these words in two processes; if one fails, both end."""
    file = Path(inspect.getfile(function))
    code = f"import sys\nfrom {file.stem} import {function.__name__} as work\nwork(*sys.argv[1:])"
    paths = [str(_HERE), str(file.parent), os.environ.get("PYTHONPATH", "")]
    shared = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "OMP_NUM_THREADS": "1",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
    }
    with tempfile.TemporaryFile("w+") as err:
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", code, *words],
                env={**shared, "RANK": rank, "LOCAL_RANK": rank},
                stdout=subprocess.DEVNULL,
                stderr=err,
            )
            for rank in ("0", "1")
        ]
        deadline = time.monotonic() + seconds
        while any(process.poll() is None for process in processes):
            if any(process.poll() for process in processes) or time.monotonic() > deadline:
                for process in processes:
                    process.kill()
            time.sleep(0.02)
        err.seek(0)
        return Ended(all(process.returncode == 0 for process in processes), err.read())


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
