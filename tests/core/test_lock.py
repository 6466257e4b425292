"""A folder's lock is seen by others, is gone with its process, and a look at it disturbs nobody."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from candor.core.lock import held, hold, turn


def test_a_lock_is_seen_while_it_is_held_and_no_longer(tmp_path: Path) -> None:
    assert not held(tmp_path)  # nobody ever worked here
    lock = hold(tmp_path)
    assert held(tmp_path)
    with pytest.raises(BlockingIOError):
        hold(tmp_path)
    lock.close()
    assert not held(tmp_path)
    assert (tmp_path / ".lock").exists()


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from candor.core.lock import hold\n"
        f"lock = hold(Path({str(tmp_path)!r})); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert held(tmp_path)
        process.send_signal(signal.SIGKILL)
        process.wait(20)
    assert not held(tmp_path)


def test_turns_are_taken_one_after_the_other(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        with turn(tmp_path):
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.05)
            inside.remove(number)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    assert most == [1, 1, 1]
    assert not held(tmp_path)


def test_looking_never_keeps_a_run_from_beginning(tmp_path: Path) -> None:
    hold(tmp_path).close()
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            held(tmp_path)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        for _ in range(300):
            hold(tmp_path).close()
    finally:
        ended.set()
        watcher.join()


def test_a_link_in_the_lock_s_place_is_not_followed(tmp_path: Path) -> None:
    other, folder = tmp_path / "other", tmp_path / "run"
    other.mkdir()
    folder.mkdir()
    with hold(other):
        (folder / ".lock").symlink_to(other / ".lock")
        assert held(other)
        assert not held(folder)
