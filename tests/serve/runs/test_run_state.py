"""Where a run stands is told from what it wrote down and from who holds it."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from candor.core.files import write_json
from candor.core.recipe import Settings
from candor.core.run import Run
from candor.serve.runs.folder import Folder
from candor.serve.runs.state import State
from candor.serve.runs.summary import Summaries


class Recipe(Settings):
    kind: str = "rl"
    seed: int = 0


def state(root: Path) -> State:
    """As somebody who never looked before sees it."""
    return Summaries(Folder.of(root)).all()[0].state


def test_a_run_s_own_steps_are_followed(tmp_path: Path) -> None:
    run = Run.start(tmp_path / "first", Recipe())
    known = Summaries(Folder.of(tmp_path))

    def now() -> State:
        return known.all()[0].state

    assert now() == State("working")
    with run.stage("check"):
        assert now() == State("working", "check")
    assert now() == State("working")
    run.close()
    assert now() == State("unfinished", "check")
    with contextlib.suppress(KeyboardInterrupt), run.stage("train"):
        raise KeyboardInterrupt
    assert now() == State("stopped", "train")
    with contextlib.suppress(ValueError), run.stage("train"):
        raise ValueError("no room")
    assert now() == State("failed", "train", "ValueError: no room")
    with run.stage("train"):
        write_json(run.path("metrics.json"), {"model": "x"})
    assert now() == State("finished")
    assert now().words == "finished"


def test_a_run_that_was_killed_is_told_from_one_that_works(tmp_path: Path) -> None:
    code = (
        "import time; from pathlib import Path\n"
        "from candor.core.recipe import Settings; from candor.core.run import Run\n"
        "class Recipe(Settings):\n    kind: str = 'rl'\n"
        f"run = Run.start(Path({str(tmp_path / 'killed')!r}), Recipe())\n"
        "with run.stage('train'):\n    print('works', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "works\n"
        assert state(tmp_path) == State("working", "train")
        process.send_signal(signal.SIGKILL)
        process.wait(20)
    found = state(tmp_path)
    assert (found.name, found.stage, found.words) == ("killed", "train", "killed in train")


def test_a_life_that_went_on_without_a_stage_has_failed_in_that_stage(tmp_path: Path) -> None:
    run = Run.start(tmp_path / "first", Recipe())
    with contextlib.suppress(ValueError), run.stage("chat"):
        raise ValueError("no room")
    with run.stage("think"):
        pass
    run.update_manifest(failed={"chat": {"message": "no room", "fix": "make some"}, "serve": {}})
    assert state(tmp_path) == State("working")
    run.close()
    assert state(tmp_path) == State("failed", "chat, serve", "no room")
    run.lock()
    with contextlib.suppress(KeyboardInterrupt), run.stage("chat"):
        raise KeyboardInterrupt
    run.close()
    assert state(tmp_path) == State("stopped", "chat")
    run.lock()
    with run.stage("chat"):
        run.update_manifest(failed={})
    run.close()
    assert state(tmp_path) == State("unfinished", "chat")


def test_what_a_model_wrote_is_no_event_of_a_stage(tmp_path: Path) -> None:
    run = Run.start(tmp_path / "first", Recipe())
    with run.stage("train"):
        write_json(run.path("metrics.json"), {"model": "x"})
    run.event("note", text='{"event": "stage started", "stage": "invented"}')
    run.close()
    assert state(tmp_path) == State("finished")


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [("{", "manifest.json is not valid JSON"), ("[]", "manifest.json is no JSON object")],
)
def test_a_damaged_run_is_listed_with_what_is_wrong(tmp_path: Path, manifest: str, problem: str) -> None:
    folder = tmp_path / "first"
    folder.mkdir()
    (folder / "recipe.toml").write_text('kind = "rl"\n')
    (folder / "manifest.json").write_text(manifest)
    found = Summaries(Folder.of(tmp_path)).all()[0]
    assert found.problems == [problem]
    assert found.state == State("unfinished")


def test_results_of_another_shape_are_a_problem_and_no_failure(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    (folder / "recipe.toml").write_text('kind = "hacking"\n')
    (folder / "metrics.json").write_text(json.dumps({"arms": [{"arm": "none", "after": 3}]}))
    found = Summaries(Folder.of(tmp_path)).all()[0]
    assert (found.headline, found.state) == ("", State("finished"))
    assert "not as this version of Candor writes it" in found.problems[0]
