"""What decided: the words without which the answer is less sure, and the places of the photo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from beauty_models.device import attention
from beauty_models.intake.shards import Pictures
from beauty_models.intake.text import words
from beauty_models.tryon.model import FusionClassifier, Predictions
from beauty_models.tryon.towers import Inputs

WORDS = 60  # at most of a text, the first ones: each costs a prediction


@dataclass(frozen=True)
class Reasons:
    """Why ``label`` is likely."""

    label: str
    probability: float
    words: list[tuple[str, float]]  # with what each adds to the probability
    heat: NDArray[np.float32] | None  # [rows, columns], 0 to 1; None without a photo
    alone: dict[str, tuple[str, float]]  # what text and photo each say alone: label, probability


def _without_each(text: str, parts: list[str]) -> list[str]:
    """Return ``text`` without each of its words ``parts`` in turn."""
    shortened = []
    position = 0
    for word in parts:
        # From behind the last one: a word may stand twice, and only this one is to go.
        position = text.index(word, position)
        end = position + len(word)
        shortened.append(text[:position] + text[end:])
        position = end
    return shortened


def word_effects(
    classifier: FusionClassifier, text: str, key: str, pictures: Pictures, whole: Predictions
) -> list[tuple[str, float]]:
    """Return the words of ``text`` and how much less likely the class is without each.

    Leave one out (Li et al. 2016). The first row of ``whole`` is the prediction for the whole text.
    """
    # Marks between words decide nothing that could be shown.
    parts = [word for word in words(text) if any(map(str.isalnum, word))]
    parts = parts[:WORDS]
    if not parts:
        return []
    head = classifier.config.heads[0]["name"]
    keys = [key] * len(parts)
    shortened = classifier.predict(_without_each(text, parts), keys, pictures, "")
    answer = whole.probabilities[head][0]
    label = answer.argmax()
    effects = answer[label] - shortened.probabilities[head][:, label]
    return list(zip(parts, effects.tolist(), strict=True))


def heat_map(
    classifier: FusionClassifier, text: str, key: str, pictures: Pictures, label: int
) -> NDArray[np.float32]:
    """Return which places of the photo speak for class ``label`` [rows, columns], 0 to 1.

    Grad-CAM (Selvaraju et al. 2017, eq. 1-2) on the last feature map, whose places are those of a
    convolution's map or a transformer's patches.
    """
    classifier.eval()
    if classifier.text is not None:
        classifier.text.set_attn_implementation(attention(training=False))
    with torch.no_grad():
        inputs = Inputs(classifier, [text], [key], pictures).encode_batch(np.arange(1))
    # The features by place are an input of the fusions, so that one backward pass ends there, and
    # no hook into the image network is needed.
    values = inputs["image"].values.detach().requires_grad_(True)
    inputs["image"] = inputs["image"]._replace(values=values)
    branches = classifier.classify(classifier.features(inputs))
    logits = classifier.mix(branches, inputs)[classifier.served]
    logits[0, label].backward()
    assert values.grad is not None
    # A feature counts by its mean gradient; what speaks against the class is left out.
    weights = values.grad.mean(1, keepdim=True)
    weighted = (weights * values.detach()).sum(-1)
    heat = torch.relu(weighted)[0]
    side = round(len(heat) ** 0.5)
    scaled = heat / heat.max().clamp(min=1e-12)  # nothing speaks for the class: zeros, not NaN
    return scaled.view(side, side).cpu().numpy().astype(np.float32)


def explain(classifier: FusionClassifier, text: str, key: str, pictures: Pictures) -> Reasons:
    """Return why the model answers as it does to ``text`` and the photo ``key``.

    "" stands for what is missing.
    """
    head = classifier.config.heads[0]
    # Three rows: both, the text alone, the photo alone.
    predictions = classifier.predict([text, text, ""], [key, "", key], pictures, "")
    probabilities = predictions.probabilities[head["name"]]
    best = probabilities.argmax(1)
    answers = []
    for row, label in enumerate(best):
        answers.append((head["labels"][label], float(probabilities[row, label])))
    label, probability = answers[0]
    heat = None
    if key:
        heat = heat_map(classifier, text, key, pictures, int(best[0]))
    return Reasons(
        label=label,
        probability=probability,
        words=word_effects(classifier, text, key, pictures, predictions),
        heat=heat,
        alone={"text": answers[1], "photo": answers[2]} if text and key else {},
    )
