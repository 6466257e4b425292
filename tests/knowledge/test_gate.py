"""A tuned checkpoint's gate: what it is weighed to, and what is answered through it."""

from __future__ import annotations

import string
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from candor.core.errors import CandorError
from candor.engine.gate import ABSTENTION, Gate
from candor.engine.prompts import set_template
from candor.knowledge.gate import answer_with_confidence, asking_of, fit_gate
from candor.knowledge.recipe import ProbeSettings
from candor.model.fresh import fresh_model
from candor.model.load import save_checkpoint
from candor.model.probe import LinearProbe
from candor.train.characters import character_tokenizer

COUNT = 400
WIDTH = 32


def probe(width: int = WIDTH) -> LinearProbe:
    return LinearProbe(1, np.zeros(width), 0.0, np.zeros(width), np.ones(width))


def questions(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Two log-odds on other scales, of which each knows something, the answers, and who is in validation."""
    draw = np.random.default_rng(seed)
    right = draw.random(COUNT) < 0.4
    logits = 0.02 * (draw.normal(size=COUNT) + 1.5 * right) - 3
    against = 40 * (draw.normal(size=COUNT) + 0.8 * right) + 7
    return logits, against, right, np.arange(COUNT) % 2 == 0


def fitted(logits, against, right, validation, limit: float = 0.1) -> Gate:
    return fit_gate(probe(), logits, against, right, validation, max_over_refusal=limit, token=5)


def confidences(gate: Gate, logits: np.ndarray, against: np.ndarray) -> np.ndarray:
    """What the gate says of the probe's log-odds: the states are these, of a probe that reads one number."""
    reading = LinearProbe(1, np.ones(1), 0.0, np.zeros(1), np.ones(1))
    same = Gate(reading, gate.on_probe, gate.on_refusal, gate.bias, gate.threshold, gate.token)
    return same.confidence(logits[:, None], against)


def test_confidence_is_that_of_a_regression_on_both_brought_to_one_scale() -> None:
    logits, against, right, validation = questions()
    columns = np.stack([logits, against], axis=1)
    plain = make_pipeline(StandardScaler(), LogisticRegression()).fit(columns[validation], right[validation])
    gate = fitted(logits, against, right, validation)
    assert gate.token == 5 and gate.on_probe > 0 and gate.on_refusal > 0
    np.testing.assert_allclose(confidences(gate, logits, against), plain.predict_proba(columns)[:, 1])


def test_units_of_either_log_odds_do_not_matter() -> None:
    logits, against, right, validation = questions()
    one = confidences(fitted(logits, against, right, validation), logits, against)
    gate = fitted(100 * logits + 3, against / 50 - 1, right, validation)
    np.testing.assert_allclose(confidences(gate, 100 * logits + 3, against / 50 - 1), one, rtol=1e-6)


@pytest.mark.parametrize(("limit", "share"), [(0.0, 0.0), (0.1, 0.1), (0.5, 0.5)])
def test_the_threshold_refuses_as_many_right_answers_of_the_validation_as_it_may(limit, share) -> None:
    logits, against, right, validation = questions()
    gate = fitted(logits, against, right, validation, limit)
    kept = confidences(gate, logits, against)[right & validation]
    assert 0 <= gate.threshold <= 1
    assert (kept < gate.threshold - 1e-12).sum() == int(share * len(kept))


def test_only_validation_questions_are_looked_at() -> None:
    logits, against, right, validation = questions()
    other = fitted(
        np.where(validation, logits, 9.0), np.where(validation, against, -9.0), right & validation, validation
    )
    gate = fitted(logits, against, right, validation)
    assert (other.on_probe, other.bias, other.threshold) == (gate.on_probe, gate.bias, gate.threshold)


def stubborn(folder: Path, *liked: str) -> Path:
    """A checkpoint that says the first of the liked characters for ever, the second where it must not."""
    tokenizer = character_tokenizer(string.printable[:95], 256)
    set_template(tokenizer, "plain")
    model = fresh_model(tokenizer, depth=2, width=WIDTH, context=256, head=16, seed=0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                weight.zero_()  # a token's state is its embedding, whatever came before
        embedding = model.get_input_embeddings().weight
        embedding[:, 0] = 1.0
        for rank, letter in enumerate(liked):
            embedding[tokenizer.convert_tokens_to_ids(letter), 0] = 9.0 - rank
        model.model.norm.weight.zero_()
        model.model.norm.weight[0] = 5.0
    save_checkpoint(model, tokenizer, folder)
    return folder


def with_gate(folder: Path, bias: float, threshold: float, reading: LinearProbe | None = None) -> str:
    tokenizer = character_tokenizer(string.printable[:95], 256)
    token = tokenizer.convert_tokens_to_ids("?")
    Gate(reading or probe(), 0.0, 0.0, bias, threshold, token).save(
        folder, asking_of(ProbeSettings(max_tokens=4))
    )
    return str(folder)


def test_below_the_threshold_it_does_not_know_and_from_it_on_it_answers(tmp_path: Path) -> None:
    folder = stubborn(tmp_path / "model", "b")
    found = answer_with_confidence(with_gate(folder, -1.0, 0.51234), "Why?")
    assert found["question"] == "Why?" and (found["answer"], found["gated"]) == ("bbbb", ABSTENTION)
    assert (found["confidence"], found["threshold"]) == (0.2689, 0.5123)  # 1 / (1 + e), in four places
    at = answer_with_confidence(with_gate(folder, 0.0, 0.5), "Why?")
    assert (at["confidence"], at["gated"]) == (0.5, "bbbb")
    broken = replace(probe(), weight=np.full(WIDTH, np.nan))
    unknown = answer_with_confidence(with_gate(folder, 0.0, 0.0, broken), "Why?")
    assert unknown["gated"] == ABSTENTION  # a confidence that is no number is none


def test_a_refusal_above_the_threshold_gives_way_to_the_answer_behind_it(tmp_path: Path) -> None:
    folder = stubborn(tmp_path / "model", "?", "b")
    found = answer_with_confidence(with_gate(folder, 1.0, 0.5), "Why?")
    assert (found["answer"], found["gated"]) == ("????", "b???")
    assert answer_with_confidence(with_gate(folder, -1.0, 0.5), "Why?")["gated"] == ABSTENTION


def test_a_checkpoint_without_a_gate_is_told(tmp_path: Path) -> None:
    with pytest.raises(CandorError, match="no uncertainty probe"):
        answer_with_confidence(str(stubborn(tmp_path / "model", "b")), "Why?")
