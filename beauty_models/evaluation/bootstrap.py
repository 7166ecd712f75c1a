"""How sure a metric is: bootstrap intervals over rows or groups, and Wilson's of a share.

A score is a function of a weighted table ``(rows, weights)`` because resampling with replacement
only changes how often a row counts (Efron & Tibshirani 1993, *An Introduction to the Bootstrap*,
chapters 6, 13 and 16). Rows that are equal share one weight, drawn from a multinomial: a thousand
resamples of a million labels cost no more than those of ten. To compare two models on the same rows
(the paired bootstrap), put both models' columns side by side and let the score be a difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Score = Callable[[NDArray[Any], Floats], Floats]
"""(rows [m, columns], weights [resamples, m]) → score [resamples]."""


AT_ONCE = 10_000_000  # weights held in memory at once (80 MB)


class Interval(NamedTuple):
    """The ends of an interval."""

    low: float
    high: float


def _weights(
    row: NDArray[np.int64], groups: NDArray[np.int64] | None, resamples: int, seed: int
) -> Iterator[Floats]:
    """Yield the weights of the distinct rows, [some of the resamples, distinct rows] at a time."""
    random = np.random.default_rng(seed)
    distinct = int(row.max()) + 1
    if groups is None:
        units = len(row)
        kinds = None
        kind_counts = np.bincount(row)
    else:
        units = int(groups.max()) + 1
        rows_of_groups = np.zeros((units, distinct))
        np.add.at(rows_of_groups, (groups, row), 1)
        # Groups that hold the same rows share one weight, as equal rows do.
        kinds, kind_counts = np.unique(rows_of_groups, axis=0, return_counts=True)
    # A generator hands out the same numbers in one draw or in several: how much memory there is
    # changes no interval.
    at_once = max(1, AT_ONCE // max(distinct, len(kind_counts)))
    for start in range(0, resamples, at_once):
        size = min(at_once, resamples - start)
        drawn = random.multinomial(units, kind_counts / units, size=size).astype(float)
        yield drawn if kinds is None else drawn @ kinds


def bootstrap(
    rows: NDArray[Any],
    score: Score,
    *,
    groups: NDArray[Any] | None = None,
    resamples: int,
    confidence: float,
    seed: int,
) -> Interval:
    """Return the percentile interval of ``score`` over ``rows`` [n, columns].

    ``groups`` [n] names the product (person, ...) of each row: whole groups are resampled, because
    rows of one group are alike and would make the interval too narrow.
    """
    assert len(rows), "no rows, no interval"
    distinct, index = np.unique(rows, axis=0, return_inverse=True)
    group = None
    if groups is not None:
        group = np.unique(groups, return_inverse=True)[1]
    blocks = _weights(index.reshape(-1), group, resamples, seed)
    values = np.concatenate([score(distinct, weights) for weights in blocks])
    tail = (1 - confidence) / 2
    # A score is NaN in a resample that lacks what it counts; the interval is that of the others.
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return Interval(float(low), float(high))


def ratio(top: NDArray[Any], bottom: NDArray[Any]) -> Floats:
    """Return ``top / bottom``, NaN where ``bottom`` is 0."""
    undefined = np.full(np.shape(bottom), np.nan)
    quotient: Floats = np.divide(top, bottom, out=undefined, where=np.asarray(bottom) > 0)
    return quotient


def difference(score: Score, first: list[int], second: list[int]) -> Score:
    """Return the score of the columns ``first`` minus that of the columns ``second``."""

    def lead(rows: NDArray[Any], weights: Floats) -> Floats:
        ours = score(rows[:, first], weights)
        theirs = score(rows[:, second], weights)
        return ours - theirs

    return lead


def point_estimate(score: Score, rows: NDArray[Any]) -> float:
    """Return ``score`` of ``rows`` as they are, each counted once."""
    return float(score(rows, np.ones((1, len(rows))))[0])


def mean(rows: NDArray[Any], weights: Floats) -> Floats:
    """Score: the mean of the single column."""
    return np.asarray(weights @ rows[:, 0] / weights.sum(1))


def wilson(hits: Floats, n: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Return the interval of the share ``hits / n``, 0 to 1 where n is 0 (Wilson 1927)."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    # With n = 0 the share cancels out of both formulas; 0.5 stands in so that no NaN spreads.
    share = np.nan_to_num(ratio(hits, n), nan=0.5)
    centre = (share * n + z * z / 2) / (n + z * z)
    spread = np.sqrt(share * (1 - share) * n + z * z / 4)
    half = z / (n + z * z) * spread
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)
