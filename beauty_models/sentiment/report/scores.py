"""What evaluate measures of a classifier of texts, in the shape of scores.json."""

from __future__ import annotations

from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from beauty_models.evaluation.comparison import ClassMetrics, MethodMetrics, Slice


class MethodPredictions(NamedTuple):
    """What a method, the model or a baseline, predicts for n texts."""

    probabilities: NDArray[np.float64]  # [n, classes]
    mentions: NDArray[np.bool_]  # [n, aspects, 3]: mentioned as negative, neutral, positive


class CalibrationBin(TypedDict):
    """Predictions of like confidence."""

    n: int
    confidence: float  # the mean
    accuracy: float


class AspectMetrics(TypedDict):
    """How well one aspect is found in the annotated texts."""

    aspect: str
    n: int  # texts that mention it
    mention_f1: float
    polarity_f1: float


class Scores(TypedDict):
    """Everything measured on the test split."""

    n: int  # texts
    annotated: int  # of them with annotated aspects
    classes: list[str]
    grouped: bool  # whether intervals resample products, not texts
    confidence: float  # of the intervals
    metrics: MethodMetrics  # "model" comes first
    confusion: list[list[int]]  # [true, predicted]
    per_class: list[ClassMetrics]
    calibration: list[CalibrationBin]
    slices: list[Slice]
    per_aspect: list[AspectMetrics]
    notes: list[str]  # sentences for the page
