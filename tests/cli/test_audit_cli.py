"""`candor audit` from the command line: a log judged, and a log drawn from two tiny models first."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from audit_rows import rows_of
from candor.core.files import read_json, write_jsonl
from candor.model.load import save_checkpoint
from candor.rewards.audit.log import read_log
from candor.rl.divergence import effective_samples
from command_result import Result, assert_told
from word_models import word_engine

Candor = Callable[..., Result]

REWARDS = """
def proxy(completion, tokens):
    return completion.count("w1") + 0.1 * tokens

def gold(completion):
    return completion.count("w1") - 0.5 * completion.count("w12")

def asks(right):
    return right
"""


def test_a_log_gets_its_verdict_its_page_and_its_json(candor: Candor) -> None:
    write_jsonl("log.jsonl", rows_of(seed=2, prompts=40, samples=4))
    done = candor("audit", "log.jsonl")
    assert done.code == 0, done.err
    found = read_json("log-audit/audit.json")
    assert done.out.startswith(found["state"])
    for text in (
        "gain by the proxy",
        "κ needed",
        "λ of √χ²",
        "what it means",
        "40 prompts are the draws",
        "report.html",
    ):
        assert text in done.out, done.out
    page = Path("log-audit/report.html").read_text()
    assert found["headline"].replace("'", "&#39;") in page
    assert "candor audit log.jsonl --out log-audit" in page
    again = candor("audit", "log.jsonl", "--json")
    printed = json.loads(again.out.splitlines()[-1])
    assert {name: printed[name] for name in found} == found
    assert printed["report"] == "log-audit/report.html"


def test_an_audit_looks_at_the_log_again_after_it_grew(candor: Candor) -> None:
    write_jsonl("log.jsonl", rows_of(seed=2, prompts=20))
    candor("audit", "log.jsonl")
    write_jsonl("log.jsonl", rows_of(seed=2, prompts=30))
    assert candor("audit", "log.jsonl").code == 0
    assert read_json("log-audit/audit.json")["prompts"] == 30


def test_gzipped_logs_and_a_folder_of_ones_choice(candor: Candor) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in rows_of(seed=2))
    Path("log.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    assert candor("audit", "log.jsonl.gz", "--out", "here").code == 0
    assert read_json("here/audit.json")["completions"] == {"reference": 160, "policy": 160}
    assert candor("audit", "log.jsonl.gz").code == 0
    assert Path("log-audit/audit.json").is_file()


def test_a_bad_log_is_told_by_line_and_field_and_leaves_no_folder(candor: Candor) -> None:
    rows = rows_of()
    del rows[2]["logp_reference"]
    write_jsonl("log.jsonl", rows)
    assert_told(candor("audit", "log.jsonl"), "log.jsonl:3", "field 'logp_reference'", "Field required")
    assert_told(candor("audit", "none.jsonl"), "none.jsonl", "no such file")
    assert_told(candor("audit"), "no log", "--policy")
    assert_told(candor("audit", "log.jsonl", "--policy", "x"), "there is a log and a policy")
    assert not Path("log-audit").exists()


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path]:
    """A tiny reference, and a policy that is it with a little noise on its weights."""
    engine = word_engine()
    save_checkpoint(engine.model, engine.tokenizer, tmp_path / "reference")
    torch.manual_seed(0)
    for parameter in engine.model.parameters():
        parameter.data += 0.01 * torch.randn_like(parameter)
    save_checkpoint(engine.model, engine.tokenizer, tmp_path / "policy")
    (tmp_path / "rewards.py").write_text(REWARDS)
    (tmp_path / "prompts.txt").write_text("".join(f"w{i} w{i + 7} w{i + 20}\n" for i in range(3, 33)))
    return tmp_path / "reference", tmp_path / "policy"


def test_a_log_is_drawn_from_two_models_and_audited(candor: Candor, models: tuple[Path, Path]) -> None:
    reference, policy = models
    words = (
        *("audit", "--policy", policy, "--reference", reference, "--prompts", "prompts.txt", "--out", "run"),
        *("--proxy", "rewards.py:proxy", "--gold", "rewards.py:gold", "--samples", 6, "--max-tokens", 8),
        *("--set", "draw.dtype=float32"),
    )
    done = candor(*words)
    assert done.code == 0, done.err
    log = read_log("run/log.jsonl")
    assert (log.prompts, int(log.policy.sum()), len(log.proxy)) == (30, 180, 360)
    found = read_json("run/audit.json")
    # Two models that are nearly one: log-probabilities of the same tokens, drawn from what they are said of.
    assert 0 < found["numbers"]["chi2"]["value"] < 1
    assert effective_samples(log.log_ratio[~log.policy]) > 90
    assert found["objections"] == []
    for name, policy_too in (("both", True), ("reference", False)):
        again = candor(*words[:-6], *words[-6:], "--gold-on", name, "--out", f"run-{name}")
        assert again.code == 0, again.err
        assert (read_json(f"run-{name}/audit.json")["labelled"]["policy"] > 0) is policy_too
    once_more = candor(*words)
    assert "draw: done before" in once_more.err
    assert_told(candor(*words, "--samples", 7), "another recipe", "draw.samples")


def test_the_same_model_on_both_sides_has_no_distance(candor: Candor, models: tuple[Path, Path]) -> None:
    reference, _ = models
    done = candor(
        *(
            "audit",
            "--policy",
            reference,
            "--reference",
            reference,
            "--prompts",
            "prompts.txt",
            "--out",
            "run",
        ),
        *("--proxy", "rewards.py:proxy", "--samples", 4, "--max-tokens", 8),
    )
    assert done.code == 0, done.err
    found = read_json("run/audit.json")
    assert found["numbers"]["chi2"]["value"] == 0
    assert found["state"] == "UNDETERMINED"
    texts = [json.loads(line)["completion"] for line in Path("run/log.jsonl").read_text().splitlines()]
    assert texts[:120] != texts[120:]  # draws of its own for each side


def test_what_can_not_be_drawn_is_told_before_anything_is_loaded(
    candor: Candor, models: tuple[Path, Path]
) -> None:
    reference, policy = models
    base = ("audit", "--policy", policy, "--reference", reference, "--prompts", "prompts.txt", "--out", "run")
    assert_told(candor(*base, "--proxy", "rewards.py:asks"), "asks for right", "no right answers")
    assert_told(candor(*base, "--proxy", "rewards.py:none"), "has no function 'none'")
    assert_told(candor(*base), "it lacks --proxy")
    told = candor(*base[:-4], "--prompts", "no.txt", "--out", "run", "--proxy", "rewards.py:proxy")
    assert_told(told, "no.txt")
    assert not Path("run").exists()


def test_models_of_different_tokens_are_refused(
    candor: Candor, models: tuple[Path, Path], smollm2: str
) -> None:
    reference, _ = models
    told = candor(
        *("audit", "--policy", smollm2, "--reference", reference, "--prompts", "prompts.txt", "--out", "run"),
        *("--proxy", "rewards.py:proxy"),
    )
    assert told.code == 2
    assert "don't share a tokenizer" in told.err


def test_a_policy_far_away_is_not_told_to_draw_more(candor: Candor) -> None:
    rows = rows_of(seed=2, prompts=40)
    for row in rows:  # as far as completions can tell
        row["logp_policy"], row["logp_reference"] = (
            (-1.0, -40.0) if row["source"] == "policy" else (-60.0, -1.0)
        )
    write_jsonl("log.jsonl", rows)
    settle = json.loads(candor("audit", "log.jsonl", "--json").out.splitlines()[-1])["settle"]
    assert any("No number of completions" in line for line in settle)
    assert not any("times as many" in line for line in settle)


def test_the_recipe_shows(candor: Candor) -> None:
    assert "max_tokens = 128" in candor("recipe", "show", "audit").out
