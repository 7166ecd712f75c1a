"""The search for near copies: what it finds, in any blocks, and how much it looks at."""

from __future__ import annotations

import random

import numpy as np
import pytest

from beauty_models.sentiment import near_duplicates as near
from bench.ingest import templated


def _clusters(count: int, seed: int) -> list[str]:
    """Return texts of which many are copies of one another with a few letters changed."""
    rng = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz"
    originals = ["".join(rng.choices(letters, k=rng.randint(20, 120))) for _ in range(12)]
    texts = []
    for _ in range(count):
        text = list(rng.choice(originals))
        for _ in range(rng.randint(0, 4)):
            text[rng.randrange(len(text))] = rng.choice(letters)
        texts.append("".join(text))
    return texts


def _by_comparing_all(texts: list[str], threshold: float) -> list[int]:
    sets = [set(near.shingles(text).tolist()) for text in texts]
    kept: list[int] = []
    answers = []
    for index, members in enumerate(sets):
        answer = -1
        for other in kept:
            if len(members & sets[other]) >= threshold * len(members | sets[other]) - 1e-9:
                answer = other
                break
        answers.append(answer)
        if answer < 0:
            kept.append(index)
    return answers


@pytest.mark.parametrize("threshold", [0.7, 0.8, 0.9])
def test_copies_are_those_of_comparing_all_pairs(
    threshold: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = _clusters(600, seed=3)
    expected = _by_comparing_all(texts, threshold)
    assert 20 < sum(answer >= 0 for answer in expected) < 595
    assert near.near_duplicates(texts, threshold) == expected
    # Blocks of a few texts, shrunk again and again, in which pairs come a few at a time.
    monkeypatch.setattr(near, "FIRST_BLOCK", 4)
    monkeypatch.setattr(near, "MOST_PAIRS", 60)
    monkeypatch.setattr(near, "PAIRS_AT_ONCE", 7)
    assert near.near_duplicates(texts, threshold) == expected


def test_pairs_at_the_threshold_are_hardly_ever_missed() -> None:
    for threshold in np.arange(0.3, 1.0, 0.05).tolist():
        cut = near.banding(threshold)
        assert cut.bands * cut.rows <= near.PERMUTATIONS
        assert (1 - threshold**cut.rows) ** cut.bands < 1e-5


def pairs_looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by the number of pairs whenever some are looked at."""
    counts: list[int] = []
    original = near._Search._filtered

    def counted(self: near._Search, later: near.Places, earlier: near.Places) -> object:
        counts.append(len(later))
        return original(self, later, earlier)

    monkeypatch.setattr(near._Search, "_filtered", counted)
    return counts


def test_templated_texts_are_not_compared_each_with_each(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [text for text, _ in templated(3000)]
    looked_at = pairs_looked_at(monkeypatch)
    near.near_duplicates(texts, 0.9)
    assert sum(looked_at) < 0.01 * len(texts) ** 2 / 2


def test_a_text_copied_a_thousand_times_is_compared_with_the_one_that_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(near, "FIRST_BLOCK", 50)
    long = "the quick brown fox jumps over the lazy dog and finds that shampoo rather good " * 4
    texts = [f"{long} {number}" for number in range(2000)]
    looked_at = pairs_looked_at(monkeypatch)
    assert near.near_duplicates(texts, 0.8) == [-1] + [0] * 1999
    bands = near.banding(0.8).bands
    assert sum(looked_at) < bands * (50 * 50 + 2 * len(texts))
