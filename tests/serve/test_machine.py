"""One thread does all work: calls come back with what they did, works get turns, stopping ends both."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest
from live import until

from candor.serve.machine import Machine


class Counting:
    """Works until it has had so many turns."""

    def __init__(self, turns: int, order: list[str], name: str) -> None:
        self.left, self.order, self.name = turns, order, name
        self.threads: set[int] = set()

    @property
    def busy(self) -> bool:
        return self.left > 0

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        self.order.append(f"{self.name} begins")
        yield
        self.order.append(f"{self.name} is over")

    def turn(self) -> None:
        self.threads.add(threading.get_ident())
        self.order.append(self.name)
        self.left -= 1

    def end(self) -> None:
        self.order.append(f"{self.name} ends")


def test_a_call_is_done_in_the_one_thread_and_returns_or_raises() -> None:
    machine = Machine()
    threads = {machine.call(threading.get_ident) for _ in range(3)}
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    with pytest.raises(ZeroDivisionError):
        machine.call(lambda: 1 // 0)
    assert machine.call(lambda: 5) == 5, "an error of one call is not the machine's"
    machine.stop()
    assert not machine.alive


def test_works_take_turns_and_are_ended_in_the_same_thread() -> None:
    machine, order = Machine(), list[str]()
    thread = machine.call(threading.get_ident)
    works = [Counting(3, order, "a"), Counting(2, order, "b")]
    machine.serve(works)
    until(lambda: not any(work.busy for work in works))
    machine.stop()
    turns = [entry for entry in order if entry in ("a", "b")]
    assert turns == ["a", "b", "a", "b", "a"]
    assert order[-4:] == ["a ends", "b ends", "b is over", "a is over"]
    assert works[0].threads == works[1].threads == {thread}
