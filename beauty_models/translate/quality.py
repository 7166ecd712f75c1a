"""Quality estimation: how good a translation is, told without a reference.

A network is sure of much that is wrong. Whether the dictionary and the nearest known text say the
same tells more (docs/decisions/2026-11-28-translate-serving.md). Two regressions on validation
texts weigh it all: one tells how likely a candidate is right, which is its confidence, the other
which of several candidates is best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, combinations_with_replacement
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from beauty_models.translate.glossary import NO_TERMS, Glossary
from beauty_models.translate.methods import (
    DICTIONARY,
    LIKELIEST,
    MEMORY,
    MODEL,
    VOICES,
    Candidate,
    Candidates,
    Methods,
    Text,
)
from beauty_models.translate.scoring import LOOK_BELOW, chrf_counts, sentence_chrf

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FEATURES = 6
LEAST = 1e-4  # confidence whose logarithm is taken at least
FOLDS = 5  # of the units, when a choice is judged by what others taught
PENALTY = 10.0  # of the ridge regression's weights, on features of variance 1


class Estimator(NamedTuple):
    """A logistic regression on `Evidence.of`: how likely a candidate is right."""

    weights: tuple[float, ...]  # of each of the `FEATURES`
    bias: float

    def probability(self, rows: Floats) -> Floats:
        """Return how likely each of ``rows`` [n, `FEATURES`] is right, 0 to 1."""
        logits = rows @ np.array(self.weights) + self.bias
        return np.asarray(1 / (1 + np.exp(-logits)))


class Forecast(NamedTuple):
    """A ridge regression on `Evidence.together`: which chrF a candidate will have."""

    weights: tuple[float, ...]
    bias: float

    def chrf(self, rows: Floats) -> Floats:
        """Return the chrF that is expected of each of ``rows``."""
        return np.asarray(rows @ np.array(self.weights) + self.bias)


def fit(rows: Floats, right: NDArray[np.bool_]) -> Estimator:
    """Return the estimator that ``rows`` [n, `FEATURES`] and what was ``right`` [n] teach."""
    from sklearn.linear_model import LogisticRegression

    if right.all() or not right.any():
        # one right and one wrong more: nothing is sure
        odds = (right.sum() + 1) / ((~right).sum() + 1)
        return Estimator((0.0,) * FEATURES, float(np.log(odds)))
    model = LogisticRegression(max_iter=1000).fit(rows, right)
    return Estimator(tuple(model.coef_[0].tolist()), float(model.intercept_[0]))


def fit_forecast(rows: Floats, scores: Floats) -> Forecast:
    """Return the forecast that ``rows`` and the chrF ``scores`` [n] of their candidates teach."""
    from sklearn.linear_model import Ridge

    mean, spread = rows.mean(0), rows.std(0)
    # what is the same everywhere tells nothing
    scale = np.where(spread > 1e-9, spread, np.inf)
    model = Ridge(alpha=PENALTY).fit((rows - mean) / scale, scores)
    weights = model.coef_ / scale
    return Forecast(tuple(weights.tolist()), float(model.intercept_ - mean @ weights))


@dataclass(frozen=True)
class Evidence:
    """What is known of the candidates for some texts."""

    confidence: dict[str, Floats]  # method → [n], as the method itself says
    alike: dict[frozenset[str], Floats]  # two methods → [n], chrF of one beside the other, 0 to 1
    lengths: Floats  # [n], logarithms of the texts' characters

    @classmethod
    def of(cls, texts: Sequence[Text], candidates: Candidates) -> Evidence:
        """Return it for the ``candidates`` of ``texts``; dictionary's and memory's are needed."""
        confidence = {}
        for method, written in candidates.items():
            sure = [candidate.confidence for candidate in written]
            confidence[method] = np.array(sure, np.float64)
        alike = {}
        for method, other in combinations(candidates, 2):
            if DICTIONARY in (method, other) or MEMORY in (method, other):
                alike[frozenset((method, other))] = _alike(candidates[method], candidates[other])
        lengths = np.log1p([len(text.text) for text in texts])
        return cls(confidence, alike, lengths)

    def rows(self, chosen: NDArray[np.bool_]) -> Evidence:
        """Return that of the ``chosen`` [n] texts."""
        return Evidence(
            {method: values[chosen] for method, values in self.confidence.items()},
            {pair: values[chosen] for pair, values in self.alike.items()},
            self.lengths[chosen],
        )

    def features(self, method: str) -> Floats:
        """Return [n, `FEATURES`] of what tells whether a candidate by ``method`` is right.

        The logarithm of its confidence, the share of words that the dictionary knows, how near the
        nearest known text is, how much both translate alike, the text's length.
        """
        columns = [
            np.log(np.maximum(LEAST, self.confidence[method])),
            self.confidence[DICTIONARY],
            self.confidence[MEMORY],
            self._beside(method, DICTIONARY),
            self._beside(method, MEMORY),
            self.lengths,
        ]
        return np.stack(columns, axis=1)

    def together(self) -> Floats:
        """Return [n, …] of what tells which of `VOICES` is best, and the products of each two."""
        columns = [
            np.log(np.maximum(LEAST, self.confidence[MODEL])),
            self.confidence[DICTIONARY],
            self.confidence[MEMORY],
            *(self._beside(*pair) for pair in combinations(VOICES, 2)),
            self.lengths,
        ]
        products = [one * other for one, other in combinations_with_replacement(columns, 2)]
        return np.stack([*columns, *products], axis=1)

    def _beside(self, method: str, other: str) -> Floats:
        if method == other:
            return np.ones_like(self.lengths)
        return self.alike[frozenset((method, other))]


def _alike(ours: Sequence[Candidate], theirs: Sequence[Candidate]) -> Floats:
    """Return the chrF of each candidate beside the other's, 0 to 1."""
    counts = chrf_counts([one.text for one in ours], [other.text for other in theirs])
    return sentence_chrf(counts) / 100


@dataclass(frozen=True)
class Quality:
    """What validation taught of the candidates of each method; empty it knows nothing."""

    estimators: dict[str, Estimator] = field(default_factory=dict)
    forecasts: dict[str, Forecast] = field(default_factory=dict)  # of each of `VOICES`

    def likeliest(self, evidence: Evidence) -> Ints:
        """Return for each text the place in `VOICES` of the candidate that is expected best."""
        known = evidence.together()
        expected = np.stack([self.forecasts[voice].chrf(known) for voice in VOICES])
        # the first of equals: the model
        return np.asarray(expected.argmax(0))

    def judged(
        self,
        method: str,
        methods: Methods,
        texts: Sequence[Text],
        more_terms: Glossary = NO_TERMS,
        beams: int = 0,
    ) -> list[Candidate]:
        """Return candidates by ``method``; their confidence is how likely they are right.

        By `LIKELIEST` each is that of `VOICES` which is expected best, and its ``method`` says
        which. What nothing was learned of is as sure as it says itself.
        """
        voices = VOICES if method == LIKELIEST else (method,)
        if not all(voice in self.estimators for voice in voices):
            return methods.translate(voices[0], texts, more_terms, beams)
        if not texts:
            return []
        asked = tuple(dict.fromkeys((*voices, MEMORY, DICTIONARY)))
        candidates = methods.candidates(asked, texts, more_terms, beams)
        evidence = Evidence.of(texts, candidates)
        likely = {}
        for voice in voices:
            likely[voice] = self.estimators[voice].probability(evidence.features(voice))
        chosen = [method] * len(texts)
        if method == LIKELIEST:
            chosen = [VOICES[place] for place in self.likeliest(evidence)]
        answers = []
        for row, voice in enumerate(chosen):
            named = "" if voice == method else voice
            answers.append(
                candidates[voice][row]._replace(confidence=float(likely[voice][row]), method=named)
            )
        return answers


def learn(evidence: Evidence, scores: Mapping[str, Floats]) -> Quality:
    """Return what the chrF ``scores`` [n] of each method's candidates teach."""
    estimators = {}
    for method, of_method in scores.items():
        estimators[method] = fit(evidence.features(method), of_method >= LOOK_BELOW)
    known = evidence.together()
    forecasts = {voice: fit_forecast(known, scores[voice]) for voice in VOICES}
    return Quality(estimators, forecasts)


def cross_fitted(
    evidence: Evidence, scores: Mapping[str, Floats], unit: Ints
) -> tuple[Ints, dict[str, Floats]]:
    """Return what is said of each text by what all other units taught.

    Args:
        evidence: of n texts.
        scores: method → chrF [n].
        unit: of each text; those of one unit are alike and stay together.

    Returns:
        the places in `VOICES` of the candidates that are expected best [n], and for each method how
        likely its candidates are right [n].
    """
    chosen = np.zeros(len(unit), np.int64)
    likely = {method: np.full(len(unit), 0.5) for method in scores}
    for fold in range(FOLDS):
        held_out = unit % FOLDS == fold
        if not held_out.any() or held_out.all():
            continue
        others = {method: of_method[~held_out] for method, of_method in scores.items()}
        quality = learn(evidence.rows(~held_out), others)
        judged = evidence.rows(held_out)
        chosen[held_out] = quality.likeliest(judged)
        for method in scores:
            rows = judged.features(method)
            likely[method][held_out] = quality.estimators[method].probability(rows)
    return chosen, likely
