"""Batches of row numbers: shuffled ones for training, sorted ones where nothing is learned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import numpy as np
import torch

from beauty_models.training.losses import class_weights

Batch = np.ndarray[tuple[int], np.dtype[np.int64]]  # row numbers [n]
Lengths = np.ndarray[tuple[int], np.dtype[np.int64]]  # of each row [n], in tokens or places


def length_bucketed_batches(
    lengths: Lengths,
    size: int,
    seed: int,
    epoch: int,
    pool: int = 64,
) -> list[Batch]:
    """Return shuffled batches of row numbers in which lengths are alike.

    Little is then spent on padding. Rows are shuffled, sorted by length within pools of ``pool``
    batches, cut, and the batches shuffled.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(lengths))
    batches = []
    for start in range(0, len(order), size * pool):
        rows = order[start : start + size * pool]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches += [rows[i : i + size] for i in range(0, len(rows), size)]
    # else every pool would begin with its shortest rows
    return [batches[i] for i in random.permutation(len(batches))]


def batches_by_length(lengths: Lengths, size: int) -> Iterator[Batch]:
    """Yield all rows once, longest first, ``size`` at a time."""
    # the largest batch comes first, so that a lack of memory shows at once
    order = np.argsort(-lengths, kind="stable")
    for start in range(0, len(order), size):
        yield order[start : start + size]


def passes_per_epoch(steps_per_pass: int, epochs: int, min_steps: int) -> int:
    """Return how often an epoch passes over the data: once, or more often over little data.

    All ``epochs`` together then have ``min_steps`` steps at least.
    """
    once = max(1, steps_per_pass * epochs)
    # rounded up
    return max(1, -(-min_steps // once))


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
    per_class = class_weights(labels[labels >= 0])
    # a negative label picks some class's weight here, which `where` then drops
    weights = torch.where(labels >= 0, per_class[labels], 1.0).double().numpy()
    probabilities = weights / weights.sum()
    drawn: Batch = random.choice(len(weights), len(weights), p=probabilities)
    return drawn
