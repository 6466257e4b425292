"""A driver that is killed, and a machine that goes away: nothing is lost and nothing doubled."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from logged_shards import begun, logged, tree

from candor.cluster.connection import connected, import_ray
from candor.cluster.ray_workers import RayWorkers
from candor.cluster.settings import ClusterSettings
from candor.cluster.shards import Here, complete
from candor.core.files import read_json, write_jsonl
from candor.engine.choose import Loading

pytestmark = pytest.mark.slow

ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}  # as a worker has


def questions_file(folder: Path) -> Path:
    path = folder / "questions.jsonl"
    rows = [
        {"question": f"What is word {n} of the book?", "answers": ["zzyzx"], "document": f"book {n % 30}"}
        for n in range(96)
    ]
    write_jsonl(path, rows)
    return path


def test_a_killed_driver_leaves_nothing_running_and_goes_on_to_the_same_files(
    tmp_path: Path, loading: Loading
) -> None:
    questions = questions_file(tmp_path)

    def command(stage: str, out: Path, *more: str) -> list[str]:
        line = [sys.executable, "-m", "candor", "knowledge", stage, "--out", str(out), *more]
        if stage == "questions":
            line += ["--model", loading.model, "--questions", str(questions)]
            for setting in ("probe.samples=2", "probe.shard=4", "probe.max_tokens=8", "model.dtype=float32"):
                line += ["--set", setting]
        return line

    def call(*line: object) -> None:
        subprocess.run(list(map(str, line)), check=True, capture_output=True, timeout=300, env=ONE_THREAD)

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    call(*command("questions", whole))
    call(*command("probe", whole))
    call(*command("questions", broken, "--cluster", "local", "--workers", "2"))
    driver = subprocess.Popen(
        command("probe", broken), env=ONE_THREAD, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    end = time.monotonic() + 120
    while not list(broken.glob("probe/shard-*.jsonl")):
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)
    session = Path("/tmp/ray/session_latest").resolve().name
    driver.kill()
    driver.wait()
    before = {path.name: path.stat().st_mtime_ns for path in broken.glob("probe/shard-*.jsonl")}
    assert before and len(before) < 24
    call(*command("probe", broken))
    assert tree(broken / "probe") == tree(whole / "probe")
    after = {path.name: path.stat().st_mtime_ns for path in broken.glob("probe/shard-*.jsonl")}
    assert before.items() <= after.items()  # what was there was not done again
    end = time.monotonic() + 30
    while time.monotonic() < end and (left := running(session)):
        time.sleep(0.2)
    assert not left
    assert read_json(broken / "manifest.json")["probed"] == read_json(whole / "manifest.json")["probed"]


def running(session: str) -> list[str]:
    """Processes of a Ray session."""
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in found.splitlines() if session in line]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As many as a worker has."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_a_machine_that_goes_away_takes_no_shard_with_it(
    tmp_path: Path, loading: Loading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two nodes of one worker each; the second one's processes are killed in the middle."""
    ray, log = import_ray(), tmp_path / "log"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # workers import the tests' shards
    from ray.cluster_utils import Cluster

    assert not ray.is_initialized()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1)
    settings = ClusterSettings(address=cluster.address)
    shards, engine = logged(log, 8, seconds=1.0), loading.load()
    here = [shard.model_copy(update={"log": os.devnull, "seconds": 0.0}) for shard in shards]
    complete(here, tmp_path / "here", Here(lambda: engine))
    try:
        with connected(settings):
            done = []

            def on_done(shard: object) -> None:
                done.append(shard)
                if len(done) == 3:
                    cluster.remove_node(second, allow_graceful=False)

            complete(shards, tmp_path / "there", RayWorkers(settings, loading), on_done=on_done)
    finally:
        cluster.shutdown()
    assert tree(tmp_path / "there") == tree(tmp_path / "here")
    assert len(done) == len(shards)
    assert len({process for _, process in begun(log)}) >= 2
