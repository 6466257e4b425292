"""Prompts of a file, and what is said of those that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from candor.core.errors import InputError
from candor.rewards.rlhf.prompts import PromptSet, read_prompts


def write(path: Path, *rows) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return path


def test_texts_messages_and_lines_are_read(tmp_path: Path):
    turns = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}]
    found = read_prompts(
        write(tmp_path / "a.jsonl", {"prompt": "p"}, {"question": "q", "id": 7}, {"messages": turns})
    )
    assert found == {"p": "p", "7": "q", "user: Why?": [{"role": "user", "content": "Why?"}]}
    (tmp_path / "b.txt").write_text("one\n\n two \none\n")
    assert list(read_prompts(tmp_path / "b.txt")) == ["one", "two"]


def test_files_of_other_editors_are_read_alike(tmp_path: Path):
    """Windows ends lines in two characters and puts a mark in front; a page break ends no line."""
    (tmp_path / "a.txt").write_bytes("\ufeffone\r\nt\u2028w\x0co\r\n".encode())
    assert list(read_prompts(tmp_path / "a.txt")) == ["one", "t\u2028w\x0co"]
    (tmp_path / "a.jsonl").write_bytes('\ufeff{"prompt": "one"}\r\n{"prompt": "two"}\r\n'.encode())
    assert list(read_prompts(tmp_path / "a.jsonl")) == ["one", "two"]


def test_what_is_no_file_of_text_is_told(tmp_path: Path):
    (tmp_path / "latin.txt").write_bytes("é".encode("latin-1"))
    (tmp_path / "folder.txt").mkdir()
    wrong = {"latin.txt": "not UTF-8", "none.txt": "no such file", "folder.txt": "is a folder"}
    for name, said in wrong.items():
        with pytest.raises(InputError, match=said) as caught:
            read_prompts(tmp_path / name)
        assert caught.value.path == tmp_path / name


@pytest.mark.parametrize(
    ("rows", "field", "said"),
    [
        ([{"prompt": " "}], "prompt", "is empty"),
        ([{"text": "p"}], "prompt", "missing"),
        ([{"prompt": "a", "id": "x"}, {"prompt": "b", "id": "x"}], "id", "two different prompts"),
        ([{"messages": []}], "messages", "no message to answer"),
        ([{"messages": [{"role": "robot", "content": "hi"}]}], "messages", "expected"),
    ],
)
def test_a_row_that_is_no_prompt_is_told_with_line_and_field(tmp_path: Path, rows, field, said):
    with pytest.raises(InputError, match=said) as caught:
        read_prompts(write(tmp_path / "a.jsonl", *rows))
    assert caught.value.field == field and caught.value.line == len(rows)


def test_an_empty_file_is_told(tmp_path: Path):
    (tmp_path / "none.txt").write_text("\n")
    with pytest.raises(InputError, match="no prompts"):
        read_prompts(tmp_path / "none.txt")


def test_texts_become_messages_where_the_model_is_asked_by_them():
    prompts = {"a": "A?", "b": [{"role": "user", "content": "B?"}]}
    asked, raw = PromptSet(prompts, chat=True), PromptSet(prompts)
    first, second = sorted(asked.problems(9, 0), key=lambda one: one.id)
    assert asked.prompt(first) == [{"role": "user", "content": "A?"}] and raw.prompt(first) == "A?"
    assert asked.prompt(second) == raw.prompt(second) == prompts["b"]
    assert asked.problems(2, 5) == asked.problems(2, 5)
