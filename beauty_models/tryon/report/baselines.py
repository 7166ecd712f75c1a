"""What the model must beat: the majority, and logistic regression on features that are not its own.

Those are gradients and colours (HOG, Dalal & Triggs 2005), character n-grams of the texts, and what
the untouched backbones make of text and picture. The strength of each regression is chosen on the
validation split, then it learns from both splits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from beauty_models.backbones import text as text_backbones
from beauty_models.backbones import vision
from beauty_models.device import precision
from beauty_models.evaluation import baselines as classical
from beauty_models.evaluation.baselines import Matrix
from beauty_models.intake.shards import Pictures
from beauty_models.progress import log_line
from beauty_models.retrieval.features import color_histogram, hog
from beauty_models.training import bert
from beauty_models.tryon.heads import Head
from beauty_models.tryon.model import PARTS, FusionClassifier
from beauty_models.tryon.report.scores import HeadProbabilities
from beauty_models.tryon.towers import ROWS, Inputs, Towers

# C of the regressions on features of a network or of gradients, standardised, and of those on
# n-grams.
DENSE_STRENGTHS = (0.001, 0.01, 0.1)
SPARSE_STRENGTHS = (1.0, 10.0, 100.0)

CONDITIONAL = ("hog_logreg", "tfidf_logreg", "frozen_logreg")
"""Baselines that some data do not allow.

Photos alone have no n-grams, a network from scratch has no frozen features.
"""


def label_numbers(frame: pd.DataFrame, head: Head) -> NDArray[np.int64]:
    """Return the place of each row's label among those of ``head`` [n], −1 where it has none."""
    # In the order of the head's labels, which is that of the probabilities' columns.
    number = {name: i for i, name in enumerate(head["labels"])}
    numbers = frame[f"label.{head['name']}"].map(number).fillna(-1)
    return np.asarray(numbers, np.int64)


def majority(frames: dict[str, pd.DataFrame], heads: Sequence[Head]) -> HeadProbabilities:
    """Predict the label that most training examples have; the probabilities are their shares."""
    probabilities = {}
    for head in heads:
        labels = label_numbers(frames["train"], head)
        labels = labels[labels >= 0]
        rows = len(frames["test"])
        probabilities[head["name"]] = classical.majority(labels, len(head["labels"]), rows)
    return probabilities


def regression(
    features: dict[str, Matrix],
    frames: dict[str, pd.DataFrame],
    heads: Sequence[Head],
    strengths: Sequence[float],
) -> tuple[HeadProbabilities, str]:
    """Return what logistic regression predicts for every head, and its setting for the first.

    ``features`` are those of each split, [rows of its frame, width]; a head learns from the rows
    that have its label.
    """
    probabilities = {}
    notes = []
    # A regression per head: an example may lack one label and have another.
    for head in heads:
        inputs = {"test": features["test"]}  # every row, for each is predicted
        labels = {}
        for split in ("train", "validation"):
            numbers = label_numbers(frames[split], head)
            known = np.flatnonzero(numbers >= 0)
            inputs[split] = features[split][known]
            labels[split] = numbers[known]
        probabilities[head["name"]], note = classical.logistic_regression(
            inputs, labels, len(head["labels"]), strengths
        )
        notes.append(note)
    return probabilities, notes[0]


def hog_logreg(
    frames: dict[str, pd.DataFrame], pictures: Pictures, heads: Sequence[Head]
) -> tuple[HeadProbabilities, str]:
    """Return the predictions from gradients and colours; an example without a picture has zeros."""
    by_key: dict[str, NDArray[np.float32]] = {}
    for split in PARTS:
        for key in frames[split]["image"]:
            if key and key not in by_key:  # several examples may show one picture
                photo = pictures.image(key)
                by_key[key] = np.concatenate([hog(photo), color_histogram(photo)])
    # A split may have no picture at all; a model with an image network has learned from some.
    missing = np.zeros_like(next(iter(by_key.values())))
    features = {}
    for split in PARTS:
        features[split] = np.stack([by_key.get(key, missing) for key in frames[split]["image"]])
    return regression(classical.standardize(features), frames, heads, DENSE_STRENGTHS)


def tfidf_logreg(
    frames: dict[str, pd.DataFrame], heads: Sequence[Head]
) -> tuple[HeadProbabilities, str]:
    """Return the predictions from character 1- to 3-grams of the texts."""
    # An example without text has no n-gram: a row of zeros.
    features = classical.tfidf_features({split: frames[split]["text"].tolist() for split in PARTS})
    return regression(features, frames, heads, SPARSE_STRENGTHS)


def frozen_logreg(
    frames: dict[str, pd.DataFrame], pictures: Pictures, classifier: FusionClassifier
) -> tuple[HeadProbabilities, str]:
    """Return the predictions from what the backbones made of text and picture before training."""
    # Loaded again, as they came: the classifier's own networks have learned the task.
    cards = classifier.cards
    text = text_backbones.load(cards["text"]["base"]) if "text" in cards else None
    network = vision.load(cards["image"]["base"]) if "image" in cards else None
    towers = Towers(
        text.model.base_model if text else None,
        text.tokenizer if text else None,
        network,
        {},
        classifier.size,
        classifier.max_tokens,
    ).eval()
    features = {split: _frozen_features(towers, frames[split], pictures) for split in PARTS}
    dense = classical.standardize(features)
    return regression(dense, frames, classifier.config.heads, DENSE_STRENGTHS)


@torch.no_grad()
def _frozen_features(
    towers: Towers, frame: pd.DataFrame, pictures: Pictures
) -> NDArray[np.float32]:
    """Return the mean features of text and picture, 0 where one is missing [n, width]."""
    inputs = Inputs(towers, frame["text"].tolist(), frame["image"].tolist(), pictures)
    batches = []
    with precision("auto"):
        for start in range(0, len(frame), ROWS):
            rows = np.arange(start, min(start + ROWS, len(frame)))
            means = []
            for places in inputs.encode_batch(rows).values():
                # Without the factor a missing input would be what the network makes of nothing.
                means.append(bert.mean_pool(places.values, places.mask) * places.present[:, None])
            batches.append(torch.cat(means, -1).cpu().numpy())
    return np.concatenate(batches)


def baselines(
    frames: dict[str, pd.DataFrame], pictures: Pictures, classifier: FusionClassifier
) -> tuple[dict[str, HeadProbabilities], list[str]]:
    """Return the predictions of all baselines that the data allow, and a sentence on each."""
    heads = classifier.config.heads
    predictions = {"majority": majority(frames, heads)}
    notes = []
    if "image" in classifier.widths:
        log_line("evaluate: gradients and colours")
        predictions["hog_logreg"], note = hog_logreg(frames, pictures, heads)
        notes.append(f"HOG and colours + logistic regression: {note}.")
    if "text" in classifier.widths:
        log_line("evaluate: n-grams")
        predictions["tfidf_logreg"], note = tfidf_logreg(frames, heads)
        notes.append(f"TF-IDF of character 1- to 3-grams + logistic regression: {note}.")
    bases = [card["base"] for card in classifier.cards.values()]
    # A network that began at random has no frozen features but random ones.
    if "scratch" in bases:
        notes.append("No frozen backbone to compare with: a network was trained from scratch.")
    else:
        log_line("evaluate: frozen backbones")
        predictions["frozen_logreg"], note = frozen_logreg(frames, pictures, classifier)
        notes.append(f"{' and '.join(bases)}, untouched, + logistic regression: {note}.")
    return predictions, notes
