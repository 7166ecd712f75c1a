"""Quality estimation: how likely a translation is right, told without a reference.

A network is sure of much that is wrong. Whether the dictionary and the nearest known text say the
same tells more (docs/decisions/2026-11-28-translate-serving.md); a logistic regression on
validation texts weighs it all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from beauty_models.translate.glossary import Glossary
from beauty_models.translate.memory import NO_TERMS
from beauty_models.translate.methods import (
    DICTIONARY,
    LIKELIEST,
    MEMORY,
    VOICES,
    Candidate,
    Methods,
    Text,
)
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
    candidates: Mapping[str, Sequence[Candidate]],
    more_terms: Glossary = NO_TERMS,
) -> dict[str, Floats]:
    """Return method → [texts, `FEATURES`] of what is known of its ``candidates`` for ``texts``.

    The logarithm of a candidate's confidence, the share of words that the dictionary knows, how
    near the nearest known text is, how much both translate alike (chrF), the text's length.
    """
    if DICTIONARY in candidates:
        dictionary = candidates[DICTIONARY]
    else:
        dictionary = methods.translate(DICTIONARY, texts, more_terms)
    memory = candidates[MEMORY] if MEMORY in candidates else methods.translate(MEMORY, texts)
    lengths: Floats = np.log1p([len(text.text) for text in texts])
    found = {}
    for method, written in candidates.items():
        ours = [candidate.text for candidate in written]
        columns: list[Floats] = [
            np.log(np.maximum(LEAST, _confidence(written))),
            _confidence(dictionary),
            _confidence(memory),
            _alike(ours, dictionary),
            _alike(ours, memory),
            lengths,
        ]
        found[method] = np.stack(columns, axis=1)
    return found


def _confidence(candidates: Sequence[Candidate]) -> Floats:
    return np.array([candidate.confidence for candidate in candidates], np.float64)


def _alike(texts: Sequence[str], others: Sequence[Candidate]) -> Floats:
    """Return the chrF of each text beside the other's, 0 to 1."""
    return sentence_chrf(chrf_counts(texts, [other.text for other in others])) / 100


def judged(
    estimators: Mapping[str, Estimator],
    method: str,
    methods: Methods,
    texts: Sequence[Text],
    more_terms: Glossary = NO_TERMS,
    beams: int = 0,
) -> list[Candidate]:
    """Return candidates by ``method`` for ``texts``; their confidence is how likely they are right.

    By `LIKELIEST` each is that of `VOICES` which is most likely right, and its ``method`` says
    which. Without an estimator of the method they are as sure as it says.
    """
    voices = VOICES if method == LIKELIEST else (method,)
    candidates = {}
    for voice in voices:
        candidates[voice] = methods.translate(voice, texts, more_terms, beams)
    if not texts or not all(voice in estimators for voice in voices):
        return candidates[voices[0]]
    known = features(methods, texts, candidates, more_terms)
    likely = np.stack([estimators[voice].probability(known[voice]) for voice in voices])
    chosen = []
    for row, best in enumerate(likely.argmax(0)):
        voice = voices[best]
        named = "" if voice == method else voice
        candidate = candidates[voice][row]
        chosen.append(candidate._replace(confidence=float(likely[best, row]), method=named))
    return chosen
