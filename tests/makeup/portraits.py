"""What tests of faces share: a public-domain portrait, and where it lies in larger photos."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

REAL = Path(__file__).parents[3] / "shared/data/faces"
"""Real faces for research; they are there where the project is developed."""

HEAD = (slice(0, 240), slice(100, 340))  # rows, columns of the astronaut's head


@cache
def astronaut() -> NDArray[np.uint8]:
    """Return Eileen Collins' portrait, 512 pixels a side: NASA's, in the public domain."""
    return np.asarray(data.astronaut(), np.uint8)


def pasted(
    side: int, shape: tuple[int, int], corner: tuple[int, int], angle: float = 0
) -> NDArray[np.uint8]:
    """Return a grey photo of ``shape`` with the astronaut's head.

    It has ``side`` pixels (the face a third of that), is turned by ``angle`` degrees, and its first
    row and column are at ``corner``.
    """
    head = astronaut()[HEAD]
    head = cv2.resize(head, (side, side), interpolation=cv2.INTER_AREA)
    if angle:
        turn = cv2.getRotationMatrix2D((side / 2, side / 2), angle, 1)
        head = cv2.warpAffine(head, turn, (side, side), borderMode=cv2.BORDER_REPLICATE)
    photo = np.full((*shape, 3), 128, np.uint8)
    rows = slice(max(0, corner[0]), min(shape[0], corner[0] + side))
    columns = slice(max(0, corner[1]), min(shape[1], corner[1] + side))
    photo[rows, columns] = head[
        rows.start - corner[0] : rows.stop - corner[0],
        columns.start - corner[1] : columns.stop - corner[1],
    ]
    return photo


def read(file: Path) -> NDArray[np.uint8]:
    """Return a picture file as RGB."""
    return np.asarray(cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB), np.uint8)


def overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Return the intersection over union of two masks."""
    return float((a & b).sum() / max(1, (a | b).sum()))
