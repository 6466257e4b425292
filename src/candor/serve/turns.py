"""Who computes next, of several threads."""

from __future__ import annotations

import threading


class Turns:
    """A lock that is given in the order in which it was asked for.

    Models take turns a pass each: passes use all cores anyway, and numba's simplest threading layer ends the
    process when two threads run parallel kernels at once. An ordinary lock would let the thread that has just
    released it take it again.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._next = self._serving = 0

    def __enter__(self) -> None:
        with self._changed:
            mine, self._next = self._next, self._next + 1
            while self._serving != mine:
                self._changed.wait()

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._serving += 1
            self._changed.notify_all()
