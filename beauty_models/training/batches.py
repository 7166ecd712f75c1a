"""Batches of rows whose lengths are alike: shuffled ones for training, sorted ones where nothing is learned."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

Batch = np.ndarray[tuple[int], np.dtype[np.int64]]


def batches(
    lengths: np.ndarray[tuple[int], np.dtype[np.int64]],
    size: int,
    seed: int,
    epoch: int,
    pool: int = 64,
) -> list[Batch]:
    """Return shuffled batches of row numbers in which lengths are alike, so that little is spent on padding.

    Rows are shuffled, sorted by length within pools of ``pool`` batches, cut, and the batches shuffled.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(lengths))
    found = []
    for start in range(0, len(order), size * pool):
        part = order[start : start + size * pool]
        part = part[np.argsort(lengths[part], kind="stable")]
        found += [part[i : i + size] for i in range(0, len(part), size)]
    return [found[i] for i in random.permutation(len(found))]


def by_length(lengths: np.ndarray[tuple[int], np.dtype[np.int64]], size: int) -> Iterator[Batch]:
    """Yield all rows once, longest first (the largest batch meets the memory limit at once), ``size`` at a time."""
    order = np.argsort(-lengths, kind="stable")
    for start in range(0, len(order), size):
        yield order[start : start + size]
