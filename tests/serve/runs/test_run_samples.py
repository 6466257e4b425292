"""Rows of a file come a page at a time, all of them and each once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from candor.serve.runs import samples


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps({"row": row, "text": "é" * row}) + "\n" for row in range(45)))
    return path


def test_pages_hold_every_row_once(path: Path) -> None:
    found, start = [], 0
    while start is not None:
        page = samples.page(path, start)
        found.append([row["row"] for row in page.rows])
        start = page.next
    assert [len(rows) for rows in found] == [20, 20, 5]
    assert [row for rows in found for row in rows] == list(range(45))


@pytest.mark.parametrize("rows", [1, 20, 45, 90])
def test_a_negative_start_counts_from_the_end(path: Path, rows: int) -> None:
    page = samples.page(path, -rows)
    assert page.rows[0]["row"] == max(0, 45 - rows)


def test_damaged_long_and_unfinished_lines_are_counted_or_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "_PAGE", 100)
    path = tmp_path / "samples.jsonl"
    path.write_text('no\n{"a": 1}\n' + json.dumps({"a": "x" * 250}) + '\n{"a": 2}\n{"a": 3')
    rows, damaged, start = [], 0, 0
    while start is not None:
        page = samples.page(path, start)
        rows, damaged, start = [*rows, *page.rows], damaged + page.damaged, page.next
    assert [row["a"] for row in rows] == [1, 2]
    assert damaged >= 2
    assert samples.page(path, 10_000).rows == []


def test_values_are_text_and_long_ones_are_cut() -> None:
    found = dict(samples.fields({"right_answer": 3, "said": "x" * 9000, "list": [1, "é"], "none": None}))
    assert found["Right answer"] == "3"
    assert found["List"] == '[1, "é"]'
    assert len(found["Said"]) < 3100
