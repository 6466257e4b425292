"""`candor chat show-mask` and `candor chat check`, as a user calls them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from byte_models import byte_tokenizer
from command_result import Result


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizers") / "chat"
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizers") / "base"
    byte_tokenizer(None).save_pretrained(folder)
    return folder


def row(*turns: str) -> str:
    roles = ("user", "assistant")
    return json.dumps({"messages": [{"role": roles[i % 2], "content": t} for i, t in enumerate(turns)]})


def write(name: str, *lines: str) -> Path:
    path = Path(name)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_the_mask_is_shown_with_its_place_and_counts(candor: Callable[..., Result], model: Path) -> None:
    file = write("chats.jsonl", row("Hi", "Ho"), "", row("One?", "é"), row("Two?", "x"))
    result = candor("chat", "show-mask", file, "--model", model, "--count", 2)
    assert result.code == 0
    assert result.out.startswith("⟦learned⟧ read only")
    assert "chats.jsonl:1\n<|turn|>user Hi<|end|>↵\n<|turn|>assistant ⟦Ho<|end|>⟧\n3 of " in result.out
    assert "chats.jsonl:3\n" in result.out
    assert "Two?" not in result.out
    assert "⟦H┊o┊<|end|>⟧" in candor("chat", "show-mask", file, "--model", model, "--borders").out


def test_a_tools_results_are_shown_as_read_only(candor: Callable[..., Result], model: Path) -> None:
    file = write("chats.jsonl", row("2 * 3?", "<calc>2*3</calc><result>6</result> It is 6."))
    shown = candor("chat", "show-mask", file, "--model", model, "--tool", "calculator").out
    assert "⟦<calc>2*3</calc>⟧<result>6</result>⟦ It is 6.<|end|>⟧" in shown
    without = candor("chat", "show-mask", file, "--model", model).out
    assert "⟦<calc>2*3</calc><result>6</result> It is 6.<|end|>⟧" in without
    unknown = candor("chat", "show-mask", file, "--model", model, "--tool", "search")
    assert unknown.code == 2
    assert "there is no tool 'search'" in unknown.err


def test_a_result_that_is_never_closed_is_a_problem_with_its_line(
    candor: Callable[..., Result], model: Path
) -> None:
    good, bad = "<calc>2*3</calc><result>6</result>", "<calc>2*4</calc><result>8"
    file = write("chats.jsonl", row("2 * 3?", good), row("2 * 4?", bad))
    assert candor("chat", "check", file, "--model", model).code == 0
    result = candor("chat", "check", file, "--model", model, "--tool", "calculator")
    assert result.code == 2
    assert "chats.jsonl:2" in result.err
    assert "never closed" in result.err


def test_pieces_of_a_long_conversation_are_shown_as_they_are_learned(
    candor: Callable[..., Result], model: Path
) -> None:
    file = write("chats.jsonl", row("Hi", "Ho", "And?", "So."))
    result = candor("chat", "show-mask", file, "--model", model, "--max-tokens", 30)
    assert result.out.count("chats.jsonl:1\n<|turn|>user ") == 2
    assert "<|turn|>user And?<|end|>↵\n<|turn|>assistant ⟦So.<|end|>⟧" in result.out


def test_the_mask_as_json_has_a_line_for_each_conversation(
    candor: Callable[..., Result], model: Path
) -> None:
    file = write("chats.jsonl", row("Hi", "Ho"), row("One?", "é"))
    lines = candor("chat", "show-mask", file, "--model", model, "--json").out.splitlines()
    first, second = map(json.loads, lines)
    assert (first["file"], first["line"], second["line"]) == ("chats.jsonl", 1, 2)
    assert [token["text"] for token in second["tokens"] if token["learned"]] == ["é", "<|end|>"]


def test_a_base_model_needs_a_template_and_plain_is_one(candor: Callable[..., Result], base: Path) -> None:
    file = write("chats.jsonl", row("Hi?", "Ho"))
    for verb in ("show-mask", "check"):
        result = candor("chat", verb, file, "--model", base)
        assert result.code == 2
        assert "has no chat template" in result.err
        assert "--template plain" in result.err
    shown = candor("chat", "show-mask", file, "--model", base, "--template", "plain")
    assert "Question: Hi?↵\nAnswer:⟦ Ho<|end|>⟧" in shown.out
    assert candor("chat", "check", file, "--model", base, "--template", "plain").code == 0


def test_files_that_are_in_order_give_a_table(candor: Callable[..., Result], model: Path) -> None:
    one = write("one.jsonl", row("Hi", "Ho"), row("Hi", "Ho"))
    two = write("two.jsonl", json.dumps({"prompt": "a", "completion": "b"}))
    result = candor("chat", "check", one, two, "--model", model)
    assert (result.code, result.err) == (0, "")
    for part in ("one.jsonl", "two.jsonl", "all", "learned tokens", "there before, word for word"):
        assert part in result.out
    found = json.loads(candor("chat", "check", one, two, "--model", model, "--json").out.splitlines()[-1])
    assert found["mix"]["total"]["conversations"] == 3
    assert found["mix"]["sources"][0]["duplicates"] == 1
    assert found["left_out"] == 0


def test_ten_problems_of_all_files_are_named_with_their_places(
    candor: Callable[..., Result], model: Path
) -> None:
    one = write("one.jsonl", row("Hi", "Ho"), "{", *[row("Hi")] * 6, row("x" * 80, "y"))
    two = write("two.jsonl", json.dumps({"question": "a", "answer": "b"}))
    three = write("three.jsonl", *[row("Hi", " ")] * 5)
    result = candor("chat", "check", one, "no.jsonl", two, three, "--model", model, "--max-tokens", 60)
    assert result.code == 2
    assert "left out as too long" in result.out
    lines = result.err.splitlines()
    assert lines[0].startswith("error: 15 problems: ")
    assert "no assistant turn (6)" in lines[0]
    assert lines[0].endswith("; the first 10:")
    places = [line.split(": ")[0].strip() for line in lines[1:11]]
    assert places == [*(f"one.jsonl:{n}" for n in range(2, 10)), "no.jsonl", "two.jsonl:1"]
    assert "more than the 60 allowed" in lines[8]
    assert lines[11].startswith(
        "  fix: not a JSON object: each line must be one whole JSON object; no assistant"
    )
    assert len(lines) == 12


def test_what_tuning_would_cut_is_no_problem_if_it_may(candor: Callable[..., Result], model: Path) -> None:
    file = write("a.jsonl", row(*["Hi", "Ho"] * 4), row("Hi", "x" * 80))
    words = ("chat", "check", file, "--model", model, "--max-tokens", 60)
    assert "2 problems: too long (2)" in candor(*words).err
    result = candor(*words, "--split")
    assert "cut into pieces that fit" in result.out
    assert "1 problem: too long (1):\n  a.jsonl:2: has no reply that fits into 60 tokens" in result.err
    alone = candor("chat", "check", file, "--model", model, "--split")
    assert (alone.code, "--max-tokens 1024" in alone.err) == (2, True)


def test_one_problem_is_told_as_one(candor: Callable[..., Result], model: Path) -> None:
    result = candor("chat", "check", write("a.jsonl", row("Hi")), "--model", model)
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith("error: 1 problem: no assistant turn (1):\n  a.jsonl:1: field 'messages[0]")


def test_a_conversation_that_the_template_refuses_is_a_problem_of_its_line(
    candor: Callable[..., Result], model: Path
) -> None:
    template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    )
    Path("t.jinja").write_text(f"{template}{{{{ m.content }}}}<|end|>{{% endfor %}}")
    system = json.dumps(
        {"system": "Be kind.", "messages": json.loads(row("Hi", "Ho"))["messages"]},
    )
    file = write("a.jsonl", row("Hi", "Ho"), system)
    result = candor("chat", "check", file, "--model", model, "--template", "t.jinja")
    assert result.code == 2
    assert "a.jsonl:2: the chat template refused a conversation of system, user" in result.err
    shown = candor("chat", "show-mask", file, "--model", model, "--template", "t.jinja")
    assert shown.err.startswith("error: a.jsonl:2: the chat template refused")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--template", "chatty"), ("chatty: no such chat template file",)),
        (("--layout", "alpacas"), ("--layout alpacas: no layout", "one of auto, messages, sharegpt")),
        (("--layout", "sharegpt"), ("chats.jsonl:1: field 'conversations': missing",)),
    ],
)
def test_what_is_wrong_is_told(
    candor: Callable[..., Result], model: Path, words: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    file = write("chats.jsonl", row("Hi", "Ho"))
    result = candor("chat", "show-mask", file, "--model", model, *words)
    assert result.code == 2
    assert all(part in result.err for part in parts)
    assert "fix: " in result.err


def test_a_verb_explains_itself(candor: Callable[..., Result]) -> None:
    assert "show-mask" in candor("chat", "--help").out
    assert "--max-tokens" in candor("chat", "check", "--help").out
