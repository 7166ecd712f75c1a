"""Similarity transforms between a photo and an upright square that is cut out of it.

Coordinates are OpenCV's: (0, 0) is the center of the first pixel, x goes right, y goes down.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# Linear interpolation looks at 2 × 2 pixels: below this scale it would skip some, and alias.
LEAST_SCALE = 0.75

Matrix = NDArray[np.float64]
"""[2, 3]: photo (x, y, 1) → square (x, y)."""


def square(center: NDArray[np.floating], length: float, angle: float, side: int) -> Matrix:
    """Return the transform that cuts a square of ``length`` photo pixels to ``side`` pixels.

    ``angle`` is that of its upper edge in the photo, in radians, growing clockwise.
    """
    scale = side / length
    cos = scale * np.cos(angle)
    sin = scale * np.sin(angle)
    # Turned back by the angle: what slants in the photo lies level in the square.
    rotation = np.array([[cos, sin], [-sin, cos]])
    middle = (side - 1) / 2
    offset = middle - rotation @ np.asarray(center, float)
    return np.column_stack([rotation, offset])


def scale_of(matrix: Matrix) -> float:
    """Return how many pixels of the square a photo pixel's side becomes."""
    area = abs(np.linalg.det(matrix[:, :2]))
    return float(np.sqrt(area))


def inverse(matrix: Matrix) -> Matrix:
    """Return the transform from the square back to the photo."""
    rotation = np.linalg.inv(matrix[:, :2])
    offset = -rotation @ matrix[:, 2]
    return np.column_stack([rotation, offset])


def moved(points: NDArray[np.floating], matrix: Matrix) -> NDArray[np.float64]:
    """Return ``points`` [n, 2] after ``matrix``."""
    rotated = points @ matrix[:, :2].T
    return np.asarray(rotated + matrix[:, 2], np.float64)


def warp(
    photo: NDArray[Any],
    matrix: Matrix,
    size: tuple[int, int],
    interpolation: int = cv2.INTER_LINEAR,
    border: int = cv2.BORDER_CONSTANT,
) -> NDArray[Any]:
    """Return what ``matrix`` makes of ``photo`` [height, width, …] on ``size``, width and height.

    What lies outside of the photo is 0, or what OpenCV's ``border`` makes of it. It is
    antialiased where it shrinks, unless ``interpolation`` is another one than the linear: label
    maps have no numbers in between.
    """
    scale = scale_of(matrix)
    if scale < LEAST_SCALE and interpolation == cv2.INTER_LINEAR:
        photo, matrix = _shrunk(photo, matrix, scale, size)
    return np.asarray(cv2.warpAffine(photo, matrix, size, flags=interpolation, borderMode=border))


def bounds(
    matrix: Matrix, size: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the least and the largest x, y of the photo that a square of ``size`` shows."""
    right = size[0] - 1
    bottom = size[1] - 1
    corners = np.array(
        [
            [0, 0],
            [right, 0],
            [right, bottom],
            [0, bottom],
        ],
        float,
    )
    seen = moved(corners, inverse(matrix))
    return seen.min(0), seen.max(0)


def _shrunk(
    photo: NDArray[Any], matrix: Matrix, scale: float, size: tuple[int, int]
) -> tuple[NDArray[Any], Matrix]:
    """Return the part of ``photo`` that is seen, smaller by ``scale``, and the transform for it."""
    least, largest = bounds(matrix, size)
    # Two pixels of the square, so that its edge is averaged from whole ones, too.
    margin = 2 / scale
    low = np.floor(least - margin).astype(int).clip(0)
    high = np.ceil(largest + margin).astype(int) + 1
    high = high.clip(0)
    columns = slice(low[0], high[0])
    rows = slice(low[1], high[1])
    part = photo[rows, columns]
    if not part.size:
        return photo, matrix
    height, width = part.shape[:2]
    small_width = max(1, round(width * scale))
    small_height = max(1, round(height * scale))
    small = cv2.resize(part, (small_width, small_height), interpolation=cv2.INTER_AREA)
    # Sides are rounded to whole pixels, so the two factors differ a little.
    factor = np.array([width / small_width, height / small_height])
    # A pixel's center is half a pixel from its corner, and corners are what scaling keeps.
    first_center = low + factor / 2 - 0.5
    rotation = matrix[:, :2] * factor
    [offset] = moved(first_center[None], matrix)
    return small, np.column_stack([rotation, offset])
