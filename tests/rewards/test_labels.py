"""Gold labels of replies: what a function says, and what someone wrote into the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from candor.core.errors import InputError
from candor.core.files import read_json_lines, write_jsonl
from candor.rewards.replies import Replies
from candor.rewards.rlhf.labels import gold_of, labels_by_hand, no_labels
from candor.rewards.rlhf.prompts import PromptSet

PROMPTS = PromptSet({"a": "A?", "b": "B?"})
PROBLEMS = sorted(PROMPTS.problems(2, 0), key=lambda one: one.id)
REPLIES = Replies(PROBLEMS, [["one", "two words"], ["", "four"]], [[(1,), (2,)], [(3,), (4,)]])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file as it is written for someone to label."""
    path = tmp_path / "to-label.jsonl"
    assert labels_by_hand(path, REPLIES) is None
    return path


def rows_of(file: Path) -> list[dict]:
    return [row for _, row in read_json_lines(file)]


def test_the_file_asks_for_every_reply_with_its_prompt_and_is_written_once(file: Path) -> None:
    rows = rows_of(file)
    assert rows == [
        {"prompt": "A?", "completion": "one", "gold": None},
        {"prompt": "A?", "completion": "two words", "gold": None},
        {"prompt": "B?", "completion": "", "gold": None},
        {"prompt": "B?", "completion": "four", "gold": None},
    ]
    rows[2]["gold"] = 3
    write_jsonl(file, rows)
    labels_by_hand(file, REPLIES)
    assert rows_of(file) == rows


def test_numbers_are_taken_in_order_and_what_nobody_could_say_is_missing(file: Path) -> None:
    rows = rows_of(file)
    for row, gold in zip(rows, (0, -1.5, None, 2), strict=True):
        row["gold"] = gold
    write_jsonl(file, rows)
    np.testing.assert_array_equal(labels_by_hand(file, REPLIES), [0.0, -1.5, np.nan, 2.0])
    write_jsonl(file, rows[:2])  # whoever stopped half way has labelled what there is
    np.testing.assert_array_equal(labels_by_hand(file, REPLIES), [0.0, -1.5, np.nan, np.nan])


@pytest.mark.parametrize("gold", [True, False, "1", [1], {}])
def test_what_is_no_number_is_told_with_its_line(file: Path, gold) -> None:
    rows = rows_of(file)
    rows[1]["gold"] = gold
    write_jsonl(file, rows)
    with pytest.raises(InputError, match="expected a finite number") as caught:
        labels_by_hand(file, REPLIES)
    assert (caught.value.line, caught.value.field) == (2, "gold")


def test_rows_that_were_not_written_are_told_with_their_line(file: Path) -> None:
    rows = rows_of(file)
    for changed, line in (
        ([rows[1], rows[0], *rows[2:]], 1),
        ([*rows[:3], {**rows[3], "completion": "five"}], 4),
        ([*rows, {**rows[3], "gold": 1}], 5),
    ):
        write_jsonl(file, changed)
        with pytest.raises(InputError, match="is not the completion") as caught:
            labels_by_hand(file, REPLIES)
        assert (caught.value.line, caught.value.field) == (line, "completion")


def test_a_functions_gold_is_of_the_text_which_is_whole_and_has_its_words(tmp_path: Path) -> None:
    code = tmp_path / "gold.py"
    code.write_text(
        "def worth(problem, completion, tokens, limit, truncated):\n"
        "    assert not truncated and limit > 100_000\n"
        "    return tokens + 10 * (problem.question == 'B?') + 100 * completion.count('f')\n"
    )
    problems, texts = REPLIES.flat()
    np.testing.assert_array_equal(gold_of(f"{code}:worth", PROMPTS, problems, texts), [1, 2, 10, 111])


def test_where_labels_are_wanted_it_says_which_file_and_how_many() -> None:
    said = no_labels(Path("to-label.jsonl"), "chi2", 48)
    assert "chi2" in said.message and "to-label.jsonl (48 rows)" in str(said.fix)
