"""Columns that slipped by a row: each text beside the translation of its neighbour.

Nothing is wrong with such a text by itself. But a long text has a long translation: where lengths
agree with those of the next row and not with their own, somebody lost a cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from beauty_models.translate.checks import latin_size
from beauty_models.translate.deliveries import Unit

WINDOW = 60  # rows that are looked at together; a cell may be lost in the middle of a file
FARTHEST = 3  # rows by which a column is looked for above and below
# Correlation of lengths. No window of 22,888 real units in 8 languages is both unlike its own row
# and that much more like another.
CLEAR_LEAD = 0.4
UNLIKE = 0.3

Sizes = NDArray[np.float64]
"""Logarithm of each text's length, NaN where there is no text."""

Windows = list[slice]


def find_shifts(units: Sequence[Unit]) -> dict[int, dict[str, str]]:
    """Return number of a unit → language → why its text is another row's.

    ``units`` are those of one file, in its order. Of several languages that one is at fault that
    disagrees with most of the others; of two, both are.
    """
    sizes = _log_sizes(units)
    windows = _windows(len(units))
    # language → windows in which it slipped, and by how many rows
    slipped: dict[str, dict[int, int]] = {}
    for place, window in enumerate(windows):
        for tag, offset in _shifted(sizes, window, UNLIKE, CLEAR_LEAD).items():
            slipped.setdefault(tag, {})[place] = offset
    found: dict[int, dict[str, str]] = {}
    for tag, offsets in slipped.items():
        first = min(offsets)
        reason = _reason(offsets[first])
        # what lies between two windows that slipped did, too, though it may not show
        last = _end(sizes, windows, tag, max(offsets))
        stop = min(windows[last].stop, len(units))
        for number in range(windows[first].start, stop):
            found.setdefault(number, {})[tag] = reason
    return found


def _reason(offset: int) -> str:
    side = "above" if offset < 0 else "below"
    return f"misaligned: its lengths are those of the row {abs(offset)} {side}, a cell is lost"


def _windows(count: int) -> Windows:
    """Return the windows of ``count`` rows; the last one is full, too: it begins earlier."""
    last = max(0, count - WINDOW)
    windows = [slice(first, first + WINDOW) for first in range(0, last, WINDOW)]
    windows.append(slice(last, last + WINDOW))
    return windows


def _end(sizes: dict[str, Sizes], windows: Windows, tag: str, last: int) -> int:
    """Return the last window in which ``tag`` slipped, from ``last`` on.

    Once it is known that a cell is lost, less will do to believe it of the rows below.
    """
    while last + 1 < len(windows):
        if tag not in _shifted(sizes, windows[last + 1], unlike=1.0, lead=0.0):
            break
        last += 1
    return last


def _log_sizes(units: Sequence[Unit]) -> dict[str, Sizes]:
    """Return language → the sizes of its texts, one for each unit."""
    sizes: dict[str, Sizes] = {}
    for place, unit in enumerate(units):
        for tag, text in unit.good().items():
            if tag not in sizes:
                sizes[tag] = np.full(len(units), np.nan)
            sizes[tag][place] = np.log(latin_size(text, tag))
    return sizes


def _shifted(sizes: dict[str, Sizes], window: slice, unlike: float, lead: float) -> dict[str, int]:
    """Return language → by how many rows it slipped, within ``window``; as `_offset`."""
    against: dict[str, list[int]] = {tag: [] for tag in sizes}
    for one, other in combinations(sizes, 2):
        offset = _offset(sizes[one], sizes[other], window, unlike, lead)
        if offset:
            against[one].append(-offset)
            against[other].append(offset)
    enough = (len(sizes) - 1) / 2
    shifted = {}
    for tag, offsets in against.items():
        if len(offsets) > enough:
            shifted[tag] = offsets[0]
    return shifted


def _offset(one: Sizes, other: Sizes, window: slice, unlike: float, lead: float) -> int:
    """Return by how many rows ``other`` lies off ``one``; 0 where it does not, or nobody knows.

    Args:
        one: sizes of the whole column, as the other one's.
        other: the column that may have slipped.
        window: rows of ``one``.
        unlike: correlation up to which the rows themselves may be no translations.
        lead: by how much that with other rows has to be larger.
    """
    own = _correlation(one[window], other[window])
    if own is None or own > unlike:
        return 0
    best = 0
    least = own + lead
    for offset in range(-FARTHEST, FARTHEST + 1):
        start = window.start + offset
        stop = window.stop + offset
        if not offset or start < 0 or stop > len(other):
            continue
        found = _correlation(one[window], other[start:stop])
        if found is not None and found > least:
            best = offset
            least = found
    return best


def _correlation(a: Sizes, b: Sizes) -> float | None:
    """Return Pearson's correlation of the rows that both have; None where too few tell."""
    if len(a) != len(b):
        return None
    both = ~(np.isnan(a) | np.isnan(b))
    if both.sum() < WINDOW // 2:
        return None
    x = a[both]
    y = b[both]
    # texts that are all equally long say nothing
    if x.std() < 0.1 or y.std() < 0.1:
        return None
    return float(np.corrcoef(x, y)[0, 1])
