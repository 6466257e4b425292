"""`candor rlhf` and `candor rewards hacking`: what a user is told before any work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from command_result import Result, assert_told

Candor = Callable[..., Result]


def test_what_is_missing_or_wrong_is_told_and_no_folder_is_left(candor: Candor, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("Why?\n")
    rlhf = ("rlhf", "--out", "run", "--model", "smollm2")
    assert_told(candor(*rlhf, "--prompts", "prompts.txt"), "reward.model", "candor reward train")
    assert_told(candor(*rlhf, "--reward", "r"), "prompts", "--prompts FILE")
    assert_told(candor(*rlhf, "--reward", "r", "--prompts", "none.txt"), "none.txt")
    assert_told(candor(*rlhf, "--regularizer", "chi3"), "rl.regularizer.name")
    assert_told(candor(*rlhf, "--set", "rl.temperature=0.5"), "rl.temperature has to be 1")
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").iterdir())


def test_an_unknown_arm_is_told(candor: Candor, tmp_path: Path) -> None:
    done = candor("rewards", "hacking", "--arm", "maxmin", "--out", "run")
    assert_told(done, "no arm 'maxmin'", "did you mean 'max-min'")
    assert_told(candor("rewards", "hacking", "--arm", "kl", "--out", "run"), "kl=0.1")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("verb", "parts"),
    [
        (("rlhf",), ("WHICH IS RUN", "to-label.jsonl", "Example: candor rlhf", "max-min")),
        (("rewards", "hacking"), ("Example: candor rewards hacking", "chi2", "uncertainty")),
    ],
)
def test_help_teaches(candor: Candor, verb, parts) -> None:
    text = " ".join(candor(*verb, "--help").out.replace("│", " ").split())
    for part in parts:
        assert part in text, part


@pytest.mark.parametrize("kind", ["rlhf", "hacking"])
def test_recipes_show_and_read_back(candor: Candor, tmp_path: Path, kind: str) -> None:
    shown = candor("recipe", "show", kind).out
    (tmp_path / "again.toml").write_text(shown)
    assert candor("recipe", "show", kind, "--recipe", "again.toml").out == shown
