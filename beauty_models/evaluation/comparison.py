"""The model beside its baselines on the same rows: intervals, paired margins, the verdict."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Protocol, TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from beauty_models.evaluation import bootstrap
from beauty_models.evaluation.metrics import Metric

MIN_GROUPS = 10  # products; resampling fewer says nothing: of one, every resample is the same
SMALL_SLICE = 50  # fewer examples than this in a slice prove little


class Sampling(Protocol):
    """How intervals are drawn; the block ``evaluate`` of a family's params."""

    @property
    def bootstrap(self) -> int:
        """Resamples."""

    @property
    def confidence(self) -> float:
        """Of the intervals, 0 to 1."""

    @property
    def seed(self) -> int:
        """Of the resampling: the same for all metrics and methods."""


class Slice(TypedDict):
    """A part of the test split, with the interval of the metric that a page draws."""

    by: str  # what the split is cut by
    value: str
    n: int  # examples
    metrics: dict[str, float]
    low: float
    high: float
    small: bool  # fewer than `SMALL_SLICE`


ClassMetrics = TypedDict(
    "ClassMetrics",  # written as a call, for "class" is no name in Python
    {"class": str, "n": int, "precision": float, "recall": float, "f1": float},
)


MethodMetrics = dict[str, dict[str, float]]
"""Method, the model or a baseline → name → value, with intervals and margins under longer names."""


def product_groups(frame: pd.DataFrame) -> NDArray[Any] | None:
    """Return the product of each row, to be resampled whole; None where there are too few.

    A row without product stands alone.
    """
    # \0 is in no product's name, so that a row of its own never joins a product.
    alone = pd.Series([f"\0{i}" for i in range(len(frame))], index=frame.index)
    groups = frame["product"].where(frame["product"].notna(), alone)
    if not frame["product"].notna().any() or groups.nunique() < MIN_GROUPS:
        return None
    return groups.to_numpy(dtype=str)


def interval(
    rows: NDArray[Any], score: bootstrap.Score, groups: NDArray[Any] | None, sampling: Sampling
) -> bootstrap.Interval:
    """Return the bootstrap interval of ``score`` over ``rows`` [n, columns]."""
    return bootstrap.bootstrap(
        rows,
        score,
        groups=groups,
        resamples=sampling.bootstrap,
        confidence=sampling.confidence,
        seed=sampling.seed,
    )


def with_interval(
    name: str,
    rows: NDArray[Any],
    score: bootstrap.Score,
    groups: NDArray[Any] | None,
    sampling: Sampling,
) -> dict[str, float]:
    """Return ``name``, ``name.low`` and ``name.high`` of one method."""
    low, high = interval(rows, score, groups, sampling)
    value = bootstrap.point_estimate(score, rows)
    return {name: value, f"{name}.low": low, f"{name}.high": high}


def margin(
    name: str,
    ours: NDArray[Any],
    theirs: NDArray[Any],
    score: bootstrap.Score,
    groups: NDArray[Any] | None,
    sampling: Sampling,
) -> dict[str, float]:
    """Return ``name.margin`` and its ends: ours minus theirs, by a paired bootstrap of the rows."""
    # Paired: each resample draws the same rows for both, so that what is hard for both
    # cancels out: the interval is usually narrower than the methods' own.
    width = ours.shape[1]
    both = np.concatenate([ours, theirs], 1)
    difference = bootstrap.difference(score, list(range(width)), list(range(width, 2 * width)))
    low, high = interval(both, difference, groups, sampling)
    value = bootstrap.point_estimate(difference, both)
    return {f"{name}.margin": value, f"{name}.margin_low": low, f"{name}.margin_high": high}


def confusion_matrix(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """Return how often each class was predicted for each true class [true, predicted]."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (truth, predicted), 1)
    return counts


def per_class(confusion: NDArray[np.int64], classes: list[str]) -> list[ClassMetrics]:
    """Return precision, recall, F1 (0 where undefined) and the number of rows of each class."""
    hits = np.diag(confusion)
    predicted = confusion.sum(0)
    true = confusion.sum(1)
    precision = np.nan_to_num(bootstrap.ratio(hits, predicted))
    recall = np.nan_to_num(bootstrap.ratio(hits, true))
    f1 = np.nan_to_num(bootstrap.ratio(2 * hits, predicted + true))
    return [
        {
            "class": name,
            "n": int(true[i]),
            "precision": float(precision[i]),
            "recall": float(recall[i]),
            "f1": float(f1[i]),
        }
        for i, name in enumerate(classes)
    ]


def make_slice(
    by: str, value: object, n: int, metrics: dict[str, float], ends: bootstrap.Interval
) -> Slice:
    """Return the `Slice` of ``n`` examples; ``ends`` are those of the metric that is drawn."""
    return {
        "by": by,
        "value": str(value),
        "n": n,
        "metrics": metrics,
        "low": ends.low,
        "high": ends.high,
        "small": n < SMALL_SLICE,
    }


def best_baseline(metric: Metric, metrics: MethodMetrics, baselines: Iterable[str]) -> str:
    """Return which of ``baselines`` is best by ``metric``."""
    sign = 1 if metric.larger_is_better else -1
    return max(baselines, key=lambda method: sign * metrics[method][metric.name])


Verdict = Literal["better", "worse", "not clearly better"]


def verdict(low: float, high: float, larger_is_better: bool) -> Verdict:
    """Return what the interval of a margin, model minus baseline, says of the model."""
    if not larger_is_better:
        low, high = -high, -low
    if low > 0:
        return "better"
    if high < 0:
        return "worse"
    return "not clearly better"


def verdict_class(low: float, high: float, larger_is_better: bool) -> str:
    """Return the style class of a margin on a page."""
    styles = {"better": "t-good", "worse": "t-bad", "not clearly better": "soft"}
    return styles[verdict(low, high, larger_is_better)]
