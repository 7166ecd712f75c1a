"""Batches of rows whose lengths are alike: shuffled ones for training, sorted ones where nothing is learned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import numpy as np
import torch

from beauty_models.training.losses import class_weights

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


def passes_per_epoch(once: int, epochs: int, min_steps: int) -> int:
    """Return how often an epoch passes over the data, which takes ``once`` steps.

    All ``epochs`` together then have ``min_steps`` steps at least.
    """
    return max(1, -(-min_steps // max(1, once * epochs)))


def repeat_passes(
    one_pass: Callable[[int], Sequence[Batch]], passes: int, epoch: int
) -> list[Batch]:
    """Return the batches of ``epoch``, which passes ``passes`` times over the data.

    ``one_pass`` returns the batches of a pass, given its number: passes are counted through all
    epochs, so that each has an order of its own.
    """
    numbers = range(epoch * passes, (epoch + 1) * passes)
    return list(chain.from_iterable(map(one_pass, numbers)))


def class_balanced_sample(labels: torch.Tensor, random: np.random.Generator) -> Batch:
    """Return n row numbers, drawn so that all classes of ``labels`` [n] are equally frequent.

    A row without a label (negative) has weight 1, as a row of a class of average size has.
    """
    labelled = class_weights(labels[labels >= 0])
    weights = torch.where(labels >= 0, labelled[labels], 1.0).double().numpy()
    drawn: Batch = random.choice(len(weights), len(weights), p=weights / weights.sum())
    return drawn
