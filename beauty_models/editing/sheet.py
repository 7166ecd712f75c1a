"""A contact sheet: what a folder of photos became, before and after side by side."""

from __future__ import annotations

import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

TILE = 180  # pixels a side that a picture gets
COLUMNS = 4  # pairs in a row
MOST = 200  # pairs; of more the first ones are shown
SQUARE = 8  # pixels a side of the checkerboard that shows through what is transparent


def tile(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture [h, w, 3 or 4] within a white square [`TILE`, `TILE`, 3]."""
    height, width = pixels.shape[:2]
    scale = min(1.0, TILE / height, TILE / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    if small.shape[2] == 4:
        small = _on_checkerboard(small)
    square = np.full((TILE, TILE, 3), 255, np.uint8)
    top = (TILE - small.shape[0]) // 2
    left = (TILE - small.shape[1]) // 2
    square[top : top + small.shape[0], left : left + small.shape[1]] = small
    return square


def _on_checkerboard(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rows, columns = np.indices(pixels.shape[:2]) // SQUARE
    board = np.where((rows + columns) % 2, 255, 205)[..., None]
    share = pixels[..., 3:].astype(np.float32) / 255
    mixed = pixels[..., :3] * share + board * (1 - share)
    return np.rint(mixed).astype(np.uint8)


def contact_sheet(pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> bytes:
    """Return pairs of `tile`, before and after, as one JPEG."""
    shown = pairs[:MOST]
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    gap = 6
    wide = 2 * TILE + 3 * gap
    sheet = np.full((rows * (TILE + gap) + gap, columns * wide, 3), 225, np.uint8)
    for number, (before, after) in enumerate(shown):
        top = gap + number // columns * (TILE + gap)
        left = gap + number % columns * wide
        sheet[top : top + TILE, left : left + TILE] = before
        sheet[top : top + TILE, left + TILE + gap : left + 2 * TILE + gap] = after
    stream = io.BytesIO()
    Image.fromarray(sheet).save(stream, "JPEG", quality=88)
    return stream.getvalue()
