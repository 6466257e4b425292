"""A log that can't be audited is refused by line and field; one that is odd says so and is not certified."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audit_rows import Row, rows_of
from candor.core.errors import InputError
from candor.rewards.audit import audit, read_log
from candor.rewards.audit.checks import duplicate_pairs, identities
from candor.rewards.audit.simulate import bandits, logged
from candor.rewards.audit.words import as_json


@pytest.fixture
def write(tmp_path: Path) -> Callable[[list[Row]], Path]:
    def written(rows: list[Row]) -> Path:
        path = tmp_path / "log.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return written


def test_a_log_reads_back_plain_and_gzipped_in_any_order(write, tmp_path: Path) -> None:
    rows = rows_of()
    plain = read_log(write(rows))
    packed = tmp_path / "log.jsonl.gz"
    packed.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    assert np.array_equal(read_log(packed).log_ratio, plain.log_ratio)
    other = audit(read_log(write(rows[::-1])))
    assert other.measured.distance.chi2.value == pytest.approx(audit(plain).measured.distance.chi2.value)
    assert (plain.prompts, int(plain.policy.sum())) == (40, 160)


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"logp_policy": ...}, "logp_policy", "Field required"),
        ({"logp_reference": None}, "logp_reference", "valid number"),
        ({"proxy": float("nan")}, "proxy", "finite number"),
        ({"proxy": float("inf")}, "proxy", "finite number"),
        ({"gold": float("nan")}, "gold", "finite number"),
        ({"logp_policy": 0.5}, "logp_policy", "less than or equal to 0"),
        ({"logp_reference": float("-inf")}, "logp_reference", "finite number"),
        ({"proxy": "1,3"}, "proxy", "found the text '1,3'"),
        ({"gold": "0.5"}, "gold", "found the text '0.5'"),
        ({"source": "model"}, "source", "'reference' or 'policy'"),
        ({"top_p": 1.5}, "top_p", "less than or equal to 1"),
        ({"tokens_policy": 12, "tokens_reference": 13}, "tokens_reference", "13 tokens and not 12"),
        ({"tokens_policy": [1, 2], "tokens_reference": [1, 3]}, "tokens_reference", "other tokens"),
    ],
)
def test_a_bad_line_is_refused_by_line_and_field(write, change: Row, field: str, said: str) -> None:
    rows = rows_of()
    rows[4] = {name: value for name, value in {**rows[4], **change}.items() if value is not ...}
    with pytest.raises(InputError) as error:
        read_log(write(rows))
    assert (error.value.line, error.value.field) == (5, field)
    assert said in error.value.message
    assert "log.jsonl:5" in error.value.message
    assert error.value.fix


def test_a_log_that_can_not_be_audited_as_a_whole_is_refused(write) -> None:
    rows = rows_of()
    for changed, said in (
        ([], "no lines"),
        ([row for row in rows if row["source"] == "policy"], "no completions of the reference"),
        ([row for row in rows if row["source"] == "reference"], "no completions of the policy"),
        ([{**row, "prompt": row["source"] + row["prompt"]} for row in rows], "none of 80 prompts"),
        ([{**row, "proxy": 1.0} for row in rows], "is 1 for all 160 completions"),
        ([{**row, "gold": 0.5} for row in rows], "is 0.5 for all 160 completions"),
    ):
        with pytest.raises(InputError, match=said):
            read_log(write(changed))


def codes(path: Path) -> dict[str, bool]:
    """What is objected to, and whether it blocks a certificate."""
    found = audit(read_log(path))
    assert not (found.certified and any(one.blocks for one in found.objections))
    return {one.code: one.blocks for one in found.objections}


def test_an_honest_log_meets_no_objection(write) -> None:
    assert codes(write(rows_of(seed=3))) == {}
    all_tokens = {"top_p": 1.0, "top_k": -1, "min_p": 0.0, "temperature": 1.0}
    assert codes(write([{**row, **all_tokens} for row in rows_of(seed=3)])) == {}


def test_what_is_odd_is_named_and_blocks_a_certificate(write) -> None:
    rows = rows_of(seed=3)
    half = [row for row in rows if row["source"] == "policy" or int(row["prompt"].split()[1]) < 15]
    few = [row for row in rows if row["source"] == "policy" or int(row["prompt"].split()[1]) < 30]
    for changed, code in (
        ([{**row, "top_p": 0.9} for row in rows], "truncated sampling"),
        ([{**row, "top_k": 50} for row in rows], "truncated sampling"),
        ([{**row, "min_p": 0.05} for row in rows], "truncated sampling"),
        ([{**row, "temperature": 0.7 if row["source"] == "policy" else 1} for row in rows], "temperatures"),
        ([{**row, "temperature": 0.7} for row in rows], "temperature"),
        (rows + rows, "duplicates"),
        (half, "prompts of one side"),
        (rows_of(seed=3, samples=1), "one response a prompt"),
        ([{**row, "logp_policy": row["logp_reference"]} for row in rows], "one model"),
    ):
        assert codes(write(changed))[code], code
    assert codes(write(few)) == {"prompts of one side": False}


def test_equal_completions_that_their_probability_explains_are_no_duplicates() -> None:
    random = np.random.default_rng(5)
    log = logged(bandits("three", 60, 0.1, random), random, samples=6)
    pairs, expected = duplicate_pairs(log)
    assert pairs > 500
    assert pairs == pytest.approx(expected, rel=0.1)
    assert "duplicates" not in {one.code for one in audit(log).objections}


@pytest.mark.parametrize("side", ["reference", "policy"])
def test_identities_find_truncated_sampling_that_no_field_names(side: str) -> None:
    """Arms below a probability are never drawn: where the other side likes these, its mass is missing."""
    random = np.random.default_rng(6)
    made = bandits("wide", 150, 1.0, random)
    honest = identities(logged(made, random, samples=6))
    assert all(one.holds for one in honest)
    own, other = made.reference_PA, made.policy_PA
    own, other = (own, other) if side == "reference" else (other, own)
    # As min-p sampling does, with the arms that the side itself likes less than the other one does.
    cut = np.where((own < 0.1 * own.max(axis=1, keepdims=True)) & (other > own), 1e-300, own)
    drawn = replace(made, **{f"{side}_PA": cut})
    log = logged(drawn, random, samples=20)
    arm = np.array(log.text, dtype=int)
    true_ratio = np.log(made.policy_PA[log.prompt, arm] / made.reference_PA[log.prompt, arm])
    first, second = identities(replace(log, log_ratio=true_ratio))
    assert (first.holds, second.holds) == ((False, True) if side == "reference" else (True, False))
    assert not audit(replace(log, log_ratio=true_ratio)).certified


def test_identities_find_log_probabilities_of_other_tokens() -> None:
    random = np.random.default_rng(7)
    log = logged(bandits("wide", 60, 0.3, random), random, samples=6)
    wrong = replace(log, log_ratio=log.log_ratio + 1.0)
    found = identities(wrong)
    assert found[0].estimate.low is not None
    assert found[0].estimate.low > 1
    assert "can't be of the same tokens" in audit(wrong).objections[0].text


def test_one_prompt_shows_no_expectation(write) -> None:
    """No interval of width 0 around a mean of one: it is unknown whether it is 1."""
    path = write(rows_of(seed=3, prompts=1, samples=20))
    assert all(one.estimate.low is None for one in identities(read_log(path)))
    assert any("too few prompts" in one.text for one in audit(read_log(path)).objections)


def test_a_policy_that_is_the_reference_is_not_said_to_have_gone_far(write) -> None:
    rows = [{**row, "logp_policy": row["logp_reference"]} for row in rows_of(seed=3)]
    found = as_json(audit(read_log(write(rows))))
    assert not any("gone farther" in line for line in found["settle"])
    assert "the policy is the reference" in found["objections"][0]["text"]


def test_why_nothing_is_known_of_the_proxy_is_said_in_plain_words(write) -> None:
    rows = [{**row, "proxy": float(int(row["prompt"].split()[1]) % 7)} for row in rows_of(seed=3)]
    (first, *_) = as_json(audit(read_log(write(rows))))["reasons"]
    assert first.startswith("How far to trust the proxy is not known: the proxy reward never varies")
