"""Columns that slipped by a row: each text beside the translation of its neighbour.

Nothing is wrong with such a text by itself. But a long text has a long translation: where lengths
agree with those of the next row and not with their own, somebody lost a cell.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from beauty_models.translate.checks import latin_size
from beauty_models.translate.deliveries import Unit

WINDOW = 60  # rows that are looked at together; a cell may be lost in the middle of a file
FARTHEST = 3  # rows by which a column is looked for above and below
# Correlation of lengths. Of 22,888 real units in 8 languages no window has less than 0.4 with its
# own row and 0.4 more with another.
CLEAR_LEAD = 0.4
UNLIKE = 0.3

Sizes = NDArray[np.float64]


def find_shifts(units: Sequence[Unit]) -> dict[int, dict[str, str]]:
    """Return number of a unit → language → why its text is another row's.

    ``units`` are those of one file, in its order. Of several languages that one is at fault that
    disagrees with most of the others; of two, both are.
    """
    tags = list(dict.fromkeys(tag for unit in units for tag in unit.good()))
    sizes = {tag: _log_sizes(units, tag) for tag in tags}
    # the last window is a full one, too: it begins earlier
    last = max(0, len(units) - WINDOW)
    windows = [slice(first, first + WINDOW) for first in (*range(0, last, WINDOW), last)]
    slipped: dict[str, list[tuple[int, int]]] = {}
    for place, window in enumerate(windows):
        for tag, offset in _shifted(sizes, window, UNLIKE, CLEAR_LEAD).items():
            slipped.setdefault(tag, []).append((place, offset))
    found: dict[int, dict[str, str]] = {}
    for tag, places in slipped.items():
        offset = places[0][1]
        where = f"{abs(offset)} {'above' if offset < 0 else 'below'}"
        reason = f"misaligned: its lengths are those of the row {where}, a cell is lost"
        end = places[-1][0]
        # once it is known that a cell is lost, less will do to believe it of the rows below
        while end + 1 < len(windows) and tag in _shifted(sizes, windows[end + 1], 1.0, 0.0):
            end += 1
        # what lies between two windows that slipped did, too, though it may not show
        for number in range(windows[places[0][0]].start, min(windows[end].stop, len(units))):
            found.setdefault(number, {})[tag] = reason
    return found


def _log_sizes(units: Sequence[Unit], tag: str) -> Sizes:
    """Return the logarithm of each text's length, NaN where there is none."""
    sizes = np.full(len(units), np.nan)
    for place, unit in enumerate(units):
        text = unit.good().get(tag)
        if text:
            sizes[place] = np.log(latin_size(text, tag))
    return sizes


def _shifted(sizes: dict[str, Sizes], window: slice, unlike: float, lead: float) -> dict[str, int]:
    """Return language → by how many rows it slipped, within ``window``; as `_offset`."""
    against: dict[str, list[int]] = {tag: [] for tag in sizes}
    tags = list(sizes)
    for place, one in enumerate(tags):
        for other in tags[place + 1 :]:
            offset = _offset(sizes[one], sizes[other], window, unlike, lead)
            if offset:
                against[one].append(-offset)
                against[other].append(offset)
    enough = (len(tags) - 1) / 2
    return {tag: offsets[0] for tag, offsets in against.items() if len(offsets) > enough}


def _offset(one: Sizes, other: Sizes, window: slice, unlike: float, lead: float) -> int:
    """Return by how many rows ``other`` lies off ``one``; 0 where it does not, or nobody knows.

    Args:
        unlike: correlation up to which the rows themselves may be no translations.
        lead: by how much that with other rows has to be larger.
    """
    own = _correlation(one[window], other[window])
    if own is None or own > unlike:
        return 0
    best = 0
    for offset in range(-FARTHEST, FARTHEST + 1):
        start, stop = window.start + offset, window.stop + offset
        if not offset or start < 0 or stop > len(other):
            continue
        found = _correlation(one[window], other[start:stop])
        if found is not None and found - own > lead:
            best = offset
            lead = found - own
    return best


def _correlation(a: Sizes, b: Sizes) -> float | None:
    """Return Pearson's correlation of the rows that both have; None where too few tell."""
    if len(a) != len(b):
        return None
    both = ~(np.isnan(a) | np.isnan(b))
    if both.sum() < WINDOW // 2:
        return None
    x, y = a[both], b[both]
    # texts that are all equally long say nothing
    if x.std() < 0.1 or y.std() < 0.1:
        return None
    return float(np.corrcoef(x, y)[0, 1])
