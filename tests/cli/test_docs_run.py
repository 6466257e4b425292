"""Every command of the documentation runs, in the order of its page, at a scale for minutes.

Each page has a folder of its own with what it takes for granted (`doc_workspace`). Commands go through the
program's entry point in this process; servers and torchrun are processes, as a user starts them.
"""

from __future__ import annotations

import gc
import json
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path

import httpx
import pytest

from candor.core.files import read_json_lines, write_jsonl
from command_result import Result
from doc_commands import PAGES, Command, commands, missing_in, page_id, verb_of
from doc_workspace import fill, make_models

# Settings of each kind of recipe that let a command end in seconds. They stand behind the page's own and win.
SCALE = {
    "base": (
        "corpus.sources=[{embedded='facts'}, {embedded='conversations', documents=20, filtered=false}]",
        "corpus.stated=[[0, 4], [3, 12], [40, 24]]", "corpus.passages=2", "corpus.repeated=[3]",
        "corpus.validation=0.2", "tokenizer.vocabulary=1024", "tokenizer.compare=[]",
        "model.depth=2", "train.epochs=2.0", "train.batch_tokens=2048", "train.micro_batch_tokens=2048",
        "evaluate.bytes=10000", "evaluate.during=0", "evaluate.models=[]", "evaluate.sample_tokens=4",
    ),
    "chat": (
        "tune.max_steps=2", "tune.batch_tokens=512", "data.validation=0.2", "evaluate.conversations=4",
        "evaluate.prompts=['Hi']", "evaluate.reply_tokens=4", "evaluate.threads=false", "evaluate.tone=false",
    ),
    "knowledge": (
        "data.max_documents=60", "data.max_questions=120", "probe.samples=1", "probe.max_tokens=20",
        "build.invented=8", "build.rehearsal=2", "build.anchors=4", "tune.max_steps=2", "evaluate.invented=8",
        "evaluate.p_true=false", "evaluate.ability=false", "evaluate.replicates=100",
    ),
    "think": ("ask.problems=2", "answer.max_tokens=8", "answer.budgets=[4]"),
    "rl": (
        "rl.steps=2", "rl.prompts=2", "rl.samples=2", "rl.max_tokens=8", "rl.held_out=4",
        "rl.held_out_samples=2", "rl.check_problems=8",
    ),
    "rlhf": (
        "rl.steps=2", "rl.prompts=2", "rl.samples=2", "rl.max_tokens=24", "rl.held_out=12",
        "rl.held_out_samples=2", "calibration.cautious=false",  # so few labels show nothing
    ),
    "reward": ("data.most=32", "data.embedded=40", "learn.batch=8", "learn.epochs=1.0", "evaluate.most=16"),
    "audit": ("draw.samples=2", "draw.max_tokens=8"),
    "emerge": (
        "task=parity:8", "model.depth=1", "model.width=32", "mixture.lessons=200", "pretrain.updates=10",
        "rl.steps=2", "rl.max_tokens=16", "rl.held_out=8", "rl.prompts=4", "rl.samples=2",
        "evaluate.problems=8", "evaluate.samples=2",
    ),
    "hacking": (
        "arms=['none', 'chi2']", "model.depth=1", "model.width=32",
        "pretrain.updates=20", "preferences.pairs=40", "preferences.members=2", "labels.prompts=10",
        "judged=4", "rl.steps=2", "rl.prompts=4", "rl.samples=2", "rl.held_out=8", "reward.epochs=1.0",
    ),
    "serve": ("prompts=['The', 'A']", "max_tokens=4"),
    "bandit": ("cases=3",),
}  # fmt: skip
LIFE = ("base", "serve", "chat", "knowledge", "emerge", "hacking", "bandit")
SCALE["life"] = tuple(f"{table}.{setting}" for table in LIFE for setting in SCALE[table])
# Verbs that read a recipe, with its kind; `show` and `reference` only print.
KINDS = {
    "corpus build": "base", "tokenizer train": "base", "pretrain": "base", "chat tune": "chat",
    "knowledge run": "knowledge", "knowledge questions": "knowledge", "think evaluate": "think", "rl": "rl",
    "rlhf": "rlhf", "reward train": "reward", "audit": "audit", "think emerge": "emerge",
    "rewards hacking": "hacking", "life": "life",
}  # fmt: skip
# Options that do the same.
OPTIONS = {
    "rl": ("--force",),  # in eight tries a model may solve nothing
    "rewards bandit": ("--cases", "3"),
    "rewards tomato": ("--quick",),
    "rewards enumerated": ("--steps", "20"),
}
TYPED = {"chat talk": "Hello!\n/tokens\n/quit\n"}
SERVERS = {"serve", "runs"}
# Runs that a page speaks of without making them, with the command that does.
FIRST = "knowledge run --model smollm2 --out runs/first"
RUNS = {
    "runs/base": "pretrain recipes/base-laptop.toml --out runs/base",
    "runs/both": "knowledge questions --model smollm2 --questions questions.jsonl --out runs/both",
    "runs/first": FIRST,
    "runs/mine": FIRST,
    "runs/reward": "reward train --model smollm2 --data pairs.jsonl --out runs/reward",
    "runs/rlhf": "rlhf --model smollm2 --reward runs/reward --prompts prompts.jsonl --out runs/rlhf",
}
# Commands that go on with the run that --out names.
GO_ON = {f"knowledge {stage}" for stage in ("probe", "build", "tune", "evaluate")}
# What text leaves out where it speaks of a command with some of its options, by the parameter's name.
LEFT_OUT = {
    "out": ("--out", "runs/left-out"), "model": ("--model", "smollm2"),
    "file": ("chats.jsonl",), "files": ("chats.jsonl",), "question": ("Who was Ada Lovelace?",),
}  # fmt: skip
# Commands that are not run, with the reason.
_HUB = (
    "its models and documents are on a hub and too large for here; tests/life/test_large_recipes.py reads it"
)
NOT_RUN = {
    "audit": "names the verb: it takes a log, or a policy and a reference, and needs neither",
    "life recipes/h200.toml --out runs/life": _HUB,
    "life recipes/node.toml --out runs/life": _HUB,
    "knowledge run --recipe recipes/cluster.toml --out runs/cluster": "asks vLLM on GPUs",
    "knowledge probe --out runs/first --set cluster.address=auto": "wants a Ray cluster that is up",
}

Candor = Callable[..., Result]


def runs(command: Command) -> bool:
    """Whether it is a command, and not only a verb's name, in which something is missing."""
    verb = verb_of(command.words)
    named = " ".join(command.words) == verb and missing_in(command.words)
    return " ".join(command.words) not in NOT_RUN and (command.block or not named)


def commands_of(page: Path) -> list[Command]:
    return [one for one in commands(page.read_text(encoding="utf-8")) if runs(one)]


def filled(command: Command, before: Sequence[Command]) -> tuple[str, ...]:
    """Its words, with what was left out."""
    missing = missing_in(command.words)
    if missing and not command.whole and command.block:  # "…": what the page's last such command had
        verb = verb_of(command.words)
        words = next(one.words for one in reversed(before) if verb_of(one.words) == verb)
        place = words.index("--out") + 1
        return (*words[:place], f"{words[place]}-again", *words[place + 1 :])
    return (*command.words, *(word for name in missing for word in LEFT_OUT[name]))


def scaled(words: Sequence[str]) -> list[str]:
    """With what makes it short."""
    verb = verb_of(tuple(words))
    settings = SCALE[KINDS[verb]] if verb in KINDS else ()
    return [*words, *OPTIONS.get(verb, ()), *(word for one in settings for word in ("--set", one))]


@contextmanager
def serving(words: Sequence[str]) -> Iterator[str]:
    """A server of ours, on a free port; its URL."""
    with Path("server.txt").open("w") as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "candor", *words, "--port", "0", "--json"],
            stdout=subprocess.PIPE,
            stderr=told,
            text=True,
            # A background shell hands down an ignored interrupt; a terminal does not.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
        )
        try:
            assert process.stdout is not None
            rows = map(json.loads, process.stdout)
            url = next((row["url"] for row in rows if "url" in row), None)
            assert url is not None, Path("server.txt").read_text()
            yield url
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=60)
            assert (process.returncode, json.loads(out.splitlines()[-1])) == (0, {"message": "stopped"})
        finally:
            process.kill()
            process.wait()


class Reader:
    """Somebody who types a page's commands into the folder of work.

    Args:
        candor: runs the command in this process.
        models: see `doc_workspace.make_models`.
        made: a folder in which runs that pages take for granted are made, once for all pages.
    """

    def __init__(self, candor: Candor, models: Path, made: Path) -> None:
        self.candor, self.models, self.made = candor, models, made

    def types(self, words: tuple[str, ...], launcher: Sequence[str] = ()) -> None:
        """Do what a command says; an exit code other than 0 fails, with what was printed."""
        verb = verb_of(words)
        for name in self._needed(verb, words):
            self._take(name)
        if verb in SERVERS:
            self._asks(words)
            return
        place = next((i for i, word in enumerate(words) if word.startswith("http://127.0.0.1:")), None)
        if place is not None:
            with serving(["serve", words[words.index("--model") + 1]]) as url:
                self._runs(verb, (*words[:place], f"{url}/v1", *words[place + 1 :]))
        elif launcher:
            self._launches(launcher, words)
        elif " ".join(words) in RUNS.values():
            name = words[words.index("--out") + 1]
            shutil.rmtree(name, ignore_errors=True)
            self._take(name)
        else:
            self._runs(verb, words)

    def _needed(self, verb: str, words: Sequence[str]) -> list[str]:
        """Runs that it reads and that are not there."""
        made = () if verb in GO_ON or "--out" not in words else (words[words.index("--out") + 1],)
        read = [word for word in words if word not in made]
        found = [name for word in read for name in re.findall(r"runs/[\w-]+", word)]
        return [name for name in dict.fromkeys(found) if not Path(name).exists()]

    def _take(self, name: str) -> None:
        """A run that a page takes for granted, as its own."""
        words = tuple(RUNS[name].split())
        source = self.made / words[words.index("--out") + 1]
        with chdir(self.made):
            if not any(self.made.iterdir()):
                fill(self.made, self.models)
            if not source.exists():
                for other in self._needed(verb_of(words), words):
                    self._take(other)
                self._runs(verb_of(words), words)
        if Path.cwd() != self.made:
            shutil.copytree(source, name)

    def _runs(self, verb: str, words: Sequence[str]) -> None:
        done = self._calls(verb, words)
        if "holds a run of another recipe" in done.err:  # of another command of the page: begin in its place
            shutil.rmtree(words[words.index("--out") + 1])
            done = self._calls(verb, words)
        if verb == "rlhf" and "write how good each completion is into the field `gold`" in done.err:
            self._labels(Path(words[words.index("--out") + 1], "to-label.jsonl"))
            done = self._calls(verb, words)
        assert done.code in (0, None), (done.out + done.err)[-1500:]

    def _calls(self, verb: str, words: Sequence[str]) -> Result:
        result = self.candor(*scaled(words), typed=TYPED.get(verb, ""))
        gc.collect()
        return result

    def _labels(self, file: Path) -> None:
        """Label the replies, by their lengths."""
        rows = [row for _, row in read_json_lines(file)]
        write_jsonl(file, ({**row, "gold": len(row["completion"].split())} for row in rows))

    def _launches(self, launcher: Sequence[str], words: Sequence[str]) -> None:
        """Under torchrun, with two processes."""
        assert launcher[:2] == ("torchrun", "--nproc-per-node")
        program = Path(sys.executable).with_name("candor")
        line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        done = subprocess.run(
            [*line, *launcher[3:], "--no-python", program, *scaled(words)],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-1500:]

    def _asks(self, words: Sequence[str]) -> None:
        """Start a server, ask it once for each model and for its page, stop it."""
        with serving(words) as url, httpx.Client(base_url=url, timeout=120) as client:
            if words[0] == "runs":
                assert "runs" in client.get(f"{url}.json").json()
                return
            named = [one["id"] for one in client.get("/v1/models").json()["data"]]
            assert named
            for name in named:
                body = {"model": name, "prompt": "The", "max_tokens": 2}
                assert client.post("/v1/completions", json=body).json()["choices"]
            assert client.get("/").status_code == 200
            assert client.get("/runs.json").status_code == (200 if "--runs" in words else 404)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("made")
    yield folder
    shutil.rmtree(folder)  # gigabytes


@pytest.fixture
def reader(candor: Candor, tmp_path: Path, models: Path, made: Path) -> Iterator[Reader]:
    fill(tmp_path, models)
    yield Reader(candor, models, made)
    shutil.rmtree(tmp_path / "runs")


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if commands_of(page)], ids=page_id)
def test_commands_of_a_page_run_in_its_order(
    page: Path, reader: Reader, capsys: pytest.CaptureFixture[str]
) -> None:
    shown, failed = commands_of(page), []
    for number, command in enumerate(shown):
        begun = time.monotonic()
        try:
            reader.types(filled(command, shown[:number]), command.launcher)
        except Exception:  # a bug of the command's, too; the others are still to be tried
            failed.append(f"line {command.line}: {command}\n{traceback.format_exc(limit=-3)}")
        with capsys.disabled():  # what it is at can be seen, and what takes long
            print(f"\n{time.monotonic() - begun:5.1f} s  {command}", end="", flush=True)
    assert not failed, "\n\n".join(failed)


def test_commands_that_are_not_run_are_few_and_still_there() -> None:
    found = [one for page in PAGES for one in commands(page.read_text(encoding="utf-8"))]
    assert set(NOT_RUN) <= {" ".join(one.words) for one in found}
    assert sum(map(runs, found)) > 100
    left = [one for one in found if not runs(one) and " ".join(one.words) not in NOT_RUN]
    assert all(missing_in(one.words) and " ".join(one.words) == verb_of(one.words) for one in left)
    assert len({verb_of(one.words) for one in found if runs(one)}) > 25
