"""Masks as people deliver them: what is white in them is meant.

A matte (of a product, soft) and a hole (to be filled, sharp) are read by the same rules; what can
only be a mistake is told, not guessed.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from beauty_models.intake.images import FORMATS, BadImageError, upright
from beauty_models.intake.masks import open_mask

Mask = NDArray[np.uint8]  # 0 to 255 [h, w]

SAME_SHAPE = 0.01  # difference of two ratios of width to height that still are one
HALF = 128  # from here on a pixel is in the hole
GREY_SHARE = 0.02  # of a hole's pixels that may be grey: soft edges, not a drawing
INVERTED_SHARE = 0.5  # a mask is taken for inverted from this share of white on …
INVERTED_MARGIN = 0.9  # … if as much of the photo's margin is white


def _told(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]} pixels"


def read(content: bytes, size: tuple[int, int], max_pixels: int) -> tuple[Mask, list[str]]:
    """Return a mask file as levels [h, w] at the photo's ``size`` (width, height), and notes.

    Grey, color, 16 bits, a palette, 0 and 1 are read; of a transparent file it is the alpha. A mask
    of another size is scaled when its shape is the photo's.

    Raises:
        BadImageError: it is no picture, has another shape, or is of one level throughout.
    """
    image = upright(open_mask(content, FORMATS, max_pixels))
    notes = []
    mask_shape = image.width / image.height
    if abs(mask_shape / (size[0] / size[1]) - 1) > SAME_SHAPE:
        raise BadImageError(
            f"the mask has {_told(image.size)}, the photo {_told(size)}: it needs the same shape"
        )
    levels = _levels(image)
    if levels.max(initial=0) == 1:
        levels = levels * np.uint8(255)
        notes.append("the mask's numbers are 0 and 1: 1 is taken for white")
    if levels.max(initial=0) == 0:
        raise BadImageError("the mask is black throughout: white marks what is meant")
    if levels.min(initial=255) == 255:
        raise BadImageError("the mask is white throughout: black marks what is not meant")
    if image.size != size:
        notes.append(f"the mask has {_told(image.size)} and was scaled to the photo's")
        levels = np.asarray(cv2.resize(levels, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    return levels, notes


def _levels(image: Image.Image) -> Mask:
    """Return a mask's levels, 0 to 255."""
    if image.has_transparency_data:
        alpha = np.asarray(image.convert("RGBA").getchannel("A"), np.uint8)
        # An opaque picture with an alpha channel is drawn in its colors.
        if alpha.min(initial=255) < 255:
            return alpha
    if image.mode.startswith(("I", "F")):
        values: NDArray[Any] = np.asarray(image, np.float64)
        largest = values.max(initial=0)
        # 16 bits have 65,535 for white; what has no more than 255 is of 8 bits in a larger type.
        white = 65535 if largest > 255 else 255
        return np.clip(np.rint(values * 255 / white), 0, 255).astype(np.uint8)
    return np.asarray(image.convert("L"), np.uint8)


def looks_inverted(mask: Mask) -> bool:
    """Return whether white seems to be what is not meant: most of the mask, and all around it."""
    white = mask >= HALF
    margin = np.concatenate([white[0], white[-1], white[:, 0], white[:, -1]])
    return bool(white.mean() >= INVERTED_SHARE and margin.mean() >= INVERTED_MARGIN)


def as_hole(mask: Mask) -> tuple[NDArray[np.bool_], list[str]]:
    """Return which pixels are to be filled, and notes.

    Raises:
        BadImageError: it seems to be inverted.
    """
    if looks_inverted(mask):
        share = float((mask >= HALF).mean())
        raise BadImageError(
            f"the mask seems to be inverted: {share:.0%} of it is white, all around as well, and "
            "white is what is filled; --invert turns it"
        )
    notes = []
    grey = float(((mask > 8) & (mask < 247)).mean())
    if grey > GREY_SHARE:
        notes.append(f"{grey:.0%} of the mask is grey: lighter than middle grey is filled")
    hole = mask >= HALF
    if not hole.any():
        raise BadImageError("nothing in the mask is lighter than middle grey: nothing to fill")
    return hole, notes
