"""What this family measures and compares with, as data."""

from __future__ import annotations

from beauty_models.evaluation.metrics import Metric

METRICS = (
    Metric("bits_per_byte", "bits per byte", larger_is_better=False),
    Metric("valid_share", "valid tutorials"),
    Metric("honoured_share", "wishes honoured"),
    Metric("accepted_share", "passed the checker"),
    Metric("distinct_1", "distinct words"),
    Metric("distinct_2", "distinct word pairs"),
    Metric("self_bleu", "self-BLEU", larger_is_better=False),
    Metric("copied_run", "longest copied run, words", format=".0f", larger_is_better=False),
)
CAPTIONS = {
    "ngram": "word-piece counts (Witten–Bell)",
    "unigram": "frequencies alone",
    "untuned": "the base, untrained on these articles",
    "nearest": "the nearest training how-to, as it stands",
    "model": "this model",
}
"""Method → what people call it."""
