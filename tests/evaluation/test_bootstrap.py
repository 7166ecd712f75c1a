"""Intervals against scikit-learn, SciPy and plain resampling."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics

from beauty_models.evaluation import bootstrap
from beauty_models.evaluation import metrics as measures

SETTINGS = {"resamples": 1000, "confidence": 0.95, "seed": 1}


def labels(n: int, right: float, seed: int = 0, classes: int = 3) -> np.ndarray:
    """Return truth and prediction [n, 2]."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, n)
    is_right = random.random(n) < right
    predicted = np.where(is_right, truth, random.integers(0, classes, n))
    return np.stack([truth, predicted], 1)


def macro_f1_of_scikit_learn(truth, predicted, sample_weight):
    return metrics.f1_score(truth, predicted, average="macro", sample_weight=sample_weight)


@pytest.mark.parametrize(
    "score, theirs",
    [
        (measures.accuracy, metrics.accuracy_score),
        (measures.macro_f1, macro_f1_of_scikit_learn),
        (measures.balanced_accuracy, metrics.balanced_accuracy_score),
    ],
)
def test_scores_are_scikit_learns(score, theirs):
    rows = labels(200, 0.7)
    weights = np.random.default_rng(3).integers(1, 4, (5, 200)).astype(float)
    expected = [theirs(rows[:, 0], rows[:, 1], sample_weight=w) for w in weights]
    assert score(rows, weights) == pytest.approx(expected)


def test_macro_f1_counts_the_classes_that_have_an_example():
    assert bootstrap.point_estimate(measures.macro_f1, np.array([[1, 1], [1, 1]])) == 1
    one_wrong = np.array([[1, 1], [1, 0], [2, 2]])
    assert bootstrap.point_estimate(measures.macro_f1, one_wrong) == pytest.approx((2 / 3 + 1) / 2)
    theirs = metrics.f1_score(*one_wrong.T, average="macro", labels=[1, 2])
    assert bootstrap.point_estimate(measures.macro_f1, one_wrong) == pytest.approx(theirs)


def test_macro_f1_leaves_out_a_class_that_a_resample_lacks():
    rows = np.array([[0, 0], [0, 1], [1, 1]])
    weights = np.array([[1.0, 1, 1], [2, 1, 0], [0, 0, 3]])  # the second has no example of class 1
    expected = [(2 / 3 + 2 / 3) / 2, 4 / 5, 1.0]
    assert measures.macro_f1(rows, weights) == pytest.approx(expected)


def test_interval_of_a_mean_is_that_of_theory():
    rows = np.random.default_rng(0).normal(5, 2, (900, 1))
    low, high = bootstrap.bootstrap(rows, bootstrap.mean, **SETTINGS)
    half = 1.96 * rows.std() / 30
    assert (low, high) == pytest.approx((rows.mean() - half, rows.mean() + half), abs=0.02)


def test_interval_is_that_of_plain_resampling():
    rows = labels(300, 0.6, classes=4)
    random = np.random.default_rng(9)
    # Of four classes with 75 rows each, none is ever absent.
    resamples = [rows[random.integers(0, 300, 300)] for _ in range(1000)]
    plain = [metrics.f1_score(*resample.T, average="macro") for resample in resamples]
    expected = np.quantile(plain, [0.025, 0.975])
    interval = bootstrap.bootstrap(rows, measures.macro_f1, **SETTINGS)
    assert interval == pytest.approx(expected, abs=0.01)


def test_groups_of_like_rows_widen_the_interval():
    few = labels(100, 0.7)
    many = np.repeat(few, 9, 0)
    groups = np.repeat(np.arange(100), 9)
    alone = bootstrap.bootstrap(few, measures.accuracy, **SETTINGS)
    repeated = bootstrap.bootstrap(many, measures.accuracy, groups=groups, **SETTINGS)
    naive = bootstrap.bootstrap(many, measures.accuracy, **SETTINGS)
    # Nine times the rows make an interval a third as wide, and say nothing new.
    assert repeated == pytest.approx(alone, abs=0.02)
    assert naive.high - naive.low == pytest.approx((alone.high - alone.low) / 3, rel=0.15)


def test_difference_is_paired():
    rows = labels(500, 0.7)
    difference = bootstrap.difference(measures.accuracy, [0, 1], [0, 2])
    assert bootstrap.bootstrap(rows[:, [0, 1, 1]], difference, **SETTINGS) == (0, 0)
    worse = rows[:, [0, 1, 1]].copy()
    worse[:25, 2] = (worse[:25, 0] + 1) % 3
    low, high = bootstrap.bootstrap(worse, difference, **SETTINGS)
    assert 0 < low < bootstrap.point_estimate(difference, worse) < high < 0.08


def test_seed_and_memory_blocks(monkeypatch):
    rows = labels(200, 0.7)
    whole = bootstrap.bootstrap(rows, measures.accuracy, **SETTINGS)
    assert whole != bootstrap.bootstrap(rows, measures.accuracy, **SETTINGS | {"seed": 2})
    monkeypatch.setattr(bootstrap, "AT_ONCE", 50)
    assert bootstrap.bootstrap(rows, measures.accuracy, **SETTINGS) == whole


def test_a_thousand_resamples_of_ten_thousand_rows_are_quick():
    rows = labels(10_000, 0.9)
    groups = np.arange(10_000) // 2
    started = time.perf_counter()
    bootstrap.bootstrap(rows, measures.macro_f1, groups=groups, **SETTINGS)
    assert time.perf_counter() - started < 5


def test_wilson_is_scipys():
    hits = np.array([0.0, 3, 10, 10])
    n = np.array([7.0, 10, 10, 400])
    low, high = bootstrap.wilson(hits, n, 0.9)
    for i in range(len(hits)):
        test = binomtest(int(hits[i]), int(n[i]))
        expected = test.proportion_ci(0.9, method="wilson")
        assert (low[i], high[i]) == pytest.approx((expected.low, expected.high), abs=1e-12)
    low, high = bootstrap.wilson(np.zeros(1), np.zeros(1), 0.9)
    assert (low[0], high[0]) == (0, 1), "nothing was tried"
