"""Preferences are read in TRL's layouts, told where they are wrong, and split by prompt."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from byte_models import byte_tokenizer
from candor.core.errors import CandorError, InputError
from candor.judge import Verdict, judge
from candor.rewards.model.adversarial import adversarial_pairs
from candor.rewards.model.embedded import INVENTED, RIGHT_WRONG, UNSURE_WRONG, fact_pairs
from candor.rewards.model.encoding import Encoder
from candor.rewards.model.pairs import Labelled, Pair, split_by_prompt, unit_of, without_repeats
from candor.rewards.model.read import read_preferences, row_of

SKY = {"role": "user", "content": "What colour is the sky?"}
BLUE, GREEN = ({"role": "assistant", "content": text} for text in ("It is blue.", "It is green."))
CONTINUED = Pair("The sky is", " blue.", " green.")
ANSWERED = Pair((SKY,), "It is blue.", "It is green.")


def written(folder: Path, *rows: Any, name: str = "rows.jsonl") -> Path:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize(
    ("row", "pair"),
    [
        ({"prompt": "The sky is", "chosen": " blue.", "rejected": " green."}, CONTINUED),
        ({"chosen": "The sky is blue.", "rejected": "The sky is green."}, CONTINUED),
        ({"prompt": [SKY], "chosen": [BLUE], "rejected": [GREEN]}, ANSWERED),
        ({"chosen": [SKY, BLUE], "rejected": [SKY, GREEN]}, ANSWERED),
        (
            {"prompt": "a", "chosen": "b", "rejected": "c", "margin": 0.5, "weight": 2, "id": 7},
            Pair("a", "b", "c", 2.0, 0.5),
        ),
        (
            {"input": "2+2?", "output_1": "5", "output_2": "4", "label": 2, "subset": "Manual"},
            Pair(({"role": "user", "content": "2+2?"},), "4", "5", group="Manual"),
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_layouts(row: dict[str, Any], pair: Pair, name: str, tmp_path: Path) -> None:
    assert read_preferences(written(tmp_path, row, name=name)) == [pair]
    again = read_preferences(written(tmp_path, row_of(pair)))
    assert again == [pair]  # what the run keeps reads back


def test_labelled_completions_read_and_come_back(tmp_path: Path) -> None:
    rows = [{"prompt": "The sky is", "completion": " blue", "label": True}]
    rows.append({"prompt": [SKY], "completion": [GREEN], "label": False})
    found = read_preferences(written(tmp_path, *rows))
    assert found == [Labelled("The sky is", " blue", True), Labelled((SKY,), "It is green.", False)]
    assert read_preferences(written(tmp_path, *map(row_of, found))) == found


def test_texts_can_be_what_a_user_asks(tmp_path: Path) -> None:
    path = written(tmp_path, {"prompt": SKY["content"], "chosen": "Blue.", "rejected": "Green."})
    assert read_preferences(path, asked=True) == [Pair((SKY,), "Blue.", "Green.")]


@pytest.mark.parametrize(
    ("row", "field", "told"),
    [
        ({"prompt": "a", "chosen": "b"}, "rejected", "missing"),
        ({"prompt": "a", "chosen": "b", "rejected": 3}, "rejected", "expected a string, found int"),
        ({"prompt": " ", "chosen": "b", "rejected": "c"}, "prompt", "is empty"),
        ({"prompt": [SKY], "chosen": "b", "rejected": [GREEN]}, "chosen", "a list of messages"),
        ({"prompt": [SKY], "chosen": [SKY], "rejected": [GREEN]}, "chosen[0].content",
         "expected assistant"),
        ({"prompt": [SKY], "chosen": [BLUE, SKY, BLUE], "rejected": [GREEN]}, "chosen", "one assistant turn"),
        ({"prompt": [{"role": "boss", "content": "a"}], "chosen": [BLUE], "rejected": [GREEN]},
         "prompt[0].role", "no role"),
        ({"chosen": [SKY, BLUE, SKY, BLUE], "rejected": [SKY, GREEN, SKY, GREEN]}, "chosen",
         "one assistant turn"),
        ({"chosen": "Yes", "rejected": "No"}, "chosen", "no common text"),
        ({"prompt": "a", "chosen": "b", "rejected": "c", "margin": "big"}, "margin", "a finite number"),
        ({"prompt": "a", "chosen": "b", "rejected": "c", "weight": -1}, "weight", "not negative"),
        ({"prompt": "a", "completion": "b", "label": "yes"}, "label", "true or false, found str"),
        ({"prompt": "a", "completion": "b", "label": 1}, "label", "true or false, found int"),
        ({"input": "a", "output_1": "b", "output_2": "c", "label": 3}, "label", "expected 1 or 2"),
        ({"question": "a", "answer": "b"}, None, "no known layout; this row has question, answer"),
    ],
)  # fmt: skip
def test_a_bad_row_is_told_with_file_line_and_field(
    row: dict[str, Any], field: str | None, told: str, tmp_path: Path
) -> None:
    good = {"prompt": "x", "chosen": "y", "rejected": "z"}
    with pytest.raises(InputError) as raised:
        read_preferences(written(tmp_path, good, row))
    error = raised.value
    assert error.line == 2 and error.field == field, str(error)
    assert any(part in str(error) for part in told.split("|")), str(error)
    assert "rows.jsonl:2" in str(error) and error.fix


def test_files_that_hold_nothing_or_both_kinds_are_told(tmp_path: Path) -> None:
    pair, told = (
        {"prompt": "x", "chosen": "y", "rejected": "z"},
        {"prompt": "x", "completion": "y", "label": True},
    )
    with pytest.raises(InputError, match=r":2: labelled completions after pairs"):
        read_preferences(written(tmp_path, pair, told))
    with pytest.raises(InputError, match="no rows"):
        read_preferences(written(tmp_path))
    with pytest.raises(InputError, match="not valid JSON"):
        read_preferences(written(tmp_path, "{"))
    with pytest.raises(InputError, match=r"from \.csv"):
        read_preferences(tmp_path / "rows.csv")


def test_what_teaches_nothing_is_left_out_and_counted(tmp_path: Path) -> None:
    blank = {"role": "assistant", "content": " "}
    rows = [
        {"prompt": "a", "chosen": "b", "rejected": "c"},
        {"prompt": "a", "chosen": "b", "rejected": "c"},
        {"prompt": "a", "chosen": "c", "rejected": "b"},
        {"prompt": "a", "chosen": "b", "rejected": "b"},
        {"prompt": "a", "chosen": "", "rejected": "b"},
        {"prompt": [SKY], "chosen": [blank], "rejected": [BLUE]},
        {"chosen": [SKY, BLUE], "rejected": [SKY, BLUE]},
        {"chosen": "The sky is blue.", "rejected": "The sky is blue."},
    ]
    kept, repeats = without_repeats(read_preferences(written(tmp_path, *rows)))  # type: ignore[type-var]
    assert kept == [Pair("a", "b", "c"), Pair("a", "c", "b")]
    assert (repeats.same, repeats.empty, repeats.repeated, repeats.contradicting) == (3, 2, 1, 1)
    assert "1 rows contradict another one" in " ".join(repeats.words())
    told = [Labelled("a", "b", label) for label in (True, True, False)]
    _, repeats = without_repeats(told)
    assert (repeats.repeated, repeats.contradicting) == (1, 1)


def test_no_prompt_is_on_both_sides_whatever_the_order() -> None:
    pairs = [Pair(f"prompt {i % 40}", f"a{i}", f"b{i}") for i in range(200)]
    train, held_out = split_by_prompt(pairs, 0.2)
    assert len({one.prompt for one in held_out}) == 8 and len(train) + len(held_out) == 200
    assert not {one.prompt for one in train} & {one.prompt for one in held_out}
    assert {one.prompt for one in split_by_prompt(pairs[::-1], 0.2)[1]} == {one.prompt for one in held_out}
    assert {one.prompt for one in split_by_prompt(pairs, 0.2, seed=1)[1]} != {one.prompt for one in held_out}
    with pytest.raises(CandorError, match="same prompt"):
        split_by_prompt(pairs[:1], 0.2)


def test_embedded_pairs_prefer_right_answers_and_honest_ones() -> None:
    pairs = fact_pairs(400, seed=3)
    assert len(pairs) == 400 and pairs == fact_pairs(400, seed=3)
    from candor.data.facts import embedded_questions

    answers = {one.question: one.answers for one in embedded_questions(3)}
    for one in pairs:
        question = one.prompt[0]["content"]  # type: ignore[index]
        if one.group == RIGHT_WRONG:
            assert judge(question, answers[question], one.chosen) == Verdict.CORRECT, one
            assert judge(question, answers[question], one.rejected) == Verdict.INCORRECT, one
        if one.group in (INVENTED, UNSURE_WRONG):
            assert judge(question, answers.get(question, ()), one.chosen) == Verdict.NOT_ATTEMPTED, one
    groups = [one.group for one in pairs]
    assert groups.count(RIGHT_WRONG) > groups.count(INVENTED) > 70
    train, held_out = split_by_prompt(pairs, 0.2)
    assert not {unit_of(one) for one in train} & {unit_of(one) for one in held_out}
    with pytest.raises(CandorError, match="there are only"):
        fact_pairs(50_000)


def test_adversarial_pairs_go_against_looks() -> None:
    pairs = adversarial_pairs()
    assert len(pairs) == 40 and len({one.prompt[0]["content"] for one in pairs}) == 40  # type: ignore[index]
    assert {one.group for one in pairs} == {"long", "sure", "neighbour", "form", "unknowable"}
    longer_is_better = [one for one in pairs if len(one.chosen) > len(one.rejected)]
    # Where wrong ones are short and certain, preferring short ones is no way out.
    assert {one.group for one in longer_is_better} == {"sure", "unknowable"} and len(longer_is_better) == 10


def test_a_completion_ends_as_the_template_ends_it() -> None:
    tokenizer = byte_tokenizer()
    encoder = Encoder(tokenizer)
    chat = [{"role": "user", "content": "hello"}]
    head, tail = encoder(chat, "hello world")
    whole = tokenizer.apply_chat_template(
        [*chat, {"role": "assistant", "content": "hello world"}], tokenize=False
    )
    assert tokenizer.decode([*head, *tail]) == whole
    head, tail = encoder("he", "llo")
    assert tail[-1] == tokenizer.eos_token_id and tokenizer.decode([*head, *tail[:-1]]).endswith("hello")
    plain = byte_tokenizer("{% for m in messages %}{% if m.role == 'user' %}Q: {{ m.content }}\nA:{% else %} "
                           "{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}")  # fmt: skip
    assert Encoder(plain)(chat, "no") == Encoder(plain)(
        chat, " no"
    )  # sampled with the blank, or told without
