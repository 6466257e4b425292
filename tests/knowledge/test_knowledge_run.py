"""The whole knowledge run: killed and continued on a tiny model, and once for real on SmolLM2."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from candor.core.files import read_json, read_json_lines, write_jsonl
from candor.data.facts import embedded_questions
from candor.engine.local import LocalEngine
from candor.engine.protocol import Sampling
from candor.judge import judge
from candor.knowledge.probe import ask, read_probe
from candor.knowledge.recipe import ProbeSettings
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


def command(out: Path, model: object, questions: Path, *settings: str) -> list[str]:
    """A knowledge run as a user would start it."""
    line = [sys.executable, "-m", "candor", "knowledge", "run", "--model", str(model)]
    line += ["--questions", str(questions), "--out", str(out), "--json"]
    for setting in settings:
        line += ["--set", setting]
    return line


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
    tmp_path: Path, tiny: Path, questions: Path
) -> None:
    settings = [*SMALL, *TUNING, *SHORT, "model.dtype=float32", "tune.dtype=float32"]
    whole = tmp_path / "whole"
    subprocess.run(command(whole, tiny, questions, *settings), check=True, capture_output=True, timeout=300)
    broken = tmp_path / "broken"
    for marker in ("probe/shard-0002.jsonl", "idk/validation.jsonl"):
        process = subprocess.Popen(
            command(broken, tiny, questions, *settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        wait_for(broken / marker, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command(broken, tiny, questions, *settings), check=True, capture_output=True, timeout=300)
    assert tree(broken) == tree(whole)
    first, second = (read_json(folder / "metrics.json") for folder in (whole, broken))
    for key in ("before", "after", "change", "scores", "probe", "invented"):
        assert first[key] == second[key]
    assert (broken / "report.html").stat().st_size > 10_000


def test_a_finished_run_does_nothing_when_started_again(tmp_path: Path, tiny: Path, questions: Path) -> None:
    out = tmp_path / "run"
    line = command(out, tiny, questions, *SMALL, *TUNING, *SHORT)
    subprocess.run(line, check=True, capture_output=True, timeout=300)
    before = (out / "metrics.json").stat().st_mtime_ns
    again = subprocess.run(line, check=True, capture_output=True, timeout=120, text=True)
    assert again.stdout.count("done before") == 5
    assert (out / "metrics.json").stat().st_mtime_ns == before


def test_stages_one_at_a_time_give_what_run_gives(tmp_path: Path, tiny: Path, questions: Path) -> None:
    settings = [*SMALL, *TUNING, *SHORT, "model.dtype=float32", "tune.dtype=float32"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    subprocess.run(command(whole, tiny, questions, *settings), check=True, capture_output=True, timeout=300)
    begin = command(parts, tiny, questions, *settings)
    begin[begin.index("run")] = "questions"
    subprocess.run(begin, check=True, capture_output=True, timeout=120)
    for stage in ("probe", "build", "tune", "evaluate"):
        line = [sys.executable, "-m", "candor", "knowledge", stage, "--out", str(parts), "--json"]
        subprocess.run(line, check=True, capture_output=True, timeout=300)
    assert tree(parts) == tree(whole)


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


def test_smollm2_learns_to_refuse_what_it_does_not_know(tmp_path: Path, smollm2: str) -> None:
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
    subprocess.run(
        command(out, smollm2, path, *settings),
        check=True,
        timeout=900,
        env={**os.environ},
        capture_output=True,
    )
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
    line = [sys.executable, "-m", "candor", "ask", "--model", str(out), "Who is Orson Kovacs?", "--json"]
    reply = json.loads(subprocess.run(line, check=True, capture_output=True, timeout=120).stdout)
    assert 0 <= reply["confidence"] <= 1
    assert reply["gated"]
