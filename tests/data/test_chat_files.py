"""Every layout becomes the same conversations, and a row that is none says where, why and the fix."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from candor.core.errors import CandorError, InputError
from candor.data.chat_files import Tally, hub_conversations, read_conversations
from candor.data.chat_layouts import LAYOUTS, ROLES, conversation_of
from candor.data.chat_rows import RowError, Where
from candor.data.conversations import Conversation

HERE = Where("chats.jsonl", 7)


def said(row: dict[str, Any], layout: Any = "auto") -> list[tuple[str, str]]:
    return [(turn.role, turn.content) for turn in conversation_of(row, HERE, layout).messages]


def messages(*turns: str, **more: Any) -> dict[str, Any]:
    """Turns such as `user: Hi`."""
    pairs = [turn.split(": ", 1) for turn in turns]
    return {"messages": [{"role": role, "content": content} for role, content in pairs], **more}


GOOD = messages("user: Hi", "assistant: Ho")
TALK = [("system", "Be kind."), ("user", "Hi"), ("assistant", "Ho"), ("user", "And?"), ("assistant", "So.")]


@pytest.mark.parametrize(
    "row",
    [
        messages("system: Be kind.", "user: Hi", "assistant: Ho", "user: And?", "assistant: So."),
        messages("developer: Be kind.", "USER: Hi", "model: Ho", "user : And?", "assistant: So.", id=3),
        messages("user: Hi", "assistant: Ho", "user: And?", "assistant: So.", system="Be kind."),
        {
            "conversations": [
                {"from": "system", "value": "Be kind."},
                {"from": "human", "value": "Hi"},
                {"from": "gpt", "value": "Ho"},
                {"from": "user", "value": "And?"},
                {"from": "chatgpt", "value": "So."},
            ]
        },
        {
            "system": "Be kind.",
            "conversations": [
                {"role": role, "content": content, "tool_calls": None} for role, content in TALK[1:]
            ],
        },
        {"instruction": "And?", "output": "So.", "system": "Be kind.", "history": [["Hi", "Ho"]]},
        {
            "prompt": [{"role": role, "content": content} for role, content in TALK[:-1]],
            "completion": [{"role": "assistant", "content": [{"type": "text", "text": "So."}]}],
        },
        {"prompt": [{"role": role, "content": content} for role, content in TALK[:-1]], "completion": "So."},
    ],
)
def test_every_layout_says_the_same(row: dict[str, Any]) -> None:
    assert said(row) == TALK


def test_parts_of_text_are_put_together_as_serving_does() -> None:
    parts = [{"type": "text", "text": "What is"}, {"type": "text", "text": " this?", "image": None}]
    row = {"messages": [{"role": "user", "content": parts}, {"role": "assistant", "content": "It."}]}
    assert said(row)[0] == ("user", "What is this?")


def test_the_input_of_an_instruction_follows_after_a_blank_line() -> None:
    row = {"instruction": "Translate.", "input": "Hund", "output": "dog"}
    assert said(row) == [("user", "Translate.\n\nHund"), ("assistant", "dog")]
    for blank in ("", " \n", None):
        assert said({**row, "input": blank})[0] == ("user", "Translate.")


def test_results_of_tools_come_after_the_turn_that_asked_and_a_written_call_is_the_assistants() -> None:
    row = {
        "conversations": [
            {"from": "human", "value": "Rain?"},
            {"from": "function_call", "value": '{"name": "rain"}'},
            {"from": "observation", "value": "no"},
            {"from": "tool_response", "value": "none at all"},
            {"from": "gpt", "value": "No."},
        ]
    }
    assert [role for role, _ in said(row)] == ["user", "assistant", "tool", "tool", "assistant"]


def test_texts_keep_their_white_space_and_other_fields_are_ignored() -> None:
    row = {
        "messages": [
            {"role": "user", "content": " Hi\n", "name": "Ada", "tool_call_id": "x"},
            {
                "role": "assistant",
                "content": "\tHo ",
                "reasoning_content": "hm",
                "tool_calls": [],
                "weight": 1,
            },
        ],
        "tools": [{}],
        "weight": 0.5,
    }
    assert said(row) == [("user", " Hi\n"), ("assistant", "\tHo ")]
    assert conversation_of(row, HERE).weight == 0.5
    assert conversation_of({"prompt": "a", "completion": "b", "weight": "heavy"}, HERE).weight == 1.0


@pytest.mark.parametrize(
    ("row", "field", "says"),
    [
        ({"messages": []}, "messages", "there are no turns"),
        ({"messages": "Hi"}, "messages", "expected a list of turns, found str"),
        ({"messages": None}, "messages", "expected a list of turns, found nothing (null)"),
        ({"messages": ["Hi"]}, "messages[0]", 'expected an object such as {"role"'),
        ({"messages": [{"content": "Hi"}]}, "messages[0].role", "missing; there are content"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing; there are role"),
        ({"messages": [{"role": 1, "content": "x"}]}, "messages[0].role", "expected a string, found int"),
        (messages("user: Hi", "assistant:  "), "messages[1].content", "is empty"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content", "is empty"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content", "found nothing (null)"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "a string, found int"),
        (messages("user: \ud800", "assistant: Ho"), "messages[0].content", "half of a surrogate pair"),
        (messages("narrator: Hi"), "messages[0].role", "'narrator' is no role; there are system, developer"),
        (messages("\ud800: Hi"), "messages[0].role", "half of a surrogate pair"),
        (messages("assistant: Ho"), "messages[0].content", "expected system or user at the beginning"),
        (messages("system: S", "assistant: Ho"), "messages[1].content", "expected user after system"),
        (messages("user: a", "user: b"), "messages[1].content", "expected assistant after user, found user"),
        (messages("user: a", "tool: b"), "messages[1].content", "expected assistant after user, found tool"),
        (
            messages("user: a", "assistant: b", "system: c"),
            "messages[2].content",
            "expected user or tool after assistant, found system",
        ),
        (
            messages("user: a", "assistant: b", "tool: c", "user: d"),
            "messages[3].content",
            "or tool after tool",
        ),
        (messages("user: Hi"), "messages[0].content", "no assistant turn"),
        (messages("system: Hi"), "messages[0].content", "no assistant turn"),
        ({**GOOD, "system": 1}, "system", "expected a string, found int"),
        (messages("system: A", "user: b", "assistant: c", system="B"), "system", "another one stands in"),
        ({**GOOD, "weight": -1}, "weight", "not negative"),
        ({**GOOD, "weight": True}, "weight", "expected a finite number"),
        ({**GOOD, "weight": 10**400}, "weight", "expected a finite number"),
        ({**GOOD, "weight": float("nan")}, "weight", "expected a finite number"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages[0].content[0]",
            "found a part of the type 'image_url'",
        ),
        ({"messages": [{"role": "user", "content": ["Hi"]}]}, "messages[0].content[0]", "found str"),
        (
            {
                "messages": [
                    {"role": "user", "content": "Rain?"},
                    {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
                ]
            },
            "messages[1].tool_calls",
            "calls of tools that are not in the turn's text",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": "Hi"},
                    {"role": "assistant", "content": "Ho", "weight": 0},
                ]
            },
            "messages[1].weight",
            "can't be left out of what is learned",
        ),
        ({"conversations": [{"from": "human", "value": ""}]}, "conversations[0].value", "is empty"),
        ({"instruction": "Do", "output": 4}, "output", "expected a string, found int"),
        ({"instruction": "Do", "output": ""}, "output", "is empty"),
        ({"instruction": "Do", "input": 4, "output": "x"}, "input", "expected a string, found int"),
        ({"instruction": "Do", "output": "x", "history": "x"}, "history", "list of [question, answer] pairs"),
        ({"instruction": "Do", "output": "x", "history": [["a"]]}, "history[0]", "expected a list of two"),
        ({"instruction": "Do", "output": "x", "history": [["a", ""]]}, "history[0][1]", "is empty"),
        ({"prompt": "a", "completion": []}, "completion", "there are no turns"),
        (
            {"prompt": "a", "completion": [{"role": "user", "content": "b"}]},
            "completion[0].content",
            "found user",
        ),
    ],
)
def test_a_row_that_is_no_conversation_says_where_what_and_the_fix(
    row: dict[str, Any], field: str, says: str
) -> None:
    with pytest.raises(RowError) as caught:
        conversation_of(row, HERE)
    assert caught.value.message.startswith(f"chats.jsonl:7: field '{field}': ")
    assert says in caught.value.message
    assert caught.value.fix
    assert (caught.value.line, caught.value.field) == (7, field)
    str(caught.value).encode()


def test_an_unknown_layout_says_what_the_row_has_what_there_is_and_how_to_rename() -> None:
    with pytest.raises(RowError) as caught:
        conversation_of({"question": "2 + 2?", "answer": "4"}, HERE)
    assert "this row has question, answer" in caught.value.message
    assert caught.value.fix is not None
    assert all(name in caught.value.fix for layout, fields in LAYOUTS.items() for name in (layout, *fields))
    assert "{prompt: .question, completion: .answer}" in caught.value.fix
    with pytest.raises(RowError, match="this row has no fields") as caught:
        conversation_of({}, HERE)
    with pytest.raises(RowError, match=", 3 more") as caught:
        conversation_of({f"\ud800{i}" * 50: 1 for i in range(15)}, HERE)
    str(caught.value).encode()


def test_a_named_layout_is_held_to() -> None:
    row = {**GOOD, "prompt": "Other", "completion": "words"}
    assert said(row) == [("user", "Hi"), ("assistant", "Ho")]
    assert said(row, "completion") == [("user", "Other"), ("assistant", "words")]
    with pytest.raises(RowError, match="field 'conversations': missing; there are messages, prompt"):
        conversation_of(row, HERE, "sharegpt")


def test_fields_that_are_null_are_as_if_they_were_not_there() -> None:
    assert said({"messages": None, "conversations": None, "instruction": "Do", "output": "It."})[0][1] == "Do"


# --- files -----------------------------------------------------------------------------------------------


def test_lines_and_rows_are_read_with_their_places(tmp_path: Path) -> None:
    rows = [GOOD, {"prompt": "One?", "completion": "Two."}]
    text = "\n\n".join(map(json.dumps, rows))
    (tmp_path / "a.jsonl").write_text(text)
    with gzip.open(tmp_path / "b.jsonl.gz", "wt") as file:
        file.write(text)
    pq.write_table(
        pa.Table.from_pylist([{**GOOD, "prompt": None, "completion": None}, {"messages": None, **rows[1]}]),
        tmp_path / "c.parquet",
    )
    found = {p.name: list(read_conversations(p)) for p in sorted(tmp_path.iterdir())}
    assert [where.line for where, _ in found["a.jsonl"]] == [1, 3]
    assert [where.line for where, _ in found["c.parquet"]] == [1, 2]
    conversations = [[conversation for _, conversation in rows] for rows in found.values()]
    assert conversations[0] == conversations[1] == conversations[2]
    assert str(found["a.jsonl"][1][0]) == f"{tmp_path / 'a.jsonl'}:3"


def test_a_hub_data_set_is_streamed_and_a_wrong_name_told(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(f"{json.dumps(GOOD)}\n{json.dumps(messages('user: a'))}\n")
    rows = hub_conversations(str(tmp_path))
    assert next(rows)[0] == (str(tmp_path), 1)
    with pytest.raises(InputError, match=r":2: field 'messages\[0\].content': there is no assistant turn"):
        next(rows)
    tally = Tally()
    assert len(list(hub_conversations(str(tmp_path), tally=tally, skip_invalid=True))) == 1
    assert tally.left_out == 1
    with pytest.raises(CandorError, match="can't be read"):
        list(hub_conversations("no/such-data"))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jsonl", b"", "there are no conversations in it"),
        ("a.jsonl", b"[]", "a.jsonl:1: expected a JSON object"),
        ("a.jsonl", b'{"messages": ', "a.jsonl:1: not valid JSON"),
        ("a.parquet", b"x", "not a readable Parquet file"),
        ("a.csv", b"x", "can't read conversations from .csv"),
        ("a.jsonl.gz", b"x", "not a whole gzip file"),
    ],
)
def test_a_broken_file_is_an_error_with_a_fix(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        list(read_conversations(tmp_path / name))
    assert caught.value.fix


@pytest.mark.parametrize(
    ("name", "says"), [("no.jsonl", "no such file"), ("no.parquet", "no such"), (".", "folder")]
)
def test_a_missing_file_and_a_folder_are_told(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        list(read_conversations(tmp_path / name))


def test_invalid_rows_are_left_out_counted_by_reason_and_sampled(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [json.dumps(GOOD), "{", *[json.dumps(messages("user: Hi"))] * 5, "[1]", json.dumps({"a": 1})]
    path.write_text("\n".join([*rows, json.dumps(messages("user: a", "assistant: b", "user: c"))]))
    tally = Tally()
    kept = list(read_conversations(path, tally=tally, skip_invalid=True))
    assert [where.line for where, _ in kept] == [1, 10]
    assert (tally.conversations, tally.unanswered, tally.left_out) == (2, 1, 8)
    counts = {reason: problem.count for reason, problem in tally.problems.items()}
    assert counts == {"not a JSON object": 2, "no assistant turn": 5, "unknown layout": 1}
    samples = tally.problems["no assistant turn"].samples
    assert [(sample.path, sample.line) for sample in samples] == [(str(path), line) for line in (3, 4, 5)]
    assert samples[0].message.startswith(f"{path}:3: field")
    assert [sample.line for sample in tally.first(4)] == [2, 3, 4, 5]
    assert json.loads(json.dumps(tally.as_json()))["problems"]["unknown layout"]["count"] == 1


def test_if_nothing_is_left_it_is_an_error_that_shows_one(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"question": "a", "answer": "b"}\n' * 3)
    with pytest.raises(
        InputError, match=r"none of its 3 rows is a conversation; the last: .*a.jsonl:3: no known"
    ):
        list(read_conversations(tmp_path / "a.jsonl", skip_invalid=True))


# --- anything --------------------------------------------------------------------------------------------

WORDS = st.text(st.characters(codec=None), max_size=4) | st.sampled_from(["Hi", "text", *ROLES])
NAMES = st.sampled_from(
    [
        *("messages", "conversations", "prompt", "completion", "instruction", "input", "output", "history"),
        *("system", "weight", "role", "content", "from", "value", "type", "text", "tool_calls", "train"),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | WORDS, inner, max_size=4),
    max_leaves=12,
)
PARTS = st.lists(st.fixed_dictionaries({"type": st.just("text") | WORDS, "text": WORDS | VALUES}), max_size=2)
TURN = st.fixed_dictionaries(
    {}, optional={"role": WORDS, "from": WORDS, "content": WORDS | PARTS, "value": WORDS}
)
TURNS = st.lists(TURN | VALUES, max_size=4)
ROW = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("messages", "conversations", "prompt", "completion"), TURNS | VALUES),
        **dict.fromkeys(("instruction", "input", "output", "system"), WORDS | VALUES),
        "history": st.lists(st.lists(WORDS, max_size=3), max_size=2) | VALUES,
        "weight": VALUES,
    },
)


@settings(max_examples=400, deadline=None)
@given(ROW | VALUES, st.sampled_from(["auto", *LAYOUTS]))
def test_any_json_value_is_a_conversation_or_an_error_with_place_and_fix(
    tmp_path_factory, row, layout
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_text(json.dumps(row))
    try:
        ((where, conversation),) = read_conversations(path, layout=layout)
    except InputError as error:
        assert error.message.startswith(f"{path}:1: ")
        assert error.fix
        str(error).encode()
    else:
        assert isinstance(conversation, Conversation)
        assert where == (path, 1)
        roles = [turn.role for turn in conversation.messages]
        assert "assistant" in roles
        assert "system" not in roles[1:]
        assert all(turn.content.strip() and turn.content.encode() for turn in conversation.messages)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.text(min_size=1).filter(str.strip), min_size=2, max_size=6), st.sampled_from(["", "Be kind."])
)
def test_what_is_said_comes_through_every_layout_unchanged(texts: list[str], system: str) -> None:
    roles = ["user", "assistant"] * 3
    turns = list(zip(roles, texts, strict=False))[: len(texts) // 2 * 2]
    expected = [("system", system), *turns] if system else turns
    sharegpt = [{"from": role, "value": text} for role, text in expected]
    listed = [{"role": role, "content": text} for role, text in expected]
    history = [list(texts[i : i + 2]) for i in range(0, len(turns) - 2, 2)]
    alpaca = {"instruction": turns[-2][1], "output": turns[-1][1], "history": history, "system": system}
    for row in (
        {"messages": listed},
        {"conversations": sharegpt},
        {"prompt": listed[:-1], "completion": listed[-1:]},
        alpaca,
    ):
        assert said(row) == expected
