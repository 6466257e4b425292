"""`candor rl` from the command line, on a tiny model and a task of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from candor.cli import rl as verb
from candor.model.load import save_checkpoint
from candor.reasoning.rl.pipeline import Asked
from command_result import Result, assert_told
from parity_task import FirstWord, Parity
from word_models import word_engine

Candor = Callable[..., Result]
SHORT = (
    *("--steps", 3, "--prompts", 8, "--samples", 8, "--max-tokens", 3, "--learning-rate", "5e-3"),
    *("--set", "rl.held_out=16", "--set", "model.dtype=float32"),
)


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A tiny model; tasks and ways by name are another package's."""
    monkeypatch.setattr(verb, "_asked", lambda settings: Asked(Parity(), lambda chat: FirstWord()))
    engine = word_engine()
    save_checkpoint(engine.model, engine.tokenizer, tmp_path / "model")
    return tmp_path / "model"


def test_a_run_prints_what_changed_and_where_the_checkpoint_is(candor: Candor, ours: Path) -> None:
    done = candor("rl", "--model", ours, "--task", "parity", "--out", "run", *SHORT)
    assert done.code == 0, done.err
    for text in ("128 completions of held-out problems", "right, greedy", "pass@8", "run/checkpoint"):
        assert text in done.out, done.out
    assert "before: pass@1" in done.err and "held out, after 3 steps" in done.err
    again = candor("rl", "--model", ours, "--task", "parity", "--out", "run", *SHORT, "--json")
    assert json.loads(again.out.splitlines()[-1])["checkpoint"] == "run/checkpoint"
    assert '"train: done before"' in again.out


def test_what_is_wrong_is_told_with_a_way_out(candor: Candor, ours: Path) -> None:
    rl = ("rl", "--model", ours, "--task", "parity", "--out", "run")
    assert_told(candor(*rl, "--reward", "corect"), "no reward by the name 'corect'", "did you mean 'correct'")
    assert_told(candor(*rl, "--reward", "none.py:mine"), "none.py", "no such file")
    assert_told(candor(*rl, "--set", "rl.advantage=ppo"), "rl.advantage")
    assert_told(candor(*rl, "--set", "rl.regularizer.name=chi2"), "chi2 needs a weight", "regularizer.weight")
    assert_told(candor(*rl, "--set", "rl.regularizer.name=max-min"), "correlates", "candor rlhf")
    assert not Path("run").exists()


def test_help_teaches(candor: Candor) -> None:
    text = " ".join(candor("rl", "--help").out.replace("│", " ").split())
    for part in ("--force", "WHICH IS RUN", "torchrun", "pass@8", "Example: candor rl"):
        assert part in text, part


def test_the_recipe_shows_and_reads_back(candor: Candor, tmp_path: Path) -> None:
    shown = candor("recipe", "show", "rl").out
    (tmp_path / "again.toml").write_text(shown)
    assert candor("recipe", "show", "rl", "--recipe", "again.toml").out == shown
