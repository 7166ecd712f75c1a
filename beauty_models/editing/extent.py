"""The box of a mask, as the slices that cut it out of an array."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = tuple[slice, slice]
"""Rows and columns."""


def extent(mask: NDArray[Any], margin: int = 0) -> Box:
    """Return the smallest box around what is set in ``mask`` [h, w], and ``margin`` more.

    It ends at the mask's edges. There must be something set.
    """
    box = []
    for axis in (1, 0):
        places = np.flatnonzero(mask.any(axis))
        first = int(places[0]) - margin
        end = int(places[-1]) + 1 + margin
        box.append(slice(max(0, first), min(end, mask.shape[1 - axis])))
    return box[0], box[1]
