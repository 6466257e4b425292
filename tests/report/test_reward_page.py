"""The page of a reward model says what was measured, with intervals, and shows what was written as text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from candor.report import render_report

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def estimate(value: float, n: int = 240) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05, "n": n}


def write_reward_run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    pair = {"prompt": [{"role": "user", "content": HOSTILE}], "chosen": HOSTILE, "rejected": HOSTILE}
    baseline = {"accuracy": estimate(0.55), "ahead_of_it": estimate(0.23)}
    metrics = {
        "model": HOSTILE,
        "data": HOSTILE,
        "kind": "pairs",
        "held_out": {
            "accuracy": estimate(0.78),
            "log_loss": estimate(0.5),
            "brier": estimate(0.15),
            "ece": estimate(0.06),
            "reliability": [{"confidence": 0.7, "accuracy": 0.72, "low": 0.6, "high": 0.8, "n": 90}],
            "baselines": {"longer": baseline, "likelihood": baseline},
            "where_better_is_longer": estimate(0.9),
            "where_better_is_shorter": estimate(0.66),
            "groups": {HOSTILE: estimate(0.6, 60)},
        },
        "ensemble": {
            "members": [estimate(0.77), estimate(0.76)],
            "combinations": {"mean": estimate(0.78), "averaged": estimate(0.775)},
            "agreement": estimate(0.88),
            "of_one_mind": estimate(0.82),
            "of_two_minds": estimate(0.52),
        },
        "distrust": {
            "source": "embedded",
            "accuracy": estimate(0.35, 40),
            "longer": estimate(0.1, 40),
            "groups": {"long": estimate(0.12, 8)},
            "trust": "looks",
            "sentence": "Not to be trusted beyond its data: it ranks 78% of held-out pairs rightly.",
        },
        "samples": {
            "held_out": [{**pair, "ahead": -1.5, "group": HOSTILE}],
            "adversarial": [{**pair, "ahead": -2.0}],
        },
        "notes": {"train": 1360, "held_out": 240},
        "commands": {"run": "candor reward train --recipe recipe.toml --out NEW"},
        "timings": {"data": 3.0, "train": 60.0, "evaluate": 5.0},
    }
    (folder / "recipe.toml").write_text('kind = "reward"\nseed = 3\n')
    (folder / "manifest.json").write_text(json.dumps({"versions": {"torch": "2"}, "machine": {"cores": 2}}))
    (folder / "metrics.json").write_text(json.dumps(metrics))
    events = [
        {
            "event": "step",
            "member": member,
            "step": step,
            "loss": 0.7 - step / 100,
            "accuracy": 0.5 + step / 100,
        }
        for member in (1, 2)
        for step in range(1, 21)
    ]
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return render_report(write_reward_run(tmp_path_factory.mktemp("reward") / "run")).read_text(
        encoding="utf-8"
    )


def test_the_headline_sets_held_out_against_misleading_pairs(page: str) -> None:
    assert "It ranks 78% of held-out pairs rightly, and 35% of pairs made to mislead." in page
    assert "Not to be trusted beyond its data" in page
    for text in ("73% to 83%", "n = 240", "+23.0", "Left of the line", "10% of them", "1,360 pairs"):
        assert text in page, text


def test_every_figure_is_drawn_and_described(page: str) -> None:
    for name in ("accuracy", "groups", "trust", "reliability", "members", "curve-loss", "curve-accuracy"):
        assert f'id="{name}-wide-t"' in page, name
    assert "member 2: 0.69 at update 1, 0.5 at update 20" in page
    assert "where all agree" in page.lower() and "52%" in page
    assert "said 70%, right 72%, n = 90" in page


def test_nothing_that_was_written_is_markup(page: str) -> None:
    assert HOSTILE not in page and "<img" not in page
    assert page.count("&lt;script&gt;alert(1)") >= 6


def test_a_run_that_has_just_begun_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text('kind = "reward"\n')
    assert "This run has no results yet." in render_report(tmp_path).read_text(encoding="utf-8")


def test_a_model_of_labels_is_not_said_to_rank_pairs(tmp_path: Path) -> None:
    folder = write_reward_run(tmp_path / "run")
    metrics = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps({**metrics, "kind": "labels"}))
    page = render_report(folder).read_text(encoding="utf-8")
    assert "It ranks 78% of good and bad completions of held-out prompts rightly" in page
    assert "Good and bad completions of held-out prompts ranked rightly" in page
