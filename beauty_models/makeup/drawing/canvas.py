"""A canvas in half widths of a face: outlines to masks, smooth noise, Lab to linear light."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from beauty_models.makeup.regions import Region

Array = NDArray[Any]  # float32; numpy's own types lose the width in every sum
Lab = tuple[float, float, float]
Point = tuple[float, float]
Box = tuple[slice, slice]
"""Rows and columns of a canvas."""

EXTENT = 2.05  # half a canvas, in half widths of a face: with hair, neck and shoulders
CURVE = 8  # points that a curve has between two that it goes through
D65 = (0.95047, 1.0, 1.08883)  # white of Lab
XYZ_TO_RGB = np.array(
    [
        [3.2404542, -1.5371385, -0.4985314],
        [-0.969266, 1.8760108, 0.041556],
        [0.0556434, -0.2040259, 1.0572252],
    ]
)


@lru_cache(maxsize=256)
def linear(color: Lab) -> Array:
    """Return a Lab color in linear RGB [3, 1, 1], clipped to what a screen shows."""
    lightness = (color[0] + 16) / 116
    x = lightness + color[1] / 500
    z = lightness - color[2] / 200
    scaled = np.array([x, lightness, z])
    # The cube, replaced by its tangent where it is dark (CIE 15:2004).
    tangent = 3 * (6 / 29) ** 2 * (scaled - 4 / 29)
    xyz = np.where(scaled > 6 / 29, scaled**3, tangent)
    rgb = XYZ_TO_RGB @ (xyz * D65)
    return np.clip(rgb, 0.002, 1).astype(np.float32)[:, None, None]


def srgb(light: Array) -> Array:
    """Return linear light as sRGB, both 0 to 1."""
    light = np.clip(light, 0, 1)
    # IEC 61966-2-1: a straight line where it is dark, else a power.
    curved = 1.055 * light ** (1 / 2.4) - 0.055
    encoded = np.where(light > 0.0031308, curved, 12.92 * light)
    return np.asarray(encoded, np.float32)


def smoothstep(low: float, high: float, values: Array) -> Array:
    """Return 0 below ``low``, 1 above ``high`` and a soft way between; falls where low > high."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def mixed(albedo: Array, color: Array, share: Array) -> Array:
    """Return ``albedo`` [3, side, side] with ``share`` [side, side] of ``color`` in it."""
    mixed = color - albedo
    mixed *= share
    mixed += albedo
    return np.asarray(mixed, np.float32)


def curve(points: list[Point], closed: bool = True) -> Array:
    """Return a Catmull-Rom spline through ``points`` as a polyline [n, 2]."""
    through = np.array(points, np.float32)
    if closed:
        around = np.concatenate([through[-1:], through, through[:2]])
    else:
        around = np.concatenate([through[:1], through, through[-1:]])
    share = np.linspace(0, 1, CURVE, endpoint=False, dtype=np.float32)
    t = share[None, :, None]
    # Between b and c; a and d, their neighbours, say where the curve comes from and goes.
    a = around[:-3, None]
    b = around[1:-2, None]
    c = around[2:-1, None]
    d = around[3:, None]
    square_term = 2 * a - 5 * b + 4 * c - d
    cube_term = 3 * b - a - 3 * c + d
    doubled = (2 * b) + (c - a) * t + square_term * t**2
    doubled = doubled + cube_term * t**3
    line = (doubled / 2).reshape(-1, 2)
    return line if closed else np.concatenate([line, through[-1:]])


def mirrored(half: list[Point]) -> list[Point]:
    """Return an outline from its right half, which goes from the top of the middle to its foot."""
    left = [(-x, y) for x, y in reversed(half) if abs(x) > 1e-6]
    return half + left


class Grid:
    """The pixels of a canvas, in half widths of a face."""

    def __init__(self, side: int) -> None:
        self.side = side
        self.scale = side / (2 * EXTENT)  # pixels in a half width
        # At the middles of the pixels.
        middles = (np.arange(side) + 0.5) / self.scale
        line = (middles - EXTENT).astype(np.float32)
        self.x: Array = np.repeat(line[None], side, 0)
        self.y: Array = np.repeat(line[:, None], side, 1)

    def around(self, mask: Array) -> Box:
        """Return the box that holds all of ``mask`` [side, side]."""
        rows = np.flatnonzero(mask.any(1))
        columns = np.flatnonzero(mask.any(0))
        row_slice = slice(rows[0], rows[-1] + 1)
        column_slice = slice(columns[0], columns[-1] + 1)
        return row_slice, column_slice

    def part(self, box: Box) -> Grid:
        """Return the pixels of ``box`` alone; it neither fills nor makes noise."""
        part = copy(self)
        part.x = self.x[box]
        part.y = self.y[box]
        return part

    def fill(self, outline: Array) -> Array:
        """Return the inside of ``outline`` [n, 2] as a mask [side, side], 0 to 1."""
        mask = np.zeros((self.side, self.side), np.uint8)
        # OpenCV takes whole numbers, of which the last four bits are a fraction.
        pixels = ((outline + EXTENT) * self.scale - 0.5) * 16
        polygon = np.round(pixels).astype(np.int32)
        cv2.fillPoly(mask, [polygon], 255, cv2.LINE_AA, 4)
        return mask.astype(np.float32) / 255

    def blur(self, picture: Array, radius: float) -> Array:
        """Return ``picture`` blurred by a Gaussian; ``radius`` is its deviation."""
        blurred = cv2.GaussianBlur(picture, (0, 0), radius * self.scale)
        return np.asarray(blurred, np.float32)

    def bump(self, x: float, y: float, wide: float, high: float) -> Array:
        """Return a Gaussian hill with its top, 1, at ``x``, ``y``."""
        # A product of two lines: far fewer exponentials than one for each pixel.
        from_x = (self.x[0] - x) / wide
        from_y = (self.y[:, 0] - y) / high
        across = np.exp(-0.5 * from_x**2)
        down = np.exp(-0.5 * from_y**2)
        return np.asarray(down[:, None] * across, np.float32)

    def pair(self, x: float, y: float, wide: float, high: float) -> Array:
        """Return two hills, left and right."""
        return self.bump(-x, y, wide, high) + self.bump(x, y, wide, high)

    def noise(self, random: np.random.Generator, radius: float) -> Array:
        """Return smooth noise with deviation 1; its grains are about ``radius`` wide."""
        cells = max(4, round(2 * EXTENT / radius))
        coarse = random.standard_normal((cells, cells), np.float32)
        size = (self.side, self.side)
        smooth = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
        return np.asarray(smooth, np.float32)


@lru_cache(maxsize=16)
def grid_of(side: int) -> Grid:
    return Grid(side)


@dataclass
class Layers:
    """What is drawn so far: light from the front, coverage and label map."""

    grid: Grid
    color: Array = field(init=False)  # [3, side, side], linear
    alpha: Array = field(init=False)
    regions: NDArray[np.uint8] = field(init=False)

    def __post_init__(self) -> None:
        side = self.grid.side
        self.color = np.zeros((3, side, side), np.float32)
        self.alpha = np.zeros((side, side), np.float32)
        self.regions = np.zeros((side, side), np.uint8)

    def lay(
        self, color: Array, mask: Array, region: Region | None = None, box: Box | None = None
    ) -> None:
        """Lay ``color`` over what is there, and ``region`` where ``mask`` covers it.

        ``color`` is [3, 1, 1] or [3, height, width], ``mask`` [height, width], of ``box`` or all.
        """
        if box is None:
            if not mask.any():
                return
            # Most of what is laid is small.
            box = self.grid.around(mask)
            mask = mask[box]
            if color.shape[1] > 1:
                color = color[:, *box]
        below = self.color[:, *box]
        below += mask * (color - below)
        np.maximum(self.alpha[box], mask, out=self.alpha[box])
        if region is not None:
            self.regions[box][mask > 0.5] = region
