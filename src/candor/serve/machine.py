"""The one thread that computes, for all models.

Each thread that runs parallel code gets a pool of OpenMP threads of its own, and as soon as all pools
together have more threads than there are cores, none of them spins at barriers any more: a decode step of
SmolLM2 took 22 ms instead of 11 in a thread beside the one that had loaded the model. So one thread loads,
reads and decodes, and nobody else. Models take turns, a bounded pass each.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")


class Work(Protocol):
    """What is done a turn at a time."""

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        ...

    def prepared(self) -> AbstractContextManager[None]:
        """What holds from before the first turn until after the last."""
        ...

    def turn(self) -> None:
        """Do a bounded part; must not raise."""
        ...

    def end(self) -> None:
        """Give up what is left."""
        ...


class Machine:
    """The thread; it runs from the beginning until `stop`.

    Attributes:
        changed: to be held where work is added or looked at, and notified then.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._calls: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._works: list[Work] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="candor-compute", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it takes on work."""
        return self._thread.is_alive() and not self._stopping

    def call(self, work: Callable[[], Result]) -> Result:
        """Do this in the thread; returns or raises what it does."""
        future: Future[Result] = Future()
        with self.changed:
            self._calls.append((future, work))
            self.changed.notify()
        return future.result()

    def serve(self, works: Sequence[Work]) -> None:
        """Take turns at these from now on."""
        with self.changed:
            self._works = list(works)
            self.changed.notify()

    def stop(self) -> None:
        """End after the turn under way."""
        with self.changed:
            self._stopping = True
            self.changed.notify()
        self._thread.join()

    def _run(self) -> None:
        begun: set[Work] = set()
        with ExitStack() as stack:
            while True:
                with self.changed:
                    while not (self._stopping or self._calls or any(work.busy for work in self._works)):
                        self.changed.wait()
                    calls, works, stopping = [*self._calls], [*self._works], self._stopping
                    self._calls.clear()
                for future, call in calls:
                    _answer(future, call)
                for work in works:
                    if work not in begun:
                        begun.add(work)
                        stack.enter_context(work.prepared())
                    if stopping:
                        work.end()
                    elif work.busy:
                        work.turn()
                if stopping:
                    return


def _answer(future: Future[Any], call: Callable[[], Any]) -> None:
    try:
        future.set_result(call())
    except BaseException as error:  # whoever waits for it gets it
        future.set_exception(error)
