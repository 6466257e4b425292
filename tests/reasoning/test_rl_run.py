"""An RL run in its folder: stages, files, a kill in between, and what a user is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from candor.core.errors import CandorError
from candor.core.files import read_json, read_json_lines
from candor.core.progress import Reporter
from candor.core.recipe import read_recipe
from candor.core.run import Run
from candor.model.load import save_checkpoint
from candor.reasoning.rl import pipeline
from candor.reasoning.rl.pipeline import Asked, RlRun
from candor.reasoning.rl.recipe import RlRecipe
from candor.report import render_report
from parity_task import FirstWord, Parity
from word_models import word_engine

ASKED = Asked(Parity(), lambda chat: FirstWord())


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    engine, folder = word_engine(), tmp_path_factory.mktemp("model") / "checkpoint"
    save_checkpoint(engine.model, engine.tokenizer, folder)
    return folder


def recipe(checkpoint: Path, **values) -> RlRecipe:
    rl = {
        "steps": 6, "prompts": 8, "samples": 8, "max_tokens": 3, "learning_rate": 5e-3, "held_out": 16,
        "evaluate_every": 3, "kept_samples": 2, "checkpoint_seconds": 0,
    }  # fmt: skip
    options = {"model.name": str(checkpoint), "model.dtype": "float32"}
    options |= {f"rl.{name}": value for name, value in rl.items()}
    return read_recipe(RlRecipe, None, (), {**options, **values})


def job(folder: Path, settings: RlRecipe, asked: Asked = ASKED, **options) -> RlRun:
    return RlRun(Run.start(folder, settings), asked, Reporter("quiet"), **options)


def test_a_run_leaves_a_checkpoint_numbers_samples_and_a_page(tmp_path: Path, checkpoint: Path):
    made = job(tmp_path / "run", recipe(checkpoint))
    made.up_to("evaluate")
    run = made.run
    metrics = read_json(run.path("metrics.json"))
    assert metrics["check"]["problems"] == 32 and 0 < metrics["check"]["pass_1"] < metrics["check"]["pass_8"]
    assert metrics["before"]["step"] == 0 and metrics["after"]["step"] == 6
    assert metrics["change"]["accuracy"]["n"] == 16
    assert set(metrics["after"]["pass"]) == {"1", "2", "4", "8"}
    value = metrics["after"]["accuracy"]["value"]
    assert metrics["after"]["pass"]["1"]["value"] == pytest.approx(value)
    samples = [row for _, row in read_json_lines(run.path("samples.jsonl"))]
    assert [row["step"] for row in samples] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]
    events = [row for _, row in read_json_lines(run.path("events.jsonl"))]
    steps = [row for row in events if row["event"] == "step"]
    assert len(steps) == 6
    assert {"reward", "entropy", "reasoned", "clip_fraction", "without_variance"} <= set(steps[0])
    assert (run.path("checkpoint") / "model.safetensors").exists() and not run.path("training").exists()
    assert "of completions of held-out problems are right" in render_report(run.folder).read_text("utf-8")


class KilledError(Exception):
    pass


def test_a_killed_run_goes_on_to_the_same_result(tmp_path: Path, checkpoint: Path, monkeypatch):
    job(tmp_path / "whole", recipe(checkpoint)).up_to("evaluate")
    kept = pipeline.kept_samples

    def dies(step, *arguments):
        if step == 4:
            raise KilledError
        return kept(step, *arguments)

    monkeypatch.setattr(pipeline, "kept_samples", dies)
    killed = job(tmp_path / "killed", recipe(checkpoint))
    with pytest.raises(KilledError):
        killed.up_to("evaluate")
    killed.run.close()
    with (tmp_path / "killed" / "samples.jsonl").open("a") as file:
        file.write('{"step": 4, "problem": ')
    monkeypatch.setattr(pipeline, "kept_samples", kept)
    job(tmp_path / "killed", recipe(checkpoint)).up_to("evaluate")
    for name in ("samples.jsonl", "held-out.json", "checkpoint/model.safetensors"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_model_that_never_succeeds_leaves_no_folder_and_force_goes_on(tmp_path: Path, checkpoint: Path):
    class Hard(Parity):
        name = "hard"

        def right(self, problem, answer):
            return answer == f"{problem.answer} {problem.answer}"

    class Twice(FirstWord):
        def written(self, problem):
            return f"{problem.answer} {problem.answer}"

        def read(self, completion):
            return completion or None

    asked = Asked(Hard(), lambda chat: Twice())
    made = job(tmp_path / "run", recipe(checkpoint), asked)
    with pytest.raises(CandorError, match="RL can't start from here"):
        made.up_to("evaluate")
    assert made.run.discard_if_empty() and not (tmp_path / "run").exists()
    forced = job(tmp_path / "run", recipe(checkpoint), asked, force=True)
    forced.up_to("evaluate")
    assert read_json(forced.run.path("metrics.json"))["train"]["without_variance"] > 0.9


def test_a_way_that_can_not_read_what_it_writes_is_found_before_training(tmp_path: Path, checkpoint: Path):
    class Silent(FirstWord):
        def read(self, completion):
            return None

    with pytest.raises(CandorError, match="a perfect completion 0 where it has to give 1"):
        job(tmp_path / "run", recipe(checkpoint), Asked(Parity(), lambda chat: Silent())).up_to("check")


def test_a_users_reward_is_recorded_by_hash(tmp_path: Path, checkpoint: Path):
    mine = tmp_path / "mine.py"
    mine.write_text("def brief(right, tokens, limit):\n    return right * (1 - tokens / limit)\n")
    made = job(tmp_path / "run", recipe(checkpoint, rewards=["correct", f"{mine}:brief=0.5"]))
    made.up_to("check")
    assert list(made.run.manifest["inputs"]) == [str(mine)]


def test_the_recipe_shows_every_setting_with_what_it_does():
    from candor.core.recipe import to_toml

    text = to_toml(RlRecipe(), comments=True)
    assert 'kind = "rl"' in text and "normalise" in text and text.count("seed = ") == 1
    assert json.loads(RlRecipe().settings().model_dump_json())["seed"] == 0
