"""What a saved model says of new reviews: one text, several, or a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from beauty_models.sentiment.model import Classifier, Predictions, load
from beauty_models.sentiment.serving import parser

MENTIONED = 0.5  # an aspect is reported when it is this likely to be mentioned at all


def describe(
    classifier: Classifier, texts: Sequence[str], predictions: Predictions
) -> list[dict[str, Any]]:
    """Return, for each text, its class, the probabilities of all classes, and its aspects.

    The aspects are those that it speaks of, with their polarity.
    """
    rows = []
    for text, probabilities, aspects in zip(
        texts, predictions.probabilities, predictions.aspects, strict=True
    ):
        mentioned = {}
        for name, states in zip(classifier.aspects, aspects, strict=True):
            # state 0 is "not mentioned", the others are the polarities
            probability = 1 - states[0]
            if probability >= MENTIONED:
                mentioned[name] = {
                    "polarity": classifier.polarities[int(states[1:].argmax())],
                    "probability": round(float(probability), 4),
                }
        row = {
            "text": text,
            "class": classifier.classes[int(probabilities.argmax())],
            "probabilities": {
                name: round(float(probability), 4)
                for name, probability in zip(classifier.classes, probabilities, strict=True)
            },
            "aspects": mentioned,
        }
        rows.append(row)
    return rows


def predict(*, model: Path, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row per review: ``--text T`` (may be repeated).

    Whole files: `beauty_models.serving.batch`.
    """
    options = parser().parse_args(arguments)
    classifier = load(model)
    # float32: the same figures on every processor, and in transformers alone
    predictions = classifier.predict(options.text, "", "float32")
    return describe(classifier, options.text, predictions)
