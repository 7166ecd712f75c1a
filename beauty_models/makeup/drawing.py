"""Faces that this project draws, each with its exact label map.

A face is drawn from the front: outlines are filled, a height map gives the normals that light falls
on (Lambert's diffuse and Blinn's specular term), and skin, hair and make-up are albedos in linear
light. Then the head is turned by moving each pixel as far as its height asks, and laid over a
background. Lengths are in half widths of a face, from the point between the eyes, y downwards.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from beauty_models.makeup.regions import Region

Array = NDArray[np.float32]
Lab = tuple[float, float, float]
Point = tuple[float, float]

EXTENT = 2.05  # half a canvas, in half widths of a face: with hair, neck and shoulders
OVERSAMPLED = 2  # pixels a side that are averaged to one
CURVE = 8  # points that a curve has between two that it goes through
CAVITY = 0.16  # distance at which a dent is in its own shade
D65 = (0.95047, 1.0, 1.08883)  # white of Lab
XYZ_TO_RGB = np.array(
    [
        [3.2404542, -1.5371385, -0.4985314],
        [-0.969266, 1.8760108, 0.041556],
        [0.0556434, -0.2040259, 1.0572252],
    ]
)


@dataclass(frozen=True)
class Hair:
    """How the hair lies."""

    color: Lab
    style: str  # bald | short | side | bob | long | curly | bun
    hairline: float  # height over the eyes where it begins in the middle
    curve: float  # how far the hairline falls towards the temples
    parting: float  # where it is parted, −1 to 1


@dataclass(frozen=True)
class Person:
    """What stays the same in all photos of a person."""

    skin: Lab
    redness: float  # of cheeks and nose, 0 to 1
    freckles: float  # 0 to 1
    shine: float  # of the skin, 0 to 1
    age: float  # depth of the folds, 0 to 1
    jaw: float  # width of the face at the mouth's corners
    chin: float  # its width
    length: float  # from the eyes to the chin
    eyes: Point  # half the width of an eye, and its distance from the middle
    lids: Point  # how far the lids are open: upper, lower
    tilt: float  # by which the outer corner of an eye is higher
    iris: Lab
    brows: Point  # thickness and height over the eyes
    arch: float
    nose: Point  # half its width, and where it ends
    lips: tuple[float, float, float]  # half their width, height of the upper and of the lower one
    lip_color: Lab
    hair: Hair
    beard: float  # 0 none, up to 0.5 stubble, above it a full one
    glasses: str  # "" | round | square
    texture: int  # seed of freckles and hair


@dataclass(frozen=True)
class Look:
    """What a made-up face wears. A strength of 0 leaves the part bare; colours are those worn."""

    lipstick: Lab = (50.0, 40.0, 20.0)
    lips: float = 0.0
    gloss: float = 0.0
    shadow: Lab = (50.0, 10.0, 10.0)
    outer_shadow: Lab = (30.0, 5.0, 5.0)
    shadows: float = 0.0
    shimmer: float = 0.0
    blush_color: Lab = (60.0, 40.0, 15.0)
    blush: float = 0.0
    foundation_color: Lab = (70.0, 12.0, 18.0)
    foundation: float = 0.0
    dewy: float = 0.0
    liner: float = 0.0  # thickness of the line along the upper lid, 0 to 1
    wing: float = 0.0  # how far the line goes on beyond the eye


BARE = Look()


@dataclass(frozen=True)
class Scene:
    """What differs from photo to photo of a person."""

    yaw: float  # radians, as are pitch and roll
    pitch: float
    roll: float
    face: float  # half a face's width, of the picture's side
    shift: Point  # of the point between the eyes from its usual place, of the picture's side
    light: tuple[float, float, float]  # where it comes from: right, down, towards the camera
    ambient: float  # share of the light that comes from everywhere
    warmth: float  # above 0 more red, below more blue
    exposure: float
    smile: float  # −0.3 to 1
    mouth: float  # height of the open mouth
    gaze: Point
    raised: float  # how much higher than usual the brows are
    wall: Lab
    floor: Lab
    bokeh: int  # blurred lights in the background
    clothes: Lab
    noise: float  # of the camera, standard deviation of 0 to 1
    seed: int


Box = tuple[slice, slice]
"""Rows and columns of a canvas."""


class Portrait(NamedTuple):
    """A drawn photo."""

    image: NDArray[np.uint8]  # [side, side, 3]
    regions: NDArray[np.uint8]  # [side, side], numbers of `Region`


@lru_cache(maxsize=256)
def linear(color: Lab) -> Array:
    """Return a Lab color in linear RGB [3, 1, 1], clipped to what a screen shows."""
    lightness = (color[0] + 16) / 116
    scaled = np.array([lightness + color[1] / 500, lightness, lightness - color[2] / 200])
    xyz = np.where(scaled > 6 / 29, scaled**3, 3 * (6 / 29) ** 2 * (scaled - 4 / 29))
    rgb = XYZ_TO_RGB @ (xyz * D65)
    return np.clip(rgb, 0.002, 1).astype(np.float32)[:, None, None]


def srgb(light: Array) -> Array:
    """Return linear light as sRGB, both 0 to 1."""
    light = np.clip(light, 0, 1)
    return np.asarray(
        np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light), np.float32
    )


def smoothstep(low: float, high: float, values: Array) -> Array:
    """Return 0 below ``low``, 1 above ``high`` and a soft way between; falls where low > high."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def curve(points: list[Point], closed: bool = True) -> Array:
    """Return a Catmull-Rom spline through ``points`` as a polyline [n, 2]."""
    through = np.array(points, np.float32)
    if closed:
        around = np.concatenate([through[-1:], through, through[:2]])
    else:
        around = np.concatenate([through[:1], through, through[-1:]])
    t = np.linspace(0, 1, CURVE, endpoint=False, dtype=np.float32)[None, :, None]
    a = around[:-3, None]
    b = around[1:-2, None]
    c = around[2:-1, None]
    d = around[3:, None]
    bends = (2 * b) + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2
    bends = bends + (3 * b - a - 3 * c + d) * t**3
    line = (bends / 2).reshape(-1, 2)
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
        line = ((np.arange(side) + 0.5) / self.scale - EXTENT).astype(np.float32)
        self.x: Array = np.repeat(line[None], side, 0)
        self.y: Array = np.repeat(line[:, None], side, 1)

    def around(self, mask: Array) -> Box:
        """Return the box that holds all of ``mask`` [side, side]."""
        rows = np.flatnonzero(mask.any(1))
        columns = np.flatnonzero(mask.any(0))
        return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)

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
        cv2.fillPoly(mask, [np.round(pixels).astype(np.int32)], 255, cv2.LINE_AA, 4)
        return mask.astype(np.float32) / 255

    def blur(self, picture: Array, radius: float) -> Array:
        """Return ``picture`` blurred by a Gaussian; ``radius`` is its deviation."""
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), radius * self.scale), np.float32)

    def bump(self, x: float, y: float, wide: float, high: float) -> Array:
        """Return a Gaussian hill with its top, 1, at ``x``, ``y``."""
        across = np.exp(-0.5 * ((self.x[0] - x) / wide) ** 2)
        down = np.exp(-0.5 * ((self.y[:, 0] - y) / high) ** 2)
        return np.asarray(down[:, None] * across, np.float32)

    def pair(self, x: float, y: float, wide: float, high: float) -> Array:
        """Return two hills, left and right."""
        return self.bump(-x, y, wide, high) + self.bump(x, y, wide, high)

    def noise(self, random: np.random.Generator, radius: float) -> Array:
        """Return smooth noise with deviation 1; its grains are about ``radius`` wide."""
        cells = max(4, round(2 * EXTENT / radius))
        coarse = random.standard_normal((cells, cells), np.float32)
        size = (self.side, self.side)
        return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), np.float32)


@lru_cache(maxsize=16)
def _grid(side: int) -> Grid:
    return Grid(side)


@dataclass
class Eye:
    """One eye's outlines."""

    sign: int  # −1 the left one in the picture, 1 the right one
    upper: Array  # the edge of the upper lid, from the inner corner to the outer one [n, 2]
    lower: Array
    opening: Array  # masks [side, side]
    socket: Array  # where eye shadow goes, with the eye itself
    brow: Array


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


def _outline(person: Person) -> Array:
    """Return the outline of face and skull."""
    foot = person.length
    half = [
        (0.0, -1.3),
        (0.55, -1.17),
        (0.88, -0.72),
        (0.99, -0.2),
        (0.97, 0.25),
        (0.5 * (0.95 + person.jaw) + 0.04, 0.45 * foot + 0.05),
        (person.jaw, 0.71 * foot),
        (0.5 * (person.jaw + person.chin) + 0.02, 0.9 * foot),
        (0.62 * person.chin, 0.985 * foot),
        (0.0, 1.005 * foot),
    ]
    return curve(mirrored(half))


def _arc(share: Array) -> Array:
    # Rounding makes the sine of pi a little less than 0, which has no root.
    return np.asarray(np.clip(np.sin(np.pi * share), 0, 1), np.float32)


def _eye(grid: Grid, person: Person, scene: Scene, sign: int) -> Eye:
    """Return the outlines of one eye, its socket and its brow."""
    half, middle = person.eyes
    share = np.linspace(0, 1, 15, dtype=np.float32)
    x = middle - half + 2 * half * share
    slope = -person.tilt * (share - 0.3)
    squint = 1 - 0.22 * max(0.0, scene.smile)
    upper = slope - person.lids[0] * squint * _arc(share**0.88) ** 0.8
    lower = slope + person.lids[1] * squint * _arc(share**1.15) ** 0.9
    up = np.stack([sign * x, upper], 1)
    low = np.stack([sign * x, lower], 1)
    opening = grid.fill(np.concatenate([up, low[::-1]]))
    # The socket reaches the brow above, a little beyond the outer corner and below the lower lid.
    brow_y = -person.brows[1] - scene.raised
    wide = middle - half * 1.12 + (2.36 * half) * share
    roof = slope - (0.045 + (-brow_y - 0.105) * _arc(np.clip(share, 0.02, 0.93)) ** 0.55)
    ground = slope + person.lids[1] + 0.055 * np.sin(np.pi * share)
    above = np.stack([sign * wide, roof], 1)
    below = np.stack([sign * wide, ground], 1)
    socket = grid.fill(np.concatenate([above, below[::-1]]))
    thick = person.brows[0]
    top = brow_y - person.arch
    body = [
        (middle - 1.3 * half, brow_y + 0.012),
        (middle - 0.2 * half, top + 0.025),
        (middle + 0.6 * half, top),
        (middle + 1.5 * half, brow_y + 0.045),
        (middle + 0.6 * half, top + 0.6 * thick),
        (middle - 0.2 * half, top + 0.025 + 0.9 * thick),
        (middle - 1.25 * half, brow_y + 0.012 + thick),
    ]
    brow = grid.fill(curve([(sign * px, py) for px, py in body]))
    return Eye(sign, up, low, opening, socket, brow)


class Mouth(NamedTuple):
    """The masks of a mouth [side, side]."""

    lips: Array
    inside: Array
    upper: Array
    lower: Array
    center: float  # where the lips meet


def _mouth(grid: Grid, person: Person, scene: Scene) -> Mouth:
    """Return the masks of lips and of what is between them."""
    half, upper, lower = person.lips
    half = half * (1 + 0.2 * max(0.0, scene.smile) - 0.1 * min(1.0, scene.mouth / 0.25))
    center = person.nose[1] + 0.6 * (person.length - person.nose[1]) * 0.72
    corner = center - 0.075 * scene.smile + 0.3 * scene.mouth
    gap = scene.mouth
    line = [
        (half * 0.94, corner),
        (half * 0.5, center + 0.015 + 0.02 * scene.smile),
        (half * 0.12, center),
        (0.0, center + 0.012),
    ]
    rim = [
        (0.0, center - upper * 0.8),
        (half * 0.2, center - upper),
        (half * 0.55, center - upper * 0.62),
        (half, corner),
    ]
    bow = curve([(-x, y) for x, y in reversed(rim[1:])] + rim, closed=False)
    between = curve(line + [(-x, y) for x, y in reversed(line[:-1])], closed=False)
    floor = [
        (half * 0.94, corner),
        (half * 0.55, center + 0.75 * gap + 0.015),
        (0.0, center + gap + 0.012),
        (-half * 0.55, center + 0.75 * gap + 0.015),
        (-half * 0.94, corner),
    ]
    opened = curve(floor, closed=False)
    foot = center + gap + lower
    under = [
        (half, corner),
        (half * 0.6, center + gap + 0.72 * lower),
        (half * 0.25, foot - 0.005),
        (0.0, foot),
        (-half * 0.25, foot - 0.005),
        (-half * 0.6, center + gap + 0.72 * lower),
        (-half, corner),
    ]
    lower_rim = curve(under, closed=False)
    upper_mask = grid.fill(np.concatenate([bow, between]))
    lower_mask = grid.fill(np.concatenate([opened, lower_rim[::-1]]))
    if gap < 0.02:
        inside = np.zeros_like(upper_mask)
    else:
        inside = grid.fill(np.concatenate([between, opened[::-1]]))
        inside = inside * (1 - np.maximum(upper_mask, lower_mask))
    lips = np.maximum(upper_mask, lower_mask)
    return Mouth(lips, inside, upper_mask, lower_mask, center)


@dataclass
class Shape:
    """The shape of a head: masks, and the height of its surface towards the camera."""

    face: Array
    eyes: list[Eye]
    mouth: Mouth
    height: Array
    turned: Array  # a smoother height, by which pixels move when the head turns


def _height(grid: Grid, person: Person, scene: Scene, eyes: list[Eye], mouth: Mouth) -> Array:
    """Return the height of a face towards the camera [side, side]."""
    across = (grid.x / 1.06) ** 2
    down = ((grid.y - 0.08) / (person.length + 0.12)) ** 2
    height = 0.95 * np.sqrt(np.clip(1 - across - down, 0, None) + 0.02)
    wide, end = person.nose
    # The bridge rises from between the eyes to the tip and breaks off below it.
    rise = np.clip((grid.y + 0.14) / (end + 0.06), 0, 1) ** 1.3
    bridge = rise * (1 - smoothstep(end - 0.06, end + 0.13, grid.y))
    spread = wide * (0.42 + 0.26 * np.clip(grid.y / end, 0, 1))
    height += 0.2 * bridge * np.exp(-0.5 * (grid.x / spread) ** 2)
    height += 0.07 * grid.bump(0, end - 0.06, wide * 0.5, 0.075)
    height += 0.075 * grid.pair(wide * 0.72, end - 0.02, wide * 0.32, 0.06)
    middle = person.eyes[1]
    height += 0.05 * grid.pair(middle * 0.95, -person.brows[1] + 0.02, 0.24, 0.075)
    height -= 0.1 * grid.pair(middle * 0.93, 0.0, 0.2, 0.13)
    height += 0.055 * grid.pair(middle, 0.0, 0.14, 0.1)
    height += 0.055 * grid.pair(0.58, 0.42 - 0.05 * scene.smile, 0.24, 0.2)
    height += 0.05 * grid.bump(0, mouth.center, 0.34, 0.22)
    height += 0.07 * grid.bump(0, person.length - 0.17, 0.2, 0.13)
    height -= 0.035 * grid.bump(0, 0.5 * (mouth.center + person.length) - 0.03, 0.17, 0.05)
    height -= 0.022 * grid.bump(0, 0.5 * (end + mouth.center) - 0.03, 0.045, 0.09)
    height += 0.075 * grid.blur(mouth.upper, 0.035) + 0.11 * grid.blur(mouth.lower, 0.045)
    height -= 0.09 * grid.blur(mouth.inside, 0.03)
    # Folds from the nose to the mouth's corners, deeper with age and with a smile.
    depth = 0.012 + 0.03 * person.age + 0.022 * max(0.0, scene.smile)
    for sign in (-1, 1):
        x = sign * (wide + 0.09 + 0.25 * np.clip(grid.y - end + 0.1, 0, 0.6))
        along = grid.bump(sign * 0.35, 0.5 * (end + mouth.center), 0.3, 0.17)
        height -= depth * along * np.exp(-0.5 * ((grid.x - x) / 0.045) ** 2)
    return np.asarray(height, np.float32)


def _shape(grid: Grid, person: Person, scene: Scene) -> Shape:
    face = grid.fill(_outline(person))
    eyes = [_eye(grid, person, scene, sign) for sign in (-1, 1)]
    mouth = _mouth(grid, person, scene)
    height = _height(grid, person, scene, eyes, mouth)
    # Hair and neck lie behind the face; the step at its edge would tear when the head turns.
    turned = grid.blur(height, 0.07)
    return Shape(face, eyes, mouth, height, turned)


class Light(NamedTuple):
    """How much light the surface sends to the camera [side, side]."""

    diffuse: Array  # times the albedo
    specular: Array  # of a wet surface
    sheen: Array  # of a dull one: wider and weaker
    color: Array  # of the light [3, 1, 1]

    def part(self, box: Box) -> Light:
        """Return the light in ``box``."""
        return Light(self.diffuse[box], self.specular[box], self.sheen[box], self.color)


def _light(grid: Grid, shape: Shape, scene: Scene) -> Light:
    """Return the light on a face that is turned as in ``scene``."""
    # The head stands still while it is drawn, so the light turns the other way.
    turn = np.array(
        [
            [math.cos(scene.yaw), 0, -math.sin(scene.yaw)],
            [0, 1, 0],
            [math.sin(scene.yaw), 0, math.cos(scene.yaw)],
        ]
    )
    source = turn @ np.array(scene.light)
    source = source / np.linalg.norm(source)
    halfway = source + turn @ np.array([0.0, 0.0, 1.0])
    halfway = halfway / np.linalg.norm(halfway)
    smooth = grid.blur(shape.height, 0.012)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=grid.scale / 8)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=grid.scale / 8)
    length = np.sqrt(across**2 + down**2 + 1)
    falling = (source[2] - source[0] * across - source[1] * down) / length
    mirrored_light = (halfway[2] - halfway[0] * across - halfway[1] * down) / length
    # Light scatters under the skin: the edge of a shadow is soft (wrapped diffuse).
    wrapped = np.clip((falling + 0.22) / 1.22, 0, None)
    cavity = np.clip(1 + 2.2 * (smooth - grid.blur(smooth, CAVITY)), 0.45, 1.25)
    diffuse = (scene.ambient + (1 - scene.ambient) * 1.25 * wrapped) * cavity
    shine = np.clip(mirrored_light, 0, None)
    warm = np.array([1 + scene.warmth, 1.0, 1 - scene.warmth], np.float32)[:, None, None]
    return Light(
        np.asarray(diffuse, np.float32),
        np.asarray(shine**48, np.float32),
        np.asarray(shine**14, np.float32),
        warm,
    )


def _mixed(albedo: Array, color: Array, share: Array) -> Array:
    """Return ``albedo`` [3, side, side] with ``share`` [side, side] of ``color`` in it."""
    mixed = color - albedo
    mixed *= share
    mixed += albedo
    return np.asarray(mixed, np.float32)


def _skin(grid: Grid, person: Person, look: Look, shape: Shape) -> Array:
    """Return the albedo of skin, lips aside [3, side, side]."""
    random = np.random.default_rng(person.texture)
    base = linear(person.skin)
    covered = 1 - 0.8 * look.foundation
    blotches = 0.035 * grid.noise(random, 0.5) + 0.03 * grid.noise(random, 0.13)
    albedo = base * (1 + covered * blotches)
    lightness, red, yellow = person.skin
    flushed = linear((lightness - 5, red + 11, yellow + 1))
    blood = grid.pair(0.52, 0.42, 0.22, 0.2) + 0.8 * grid.bump(0, person.nose[1] - 0.04, 0.16, 0.1)
    albedo = _mixed(albedo, flushed, covered * (0.12 + 0.4 * person.redness) * blood)
    tired = linear((lightness - 9, red + 3, yellow - 5))
    rings = grid.pair(person.eyes[1] - 0.03, 0.14, 0.17, 0.05)
    albedo = _mixed(albedo, tired, covered * (0.2 + 0.45 * person.age) * rings)
    if person.freckles > 0:
        spots = smoothstep(1.1, 1.9, grid.noise(random, 0.055))
        where = np.clip(grid.bump(0, 0.35, 0.55, 0.2) + 0.3 * grid.bump(0, -0.5, 0.5, 0.2), 0, 1)
        brown = linear((lightness - 17, red + 5, yellow + 6))
        albedo = _mixed(albedo, brown, covered * person.freckles * spots * where)
    if person.beard > 0 or person.age > 0.5:
        # Where a beard is shaved the skin is a little darker and colder.
        chin = grid.bump(0, person.length - 0.1, 0.6, 0.35) * smoothstep(0.55, 0.8, grid.y)
        shaved = linear((lightness - 10, red - 4, yellow - 7))
        albedo = _mixed(albedo, shaved, 0.5 * min(1.0, 2 * person.beard) * chin)
    if look.foundation > 0:
        cover = np.full_like(grid.x, 0.75 * look.foundation)
        albedo = _mixed(albedo, linear(look.foundation_color), cover)
    if look.blush > 0:
        cheeks = grid.pair(0.6, 0.33, 0.2, 0.15)
        albedo = _mixed(albedo, linear(look.blush_color), 0.45 * look.blush * cheeks)
    return albedo


def _shadow(grid: Grid, albedo: Array, look: Look, eye: Eye) -> Array:
    """Return ``albedo`` with eye shadow and liner around one eye."""
    x = eye.sign * grid.x[0]
    lid = np.interp(x, eye.sign * eye.upper[:, 0], eye.upper[:, 1]).astype(np.float32)
    if look.shadows > 0:
        above = np.clip(lid[None] - grid.y, -0.06, None)
        # Strongest at the lid, gone at the brow; below the eye there is a trace of it.
        strength = np.where(above >= 0, 1 - smoothstep(0.03, 0.26, above), 0.45)
        soft = eye.socket * np.clip(2 * grid.blur(eye.socket, 0.03) - 0.9, 0, 1)
        start = float(eye.sign * eye.upper[0, 0])
        end = float(eye.sign * eye.upper[-1, 0])
        outer = smoothstep(start + 0.45 * (end - start), end + 0.06, x)[None]
        worn = linear(look.shadow) + outer * (linear(look.outer_shadow) - linear(look.shadow))
        albedo = _mixed(albedo, np.asarray(worn, np.float32), look.shadows * strength * soft)
    # The lashes' shade is there without any make-up, too.
    thick = 0.012 + 0.04 * look.liner
    line = eye.upper.copy()
    if look.wing > 0:
        slope = line[-1] + [eye.sign * 0.16 * look.wing, -0.075 * look.wing]
        line = np.concatenate([line, slope[None].astype(np.float32)])
    taper = np.linspace(0.25, 1, len(line), dtype=np.float32)
    if look.wing > 0:
        taper[-1] = 0.0
    over = line - np.stack([np.zeros_like(taper), thick * taper], 1)
    lashes = grid.fill(np.concatenate([line + [0, 0.008], over[::-1]]))
    dark = linear((14, 4, 4))
    return _mixed(albedo, dark, (0.6 + 0.35 * min(1.0, 2 * look.liner)) * lashes)


def _lay_eye(layers: Layers, person: Person, scene: Scene, eye: Eye, light: Light) -> None:
    """Draw an eyeball: white, iris, pupil, the shade of the lid and a glint."""
    box = layers.grid.around(eye.opening)
    grid = layers.grid.part(box)
    light = light.part(box)
    middle_x = eye.sign * person.eyes[1] + scene.gaze[0]
    middle_y = -0.16 * person.lids[0] + 0.2 * person.lids[1] + scene.gaze[1]
    radius = 0.112
    distance = np.sqrt((grid.x - middle_x) ** 2 + (grid.y - middle_y) ** 2)
    edge = 0.7 / grid.scale
    white = linear((72, 3, 6)) * np.ones_like(grid.x)
    corners = smoothstep(0.1, 0.23, np.abs(grid.x - eye.sign * person.eyes[1]))
    white = _mixed(white, linear((56, 16, 10)), 0.5 * corners)
    iris = linear(person.iris) * (1.3 - 0.85 * (distance / radius) ** 4)
    ball = _mixed(white, iris, smoothstep(radius + edge, radius - edge, distance))
    ball = _mixed(ball, linear((4, 0, 0)), smoothstep(0.048 + edge, 0.048 - edge, distance))
    lid = np.interp(eye.sign * grid.x[0], eye.sign * eye.upper[:, 0], eye.upper[:, 1])
    shade = 1 - 0.6 * smoothstep(0.1, 0.0, grid.y - lid.astype(np.float32))
    lit = ball * (0.35 + 0.65 * light.diffuse * shade) * light.color
    side = math.copysign(1, scene.light[0])
    lit = lit + 0.8 * grid.bump(middle_x + side * 0.035, middle_y - 0.04, 0.016, 0.016)
    region = Region.LEFT_EYE if eye.sign < 0 else Region.RIGHT_EYE
    layers.lay(lit, eye.opening[box], region, box)


def _lay_brow(layers: Layers, person: Person, eye: Eye, light: Light) -> None:
    """Draw a brow of fine hairs."""
    grid = layers.grid
    random = np.random.default_rng(person.texture + 5)
    hairs = 0.8 + 0.16 * grid.noise(random, 0.035)
    color = linear((min(person.hair.color[0], 42) * 0.75, 5, 9))
    soft = grid.blur(eye.brow, 0.018)
    worn = np.clip(soft * hairs, 0, 0.9)
    layers.lay(color * light.diffuse, np.asarray(worn, np.float32))
    layers.regions[eye.brow > 0.5] = Region.BROWS


def _lay_mouth(
    layers: Layers, person: Person, look: Look, scene: Scene, mouth: Mouth, light: Light
) -> None:
    """Draw lips with their lines, and teeth and tongue between them."""
    grid = layers.grid
    random = np.random.default_rng(person.texture + 9)
    lines = random.standard_normal((2, 60)).astype(np.float32)
    lines = cv2.resize(lines, (grid.side, grid.side), interpolation=cv2.INTER_CUBIC)
    albedo = linear(person.lip_color) * (1 + 0.05 * lines * (1 - 0.6 * look.lips))
    albedo = _mixed(albedo, linear(look.lipstick), np.full_like(grid.x, look.lips))
    rim = 1 - smoothstep(0.4, 0.95, grid.blur(mouth.lips, 0.02))
    albedo = albedo * (1 - 0.18 * look.lips * rim)
    wet = 0.06 + 0.05 * (1 - look.lips) + 0.6 * look.gloss
    glossy = wet * light.specular * (1 + 0.15 * lines) + 0.1 * look.gloss * light.sheen
    lit = albedo * light.diffuse + np.clip(glossy, 0, None)
    edge = mouth.lips if look.lips > 0.5 else np.clip(1.15 * grid.blur(mouth.lips, 0.012), 0, 1)
    layers.lay(np.asarray(lit * light.color, np.float32), np.asarray(edge, np.float32))
    layers.regions[mouth.lips > 0.5] = Region.LIPS
    # The line where the lips meet is dark even when they are closed.
    gap = max(scene.mouth, 0.012)
    below = grid.y - mouth.center
    if scene.mouth >= 0.02:
        depth = smoothstep(1.15, 0.35, np.abs(grid.x) / person.lips[0])
        tooth = 0.93 + 0.07 * np.cos(grid.x * 2 * math.pi / 0.085)
        teeth = linear((90, 1, 9)) * (tooth * (0.25 + 0.75 * depth))
        throat = linear((14, 16, 8)) * np.ones_like(grid.x)
        tongue = grid.bump(0, mouth.center + gap * 1.05, person.lips[0] * 0.5, 0.3 * gap)
        throat = _mixed(throat, linear((42, 26, 14)), tongue)
        shown = smoothstep(0.62, 0.5, below / max(0.16, gap))
        inner = _mixed(throat, np.asarray(teeth, np.float32), shown)
        upper_shade = smoothstep(-0.01, 0.06, below)
        inner = inner * (0.45 + 0.55 * upper_shade) * (0.5 + 0.5 * light.diffuse)
        layers.lay(np.asarray(inner * light.color, np.float32), mouth.inside, Region.MOUTH)
    else:
        crease = mouth.upper * mouth.lower
        closed = np.clip(3 * grid.blur(crease, 0.008), 0, 1) * mouth.lips
        layers.lay(linear((16, 14, 7)), np.asarray(0.75 * closed, np.float32))


def _strands(grid: Grid, hair: Hair, random: np.random.Generator) -> Array:
    """Return how bright the strands of hair are [side, side], about 1."""
    if hair.style == "curly":
        curls = 0.22 * grid.noise(random, 0.09) + 0.15 * grid.noise(random, 0.2)
        return np.asarray(np.clip(1 + curls, 0.3, 1.8), np.float32)
    # Strands run away from the parting: those at one angle share their brightness.
    from_x = grid.x - hair.parting * 0.4
    from_y = grid.y + 1.35
    angle = np.arctan2(from_x, np.clip(from_y, 0.02, None) + 0.35)
    distance = np.sqrt(from_x**2 + from_y**2)
    rows = random.standard_normal((6, 160)).astype(np.float32)
    wave = 0.02 * grid.noise(random, 0.6)
    map_x = ((angle + wave + math.pi / 2) / math.pi * 159).astype(np.float32)
    map_y = np.clip(distance / 4 * 5, 0, 5).astype(np.float32)
    streaks = cv2.remap(rows, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(1 + 0.2 * streaks, 0.35, 1.7), np.float32)


def _hair_color(grid: Grid, hair: Hair, scene: Scene, light: Light, seed: int) -> Array:
    """Return the light that hair sends [3, side, side]."""
    random = np.random.default_rng(seed + 3)
    strands = _strands(grid, hair, random)
    from_x = grid.x - 0.25 * scene.light[0]
    distance = np.sqrt(from_x**2 + (grid.y + 0.2) ** 2)
    # A band of light lies around the head where its surface looks halfway to the lamp.
    band = np.exp(-0.5 * ((distance - 0.92) / 0.09) ** 2) * smoothstep(-0.1, -0.6, grid.y)
    side = 1 + 0.3 * np.clip(grid.x * scene.light[0], -1, 1) - 0.12 * np.clip(grid.y, -1, 1.5)
    shade = (0.55 + 0.35 * side) * strands
    color = linear(hair.color) * shade
    bright = (0.05 + 0.35 * linear(hair.color)) * (band * strands**2)
    return np.asarray((color + bright) * light.color, np.float32)


def _back_hair(grid: Grid, person: Person) -> Array:
    """Return the mask of the hair behind face and neck."""
    style = person.hair.style
    if style in ("bald", "short", "side"):
        return np.zeros_like(grid.x)
    if style == "bun":
        return grid.fill(curve([(0.38, -1.55), (0.0, -1.88), (-0.38, -1.55), (0.0, -1.25)]))
    foot = {"bob": 1.05, "long": 2.2, "curly": 0.75}[style]
    wide = {"bob": 1.2, "long": 1.17, "curly": 1.38}[style]
    half = [
        (0.0, -1.48),
        (0.7, -1.32),
        (wide * 0.93, -0.7),
        (wide, 0.0),
        (wide * 1.02, 0.6 * foot),
        (wide * 0.9, foot),
        (0.45, foot * 1.02),
        (0.0, foot),
    ]
    mask = grid.fill(curve(mirrored(half)))
    if style == "curly":
        random = np.random.default_rng(person.texture + 4)
        ragged = grid.blur(mask, 0.1) + 0.16 * grid.noise(random, 0.14)
        mask = smoothstep(0.42, 0.52, ragged)
    return mask


def _front_hair(grid: Grid, person: Person) -> Array:
    """Return the mask of the hair above the forehead and beside it."""
    hair = person.hair
    if hair.style == "bald":
        return np.zeros_like(grid.x)
    puffed = {"short": 0.07, "side": 0.11, "bob": 0.17, "long": 0.15, "curly": 0.3, "bun": 0.06}
    grown = puffed[hair.style]
    half = [
        (0.0, -1.3 - grown),
        (0.56 + 0.4 * grown, -1.17 - 0.8 * grown),
        (0.9 + 0.8 * grown, -0.72 - 0.3 * grown),
        (1.0 + 0.7 * grown, -0.2),
        (0.99 + 0.4 * grown, 0.18),
        (0.75, 0.2),
        (0.0, 0.2),
    ]
    scalp = grid.fill(curve(mirrored(half)))
    random = np.random.default_rng(person.texture + 6)
    if hair.style == "curly":
        ragged = grid.blur(scalp, 0.05) + 0.15 * grid.noise(random, 0.12)
        scalp = smoothstep(0.42, 0.54, ragged)
    # The hairline: highest in the middle or at the parting, lowest before the ears.
    from_middle = np.abs(grid.x - 0.45 * hair.parting * (hair.style != "short"))
    line = -hair.hairline + hair.curve * from_middle**2.2
    side = smoothstep(0.8, 0.93, np.abs(grid.x))
    line = line + side * np.clip(0.16 - line, 0, None)
    fringe = 0.014 * grid.noise(random, 0.05)
    return np.asarray(scalp * smoothstep(0.045, -0.03, grid.y - line - fringe), np.float32)


def _lay_body(layers: Layers, person: Person, scene: Scene, light: Light, hair: Array) -> None:
    """Draw clothes, hair behind the head, neck and ears."""
    grid = layers.grid
    random = np.random.default_rng(scene.seed + 1)
    shoulders = [(0.0, 1.72), (0.55, 1.66), (0.95, 1.78), (1.7, 2.02), (2.3, 2.5), (0.0, 2.6)]
    clothes = grid.fill(curve(mirrored(shoulders)))
    cloth = 0.85 + 0.08 * grid.noise(random, 0.35) + 0.2 * np.clip(grid.x * scene.light[0], -1, 1)
    layers.lay(np.asarray(linear(scene.clothes) * cloth * light.color, np.float32), clothes)
    layers.lay(0.7 * hair, _back_hair(grid, person), Region.HAIR)
    neck_half = [(0.0, 0.7), (0.52, 0.7), (0.5, 1.35), (0.57, 1.62), (0.5, 1.85), (0.0, 1.98)]
    neck = grid.fill(curve(mirrored(neck_half)))
    skin = linear(person.skin)
    rounded = np.sqrt(np.clip(1 - (grid.x / 0.72) ** 2, 0, 1))
    sidewards = 1 + 0.35 * np.clip(grid.x * scene.light[0], -0.7, 0.7)
    # The chin keeps the light away.
    under = smoothstep(person.length - 0.15, person.length + 0.45, grid.y)
    lit = (0.38 + 0.45 * under) * (0.55 + 0.45 * rounded) * sidewards
    layers.lay(np.asarray(skin * lit * light.color, np.float32), neck, Region.NECK)
    for sign in (-1, 1):
        ear = [(sign * 0.93, -0.12), (sign * 1.12, -0.14), (sign * 1.1, 0.14), (sign * 0.95, 0.36)]
        mask = grid.fill(curve(ear))
        hollow = 0.8 - 0.3 * grid.bump(sign * 1.03, 0.08, 0.05, 0.1)
        color = linear((person.skin[0] - 4, person.skin[1] + 4, person.skin[2]))
        side = 1 + 0.3 * sign * scene.light[0]
        layers.lay(
            np.asarray(color * (hollow * side) * light.color, np.float32),
            mask,
            Region.BACKGROUND,
        )


def _lay_face(
    layers: Layers, person: Person, look: Look, scene: Scene, shape: Shape, light: Light
) -> None:
    """Draw skin, eyes, brows, nostrils and mouth."""
    grid = layers.grid
    random = np.random.default_rng(scene.seed + 2)
    albedo = _skin(grid, person, look, shape)
    for eye in shape.eyes:
        albedo = _shadow(grid, albedo, look, eye)
    pores = 1 + 0.018 * grid.noise(random, 0.03)
    shine = (0.02 + 0.09 * person.shine) * (1 - 0.6 * look.foundation) + 0.12 * look.dewy
    lit = albedo * (light.diffuse * pores)
    lit = lit + (shine * (0.5 * light.sheen + light.specular))
    if look.shimmer > 0:
        sparks = np.clip(grid.noise(random, 0.03), 0, None) * light.sheen
        for eye in shape.eyes:
            near = eye.socket * smoothstep(-0.3, 0.0, grid.y)
            lit = lit + (0.3 * look.shimmer * look.shadows * sparks * near)
    layers.lay(np.asarray(lit * light.color, np.float32), shape.face, Region.SKIN)
    for eye in shape.eyes:
        region = Region.LEFT_SHADOW if eye.sign < 0 else Region.RIGHT_SHADOW
        layers.regions[(eye.socket > 0.5) & (shape.face > 0.5)] = region
    wide, end = person.nose
    nostrils = grid.pair(wide * 0.48, end + 0.045, 0.052, 0.026)
    layers.lay(linear((person.skin[0] * 0.25, 10, 8)), np.clip(1.1 * nostrils, 0, 0.85))
    for eye in shape.eyes:
        # The crease over the lid.
        crease = eye.upper - [0, 0.05]
        thick = np.concatenate([crease - [0, 0.01], (crease + [0, 0.01])[::-1]])
        mask = 0.32 * grid.blur(grid.fill(thick.astype(np.float32)), 0.008)
        layers.lay(linear((person.skin[0] * 0.45, 12, 12)), np.asarray(mask, np.float32))
        _lay_eye(layers, person, scene, eye, light)
        _lay_brow(layers, person, eye, light)
    _lay_mouth(layers, person, look, scene, shape.mouth, light)


def _lay_beard(layers: Layers, person: Person, scene: Scene, shape: Shape, light: Light) -> None:
    """Draw stubble or a full beard around the mouth."""
    grid = layers.grid
    random = np.random.default_rng(person.texture + 7)
    center = shape.mouth.center
    # It grows below a line from the ears to the corners of the mouth, and on the upper lip.
    cheek = center - 0.06 - 0.62 * smoothstep(0.45, 1.0, np.abs(grid.x)) ** 1.3
    grown = smoothstep(-0.07, 0.07, grid.y - cheek + 0.03 * grid.noise(random, 0.08))
    grown = grown * smoothstep(0.0, 0.07, grid.y - person.nose[1] - 0.07)
    free = 1 - np.clip(
        1.3 * grid.blur(np.maximum(shape.mouth.lips, shape.mouth.inside), 0.015), 0, 1
    )
    # Below the lower lip some skin stays free.
    soul = grid.bump(0.16, center + person.lips[2] + scene.mouth + 0.05, 0.09, 0.035)
    soul = soul + grid.bump(-0.16, center + person.lips[2] + scene.mouth + 0.05, 0.09, 0.035)
    mask = grown * free * (1 - 0.5 * np.clip(soul, 0, 1)) * shape.face
    hairs = 0.8 + 0.35 * grid.noise(random, 0.045)
    dark = (max(8.0, person.hair.color[0] * 0.8), person.hair.color[1], person.hair.color[2])
    color = linear(dark) * (light.diffuse * np.clip(hairs, 0.3, 1.6)) * light.color
    if person.beard > 0.5:
        layers.lay(np.asarray(color, np.float32), np.asarray(0.93 * mask, np.float32), Region.HAIR)
        return
    stubble = 0.8 * person.beard * mask * (0.6 + 0.4 * smoothstep(0.3, 1.3, hairs))
    layers.lay(np.asarray(color, np.float32), np.asarray(stubble, np.float32))


def _lay_glasses(layers: Layers, person: Person, scene: Scene) -> None:
    """Draw a frame and the gleam of its lenses."""
    grid = layers.grid
    middle = person.eyes[1] + 0.01
    square = person.glasses == "square"
    wide, high = (0.34, 0.24) if square else (0.3, 0.28)
    power = 5.0 if square else 2.2
    frame = np.zeros_like(grid.x)
    lens = np.zeros_like(grid.x)
    for sign in (-1, 1):
        across = np.abs((grid.x - sign * middle) / wide) ** power
        down = np.abs((grid.y - 0.05) / high) ** power
        radius = (across + down) ** (1 / power)
        rim = smoothstep(0.17, 0.1, np.abs(radius - 1) * 1.05)
        frame = np.maximum(frame, rim)
        lens = np.maximum(lens, smoothstep(1.0, 0.9, radius))
    bridge = (np.abs(grid.x) < middle - wide * 0.94) & (np.abs(grid.y + 0.03) < 0.03)
    temple = (np.abs(grid.x) > middle + wide * 0.96) & (np.abs(grid.y + 0.05) < 0.03)
    frame = np.maximum(frame, (bridge | (temple & (np.abs(grid.x) < 1.0))).astype(np.float32))
    gleam = smoothstep(0.05, 0.0, np.abs(grid.x * 0.8 + grid.y - 0.25 * scene.light[0]))
    layers.lay(np.full((3, 1, 1), 0.9, np.float32), np.asarray(0.1 * lens * gleam, np.float32))
    random = np.random.default_rng(person.texture + 8)
    color = linear((random.uniform(8, 35), random.uniform(-4, 12), random.uniform(-6, 14)))
    layers.lay(color, np.asarray(frame, np.float32), Region.GLASSES)


def _background(scene: Scene, side: int) -> Array:
    """Return a wall with blurred things and lights on it [side, side, 3]."""
    random = np.random.default_rng(scene.seed)
    down = np.linspace(0, 1, side, dtype=np.float32)[:, None]
    across = np.linspace(-1, 1, side, dtype=np.float32)[None]
    share = smoothstep(random.uniform(0.1, 0.5), random.uniform(0.6, 1.0), down) * np.ones_like(
        across
    )
    wall = linear(scene.wall) + share * (linear(scene.floor) - linear(scene.wall))
    wall = np.asarray(wall * (1 - 0.25 * scene.light[0] * across), np.float32)
    for _ in range(scene.bokeh):
        x, y = random.uniform(0, side, 2)
        radius = random.uniform(0.03, 0.22) * side
        color = linear((random.uniform(20, 90), random.uniform(-25, 30), random.uniform(-30, 40)))
        spot = np.zeros((side, side), np.float32)
        if random.random() < 0.4:
            corner = (int(x - radius), int(y - 2 * radius))
            cv2.rectangle(spot, corner, (int(x + radius), int(y + 2 * radius)), 1.0, -1)
        else:
            cv2.circle(spot, (int(x), int(y)), int(radius), 1.0, -1, cv2.LINE_AA)
        wall = _mixed(wall, color, np.asarray(0.5 * spot, np.float32))
    return np.asarray(cv2.GaussianBlur(wall.transpose(1, 2, 0), (0, 0), 0.025 * side), np.float32)


def _source(grid: Grid, shape: Shape, scene: Scene, side: int) -> tuple[Array, Array]:
    """Return where on the canvas each pixel of a picture comes from: x and y [side, side]."""
    line = (np.arange(side, dtype=np.float32) + 0.5) / side - 0.5
    across = line[None] - scene.shift[0]
    down = line[:, None] - scene.shift[1]
    cos, sin = math.cos(scene.roll), math.sin(scene.roll)
    u = (cos * across + sin * down) / scene.face
    v = (cos * down - sin * across) / scene.face
    x = np.asarray(u, np.float32)
    y = np.asarray(v, np.float32)
    # A point at height z is seen at x cos + z sin; solved for x by going back and forth.
    for _ in range(4):
        z = _sampled(grid, shape.turned, x, y, cv2.INTER_LINEAR)
        x = np.asarray((u - z * math.sin(scene.yaw)) / math.cos(scene.yaw), np.float32)
        y = np.asarray((v - z * math.sin(scene.pitch)) / math.cos(scene.pitch), np.float32)
    return x, y


def _sampled(grid: Grid, picture: NDArray[Any], x: Array, y: Array, how: int) -> NDArray[Any]:
    map_x = (x + EXTENT) * grid.scale - 0.5
    map_y = (y + EXTENT) * grid.scale - 0.5
    return np.asarray(cv2.remap(picture, map_x, map_y, how, borderMode=cv2.BORDER_REPLICATE))


def draw(person: Person, look: Look, scene: Scene, side: int) -> Portrait:
    """Return a photo of ``person`` made up as ``look``; the same arguments give the same bytes."""
    fine = OVERSAMPLED * side
    # As many pixels in a face as the oversampled photo has, whatever its part of the photo.
    grid = _grid(round(fine * scene.face * 2 * EXTENT / 16) * 16)
    shape = _shape(grid, person, scene)
    light = _light(grid, shape, scene)
    layers = Layers(grid)
    hair = _hair_color(grid, person.hair, scene, light, person.texture)
    _lay_body(layers, person, scene, light, hair)
    _lay_face(layers, person, look, scene, shape, light)
    if person.beard > 0:
        _lay_beard(layers, person, scene, shape, light)
    front = _front_hair(grid, person)
    # Hair throws a little shade on the forehead.
    shade = np.clip(grid.blur(front, 0.06) - front, 0, 1) * shape.face
    layers.color *= 1 - 0.45 * shade
    layers.lay(hair, front, Region.HAIR)
    if person.glasses:
        _lay_glasses(layers, person, scene)
    return _photograph(layers, shape, scene, side)


def _photograph(layers: Layers, shape: Shape, scene: Scene, side: int) -> Portrait:
    """Return what a camera sees of ``layers`` in front of the background."""
    grid = layers.grid
    fine = OVERSAMPLED * side
    x, y = _source(grid, shape, scene, fine)
    seen = cv2.merge([*layers.color, layers.alpha])
    figure = _sampled(grid, seen, x, y, cv2.INTER_LINEAR)
    behind = _background(scene, fine)
    alpha = figure[..., 3:]
    picture = figure[..., :3] + (1 - alpha) * behind
    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    random = np.random.default_rng(scene.seed + 11)
    # A film's shoulder: what is very bright is compressed, not cut off.
    exposed = small * scene.exposure
    toned = np.where(exposed > 0.7, 0.7 + 0.3 * np.tanh((exposed - 0.7) / 0.3), exposed)
    shown = srgb(np.asarray(toned, np.float32))
    shown = shown + scene.noise * random.standard_normal(shown.shape, np.float32)
    image = np.clip(shown * 255 + 0.5, 0, 255).astype(np.uint8)
    # The label of a pixel is that of its middle.
    middle_x, middle_y = _source(grid, shape, scene, side)
    regions = _sampled(grid, layers.regions, middle_x, middle_y, cv2.INTER_NEAREST)
    return Portrait(image, regions)
