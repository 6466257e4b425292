"""A base model's run from documents to numbers: whole, killed and continued, and on two processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from test_corpus import prose
from transformers import AutoModelForCausalLM, AutoTokenizer

from candor.base.pipeline import BaseRun, check
from candor.base.recipe import BaseRecipe
from candor.core.errors import CandorError
from candor.core.files import read_json, read_json_lines
from candor.core.progress import Reporter
from candor.core.recipe import read_recipe, to_toml, validated
from candor.core.run import Run
from command_result import Result, assert_told


def recipe(tmp_path: Path, **train: object) -> BaseRecipe:
    source = tmp_path / "source"
    if not source.exists():
        source.mkdir()
        for number in range(60):
            (source / f"{number:02d}.txt").write_text(prose(number, 8), encoding="utf-8")
    values = {
        "corpus": {
            "sources": [{"path": str(source), "filtered": False}],
            "validation": 0.2,
            "passages": 2,
            "repeated": [4],
        },
        "tokenizer": {"vocabulary": 400, "compare": []},
        "model": {"depth": 1, "context": 64},
        "train": {"epochs": 2, "batch_tokens": 1024, "micro_batch_tokens": 512, "dtype": "float32", **train},
        "evaluate": {"prompts": ["The harbour"], "sample_tokens": 4, "during": 2000},
    }
    return validated(BaseRecipe, values)


def run_of(folder: Path, settings: BaseRecipe) -> BaseRun:
    return BaseRun(Run.start(folder, settings), Reporter("quiet"))


def weights_of(run: BaseRun) -> dict[str, torch.Tensor]:
    return load_file(run.run.path("checkpoint", "model.safetensors"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> BaseRun:
    folder = tmp_path_factory.mktemp("base")
    run = run_of(folder / "run", recipe(folder))
    run.up_to("evaluate")
    run.run.close()
    return run


def test_a_run_learns_and_says_what_it_measured(finished: BaseRun) -> None:
    metrics = read_json(finished.run.path("metrics.json"))
    ours = metrics["compression"][0]
    assert ours["name"] == "this model"
    assert ours["bits_per_byte"]["low"] < ours["bits_per_byte"]["value"] < ours["bits_per_byte"]["high"]
    losses = [
        row for _, row in read_json_lines(finished.run.path("events.jsonl")) if row["event"] == "validation"
    ]
    assert losses[-1]["bits_per_byte"] < 0.8 * losses[0]["bits_per_byte"]
    assert losses[-1]["samples"][0]["prompt"] == "The harbour"
    assert {row["times"] for row in metrics["recall"]["passages"]} == {0, 1, 4}
    assert metrics["pretrain"]["epochs"] == 2
    assert metrics["pretrain"]["mfu"] > 0


def test_the_validation_curve_ends_where_the_evaluation_begins(finished: BaseRun) -> None:
    """Both are the same quantity, measured by different code (in training, and by document)."""
    metrics = read_json(finished.run.path("metrics.json"))
    losses = [
        row for _, row in read_json_lines(finished.run.path("events.jsonl")) if row["event"] == "validation"
    ]
    assert losses[-1]["bits_per_byte"] == pytest.approx(
        metrics["compression"][0]["bits_per_byte"]["value"], rel=0.1
    )


def test_the_checkpoint_is_an_ordinary_one(finished: BaseRun) -> None:
    folder = finished.run.path("checkpoint")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    inputs = tokenizer("The harbour", return_tensors="pt")
    assert inputs.input_ids[0, 0] == tokenizer.bos_token_id
    out = model.generate(**inputs, max_new_tokens=4, do_sample=False, pad_token_id=tokenizer.eos_token_id)
    samples = read_json(finished.run.path("metrics.json"))["samples"]
    assert tokenizer.decode(out[0, inputs.input_ids.shape[1] :]) == samples[0]["greedy"]


def test_stages_that_are_done_are_not_done_again(finished: BaseRun) -> None:
    before = finished.run.path("checkpoint", "model.safetensors").stat().st_mtime_ns
    again = run_of(finished.run.folder, finished.recipe)
    again.up_to("evaluate")
    again.run.close()
    assert finished.run.path("checkpoint", "model.safetensors").stat().st_mtime_ns == before


def test_a_killed_run_goes_on_to_the_same_weights(
    finished: BaseRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = finished.recipe.corpus.sources[0]
    assert source.path is not None
    (tmp_path / "source").symlink_to(source.path)
    settings = recipe(tmp_path, checkpoint_seconds=0)

    class KilledError(Exception):
        pass

    before, steps = Run.event, [0]

    def killing(self: Run[BaseRecipe], kind: str, **fields: object) -> None:
        before(self, kind, **fields)
        steps[0] += kind == "step"
        if steps[0] == 4:
            raise KilledError

    monkeypatch.setattr(Run, "event", killing)
    with pytest.raises(KilledError):
        run_of(tmp_path / "run", settings).up_to("evaluate")
    monkeypatch.setattr(Run, "event", before)
    assert list((tmp_path / "run" / "training").iterdir())
    run = run_of(tmp_path / "run", settings)
    run.up_to("evaluate")
    run.run.close()
    expected, found = weights_of(finished), weights_of(run)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert not (tmp_path / "run" / "training").exists()


def test_another_checkpoint_is_continued_with_its_own_tokenizer(finished: BaseRun, tmp_path: Path) -> None:
    values = recipe(tmp_path, epochs=1, learning_rate=1e-5).model_dump()
    values["model"]["start"] = str(finished.run.path("checkpoint"))
    run = run_of(tmp_path / "run", validated(BaseRecipe, values))
    run.up_to("evaluate")
    run.run.close()
    losses = [row for _, row in read_json_lines(run.run.path("events.jsonl")) if row["event"] == "validation"]
    assert losses[0]["bits_per_byte"] < 4  # it begins where the other one ended
    ours, theirs = run.load_tokenizer(), finished.load_tokenizer()
    assert ours.get_vocab() == theirs.get_vocab()


def test_metrics_go_to_tensorboard_if_asked_for(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", recipe(tmp_path, epochs=0.5, track="tensorboard"))
    run.up_to("pretrain")
    run.run.close()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run.run.path("tensorboard"))).Reload()
    assert {"loss", "bits_per_byte", "tokens_per_second"} <= set(found.Tags()["scalars"])
    assert len(found.Scalars("loss")) == read_json(run.run.path("pretrain.json"))["updates"]


def test_a_tracker_that_is_not_there_is_told_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    run = run_of(tmp_path / "run", recipe(tmp_path, track="wandb"))
    with pytest.raises(CandorError, match="pip install wandb"):
        run.up_to("pretrain")
    assert not run.run.path("training").exists()


def test_a_model_that_can_not_be_had_does_not_cost_the_other_measurements(
    finished: BaseRun, tmp_path: Path
) -> None:
    shutil.copytree(finished.run.folder, tmp_path / "run")
    values = finished.recipe.model_dump(mode="json")
    values["evaluate"]["models"] = ["no/such-model"]
    (tmp_path / "run" / "recipe.toml").write_text(to_toml(validated(BaseRecipe, values)), encoding="utf-8")
    run = run_of(tmp_path / "run", validated(BaseRecipe, values))
    run.run.forget(["evaluate"], {"evaluate": ["metrics.json"]})
    run.up_to("evaluate")
    run.run.close()
    rows = read_json(tmp_path / "run" / "metrics.json")["compression"]
    assert "no/such-model" in rows[1]["note"]
    before = read_json(finished.run.path("metrics.json"))["compression"]
    assert rows[0]["bits_per_byte"] == before[0]["bits_per_byte"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"evaluate.models": ("nowhere",)}, "nowhere: no model"),
        ({"tokenizer.name": "nowhere"}, "nowhere: no model"),
        ({"model.start": "nowhere"}, "nowhere: no model"),
        ({"train.track": "wandb"}, "pip install wandb"),
        ({"model.depth": 1000}, "GiB to train"),
    ],
)
def test_what_would_show_only_after_hours_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], told: str
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setattr("candor.base.pipeline.default_device", lambda: "cpu")
    check(recipe(tmp_path))
    with pytest.raises(CandorError) as error:
        check(read_recipe(BaseRecipe, None, (), changes))
    assert told in str(error.value)


def test_two_processes_train_as_one_does(
    finished: BaseRun, tmp_path: Path, candor: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = finished.recipe.corpus.sources[0]
    assert source.path is not None
    (tmp_path / "source").symlink_to(source.path)
    Path("recipe.toml").write_text(to_toml(recipe(tmp_path)), encoding="utf-8")
    words = ("pretrain", "recipe.toml", "--out", "run")
    with monkeypatch.context() as patch:
        patch.setenv("WORLD_SIZE", "2")
        assert_told(candor(*words), "the corpus and its tokens have to be there", "candor tokenizer train")
    assert candor("tokenizer", "train", *words[1:]).code == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "candor"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*torchrun, *words], env=environment, check=True, capture_output=True)

    def losses(folder: Path) -> list[float]:
        return [row["loss"] for _, row in read_json_lines(folder / "events.jsonl") if row["event"] == "step"]

    # Sums in another order, whose rounding 24 updates carry on: 2e-4 with one thread, less with two.
    assert losses(tmp_path / "run") == pytest.approx(losses(finished.run.folder), abs=1e-3)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["samples"]
