"""The verbs of `candor chat`: what they print, and what a user gets wrong, told with its fix, exit code 2."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import torch

from byte_models import TEMPLATE, byte_model, byte_tokenizer
from candor.chat import threads
from candor.chat.add_tokens import add_chat_tokens
from candor.chat.talk import Talk
from candor.cli.chat_tables import show_threads, show_tone
from candor.cli.chat_talk import harmless
from candor.core.files import read_json, read_json_lines, write_jsonl
from candor.engine.protocol import Message
from candor.model.load import save_checkpoint
from command_result import Result, assert_told

FAST = (
    *("--set", "evaluate.threads=false", "--set", "evaluate.tone=false", "--set", "evaluate.reply_tokens=4"),
    *("--set", "evaluate.prompts=['hello']", "--set", "data.validation=0.3", "--set", "tune.dtype=float32"),
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`base` without a template; `chat`, the same with chat tokens; `short`, which reads 48 tokens."""
    folder = tmp_path_factory.mktemp("models")
    save_checkpoint(byte_model().to(torch.bfloat16), byte_tokenizer(None), folder / "base")
    add_chat_tokens(str(folder / "base"), folder / "chat")
    save_checkpoint(byte_model(context=48).to(torch.bfloat16), byte_tokenizer(TEMPLATE), folder / "short")
    return folder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "talks.jsonl"
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"hello {number}?"},
                {"role": "assistant", "content": "well"},
            ]
        }
        for number in range(12)
    ]
    write_jsonl(path, rows)
    return path


# --- add-tokens ---------------------------------------------------------------------------------------


def test_added_tokens_are_listed_with_what_comes_next(candor: Callable[..., Result], models: Path) -> None:
    done = candor("chat", "add-tokens", "--model", models / "base", "--out", "ckpt")
    assert done.code == 0
    assert "<|im_start|>: token" in done.out
    assert "new, begun by 'described'" in done.out
    assert "candor chat tune --model ckpt --out RUN" in done.out
    assert "replaced" not in done.out


def test_added_tokens_as_json(candor: Callable[..., Result], models: Path) -> None:
    done = candor(
        "chat", "add-tokens", "--model", models / "base", "--out", "ckpt", "--init", "mean", "--json"
    )
    found = json.loads(done.out)
    assert (found["checkpoint"], found["end"]) == ("ckpt", "<|im_end|>")
    assert set(found["appended"]) == {"<|im_start|>", "<|im_end|>"}
    assert found["rows_after"] % 64 == 0


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--init", "decribed"), ("--init", "'decribed'", "choose one of mean, described")),
        (("--template", "plain"), ("no tokens to add", "chatml")),
        (("--template", "none.jinja"), ("none.jinja: no such chat template file",)),
        (("--out", "there"), ("there is there already", "choose another --out")),
    ],
)
def test_wrong_words_to_add_tokens_are_told_and_leave_nothing(
    candor: Callable[..., Result], models: Path, words: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    Path("there").mkdir()
    result = candor("chat", "add-tokens", "--model", models / "base", "--out", "ckpt", *words)
    assert_told(result, *parts)
    assert not Path("ckpt").exists()
    assert not any(Path("there").iterdir())


# --- tune ---------------------------------------------------------------------------------------------


def test_tune_prints_what_was_measured_and_how_to_talk(
    candor: Callable[..., Result], models: Path, file: Path
) -> None:
    # A first message may look like the markup of the terminal library.
    words = ("chat", "tune", "--model", models / "chat", "--data", file, "--out", "run", *FAST)
    done = candor(*words, "--set", "evaluate.prompts=['[/x] hello']")
    assert done.code == 0, done.err
    assert "a held-out reply's token costs" in done.out
    assert "you:   [/x] hello" in done.out
    assert "candor chat talk --model run/checkpoint" in done.out
    assert Path("run/report.html").is_file()
    again = candor(*words, "--set", "evaluate.prompts=['[/x] hello']")
    assert [line for line in again.err.splitlines() if "done before" in line] == [
        f"{stage}: done before" for stage in ("data", "tune", "evaluate")
    ]


def test_tune_in_json_mode_prints_nothing_but_json_lines(
    candor: Callable[..., Result], models: Path, file: Path
) -> None:
    done = candor("chat", "tune", "--model", models / "chat", "--data", file, "--out", "run", *FAST, "--json")
    assert (done.code, done.err) == (0, "")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert set(rows[-1]) == {"metrics", "checkpoint", "report"}
    assert all(Path(path).exists() for path in rows[-1].values())


def test_a_single_held_out_conversation_has_no_interval_and_no_error(
    candor: Callable[..., Result], models: Path, file: Path
) -> None:
    words = ("--data", file, "--out", "run", *FAST, "--set", "evaluate.conversations=1")
    done = candor("chat", "tune", "--model", models / "chat", *words)
    assert done.code == 0, done.err
    assert "1 conversation, too few for an interval" in done.out


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--data", "none.jsonl"), ("none.jsonl: no such file", "--data")),
        (("--data", "folder"), ("folder: is a folder", "name the files")),
        (("--data", "empty.jsonl"), ("empty.jsonl: there are no conversations in it", "messages")),
        (("--data", "bad.jsonl"), ("bad.jsonl:1", "layout")),
        (("--set", "tune.epochs=0"), ("tune.epochs", "greater than 0")),
        (("--set", "tune.epoch=1"), ("did you mean 'tune.epochs'?",)),
        (("--set", "data.validation=0"), ("data.validation",)),
        (("--lora", "-1"), ("tune.lora_rank",)),
        (("--template", "none.jinja"), ("none.jinja: no such chat template file",)),
        (("--recipe", "none.toml"), ("no such recipe",)),
        (("--model", "nowhere"), ("nowhere: no model by that name",)),
    ],
)
def test_wrong_words_to_tune_are_told_and_no_run_is_left_behind(
    candor: Callable[..., Result], models: Path, file: Path, words: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    Path("folder").mkdir()
    Path("empty.jsonl").touch()
    Path("bad.jsonl").write_text('{"what": 1}\n')
    given = () if "--data" in words else ("--data", file)
    assert_told(candor("chat", "tune", "--model", models / "chat", "--out", "run", *given, *words), *parts)
    assert not Path("run").exists()


@pytest.mark.parametrize(("template", "told"), [((), "add-tokens"), (("--template", "chatml"), "<|im_end|>")])
def test_a_base_model_is_sent_to_add_tokens(
    candor: Callable[..., Result], models: Path, file: Path, template: tuple[str, ...], told: str
) -> None:
    words = ("--data", file, "--out", "run", *template)
    assert_told(candor("chat", "tune", "--model", models / "base", *words), told, "candor chat add-tokens")
    assert not Path("run").exists()


def test_a_folder_of_another_recipe_is_refused_and_kept(
    candor: Callable[..., Result], models: Path, file: Path
) -> None:
    words = ("chat", "tune", "--model", models / "chat", "--data", file, "--out", "run", *FAST)
    assert candor(*words).code == 0
    before = Path("run/recipe.toml").read_bytes()
    assert_told(candor(*words, "--lora", "2"), "another recipe", "tune.lora_rank: 0 → 2", "--out")
    assert Path("run/recipe.toml").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (
            ("--data", "talks.jsonl", "--set", "data.sources=[{embedded='facts'}]"),
            ("--data", "--set data.sources=…"),
        ),
        (("--set", "model.name=other"), ("--model", "--set model.name=…")),
        (("--lora", "2", "--set", "tune.lora_rank=4"), ("--lora", "--set tune.lora_rank=…")),
    ],
)
def test_a_setting_given_twice_is_an_error_that_names_both(
    candor: Callable[..., Result], models: Path, file: Path, words: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    assert_told(
        candor("chat", "tune", "--model", models / "chat", "--out", "run", *words), *parts, "leave out"
    )
    assert not Path("run").exists()


def estimate(value: float, n: int = 348) -> dict[str, float]:
    return {"value": value, "low": value - 0.128, "high": value + 0.128, "n": n}


@pytest.mark.parametrize("one", [True, False])
def test_tables_fit_eighty_columns(
    one: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    groups = ("threads", "recall", "reference", "correction", "consistency", "constraint", "single")
    levels = ("all", "easy", "hard", "invented", "private")
    kinds = ("refused", "hedged", "boosted", "bare", "unsure", "sure_and_wrong")
    moments = {"after": 0.872} if one else {"before": 0.872, "after": 0.872, "change": -0.222}

    def table(rows: tuple[str, ...], columns: tuple[str, ...]) -> dict[str, Any]:
        return {
            moment: {row: {column: estimate(value) for column in columns} for row in rows}
            for moment, value in moments.items()
        }

    show_threads(table(groups, ("preferred", "written")))
    truth = {name: estimate(0.8) for name in ("right_asserted", "wrong_asserted")}
    show_tone({**table(levels, kinds), "truth": {m: truth for m in moments if m != "change"}})
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    rows = [line for line in lines if line.startswith("│")]
    assert len(rows) == (len(groups) if one else 2 * len(groups)) + 5 + 4 + 2  # none is wrapped
    assert not [line for line in lines if "…" in line.replace("meant …", "")]
    if not one:
        assert any("87 % (74–100)" in line and "−22 (−35 to −9)" in line for line in rows)


# --- evaluate -----------------------------------------------------------------------------------------


@pytest.fixture
def few_cases(monkeypatch: pytest.MonkeyPatch) -> int:
    some = threads.cases()[:8]
    monkeypatch.setattr(threads, "cases", lambda seed=0: some)
    return len(some)


def test_evaluate_writes_every_case_and_shows_rates(
    candor: Callable[..., Result], models: Path, few_cases: int
) -> None:
    done = candor("chat", "evaluate", "--model", models / "chat", "--out", "rows.jsonl")
    assert done.code == 0, done.err
    assert "all earlier turns" in done.out
    assert "by chance 50 %" in done.out
    assert "simply said" in done.out
    assert "no doubt said of wrong" in done.out
    parts = [row["what"] for _, row in read_json_lines("rows.jsonl")]
    assert parts == ["threads"] * few_cases + ["tone"] * 80


def test_evaluate_measures_what_it_is_asked_for(
    candor: Callable[..., Result], models: Path, few_cases: int
) -> None:
    words = ("chat", "evaluate", "--model", models / "chat", "--json", "--what")
    tone = json.loads(candor(*words, "tone").out.splitlines()[-1])
    assert set(tone) == {"model", "tone"}
    assert tone["tone"]["rates"]["private"]["bare"]["n"] == 20
    assert {"right_asserted", "wrong_asserted", "difference"} <= set(tone["tone"]["truth"])
    both = json.loads(candor(*words, "tone, threads").out.splitlines()[-1])
    assert set(both) == {"model", "cases", "rates", "tone"}
    assert_told(candor(*words, "tone,mood"), "'mood'", "give threads, tone, or threads,tone")


def test_evaluate_as_json_has_n_and_intervals(
    candor: Callable[..., Result], models: Path, few_cases: int
) -> None:
    done = candor("chat", "evaluate", "--model", models / "chat", "--what", "threads", "--json")
    found = json.loads(done.out.splitlines()[-1])
    assert found["cases"] == few_cases
    assert {"value", "low", "high", "n"} <= set(found["rates"]["threads"]["preferred"])


@pytest.mark.parametrize("verb", ["evaluate", "talk"])
def test_a_base_model_can_not_be_asked_without_a_template(
    candor: Callable[..., Result], models: Path, verb: str
) -> None:
    assert_told(candor("chat", verb, "--model", models / "base"), "has no chat template", "--template plain")


# --- talk ---------------------------------------------------------------------------------------------


def test_a_conversation_through_a_pipe_shows_both_sides(candor: Callable[..., Result], models: Path) -> None:
    done = candor(
        "chat", "talk", "--model", models / "chat", "--max-tokens", 6,
        typed="hello\n/tokens\n/undo\n/undo\n/nope\n/quit\nnever read\n",
    )  # fmt: skip
    assert done.code == 0
    lines = done.out.splitlines()
    assert "you: hello" in lines
    assert any(line.startswith("model: ") for line in lines)
    assert any(line.endswith("<|im_start|>") for line in lines)
    assert lines[-5:] == ["you: /undo", "nothing was said yet", "you: /nope", *lines[-2:]]
    assert lines[-2:] == ["no command /nope; /help lists them", "you: /quit"]


def test_commands_say_what_they_did(candor: Callable[..., Result], models: Path) -> None:
    typed = "/text\n/system Be brief.\n/text\n/system\n/new\n/help\n"
    done = candor("chat", "talk", "--model", models / "chat", typed=typed)
    assert done.code == 0
    said = done.out.splitlines()
    assert said[2] == "nothing was said yet"
    assert "<|im_start|>system" in done.out
    assert "taken away" in done.out
    assert "/undo    take the last turn back" in done.out


def test_a_conversation_too_long_for_the_model_is_told_and_goes_on(
    candor: Callable[..., Result], models: Path
) -> None:
    typed = f"hi\n{'hello ' * 40}\n/undo\nhi\n"
    done = candor("chat", "talk", "--model", models / "short", typed=typed)
    assert done.code == 0
    assert "the model can read no more" in done.out or "(no reply" in done.out
    assert "and the model reads 48" in done.out
    assert "/undo a turn" in done.out


def test_an_interrupt_ends_the_reply_and_not_the_conversation(
    candor: Callable[..., Result], models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def say(self: Talk, text: str) -> Generator[str, None, None]:
        self.turns += [Message(role="user", content=text), Message(role="assistant", content="wel")]
        yield "wel"
        raise KeyboardInterrupt

    monkeypatch.setattr(Talk, "say", say)
    done = candor("chat", "talk", "--model", models / "chat", typed="hello\n/text\n/quit\n")
    assert done.code == 0
    assert "model: wel\n" in done.out
    assert "<|im_start|>assistant\nwel<|im_end|>" in done.out


def test_what_a_model_writes_can_not_command_the_terminal() -> None:
    assert harmless("a\x1b[31mred\x07\x9b\n\tb") == "a␛[31mred␇\\x9b\n\tb"


# --- the recipe ---------------------------------------------------------------------------------------


def test_the_recipe_of_a_run_gives_the_same_weights_again(
    candor: Callable[..., Result], models: Path, file: Path
) -> None:
    assert candor("chat", "tune", "--model", models / "chat", "--data", file, "--out", "run", *FAST).code == 0
    assert candor("chat", "tune", "--recipe", "run/recipe.toml", "--out", "new").code == 0
    first, second = (Path(run, "checkpoint/model.safetensors").read_bytes() for run in ("run", "new"))
    assert first == second
    assert read_json("run/metrics.json")["loss"] == read_json("new/metrics.json")["loss"]
