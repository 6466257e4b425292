"""Several processes that torchrun started together, as its environment tells: which one this is, of how many.

Only the first one writes. The others wait for what it has to make before, and train along. Nothing heavy is
imported here, so that a verb can say at once that it is for one process.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_PAUSE_SECONDS = 0.2


def processes() -> int:
    """How many there are; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which one this is, from 0."""
    return int(os.environ.get("RANK", "0"))


def wait_for(folder: Path, stage: str) -> None:
    """Wait until the first process has done a stage of the run in this folder, which may not be there yet.

    However long that takes: if it fails, torchrun ends the others.
    """
    from candor.core.files import read_json  # noqa: PLC0415

    file = folder / "manifest.json"
    while not (file.exists() and stage in read_json(file).get("stages", {})):
        time.sleep(_PAUSE_SECONDS)
