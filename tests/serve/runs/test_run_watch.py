"""Events are read as they grow, each once, and become curves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from run_folders import HOSTILE, estimate

from candor.serve.runs import watch
from candor.serve.runs.watch import Log


def append(path: Path, *events: dict[str, Any], end: str = "\n") -> None:
    with path.open("a") as file:
        file.write("\n".join(json.dumps(event) for event in events) + end)


def step(number: int, **measures: Any) -> dict[str, Any]:
    return {"event": "step", "step": number, **measures}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def test_what_is_added_is_read_and_half_a_line_is_left_until_it_is_whole(path: Path) -> None:
    append(path, step(1, loss=3.0), step(2, loss=2.0))
    log = Log(path)
    log.update()
    assert [row["\nloss"] for row in log.rows.values()] == [3.0, 2.0]
    append(path, step(3, loss=1.0), end="")
    log.update()
    assert len(log.rows) == 2
    append(path, end="\n")
    log.update()
    assert log.rows[3.0] == {"\nloss": 1.0}
    assert log.offset == path.stat().st_size


def test_what_is_shown_is_drawn_again_only_when_something_was_added(path: Path) -> None:
    append(path, step(1, loss=3.0, steps=9), step(2, loss=2.0, steps=9, time="2026-01-02T03:04:05+00:00"))
    log = Log(path)
    log.update()
    before = log.seen()
    assert (len(before.figures), before.last) == (1, "2026-01-02 03:04:05, step 2 of 9")
    log.update()
    assert log.seen() is before
    append(path, {"event": "stage finished", "stage": "train"})
    log.update()
    assert [event["event"] for event in log.seen().recent] == ["stage finished"]


def test_a_file_that_was_cut_or_replaced_is_read_again(path: Path) -> None:
    append(path, step(1, loss=3.0), step(2, loss=2.0))
    log = Log(path)
    log.update()
    path.write_text(json.dumps(step(1, loss=9.0)) + "\n")
    log.update()
    assert log.rows == {1.0: {"\nloss": 9.0}}
    other = path.with_name("other")
    append(other, step(5, loss=1.0), step(6, loss=1.0), step(7, loss=1.0))
    other.replace(path)
    log.update()
    assert sorted(log.rows) == [5.0, 6.0, 7.0]


def test_steps_that_were_made_again_count_once_and_forgotten_ones_not_at_all(path: Path) -> None:
    append(path, step(1, loss=3.0), step(2, loss=2.0), step(2, loss=2.5))
    log = Log(path)
    log.update()
    assert log.rows[2.0] == {"\nloss": 2.5}
    append(path, {"event": "stage forgotten", "stage": "train"}, step(1, loss=7.0))
    log.update()
    assert log.rows == {1.0: {"\nloss": 7.0}}


def test_curves_have_one_plot_a_measure_and_a_line_for_each_who_measured_it(path: Path) -> None:
    for number in range(1, 4):
        append(
            path,
            step(number, loss=3.0 / number, member=1, learning_rate=0.1),
            step(number, loss=4.0 / number, member=2, grad_norm=1.0, note="text", flag=True, none=None),
            {"event": "validation", "step": number, "validation_loss": 3.5 / number},
            {"event": "held out", "step": number, "accuracy": estimate(number / 10)},
        )
    log = Log(path)
    log.update()
    titles = [figure.plot.split('-t">')[1].split("<")[0] for figure in log.figures()]
    assert titles == ["Loss", "Accuracy", "Grad norm"]
    legend = log.figures()[0].legend
    for who in ("member 1", "member 2", "validation"):
        assert who in legend
    assert "validation: 3.5 at step 1, 1.17 at step 3" in log.figures()[0].plot


def test_long_runs_are_thinned_to_means_and_end_where_they_are(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_KEPT_STEPS", 1000)
    append(path, *(step(number, loss=float(number)) for number in range(1, 5001)))
    log = Log(path)
    log.update()
    assert len(log.rows) <= 1001
    figure = log.figures()[0]
    assert "at step 4," not in figure.caption
    assert figure.caption.startswith("Each point is the mean of up to")
    last = float(figure.plot.split(" at step ")[2].split("<")[0])
    assert last > 4900
    assert figure.plot.count("L") <= 2 * watch._POINTS + 10


def test_lines_that_are_no_events_are_left_out_and_text_stays_text(path: Path) -> None:
    path.write_bytes(b'nonsense\n[1]\n\xff\xfe\n{"event": "step", "step": "x", "loss": 1}\n')
    append(path, {"event": HOSTILE, "said": HOSTILE}, step(1, **{HOSTILE: 1}), step(2, **{HOSTILE: 2}))
    log = Log(path)
    log.update()
    assert sorted(log.rows) == [1.0, 2.0]
    assert "<script" not in str(log.figures()[0].plot) + str(log.figures()[0].legend)


def test_a_line_longer_than_a_block_is_stepped_over(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_BLOCK", 200)
    append(path, step(1, loss=1.0), {"event": "note", "text": "x" * 900}, step(2, loss=2.0))
    log = Log(path)
    log.update()
    assert sorted(log.rows) == [1.0, 2.0]
