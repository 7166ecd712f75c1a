"""A dictionary read off the training pairs, and texts translated by looking up its longest entries.

Entries are whole training texts, their parts (a category path has the same number of them in every
language), and words that occur together. What it has no entry for stays as it is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from beauty_models.translate.memory import TranslationMemory
from beauty_models.translate.patterns import SENTINEL
from beauty_models.translate.protected import SENTINELS
from beauty_models.translate.scripts import is_unspaced, spaced, tokens

LONGEST = 24  # tokens of an entry that is looked up within a text
WORDS = {True: 2, False: 4}  # tokens of a unit that may be one word: with spaces, without
FEWEST = 2  # units that an entry made of words occurring together must stand in
DICE = 0.3  # how much more often together than apart they must occur
_PARTS = re.compile(r"\s+[>|/·]\s+|\s*[,;，；、()（）:：]\s*|\n+")
_NO_SPACE_BEFORE = frozenset(",.;:!?)]}%»”’")
_NO_SPACE_BEHIND = frozenset("([{«“‘")

Words = tuple[str, ...]


class Looked(NamedTuple):
    """A text as the dictionary translates it."""

    text: str
    known: float  # share of its words that have an entry
    # where in the text words without an entry stand as they were: (start, end) in characters
    unknown: tuple[tuple[int, int], ...] = ()


class Dictionary:
    """Entries of one direction."""

    def __init__(self, entries: dict[Words, str], target: str) -> None:
        """Keep ``entries``: tokens of the source, without capitals → how ``target`` says them."""
        self.entries = entries
        self.target = target
        self._longest = min(LONGEST, max(map(len, entries), default=0))

    def translate(self, text: str) -> Looked:
        """Return the protected ``text`` with the longest entries put in place of its words."""
        words = tokens(text)
        lowered = [word.casefold() for word in words]
        translated = ""
        unknown: list[tuple[int, int]] = []
        known = asked = place = 0
        while place < len(words):
            length = self._match(lowered, place)
            # sentinels and marks need no entry
            size = sum(map(_is_word, words[place : place + max(1, length)]))
            asked += size
            if length:
                entry = self.entries[tuple(lowered[place : place + length])]
                translated = _appended(translated, entry, self.target)
                known += size
            else:
                translated = _appended(translated, words[place], self.target)
                if size:
                    unknown.append((len(translated) - len(words[place]), len(translated)))
            place += max(1, length)
        return Looked(translated, known / asked if asked else 1.0, tuple(unknown))

    def _match(self, lowered: Sequence[str], place: int) -> int:
        """Return how many tokens from ``place`` on are the longest entry, 0 where none is."""
        for length in range(min(self._longest, len(lowered) - place), 0, -1):
            if tuple(lowered[place : place + length]) in self.entries:
                return length
        return 0


class Dictionaries:
    """The dictionaries of all directions of a memory, each learned when it is first asked for."""

    def __init__(self, memory: TranslationMemory) -> None:
        self.memory = memory
        self._sides: dict[str, _Side] = {}
        self._learned: dict[tuple[str, str], Dictionary] = {}

    def of(self, source: str, target: str) -> Dictionary:
        """Return the dictionary from ``source`` to ``target``; it is empty where no unit has both.

        Of several translations the commonest counts. Words that occur together yield to parts of
        texts, and these to whole texts.
        """
        if (source, target) not in self._learned:
            ours, theirs = self._side(source), self._side(target)
            entries = _together(ours, theirs, target)
            entries |= _commonest(ours, _part_pairs(ours, theirs))
            entries |= _commonest(ours, _whole_pairs(ours, theirs))
            self._learned[source, target] = Dictionary(entries, target)
        return self._learned[source, target]

    def _side(self, language: str) -> _Side:
        if language not in self._sides:
            self._sides[language] = _Side(self.memory.templates(language))
        return self._sides[language]


class _Side:
    """The units' texts in one language, taken apart once for all directions."""

    def __init__(self, texts: Sequence[str | None]) -> None:
        from scipy.sparse import csr_matrix

        self.texts = texts
        self.parts = [_PARTS.split(text) if text is not None else [] for text in texts]
        self.there = np.array([text is not None for text in texts], bool)
        self._words: dict[str, Words] = {}
        numbers: dict[Words, int] = {}
        rows: list[int] = []
        columns: list[int] = []
        for row, text in enumerate(texts):
            here = {
                numbers.setdefault(words, len(numbers))
                for words in _candidates(tokens((text or "").casefold()))
            }
            rows += [row] * len(here)
            columns += sorted(here)
        shape = (len(texts), len(numbers))
        occurs = csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
        frequent = np.flatnonzero(np.asarray(occurs.sum(0)).ravel() >= FEWEST)
        names = list(numbers)
        self.words = [names[number] for number in frequent]
        self.occurs = occurs[:, frequent]  # [units, words]: which stands in which

    def words_of(self, text: str) -> Words:
        """Return the tokens of a text or a part; every direction asks for the same ones."""
        if text not in self._words:
            self._words[text] = tuple(tokens(text))
        return self._words[text]


Pair = tuple[str, str]


def _whole_pairs(ours: _Side, theirs: _Side) -> Iterator[Pair]:
    for text, translation in zip(ours.texts, theirs.texts, strict=True):
        if text is not None and translation is not None:
            yield text, translation


def _part_pairs(ours: _Side, theirs: _Side) -> Iterator[Pair]:
    """Yield the parts of each pair that has as many of them on both sides, and more than one."""
    for our_parts, their_parts in zip(ours.parts, theirs.parts, strict=True):
        if len(our_parts) == len(their_parts) > 1:
            yield from zip(our_parts, their_parts, strict=True)


def _commonest(ours: _Side, pairs: Iterable[Pair]) -> dict[Words, str]:
    """Return tokens → their commonest translation; a text with a value of its own is no entry."""
    counts: dict[str, Counter[str]] = {}
    for text, translation in pairs:
        if text.strip() and translation.strip():
            counts.setdefault(text.casefold(), Counter())[translation.strip()] += 1
    entries: dict[Words, str] = {}
    for text, found in counts.items():
        words = ours.words_of(text)
        best = found.most_common(1)[0][0]
        # <0> of an entry is not <0> of a text that it is looked up in
        if 0 < len(words) <= LONGEST and not SENTINEL.search(text) and not SENTINEL.search(best):
            entries[words] = best
    return entries


def _together(ours: _Side, theirs: _Side, target: str) -> dict[Words, str]:
    """Return words → the word of the other side that occurs with them, by the Dice coefficient.

    Dice (1945), as Smadja et al. (1996) found translations of collocations. Two words that stand in
    the same units in both languages have 1.
    """
    both = ours.there & theirs.there
    if not both.any() or not ours.words or not theirs.words:
        return {}
    our_rows, their_rows = ours.occurs[both], theirs.occurs[both]
    together = (our_rows.T @ their_rows).tocsr()
    together.sort_indices()
    our_counts = np.asarray(our_rows.sum(0)).ravel()
    their_counts = np.asarray(their_rows.sum(0)).ravel()
    sizes = np.diff(together.indptr)
    row_of = np.repeat(np.arange(len(sizes)), sizes)
    columns = together.indices
    dice = 2 * together.data / (our_counts[row_of] + their_counts[columns])
    filled = np.flatnonzero(sizes)
    starts = together.indptr[:-1][filled]
    best = np.maximum.reduceat(dice, starts)
    # of equally good ones the longest, 连衣裙 and not 连衣, then the first of the vocabulary
    lengths = np.array([len(words) for words in theirs.words], np.int64)
    rank = lengths[columns] * len(theirs.words) - columns
    rank[dice < np.repeat(best, sizes[filled]) - 1e-6] = -len(theirs.words)
    chosen = np.maximum.reduceat(rank, starts)
    entries: dict[Words, str] = {}
    for row, score, key in zip(filled, best, chosen, strict=True):
        if score >= DICE:
            words = theirs.words[int(-key % len(theirs.words))]
            entries[ours.words[int(row)]] = _joined(words, target)
    return entries


def _candidates(words: Sequence[str]) -> Iterator[Words]:
    """Yield the runs of ``words``, small letters already, that may say one thing together."""
    is_word = [_is_word(word) for word in words]
    for start, word in enumerate(words):
        longest = WORDS[not is_unspaced(word[0])]
        for end in range(start, min(start + longest, len(words))):
            if not is_word[end]:
                break
            yield tuple(words[start : end + 1])


def _is_word(token: str) -> bool:
    return token[0].isalpha()


def _joined(pieces: Sequence[str], language: str) -> str:
    """Return ``pieces`` as a text of ``language``, with spaces where it puts them."""
    text = ""
    for piece in pieces:
        text = _appended(text, piece, language)
    return text


def _appended(text: str, piece: str, language: str) -> str:
    """Return ``text`` with ``piece`` behind it, and a space between them where one belongs."""
    if not piece:
        return text
    return f"{text} {piece}" if _needs_space(text, piece, language) else text + piece


def _needs_space(before: str, piece: str, language: str) -> bool:
    if not before or piece[0] in _NO_SPACE_BEFORE or before[-1] in _NO_SPACE_BEHIND:
        return False
    # a mark of a path has its spaces in every language
    if piece in (">", "|") or before[-1] in (">", "|") and not before.endswith(SENTINELS):
        return True
    both_letters = not is_unspaced(piece[0]) and not is_unspaced(before[-1])
    return spaced(language) or (both_letters and _is_word(piece) and before[-1].isalnum())
