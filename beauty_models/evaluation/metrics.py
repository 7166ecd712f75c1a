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


def measured(values: Mapping[str, float]) -> list[str]:
    """Return the names of the metrics in ``values``, without their intervals, margins and counts."""
    return [name for name in values if "." not in name and name != "n"]


def shown(declared: Iterable[Metric], values: Mapping[str, float]) -> list[Metric]:
    """Return the metrics in ``values`` as they are declared and in that order, then undeclared ones."""
    names = measured(values)
    known = {metric.name: metric for metric in declared}
    found = [metric for name, metric in known.items() if name in names]
    return found + [Metric(name, name) for name in names if name not in known]


def written(metric: Metric, values: Mapping[str, float]) -> str:
    """Return the value of ``metric`` for people; a dash where a method has none."""
    value = values.get(metric.name)
    return "–" if value is None else format(value, metric.format)


def accuracy(rows: NDArray[Any], weights: Floats) -> Floats:
    """Score: how often the columns truth and prediction agree."""
    return np.asarray(weights @ (rows[:, 0] == rows[:, 1]) / weights.sum(1))


def macro_f1(rows: NDArray[Any], weights: Floats) -> Floats:
    """Score: the mean F1 of the classes that occur in the column truth, in each resample anew.

    A class without an example can only have an F1 of 0, however rightly the model works: one
    prediction of it would cost as much as getting a whole class wrong. What was wrongly said to be
    of it is missed by the true class all the same.
    """
    found = []
    for name in np.unique(rows[:, 0]):
        true, said = rows[:, 0] == name, rows[:, 1] == name
        examples = weights @ true
        f1 = ratio(2 * (weights @ (true & said)), examples + weights @ said)
        found.append(np.where(examples > 0, f1, np.nan))
    return np.asarray(np.nanmean(found, axis=0))


def balanced_accuracy(rows: NDArray[Any], weights: Floats) -> Floats:
    """Score: the mean recall of the classes that occur in the column truth."""
    found = []
    for name in np.unique(rows[:, 0]):
        true = rows[:, 0] == name
        found.append(ratio(weights @ (true & (rows[:, 1] == name)), weights @ true))
    return np.asarray(np.nanmean(found, axis=0))


CLASSIFICATION = (
    Metric("accuracy", "accuracy", accuracy),
    Metric("macro_f1", "macro-F1", macro_f1),
    Metric("balanced_accuracy", "balanced accuracy", balanced_accuracy),
)
"""What every classifier is measured by."""
