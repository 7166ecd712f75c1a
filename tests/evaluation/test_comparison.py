"""What a comparison says and shows: the verdict in both directions, classes, slices, tables."""

from __future__ import annotations

import numpy as np
import pytest

from beauty_models.evaluation.bootstrap import Interval
from beauty_models.evaluation.comparison import (
    best_baseline,
    confusion_matrix,
    make_slice,
    per_class,
    verdict,
    verdict_class,
)
from beauty_models.evaluation.metrics import Metric
from beauty_models.evaluation.sections import (
    class_table,
    confusion_table,
    margin_text,
    slice_row,
    verdict_card,
)

F1 = Metric("macro_f1", "macro-F1")
LOSS = Metric("loss", "log loss", larger_is_better=False)
METRICS = {
    "model": {"macro_f1": 0.8, "loss": 0.3},
    "majority": {
        "macro_f1": 0.4,
        "macro_f1.margin": 0.4,
        "macro_f1.margin_low": 0.3,
        "macro_f1.margin_high": 0.5,
        "loss": 0.9,
        "loss.margin": -0.6,
        "loss.margin_low": -0.7,
        "loss.margin_high": -0.5,
    },
    "tfidf_logreg": {
        "macro_f1": 0.9,
        "macro_f1.margin": -0.1,
        "macro_f1.margin_low": -0.2,
        "macro_f1.margin_high": -0.05,
        "loss": 0.2,
        "loss.margin": 0.1,
        "loss.margin_low": 0.05,
        "loss.margin_high": 0.2,
    },
}


@pytest.mark.parametrize(
    "low, high, larger, smaller",
    [
        (0.1, 0.2, "better", "worse"),
        (-0.2, -0.1, "worse", "better"),
        (-0.1, 0.1, "not clearly better", "not clearly better"),
        (0.0, 0.1, "not clearly better", "not clearly better"),
        (-0.1, 0.0, "not clearly better", "not clearly better"),
    ],
)
def test_the_verdict_follows_the_direction_of_the_metric(low, high, larger, smaller):
    assert verdict(low, high, larger_is_better=True) == larger
    assert verdict(low, high, larger_is_better=False) == smaller
    styles = {"better": "t-good", "worse": "t-bad", "not clearly better": "soft"}
    assert verdict_class(low, high, larger_is_better=True) == styles[larger]
    assert verdict_class(low, high, larger_is_better=False) == styles[smaller]


def test_the_best_baseline_and_its_card_follow_the_direction_of_the_metric():
    assert best_baseline(F1, METRICS, ["majority", "tfidf_logreg"]) == "tfidf_logreg"
    assert best_baseline(LOSS, METRICS, ["majority", "tfidf_logreg"]) == "tfidf_logreg"
    captions = {"tfidf_logreg": "TF-IDF"}
    for metric, ends in ((F1, "-0.200 to -0.050"), (LOSS, "+0.050 to +0.200")):
        card = verdict_card(metric, METRICS, ["majority", "tfidf_logreg"], captions)
        assert "<b>worse</b>" in card
        assert f"than TF-IDF, the best baseline: {metric.caption} {ends}" in card


def test_a_margin_is_green_where_the_model_is_better():
    assert 'class="t-good"' in margin_text(F1, METRICS["majority"])
    assert 'class="t-good"' in margin_text(LOSS, METRICS["majority"])
    assert 'class="t-bad"' in margin_text(LOSS, METRICS["tfidf_logreg"])
    assert margin_text(LOSS, METRICS["model"]) == ""


def test_classes_by_hand_and_dashes_where_there_is_no_example():
    confusion = confusion_matrix(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 2]), 3)
    assert confusion.tolist() == [[2, 1, 0], [0, 0, 1], [0, 0, 0]]
    cream, rouge, balm = per_class(confusion, ["cream", "rouge", "balm"])
    assert (cream["n"], cream["precision"], cream["recall"]) == (3, 1.0, pytest.approx(2 / 3))
    assert cream["f1"] == pytest.approx(0.8)
    assert (rouge["n"], rouge["f1"], balm["n"]) == (1, 0, 0)
    table = class_table([cream, balm], "texts")
    assert "0.667" in table and table.count("–") == 3


def test_a_confusion_table_has_shares_where_there_is_room():
    counts = np.array([[3, 1], [0, 0]])
    wide = confusion_table(counts, ["<cream>", "rouge"], with_shares=True)
    assert "75.0%" in wide and "25.0%" in wide and "&lt;cream&gt;" in wide
    narrow = confusion_table(counts, ["cream", "rouge"], with_shares=False)
    assert ">3</td>" in narrow and ">0</td>" not in narrow


def test_a_slice_of_few_examples_says_so():
    ends = Interval(0.5, 0.9)
    few = make_slice("language", "zh", 49, {"macro_f1": 0.7}, ends)
    many = make_slice("language", "en", 50, {"macro_f1": 0.7}, ends)
    by, name, n, value, chart, interval = slice_row(few, (F1,), F1, "texts")
    assert (by, n, value, interval) == ("language", "49", "0.700", "0.500–0.900")
    assert "few texts" in str(name) and "faint" in str(chart)
    assert "few texts" not in str(slice_row(many, (F1,), F1, "texts"))
