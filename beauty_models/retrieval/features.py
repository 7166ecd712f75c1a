"""Features of a picture that nobody trained: gradients (HOG) and colors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Floats = NDArray[np.float32]

SIDE = 64  # pixels, of the square that a picture is fitted into
CELL = 8  # pixels a side
CELLS = SIDE // CELL
BLOCK = 2  # cells a side
DIRECTIONS = 9  # bins over 180°
CLIP = 0.2  # of a block's values after the first normalisation, which is then repeated (L2-Hys)
HUES = 12  # bins
SHADES = 4  # bins of saturation, and of value
COLORS = HUES * SHADES * SHADES  # numbers in a color histogram


def _fitted(image: Image.Image) -> Image.Image:
    """Return ``image`` whole in a white square of `SIDE`."""
    return ImageOps.pad(image, (SIDE, SIDE), Image.Resampling.BILINEAR, color="white")


def _normalized(blocks: Floats) -> Floats:
    # inside the root, so that a block without any edge stays zero
    squares = (blocks**2).sum(-1, keepdims=True)
    norms = np.sqrt(squares + 1e-6)
    return np.asarray(blocks / norms, np.float32)


def _steepest_gradients(pixels: Floats) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return strength and direction [side, side] of the steepest channel of ``pixels``.

    Directions are unsigned, from 0 to 1 over 180°.
    """
    down = np.gradient(pixels, axis=0)
    right = np.gradient(pixels, axis=1)
    squares = down**2 + right**2
    steepest = np.argmax(squares, axis=-1)[..., None]
    down = np.take_along_axis(down, steepest, -1)[..., 0]
    right = np.take_along_axis(right, steepest, -1)[..., 0]
    strength = np.hypot(down, right)
    direction = np.arctan2(down, right) / np.pi % 1
    return strength, direction


def hog(image: Image.Image) -> Floats:
    """Return the histograms of oriented gradients [1764] of an RGB picture (Dalal & Triggs 2005).

    At each pixel the channel with the steepest gradient votes for its direction, unsigned, shared
    between the two nearest bins; blocks of 2 × 2 cells of 8 × 8 pixels overlap by one cell and are
    normalised by L2-Hys.
    """
    pixels = np.sqrt(np.asarray(_fitted(image), np.float32) / 255)  # gamma, as in the paper
    strength, direction = _steepest_gradients(pixels)
    place = direction * DIRECTIONS
    # each pixel votes for two bins by nearness, so that a small turn changes little
    low = np.floor(place).astype(np.int64) % DIRECTIONS
    high = (low + 1) % DIRECTIONS  # the bins are a circle: 180° is 0°
    share = (place - np.floor(place)).astype(np.float32)
    rows, columns = np.indices((SIDE, SIDE)) // CELL
    votes = np.zeros((CELLS, CELLS, DIRECTIONS), np.float32)
    np.add.at(votes, (rows, columns, low), strength * (1 - share))
    np.add.at(votes, (rows, columns, high), strength * share)
    windows = np.lib.stride_tricks.sliding_window_view(votes, (BLOCK, BLOCK), axis=(0, 1))
    # blocks overlap: a cell is normalised with each of its neighbourhoods
    positions = CELLS - BLOCK + 1
    blocks = windows.reshape(positions, positions, -1)
    return _normalized(np.minimum(_normalized(blocks), CLIP)).reshape(-1)


def color_histogram(image: Image.Image) -> Floats:
    """Return how often each color occurs [192] in an RGB picture: hue × saturation × value.

    The numbers are square roots of shares: the inner product of two histograms is then their
    Bhattacharyya coefficient, and the features have length 1.
    """
    width, height = image.size
    # the middle half: what stands around a product is the backdrop
    box = (
        width / 4,
        height / 4,
        width * 3 / 4,
        height * 3 / 4,
    )
    middle = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box).convert("HSV")
    channels = np.moveaxis(np.asarray(middle, np.int64), -1, 0)
    hue, saturation, value = channels
    bins = hue * HUES // 256
    bins = bins * SHADES + saturation * SHADES // 256
    bins = bins * SHADES + value * SHADES // 256
    counts = np.bincount(bins.ravel(), minlength=COLORS)
    return np.asarray(np.sqrt(counts / counts.sum()), np.float32)
