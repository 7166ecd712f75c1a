"""What a language model must beat: counts of token sequences, interpolated by Witten and Bell.

Bell, Cleary & Witten 1990, *Text Compression*; Chen & Goodman 1999 section 2.6. Counted over the
model's own tokens and over bytes; the better of them and its order are chosen on validation.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from beauty_models.tutorial.model import LanguageModel

START = -1  # before the first token, as often as the order needs
END = -2  # behind the last one
BYTES = 256
MAX_COUNTED = 3_000_000  # tokens; the counts of more do not fit into an ordinary memory
TOKEN_ORDERS = (2, 3, 4)
BYTE_ORDERS = (4, 5, 6)


class WittenBell:
    """Probabilities of the next token after up to ``order`` − 1 others."""

    def __init__(self, sequences: Sequence[Sequence[int]], order: int, vocabulary: int) -> None:
        self.order = order
        self._uniform = 1 / (vocabulary + 1)  # and the end
        self._counts: list[defaultdict[tuple[int, ...], dict[int, int]]] = []
        for _ in range(order):
            self._counts.append(defaultdict(dict))
        counted = 0
        for sequence in sequences:
            counted += len(sequence)
            if counted > MAX_COUNTED:
                break
            self._count(self._padded(sequence))
        self._totals = []
        for contexts in self._counts:
            self._totals.append({c: sum(after.values()) for c, after in contexts.items()})

    def _padded(self, sequence: Sequence[int]) -> list[int]:
        return [START] * (self.order - 1) + list(sequence) + [END]

    def _count(self, padded: list[int]) -> None:
        for place in range(self.order - 1, len(padded)):
            token = padded[place]
            for size in range(self.order):
                after = self._counts[size][tuple(padded[place - size : place])]
                after[token] = after.get(token, 0) + 1

    def bits(self, sequence: Sequence[int]) -> float:
        """Return the information content of ``sequence`` and its end, in bits."""
        padded = self._padded(sequence)
        bits = 0.0
        for place in range(self.order - 1, len(padded)):
            probability = self._uniform
            for size in range(self.order):
                context = tuple(padded[place - size : place])
                total = self._totals[size].get(context)
                if total is None:  # then no longer one was seen either
                    break
                after = self._counts[size][context]
                # a new token is as likely as new tokens were after this context
                types = len(after)
                seen = after.get(padded[place], 0)
                probability = (seen + types * probability) / (total + types)
            bits -= math.log2(probability)
        return bits


def _text_bits(counted: WittenBell, sequences: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    return np.array([counted.bits(sequence) for sequence in sequences])


def unigram_bits(
    language_model: LanguageModel, train: Sequence[str], test: Sequence[str]
) -> NDArray[np.float64]:
    """Return the bits of each test text by the frequencies of the model's tokens."""
    counted = WittenBell(language_model.encode_all(train), 1, len(language_model.tokenizer))
    return _text_bits(counted, language_model.encode_all(test))


def ngram_bits(
    language_model: LanguageModel,
    train: Sequence[str],
    validation: Sequence[str],
    test: Sequence[str],
) -> tuple[NDArray[np.float64], str]:
    """Return the bits of each test text by the best counts, and in words which these are."""
    units = {
        "word pieces": (language_model.encode_all, len(language_model.tokenizer), TOKEN_ORDERS),
        "bytes": (_all_bytes, BYTES, BYTE_ORDERS),
    }
    best = (math.inf, "", np.zeros(0))
    for name, (encode, vocabulary, orders) in units.items():
        learned = encode(train)
        for order in orders:
            counted = WittenBell(learned, order, vocabulary)
            score = float(_text_bits(counted, encode(validation)).sum())
            if score < best[0]:
                best = (score, f"{order} {name}", _text_bits(counted, encode(test)))
    return best[2], best[1]


def _all_bytes(texts: Sequence[str]) -> list[list[int]]:
    return [list(text.encode()) for text in texts]
