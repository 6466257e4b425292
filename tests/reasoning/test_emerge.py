"""Chain of thought from a reward for right answers, end to end on a very small model."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from candor.cli.emerge import emerge
from candor.core.errors import CandorError
from candor.core.files import read_json
from candor.core.progress import Reporter
from candor.core.recipe import read_recipe
from candor.core.run import Run
from candor.reasoning.scratch.emerge import EmergeRun, Subject
from candor.reasoning.scratch.recipe import EmergeRecipe

_SMALL = (
    "model.depth=2",
    "model.width=64",
    "mixture.lessons=6000",
    "mixture.demonstrations=0.25",
    "pretrain.updates=200",
    "pretrain.batch=128",
    "rl.steps=30",
    "rl.max_tokens=24",
    "rl.held_out=8",
    "rl.learning_rate=0.0005",
    "rl.checkpoint_seconds=0",
    "evaluate.problems=100",
    "evaluate.samples=8",
)


def small(task: str = "parity:10") -> EmergeRecipe:
    return read_recipe(EmergeRecipe, None, _SMALL, {"task": task})


def value(metrics: dict[str, Any], moment: str, name: str) -> float:
    return metrics[moment][name]["value"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "emerge"
    run = Run.start(folder, small())
    EmergeRun(run, Reporter("quiet")).complete()
    run.close()
    return folder


def test_rewarding_right_answers_alone_makes_a_model_write_steps(finished: Path) -> None:
    metrics = read_json(finished / "metrics.json")
    # Drawn answers at once are a coin's throw, whatever was learned of them.
    assert value(metrics, "before", "reasoned") < 0.4
    assert value(metrics, "after", "reasoned") > value(metrics, "before", "reasoned") + 0.3
    assert value(metrics, "after", "accuracy") > value(metrics, "before", "accuracy") + 0.1
    assert value(metrics, "after", "tokens") > value(metrics, "before", "tokens") + 3


def test_forbidding_steps_leaves_a_guess(finished: Path) -> None:
    metrics = read_json(finished / "metrics.json")
    assert value(metrics, "after", "at_once") < 0.75
    assert value(metrics, "after", "by_steps") > 0.9


class Killed(BaseException):
    """As good as a kill: nothing catches it."""


class Killer(Reporter):
    """Dies after some steps of one piece of work."""

    def __init__(self, title: str, after: int) -> None:
        super().__init__("quiet")
        self._title, self._after = title, after

    @contextmanager
    def bar(self, title: str, total: int | None, *, start: int = 0):
        with super().bar(title, total, start=start) as bar:
            if title == self._title:
                progress = bar.progress

                def dies(done: int, whole: int | None, note: str = "") -> None:
                    progress(done, whole, note)
                    if done > self._after:
                        raise Killed

                bar.progress = dies
            yield bar


def test_a_killed_run_goes_on_to_the_same_result(finished: Path, tmp_path: Path) -> None:
    for killer in (Killer("pretraining", 40), Killer("learning by reward", 3), Reporter("quiet")):
        run = Run.start(tmp_path / "killed", small())
        job = EmergeRun(run, killer)
        if isinstance(killer, Killer):
            with pytest.raises(Killed):
                job.complete()
        else:
            job.complete()
        run.close()
    unbroken, killed = (read_json(folder / "metrics.json") for folder in (finished, tmp_path / "killed"))
    assert killed["after"] == unbroken["after"]
    assert killed["steps"] == unbroken["steps"]


def test_questions_that_are_asked_are_in_neither_training() -> None:
    subject = Subject(small("parity:8"))
    asked = {problem.id for problem in subject.asked}
    assert len(asked) == 100
    for task in (subject.taught, subject.practised):
        assert not asked & {problem.id for problem in task.problems(1000, 3)}


def test_steps_that_are_longer_than_completions_may_be_are_told() -> None:
    with pytest.raises(CandorError, match=r"up to 44 tokens here, and rl\.max_tokens is 24"):
        Subject(small("parity:40"))
    with pytest.raises(CandorError, match="not the same kind"):
        Subject(small("parity:4").model_copy(update={"practice": "cups:4"}))


def test_the_verb_shows_before_and_after_of_a_finished_run(finished: Path) -> None:
    app = typer.Typer()
    app.command()(emerge)
    given = [part for override in _SMALL for part in ("--set", override)]
    found = CliRunner().invoke(app, ["--out", str(finished), "--task", "parity:10", *given])
    assert found.exit_code == 0, found.output
    metrics = read_json(finished / "metrics.json")
    for moment in ("before", "after"):
        assert f"{100 * value(metrics, moment, 'accuracy'):.1f} %" in found.output
    assert "pass@8" in found.output
    other = CliRunner().invoke(app, ["--out", str(finished), "--task", "parity:11", *given])
    assert isinstance(other.exception, CandorError)  # another recipe is refused
