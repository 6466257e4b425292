"""Documents that hold an evaluation item are found, others are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from candor.base.contamination import Evaluations
from candor.core.errors import InputError

ITEM = "If a train leaves the station at nine and travels sixty miles an hour when does it arrive in the city"


def file_of(folder: Path, *rows: dict[str, object]) -> Path:
    path = folder / "items.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_document_that_quotes_an_item_is_found(tmp_path: Path) -> None:
    known = Evaluations([file_of(tmp_path, {"question": ITEM})], 13)
    assert known.touch(f"We were asked: {ITEM.upper()}? Nobody knew.")
    assert known.touch("it said: " + " ".join(ITEM.split()[3:16]))
    assert not known.touch(" ".join(ITEM.split()[3:15]))  # twelve words
    assert not known.touch("Trains leave the station at nine every day of the week.")


def test_texts_inside_lists_and_tables_of_a_row_count(tmp_path: Path) -> None:
    known = Evaluations([file_of(tmp_path, {"id": 7, "turns": [{"text": ITEM}]})], 13)
    assert known.touch(ITEM)


def test_short_items_are_looked_for_whole(tmp_path: Path) -> None:
    short = "who wrote the first book about the northern lights"
    known = Evaluations([file_of(tmp_path, {"q": short}, {"q": "yes"})], 13)
    assert known.touch(f"Tell me: {short}?")
    assert not known.touch("who wrote the first book about the southern lights")
    assert not known.touch("yes")


def test_plain_text_is_an_item_a_line(tmp_path: Path) -> None:
    (tmp_path / "items.txt").write_text(ITEM + "\n", encoding="utf-8")
    assert Evaluations([tmp_path / "items.txt"], 13).touch(ITEM)


def test_a_file_without_usable_items_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no item has 8 words"):
        Evaluations([file_of(tmp_path, {"answer": "no"})], 13)
    with pytest.raises(InputError, match="can't be read"):
        Evaluations([tmp_path / "absent.txt"], 13)
    with pytest.raises(InputError, match="no such file"):
        Evaluations([tmp_path / "absent.jsonl"], 13)
