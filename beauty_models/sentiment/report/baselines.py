"""What the model must beat: the majority, and character n-grams with logistic regression. Neither sees the test split.

Logistic regression on TF-IDF of character 1- to 3-grams needs no word segmentation and is hard to beat on short reviews
(Wang & Manning 2012 on n-gram baselines). Its strength C and class weights are chosen on the validation split, as the
model's own stopping point is; with them it learns from both splits.
"""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from beauty_models.evaluation.baselines import (
    Matrix,
    fit,
    logistic_regression,
    tfidf_vectorizer,
)

POLARITIES = ["negative", "neutral", "positive"]
GRID = list(product([1.0, 10.0, 100.0], [None, "balanced"]))  # C, class_weight
ASPECT_GRID = list(product([3.0, 30.0], [None, "balanced"]))
ROWS = 200_000  # the n-grams of more training texts than this do not fit into an ordinary memory
Bools = NDArray[np.bool_]


class Guess(NamedTuple):
    """``probabilities`` [n, classes] and ``mentions`` [n, aspects, 3]: said to be negative, neutral, positive."""

    probabilities: NDArray[np.float64]
    mentions: Bools


def mentions(column: pd.Series[Any], aspects: list[str]) -> Bools:
    """Return which polarity each text expresses on each aspect [n, aspects, 3]; nothing for texts without annotation."""
    found = np.zeros((len(column), len(aspects), len(POLARITIES)), bool)
    place = {name: i for i, name in enumerate(aspects)}
    for row, value in enumerate(column):
        for one in () if value is None else value:
            if one["category"] in place:
                found[row, place[one["category"]], POLARITIES.index(one["polarity"])] = True
    return found


def annotated(column: pd.Series[Any]) -> Bools:
    """Return [n] where a text's aspects were annotated, be it with none."""
    return np.array([value is not None for value in column], bool)


def majority(
    train: pd.DataFrame, test: pd.DataFrame, classes: list[str], aspects: list[str]
) -> Guess:
    """Guess the class and, for each aspect, the polarities that most training texts have; the probabilities are their shares."""
    shares = np.bincount(train["label"], minlength=len(classes)) + 1.0
    seen = mentions(train["aspects"], aspects)[annotated(train["aspects"])]
    usual = 2 * seen.sum(0) > len(seen)
    return Guess(np.tile(shares / shares.sum(), (len(test), 1)), np.tile(usual, (len(test), 1, 1)))


def _one_vs_rest(
    x: Matrix, y: Bools, others: list[Matrix], c: float, weight: str | None
) -> list[Bools]:
    """Fit one yes-or-no model per column of ``y`` [n, columns]; return its answers for each of ``others``."""
    answers = [np.zeros((other.shape[0], y.shape[1]), bool) for other in others]
    for column in np.flatnonzero(y.any(0)):
        model = None if y[:, column].all() else fit(x, y[:, column], c, weight)
        for answer, other in zip(answers, others, strict=True):
            if other.shape[0]:
                answer[:, column] = True if model is None else model.predict(other)
    return answers


def _aspects(
    parts: dict[str, Matrix], frames: dict[str, pd.DataFrame], aspects: list[str]
) -> Bools:
    """Return the mentions [test rows, aspects, 3] of the setting with the best micro-F1 on the annotated validation texts."""
    columns = len(aspects) * len(POLARITIES)
    known = {
        name: np.flatnonzero(annotated(frames[name]["aspects"])) for name in ("train", "validation")
    }
    truth = {
        name: mentions(frames[name]["aspects"], aspects)[rows].reshape(len(rows), columns)
        for name, rows in known.items()
    }
    x, check = parts["train"][known["train"]], parts["validation"][known["validation"]]
    best, found = -1.0, np.zeros((parts["test"].shape[0], columns), bool)
    for setting in ASPECT_GRID if len(known["train"]) else []:
        checked, tested = _one_vs_rest(x, truth["train"], [check, parts["test"]], *setting)
        quality = (
            2
            * (checked & truth["validation"]).sum()
            / max(1, checked.sum() + truth["validation"].sum())
        )
        if quality > best:
            best, found = quality, tested
    return found.reshape(len(found), len(aspects), len(POLARITIES))


def tfidf_logreg(
    frames: dict[str, pd.DataFrame], classes: list[str], aspects: list[str], seed: int
) -> tuple[Guess, str]:
    """Return the guess of TF-IDF and logistic regression for ``frames["test"]``, and a note on how it was trained.

    With fewer than two classes or no n-gram that two training texts share there is nothing to learn: then it is the
    majority's guess, and the note says so.
    """
    frames = dict(
        frames, train=frames["train"].sample(min(ROWS, len(frames["train"])), random_state=seed)
    )
    fallback = majority(frames["train"], frames["test"], classes, aspects)
    labels = {name: frames[name]["label"].to_numpy() for name in ("train", "validation")}
    vectorizer = tfidf_vectorizer()
    try:
        vectorizer.fit(pd.concat([frames["train"]["text"], frames["validation"]["text"]]))
    except ValueError:  # scikit-learn: no n-gram is left
        return fallback, "not trained: too few training texts; stands in as the majority"
    none = csr_matrix(
        (0, len(vectorizer.vocabulary_)), dtype=np.float32
    )  # scikit-learn refuses to transform no texts
    parts = {
        name: vectorizer.transform(frame["text"]) if len(frame) else none
        for name, frame in frames.items()
    }
    found = _aspects(parts, frames, aspects)
    if len(set(labels["train"])) < 2:
        return Guess(
            fallback.probabilities, found
        ), "not trained: the training texts have one class only; stands in as the majority"
    probabilities, setting = logistic_regression(
        parts, labels, len(classes), GRID, (10.0, None), vstack
    )
    return Guess(
        probabilities, found
    ), f"character 1- to 3-grams, {setting}, {sum(map(len, labels.values())):,} texts"
