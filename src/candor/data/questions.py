"""Read the questions a user gives with `--questions`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from candor.core.errors import InputError
from candor.core.files import read_json_lines
from candor.data.formats import extension_of
from candor.data.rows import text_field
from candor.data.types import Question


@dataclass(frozen=True)
class GivenQuestions:
    """The questions of a file, and how many rows asked what an earlier row had asked."""

    questions: list[Question]
    duplicates: int = 0


def read_given_questions(path: Path | str) -> GivenQuestions:
    """Read `.jsonl` or `.jsonl.gz` rows {question, answers or answer, document?, kind?, id?}.

    Answers may be one string, one number or a list of them; other fields are ignored. A question without a
    `document` is its own document, so that a split by document splits by question. A question asked twice
    in the same words is kept once, with the answers of both rows accepted.

    Raises:
        InputError: the file or a row is broken, a question has no answer, or an id is given twice; it names
            file, line and field. No row is left out in silence.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(
            "is a folder" if path.is_dir() else "no such file",
            path=path,
            fix="give one JSONL file as --questions",
        )
    if extension_of(path) not in (".jsonl", ".jsonl.gz"):
        raise InputError(
            f"can't read questions from {extension_of(path) or 'a file without an extension'}",
            path=path,
            fix='give a .jsonl or .jsonl.gz file with rows like {"question": "...", "answers": ["..."]}',
        )
    by_words: dict[str, Question] = {}
    lines: dict[str, int] = {}
    duplicates = 0
    for line, row in read_json_lines(path):
        question = _question(row, path, line)
        if question.id in lines:
            raise InputError(
                f"the id {question.id!r} was already given on line {lines[question.id]}",
                path=path,
                line=line,
                field="id",
                fix="give each question an id of its own, or remove the ids",
            )
        lines[question.id] = line
        words = " ".join(question.question.split())
        earlier = by_words.get(words)
        if earlier is None:
            by_words[words] = question
        else:
            duplicates += 1
            merged = tuple(dict.fromkeys((*earlier.answers, *question.answers)))
            by_words[words] = earlier.model_copy(update={"answers": merged})
    if not by_words:
        raise InputError(
            "there are no questions in it",
            path=path,
            fix='write one {"question": "...", "answers": ["..."]} a line',
        )
    return GivenQuestions(list(by_words.values()), duplicates)


def _question(row: dict[str, Any], path: Path, line: int) -> Question:
    text = (text_field(row, "question", path, line, required=True) or "").strip()
    if not text:
        raise InputError(
            "is empty", path=path, line=line, field="question", fix="write the question, or remove the row"
        )
    identity = (text_field(row, "id", path, line) or "").strip() or f"{path.name}:{line}"
    return Question(
        id=identity,
        question=text,
        answers=_answers(row, path, line),
        document=(text_field(row, "document", path, line) or "").strip() or identity,
        kind=(text_field(row, "kind", path, line) or "").strip(),
        origin="given",
    )


def _answers(row: dict[str, Any], path: Path, line: int) -> tuple[str, ...]:
    field = "answers" if row.get("answers") is not None or row.get("answer") is None else "answer"
    value = row.get(field)
    fix = 'give at least one accepted answer ("answers": ["Paris"]), or remove the row'
    if value is None:
        raise InputError("missing: the question has no answer", path=path, line=line, field=field, fix=fix)
    answers: list[str] = []
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, float):
            item = f"{item:g}" if item.is_integer() else repr(item)  # noqa: PLW2901
        text = text_field({field: item}, field, path, line, required=True) or ""
        if text.strip():
            answers.append(text.strip())
    if not answers:
        raise InputError("is empty: the question has no answer", path=path, line=line, field=field, fix=fix)
    return tuple(dict.fromkeys(answers))
