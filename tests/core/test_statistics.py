from __future__ import annotations

import itertools
import json
import time

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import brier_score_loss, roc_auc_score

from candor.core import statistics as st

RANDOM = np.random.default_rng(7)


def test_wilson_equals_scipys_interval():
    for k, n in [(0, 10), (3, 10), (10, 10), (81, 263), (1, 1)]:
        expected = binomtest(k, n).proportion_ci(method="wilson")
        got = st.wilson(k, n)
        assert got.value == k / n
        assert (got.low, got.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
        assert got.n == n


def test_wilson_at_another_confidence_is_scipys_too():
    for confidence in (0.5, 0.8, 0.99):
        expected = binomtest(7, 30).proportion_ci(confidence, method="wilson")
        got = st.wilson(7, 30, confidence)
        assert (got.low, got.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_of_nothing_is_none_and_of_nonsense_an_error():
    assert st.wilson(0, 0) == st.Estimate(None, None, None, 0)
    for k, n in ((4, 3), (-1, 3)):
        with pytest.raises(ValueError, match=f"k={k}, n={n}"):
            st.wilson(k, n)


def test_estimates_are_json_safe():
    row = st.Estimate(float("nan"), float("-inf"), np.float64(0.5), np.int64(3)).as_dict()  # type: ignore[arg-type]
    assert json.loads(json.dumps(row, allow_nan=False)) == {"value": None, "low": None, "high": 0.5, "n": 3}


def test_proportion_is_wilson_of_one_item_less_when_every_item_is_its_own_cluster():
    """The variance of clusters is over n - 1, so that deff is n/(n - 1) and the effective size n - 1."""
    hits = [True] * 30 + [False] * 10
    clustered = st.proportion(hits, list(range(40)), confidence=0.9)
    expected = st.wilson(0.75 * 39, 39, 0.9)
    assert (clustered.value, clustered.n) == (0.75, 40)
    assert (clustered.low, clustered.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert st.proportion(hits) == st.wilson(30, 40)


def test_clusters_that_balance_each_other_do_not_narrow_the_interval():
    """Documents of one right and one wrong answer vary less than independent draws; deff is never below 1."""
    found = st.proportion([True, False] * 20, np.repeat(np.arange(20), 2))
    assert (found.low, found.high) == pytest.approx((st.wilson(20, 40).low, st.wilson(20, 40).high))


def test_items_repeated_within_documents_do_not_narrow_the_interval():
    base = RANDOM.random(40) < 0.4
    once = st.wilson(int(base.sum()), 40)
    five_times = st.proportion(np.repeat(base, 5), np.repeat(np.arange(40), 5))
    assert five_times.n == 200
    assert five_times.low == pytest.approx(once.low, abs=0.005)
    assert five_times.high == pytest.approx(once.high, abs=0.005)


def test_proportion_of_unanimous_documents_counts_documents():
    unanimous = st.proportion([True] * 50, np.repeat(np.arange(10), 5))
    assert (unanimous.low, unanimous.high) == (st.wilson(10, 10).low, 1.0)
    never = st.proportion([False] * 50, np.repeat(np.arange(10), 5))
    assert (never.low, never.high) == (0.0, st.wilson(0, 10).high)
    assert st.proportion([True, False], ["a", "a"]) == st.Estimate(0.5, None, None, 2)
    assert st.proportion([True, False], ["a", "b"]).low is not None
    assert st.proportion([], []) == st.proportion([]) == st.Estimate(None, None, None, 0)


def test_clustered_proportion_interval_covers_about_95_percent():
    random, covered, trials = np.random.default_rng(1), 0, 400
    for _ in range(trials):
        rate = random.beta(2, 4, size=40)  # mean 1/3, documents differ
        estimate = st.proportion(
            random.random((40, 5)).T.ravel() < np.tile(rate, 5), np.tile(np.arange(40), 5)
        )
        covered += estimate.low <= 1 / 3 <= estimate.high
    assert 0.92 <= covered / trials <= 0.98


def test_auroc_equals_sklearn_with_and_without_ties():
    for digits in (8, 1):
        scores, labels = RANDOM.normal(size=200).round(digits), RANDOM.random(200) < 0.3
        assert st.auroc(scores, labels, replicates=10).value == pytest.approx(roc_auc_score(labels, scores))


def test_auroc_replicates_equal_sklearn_on_the_repeated_rows():
    scores, labels = RANDOM.normal(size=60).round(1), RANDOM.random(60) < 0.4
    weights = RANDOM.integers(0, 4, size=(5, 60)).astype(float)
    got = st._Ranking(scores, labels).auroc(weights)
    rows = [np.repeat(np.arange(60), w.astype(int)) for w in weights]
    assert got == pytest.approx([roc_auc_score(labels[r], scores[r]) for r in rows])


def test_fast_and_general_bootstrap_give_the_same_interval():
    scores, labels = RANDOM.normal(size=80), RANDOM.random(80) < 0.5
    documents = np.arange(80) // 4
    slow = st.bootstrap(
        lambda s, y: roc_auc_score(y, s) if 0 < y.mean() < 1 else None,
        scores, labels, clusters=documents, replicates=100, seed=3,
    )  # fmt: skip
    fast = st.auroc(scores, labels, documents, replicates=100, seed=3)
    assert (fast.value, fast.low, fast.high, fast.n) == pytest.approx(
        (slow.value, slow.low, slow.high, slow.n)
    )


@pytest.mark.parametrize("confidence", [0.95, 0.5])
def test_an_interval_is_between_quantiles_of_as_many_resamples_of_whole_clusters_as_asked(confidence):
    x, documents, seen = np.arange(12.0), np.repeat(np.arange(4), 3), []

    def mean(drawn):
        seen.append(drawn)
        return drawn.mean()

    found = st.bootstrap(mean, x, clusters=documents, replicates=37, confidence=confidence)
    assert len(seen) == 1 + 37 and np.array_equal(seen[0], x)
    for drawn in seen:
        assert np.array_equal(drawn, np.sort(drawn)) and len(drawn) == 12
        assert 3 * len(set(drawn // 3)) == len(set(drawn)), "a document with only some of its items"
    tail = (1 - confidence) / 2
    expected = np.quantile([drawn.mean() for drawn in seen[1:]], [tail, 1 - tail])
    assert (found.value, found.n) == (5.5, 12)
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=1e-12)


def test_resamples_draw_every_cluster_equally_often():
    seen = []
    st.bootstrap(lambda x: seen.append(x) or 0.0, np.arange(5), replicates=4000)
    shares = np.bincount(np.concatenate(seen[1:]), minlength=5) / (5 * 4000)
    np.testing.assert_allclose(shares, 0.2, atol=4 * np.sqrt(0.16 / 20_000))


def test_a_bootstrap_of_nothing_asks_no_statistic_and_one_of_one_item_has_no_interval():
    assert st.bootstrap(lambda x: 1 / len(x), []) == st.Estimate(None, None, None, 0)
    assert st.bootstrap(lambda x: x.mean(), [3.0]) == st.Estimate(3.0, None, None, 1)
    assert st.bootstrap(lambda x: x.mean(), [3.0, 4.0], replicates=0) == st.Estimate(3.5, None, None, 2)
    assert st.bootstrap(lambda x: x.mean(), [3.0, 4.0]).low == 3.0


def test_columns_and_clusters_have_one_length():
    for columns in (([1, 2], [1, 2, 3]), ([1, 2], [1, 2], [1])):
        with pytest.raises(ValueError, match="differ in length"):
            st.bootstrap(lambda *x: 0.0, *columns)
    for left, right in (([1, 2], [1]), ([[1, 2]], [[1, 2]])):
        with pytest.raises(ValueError, match="two columns of one length"):
            st.paired_difference(left, right)
    with pytest.raises(ValueError, match="one cluster for each of 2 items"):
        st.paired_difference([1, 2], [1, 2], ["a"])


def test_auroc_of_one_class_is_none():
    assert st.auroc([0.1, 0.2], [True, True]) == st.Estimate(None, None, None, 2)
    assert st.auroc([], []) == st.Estimate(None, None, None, 0)
    assert st.auroc([0.1, 0.2], [True, False], ["same", "same"]) == st.Estimate(0.0, None, None, 2)


def test_an_interval_needs_half_of_the_replicates_to_be_defined():
    # One positive of 3: drawn, and not alone, in 1 - 8/27 - 1/27 = two thirds of the resamples.
    assert st.auroc([3, 2, 1], [1, 0, 0]).low == 1.0
    undefined = st.bootstrap(lambda x: None if 0 in x else x.mean(), [0, 1, 2, 3], replicates=200)
    assert undefined.value is None
    rarely = st.bootstrap(lambda x: x.mean() if len(set(x)) == 4 else None, [0, 1, 2, 3], replicates=200)
    assert rarely == st.Estimate(1.5, None, None, 4)


def test_infinite_scores_rank_and_nan_scores_are_refused():
    assert st.auroc([-np.inf, -np.inf, 0.0, np.inf], [0, 1, 0, 1]).value == pytest.approx(0.625)
    with pytest.raises(ValueError, match="NaN score"):
        st.auroc([np.nan, 1.0], [0, 1])
    with pytest.raises(ValueError, match="labels"):
        st.auroc([0.0, 1.0], [0, 0.5])


def test_auroc_interval_covers_the_binormal_truth_about_95_percent():
    random, covered, trials = np.random.default_rng(2), 0, 200
    truth = 0.7602499  # Phi(1 / sqrt 2): normals one apart
    for _ in range(trials):
        labels = random.random(120) < 0.4
        estimate = st.auroc(random.normal(size=120) + labels, labels, replicates=300)
        covered += estimate.low <= truth <= estimate.high
    assert 0.90 <= covered / trials <= 0.985


def test_paired_difference_is_narrower_than_its_parts_when_scores_agree():
    labels = RANDOM.random(300) < 0.4
    good = RANDOM.normal(size=300) + 1.5 * labels
    worse = good + 0.6 * RANDOM.normal(size=300)
    difference = st.paired_auroc_difference(good, worse, labels)
    assert difference.value == pytest.approx(roc_auc_score(labels, good) - roc_auc_score(labels, worse))
    part = st.auroc(good, labels)
    assert difference.high - difference.low < part.high - part.low
    assert st.paired_auroc_difference(good, good, labels) == st.Estimate(0.0, 0.0, 0.0, 300)


def test_mean_difference_interval_agrees_with_the_normal_one():
    a, b = RANDOM.normal(1, 1, 400), RANDOM.normal(0, 1, 400)
    got = st.paired_difference(a, b, replicates=4000)
    error = (a - b).std() / 20
    assert got.value == pytest.approx((a - b).mean())
    assert (got.low, got.high) == pytest.approx(
        (got.value - 1.96 * error, got.value + 1.96 * error), abs=0.02
    )


def test_clustering_widens_the_interval_of_correlated_items():
    shared = RANDOM.normal(size=30).repeat(10)
    clusters = np.arange(300) // 10
    alone = st.paired_difference(shared, np.zeros(300))
    together = st.paired_difference(shared, np.zeros(300), clusters)
    assert (together.high - together.low) / (alone.high - alone.low) == pytest.approx(10**0.5, rel=0.2)


def test_risk_coverage_by_hand():
    coverage, risk = st.risk_coverage([4, 3, 2, 1], [1, 0, 1, 0])
    assert coverage == [0.25, 0.5, 0.75, 1]
    assert risk == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    assert st.aurc([4, 3, 2, 1], [1, 0, 1, 0]).value == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert st.risk_coverage([], []) == ([], [])


def test_ties_in_risk_coverage_are_the_mean_over_all_orders():
    scores, correct = np.array([2, 1, 1, 1, 0]), np.array([1, 0, 1, 0, 1])
    curves = []
    for middle in itertools.permutations([1, 2, 3]):
        wrong = 1 - correct[[0, *middle, 4]]
        curves.append(wrong.cumsum() / np.arange(1, 6))
    expected = np.mean(curves, axis=0)
    assert st.risk_coverage(scores, correct)[1] == pytest.approx(expected)
    assert st.aurc(scores, correct).value == pytest.approx(expected.mean())


def test_weighted_aurc_equals_the_curve_of_the_repeated_rows():
    scores, correct = RANDOM.normal(size=50).round(1), RANDOM.random(50) < 0.4
    documents = np.arange(50) // 5
    fast = st.aurc(scores, correct, documents, replicates=60)
    slow = st.bootstrap(
        lambda s, y: np.mean(st.risk_coverage(s, y)[1]), scores, correct, clusters=documents, replicates=60
    )
    assert (fast.value, fast.low, fast.high) == pytest.approx((slow.value, slow.low, slow.high))


def test_aurc_of_a_constant_score_is_the_error_rate_and_a_better_ranking_is_lower():
    correct = RANDOM.random(100) < 0.3
    assert st.aurc(np.zeros(100), correct).value == pytest.approx(1 - correct.mean())
    assert st.aurc(correct, correct).value < 1 - correct.mean() < st.aurc(~correct, correct).value


def test_risk_at_coverage_is_a_point_of_the_curve():
    scores, correct = RANDOM.normal(size=50).round(1), RANDOM.random(50) < 0.4
    curve = st.risk_coverage(scores, correct)[1]
    for k in (1, 10, 25, 50):
        assert st.risk_at_coverage(scores, correct, k / 50).value == pytest.approx(curve[k - 1])
    for coverage in (0, -0.1, 1.1):
        with pytest.raises(ValueError, match="coverage"):
            st.risk_at_coverage(scores, correct, coverage)


def test_risk_of_tied_scores_is_their_error_rate_at_any_coverage():
    for coverage in (0.01, 0.3, 0.5, 1):
        found = st.risk_at_coverage([1, 1, 1, 1, 0], [1, 1, 1, 0, 1], 0.8 * coverage)
        assert found.value == pytest.approx(1 / 4)


def test_calibration_scores_by_hand_and_against_sklearn():
    confidence, correct = RANDOM.random(300), RANDOM.random(300) < 0.5
    assert st.brier(confidence, correct).value == pytest.approx(brier_score_loss(correct, confidence))
    assert st.expected_calibration_error([0.9, 0.9, 0.1, 0.1], [1, 0, 0, 0]).value == pytest.approx(
        (2 * 0.4 + 2 * 0.1) / 4
    )
    bins = st.reliability_bins(confidence, correct)
    assert sum(row["n"] for row in bins) == 300
    by_bins = sum(row["n"] * abs(row["accuracy"] - row["confidence"]) for row in bins) / 300
    assert st.expected_calibration_error(confidence, correct).value == pytest.approx(by_bins)
    for outside in (1.2, -0.1):
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            st.expected_calibration_error([0.5, outside], [1, 1])


def test_gaps_of_one_bin_do_not_make_up_for_those_of_another():
    """Too sure above and too unsure below: in one bin they would cancel."""
    confidence, correct = [0.95, 0.95, 0.05, 0.05], [0, 0, 1, 1]
    assert st.expected_calibration_error(confidence, correct).value == pytest.approx(0.95)
    assert st.expected_calibration_error(confidence, correct, bins=1).value == pytest.approx(0)
    assert st.expected_calibration_error([0.3, 0.1], [0, 1], bins=2).value == pytest.approx(0.6 / 2)


def test_bins_are_equally_wide_with_their_lower_edge_and_the_last_one_with_both():
    rows = st.reliability_bins([0.0, 0.1, 0.49, 0.5, 0.99, 1.0], [0, 0, 1, 1, 1, 0], bins=2)
    assert [(row["n"], row["confidence"], row["accuracy"]) for row in rows] == [
        (3, pytest.approx(0.59 / 3), pytest.approx(1 / 3)),
        (3, pytest.approx(2.49 / 3), pytest.approx(2 / 3)),
    ]
    assert (rows[0]["low"], rows[0]["high"]) == (st.wilson(1, 3).low, st.wilson(1, 3).high)
    assert [row["n"] for row in st.reliability_bins([0.05, 0.1, 0.199, 0.2, 0.95], [1] * 5)] == [1, 2, 1, 1]


def test_results_depend_on_the_seed_only():
    x, y = RANDOM.normal(size=50), RANDOM.random(50) < 0.5
    assert st.auroc(x, y, seed=1) == st.auroc(x, y, seed=1) != st.auroc(x, y, seed=2)


def test_large_inputs_are_resampled_in_blocks_without_changing_the_result(monkeypatch):
    x, y = RANDOM.normal(size=100), RANDOM.random(100) < 0.5
    whole, sizes = st.auroc(x, y), []
    monkeypatch.setattr(st, "BLOCK_ELEMENTS", 7 * 100)
    for block in st._weights(np.arange(100), 100, 1000, 0):
        sizes.append(len(block))
        assert (block.sum(axis=1) == 100).all()
    assert sizes == [7] * 142 + [6]
    assert st.auroc(x, y) == whole
    monkeypatch.setattr(st, "BLOCK_ELEMENTS", 1)
    assert st.auroc(x, y) == whole


def test_35_layers_of_auroc_with_a_thousand_replicates_take_seconds():
    scores, labels = RANDOM.normal(size=(35, 400)), RANDOM.random(400) < 0.2
    start = time.perf_counter()
    for layer in scores:
        st.auroc(layer, labels, np.arange(400) // 4)
    assert time.perf_counter() - start < 10
