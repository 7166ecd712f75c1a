"""What the model must beat: the majority, and logistic regression on character n-grams.

Neither sees the test split. The strength C and the class weights are chosen on the validation
split, as the model's own stopping point is; with them the regression learns from both splits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from beauty_models.evaluation import baselines as classical
from beauty_models.evaluation.baselines import Matrix, Setting
from beauty_models.sentiment.report.scores import MethodPredictions

POLARITIES = ["negative", "neutral", "positive"]
STRENGTHS = (1.0, 10.0, 100.0)  # C of the regression that tells classes apart
ASPECT_STRENGTHS = (3.0, 30.0)  # fewer, for each is fitted for every aspect and polarity
MAX_TEXTS = 200_000  # the n-grams of more training texts do not fit into an ordinary memory
Bools = NDArray[np.bool_]


def mentions(column: pd.Series[Any], aspects: list[str]) -> Bools:
    """Return which polarity each text expresses on each aspect [n, aspects, 3].

    Texts without annotation express nothing.
    """
    mentioned = np.zeros((len(column), len(aspects), len(POLARITIES)), bool)
    position = {name: i for i, name in enumerate(aspects)}
    for row, of_text in enumerate(column):
        if of_text is None:
            continue
        for annotation in of_text:
            # The model has learned the aspects of its training data; these may have others.
            aspect = position.get(annotation["category"])
            if aspect is not None:
                mentioned[row, aspect, POLARITIES.index(annotation["polarity"])] = True
    return mentioned


def annotated(column: pd.Series[Any]) -> Bools:
    """Return [n] where a text's aspects were annotated, be it with none."""
    return np.array([value is not None for value in column], bool)


def majority(
    train: pd.DataFrame, test: pd.DataFrame, classes: list[str], aspects: list[str]
) -> MethodPredictions:
    """Predict the class and, for each aspect, the polarities that most training texts have."""
    probabilities = classical.majority(train["label"].to_numpy(), len(classes), len(test))
    seen = mentions(train["aspects"], aspects)[annotated(train["aspects"])]
    # More than half of the annotated texts; of most aspects that is none, and nothing is predicted.
    usual = 2 * seen.sum(0) > len(seen)
    return MethodPredictions(probabilities, np.tile(usual, (len(test), 1, 1)))


def _one_vs_rest(
    features: Matrix, labels: Bools, others: list[Matrix], setting: Setting
) -> list[Bools]:
    """Fit one yes-or-no model per column of ``labels`` [n, columns].

    Return its answers for each of ``others``.
    """
    answers = [np.zeros((other.shape[0], labels.shape[1]), bool) for other in others]
    # A column that no text has stays False.
    for column in np.flatnonzero(labels.any(0)):
        # scikit-learn refuses to learn from one class; what all texts have needs no model.
        always = labels[:, column].all()
        model = None if always else classical.fit(features, labels[:, column], setting)
        for answer, other in zip(answers, others, strict=True):
            if other.shape[0]:  # scikit-learn refuses to predict nothing
                answer[:, column] = True if model is None else model.predict(other)
    return answers


def _micro_f1(truth: Bools, predicted: Bools) -> float:
    hits = (truth & predicted).sum()
    return float(2 * hits / max(1, truth.sum() + predicted.sum()))


def _predict_aspects(
    features: dict[str, Matrix], frames: dict[str, pd.DataFrame], aspects: list[str]
) -> Bools:
    """Return the mentions [test rows, aspects, 3] of the setting that is best on validation.

    Best is the largest micro-F1 on the texts whose aspects were annotated.
    """
    columns = len(aspects) * len(POLARITIES)
    inputs = {}
    truth = {}
    for split in ("train", "validation"):
        known = np.flatnonzero(annotated(frames[split]["aspects"]))
        inputs[split] = features[split][known]
        of_split = mentions(frames[split]["aspects"], aspects)[known]
        truth[split] = of_split.reshape(len(known), columns)
    best = -1.0  # below any F1, so that without validation texts the first setting is taken
    predicted = np.zeros((features["test"].shape[0], columns), bool)
    if inputs["train"].shape[0]:
        for setting in classical.settings(ASPECT_STRENGTHS):
            others = [inputs["validation"], features["test"]]
            checked, tested = _one_vs_rest(inputs["train"], truth["train"], others, setting)
            f1 = _micro_f1(truth["validation"], checked)
            if f1 > best:
                best = f1
                predicted = tested
    return predicted.reshape(len(predicted), len(aspects), len(POLARITIES))


def tfidf_logreg(
    frames: dict[str, pd.DataFrame], classes: list[str], aspects: list[str], seed: int
) -> tuple[MethodPredictions, str]:
    """Return what TF-IDF and logistic regression predict for the test texts, and a note.

    With fewer than two classes or no n-gram that two training texts share there is nothing to
    learn: then it predicts as the majority does. The note says how it was trained.
    """
    # Drawn, not cut off: a file is often sorted by product or date.
    size = min(MAX_TEXTS, len(frames["train"]))
    frames = frames | {"train": frames["train"].sample(size, random_state=seed)}
    fallback = majority(frames["train"], frames["test"], classes, aspects)
    labels = {split: frames[split]["label"].to_numpy() for split in ("train", "validation")}
    try:
        texts = {split: frame["text"].tolist() for split, frame in frames.items()}
        features = classical.tfidf_features(texts)
    except ValueError:  # scikit-learn: no n-gram is left
        return fallback, "not trained: too few training texts; stands in as the majority"
    # Before the check below: aspects can be learned where all texts are of one class.
    mentioned = _predict_aspects(features, frames, aspects)
    if len(set(labels["train"])) < 2:
        note = "not trained: the training texts have one class only; stands in as the majority"
        return MethodPredictions(fallback.probabilities, mentioned), note
    probabilities, setting = classical.logistic_regression(
        features, labels, len(classes), STRENGTHS
    )
    count = len(labels["train"]) + len(labels["validation"])
    note = f"character 1- to 3-grams, {setting}, {count:,} texts"
    return MethodPredictions(probabilities, mentioned), note


def baselines(
    frames: dict[str, pd.DataFrame], classes: list[str], aspects: list[str], seed: int
) -> tuple[dict[str, MethodPredictions], list[str]]:
    """Return what each baseline predicts for the test texts, and sentences on what was trained."""
    predictions = {"majority": majority(frames["train"], frames["test"], classes, aspects)}
    predictions["tfidf_logreg"], note = tfidf_logreg(frames, classes, aspects, seed)
    notes = [f"TF-IDF + logistic regression: {note}."]
    return predictions, notes
