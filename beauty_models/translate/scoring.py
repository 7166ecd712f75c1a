"""How close a translation is to its reference: chrF of sentences, corpora and many directions.

chrF (Popović 2015) is the F-score of character n-grams, recall counting twice; 0 to 100. It is
computed as sacrebleu does (signature in `CHRF_SIGNATURE`), from counts that add up, so that the
bootstrap can weigh sentences without counting again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ORDERS = 6  # n-grams of 1 to 6 characters, white space left out
BETA = 2.0
COUNTS = 3 * ORDERS
"""Numbers that say all of a sentence: for each order n-grams of it, of the reference, of both."""
CHRF_SIGNATURE = "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no"
LOOK_BELOW = 50.0
"""chrF of a sentence below which a person must look at the translation."""


def chrf_counts(translations: Sequence[str], references: Sequence[str]) -> NDArray[np.int64]:
    """Return the counts [sentences, `COUNTS`] of ``translations`` beside their ``references``."""
    counts = np.zeros((len(references), ORDERS, 3), np.int64)
    for row, (translation, reference) in enumerate(zip(translations, references, strict=True)):
        ours, theirs = "".join(translation.split()), "".join(reference.split())
        for order in range(1, ORDERS + 1):
            expected = max(0, len(theirs) - order + 1)
            if not expected:  # sacrebleu does not count n-grams that the reference cannot have
                break
            written = max(0, len(ours) - order + 1)
            counts[row, order - 1] = (written, expected, _shared(ours, theirs, order))
    return counts.reshape(len(references), COUNTS)


def _shared(ours: str, theirs: str, order: int) -> int:
    """Return how many n-grams of two texts are the same."""
    if ours == theirs:
        return len(ours) - order + 1
    first, second = _ngrams(ours, order), _ngrams(theirs, order)
    return sum(min(count, second[ngram]) for ngram, count in first.items() if ngram in second)


# a reference is compared with what every method makes of every source
@lru_cache(1 << 14)
def _ngrams(text: str, order: int) -> Counter[str]:
    """Return how often each n-gram of ``order`` characters stands in ``text``."""
    return Counter([text[i : i + order] for i in range(len(text) - order + 1)])


def _f_scores(counts: NDArray[Any]) -> Floats:
    """Return chrF for counts [..., `COUNTS`] that are summed up already."""
    orders = np.asarray(counts, np.float64).reshape(*counts.shape[:-1], ORDERS, 3)
    written, expected, shared = np.moveaxis(orders, -1, 0)
    # orders that a short text does not have do not count
    counted = (written > 0) & (expected > 0)
    number = np.maximum(1, counted.sum(-1))
    precision = np.divide(shared, written, out=np.zeros_like(shared), where=counted).sum(-1)
    recall = np.divide(shared, expected, out=np.zeros_like(shared), where=counted).sum(-1)
    precision, recall = precision / number, recall / number
    bottom = BETA**2 * precision + recall
    top = 100 * (1 + BETA**2) * precision * recall
    return np.asarray(np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0))


def sentence_chrf(counts: NDArray[np.int64]) -> Floats:
    """Return the chrF of each sentence; ``counts`` [sentences, `COUNTS`]."""
    return _f_scores(counts)


def corpus_chrf(rows: NDArray[Any], weights: Floats) -> Floats:
    """Score: chrF of all sentences together; ``rows`` [sentences, `COUNTS`]."""
    return _f_scores(weights @ rows)


def mean_chrf(directions: int) -> Callable[[NDArray[Any], Floats], Floats]:
    """Return the score of rows [units, ``directions`` · `COUNTS`]: the mean of their corpus chrFs.

    A unit that is not said in a direction has zeros there. A resample in which a direction has no
    sentence takes the mean of the others.
    """

    def score(rows: NDArray[Any], weights: Floats) -> Floats:
        summed = (weights @ rows).reshape(len(weights), directions, COUNTS)
        # n-grams of the references: none where the resample has no sentence
        there = summed.reshape(len(weights), directions, ORDERS, 3)[..., 0, 1] > 0
        scores = np.where(there, _f_scores(summed), np.nan)
        return np.asarray(np.nanmean(scores, axis=1))

    return score
