"""What evaluate measures of a writer, in the shape of scores.json."""

from __future__ import annotations

from typing import TypedDict

from beauty_models.evaluation.comparison import MethodMetrics, Slice


class Example(TypedDict):
    """A tutorial as the model wrote it for a test article's request, unrepaired."""

    look: str
    language: str
    title: str
    products: list[str]
    steps: list[str]
    valid: bool  # complete, no step empty or repeated
    honoured: list[str]  # wishes
    unmet: list[str]
    findings: list[str]  # what the checker says
    refused: str  # why it would not be shown, or ""
    copied_run: int  # words
    copied: str
    nearest: str  # id of the training text


class Scores(TypedDict):
    """Everything measured on the test split."""

    n: int  # articles
    generated: int  # tutorials
    confidence: float  # of the intervals
    base: str
    ngram: str  # what was counted
    metrics: MethodMetrics  # "model" comes first
    slices: list[Slice]
    examples: list[Example]
