"""Does it parrot, and does it repeat itself? Copied runs, distinct n-grams, self-BLEU."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from beauty_models.tutorial.checker import words

BLEU_ORDER = 4


class Copied(NamedTuple):
    """The longest run of words that also stands in a training text."""

    length: int  # words; each Han character is one
    run: str
    nearest: str  # id of the training text


class TrainingTexts:
    """The words of all training texts, one behind the other."""

    def __init__(self, ids: Sequence[str], texts: Sequence[str]) -> None:
        self._numbers: dict[str, int] = {}
        self._ids = list(ids)
        stream: list[int] = []
        text_of_place: list[int] = []
        for number, text in enumerate(texts):
            for word in words(text):
                stream.append(self._numbers.setdefault(word, len(self._numbers)))
                text_of_place.append(number)
            stream.append(-1)  # no run goes on from one text into the next
            text_of_place.append(number)
        self._stream = np.array(stream, np.int64)
        self._text_of_place = text_of_place

    def copied(self, text: str) -> Copied:
        """Return the longest run of ``text`` in any training text."""
        own = words(text)
        best = Copied(0, "", "")
        # length of the run that ends at each place of the stream, for the word before
        runs = np.zeros(len(self._stream), np.int64)
        for place, word in enumerate(own):
            number = self._numbers.get(word, -2)
            shifted = np.concatenate([[0], runs[:-1]])
            runs = np.where(self._stream == number, shifted + 1, 0)
            longest = int(runs.max(initial=0))
            if longest > best.length:
                run = " ".join(own[place - longest + 1 : place + 1])
                nearest = self._ids[self._text_of_place[int(runs.argmax())]]
                best = Copied(longest, run, nearest)
        return best


def _ngrams(sequence: Sequence[str], order: int) -> list[tuple[str, ...]]:
    return [tuple(sequence[i : i + order]) for i in range(len(sequence) - order + 1)]


def distinct(texts: Sequence[str], order: int) -> float:
    """Return the share of different n-grams among all of ``texts`` (Li et al. 2016)."""
    found = [ngram for text in texts for ngram in _ngrams(words(text), order)]
    return len(set(found)) / max(1, len(found))


def _bleu(candidate: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return BLEU-4 (Papineni et al. 2002), smoothed by one for orders above 1 (Lin & Och 2004)."""
    log_sum = 0.0
    for order in range(1, BLEU_ORDER + 1):
        counts = Counter(_ngrams(candidate, order))
        most: Counter[tuple[str, ...]] = Counter()
        for reference in references:
            most |= Counter(_ngrams(reference, order))
        hits = sum(min(count, most[ngram]) for ngram, count in counts.items())
        smooth = 0 if order == 1 else 1
        total = sum(counts.values()) + smooth
        if not total or not hits + smooth:
            return 0.0
        log_sum += math.log((hits + smooth) / total)
    closest = min((abs(len(r) - len(candidate)), len(r)) for r in references)[1]
    brevity = min(0.0, 1 - closest / max(1, len(candidate)))
    return math.exp(brevity + log_sum / BLEU_ORDER)


def self_bleu(texts: Sequence[str]) -> float:
    """Return the mean BLEU of each text against the others (Zhu et al. 2018); 0 of fewer than two.

    1 would be one text again and again.
    """
    tokenized = [words(text) for text in texts]
    tokenized = [text for text in tokenized if text]
    if len(tokenized) < 2:
        return 0.0
    scores = []
    for number, candidate in enumerate(tokenized):
        others = tokenized[:number] + tokenized[number + 1 :]
        scores.append(_bleu(candidate, others))
    return float(np.mean(scores))
