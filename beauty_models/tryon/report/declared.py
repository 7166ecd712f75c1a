"""What this family measures and compares with, as data.

A new metric, or the words for a new baseline, go here and nowhere else.
"""

from __future__ import annotations

from beauty_models.evaluation.metrics import CLASSIFICATION

METRICS = CLASSIFICATION
CAPTIONS = {
    "model": "this model",
    "majority": "majority class",
    "hog_logreg": "HOG and colours + logistic regression",
    "tfidf_logreg": "TF-IDF + logistic regression",
    "frozen_logreg": "untouched backbones + logistic regression",
    "text_only": "text alone",
    "image_only": "photo alone",
    "late_average": "late average: mean of both alone",
    "concat": "fusion: concatenation",
    "gated": "fusion: gated average",
    "cross": "fusion: cross-attention",
    "ensemble": "ensemble: mean of the three fusions",
    "blend": "blend: mean of ensemble and late average",
    "without_text": "this model, texts taken away",
    "without_image": "this model, photos taken away",
}
"""Method → what people call it, in the order of the page; others follow under their own names."""
