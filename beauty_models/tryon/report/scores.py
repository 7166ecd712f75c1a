"""What evaluate measures of a classifier of garments, in the shape of scores.json."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from beauty_models.evaluation.comparison import ClassMetrics, MethodMetrics
from beauty_models.tryon.heads import Head

HeadProbabilities = dict[str, NDArray[np.float64]]
"""Head → probabilities [test rows, labels]: what a method, the model or a baseline, predicts."""


class Scores(TypedDict):
    """Everything measured on the test split; classes are the labels of the first head."""

    n: int  # examples with a class that the model knows
    classes: list[str]
    heads: list[Head]
    grouped: bool  # whether intervals resample products, not examples
    confidence: float  # of the intervals
    baselines: list[str]
    metrics: dict[str, MethodMetrics]  # by head
    confusion: list[list[int]]  # [true, predicted]
    per_class: list[ClassMetrics]
    garments: dict[str, dict[str, float]]  # head → name → value, see `evaluate.garment_metrics`
    notes: list[str]  # sentences for the page
    serving: list[str]  # the branch or mixture of which the model's answers are
