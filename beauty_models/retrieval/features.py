"""Features of a picture that nobody trained: gradients (HOG) and colours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

SIDE = 64  # pixels, of the square that a picture is fitted into
CELL, BLOCK, DIRECTIONS = 8, 2, 9  # pixels a cell, cells a block, bins over 180°
CLIP = 0.2  # of a block's values after the first normalisation, which is then repeated (L2-Hys)
HUES, SHADES = 12, 4  # bins of hue, and of saturation and of value
COLOURS = HUES * SHADES * SHADES  # numbers in a colour histogram


def _fitted(image: Image.Image) -> Image.Image:
    """Return ``image`` whole in a white square of `SIDE`."""
    return ImageOps.pad(image, (SIDE, SIDE), Image.Resampling.BILINEAR, color="white")


def _normalised(blocks: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(blocks / np.sqrt((blocks**2).sum(-1, keepdims=True) + 1e-6), np.float32)


def hog(image: Image.Image) -> NDArray[np.float32]:
    """Return the histograms of oriented gradients [1764] of an RGB picture (Dalal & Triggs 2005).

    At each pixel the channel with the steepest gradient votes for its direction, unsigned, shared between the two nearest
    bins; blocks of 2 × 2 cells of 8 × 8 pixels overlap by one cell and are normalised by L2-Hys.
    """
    pixels = np.sqrt(np.asarray(_fitted(image), np.float32) / 255)  # gamma, as in the paper
    down, right = (np.gradient(pixels, axis=axis) for axis in (0, 1))
    steepest = np.argmax(down**2 + right**2, axis=-1)[..., None]
    down, right = (np.take_along_axis(part, steepest, -1)[..., 0] for part in (down, right))
    strength, place = np.hypot(down, right), (np.arctan2(down, right) / np.pi % 1) * DIRECTIONS
    low = np.floor(place).astype(np.int64) % DIRECTIONS
    share = (place - np.floor(place)).astype(np.float32)
    cells = SIDE // CELL
    rows, columns = np.indices((SIDE, SIDE)) // CELL
    votes = np.zeros((cells, cells, DIRECTIONS), np.float32)
    np.add.at(votes, (rows, columns, low), strength * (1 - share))
    np.add.at(votes, (rows, columns, (low + 1) % DIRECTIONS), strength * share)
    blocks = np.lib.stride_tricks.sliding_window_view(votes, (BLOCK, BLOCK), axis=(0, 1)).reshape(
        cells - BLOCK + 1, cells - BLOCK + 1, -1
    )
    return _normalised(np.minimum(_normalised(blocks), CLIP)).reshape(-1)


def colour_histogram(image: Image.Image) -> NDArray[np.float32]:
    """Return how often each colour occurs [192] in the middle half of an RGB picture: hue × saturation × value, square roots.

    Square roots make the inner product of two histograms their Bhattacharyya coefficient, and the features have length 1.
    """
    width, height = image.size
    middle = image.resize(
        (SIDE, SIDE),
        Image.Resampling.BILINEAR,
        box=(width / 4, height / 4, width * 3 / 4, height * 3 / 4),
    )
    hue, saturation, value = np.moveaxis(np.asarray(middle.convert("HSV"), np.int64), -1, 0)
    places = (
        hue * HUES // 256 * SHADES + saturation * SHADES // 256
    ) * SHADES + value * SHADES // 256
    counts = np.bincount(places.ravel(), minlength=COLOURS)
    return np.asarray(np.sqrt(counts / counts.sum()), np.float32)
