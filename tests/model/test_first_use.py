"""Kernels are compiled by other processes, so that the first run on a machine rounds as all later ones do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from candor.core.processes import processes, rank
from candor.model.first_use import _Compiling

# All work in one process, after the kernels were made: none may be left to compile.
SCRIPT = """
import sys, torch
from candor.cli.use_kernels import use_kernels
from candor.model.first_use import compile_kernels
compile_kernels(getattr(torch, sys.argv[1]))
for work in ("train", "decode"):
    use_kernels(work, sys.argv[1])
import candor.engine.kernels, candor.model.kernels, candor.model.packed_kernels
for module in (candor.engine.kernels, candor.model.kernels, candor.model.packed_kernels):
    for name, value in vars(module).items():
        if getattr(value, "targetoptions", {}).get("parallel"):
            print(name, len(value.signatures), sum(value.stats.cache_misses.values()))
"""


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_nothing_is_left_to_compile(dtype: str) -> None:
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT, dtype],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    rows = [line.split() for line in found.stdout.splitlines()]
    used = {name for name, signatures, _ in rows if int(signatures)}
    assert {"attend", "choose", "attend_packed", "attend_packed_back", "cross_entropy"} <= used
    assert [name for name, _, misses in rows if int(misses)] == []


def test_of_programs_that_begin_at_once_one_compiles(tmp_path: Path) -> None:
    done = tmp_path / "candor-float32.done"
    first, second = _Compiling("float32", done), _Compiling("float32", done)
    assert len(first._children) == 2 and second._children == []
    for child in first._children:
        child.kill()
    first.wait()
    assert not done.exists(), "killed, they have compiled nothing"
    second.wait()
    again = _Compiling("float32", done)
    assert len(again._children) == 2, "the next one tries again"
    for child in again._children:
        child.kill()
    again.wait()


def test_under_torchrun_who_compiles_joins_no_group(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Else it would wait for the processes that train together, and they for it."""
    started: list[dict[str, str]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda *_, env, **__: started.append(env))
    monkeypatch.setenv("WORLD_SIZE", "8")
    monkeypatch.setenv("RANK", "3")
    _Compiling("float32", tmp_path / "done")
    assert len(started) == 2
    for env in started:
        with monkeypatch.context() as patch:
            patch.setattr(os, "environ", env)
            assert (processes(), rank()) == (1, 0)
