"""`candor life` from the command line: what is told before anything is made, and what is printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from command_result import Result, assert_told

Candor = Callable[..., Result]
TINY = (
    "emerge.task=parity:8", "emerge.model.depth=1", "emerge.model.width=32", "emerge.mixture.lessons=200",
    "emerge.pretrain.updates=10", "emerge.rl.steps=2", "emerge.rl.max_tokens=16", "emerge.rl.held_out=8",
    "emerge.rl.prompts=4", "emerge.rl.samples=2", "emerge.evaluate.problems=8", "emerge.evaluate.samples=2",
)  # fmt: skip


def test_unknown_stages_and_settings_are_told_before_a_folder_is_made(candor: Candor) -> None:
    told = candor("life", "--out", "run", "--from", "nowledge")
    assert_told(told, "'--from'", "no stage 'nowledge'", "did you mean 'knowledge'? ", "base, serve, chat")
    assert_told(candor("life", "--out", "run", "--only", "emerge"), "'--only'", "no stage 'emerge'")
    assert_told(candor("life", "--out", "run", "--only", "chat"), "'base' makes", "--only base")
    assert_told(
        candor("life", "--out", "run", "--set", "emerge.sed=3"), "emerge.sed", "did you mean 'emerge.seed'"
    )
    assert not Path("run").exists()


def test_one_stage_is_done_and_the_claims_are_printed(candor: Candor) -> None:
    words = [word for setting in TINY for word in ("--set", setting)]
    done = candor("life", "--out", "run", "--only", "think", *words)
    assert done.code == 0, done.err
    assert "[5/6] think: steps that nobody asked for" in done.err and "so far)" in done.err
    for text in ("Chain of thought emerges", "not measured", "run/report.html"):
        assert text in done.out, done.out
    again = candor("life", "--out", "run", "--only", "think", *words, "--json")
    assert json.loads(again.out.splitlines()[-1]) == {
        "report": "run/report.html", "claims": "run/report.json"
    }  # fmt: skip
    assert '"stage": "think"' in again.out and "done before" in again.out


def test_the_recipe_shows_and_reads_back(candor: Candor) -> None:
    shown = candor("recipe", "show", "life").out
    Path("again.toml").write_text(shown)
    assert candor("recipe", "show", "life", "--recipe", "again.toml").out == shown
