"""How this process holds memory: big tensors come and go at each step, and the system's part of that is slow.

By default glibc maps each large allocation afresh and gives it back when freed, so every step of training
faults the same pages in again. Kept and in huge pages (`candor/__init__` asks torch for those), tuning
SmolLM2 spent 9 s of 12 updates in the kernel where it had spent 24 s, at the same peak.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
import sys

# glibc's names for mallopt (malloc.h).
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> None:
    """Let malloc keep what is freed, in one heap for all threads; a no-op where it is not glibc's.

    Settings of the whole process, so a program makes them, not a library: the command line does.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_MAX, 0)
        libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(_ARENA_MAX, 1)  # backward passes run in a thread of their own


def return_freed_memory() -> None:
    """Give memory that was freed back to the system; glibc keeps it otherwise, and stages add up."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def peak_memory() -> int:
    """Most memory this process ever held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
