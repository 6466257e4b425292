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
from collections.abc import Iterator

# glibc's names for mallopt (malloc.h) and its defaults.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
_DEFAULT_TRIM, _DEFAULT_MMAP_MAX = 128 * 1024, 65536


@contextlib.contextmanager
def kept_memory() -> Iterator[None]:
    """Within the block malloc keeps what is freed; a no-op where it is not glibc's.

    For training, whose steps are alike: they find the memory of the step before.
    """
    _set((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_ARENA_MAX, 1))  # backward has a thread of its own
    try:
        yield
    finally:
        _set((_MMAP_MAX, _DEFAULT_MMAP_MAX), (_TRIM_THRESHOLD, _DEFAULT_TRIM))
        return_freed_memory()


def _set(*options: tuple[int, int]) -> None:
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        for name, value in options:
            libc.mallopt(name, value)


def return_freed_memory() -> None:
    """Give memory that was freed back to the system; glibc keeps it otherwise, and stages add up."""
    gc.collect()
    trim_heap()
    torch = sys.modules.get("torch")  # not imported for this
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()  # else another program, or vLLM in this one, finds the GPU full


def trim_heap() -> None:
    """The same without looking for garbage first, which takes a third of a second."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def peak_memory() -> int:
    """Most memory this process ever held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
