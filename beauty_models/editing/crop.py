"""Fill holes in photos of any size with a network that sees small squares.

The network works in a window that moves along the hole, at the photo's own resolution where the
hole is narrow enough for that, else at a lower one. Only what lies in the hole is taken from it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from beauty_models.editing.extent import Box, extent

Picture = NDArray[np.uint8]  # sRGB [h, w, 3]
Hole = NDArray[np.bool_]  # [h, w]
Filler = Callable[[NDArray[np.uint8], NDArray[np.bool_]], NDArray[np.uint8]]
"""(photos [n, side, side, 3], holes [n, side, side]) → photos; what is no hole keeps its bytes."""

SIGHT = 0.55  # of a window's side, that a hole may be wide: the rest is what it is filled by
KEPT = 0.125  # of a window's side: what is nearer to its edge is left to the next window


class Filled(NamedTuple):
    """A photo without its hole."""

    image: Picture
    scale: float  # at which the network saw it, 1 is the photo's own resolution


def inpaint_large(photo: Picture, hole: Hole, filler: Filler, side: int) -> Filled:
    """Return ``photo`` with ``hole`` filled by a ``filler`` of squares of ``side`` pixels.

    Every pixel outside of the hole is the photo's.

    Raises:
        ValueError: sizes differ, the hole is empty, or it is the whole photo.
    """
    _check(photo, hole)
    # Whatever the photo is as a whole, no more is needed than the hole and what is around it.
    padded = np.pad(hole.astype(np.uint8), 1)
    width = 2 * float(cv2.distanceTransform(padded, cv2.DIST_L2, 5).max())
    scale = min(1.0, SIGHT * side / width)
    around = extent(hole, round(side / scale))
    seen = photo[around]
    missing = hole[around]
    small, small_hole = _shrunk(seen, missing, scale)
    filled = _fill_windows(small, small_hole, filler, side)
    height, width_px = missing.shape
    if filled.shape[:2] != missing.shape:
        filled = np.asarray(
            cv2.resize(filled, (width_px, height), interpolation=cv2.INTER_CUBIC), np.uint8
        )
    result = photo.copy()
    result[around] = np.where(missing[..., None], filled, seen)
    return Filled(result, scale)


def _check(photo: Picture, hole: Hole) -> None:
    if photo.shape[:2] != hole.shape:
        height, width = hole.shape
        raise ValueError(
            f"the hole has {width} × {height} pixels, the photo "
            f"{photo.shape[1]} × {photo.shape[0]}: they need one size"
        )
    if not hole.any():
        raise ValueError("the hole is empty: there is nothing to fill")
    if hole.all():
        raise ValueError("the hole covers the whole photo: there is nothing to fill it from")


def _shrunk(image: Picture, hole: Hole, scale: float) -> tuple[Picture, Hole]:
    """Return a photo and its hole at ``scale``; no pixel of it holds anything of the hole."""
    if scale == 1:
        return image, hole
    height, width = hole.shape
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    known = (~hole).astype(np.float32)
    weight = cv2.resize(known, size, interpolation=cv2.INTER_AREA)
    total = cv2.resize(image * known[..., None], size, interpolation=cv2.INTER_AREA)
    mean = total / np.maximum(weight, 1e-6)[..., None]
    return np.rint(np.clip(mean, 0, 255)).astype(np.uint8), weight < 0.5


def _fill_windows(image: Picture, hole: Hole, filler: Filler, side: int) -> Picture:
    """Return ``image`` with its hole filled in squares of ``side`` pixels, one after the other."""
    height, width = hole.shape
    rows = max(0, side - height)
    columns = max(0, side - width)
    # A photo smaller than the window is continued by its own mirror image.
    result = np.pad(image, ((0, rows), (0, columns), (0, 0)), "symmetric")
    open_pixels = np.pad(hole, ((0, rows), (0, columns)), "symmetric")
    edge = int(KEPT * side)
    while open_pixels.any():
        window = _next_window(open_pixels, side)
        filled = filler(result[window][None], open_pixels[window][None])[0]
        # The middle of the window has been seen from all sides; at the photo's own edge there is
        # nothing more to be seen.
        taken = np.zeros_like(open_pixels)
        taken[_inner(window, edge, open_pixels.shape)] = True
        taken &= open_pixels
        result[taken] = filled[taken[window]]
        open_pixels &= ~taken
    return result[:height, :width]


def _next_window(open_pixels: Hole, side: int) -> Box:
    """Return the square around what is open, or around the first part of it."""
    rows = np.flatnonzero(open_pixels.any(1))
    top = int(rows[0])
    # All of a hole that fits is seen at once; of a longer one the upper left part comes first.
    reach = open_pixels[top : top + side // 2]
    columns = np.flatnonzero(reach.any(0))
    left = int(columns[0])
    height = min(int(rows[-1]) - top, side // 2)
    width = min(int(columns[-1]) - left, side // 2)
    starts = []
    for first, span, length in zip((top, left), (height, width), open_pixels.shape, strict=True):
        middle = first + span // 2
        starts.append(min(max(0, middle - side // 2), length - side))
    return slice(starts[0], starts[0] + side), slice(starts[1], starts[1] + side)


def _inner(window: Box, edge: int, shape: tuple[int, ...]) -> Box:
    """Return a window without its edge, which it keeps where it is the photo's own."""
    inner = []
    for part, length in zip(window, shape, strict=True):
        first = part.start + (edge if part.start > 0 else 0)
        last = part.stop - (edge if part.stop < length else 0)
        inner.append(slice(first, last))
    return inner[0], inner[1]
