"""The whole knowledge run: killed and continued on a tiny model, and once for real on SmolLM2."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import torchrun
from candor.core.files import read_json, read_json_lines, write_jsonl
from candor.data.facts import embedded_questions
from candor.engine.local import LocalEngine
from candor.engine.protocol import Sampling
from candor.judge import judge
from candor.knowledge.probe import ask, read_probe
from candor.knowledge.recipe import ProbeSettings
from command_result import Result
from tiny_models import tiny_checkpoint

SMALL = ["data.max_questions=200", "probe.samples=2", "probe.shard=16", "probe.max_tokens=8"]
TUNING = [
    "tune.max_steps=4",
    "tune.checkpoint_seconds=0",
    "build.invented=10",
    "build.rehearsal=4",
    "build.anchors=8",
]
SHORT = ["evaluate.invented=10", "evaluate.ability=false", "evaluate.replicates=100"]
WHOLE = [*SMALL, *TUNING, *SHORT, "model.dtype=float32", "tune.dtype=float32"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, smollm2: str) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("tiny"), smollm2)


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    """Questions of which the tiny model "knows" a third: the accepted answer is what it says anyway."""
    engine = LocalEngine.load(str(tiny), dtype="float32")
    texts = [
        f"What is the {place}th word of the old book of {place * 7 % 101} pages?" for place in range(120)
    ]
    settings = ProbeSettings(max_tokens=8)
    said = engine.generate([ask(text, settings) for text in texts], Sampling(max_tokens=8))
    rows, known = [], 0
    for place, (text, result) in enumerate(zip(texts, said, strict=True)):
        own = result.completions[0].text.strip()
        knows = place % 3 == 0 and bool(own) and judge(text, [own], own) == "correct"
        known += knows
        rows.append(
            {"question": text, "answers": [own if knows else "zzyzx"], "document": f"book {place % 60}"}
        )
    assert known > 20
    path = tmp_path_factory.mktemp("questions") / "questions.jsonl"
    write_jsonl(path, rows)
    return path


def words(out: Path, model: object, questions: Path, *settings: str) -> list[str]:
    """A knowledge run as a user would start it."""
    line = ["knowledge", "run", "--model", str(model), "--questions", str(questions)]
    line += ["--out", str(out), "--json"]
    for setting in settings:
        line += ["--set", setting]
    return line


def command(out: Path, model: object, questions: Path, *settings: str) -> list[str]:
    """The same in a process of its own."""
    return [sys.executable, "-m", "candor", *words(out, model, questions, *settings)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny: Path, questions: Path) -> Path:
    """A run that nothing interrupted; tests read it and don't change it."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    subprocess.run(command(folder, tiny, questions, *WHOLE), check=True, capture_output=True, timeout=300)
    return folder


def wait_for(path: Path, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    """Until a file is there."""
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def tree(folder: Path) -> dict[str, bytes]:
    """The files that must not depend on interruptions."""
    names = [*folder.glob("probe/*"), *folder.glob("idk/*"), *folder.glob("checkpoint/*.safetensors")]
    names += [folder / "boundary.jsonl", folder / "evaluation" / "items.jsonl"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in names}


def test_a_run_killed_while_probing_and_while_tuning_ends_like_one_that_was_not(
    tmp_path: Path, whole: Path, tiny: Path, questions: Path
) -> None:
    broken = tmp_path / "broken"
    line = command(broken, tiny, questions, *WHOLE)
    for marker in ("probe/shard-0002.jsonl", "idk/validation.jsonl"):
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_for(broken / marker, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(line, check=True, capture_output=True, timeout=300)
    assert tree(broken) == tree(whole)
    first, second = (read_json(folder / "metrics.json") for folder in (whole, broken))
    for key in ("before", "after", "change", "scores", "probe", "invented"):
        assert first[key] == second[key]
    assert (broken / "report.html").stat().st_size > 10_000


def test_a_finished_run_does_nothing_when_started_again(
    whole: Path, tiny: Path, questions: Path, candor: Callable[..., Result]
) -> None:
    before = (whole / "metrics.json").stat().st_mtime_ns
    again = candor(*words(whole, tiny, questions, *WHOLE))
    assert again.out.count("done before") == 5
    assert (whole / "metrics.json").stat().st_mtime_ns == before


def test_stages_one_at_a_time_give_what_run_gives(
    tmp_path: Path, whole: Path, tiny: Path, questions: Path, candor: Callable[..., Result]
) -> None:
    begin = words(tmp_path / "parts", tiny, questions, *WHOLE)
    begin[begin.index("run")] = "questions"
    assert candor(*begin).code == 0
    for stage in ("probe", "build", "tune", "evaluate"):
        assert candor("knowledge", stage, "--out", tmp_path / "parts", "--json").code == 0
    assert tree(tmp_path / "parts") == tree(whole)


@pytest.mark.slow
@pytest.mark.parametrize("divided", [False, True])
def test_tuning_goes_on_in_any_number_of_processes_to_the_same_weights(
    tmp_path: Path, tiny: Path, questions: Path, divided: bool
) -> None:
    alone, changed = tmp_path / "alone", tmp_path / "changed"
    settings = [*SMALL, *TUNING, *SHORT, "model.dtype=float32", "tune.dtype=float32"]
    settings += ["tune.batch_tokens=512", f"tune.sharded={str(divided).lower()}"]
    begin = ["knowledge", "questions", "--model", tiny, "--questions", questions, "--out", alone]
    torchrun.command(tmp_path, *begin, *(word for one in settings for word in ("--set", one)))
    for stage in ("probe", "build"):
        torchrun.command(tmp_path, "knowledge", stage, "--out", alone)
    shutil.copytree(alone, changed)
    torchrun.command(tmp_path, "knowledge", "tune", "--out", alone)
    tune = ("knowledge", "tune", "--out", changed)
    for steps, processes in ((2, 2), (3, 1), (0, 2)):
        torchrun.command(tmp_path, *tune, processes=processes, kill_at=steps)
    found, weights = (load_file(run / "checkpoint" / "model.safetensors") for run in (changed, alone))
    gaps = {name: float((found[name] - value).abs().max()) for name, value in weights.items()}
    assert max(gaps.values()) < 1e-4, gaps
    one, other = (read_json(run / "tune.json") for run in (changed, alone))
    assert one["validation"] == other["validation"] and one["steps"] == other["steps"] == 4


@pytest.mark.slow
def test_a_run_on_a_cluster_is_the_run_of_one_process(tmp_path: Path, tiny: Path, questions: Path) -> None:
    settings = [*SMALL, *TUNING, *SHORT, "model.dtype=float32", "tune.dtype=float32"]
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}  # as a worker has
    for out, more in ((whole, []), (shared, ["--cluster", "local", "--workers", "2"])):
        line = [*command(out, tiny, questions, *settings), *more]
        subprocess.run(line, check=True, capture_output=True, timeout=600, env=one_thread)
    assert tree(shared) == tree(whole)
    first, second = (read_json(folder / "metrics.json") for folder in (whole, shared))
    for key in ("before", "after", "change", "scores", "probe", "invented", "abstention"):
        assert first[key] == second[key]
    assert read_json(shared / "manifest.json")["probed"] == read_json(whole / "manifest.json")["probed"]
    assert not (shared / "evaluation" / "asked").exists()


def test_smollm2_learns_to_refuse_what_it_does_not_know(
    tmp_path: Path, smollm2: str, candor: Callable[..., Result]
) -> None:
    """Real weights, real facts, every stage; far too short to be good, long enough to move."""
    kinds = {"capital", "element_symbol", "calling_code", "internet_domain"}
    chosen = [q for q in embedded_questions() if q.kind in kinds][::3]
    path = tmp_path / "questions.jsonl"
    write_jsonl(
        path, [{"question": q.question, "answers": q.answers, "document": q.document} for q in chosen]
    )
    out = tmp_path / "run"
    # A rate far above the default: a few dozen steps have to show.
    settings = ["probe.samples=2", "tune.epochs=2", "tune.learning_rate=6e-5"]
    settings += ["build.invented=30", "build.rehearsal=8", "build.anchors=16"]
    settings += ["evaluate.invented=30", "evaluate.replicates=200"]
    assert candor(*words(out, smollm2, path, *settings)).code == 0
    metrics = read_json(out / "metrics.json")
    assert metrics["before"]["correct"]["value"] > 0.1
    assert metrics["change"]["wrong_cut"]["value"] > 0.2
    assert metrics["change"]["right_kept"]["value"] > 0.3
    assert metrics["probe"]["layers"][metrics["probe"]["best_layer"]]["auroc"]["value"] > 0.7
    assert metrics["ability"]["perplexity_change"]["value"] < 0.3
    # The checkpoint is an ordinary one, and the data set is plain `messages`.
    model = AutoModelForCausalLM.from_pretrained(out / "checkpoint")
    assert model.config.model_type == "llama"
    row = next(iter(read_json_lines(out / "idk" / "train.jsonl")))[1]
    assert [message["role"] for message in row["messages"]] == ["user", "assistant"]
    assert len(read_probe(out / "probe")) == len(chosen)
    # And it answers questions with a confidence.
    reply = json.loads(candor("ask", "--model", out, "Who is Orson Kovacs?", "--json").out)
    assert 0 <= reply["confidence"] <= 1
    assert reply["gated"]
