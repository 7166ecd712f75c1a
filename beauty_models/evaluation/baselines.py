"""What classifiers of several families must beat: logistic regression on features that did not learn the task.

Character n-grams need no word segmentation and are hard to beat on short texts (Wang & Manning 2012
on n-gram baselines). Strength and class weights are chosen on the validation split, as the model's
own stopping point is; then the regression learns from both splits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from beauty_models.evaluation.bootstrap import point_estimate
from beauty_models.evaluation.metrics import macro_f1

Matrix = Any  # dense [n, columns] or a scipy.sparse row matrix
Setting = tuple[float, str | None]
"""C and class_weight of scikit-learn's LogisticRegression."""


def tfidf_vectorizer() -> TfidfVectorizer:
    """Return TF-IDF of character 1- to 3-grams that two texts share."""
    return TfidfVectorizer(
        analyzer="char", ngram_range=(1, 3), min_df=2, sublinear_tf=True, dtype=np.float32
    )


def fit(x: Matrix, y: NDArray[Any], c: float, weight: str | None) -> LogisticRegression:
    """Return logistic regression fitted to the rows of ``x`` and their classes ``y`` [n]."""
    return LogisticRegression(C=c, class_weight=weight, max_iter=1000).fit(x, y)


def logistic_regression(
    x: dict[str, Matrix],
    y: dict[str, NDArray[np.int64]],
    classes: int,
    grid: Sequence[Setting],
    usual: Setting,
    join: Callable[[list[Matrix]], Matrix],
) -> tuple[NDArray[np.float64], str]:
    """Return the probabilities [test rows, classes] of the best setting, and its name.

    Args:
        x: the features of train, validation and test.
        y: the classes of train and validation; of train two at least.
        grid: the settings of which the one with the best validation macro-F1 is taken.
        usual: the setting where there is no validation row.
        join: puts two parts one below the other.
    """

    def quality(setting: Setting) -> float:
        predicted = fit(x["train"], y["train"], *setting).predict(x["validation"])
        return point_estimate(macro_f1, np.stack([y["validation"], predicted], 1))

    best = max(grid, key=quality) if len(y["validation"]) else usual
    labels = np.concatenate([y["train"], y["validation"]])
    model = fit(join([x["train"], x["validation"]]), labels, *best)
    probabilities = np.zeros((x["test"].shape[0], classes))
    probabilities[:, model.classes_] = model.predict_proba(x["test"])
    return probabilities, "C {:g}, class weights {}".format(*best)
