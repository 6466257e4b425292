"""Workers that die, and shards that kill them: nothing is lost, nothing doubled, nothing tried for ever."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
from logged_shards import BrokenShard, DeadlyShard, begun, logged, tree

from candor.cluster import connection
from candor.cluster.ray_workers import RayWorkers
from candor.cluster.settings import ClusterSettings
from candor.cluster.shards import Here, complete
from candor.core.errors import CandorError
from candor.engine.choose import Loading

pytestmark = pytest.mark.slow


def kill_the_third(log: Path) -> threading.Thread:
    """Kill the worker that begins the third shard, in the middle of it."""

    def watch() -> None:
        while len(begun(log)) < 3:
            time.sleep(0.02)
        os.kill(begun(log)[2][1], signal.SIGKILL)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def test_a_worker_killed_in_the_middle_of_a_shard_costs_nothing_but_time(
    tmp_path: Path, loading: Loading, two_workers: RayWorkers
) -> None:
    log, engine = tmp_path / "log", loading.load()
    shards = logged(log, 8, seconds=1.0)
    here = [shard.model_copy(update={"log": os.devnull, "seconds": 0.0}) for shard in shards]
    complete(here, tmp_path / "here", Here(lambda: engine))
    killer, told = kill_the_third(log), []
    complete(shards, tmp_path / "there", two_workers, on_done=lambda shard: told.append(shard.name))
    killer.join(1)
    assert tree(tmp_path / "there") == tree(tmp_path / "here")
    assert sorted(told) == sorted(shard.name for shard in shards)
    victim, killed = begun(log)[2]
    again = [process for name, process in begun(log) if name == victim]
    assert len(again) == 2 and again[0] == killed and again[1] != killed
    assert len(begun(log)) == len(shards) + 1  # no other shard was done twice


def test_a_shard_that_kills_its_workers_is_given_up_with_what_to_do(
    tmp_path: Path, two_workers: RayWorkers
) -> None:
    log = tmp_path / "log"
    shards = [*logged(log, 2, 0.0), DeadlyShard(name="deadly", text="x", log=str(log))]
    with pytest.raises(CandorError, match="5 workers died of the shard 'deadly'") as caught:
        complete(shards, tmp_path / "out", two_workers)
    assert "memory" in str(caught.value.fix)
    assert [name for name, _ in begun(log)].count("deadly") == 5


def test_a_bug_keeps_its_traceback_and_is_not_tried_again(tmp_path: Path, two_workers: RayWorkers) -> None:
    log = tmp_path / "log"
    with pytest.raises(Exception, match="ZeroDivisionError") as caught:
        complete([BrokenShard(name="broken", text="x", log=str(log))], tmp_path / "out", two_workers)
    assert not isinstance(caught.value, CandorError)
    assert "logged_shards.py" in str(caught.value)
    assert len(begun(log)) == 1


def test_a_machine_without_room_is_told_with_what_there_is(two_workers: RayWorkers) -> None:
    with pytest.raises(CandorError, match="no machine of the cluster has 64 CPUs") as caught:
        connection.room(ClusterSettings(address="local", cpus=64))
    assert f"the largest have {2 * torch.get_num_threads()} CPUs, 0 GPUs" in str(caught.value)
