"""What this family measures and compares with, as data.

A new metric or the words for a baseline go here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from beauty_models.evaluation.metrics import Metric

# in the order of a table's columns
METRICS = (
    Metric("recall_at_1", "recall@1"),
    Metric("recall_at_5", "recall@5"),
    Metric("recall_at_10", "recall@10"),
    Metric("mrr_at_10", "MRR@10"),
    Metric("ndcg_at_10", "nDCG@10"),
)


class Baseline(NamedTuple):
    """How pages speak of a baseline."""

    caption: str
    description: str


# from the strongest idea to the weakest, as pages list them
BASELINES = {
    "untuned": Baseline(
        "untuned base",
        "The base as it came, before any training. Two towers that never met answer between text "
        "and photo by chance.",
    ),
    "ridge": Baseline(
        "ridge on frozen features",
        "Features of the untuned base's image tower; ridge regression between them and the texts' "
        "TF-IDF, both ways, fitted to the training captions. Photo with photo: the features "
        "compared directly.",
    ),
    "tfidf": Baseline(
        "TF-IDF neighbours",
        "Between text and photo: the training captions nearest to the text and the mean of their "
        "photos' frozen features, and back. A test item's own other captions are not used, that "
        "would be looking the answer up. Searches and lists: text with text.",
    ),
    "hog": Baseline(
        "HOG",
        "Histograms of oriented gradients (Dalal & Triggs 2005), compared directly, or through "
        "ridge regression with texts.",
    ),
    "colour_histogram": Baseline(
        "colour histogram",
        "Colours of the middle of the photo, compared directly, or through ridge regression with "
        "texts.",
    ),
    "popularity": Baseline(
        "popularity", "The products that most other shoppers have, the same for everyone."
    ),
    "random": Baseline("random", "A random order."),
}
"""Baseline → what people call it and what it does; one without a line here has its name."""


def caption(method: str) -> str:
    """Return what people call a method."""
    if method == "model":
        return "this model"
    return BASELINES[method].caption if method in BASELINES else method


def baselines(measured: Iterable[str]) -> list[Baseline]:
    """Return the declared baselines, then those ``measured`` that are not declared."""
    methods = dict.fromkeys(measured)
    others = [method for method in methods if method not in (*BASELINES, "model")]
    return [*BASELINES.values(), *(Baseline(method, "") for method in others)]
