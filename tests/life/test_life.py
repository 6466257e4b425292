"""A whole life on tiny models: in order, killed and continued, failed and mended, and what its report says.

Every stage is real but knowledge, which has a test of its own and would take a minute: what it leaves is
written.
"""

from __future__ import annotations

import gc
import json
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from candor.chat.add_tokens import new_rows
from candor.core.errors import CandorError, InputError
from candor.core.files import read_json, read_json_lines, write_json, write_jsonl
from candor.core.progress import Reporter
from candor.core.recipe import read_recipe, validated
from candor.core.run import Run
from candor.knowledge.pipeline import KnowledgeRun
from candor.life import stages
from candor.life.pipeline import LifeRun, begin, chosen
from candor.life.recipe import LifeRecipe
from candor.life.stages import NAMES
from candor.report import render_report

RECIPES = Path(__file__).parents[2] / "recipes"


WORDS = ("harbour", "river", "market", "tower", "bridge", "garden", "school", "old", "quiet", "narrow",
         "opens", "follows", "crosses", "guards", "over", "under", "beside", "before", "morning")  # fmt: skip


def prose(seed: int) -> str:
    draw = random.Random(seed)
    return " ".join(f"The {' '.join(draw.choices(WORDS, k=9))}." for _ in range(10))


def share(value: float, n: int = 40) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05, "n": n}


def knows(job: KnowledgeRun) -> None:
    """What a knowledge run leaves, without asking anything."""
    if job.run.done("evaluate"):
        return
    with job.run.stage("evaluate"):
        write_json(
            job.run.path("metrics.json"),
            {
                "before": {"correct": share(0.25), "incorrect": share(0.75), "not_attempted": share(0.0)},
                "after": {"correct": share(0.2), "incorrect": share(0.15), "not_attempted": share(0.65)},
                "change": {"wrong_cut": share(0.8), "right_kept": share(0.78)},
                "invented": {"refused_before": share(0.05), "refused_after": share(0.9)},
                "scores": {"probe": {"auroc": share(0.89)}},
            },
        )


@pytest.fixture(autouse=True)
def _no_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KnowledgeRun, "all", knows)


def recipe(folder: Path, **changes: Any) -> LifeRecipe:
    source, talks = folder / "source", folder / "talks.jsonl"
    if not source.exists():
        source.mkdir()
        for number in range(40):
            (source / f"{number:02d}.txt").write_text(prose(number), encoding="utf-8")
        write_jsonl(talks, [said(number) for number in range(24)])
    small = {"depth": 1, "width": 32}
    values: dict[str, dict[str, Any]] = {
        "base": {
            "corpus": {
                "sources": [{"path": str(source), "filtered": False}],
                "validation": 0.2, "passages": 2, "repeated": [4],
            },
            "tokenizer": {"vocabulary": 400, "compare": []},
            "model": {"depth": 1, "context": 64},
            "train": {"epochs": 1, "batch_tokens": 1024, "micro_batch_tokens": 512, "dtype": "float32"},
            "evaluate": {"prompts": ["The harbour"], "sample_tokens": 4, "during": 2000},
        },
        "serve": {"prompts": ["The harbour", "A"], "max_tokens": 6},
        "chat": {
            "data": {"sources": [{"path": str(talks)}], "validation": 0.3},
            "tune": {
                "learning_rate": 1e-2, "batch_tokens": 256, "micro_batch_tokens": 256, "dtype": "float32",
            },
            "evaluate": {"prompts": ["hello"], "reply_tokens": 4, "threads": False, "tone": False},
        },
        "emerge": {
            "task": "parity:8", "model": small, "mixture": {"lessons": 200},
            "pretrain": {"updates": 10, "batch": 32},
            "rl": {"steps": 2, "max_tokens": 16, "held_out": 8, "prompts": 4, "samples": 2},
            "evaluate": {"problems": 8, "samples": 2},
        },
        "hacking": {
            "arms": ["none", "kl=0.1", "chi2"], "model": small, "pretrain": {"updates": 20},
            "preferences": {"pairs": 40, "members": 2}, "labels": {"prompts": 10}, "judged": 4,
            "rl": {"steps": 2, "prompts": 4, "samples": 2, "held_out": 8}, "reward": {"epochs": 1},
        },
        "bandit": {"cases": 3},
    }  # fmt: skip
    for key, value in changes.items():
        table, _, name = key.partition("__")
        values[table][name] = value
    return validated(LifeRecipe, values)


def said(number: int) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": f"Is {number} the harbour?"},
            {"role": "assistant", "content": f"The harbour is {number}."},
        ]
    }


class Told(Reporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__("quiet")
        self.lines: list[str] = []

    def say(self, text: str, **fields: Any) -> None:
        self.lines.append(text)


@contextmanager
def living(folder: Path, settings: LifeRecipe, names: Sequence[str] = NAMES) -> Iterator[LifeRun]:
    life = LifeRun(begin(folder, settings, names), Told())
    try:
        yield life
    finally:
        life.run.close()
        gc.collect()


def live(folder: Path, settings: LifeRecipe, names: Sequence[str] = NAMES) -> list[str]:
    """Do it, and return what was said."""
    with living(folder, settings, names) as life:
        life.go(names)
        assert isinstance(life.reporter, Told)
        return life.reporter.lines


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("life")


@pytest.fixture(scope="module")
def finished(folder: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KnowledgeRun, "all", knows)
        lines = live(folder / "run", recipe(folder))
    heads = [line.split(":")[0] for line in lines if line.startswith("[") and " done in " in line]
    assert heads == [f"[{number}/6] {name}" for number, name in enumerate(NAMES, start=1)]
    return folder / "run"


# --- in order -----------------------------------------------------------------------------------------


def test_a_life_has_every_stage_in_order_each_an_ordinary_run_with_its_page(finished: Path) -> None:
    assert list(read_json(finished / "manifest.json")["stages"]) == list(NAMES)
    for name in NAMES:
        for file in ("recipe.toml", "manifest.json", "metrics.json", "report.html"):
            assert (finished / name / file).is_file(), (name, file)
        render_report(finished / name)
    assert (finished / "rewards" / "bandit.html").stat().st_size > 10_000


def test_the_chat_model_is_the_base_model_with_new_tokens(finished: Path) -> None:
    recipe_ = (finished / "chat" / "recipe.toml").read_text()
    assert f'name = "{finished / "chatml"}"' in recipe_
    notes = read_json(finished / "chatml" / "chat_tokens.json")
    assert notes["model"] == str(finished / "base") and new_rows(finished / "chatml")


def test_the_openai_client_gets_what_the_engine_gives(finished: Path) -> None:
    metrics = read_json(finished / "serve" / "metrics.json")
    assert metrics["same"]["value"] == 1 and metrics["same"]["n"] == 2
    assert metrics["largest_difference"] < 1e-4
    rows = [row for _, row in read_json_lines(finished / "serve" / "completions.jsonl")]
    assert [row["prompt"] for row in rows] == ["The harbour", "A"]
    assert metrics["tokens"] == sum(len(row["logprobs"]) for row in rows) >= 4
    assert all(len(place) == 3 for row in rows for place in row["alternatives"])


def test_the_report_has_a_verdict_a_number_and_a_picture_for_every_claim(finished: Path) -> None:
    page = (finished / "report.html").read_text(encoding="utf-8")
    data = read_json(finished / "report.json")
    assert [stage["name"] for stage in data["stages"]] == list(NAMES)
    assert all(stage["status"] == "done" and stage["seconds"] > 0 for stage in data["stages"])
    assert [claim["name"].partition("-")[0] for claim in data["claims"]] == sorted(
        (claim["stage"] for claim in data["claims"]), key=NAMES.index
    )
    for claim in data["claims"]:
        if claim["name"] == "base-repeats":  # the tiny corpus has no facts
            assert claim["verdict"] == "not measured"
            continue
        assert claim["verdict"] in ("holds", "does not hold", "undecided"), claim
        assert all(one["n"] or one["low"] is None for one in claim["values"])
        assert claim["values"] and claim["measured"]
        article = page.split(f'id="{claim["name"]}"')[1].split("</article>")[0]
        assert claim["verdict"] in article and "Expected" in article
        drawn = "<svg" in article
        assert drawn or claim["stage"] == "chat" or claim["name"] == "knowledge-invented", claim["name"]
    for name in NAMES:
        assert f'href="{name}/report.html"' in page and f'<section id="{name}"' in page
    assert len(page.encode()) < 8_000_000 and "script-src 'none'" in page
    by_name = {claim["name"]: claim["verdict"] for claim in data["claims"]}
    assert by_name["serve-agrees"] == by_name["rewards-exact"] == by_name["knowledge-cut"] == "holds"


def test_no_two_things_on_the_page_have_the_same_id(finished: Path) -> None:
    page = (finished / "report.html").read_text(encoding="utf-8")
    ids = [part.split('"')[0] for part in page.split(' id="')[1:]]
    assert len(ids) == len(set(ids)), sorted(name for name in set(ids) if ids.count(name) > 1)


# --- skipped, killed, failed --------------------------------------------------------------------------


def test_a_life_that_is_done_does_nothing_when_started_again(folder: Path, finished: Path) -> None:
    before = {name: (finished / name / "metrics.json").stat().st_mtime_ns for name in NAMES}
    lines = live(finished, recipe(folder))
    assert sum("done before" in line for line in lines) == len(lines) == 6
    assert {name: (finished / name / "metrics.json").stat().st_mtime_ns for name in NAMES} == before


class Killed(BaseException):
    """As good as a kill: nothing catches it."""


def killed_at(monkeypatch: pytest.MonkeyPatch, stage: str) -> Callable[[], None]:
    """Let a life die when a stage's own work has begun; returns what undoes that."""
    place = NAMES.index(stage)
    real = stages.STAGES[place].work

    def dies(*given: Any) -> None:
        real(*given)
        raise Killed

    object.__setattr__(stages.STAGES[place], "work", dies)
    return lambda: object.__setattr__(stages.STAGES[place], "work", real)


def test_a_killed_life_goes_on_with_the_stage_it_was_in(
    folder: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revive = killed_at(monkeypatch, "serve")
    try:
        with living(tmp_path / "run", recipe(folder)) as life, pytest.raises(Killed):
            life.go()
    finally:
        revive()
    run = tmp_path / "run"
    assert list(read_json(run / "manifest.json")["stages"]) == ["base"]
    weights = (run / "base" / "checkpoint" / "model.safetensors").stat().st_mtime_ns
    lines = live(run, recipe(folder), ("base", "serve", "think"))
    assert "base: done before" in lines[0]
    assert (run / "base" / "checkpoint" / "model.safetensors").stat().st_mtime_ns == weights
    assert list(read_json(run / "manifest.json")["stages"]) == ["base", "serve", "think"]
    here, there = (read_json(place / "think" / "metrics.json")["after"] for place in (run, finished))
    assert here == there


def test_a_failed_stage_says_what_to_do_and_the_rest_goes_on(folder: Path, tmp_path: Path) -> None:
    bad = tmp_path / "talks.jsonl"
    write_jsonl(bad, [said(number) for number in range(8)] + [{"messages": []}])
    settings = recipe(folder, chat__data={"sources": [{"path": str(bad)}], "validation": 0.3})
    names = ("base", "chat", "knowledge", "think")
    run = tmp_path / "run"
    with living(run, settings, names) as life, pytest.raises(CandorError) as error:
        life.go(names)
    assert "chat (" in error.value.message and "talks.jsonl:9" in error.value.message
    assert error.value.fix is not None and "same command" in error.value.fix
    assert list(read_json(run / "manifest.json")["stages"]) == ["base", "knowledge", "think"]
    failure = read_json(run / "manifest.json")["failed"]["chat"]
    assert "talks.jsonl:9" in failure["message"]
    data = {stage["name"]: stage for stage in read_json(run / "report.json")["stages"]}
    assert data["chat"]["status"] == "failed" and data["knowledge"]["status"] == "done"
    assert data["rewards"]["status"] == "not done yet"
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "failed:" in page and "talks.jsonl:9" in page
    # The file mended, the same command does that stage and no other.
    write_jsonl(bad, [said(number) for number in range(24)])
    lines = live(run, settings, names)
    assert sum("done before" in line for line in lines) == 3
    assert read_json(run / "manifest.json")["failed"] == {}


def test_what_takes_up_a_failed_stage_is_left_out_and_a_bug_keeps_its_traceback(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*given: object, **options: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(stages.BaseRun, "up_to", breaks)
    names = ("base", "serve", "chat", "knowledge")
    with living(tmp_path / "run", recipe(folder), names) as life, pytest.raises(CandorError) as error:
        life.go(names)
    for part in ("base (RuntimeError: out of luck", "serve (left out", "chat (left out"):
        assert part in error.value.message
    assert "breaks" in (tmp_path / "run" / "base-failed.txt").read_text()
    assert list(read_json(tmp_path / "run" / "manifest.json")["stages"]) == ["knowledge"]


# --- several processes ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_several_processes_train_is_what_one_trains(
    folder: Path, finished: Path, tmp_path: Path
) -> None:
    settings = recipe(folder).model_copy(update={"processes": 2})
    lines = live(tmp_path / "run", settings, ("base", "chat"))
    assert [line for line in lines if line.startswith("starting 2 processes")] == [
        "starting 2 processes: candor pretrain", "starting 2 processes: candor chat tune"
    ]  # fmt: skip

    def losses(run: Path) -> list[float]:
        return [row["loss"] for _, row in read_json_lines(run / "events.jsonl") if row["event"] == "step"]

    # The chat model begins as the base model ended, which Muon rounds.
    for stage, bound in (("base", 1e-3), ("chat", 0.2)):
        assert losses(tmp_path / "run" / stage) == pytest.approx(losses(finished / stage), abs=bound), stage
        assert (tmp_path / "run" / stage / "report.html").is_file()
    assert sum("done before" in line for line in live(tmp_path / "run", settings, ("base", "chat"))) == 2


@pytest.mark.slow
def test_what_several_processes_could_not_do_is_told_as_the_first_one_wrote_it_down(
    folder: Path, tmp_path: Path
) -> None:
    settings = recipe(folder, base__train={"learning_rate": 1e30, "optimizer": "adamw", "dtype": "float32"})
    settings = settings.model_copy(update={"processes": 2})
    with living(tmp_path / "run", settings, ("base",)) as life, pytest.raises(CandorError):
        life.go(("base",))
    failure = read_json(tmp_path / "run" / "manifest.json")["failed"]["base"]
    assert "of 2 processes: " in failure["message"] and "no longer a number" in failure["message"]
    assert failure["fix"] == "lower the learning rate"


def test_every_process_wants_a_gpu_where_there_are_some(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    settings = recipe(folder).model_copy(update={"processes": 8})
    with pytest.raises(InputError, match=r"'processes': 8 processes want a GPU each, and .* has 2") as error:
        begin(tmp_path / "run", settings, ("base",))
    assert error.value.fix == "--set processes=2"
    assert not (tmp_path / "run").exists()


# --- some stages, other settings ----------------------------------------------------------------------


def test_stages_are_chosen_by_name() -> None:
    assert chosen(None, None) == NAMES
    assert chosen("knowledge", None) == ("knowledge", "think", "rewards")
    assert chosen(None, "think") == ("think",)
    with pytest.raises(InputError, match="'--from': there is no stage 'knowlege'") as error:
        chosen("knowlege", None)
    assert "did you mean 'knowledge'? " in str(error.value.fix)
    with pytest.raises(InputError, match="--only"):
        chosen(None, "hacking")
    with pytest.raises(InputError, match="both"):
        chosen("base", "think")


def test_a_stage_whose_need_is_not_done_is_refused_before_a_folder_is_made(
    folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(CandorError, match="'chat' takes up what 'base' makes"):
        begin(tmp_path / "run", recipe(folder), ("chat",))
    assert not (tmp_path / "run").exists()
    live(tmp_path / "run", recipe(folder), ("think",))
    assert list(read_json(tmp_path / "run" / "manifest.json")["stages"]) == ["think"]


def test_only_settings_of_stages_that_are_not_done_can_change(folder: Path, tmp_path: Path) -> None:
    live(tmp_path / "run", recipe(folder), ("think",))
    with pytest.raises(CandorError, match="'think' is done with other settings"):
        begin(tmp_path / "run", recipe(folder, emerge__seed=4), NAMES)
    changed = recipe(folder, bandit__cases=4)
    begin(tmp_path / "run", changed, ("knowledge",)).close()
    assert Run.open(tmp_path / "run", LifeRecipe).recipe == changed


def test_what_a_recipe_names_wrongly_is_told_before_a_folder_is_made(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CandorError, match="max_tokens"):
        begin(tmp_path / "run", recipe(folder, emerge__task="parity:40"), NAMES)
    with pytest.raises(CandorError, match="kl=x"):
        begin(tmp_path / "run", recipe(folder, hacking__arms=["kl=x"]), NAMES)
    assert not (tmp_path / "run").exists()


def test_a_stage_whose_folder_was_deleted_is_done_again(folder: Path, tmp_path: Path) -> None:
    live(tmp_path / "run", recipe(folder), ("think",))
    shutil.rmtree(tmp_path / "run" / "think")
    lines = live(tmp_path / "run", recipe(folder), ("think",))
    assert any("done in" in line for line in lines)
    assert json.loads((tmp_path / "run" / "think" / "metrics.json").read_text())["task"] == "parity:8"


def test_the_recipe_file_is_the_embedded_default() -> None:
    assert read_recipe(LifeRecipe, RECIPES / "laptop.toml") == LifeRecipe()


def test_the_laptop_life_is_the_recipes_of_the_stages_with_fewer_questions() -> None:
    from candor.base.recipe import BaseRecipe
    from candor.knowledge.recipe import KnowledgeRecipe

    life = LifeRecipe()
    assert life.base == read_recipe(BaseRecipe, RECIPES / "base-laptop.toml")
    demo = read_recipe(KnowledgeRecipe, RECIPES / "knowledge-laptop.toml")
    assert life.knowledge.data.max_questions < demo.data.max_questions
    fewer = demo.data.model_copy(update={"max_questions": life.knowledge.data.max_questions})
    assert life.knowledge == demo.model_copy(update={"data": fewer})
