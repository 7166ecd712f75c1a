"""What evaluate measures of a translator, in the shape of scores.json."""

from __future__ import annotations

from typing import TypedDict

from beauty_models.evaluation.comparison import MethodMetrics


class DirectionScores(TypedDict):
    """One direction on the test units."""

    source: str
    target: str
    n: int  # texts
    chrf: dict[str, float]  # method → corpus chrF; "served" is what predict answers
    bleu: dict[str, float]
    low: float  # of the chrF of what predict answers
    high: float
    # the network alone or a baseline → what predict answers minus it, and the interval's ends
    margins: dict[str, list[float]]
    won: bool  # what predict answers is better than every baseline beyond the interval
    network_won: bool  # the network alone is
    served_by: str  # what predict answers with


class KindScores(TypedDict):
    """The texts of one kind, all directions."""

    kind: str
    n: int  # units
    chrf: dict[str, float]  # method → mean over the directions


class Sentence(TypedDict):
    """An answer that is far from what people wrote."""

    source: str
    target: str
    text: str
    reference: str
    translation: str
    method: str
    chrf: float
    confidence: float


class FlagScores(TypedDict):
    """How right "look at this" is about what predict answers."""

    n: int
    flagged: int
    wrong: int  # chrF below the limit
    right: int  # flagged and wrong
    below: float  # the limit


class Retrieval(TypedDict):
    """Recall@1 among all test texts of the other language."""

    source: str
    target: str
    n: int
    model: float
    characters: float


class Scores(TypedDict):
    """Everything measured on the test split."""

    n: int  # translations
    units: int
    seen: int  # units left out, of which the model was trained on a text
    confidence: float  # of the intervals
    languages: list[str]
    metrics: MethodMetrics  # "served" comes first
    directions: list[DirectionScores]
    kinds: list[KindScores]
    retrieval: list[Retrieval]
    flags: FlagScores
    worst: list[Sentence]
    signatures: dict[str, str]  # chrf, bleu of a language → sacrebleu's signature
    notes: list[str]
