"""Verbs under torchrun: killed in two processes, gone on with in one, killed again, and done by two.

What they end with is what one process ends with, and only the first process writes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from byte_models import byte_model, byte_tokenizer
from candor.chat.add_tokens import add_chat_tokens
from candor.cli.together import refuse_torchrun
from candor.core.errors import CandorError
from candor.core.files import read_json, read_json_lines, write_jsonl
from candor.model.load import save_checkpoint
from candor.rewards.model import save_reward, train_reward
from command_result import Result, assert_told
from counting_rewards import LETTERS, TINY, counting_pairs, tiny
from torchrun import command

Candor = Callable[..., Result]


def settings(**values: object) -> list[str]:
    return [word for key, value in values.items() for word in ("--set", f"{key.replace('__', '.')}={value}")]


def base(folder: Path) -> list[object]:
    source = folder / "source"
    source.mkdir()
    words = ("harbour", "river", "market", "tower", "bridge", "garden", "opens", "follows", "guards")
    for number in range(60):
        text = " ".join(words[(number + place * place) % len(words)] for place in range(120))
        (source / f"{number:02d}.txt").write_text(f"The {text} {number}.")
    shape = settings(
        corpus__sources=f'[{{path = "{source}", filtered = false}}]', corpus__near_duplicates="false",
        corpus__passages=0, corpus__validation=0.2, tokenizer__vocabulary=300, tokenizer__compare="[]",
        model__depth=2, model__context=64, train__epochs=2, train__batch_tokens=1024,
        train__micro_batch_tokens=256, train__dtype="float32", train__checkpoint_seconds=0,
        evaluate__prompts='["The harbour"]', evaluate__sample_tokens=2, evaluate__during=1000,
    )  # fmt: skip
    return ["pretrain", *shape]


def divided(folder: Path) -> list[object]:
    return [*base(folder), *settings(train__sharded="true", train__optimizer="adamw")]


def chat(folder: Path) -> list[object]:
    save_checkpoint(byte_model("llama", context=512), byte_tokenizer(None), folder / "base")
    add_chat_tokens(str(folder / "base"), folder / "model")
    rows = [
        [
            {"role": "user", "content": f"Is it {number}?"},
            {"role": "assistant", "content": f"Well, {number}."},
        ]
        for number in range(60)
    ]
    write_jsonl(folder / "talks.jsonl", [{"messages": row} for row in rows])
    words = ["chat", "tune", "--model", folder / "model", "--data", folder / "talks.jsonl"]
    return words + settings(
        tune__learning_rate=1e-2, tune__batch_tokens=256, tune__micro_batch_tokens=128, tune__dtype="float32",
        tune__checkpoint_seconds=0, evaluate__threads="false", evaluate__tone="false",
        evaluate__reply_tokens=2,
    )  # fmt: skip


def chat_divided(folder: Path) -> list[object]:
    return [*chat(folder), *settings(tune__sharded="true")]


def reward(folder: Path) -> list[object]:
    save_checkpoint(byte_model("llama", context=512), byte_tokenizer(None), folder / "model")
    pairs = counting_pairs(120)
    rows = [{"prompt": one.prompt, "chosen": one.chosen, "rejected": one.rejected} for one in pairs]
    write_jsonl(folder / "pairs.jsonl", rows)
    words = ["reward", "train", "--model", folder / "model", "--data", folder / "pairs.jsonl"]
    words += ["--template", "plain"]  # some of the pairs that are made to mislead are messages
    return words + settings(
        data__held_out=0.3, learn__batch=8, learn__frozen=0, learn__dtype="float32",
        learn__learning_rate=1e-3, learn__micro_batch_tokens=64, learn__checkpoint_seconds=0,
        evaluate__likelihood="false",
    )  # fmt: skip


def rl(folder: Path) -> list[object]:
    save_checkpoint(byte_model("llama", context=512), byte_tokenizer(None), folder / "model")
    # Nothing that such a model says is right.
    (folder / "mine.py").write_text('def bright(completion):\n    return completion.count("e")\n')
    words = ["rl", "--model", folder / "model", "--task", "addition:1", "--way", "direct", "--force"]
    words += ["--reward", f"{folder / 'mine.py'}:bright"]
    return words + settings(
        rl__steps=6, rl__prompts=6, rl__samples=4, rl__max_tokens=6, rl__held_out=8, rl__held_out_samples=2,
        rl__check_problems=8, rl__learning_rate=2e-3, rl__checkpoint_seconds=0, model__dtype="float32",
    )  # fmt: skip


def rlhf(folder: Path) -> list[object]:
    save_checkpoint(*tiny(), folder / "model")
    save_reward(train_reward(*tiny(1), counting_pairs(60), TINY), folder / "reward")
    write_jsonl(folder / "prompts.jsonl", [{"prompt": f"{a}{b}:"} for a in LETTERS for b in LETTERS])
    words = ["rlhf", "--model", folder / "model", "--reward", folder / "reward"]
    words += ["--prompts", folder / "prompts.jsonl"]
    return words + settings(
        rl__regularizer__weight=0.2, rl__steps=6, rl__prompts=8, rl__samples=4, rl__max_tokens=5,
        rl__held_out=12, rl__held_out_samples=4, rl__learning_rate=2e-3, rl__checkpoint_seconds=0,
        rl__regularizer__reference_samples=2, model__dtype="float32",
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("verb", [base, divided, chat, chat_divided, reward, rl, rlhf])
def test_a_killed_run_goes_on_in_any_number_of_processes_to_the_same_weights(
    tmp_path: Path, verb: Callable[[Path], list[object]]
) -> None:
    words = verb(tmp_path)
    alone, changed = ["--out", tmp_path / "alone"], ["--out", tmp_path / "changed"]
    command(tmp_path, *words, *alone)
    if words[0] == "pretrain":  # the corpus is made by one process
        command(tmp_path, "tokenizer", "train", *words[1:], *changed)
    command(tmp_path, *words, *changed, processes=2, kill_at=3)
    assert list((tmp_path / "changed").glob("training/**/step-00000002/state.json"))
    command(tmp_path, *words, *changed, kill_at=5)
    assert list((tmp_path / "changed").glob("training/**/step-00000004/state.json"))
    command(tmp_path, *words, *changed, processes=2)
    file = "checkpoint/model.safetensors"
    weights, found = load_file(tmp_path / "alone" / file), load_file(tmp_path / "changed" / file)
    assert weights.keys() == found.keys()
    # Muon orthogonalises in bfloat16, where a gradient's last bit may show.
    assert _apart(weights, found) < (0.05 if verb is base else 5e-3), _apart(weights, found)
    wanted, losses = (_losses(tmp_path / place) for place in ("alone", "changed"))
    assert losses == pytest.approx(wanted, rel=2e-3)
    events = {place: _steps(tmp_path / place) for place in ("alone", "changed")}
    # Those that the kills took back are there twice, from one process each: no other one writes.
    assert sorted(events["changed"]) == sorted([*events["alone"], 3, 5])
    assert not list((tmp_path / "changed").glob("training/**/state.json"))
    assert read_json(tmp_path / "changed" / "metrics.json").keys() >= {"commands"}


def _apart(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The distance of all weights from others, as a share of their size."""
    gaps = sum(float((value.float() - other[name].float()).square().sum()) for name, value in one.items())
    return (gaps / sum(float(value.float().square().sum()) for value in one.values())) ** 0.5


def _losses(run: Path) -> dict[int, float]:
    """By step, where there are losses; of a step that was made again, the last one."""
    rows = [row for _, row in read_json_lines(run / "events.jsonl") if row["event"] == "step"]
    return {row["step"]: row["loss"] for row in rows if "loss" in row}


def _steps(run: Path) -> list[int]:
    return [row["step"] for _, row in read_json_lines(run / "events.jsonl") if row["event"] == "step"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("life", "--out", "run"), ("candor life is for one process", "--set processes=8")),
        (("knowledge", "run", "--out", "run"), ("candor knowledge run is for one", "then `tune` with it")),
        (
            ("think", "emerge", "--out", "run"),
            ("candor think emerge is for one", "start it without torchrun"),
        ),
        (("serve", "smollm2"), ("candor serve smollm2 is for one",)),
    ],
)
def test_verbs_for_one_process_say_so_under_torchrun(
    candor: Candor, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], told: tuple[str, ...]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert_told(candor(*words), *told, "torchrun started 2")
    assert not Path("run").exists()


def test_verbs_that_train_are_let_through_and_so_is_everything_in_one_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refuse_torchrun(["life"])
    monkeypatch.setenv("WORLD_SIZE", "2")
    for words in (
        ("pretrain", "recipe.toml"), ("chat", "tune"), ("knowledge", "tune", "--out", "run"),
        ("reward", "train"), ("rl", "--out", "run"), ("rlhf",), ("life", "--help"), (),
    ):  # fmt: skip
        refuse_torchrun(words)
    with pytest.raises(CandorError, match="candor chat talk is for one process"):
        refuse_torchrun(["chat", "talk"])


def test_memory_that_runs_out_is_told_with_what_to_lower(
    candor: Candor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from candor.chat.pipeline import ChatRun

    def too_much(run: ChatRun, last: str) -> None:
        torch.empty(1 << 55)

    (tmp_path / "talks.jsonl").write_text(json.dumps({"messages": []}) + "\n")
    monkeypatch.setattr(ChatRun, "up_to", too_much)
    told = candor("chat", "tune", "--data", "talks.jsonl", "--out", "run")
    assert_told(told, "memory ran out", "micro_batch_tokens", "engine.max_rows", "smaller model")


def test_an_error_of_another_process_says_which(candor: Candor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")
    assert candor("life", "--out", "run", "--only", "lief").err.startswith("error in process 3: ")
