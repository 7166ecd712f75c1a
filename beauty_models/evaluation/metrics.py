"""What is measured: metrics as data, with the name, the caption and the format that pages show.

A family declares its metrics as a tuple of `Metric`; evaluate measures and the page shows what the
tuple holds. What a page meets without a declaration it shows under its own name: nothing measured
is left out, and nothing undeclared stops a report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beauty_models.evaluation.bootstrap import Floats, Score, ratio


class Metric(NamedTuple):
    """One metric of a family."""

    name: str  # its key in evaluate.json
    caption: str  # what people call it
    score: Score | None = None  # of rows (truth, prediction); None where the family computes it
    format: str = ".3f"
    # False of a loss or an error. A contract test holds it against the gate's own
    # `larger_is_better`: evaluate must not read the gate, or an edit of it would make the report
    # stale.
    larger_is_better: bool = True


def metric_named(name: str, declared: Iterable[Metric]) -> Metric:
    """Return the declared metric called ``name``."""
    return next(metric for metric in declared if metric.name == name)


def measured_names(values: Mapping[str, float]) -> list[str]:
    """Return the metrics in ``values`` by name, without intervals, margins and counts."""
    return [name for name in values if "." not in name and name != "n"]


def displayed_metrics(declared: Iterable[Metric], values: Mapping[str, float]) -> list[Metric]:
    """Return the metrics in ``values``: declared ones in that order, then the others."""
    names = measured_names(values)
    by_name = {metric.name: metric for metric in declared}
    known = [metric for name, metric in by_name.items() if name in names]
    # An undeclared metric is shown under its own name: better than left out or a KeyError.
    unknown = [Metric(name, name) for name in names if name not in by_name]
    return known + unknown


def format_value(metric: Metric, values: Mapping[str, float]) -> str:
    """Return the value of ``metric`` for people; a dash where a method has none."""
    value = values.get(metric.name)
    return "–" if value is None else format(value, metric.format)


def accuracy(rows: NDArray[Any], weights: Floats) -> Floats:
    """Score: how often the columns truth and prediction agree."""
    return np.asarray(weights @ (rows[:, 0] == rows[:, 1]) / weights.sum(1))


def macro_f1(rows: NDArray[Any], weights: Floats) -> Floats:
    """Score: the mean F1 of the classes that occur in the column truth, in each resample anew."""
    per_class = []
    # Only the classes of the truth: one without an example can only have an F1 of 0, however
    # rightly the model works, and a single prediction of it would cost as much as getting a whole
    # class wrong. What was wrongly predicted as such a class is missed by the true class all the
    # same. scikit-learn's f1_score averages over the classes of the predictions, too.
    for label in np.unique(rows[:, 0]):
        true = rows[:, 0] == label
        predicted = rows[:, 1] == label
        examples = weights @ true
        hits = weights @ (true & predicted)
        f1 = ratio(2 * hits, examples + weights @ predicted)
        per_class.append(np.where(examples > 0, f1, np.nan))
    return np.asarray(np.nanmean(per_class, axis=0))


def balanced_accuracy(rows: NDArray[Any], weights: Floats) -> Floats:
    """Score: the mean recall of the classes that occur in the column truth."""
    recalls = []
    for label in np.unique(rows[:, 0]):
        true = rows[:, 0] == label
        hits = weights @ (true & (rows[:, 1] == label))
        recalls.append(ratio(hits, weights @ true))
    return np.asarray(np.nanmean(recalls, axis=0))


CLASSIFICATION = (
    Metric("accuracy", "accuracy", accuracy),
    Metric("macro_f1", "macro-F1", macro_f1),
    Metric("balanced_accuracy", "balanced accuracy", balanced_accuracy),
)
"""What every classifier is measured by."""
