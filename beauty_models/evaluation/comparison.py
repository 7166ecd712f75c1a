"""The model beside its baselines on the same rows: intervals, paired margins, confusion, the verdict."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from beauty_models.evaluation import bootstrap

MIN_GROUPS = 10  # products; resampling fewer says nothing: of one, every resample is the same


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


def product_groups(frame: pd.DataFrame) -> NDArray[Any] | None:
    """Return the product of each row, to be resampled whole; None where there are too few.

    A row without product stands alone.
    """
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


def per_class(confusion: NDArray[np.int64], classes: list[str]) -> list[dict[str, Any]]:
    """Return precision, recall, F1 (0 where undefined) and the number of rows of each class."""
    hits = np.diag(confusion)
    predicted, true = confusion.sum(0), confusion.sum(1)
    figures = {
        "precision": bootstrap.ratio(hits, predicted),
        "recall": bootstrap.ratio(hits, true),
        "f1": bootstrap.ratio(2 * hits, predicted + true),
    }
    return [
        {"class": name, "n": int(true[i])}
        | {key: float(np.nan_to_num(value[i])) for key, value in figures.items()}
        for i, name in enumerate(classes)
    ]


def verdict(low: float, high: float) -> str:
    """Return in words what a margin's interval says of the model; larger is better."""
    if low > 0:
        return "better"
    return "worse" if high < 0 else "not clearly better"


def verdict_class(low: float, high: float) -> str:
    """Return the style of a margin on a page."""
    return {"better": "t-good", "worse": "t-bad"}.get(verdict(low, high), "soft")
