"""What this family measures and compares with, as data.

A new metric, or the words for a new baseline, go here and nowhere else.
"""

from __future__ import annotations

from beauty_models.evaluation.metrics import CLASSIFICATION, Metric

METRICS = (
    *CLASSIFICATION,
    Metric("ece", "calibration error", larger_is_better=False),
    Metric("log_loss", "log loss", larger_is_better=False),
    Metric("aspect_mention_micro_f1", "aspect mentioned, micro-F1"),
    Metric("aspect_mention_macro_f1", "aspect mentioned, macro-F1"),
    Metric("aspect_polarity_micro_f1", "aspect and polarity, micro-F1"),
    Metric("aspect_polarity_macro_f1", "aspect and polarity, macro-F1"),
)
CAPTIONS = {
    "majority": "majority class",
    "tfidf_logreg": "TF-IDF + logistic regression",
    "model": "this model",
}
"""Method → what people call it; one without a line here is shown under its name."""
