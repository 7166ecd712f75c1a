"""Fills that learn nothing: what an inpainter must beat, and what serves where it does not.

Each takes a photo, uint8 [h, w, 3], and its hole, bool [h, w], and returns the photo with something
in the hole. Outside of it every pixel is the photo's.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Hole = NDArray[np.bool_]
Fill = Callable[[Picture, Hole], Picture]

RADIUS = 3  # pixels around a hole's edge that OpenCV's fills look at
PATCH = 5  # pixels a side of the patches that are compared
SOURCES = 1200  # whole patches that a patch with a hole is compared with, spread over the photo
TARGETS = 4096  # patches compared at once: 4096 × 1200 distances are 20 MB
SMALLEST = 16  # pixels a side at which the patch fill begins
ROUNDS = 3  # of search and vote at each scale


def _checked(image: Picture, hole: Hole) -> None:
    """Refuse what leaves nothing to fill from.

    Raises:
        ValueError: the hole has another size, or covers the whole photo.
    """
    if image.shape[:2] != hole.shape:
        height, width = hole.shape
        raise ValueError(
            f"the hole has {width} × {height} pixels, the photo "
            f"{image.shape[1]} × {image.shape[0]}: they need one size"
        )
    if hole.all():
        raise ValueError("the hole covers the whole photo: there is nothing to fill it from")


def _within(image: Picture, hole: Hole, filled: NDArray[np.uint8]) -> Picture:
    """Return ``image`` with ``filled`` in the hole only."""
    return np.where(hole[..., None], filled, image)


def mean_fill(image: Picture, hole: Hole) -> Picture:
    """Fill with the mean color of what is known."""
    _checked(image, hole)
    mean = np.rint(image[~hole].mean(0)).astype(np.uint8)
    return _within(image, hole, np.broadcast_to(mean, image.shape))


def telea(image: Picture, hole: Hole) -> Picture:
    """Fill from the edge inwards by fast marching (Telea 2004), as OpenCV does."""
    _checked(image, hole)
    return _inpainted(image, hole, cv2.INPAINT_TELEA)


def navier_stokes(image: Picture, hole: Hole) -> Picture:
    """Continue lines of equal brightness (Bertalmio et al. 2001), as OpenCV does."""
    _checked(image, hole)
    return _inpainted(image, hole, cv2.INPAINT_NS)


def _inpainted(image: Picture, hole: Hole, method: int) -> Picture:
    # OpenCV 5 looks at pixels of the hole where that touches the photo's edge: what is there must
    # say nothing of the truth.
    blank = mean_fill(image, hole)
    filled = cv2.inpaint(blank, hole.astype(np.uint8), RADIUS, method)
    return _within(image, hole, np.asarray(filled, np.uint8))


def patch(image: Picture, hole: Hole) -> Picture:
    """Fill with what the photo shows elsewhere: search and vote over scales (Wexler et al. 2007).

    From coarse to fine, each patch that touches the hole takes the whole patch of the photo that is
    nearest, and each pixel of the hole the mean of what the patches around it say. The search is
    exhaustive over `SOURCES` patches rather than PatchMatch's: faster below some 200 pixels a side.
    """
    _checked(image, hole)
    if not hole.any():
        return image.copy()
    scales = [(image.astype(np.float32), hole)]
    while min(scales[-1][0].shape[:2]) >= 2 * SMALLEST:
        scales.append(_halved(*scales[-1]))
    coarsest, coarsest_hole = scales[-1]
    if coarsest_hole.all():
        return _inpainted(image, hole, cv2.INPAINT_NS)
    levels = np.clip(np.rint(coarsest), 0, 255).astype(np.uint8)
    guess = _inpainted(levels, coarsest_hole, cv2.INPAINT_NS).astype(np.float32)
    for known, missing in reversed(scales):
        height, width = missing.shape
        if guess.shape[:2] != missing.shape:
            larger = cv2.resize(guess, (width, height), interpolation=cv2.INTER_LINEAR)
            guess = np.asarray(larger, np.float32)
        guess = np.where(missing[..., None], guess, known)
        guess = _improved(guess, missing)
    return _within(image, hole, np.clip(np.rint(guess), 0, 255).astype(np.uint8))


def _halved(image: NDArray[np.float32], hole: Hole) -> tuple[NDArray[np.float32], Hole]:
    """Return a picture and its hole at half the size; a pixel is the mean of what it has known."""
    height, width = hole.shape
    size = (max(1, width // 2), max(1, height // 2))
    known = (~hole).astype(np.float32)
    weight = cv2.resize(known, size, interpolation=cv2.INTER_AREA)
    total = cv2.resize(image * known[..., None], size, interpolation=cv2.INTER_AREA)
    smaller = total / np.maximum(weight, 1e-6)[..., None]
    # A pixel of which most is known is known: else holes would grow with every scale.
    return smaller.astype(np.float32), weight < 0.5


def _patches(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the patch around each pixel, [h, w, 3, `PATCH`, `PATCH`]; the picture is mirrored."""
    margin = PATCH // 2
    padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), "symmetric")
    return sliding_window_view(padded, (PATCH, PATCH), (0, 1))


def _improved(guess: NDArray[np.float32], hole: Hole) -> NDArray[np.float32]:
    """Return ``guess`` after `ROUNDS` of search and vote."""
    square = np.ones((PATCH, PATCH), np.uint8)
    touched = cv2.dilate(hole.astype(np.uint8), square).astype(bool)
    whole = np.flatnonzero(~touched)
    if not whole.size:
        return guess
    step = -(-whole.size // SOURCES)
    count = guess.shape[0] * guess.shape[1]
    rows = np.flatnonzero(touched)
    sources = _patches(guess).reshape(count, -1)[whole[::step]]
    source_squares = np.square(sources).sum(1)
    for _ in range(ROUNDS):
        targets = _patches(guess).reshape(count, -1)[rows]
        nearest = np.empty(len(rows), np.int64)
        for first in range(0, len(rows), TARGETS):
            part = slice(first, first + TARGETS)
            # Squared distance but for the target's own square, which is the same for all sources.
            distance = source_squares - 2 * (targets[part] @ sources.T)
            nearest[part] = distance.argmin(1)
        guess = np.where(hole[..., None], _votes(sources[nearest], touched), guess)
    return guess


def _votes(chosen: NDArray[np.float32], touched: Hole) -> NDArray[np.float32]:
    """Return for each pixel the mean of the patches ``chosen`` for the pixels ``touched``."""
    height, width = touched.shape
    margin = PATCH // 2
    total = np.zeros((height + 2 * margin, width + 2 * margin, 3), np.float32)
    votes = np.zeros((height + 2 * margin, width + 2 * margin, 1), np.float32)
    rows, columns = np.nonzero(touched)
    values = chosen.reshape(-1, 3, PATCH, PATCH)
    # One pass for each place in a patch: within a pass no two patches reach the same pixel.
    for down in range(PATCH):
        for right in range(PATCH):
            total[rows + down, columns + right] += values[:, :, down, right]
            votes[rows + down, columns + right] += 1
    mean = (total / np.maximum(votes, 1)).astype(np.float32)
    return mean[margin : margin + height, margin : margin + width]


FILLS: dict[str, Fill] = {
    "mean_fill": mean_fill,
    "telea": telea,
    "navier_stokes": navier_stokes,
    "patch": patch,
}
"""Name, as `evaluate` calls it → the fill."""
