from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from candor.core.errors import InputError
from candor.data.questions import read_given_questions


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_answers_come_as_list_string_or_number_and_other_fields_are_ignored(tmp_path: Path) -> None:
    path = write(
        tmp_path / "q.jsonl",
        '{"question": "Capital of France?", "answers": ["Paris", " Paris "], "category": "x"}',
        '{"question": "Two and two?", "answer": 4, "document": "d1", "kind": "sum", "id": "a"}',
        '{"question": "Half?", "answer": [0.5, "one half"], "answers": null}',
    )
    first, second, third = read_given_questions(path).questions
    assert first.answers == ("Paris",)
    assert first.document == first.id == "q.jsonl:1"
    assert (second.id, second.answers, second.document, second.kind) == ("a", ("4",), "d1", "sum")
    assert third.answers == ("0.5", "one half")
    assert {q.origin for q in (first, second, third)} == {"given"}


def test_a_question_asked_twice_is_counted_and_keeps_the_answers_of_both(tmp_path: Path) -> None:
    path = write(
        tmp_path / "q.jsonl",
        '{"question": "Who?", "answer": "A"}',
        '{"question": " Who? ", "answer": "B"}',
        '{"question": "who?", "answer": "C"}',
    )
    given = read_given_questions(path)
    assert given.duplicates == 1
    assert [q.answers for q in given.questions] == [("A", "B"), ("C",)]


def test_gzipped_questions_are_read(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "q.jsonl.gz", "wt") as file:
        file.write('{"question": "Who?", "answer": "A"}\n')
    assert read_given_questions(tmp_path / "q.jsonl.gz").questions[0].answers == ("A",)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"question": "Who?"}', "field 'answers': missing: the question has no answer"),
        ('{"question": "Who?", "answers": []}', "field 'answers': is empty: the question has no answer"),
        ('{"question": "Who?", "answers": [" "]}', "field 'answers': is empty"),
        ('{"question": "Who?", "answer": ""}', "field 'answer': is empty"),
        ('{"question": "Who?", "answers": [{"a": 1}]}', "field 'answers': expected a string, found dict"),
        ('{"question": "Who?", "answers": [null]}', "field 'answers': missing"),
        ('{"question": "Who?", "answer": true}', "field 'answer': expected a string, found bool"),
        ('{"question": " ", "answer": "A"}', "field 'question': is empty"),
        ('{"q": "Who?", "answer": "A"}', "field 'question': missing; this row has answer, q"),
        ('{"question": "Who?", "answer": "A"', "not valid JSON"),
    ],
)
def test_a_bad_row_names_file_line_field_and_fix(tmp_path: Path, line: str, says: str) -> None:
    path = write(tmp_path / "q.jsonl", '{"question": "Fine?", "answer": "A"}', line)
    with pytest.raises(InputError) as caught:
        read_given_questions(path)
    assert caught.value.message.startswith(f"{path}:2: ")
    assert says in caught.value.message
    assert caught.value.fix


def test_an_id_given_twice_is_an_error_naming_both_lines(tmp_path: Path) -> None:
    path = write(
        tmp_path / "q.jsonl",
        '{"id": 1, "question": "A?", "answer": "A"}',
        '{"id": "1", "question": "B?", "answer": "B"}',
    )
    with pytest.raises(InputError, match="already given on line 1") as caught:
        read_given_questions(path)
    assert caught.value.line == 2


def test_missing_empty_and_foreign_files_are_errors(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text("\n")
    for name, says in (("no.jsonl", "no such file"), ("e.jsonl", "no questions"), (".", "is a folder")):
        with pytest.raises(InputError, match=says):
            read_given_questions(tmp_path / name)
    (tmp_path / "q.csv").write_text("x")
    with pytest.raises(InputError, match=r"can't read questions from \.csv"):
        read_given_questions(tmp_path / "q.csv")
