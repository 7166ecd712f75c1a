"""What the model must beat: the majority, and logistic regression on features that did not learn this task.

Those are gradients and colours (HOG, Dalal & Triggs 2005), character n-grams of the texts, and what the untouched backbones make
of text and picture. The strength of each regression is chosen on the validation split, then it learns from both splits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from sklearn.preprocessing import StandardScaler

from beauty_models.backbones import text as text_backbones
from beauty_models.backbones import vision
from beauty_models.device import precision
from beauty_models.evaluation.baselines import (
    Matrix,
    Setting,
    logistic_regression,
    tfidf_vectorizer,
)
from beauty_models.intake.shards import Pictures
from beauty_models.progress import log_line
from beauty_models.retrieval.features import colour_histogram, hog
from beauty_models.training import bert
from beauty_models.tryon.model import PARTS, Stylist
from beauty_models.tryon.towers import ROWS, Inputs, Towers

DENSE = (
    0.001,
    0.01,
    0.1,
)  # C of the regressions on features of a network or of gradients, standardised
SPARSE = (1.0, 10.0, 100.0)  # C of those on n-grams
Guess = dict[str, NDArray[np.float64]]
"""Head → probabilities [test rows, labels]."""

CONDITIONAL = ("hog_logreg", "tfidf_logreg", "frozen_logreg")
"""Baselines that some data do not allow: photos alone have no n-grams, a network from scratch has no frozen features."""


def majority(frames: dict[str, pd.DataFrame], heads: Sequence[dict[str, Any]]) -> Guess:
    """Guess the label that most training examples have; the probabilities are their shares."""
    found = {}
    for head in heads:
        shares = np.array(
            [
                (frames["train"][f"label.{head['name']}"] == one).sum() + 1.0
                for one in head["labels"]
            ]
        )
        found[head["name"]] = np.tile(shares / shares.sum(), (len(frames["test"]), 1))
    return found


def regression(
    parts: dict[str, Matrix],
    frames: dict[str, pd.DataFrame],
    heads: Sequence[dict[str, Any]],
    strengths: Sequence[float],
    join: Callable[[list[Matrix]], Matrix],
) -> tuple[Guess, str]:
    """Return the guess of logistic regression for every head, and in words what was chosen for the first.

    ``parts`` has the features of each split, ``join`` puts two splits one below the other.
    """
    found, notes = {}, []
    for head in heads:
        place = {name: i for i, name in enumerate(head["labels"])}
        y = {
            name: frames[name][f"label.{head['name']}"].map(place).fillna(-1).to_numpy(np.int64)
            for name in PARTS[:2]
        }
        x = {name: parts[name][np.flatnonzero(y[name] >= 0)] for name in y}
        y = {name: labels[labels >= 0] for name, labels in y.items()}
        grid: list[Setting] = [(c, weight) for c in strengths for weight in (None, "balanced")]
        x["test"] = parts["test"]
        found[head["name"]], note = logistic_regression(
            x, y, len(place), grid, grid[len(grid) // 2], join
        )
        notes.append(note)
    return found, notes[0]


def _dense(rows: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Return standardised features, of as many dimensions as there are rows to learn from at most.

    The weights of a regression with an L2 penalty lie in the span of the rows that it learns from, so a rotation into that
    span changes no answer, and the fit takes half the time.
    """
    scaler = StandardScaler().fit(rows["train"])
    scaled = {name: scaler.transform(values) for name, values in rows.items()}
    learned = np.concatenate([scaled["train"], scaled["validation"]])
    if learned.shape[1] > len(learned):
        axes = np.linalg.qr(learned.T)[0]
        scaled = {name: values @ axes for name, values in scaled.items()}
    return {name: np.asarray(values, np.float32) for name, values in scaled.items()}


def hog_logreg(
    frames: dict[str, pd.DataFrame], pictures: Pictures, heads: Sequence[dict[str, Any]]
) -> tuple[Guess, str]:
    """Return the guess from gradients and colours of the pictures; an example without one has zeros."""

    def features(keys: pd.Series[Any]) -> NDArray[np.float32]:
        shown = {key: pictures.image(key) for key in keys if key}
        made = {
            key: np.concatenate([hog(image), colour_histogram(image)])
            for key, image in shown.items()
        }
        width = len(next(iter(made.values())))
        return np.stack([made.get(key, np.zeros(width, np.float32)) for key in keys])

    return regression(
        _dense({name: features(frames[name]["image"]) for name in PARTS}),
        frames,
        heads,
        DENSE,
        np.concatenate,
    )


def tfidf_logreg(
    frames: dict[str, pd.DataFrame], heads: Sequence[dict[str, Any]]
) -> tuple[Guess, str]:
    """Return the guess from character 1- to 3-grams of the texts (Wang & Manning 2012)."""
    vectorizer = tfidf_vectorizer()
    vectorizer.fit(pd.concat([frames["train"]["text"], frames["validation"]["text"]]))
    parts = {name: csr_matrix(vectorizer.transform(frames[name]["text"])) for name in PARTS}
    return regression(parts, frames, heads, SPARSE, vstack)


def frozen_logreg(
    frames: dict[str, pd.DataFrame], pictures: Pictures, stylist: Stylist
) -> tuple[Guess, str]:
    """Return the guess from what the backbones made of text and picture before any training here, side by side."""
    cards = stylist.cards
    text = text_backbones.load(cards["text"]["base"]) if "text" in cards else None
    eye = vision.load(cards["image"]["base"]) if "image" in cards else None
    towers = Towers(
        text.model.base_model if text else None,
        text.tokenizer if text else None,
        eye,
        {},
        stylist.size,
        stylist.max_tokens,
    ).eval()
    rows = {name: _frozen(towers, frames[name], pictures) for name in PARTS}
    return regression(_dense(rows), frames, stylist.shape.heads, DENSE, np.concatenate)


@torch.no_grad()
def _frozen(towers: Towers, frame: pd.DataFrame, pictures: Pictures) -> NDArray[np.float32]:
    inputs = Inputs(towers, frame["text"].tolist(), frame["image"].tolist(), pictures)
    found = []
    with precision("auto"):
        for start in range(0, len(frame), ROWS):
            places = inputs.take(np.arange(start, min(start + ROWS, len(frame)))).values()
            found.append(
                torch.cat(
                    [bert.mean(one.values, one.mask) * one.there[:, None] for one in places], -1
                )
                .cpu()
                .numpy()
            )
    return np.concatenate(found)


def baselines(
    frames: dict[str, pd.DataFrame], pictures: Pictures, stylist: Stylist
) -> tuple[dict[str, Guess], list[str]]:
    """Return the guesses of all baselines that the data allow, and a sentence on each."""
    heads, found, notes = (
        stylist.shape.heads,
        {"majority": majority(frames, stylist.shape.heads)},
        [],
    )
    if "image" in stylist.widths:
        log_line("evaluate: gradients and colours")
        found["hog_logreg"], note = hog_logreg(frames, pictures, heads)
        notes.append(f"HOG and colours + logistic regression: {note}.")
    if "text" in stylist.widths:
        log_line("evaluate: n-grams")
        found["tfidf_logreg"], note = tfidf_logreg(frames, heads)
        notes.append(f"TF-IDF of character 1- to 3-grams + logistic regression: {note}.")
    bases = [card["base"] for card in stylist.cards.values()]
    if "scratch" in bases:
        return found, [
            *notes,
            "No frozen backbone to compare with: a network was trained from scratch.",
        ]
    log_line("evaluate: frozen backbones")
    found["frozen_logreg"], note = frozen_logreg(frames, pictures, stylist)
    return found, [*notes, f"{' and '.join(bases)}, untouched, + logistic regression: {note}."]
