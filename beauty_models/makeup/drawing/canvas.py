"""A canvas in half widths of a face: outlines to masks, smooth noise, Lab to linear light."""

from __future__ import annotations

from copy import copy
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
FRACTION_BITS = 4  # of a polygon's corners: a sixteenth of a pixel
CURVE = 8  # points that a curve has between two that it goes through
LAB_KNEE = 6 / 29  # root of the luminance below which Lab is linear
DARKEST = 0.002  # linear light of the darkest color
D65 = (0.95047, 1.0, 1.08883)  # white of Lab
XYZ_TO_RGB = np.array(
    [
        [3.2404542, -1.5371385, -0.4985314],
        [-0.969266, 1.8760108, 0.041556],
        [0.0556434, -0.2040259, 1.0572252],
    ]
)


def as_float32(values: Array) -> Array:
    """Return ``values`` in single precision; in double they take twice the memory."""
    return np.asarray(values, np.float32)


@lru_cache(maxsize=256)
def linear(color: Lab) -> Array:
    """Return a Lab color in linear RGB [3, 1, 1], clipped to what a screen shows."""
    lightness, red_green, yellow_blue = color
    y = (lightness + 16) / 116
    x = y + red_green / 500
    z = y - yellow_blue / 200
    root = np.array([x, y, z])
    # The cube, replaced by its tangent where it is dark (CIE 15:2004).
    cube = root**3
    slope = 3 * LAB_KNEE**2
    tangent = slope * (root - 4 / 29)
    is_bright = root > LAB_KNEE
    xyz = np.where(is_bright, cube, tangent)
    rgb = XYZ_TO_RGB @ (xyz * D65)
    # No paint swallows all light; perfect black would hide what the lamp does.
    shown = np.clip(rgb, DARKEST, 1)
    single = as_float32(shown)
    return single[:, None, None]


def srgb(light: Array) -> Array:
    """Return linear light as sRGB, both 0 to 1."""
    light = np.clip(light, 0, 1)
    # IEC 61966-2-1: a straight line where it is dark, else a power.
    straight = 12.92 * light
    power = light ** (1 / 2.4)
    curved = 1.055 * power - 0.055
    is_bright = light > 0.0031308
    encoded = np.where(is_bright, curved, straight)
    return as_float32(encoded)


def smoothstep(low: float, high: float, values: Array) -> Array:
    """Return 0 below ``low``, 1 above ``high`` and a soft way between; falls where low > high."""
    width = high - low
    share = (values - low) / width
    share = np.clip(share, 0, 1)
    # 3 t² - 2 t³: level at both ends.
    slowing = 3 - 2 * share
    step = share * share * slowing
    return as_float32(step)


def gaussian(distance: Array) -> Array:
    """Return 1 where ``distance``, in standard deviations, is 0, and less away from it."""
    square = distance**2
    height: Array = np.exp(-0.5 * square)
    return height


def mixed(albedo: Array, color: Array, share: Array) -> Array:
    """Return ``albedo`` [3, side, side] with ``share`` [side, side] of ``color`` in it."""
    # In place: these are the largest arrays of a drawing.
    mixed = color - albedo
    mixed *= share
    mixed += albedo
    return as_float32(mixed)


def curve(points: list[Point], closed: bool = True) -> Array:
    """Return a Catmull-Rom spline through ``points`` as a polyline [n, 2]."""
    through = np.array(points, np.float32)
    first = through[:1]
    last = through[-1:]
    if closed:
        first_two = through[:2]
        around = np.concatenate([last, through, first_two])
    else:
        # An end has no neighbour and is its own.
        around = np.concatenate([first, through, last])
    share = np.linspace(0, 1, CURVE, endpoint=False, dtype=np.float32)
    t = share[None, :, None]
    t_square = t**2
    t_cube = t**3
    # Between b and c; a and d, their neighbours, say where the curve comes from and goes.
    a = around[:-3, None]
    b = around[1:-2, None]
    c = around[2:-1, None]
    d = around[3:, None]
    start = 2 * b
    slope = c - a
    bend = 2 * a - 5 * b + 4 * c - d
    twist = 3 * b - a - 3 * c + d
    doubled = start + slope * t
    doubled = doubled + bend * t_square
    doubled = doubled + twist * t_cube
    halved = doubled / 2
    line: Array = halved.reshape(-1, 2)
    if closed:
        return line
    return np.concatenate([line, last])


def mirrored(half: list[Point]) -> list[Point]:
    """Return an outline from its right half, which goes from the top of the middle to its foot."""
    outline = list(half)
    for x, y in reversed(half):
        # A point in the middle is in both halves, and must come once.
        is_beside = abs(x) > 1e-6
        if is_beside:
            outline.append((-x, y))
    return outline


def _span(used: NDArray[np.intp]) -> slice:
    """Return the slice from the first of the places ``used``, which rise, to the last one."""
    first = used[0]
    last = used[-1]
    return slice(first, last + 1)


class Grid:
    """The pixels of a canvas, in half widths of a face."""

    def __init__(self, side: int) -> None:
        whole = 2 * EXTENT
        self.side = side
        self.scale = side / whole  # pixels in a half width
        # At the middles of the pixels.
        pixels = np.arange(side) + 0.5
        from_edge = pixels / self.scale
        line = as_float32(from_edge - EXTENT)
        self.x: Array = np.repeat(line[None], side, 0)
        self.y: Array = np.repeat(line[:, None], side, 1)

    def around(self, mask: Array) -> Box:
        """Return the box that holds all of ``mask`` [side, side]."""
        used_rows = np.flatnonzero(mask.any(1))
        used_columns = np.flatnonzero(mask.any(0))
        rows = _span(used_rows)
        columns = _span(used_columns)
        return rows, columns

    def part(self, box: Box) -> Grid:
        """Return the pixels of ``box`` alone; it neither fills nor makes noise."""
        part = copy(self)
        part.x = self.x[box]
        part.y = self.y[box]
        return part

    def fill(self, outline: Array) -> Array:
        """Return the inside of ``outline`` [n, 2] as a mask [side, side], 0 to 1."""
        size = (self.side, self.side)
        mask = np.zeros(size, np.uint8)
        pixels = (outline + EXTENT) * self.scale
        # OpenCV counts from the middle of the first pixel, the canvas from its edge.
        from_middle = pixels - 0.5
        # OpenCV takes whole numbers, of which the last bits are a fraction.
        fixed_point = from_middle * 2**FRACTION_BITS
        rounded = np.round(fixed_point)
        polygon = rounded.astype(np.int32)
        cv2.fillPoly(mask, [polygon], 255, cv2.LINE_AA, FRACTION_BITS)
        return as_float32(mask) / 255

    def blur(self, picture: Array, radius: float) -> Array:
        """Return ``picture`` blurred by a Gaussian; ``radius`` is its deviation."""
        deviation = radius * self.scale  # in pixels
        blurred = cv2.GaussianBlur(picture, (0, 0), deviation)
        return as_float32(blurred)

    def bump(self, x: float, y: float, wide: float, high: float) -> Array:
        """Return a Gaussian hill with its top, 1, at ``x``, ``y``."""
        # A product of two lines: far fewer exponentials than one for each pixel.
        line = self.x[0]
        column = self.y[:, 0]
        across = gaussian((line - x) / wide)
        down = gaussian((column - y) / high)
        hill = down[:, None] * across
        return as_float32(hill)

    def pair(self, x: float, y: float, wide: float, high: float) -> Array:
        """Return two hills, left and right."""
        left = self.bump(-x, y, wide, high)
        right = self.bump(x, y, wide, high)
        return left + right

    def noise(self, random: np.random.Generator, radius: float) -> Array:
        """Return smooth noise with deviation 1; its grains are about ``radius`` wide."""
        grains = round(2 * EXTENT / radius)
        # With fewer the noise would be little more than a slope across the canvas.
        cells = max(4, grains)
        coarse = random.standard_normal((cells, cells), np.float32)
        size = (self.side, self.side)
        smooth = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
        return as_float32(smooth)


@lru_cache(maxsize=16)
def grid_of(side: int) -> Grid:
    return Grid(side)


class Layers:
    """What is drawn so far: light from the front, coverage and label map."""

    def __init__(self, grid: Grid) -> None:
        side = grid.side
        self.grid = grid
        self.color: Array = np.zeros((3, side, side), np.float32)  # linear
        self.alpha: Array = np.zeros((side, side), np.float32)
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
        # Views: what is written into them is in the layers.
        below = self.color[:, *box]
        difference = color - below
        below += mask * difference
        alpha = self.alpha[box]
        np.maximum(alpha, mask, out=alpha)
        if region is not None:
            regions = self.regions[box]
            is_covered = mask > 0.5
            regions[is_covered] = region
