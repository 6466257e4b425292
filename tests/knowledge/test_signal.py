"""The inner signal: found where it was planted, not found in noise, saved without loss."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from candor.core.errors import CandorError
from candor.knowledge.signal import (
    LinearProbe,
    calibrated,
    fit_probe,
    scores_across_kinds,
    threshold_for,
)

LAYERS = [0, 4, 7, 9]
WIDTH = 24


def states(strength: dict[int, float], seed: int = 0, count: int = 900) -> tuple[np.ndarray, np.ndarray]:
    """Hidden states [n, layer, width] whose labels stand along one direction in the given layers."""
    draw = np.random.default_rng(seed)
    labels = draw.random(count) < 0.3
    hidden = draw.normal(size=(count, len(LAYERS), WIDTH))
    direction = draw.normal(size=WIDTH)
    direction /= np.linalg.norm(direction)
    for layer, size in strength.items():
        hidden[:, LAYERS.index(layer)] += size * np.outer(labels - 0.3, direction)
    # Unequal scales and means, as in real models.
    hidden = hidden * draw.uniform(0.1, 10, WIDTH) + draw.normal(size=WIDTH) * 5
    return hidden.astype(np.float32), labels


def parts(count: int = 900) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    place = np.arange(count) % 10
    return place < 4, (place >= 4) & (place < 6), place >= 6


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_direction_is_found_in_the_planted_layer_on_held_out_questions(seed: int) -> None:
    hidden, labels = states({4: 1.0, 7: 3.0}, seed)
    train, validation, test = parts()
    probe, table, scores = fit_probe(hidden, labels, train, validation, layers=LAYERS)
    assert probe.layer == 7
    assert [row["layer"] for row in table] == LAYERS
    assert scores.shape == (len(LAYERS), len(labels))
    by_layer = [roc_auc_score(labels[test], row[test]) for row in scores]
    assert by_layer[2] > 0.95
    assert by_layer[2] > by_layer[1] > by_layer[0]
    confidence = probe.confidence(hidden[test, 2])
    assert roc_auc_score(labels[test], confidence) == pytest.approx(by_layer[2])


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_noise_is_no_signal_on_held_out_questions(seed: int) -> None:
    hidden, labels = states({}, seed)
    train, validation, test = parts()
    probe, _, scores = fit_probe(hidden, labels, train, validation, layers=LAYERS)
    chosen = scores[LAYERS.index(probe.layer), test]
    assert 0.4 < roc_auc_score(labels[test], chosen) < 0.6


def test_confidence_is_calibrated_on_held_out_questions_and_rises_with_the_score() -> None:
    hidden, labels = states({7: 1.5}, count=3000)
    train, validation, test = parts(3000)
    probe, _, _ = fit_probe(hidden, labels, train, validation, layers=LAYERS)
    there = hidden[test, 2]
    confidence, logit = probe.confidence(there), probe.logit(there)
    order = np.argsort(logit)
    assert (np.diff(confidence[order]) >= 0).all()
    assert confidence.min() >= 0
    assert confidence.max() <= 1
    assert confidence.mean() == pytest.approx(labels[test].mean(), abs=0.04)
    sure = confidence > np.median(confidence)
    assert confidence[sure].mean() == pytest.approx(labels[test][sure].mean(), abs=0.06)


def test_calibration_changes_no_order() -> None:
    hidden, labels = states({7: 2.0})
    train, validation, _ = parts()
    probe, _, _ = fit_probe(hidden, labels, train, validation, layers=LAYERS)
    bare = replace(probe, slope=1.0, offset=0.0)
    again = calibrated(bare, hidden[:, 2], labels, validation)
    assert again.slope > 0
    assert (again.slope, again.offset) == pytest.approx((probe.slope, probe.offset))


def test_units_of_the_states_do_not_matter() -> None:
    hidden, labels = states({7: 2.0})
    train, validation, _ = parts()
    units = np.geomspace(0.01, 100, WIDTH)
    one, table, scores = fit_probe(hidden, labels, train, validation, layers=LAYERS)
    other, other_table, other_scores = fit_probe(hidden * units, labels, train, validation, layers=LAYERS)
    assert other.strength == one.strength and other_table == table
    np.testing.assert_allclose(other_scores, scores, rtol=1e-2, atol=1e-3 * scores.std())


@pytest.mark.parametrize("factor", [1e-3, 30.0])
def test_confidence_does_not_depend_on_how_large_log_odds_are(factor: float) -> None:
    hidden, labels = states({7: 2.0})
    train, validation, _ = parts()
    probe, _, _ = fit_probe(hidden, labels, train, validation, layers=LAYERS)
    scaled = replace(probe, weight=factor * probe.weight, bias=factor * probe.bias)
    again = calibrated(scaled, hidden[:, 2], labels, validation)
    np.testing.assert_allclose(again.confidence(hidden[:, 2]), probe.confidence(hidden[:, 2]), rtol=1e-4)


def test_of_equally_good_strengths_the_strongest_regularisation_is_taken() -> None:
    """And of equally good layers the lowest."""
    labels = np.arange(60) % 3 == 0
    hidden = np.repeat(np.where(labels, 1.0, -1.0)[:, None, None], 2, axis=1)
    place = np.arange(60)
    probe, table, _ = fit_probe(hidden, labels, place < 30, place >= 30, layers=[5, 6])
    assert [row["validation_auroc"] for row in table] == [1.0, 1.0]
    assert (probe.layer, probe.strength) == (5, 1e-4)


def test_three_right_and_three_wrong_answers_of_each_split_are_enough_and_two_are_not() -> None:
    labels = np.array([True] * 3 + [False] * 3 + [True] * 3 + [False] * 3)
    hidden, place = labels[:, None, None] + np.zeros((12, 1, 2)), np.arange(12)
    fit_probe(hidden, labels, place < 6, place >= 6, layers=[0])
    for dropped in (0, 3, 6, 9):
        left = np.delete(place, dropped)
        with pytest.raises(CandorError, match=r"2 right|2 wrong"):
            fit_probe(hidden[left], labels[left], left < 6, left >= 6, layers=[0])


def test_same_data_give_the_same_probe() -> None:
    hidden, labels = states({7: 2.0})
    train, validation, _ = parts()
    one, two = (fit_probe(hidden, labels, train, validation, layers=LAYERS)[0] for _ in range(2))
    assert np.array_equal(one.weight, two.weight)
    assert one.layer == two.layer


def test_saved_probe_gives_bit_equal_confidences(tmp_path: Path) -> None:
    hidden, labels = states({7: 2.0})
    train, validation, _ = parts()
    probe = replace(fit_probe(hidden, labels, train, validation, layers=LAYERS)[0], threshold=0.123456789012)
    probe.save(tmp_path)
    loaded = LinearProbe.load(tmp_path)
    assert np.array_equal(loaded.confidence(hidden[:, 2]), probe.confidence(hidden[:, 2]))
    assert (loaded.layer, loaded.threshold, loaded.strength) == (probe.layer, probe.threshold, probe.strength)


def test_checkpoint_without_a_probe_says_what_to_use(tmp_path: Path) -> None:
    with pytest.raises(CandorError, match="no uncertainty probe") as caught:
        LinearProbe.load(tmp_path)
    assert "candor knowledge run" in str(caught.value.fix)


@pytest.mark.parametrize("part", ["train", "validation"])
def test_too_few_right_answers_are_told_with_their_number(part: str) -> None:
    hidden, labels = states({})
    train, validation, _ = parts()
    labels = labels & ~(train if part == "train" else validation)
    with pytest.raises(CandorError, match=rf"0 right and \d+ wrong in the {part} split"):
        fit_probe(hidden, labels, train, validation, layers=LAYERS)


def test_probe_across_kinds_never_saw_the_kind_it_scores() -> None:
    draw = np.random.default_rng(0)
    kinds = np.array(["a", "b", "c"])[np.arange(900) % 3]
    labels = draw.random(900) < 0.5
    hidden = draw.normal(size=(900, WIDTH)).astype(np.float32)
    # In "a" the direction means the opposite: only a probe that saw "a" could get it right.
    sign = np.where(kinds == "a", -1, 1)
    hidden[:, 0] += 4 * sign * (labels - 0.5)
    train, _, test = parts()
    scores = scores_across_kinds(hidden, labels, kinds.tolist(), train, test, 1e-2)
    assert np.isnan(scores[~test]).all()
    assert np.isfinite(scores[test]).all()
    of_a = test & (kinds == "a")
    assert roc_auc_score(labels[of_a], scores[of_a]) < 0.1


def test_with_one_kind_only_there_is_nothing_across_kinds() -> None:
    hidden, labels = states({7: 2.0})
    train, _, test = parts()
    assert np.isnan(scores_across_kinds(hidden[:, 2], labels, [""] * 900, train, test, 1e-2)).all()


@given(
    scored=st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=1, max_size=60),
    limit=st.floats(0, 1),
)
def test_threshold_never_refuses_more_right_answers_than_the_limit_nor_fewer_than_it_could(
    scored: list[tuple[int, bool]], limit: float
) -> None:
    scores = np.array([score for score, _ in scored], dtype=float)
    right = np.array([flag for _, flag in scored])
    threshold = threshold_for(scores, right, limit)
    if not right.any():
        assert threshold == float("-inf")
        return
    kept = scores[right]
    assert (kept < threshold).mean() <= limit
    # The next threshold would refuse all with this score too, and so break the limit.
    assert (kept <= threshold).sum() > limit * len(kept) or threshold == kept.max()


@pytest.mark.parametrize(("limit", "refused"), [(0.0, 0), (0.09, 0), (0.1, 1), (0.19, 1), (0.5, 5), (1.0, 9)])
def test_threshold_uses_the_whole_limit(limit: float, refused: int) -> None:
    scores = np.arange(10.0)
    assert (scores < threshold_for(scores, np.ones(10, dtype=bool), limit)).sum() == refused
