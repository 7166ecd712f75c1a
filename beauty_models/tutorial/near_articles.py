"""Near copies of an article among thousands, exactly: rare shingles propose pairs (AllPairs)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from beauty_models.intake.text import bare

SHINGLE = 3  # characters
ROUNDING = 1e-9  # how much a product of floats may be off where it is compared with a count


def shingles(text: str) -> frozenset[str]:
    """Return the runs of `SHINGLE` characters of ``text``; capitals, spaces, marks do not count.

    A text shorter than a shingle is one shingle.
    """
    letters = bare(text)
    count = max(1, len(letters) - SHINGLE + 1)
    return frozenset(letters[start : start + SHINGLE] for start in range(count))


def earlier_copies(texts: Sequence[str], threshold: float) -> list[int]:
    """Return for each text the index of the earlier text that it nearly repeats, or -1.

    A text is kept when no kept text before it has a Jaccard similarity of `shingles` of at least
    ``threshold`` (0-1) with it. Two sets that similar share one of the first
    ``size - ceil(threshold * size) + 1`` members of each in any fixed order; with the rare ones
    first few texts do (Bayardo, Ma and Srikant 2007). No pair is missed.
    """
    assert 0 < threshold <= 1, threshold
    sets = [shingles(text) for text in texts]
    frequency = Counter(shingle for members in sets for shingle in members)
    found = [-1] * len(texts)
    kept: dict[str, list[int]] = defaultdict(list)
    for index, members in enumerate(sets):
        # equally frequent ones need one order, too
        rare_first = sorted(members, key=lambda shingle: (frequency[shingle], shingle))
        shared_at_least = int(threshold * len(members) - ROUNDING) + 1
        prefix = rare_first[: len(members) - shared_at_least + 1]
        candidates = sorted({earlier for shingle in prefix for earlier in kept[shingle]})
        for earlier in candidates:
            if _jaccard(members, sets[earlier]) >= threshold - ROUNDING:
                found[index] = earlier
                break
        if found[index] < 0:
            for shingle in prefix:
                kept[shingle].append(index)
    return found


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared)
