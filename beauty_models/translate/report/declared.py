"""What this family measures and compares with, as data."""

from __future__ import annotations

from beauty_models.evaluation.metrics import Metric

METRICS = (
    Metric("chrf", "chrF", format=".1f"),
    Metric("bleu", "BLEU", format=".1f"),
    Metric("exact_short", "short texts exactly as people wrote them"),
    Metric("kept_numbers", "numbers, prices, sizes kept"),
    Metric("kept_brands", "brands and glossary terms kept"),
    Metric("kept_placeholders", "placeholders, tags, addresses kept"),
    Metric("retrieval_recall_at_1", "twin listing found first"),
    Metric("kind_accuracy", "kind told by the nearest text of another language"),
)
CAPTIONS = {
    "served": "what predict answers",
    "model": "the network",
    "network": "the network alone",
    "copy": "the source as it stands",
    "dictionary": "words and parts looked up",
    "memory": "the nearest known text's translation",
    "likeliest": "of each text the best guess: network, memory or words",
    "characters": "shared character n-grams",
    "majority": "always the commonest kind",
    "reference": "people",
}
"""Method → what people call it."""
