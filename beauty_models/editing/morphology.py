"""Masks grown by a disk, as cut-outs and recoloring need it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def disk(radius: int) -> NDArray[np.uint8]:
    """Return a disk of ``radius`` pixels, in a square of 2 × radius + 1."""
    side = 2 * radius + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def grown(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """Return ``mask`` [h, w] and all within so many ``pixels`` of it."""
    return cv2.dilate(mask.astype(np.uint8), disk(pixels)).astype(bool)
