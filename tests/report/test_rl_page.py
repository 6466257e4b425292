"""The page of an RL run says what was measured, with intervals, and shows what was written as text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from candor.report import render_report

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def estimate(value: float, n: int = 128) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05, "n": n}


def moment(step: int, right: float) -> dict[str, Any]:
    return {
        "step": step,
        "accuracy": estimate(right, 1024),
        "greedy_accuracy": estimate(right + 0.02),
        "tokens": estimate(2.2 + step / 3),
        "reasoned": estimate(0.09 + step / 60),
        "pass": {"1": estimate(right), "8": estimate(min(1.0, right + 0.3))},
    }


def write_rl_run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    sample = {
        "step": 1, "question": HOSTILE, "right_answer": HOSTILE, "completion": HOSTILE, "answer": HOSTILE,
        "right": True, "reward": 1.0, "tokens": 5,
    }  # fmt: skip
    change = {**moment(0, 0.62), "tokens": estimate(13.0)}
    metrics = {
        "model": HOSTILE,
        "task": HOSTILE,
        "way": "steps",
        "reward": HOSTILE,
        "before": moment(0, 0.18),
        "after": moment(40, 0.8),
        "change": change,
        "train": {"steps": 40},
        "samples": {"first": [{**sample, "right": False, "answer": None}], "last": [sample]},
        "commands": {"run": "candor rl --recipe recipe.toml --out NEW"},
        "timings": {"check": 3.0, "train": 60.0, "evaluate": 1.0},
    }
    (folder / "recipe.toml").write_text('kind = "rl"\nseed = 3\n')
    (folder / "manifest.json").write_text(json.dumps({"versions": {"torch": "2"}, "machine": {"cores": 2}}))
    (folder / "metrics.json").write_text(json.dumps(metrics))
    events: list[dict[str, Any]] = [
        {
            "event": "step", "step": step, "accuracy": step / 50, "reward": step / 50, "tokens": 2 + step / 3,
            "longest": 20, "entropy": 2 - step / 30, "reasoned": step / 40, "truncated": 0.1,
            "without_variance": 0.2,
        }
        for step in range(1, 41)
    ]  # fmt: skip
    events += [{"event": "held out", **moment(step, 0.18 + step / 64)} for step in (0, 20, 40)]
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return render_report(write_rl_run(tmp_path_factory.mktemp("rl") / "run")).read_text(encoding="utf-8")


def test_headline_and_tiles_state_the_numbers(page: str) -> None:
    assert "80% of completions of held-out problems are right, where 18% were before." in page
    for text in ("+62.0 points", "+57.0 to +67.0", "n = 1,024", "+13.000", "40 steps of reinforcement"):
        assert text in page, text


def test_every_curve_is_drawn_and_described(page: str) -> None:
    for name in ("accuracy", "length", "reasoning", "entropy", "variance"):
        assert f'id="curve-{name}-wide-t"' in page
    assert "entropy: 1.97 at step 1, 0.667 at step 40" in page
    assert "drawn after 20 steps: 49%" in page
    assert "pass@8, before" in page


def test_nothing_that_was_written_is_markup(page: str) -> None:
    assert HOSTILE not in page and "<img" not in page
    assert page.count("&lt;script&gt;alert(1)") >= 6


def test_a_run_that_has_just_begun_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text('kind = "rl"\n')
    assert "This run has no results yet." in render_report(tmp_path).read_text(encoding="utf-8")
