"""Quality estimation: how likely a translation is right, told without a reference.

A network is sure of much that is wrong. Whether the dictionary and the nearest known text say the
same tells more (docs/decisions/2026-11-28-translate-serving.md); a logistic regression on
validation texts weighs it all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from beauty_models.translate.glossary import Glossary
from beauty_models.translate.memory import NO_TERMS
from beauty_models.translate.methods import DICTIONARY, MEMORY, Candidate, Methods, Text
from beauty_models.translate.scoring import chrf_counts, sentence_chrf

Floats = NDArray[np.float64]
FEATURES = 6
LEAST = 1e-4  # confidence whose logarithm is taken at least


class Estimator(NamedTuple):
    """A logistic regression on `features`."""

    weights: tuple[float, ...]  # of each of the `FEATURES`
    bias: float

    def probability(self, rows: Floats) -> Floats:
        """Return how likely each of ``rows`` [n, `FEATURES`] is right, 0 to 1."""
        logits = rows @ np.array(self.weights) + self.bias
        return np.asarray(1 / (1 + np.exp(-logits)))


def fit(rows: Floats, right: NDArray[np.bool_]) -> Estimator:
    """Return the estimator that ``rows`` [n, `FEATURES`] and what was ``right`` [n] teach."""
    from sklearn.linear_model import LogisticRegression

    if right.all() or not right.any():
        # one right and one wrong more: nothing is sure
        odds = (right.sum() + 1) / ((~right).sum() + 1)
        return Estimator((0.0,) * FEATURES, float(np.log(odds)))
    model = LogisticRegression(max_iter=1000).fit(rows, right)
    return Estimator(tuple(model.coef_[0].tolist()), float(model.intercept_[0]))


def features(
    methods: Methods,
    texts: Sequence[Text],
    candidates: Sequence[Candidate],
    more_terms: Glossary = NO_TERMS,
) -> Floats:
    """Return [texts, `FEATURES`] of what is known of the ``candidates`` for ``texts``.

    The logarithm of a candidate's confidence, the share of words that the dictionary knows, how
    near the nearest known text is, how much both translate alike (chrF), the text's length.
    """
    dictionary = methods.translate(DICTIONARY, texts, more_terms)
    memory = methods.translate(MEMORY, texts)
    ours = [candidate.text for candidate in candidates]
    columns: list[Floats] = [
        np.log(np.maximum(LEAST, _confidence(candidates))),
        _confidence(dictionary),
        _confidence(memory),
        _alike(ours, dictionary),
        _alike(ours, memory),
        np.log1p([len(text.text) for text in texts]),
    ]
    return np.stack(columns, axis=1)


def _confidence(candidates: Sequence[Candidate]) -> Floats:
    return np.array([candidate.confidence for candidate in candidates], np.float64)


def _alike(texts: Sequence[str], others: Sequence[Candidate]) -> Floats:
    """Return the chrF of each text beside the other's, 0 to 1."""
    return sentence_chrf(chrf_counts(texts, [other.text for other in others])) / 100


def judged(
    estimator: Estimator | None,
    methods: Methods,
    texts: Sequence[Text],
    candidates: Sequence[Candidate],
    more_terms: Glossary = NO_TERMS,
) -> list[Candidate]:
    """Return ``candidates`` with the probability that they are right as their confidence.

    Without an ``estimator`` they stay as they are.
    """
    if estimator is None or not candidates:
        return list(candidates)
    likely = estimator.probability(features(methods, texts, candidates, more_terms))
    pairs = zip(candidates, likely.tolist(), strict=True)
    return [candidate._replace(confidence=value) for candidate, value in pairs]
