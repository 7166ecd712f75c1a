"""A face and the upright square that networks see of it: there and back again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from beauty_models.makeup.landmarks import Face
from beauty_models.makeup.regions import Region
from beauty_models.makeup.warping import Matrix, bounds, inverse, scale_of, warp

# Where eyes and mouth come to lie, in sides of the square. Chin and forehead are in: with the eyes'
# distance as unit, faces reach about 1.4 above the eyes and 1.9 below.
LEFT_EYE = (0.37, 0.40)
RIGHT_EYE = (0.63, 0.40)
MOUTH = (0.50, 0.69)
CORNER = 0.03  # of the lips' pixels, those farthest to the side
LEAST_EYE_DISTANCE = 2.0  # pixels; less fixes neither angle nor scale


@dataclass(frozen=True)
class Alignment:
    """A similarity transform (turn, scale, shift) between a photo and the square of its face."""

    matrix: Matrix  # [2, 3]: pixels of the photo → sides of the square, 0 to 1

    @property
    def length(self) -> float:
        """Return the side of the square, in pixels of the photo."""
        return 1 / scale_of(self.matrix)

    def pixels(self, side: int) -> Matrix:
        """Return the transform from the photo's pixels to those of a square of ``side``."""
        scaled = self.matrix * side
        # The square begins at the edge of its first pixel, coordinates at the pixel's center.
        scaled[:, 2] -= 0.5
        return scaled

    def crop(self, photo: NDArray[Any], side: int) -> NDArray[Any]:
        """Return the square [side, side, …] of the face; black where the photo ends."""
        return warp(photo, self.pixels(side), (side, side))

    def crop_regions(self, label_map: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
        """Return the square [side, side] of a label map; background where the photo ends."""
        return warp(label_map, self.pixels(side), (side, side), cv2.INTER_NEAREST)

    def window(self, shape: tuple[int, ...]) -> tuple[slice, slice]:
        """Return the rows and columns of a photo of ``shape`` that the square lies in.

        They are empty where it lies outside.
        """
        least, largest = bounds(self.pixels(2), (2, 2))
        # The square's corners lie half of its (here two) pixels outside of those pixels' centers.
        half = (largest - least) / 2
        low = np.floor(least - half).astype(int)
        high = np.ceil(largest + half).astype(int) + 1
        height, width = shape[:2]
        x0, x1 = np.clip([low[0], high[0]], 0, width)
        y0, y1 = np.clip([low[1], high[1]], 0, height)
        rows = slice(int(y0), int(y1))
        columns = slice(int(x0), int(x1))
        return rows, columns

    def to_window(self, square: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """Return ``square`` [side, side, …] as it lies in `window` of a photo of ``shape``.

        0 where the square ends. Linear between its pixels, antialiased where it shrinks.
        """
        rows, columns = self.window(shape)
        width = columns.stop - columns.start
        height = rows.stop - rows.start
        if not width or not height:
            return np.zeros((height, width, *square.shape[2:]), square.dtype)
        back = inverse(self.pixels(square.shape[0]))
        back[:, 2] -= (columns.start, rows.start)
        return warp(square, back, (width, height))

    def to_photo(self, square: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """Return ``square`` [side, side, …] as it lies in a photo of ``shape``, else 0.

        Of a large photo `window` and `to_window` need less memory.
        """
        photo = np.zeros((*shape[:2], *square.shape[2:]), square.dtype)
        photo[self.window(shape)] = self.to_window(square, shape)
        return photo


def from_points(
    left_eye: NDArray[np.floating], right_eye: NDArray[np.floating], mouth: NDArray[np.floating]
) -> Alignment:
    """Return the similarity transform that brings three points of a photo to their places.

    It is the one with the least squared error (Umeyama 1991): faces have no two equal shapes.

    Raises:
        ValueError: the eyes lie on each other.
    """
    source = np.array([left_eye, right_eye, mouth], float)
    target = np.array([LEFT_EYE, RIGHT_EYE, MOUTH])
    eye_distance = np.hypot(*(source[1] - source[0]))
    if eye_distance < LEAST_EYE_DISTANCE:
        raise ValueError("the eyes are too close to each other to align the face")
    # x' = a x - b y + c, y' = b x + a y + d is linear in a, b, c, d
    equations = []
    for x, y in source:
        equations.append([x, -y, 1, 0])
        equations.append([y, x, 0, 1])
    solution = np.linalg.lstsq(np.array(equations), target.ravel(), rcond=None)
    a, b, c, d = solution[0]
    matrix = np.array([[a, -b, c], [b, a, d]])
    return Alignment(matrix)


def from_landmarks(face: Face) -> Alignment:
    """Return the alignment of a face that was found."""
    return from_points(face.left_eye, face.right_eye, face.mouth)


def _pixels(label_map: NDArray[np.uint8], *regions: Region) -> NDArray[np.float64]:
    """Return x, y of the pixels of ``regions``, [n, 2]; there must be some."""
    chosen = np.isin(label_map, regions)
    rows, columns = np.nonzero(chosen)
    if not rows.size:
        names = " or ".join(region.name.lower() for region in regions)
        raise ValueError(f"the mask has no {names} to align the face by")
    return np.column_stack([columns, rows]).astype(np.float64)


def _mouth(label_map: NDArray[np.uint8], across: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the point between the corners of the mouth; ``across`` goes from eye to eye.

    Not the middle of the lips, which a smile or an open mouth draws down.
    """
    lips = _pixels(label_map, Region.LIPS, Region.MOUTH)
    # How far each pixel lies to the right, on a face that may lie on its side.
    position = lips @ across
    low, high = np.quantile(position, (CORNER, 1 - CORNER))
    left_corner = lips[position <= low].mean(0)
    right_corner = lips[position >= high].mean(0)
    return np.asarray((left_corner + right_corner) / 2, np.float64)


def from_label_map(label_map: NDArray[np.uint8]) -> Alignment:
    """Return the alignment of a face by its label map, for faces that no detector finds: drawings.

    Raises:
        ValueError: an eye or the mouth is missing.
    """
    left_eye = _pixels(label_map, Region.LEFT_EYE).mean(0)
    right_eye = _pixels(label_map, Region.RIGHT_EYE).mean(0)
    mouth = _mouth(label_map, right_eye - left_eye)
    return from_points(left_eye, right_eye, mouth)
