"""What classifiers of several families must beat: majority and logistic regression.

The features did not learn the task: character n-grams of texts, gradients and colours of pictures,
what an untouched backbone makes of either. A family brings its features and labels; how the
regression is fitted, and what it may choose, is the same for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, issparse, vstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from beauty_models.evaluation.bootstrap import point_estimate
from beauty_models.evaluation.metrics import macro_f1

Matrix = Any  # dense [n, columns] or a scipy.sparse row matrix
CLASS_WEIGHTS = (None, "balanced")


class Setting(NamedTuple):
    """What logistic regression may choose; the names are scikit-learn's."""

    C: float  # the inverse of the L2 penalty
    class_weight: str | None


def settings(strengths: Iterable[float]) -> list[Setting]:
    """Return every C of ``strengths`` without and with balanced class weights."""
    return [Setting(c, weight) for c, weight in product(strengths, CLASS_WEIGHTS)]


def majority(labels: NDArray[np.int64], classes: int, rows: int) -> NDArray[np.float64]:
    """Return the shares of the training ``labels`` for each row [rows, classes]."""
    # One more of each: the log loss of a class that training lacks stays finite (Laplace).
    shares = np.bincount(labels, minlength=classes) + 1.0
    return np.tile(shares / shares.sum(), (rows, 1))


def tfidf_features(texts: Mapping[str, Sequence[str]]) -> dict[str, csr_matrix]:
    """Return TF-IDF of character 1- to 3-grams for the texts of train, validation and test.

    Character n-grams need no word segmentation and are hard to beat on short texts (Wang & Manning
    2012 on n-gram baselines).

    Raises:
        ValueError: no n-gram is in two texts of train and validation.
    """
    vectorizer = TfidfVectorizer(
        analyzer="char", ngram_range=(1, 3), min_df=2, sublinear_tf=True, dtype=np.float32
    )
    vectorizer.fit([*texts["train"], *texts["validation"]])
    # scikit-learn refuses to transform no texts.
    no_texts = csr_matrix((0, len(vectorizer.vocabulary_)), dtype=np.float32)
    features = {}
    for split, values in texts.items():
        features[split] = csr_matrix(vectorizer.transform(values)) if len(values) else no_texts
    return features


def standardize(features: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Return dense features standardised, of as many dimensions as there are rows to learn from.

    ``features`` [rows, width] are those of train, validation and test.
    """
    scaler = StandardScaler().fit(features["train"])
    scaled = {split: scaler.transform(values) for split, values in features.items()}
    learned = np.concatenate([scaled["train"], scaled["validation"]])
    if learned.shape[1] > len(learned):
        # The weights of a regression with an L2 penalty lie in the span of the rows that it learns
        # from (the representer theorem), so a rotation into that span changes no answer, and the
        # fit takes half the time.
        axes = np.linalg.qr(learned.T)[0]
        scaled = {split: values @ axes for split, values in scaled.items()}
    return {split: np.asarray(values, np.float32) for split, values in scaled.items()}


def fit(features: Matrix, labels: NDArray[Any], setting: Setting) -> LogisticRegression:
    """Return logistic regression fitted to ``features`` [n, columns] and their ``labels`` [n]."""
    # scikit-learn's 100 steps may end before it has converged: it then warns and stops short.
    model = LogisticRegression(C=setting.C, class_weight=setting.class_weight, max_iter=1000)
    return model.fit(features, labels)


def logistic_regression(
    features: Mapping[str, Matrix],
    labels: Mapping[str, NDArray[np.int64]],
    classes: int,
    strengths: Sequence[float],
) -> tuple[NDArray[np.float64], str]:
    """Return the probabilities [test rows, classes] of the best setting, and its name.

    Args:
        features: those of train, validation and test.
        labels: the classes of train and validation; of train two at least.
        classes: how many there are.
        strengths: the C of the settings of which the one with the best macro-F1 on validation is
            taken; without validation rows the one in the middle, without class weights.
    """

    def validation_f1(setting: Setting) -> float:
        predicted = fit(features["train"], labels["train"], setting).predict(features["validation"])
        return point_estimate(macro_f1, np.stack([labels["validation"], predicted], 1))

    best = Setting(strengths[len(strengths) // 2], None)
    if len(labels["validation"]):
        best = max(settings(strengths), key=validation_f1)
    # The choice is made, so the final fit learns from validation, too, as the model's own stopping
    # point was chosen there.
    join = vstack if issparse(features["train"]) else np.concatenate
    learned = join([features["train"], features["validation"]])
    model = fit(learned, np.concatenate([labels["train"], labels["validation"]]), best)
    # A class that neither split has gets probability 0.
    probabilities = np.zeros((features["test"].shape[0], classes))
    probabilities[:, model.classes_] = model.predict_proba(features["test"])
    return probabilities, f"C {best.C:g}, class weights {best.class_weight}"
