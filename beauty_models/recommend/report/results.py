"""What an evaluation measures, as it travels to the pages and into scores.json."""

from __future__ import annotations

from typing import TypedDict

from beauty_models.evaluation.comparison import MethodMetrics, Slice


class TaskResults(TypedDict):
    """Everything measured in one task."""

    name: str
    kind: str
    queries: int
    gallery: int
    relevant: float  # things that are right, mean over the queries
    grouped: bool  # whether whole products are resampled
    metrics: MethodMetrics
    slices: list[Slice]
    curves: dict[str, list[float]]  # method → share of queries with something right in the first k
    ranks: list[int]  # of the model, of the first right thing for each query


class Results(TypedDict):
    """Everything measured on the test split; the content of scores.json."""

    n: int  # items of the test split
    products: int
    captions: int
    confidence: float
    catalogue: int  # products of all parts
    notes: list[str]
    tasks: list[TaskResults]
