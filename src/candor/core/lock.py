"""A folder's lock: held by the process that works on it, and gone with that process however it ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_NAME = ".lock"
_TRIES, _PAUSE_SECONDS = 10, 0.01  # `held` takes a lock for some microseconds in order to see it
_WAIT_SECONDS = 0.5


def hold(folder: Path) -> IO[str]:
    """Take the lock of a folder that exists; closing what is returned gives it back.

    Raises:
        BlockingIOError: another process holds it.
        OSError: the folder can't be written.
    """
    file = (folder / _NAME).open("w")
    for left in reversed(range(_TRIES)):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if not left:
                file.close()
                raise
            time.sleep(_PAUSE_SECONDS)
    return file


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Wait until no other process of this machine holds the folder, and hold it within the block.

    Raises:
        OSError: the folder can't be written.
    """
    while True:
        try:
            lock = hold(folder)
            break
        except BlockingIOError:
            time.sleep(_WAIT_SECONDS)
    try:
        yield
    finally:
        lock.close()


def held(folder: Path) -> bool:
    """Whether a process of this machine holds the folder's lock; nothing is written, no link is followed."""
    try:
        handle = os.open(folder / _NAME, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False
