"""A change that was computed on an aligned face, put back into the photo at its own resolution."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from beauty_models.makeup.alignment import Alignment

Photo = NDArray[np.uint8]  # [h, w, 3] sRGB
Plane = NDArray[np.float32]  # [h, w]

LEVELS = 127.5  # of 0 to 255, in one unit of pixels -1 to 1
SHRUNK = 1.5  # pixels of the change for one of the photo, from which it is blurred before


def box_of(mask: NDArray[Any]) -> tuple[slice, slice] | None:
    """Return the rows and columns of the smallest box around what is not 0; None where all is."""
    chosen = (mask > 0).astype(np.uint8)
    x, y, width, height = cv2.boundingRect(chosen)
    if not width:
        return None
    rows = slice(y, y + height)
    columns = slice(x, x + width)
    return rows, columns


def blend(photo: Photo, changed: NDArray[np.float32], alpha: Plane) -> Photo:
    """Return ``photo`` with as much of ``changed``, 0 to 255, as ``alpha`` says.

    A pixel whose alpha is 0 keeps its bytes.
    """
    weight = alpha[..., None]
    mixed = photo + weight * (changed - photo)
    rounded = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    # Not left to the arithmetic: what rounds to the same byte today may not with another numpy.
    return np.where(weight > 0, rounded, photo)


def apply(
    photo: Photo, alignment: Alignment, delta: NDArray[np.float32], soft_mask: Plane
) -> Photo:
    """Return ``photo`` [h, w, 3] with the change ``delta`` [S, S, 3] of an aligned face.

    The photo's own texture stays under it, for only the change is enlarged. Every pixel where
    ``soft_mask`` [h, w] is 0 keeps its bytes.

    Args:
        photo: sRGB.
        alignment: of a crop of ``delta``'s size.
        delta: difference of pixels -1 to 1.
        soft_mask: how much of the change is wanted, 0 to 1.
    """
    assert photo.shape[:2] == soft_mask.shape
    composed = photo.copy()
    box = box_of(soft_mask)
    if box is None:
        return composed
    # Only the face's box is computed: of an 8,000 pixel photo it may be a hundredth.
    rows, columns = box
    change = _enlarged(alignment, delta, rows, columns)
    part = photo[box]
    changed = part + LEVELS * change
    composed[box] = blend(part, changed, soft_mask[box])
    return composed


def _enlarged(
    alignment: Alignment, delta: NDArray[np.float32], rows: slice, columns: slice
) -> NDArray[np.float32]:
    """Return ``delta`` as it lies in the photo's box of ``rows`` and ``columns``."""
    matrix = alignment.pixels(len(delta))
    # Where the photo is the smaller one pixels are left out: a blur of that width comes before.
    scale = float(np.hypot(*matrix[:, 0]))
    if scale > SHRUNK:
        blurred = cv2.GaussianBlur(delta, (0, 0), 0.4 * scale)
        delta = np.asarray(blurred, np.float32)
    corner = (columns.start, rows.start)
    matrix[:, 2] += matrix[:, :2] @ corner
    width = columns.stop - columns.start
    height = rows.stop - rows.start
    # The matrix leads from photo to crop: the inverse of the way that the change goes.
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    change = np.ascontiguousarray(delta, np.float32)
    warped = cv2.warpAffine(change, matrix, (width, height), flags=flags)
    return np.asarray(warped, np.float32)
