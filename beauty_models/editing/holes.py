"""Holes to learn and to be tested on: boxes, brush strokes, and outlines of other products.

What lies in them is known, because they are cut into whole photos. As LaMa (Suvorov et al. 2022)
and MI-GAN (Sargsyan et al. 2023) draw theirs: wide strokes, and outlines of real objects.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from beauty_models.editing.extent import extent

Holes = NDArray[np.bool_]  # [n, side, side], True where nothing is known

KINDS = ("box", "stroke", "object")

SMALLEST = 0.05  # share of the picture's area
LARGEST = 0.40
# Shares that are aimed at. Rounding to pixels, and the last stroke, add a little to them.
_AIM_LOW = 0.065
_AIM_HIGH = 0.37
_STROKE_HIGH = 0.28
_OUTLINE = 128  # level of a mask from which a pixel is the product's


def draw(kind: str, rng: np.random.Generator, masks: NDArray[np.uint8]) -> Holes:
    """Return a hole of ``kind``, one of `KINDS`, for each of ``masks`` [n, side, side].

    The same generator state gives the same holes.
    """
    count, side = masks.shape[:2]
    if kind == "box":
        return boxes(rng, count, side)
    if kind == "stroke":
        return strokes(rng, count, side)
    assert kind == "object", kind
    return objects(rng, masks)


def boxes(rng: np.random.Generator, n: int, side: int) -> Holes:
    """Return ``n`` boxes, each somewhere in a picture of ``side`` pixels; at most 2 to 1."""
    area = rng.uniform(_AIM_LOW, _AIM_HIGH, n)
    shape = 2.0 ** rng.uniform(-1, 1, n)  # height to width
    height = np.rint(np.sqrt(area * shape) * side).clip(1, side)
    width = np.rint(np.sqrt(area / shape) * side).clip(1, side)
    top = np.floor(rng.uniform(0, 1, n) * (side - height + 1))
    left = np.floor(rng.uniform(0, 1, n) * (side - width + 1))
    pixels = np.arange(side)
    rows = (pixels >= top[:, None]) & (pixels < (top + height)[:, None])
    columns = (pixels >= left[:, None]) & (pixels < (left + width)[:, None])
    holes: Holes = rows[:, :, None] & columns[:, None, :]
    return holes


def strokes(rng: np.random.Generator, n: int, side: int) -> Holes:
    """Return ``n`` holes of broad brush strokes that turn as a hand does."""
    holes = np.zeros((n, side, side), np.uint8)
    for hole in holes:
        wanted = rng.uniform(_AIM_LOW, _STROKE_HIGH) * side * side
        # Each pass adds one stroke of a few bends, until enough is covered.
        while np.count_nonzero(hole) < wanted:
            _stroke(rng, hole, wanted)
    return holes.astype(bool)


def _stroke(rng: np.random.Generator, hole: NDArray[np.uint8], wanted: float) -> None:
    """Draw one stroke into ``hole``, no farther than the ``wanted`` number of pixels needs."""
    side = hole.shape[0]
    point = rng.uniform(0, side, 2)
    angle = rng.uniform(0, 2 * math.pi)
    width = round(side * rng.uniform(0.06, 0.16))
    for _ in range(int(rng.integers(3, 8))):
        angle += rng.uniform(-1, 1) * math.pi * 0.6
        length = side * rng.uniform(0.1, 0.35)
        step = length * np.array([math.cos(angle), math.sin(angle)])
        end = np.clip(point + step, 0, side - 1)
        line = [tuple(np.rint(place).astype(int).tolist()) for place in (point, end)]
        cv2.line(hole, line[0], line[1], 1, thickness=max(2, width))
        point = end
        if np.count_nonzero(hole) >= wanted:
            return


def objects(rng: np.random.Generator, masks: NDArray[np.uint8]) -> Holes:
    """Return for each of ``masks`` [n, side, side] a hole with the outline of one of them.

    The outline is of any of them, mirrored by chance, and of another size and at another place, so
    that the hole seldom is where the photo's own product ends. An ellipse stands in where there is
    no mask that could fill `SMALLEST` of the picture.
    """
    count, side = masks.shape[:2]
    outlines = _outlines(masks) or [_ellipse(side)]
    holes = np.zeros((count, side, side), bool)
    for hole in holes:
        outline = outlines[int(rng.integers(len(outlines)))]
        if rng.random() < 0.5:
            outline = outline[:, ::-1]
        share = float(outline.mean())  # of its box
        wanted = rng.uniform(_AIM_LOW, _AIM_HIGH)
        scale = math.sqrt(wanted * side * side / (share * outline.size))
        # No larger than the picture: it would be cut, and cover less than was wanted.
        scale = min(scale, side / max(outline.shape))
        height, width = (max(1, round(length * scale)) for length in outline.shape)
        resized = cv2.resize(
            outline.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA
        )
        top = int(rng.integers(side - height + 1))
        left = int(rng.integers(side - width + 1))
        hole[top : top + height, left : left + width] = resized >= 0.5
        _keep_within(hole, rng)
    return holes


def _outlines(masks: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Return the masks as 0 and 1, cut to their boxes: those that can fill enough of a picture."""
    outlines = []
    for mask in masks:
        outline = mask >= _OUTLINE
        if not outline.any():
            continue
        box = outline[extent(outline)]
        # The largest that it can be within the picture, as a share of it.
        if box.sum() / max(box.shape) ** 2 > _AIM_LOW:
            outlines.append(box.astype(np.uint8))
    return outlines


def _ellipse(side: int) -> NDArray[np.uint8]:
    drawn = np.zeros((side, side), np.uint8)
    center = (side // 2, side // 2)
    cv2.ellipse(drawn, center, (side // 2 - 1, side // 3), 0, 0, 360, 1, thickness=-1)
    return _outlines(drawn[None] * 255)[0]


def _keep_within(hole: NDArray[np.bool_], rng: np.random.Generator) -> None:
    """Put a box in place of a hole whose thin parts were lost when it was resized."""
    if not SMALLEST <= hole.mean() <= LARGEST:
        hole[:] = boxes(rng, 1, hole.shape[0])[0]


def kind_of(hole: NDArray[np.bool_]) -> str:
    """Return which of `KINDS` a hole [h, w] that somebody drew is like.

    A box fills its own box; a stroke is long for its width; anything else has the outline of an
    object. Of several pieces the largest one counts.
    """
    count, labels, figures, _ = cv2.connectedComponentsWithStats(hole.astype(np.uint8))
    assert count > 1, "an empty hole has no kind"
    largest = 1 + int(figures[1:, cv2.CC_STAT_AREA].argmax())
    _, _, width, height, area = figures[largest].tolist()
    if area >= 0.97 * width * height and max(width, height) < 6 * min(width, height):
        return "box"
    piece = np.pad((labels == largest).astype(np.uint8), 1)
    thickness = 2 * float(cv2.distanceTransform(piece, cv2.DIST_L2, 3).max())
    return "stroke" if area > 4.5 * thickness**2 else "object"
