"""`candor reward train` from the command line, on a tiny model and its own preferences."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoModelForSequenceClassification

from candor.core.files import read_json, read_json_lines, write_jsonl
from candor.model.load import save_checkpoint
from candor.rewards.model import EnsembleReward, load_reward
from candor.rewards.model.read import row_of
from command_result import Result, assert_told
from counting_rewards import counting_pairs, tiny

Candor = Callable[..., Result]
SHORT = ("--learning-rate", "1e-3", "--epochs", 3, "--set", "learn.batch=8", "--set", "learn.dtype=float32")


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """A tiny model, preferences that it can learn, and misleading ones, in the command's folder."""
    save_checkpoint(*tiny(), tmp_path / "model")
    # Of as many prompts as there are letters and lengths of a pause, so that some can be held out.
    pairs = [replace(one, prompt=f"{one.prompt}{':' * (i % 7)}") for i, one in enumerate(counting_pairs(700))]
    write_jsonl(tmp_path / "pairs.jsonl", map(row_of, pairs))
    tricky = [
        {"prompt": f"{letter}:", "chosen": f"{letter}b", "rejected": f"hhbhhcbh{letter}", "subset": "long"}
        for letter in "adefg"
    ]
    write_jsonl(tmp_path / "tricky.jsonl", tricky)
    return tmp_path


def train(candor: Candor, *words: object) -> Result:
    given = ("--model", "model", "--data", "pairs.jsonl", "--adversarial", "tricky.jsonl", "--out", "run")
    # Its chat template: texts of misleading pairs are what a user asks.
    return candor("reward", "train", *given, "--template", "plain.jinja", *SHORT, *words)


@pytest.fixture
def template(ours: Path) -> None:
    (ours / "plain.jinja").write_text(
        "{% for m in messages %}{{ m.content }}"
        "{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    )


def test_a_run_says_what_it_ranks_rightly_and_whether_to_trust_it(
    candor: Candor, ours: Path, template: None
) -> None:
    done = train(candor)
    assert done.code == 0, done.err
    for text in ("held-out pairs", "longer completion", "likelihood, before", "misleading: long", "trust"):
        assert text in done.out, done.out
    metrics = read_json(ours / "run/metrics.json")
    assert metrics["held_out"]["accuracy"]["value"] > 0.8
    assert metrics["held_out"]["baselines"]["longer"]["accuracy"]["value"] < 0.75
    reward = load_reward(ours / "run")
    rows = [row for _, row in read_json_lines(ours / "run/evaluation/items.jsonl")]
    prompts, texts = [row["prompt"] for row in rows], [row["chosen"] for row in rows]
    assert np.allclose(reward.score(prompts, texts), [row["rewards"][0][0] for row in rows], atol=1e-3)
    assert AutoModelForSequenceClassification.from_pretrained(ours / "run/checkpoint").num_labels == 1
    assert not (ours / "run/training/1").exists()
    again = train(candor, "--json")
    last = json.loads(again.out.splitlines()[-1])
    assert last["trust"] == metrics["distrust"]["trust"] and '"train: done before"' in again.out
    assert "It ranks" in (ours / "run/report.html").read_text(encoding="utf-8")


def test_members_are_trained_and_averaged(candor: Candor, ours: Path, template: None) -> None:
    done = train(candor, "--members", 2, "--averaged", "--set", "data.most=200")
    assert done.code == 0, done.err
    assert "members, averaged" in done.out and "members agree on" in done.out
    metrics = read_json(ours / "run/metrics.json")
    assert len(metrics["ensemble"]["members"]) == 2
    assert set(metrics["ensemble"]["combinations"]) == {"mean", "worst", "uncertainty", "averaged"}
    ensemble = load_reward(ours / "run")
    assert isinstance(ensemble, EnsembleReward) and len(ensemble.models) == 2
    assert not isinstance(load_reward(ours / "run", combine="averaged"), EnsembleReward)
    heads = [one.head for one in ensemble.models]
    assert not np.allclose(*heads)


def test_labelled_completions_are_learned_from(candor: Candor, ours: Path, template: None) -> None:
    rows = [
        {"prompt": p.prompt, "completion": text, "label": text == p.chosen}
        for p in counting_pairs(200)
        for text in p.texts
    ]
    write_jsonl(ours / "told.jsonl", rows)
    # Few prompts: all of a letter's go to one side.
    done = train(candor, "--data", "told.jsonl", "--set", "data.held_out=0.3")
    assert done.code == 0, done.err
    metrics = read_json(ours / "run/metrics.json")
    assert metrics["kind"] == "labels" and metrics["held_out"]["auroc"]["n"] > 50
    assert "good and bad completions of held-out prompts" in done.out


def test_what_is_wrong_is_told_with_a_way_out(candor: Candor, ours: Path, template: None) -> None:
    write_jsonl(ours / "bad.jsonl", [{"prompt": "a:", "chosen": "a"}])
    assert_told(train(candor, "--data", "bad.jsonl"), "bad.jsonl:1", "'rejected'", "missing")
    assert_told(train(candor, "--data", "none.jsonl"), "none.jsonl", "no such file")
    assert_told(train(candor, "--adversarial", "bad.jsonl"), "bad.jsonl:1")
    assert_told(train(candor, "--set", "learn.center=1"), "learn.center", "did you mean 'learn.centre'")
    write_jsonl(ours / "one.jsonl", [{"prompt": "a:", "chosen": "a", "rejected": "b"}])
    assert_told(train(candor, "--data", "one.jsonl"), "same prompt")
    assert not (ours / "run").exists()
    chat = [{"role": "user", "content": "a"}]
    reply = [[{"role": "assistant", "content": text}] for text in "ab"]
    write_jsonl(ours / "chat.jsonl", [{"prompt": chat, "chosen": reply[0], "rejected": reply[1]}] * 2)
    result = candor("reward", "train", "--model", "model", "--data", "chat.jsonl", "--out", "run")
    assert_told(result, "same prompt")


def test_help_teaches(candor: Candor) -> None:
    text = " ".join(candor("reward", "train", "--help").out.replace("│", " ").split())
    for part in (
        "Bradley–Terry",
        "{prompt, completion, label}",
        "--averaged",
        "Example: candor reward train",
    ):
        assert part in text, part


def test_the_recipe_shows_and_reads_back(candor: Candor, tmp_path: Path) -> None:
    shown = candor("recipe", "show", "reward").out
    (tmp_path / "again.toml").write_text(shown)
    assert candor("recipe", "show", "reward", "--recipe", "again.toml").out == shown


def test_what_can_not_teach_is_told_before_training(candor: Candor, ours: Path, template: None) -> None:
    pairs = [row for _, row in read_json_lines(ours / "pairs.jsonl")]
    write_jsonl(ours / "zero.jsonl", [{**row, "weight": 0} for row in pairs])
    assert_told(train(candor, "--data", "zero.jsonl"), "have the weight 0")
    write_jsonl(
        ours / "good.jsonl",
        [{"prompt": row["prompt"], "completion": row["chosen"], "label": True} for row in pairs],
    )
    assert_told(train(candor, "--data", "good.jsonl"), "are labelled true", "of both kinds")
    # Pairs made to mislead are questions: a base model has to know how to be asked, before it is trained.
    told = candor("reward", "train", "--model", "model", "--data", "pairs.jsonl", "--out", "run", *SHORT)
    assert_told(told, "model has no chat template", "--template plain")
    assert not (ours / "run").exists()


def test_a_row_of_weight_0_in_front_is_no_reason_to_stop(candor: Candor, ours: Path, template: None) -> None:
    pairs = [row for _, row in read_json_lines(ours / "pairs.jsonl")]
    write_jsonl(ours / "half.jsonl", [{**row, "weight": i % 2} for i, row in enumerate(pairs)])
    assert train(candor, "--data", "half.jsonl", "--set", "learn.max_steps=2").code == 0
