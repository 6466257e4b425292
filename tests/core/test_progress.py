"""Progress: bars for people, lines for logs, JSON for machines, silence for libraries."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from candor.core import progress as progress_module
from candor.core.progress import Reporter


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress_module.time, "monotonic", clock.monotonic)
    return clock


def test_json_mode_prints_one_object_a_line_on_standard_output(
    capsys: pytest.CaptureFixture[str], clock: Clock
) -> None:
    reporter = Reporter("json")
    reporter.say("loading", model="x")
    with reporter.bar("asking", 10) as bar:
        clock.now += 30
        bar.advance(4, "note")
        clock.now += 3
        bar.advance(6)
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert err == ""
    assert rows[0] == {"message": "loading", "model": "x"}
    assert [(row["done"], row["total"], row["progress"]) for row in rows[1:]] == [
        (4, 10, "asking"),
        (10, 10, "asking"),
    ]


def test_log_says_how_fast_and_how_long_but_not_at_every_step(
    capsys: pytest.CaptureFixture[str], clock: Clock
) -> None:
    with Reporter().bar("asking", 100, start=20) as bar:
        for _ in range(8):
            clock.now += 5
            bar.advance(5)
    out, err = capsys.readouterr()
    assert out == ""
    # Rates are of this process: the 20 done before took no time now.
    assert err.splitlines() == [
        "asking: 40/100 (1.0/s, 60 s left)",
        "asking: 60/100 (1.0/s, 40 s left)",
        "asking: 60/100 (1.0/s, 40 s left)",
    ]


def test_short_work_leaves_no_line_in_a_log(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    with Reporter().bar("asking", 2) as bar:
        clock.now += 1
        bar.advance(2)
    assert capsys.readouterr() == ("", "")


def test_no_time_left_is_claimed_before_anything_is_done(
    capsys: pytest.CaptureFixture[str], clock: Clock
) -> None:
    with Reporter().bar("asking", 10, start=5):
        clock.now += 30
    assert capsys.readouterr().err == "asking: 5/10 (0.0/s)\n"


def test_quiet_reporter_prints_nothing(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    reporter = Reporter("quiet")
    reporter.say("loading")
    with reporter.bar("asking", 10) as bar:
        clock.now += 60
        bar.advance(10)
    assert capsys.readouterr() == ("", "")


def test_paths_that_look_like_markup_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    Reporter().say("loading /models[/old]/[bold]x")
    assert capsys.readouterr().err.strip() == "loading /models[/old]/[bold]x"


def test_terminal_gets_a_bar_with_counts_and_notes_as_they_are() -> None:
    screen = io.StringIO()
    reporter = Reporter()
    reporter.console = Console(file=screen, force_terminal=True, width=120, highlight=False)
    with reporter.bar("asking [/x]", 4) as bar:
        bar.advance(1)
        bar.progress(4, 4, "[/y] kept")
        assert (bar.done, bar.total) == (4, 4)
    shown = screen.getvalue()
    assert "4/4" in shown
    assert "asking [/x]" in shown
    assert "[/y] kept" in shown


def test_error_inside_a_bar_passes_through(clock: Clock) -> None:
    with pytest.raises(ZeroDivisionError), Reporter().bar("asking", 10):
        clock.now += 5
        raise ZeroDivisionError
