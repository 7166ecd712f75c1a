"""Products drawn by this project for starters and tests: garments and cosmetics.

In colors and patterns, as photos of a shop (on white) and of users (in a room).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter
from scipy.ndimage import minimum_filter

Points = list[tuple[float, float]]
Color = tuple[int, int, int]
Affine = np.ndarray[tuple[int, int], np.dtype[np.float64]]
"""[2, 3]: moves points (x, y, 1)."""

SUPERSAMPLING = 3  # shapes are drawn this many times larger, then shrunk: smooth edges
METALLIC = ("make-up", "skin care", "fragrance")  # departments whose caps are dark metal
METAL = (70, 66, 72)


class Kind(NamedTuple):
    """What is drawn: its names, where it is sold, its outlines in a square from 0 to 1."""

    english: str
    chinese: str
    department: str
    body: tuple[Points, ...]  # in the color and the pattern of the product
    details: tuple[Points, ...] = ()  # seams, buttons and caps, in one tone


def _both(*half: tuple[float, float]) -> Points:
    """Return the outline of a right half, from the top to the bottom, mirrored at x = 0.5."""
    mirrored = [(1 - x, y) for x, y in reversed(half)]
    return [*half, *mirrored]


TORSO = _both((0.60, 0.12), (0.74, 0.16), (0.72, 0.88))
SHORT = (
    [(0.74, 0.16), (0.93, 0.36), (0.83, 0.45), (0.72, 0.34)],
    [(0.26, 0.16), (0.07, 0.36), (0.17, 0.45), (0.28, 0.34)],
)
LONG = (
    [(0.74, 0.16), (0.90, 0.80), (0.79, 0.83), (0.70, 0.36)],
    [(0.26, 0.16), (0.10, 0.80), (0.21, 0.83), (0.30, 0.36)],
)
NECK = _both((0.60, 0.12), (0.54, 0.19))
LEG_R = [(0.50, 0.10), (0.70, 0.10), (0.74, 0.92), (0.55, 0.92)]
LEG_L = [(0.50, 0.10), (0.30, 0.10), (0.26, 0.92), (0.45, 0.92)]
BRIEF_R = [(0.50, 0.22), (0.72, 0.22), (0.80, 0.74), (0.54, 0.74)]
BRIEF_L = [(0.50, 0.22), (0.28, 0.22), (0.20, 0.74), (0.46, 0.74)]
TUBE = [(0.42, 0.50), (0.58, 0.50), (0.58, 0.92), (0.42, 0.92)]

KINDS: dict[str, Kind] = {
    "t-shirt": Kind(
        "T-shirt",
        "T恤",
        "tops",
        (TORSO, *SHORT),
        (NECK,),
    ),
    "long sleeve": Kind(
        "long-sleeved shirt",
        "长袖衫",
        "tops",
        (TORSO, *LONG),
        (NECK,),
    ),
    "hoodie": Kind(
        "hoodie",
        "连帽卫衣",
        "tops",
        (TORSO, *LONG, _both((0.56, 0.02), (0.66, 0.10), (0.62, 0.24))),
        (_both((0.62, 0.60), (0.66, 0.78)), _both((0.54, 0.09), (0.56, 0.19))),
    ),
    "jacket": Kind(
        "jacket",
        "夹克",
        "outerwear",
        (TORSO, *LONG),
        (_both((0.51, 0.12), (0.51, 0.88)), NECK),
    ),
    "tank top": Kind(
        "tank top",
        "背心",
        "tops",
        (_both((0.62, 0.10), (0.66, 0.10), (0.66, 0.30), (0.73, 0.40), (0.71, 0.88)),),
        (_both((0.62, 0.10), (0.56, 0.30)),),
    ),
    "dress": Kind(
        "dress",
        "连衣裙",
        "dresses",
        (_both((0.58, 0.08), (0.66, 0.08), (0.62, 0.36), (0.84, 0.94)),),
        (_both((0.58, 0.08), (0.54, 0.16)),),
    ),
    "skirt": Kind(
        "skirt",
        "半身裙",
        "bottoms",
        (_both((0.66, 0.18), (0.86, 0.84)),),
        (_both((0.66, 0.18), (0.67, 0.24)),),
    ),
    "pants": Kind(
        "pants",
        "长裤",
        "bottoms",
        (LEG_R, LEG_L),
        (_both((0.70, 0.10), (0.705, 0.16)),),
    ),
    "shorts": Kind(
        "shorts",
        "短裤",
        "bottoms",
        (BRIEF_R, BRIEF_L),
        (_both((0.72, 0.22), (0.73, 0.29)),),
    ),
    "hat": Kind(
        "hat",
        "帽子",
        "accessories",
        (
            _both((0.60, 0.24), (0.68, 0.34), (0.72, 0.62)),
            _both((0.72, 0.62), (0.96, 0.68), (0.86, 0.76)),
        ),
        (_both((0.71, 0.54), (0.72, 0.62)),),
    ),
    "shoes": Kind(
        "sneakers",
        "运动鞋",
        "shoes",
        (
            [
                (0.08, 0.36),
                (0.30, 0.36),
                (0.46, 0.50),
                (0.80, 0.56),
                (0.92, 0.68),
                (0.92, 0.74),
                (0.08, 0.74),
            ],
        ),
        (
            [(0.08, 0.74), (0.92, 0.74), (0.92, 0.80), (0.08, 0.80)],
            [(0.34, 0.42), (0.40, 0.40), (0.50, 0.52), (0.46, 0.56)],
        ),
    ),
    "bag": Kind(
        "handbag",
        "手提包",
        "accessories",
        (_both((0.80, 0.40), (0.88, 0.86)), _both((0.68, 0.14), (0.72, 0.40))),
        (
            _both((0.62, 0.20), (0.66, 0.40)),
            [(0.44, 0.52), (0.56, 0.52), (0.56, 0.60), (0.44, 0.60)],
        ),
    ),
    "lipstick": Kind(
        "lipstick",
        "口红",
        "make-up",
        ([(0.42, 0.50), (0.42, 0.18), (0.58, 0.08), (0.58, 0.50)],),
        (TUBE,),
    ),
    "nail polish": Kind(
        "nail polish",
        "指甲油",
        "make-up",
        (_both((0.64, 0.48), (0.72, 0.56), (0.72, 0.92)),),
        (_both((0.58, 0.08), (0.60, 0.46)),),
    ),
    "eyeshadow": Kind(
        "eyeshadow palette",
        "眼影盘",
        "make-up",
        (_both((0.86, 0.34), (0.86, 0.70)),),
        (_both((0.90, 0.26), (0.90, 0.33)), _both((0.90, 0.71), (0.90, 0.78))),
    ),
    "cream": Kind(
        "face cream",
        "面霜",
        "skin care",
        (_both((0.80, 0.46), (0.76, 0.82)),),
        (_both((0.82, 0.30), (0.82, 0.45)),),
    ),
    "perfume": Kind(
        "perfume",
        "香水",
        "fragrance",
        (_both((0.62, 0.36), (0.76, 0.44), (0.76, 0.90)),),
        (_both((0.57, 0.12), (0.57, 0.34)),),
    ),
}

# English name → RGB, Chinese name.
COLORS: dict[str, tuple[Color, str]] = {
    "red": ((200, 30, 45), "红色"),
    "orange": ((240, 130, 30), "橙色"),
    "yellow": ((245, 205, 60), "黄色"),
    "green": ((40, 140, 70), "绿色"),
    "blue": ((40, 90, 190), "蓝色"),
    "purple": ((120, 60, 160), "紫色"),
    "pink": ((245, 150, 180), "粉色"),
    "brown": ((120, 75, 45), "棕色"),
    "black": ((35, 35, 40), "黑色"),
    "white": ((240, 240, 236), "白色"),
    "grey": ((145, 148, 152), "灰色"),
    "teal": ((30, 150, 160), "青色"),
}
PATTERNS: dict[str, str] = {"plain": "纯色", "striped": "条纹", "dotted": "波点", "checked": "格子"}


def _scaled(color: Color, factor: float) -> Color:
    """Return ``color`` darkened to a ``factor`` of it, 0 to 1."""
    red, green, blue = color
    return int(red * factor), int(green * factor), int(blue * factor)


def _contrasting(color: Color) -> Color:
    """Return a darker tone of a light color, a lighter one of a dark color."""
    if sum(color) / 3 > 120:
        return _scaled(color, 0.45)
    red, green, blue = (int(channel + (255 - channel) * 0.7) for channel in color)
    return red, green, blue


def _fabric(pattern: str, side: int, color: Color, rng: np.random.Generator) -> Image.Image:
    """Return a square of the product's material, with lines or dots in a contrasting tone."""
    contrast = _contrasting(color)
    fabric = Image.new("RGB", (side, side), color)
    pen = ImageDraw.Draw(fabric)
    # Drawn for "plain" as well: a seed then gives every pattern the same light.
    pitch = max(6, int(side * rng.uniform(0.07, 0.11)))
    if pattern == "plain":
        return fabric
    for start in range(0, side, pitch):
        if pattern in ("striped", "checked"):
            pen.rectangle((0, start, side, start + pitch // 3), fill=contrast)
        if pattern == "checked":
            pen.rectangle((start, 0, start + pitch // 3, side), fill=contrast)
        if pattern == "dotted":
            for left in range(0, side, pitch):
                dot = (left, start, left + pitch // 2, start + pitch // 2)
                pen.ellipse(dot, fill=contrast)
    return fabric


def _backdrop(background: str, side: int, rng: np.random.Generator) -> Image.Image:
    """Return white, or a room: two tones with a soft edge, a lamp's gradient and grain."""
    if background == "white":
        return Image.new("RGB", (side, side), "white")
    wall = rng.integers(110, 225, 3)
    floor = rng.integers(110, 225, 3)
    down, across = np.mgrid[0:side, 0:side] / side
    tilt = rng.uniform(-0.3, 0.3)
    horizon = rng.uniform(0.45, 0.9)
    # A steep logistic function instead of a line: a photo's edge is not one pixel wide.
    below = -40 * (down + tilt * across - horizon)
    edge = (1 / (1 + np.exp(below)))[..., None]
    lamp = rng.uniform(-1, 1) * across + rng.uniform(-1, 1) * down
    light = (1 + 0.25 * lamp)[..., None]
    grain = rng.normal(0, 6, (side, side, 1))
    room = (wall * (1 - edge) + floor * edge) * light + grain
    return Image.fromarray(np.clip(room, 0, 255).astype(np.uint8))


def _mask(shapes: tuple[Points, ...], side: int, placement: Affine) -> Image.Image:
    """Return the outlines filled; ``placement`` moves them within the unit square."""
    mask = Image.new("L", (side, side), 0)
    pen = ImageDraw.Draw(mask)
    for shape in shapes:
        homogeneous = np.column_stack([shape, np.ones(len(shape))])
        corners = homogeneous @ placement.T * side
        pen.polygon([(float(x), float(y)) for x, y in corners], fill=255)
    return mask


def _placement(background: str, rng: np.random.Generator) -> Affine:
    """Return where a shape lies: upright and central on white, anyhow in a room."""
    looseness = 0.0 if background == "white" else 1.0
    # Every number is drawn whatever the background, so that the order of the draws is one.
    angle = looseness * rng.uniform(-0.35, 0.35)  # radians
    scale = rng.uniform(0.92, 1.0) - looseness * rng.uniform(0.05, 0.3)
    cos = np.cos(angle)
    sin = np.sin(angle)
    rotation = np.array([[cos, -sin], [sin, cos]])
    # Not every product has the proportions of its drawing.
    width = 1 + 0.06 * rng.uniform(-1, 1)
    height = 1 + 0.06 * rng.uniform(-1, 1)
    turn = rotation * scale @ np.diag([width, height])
    # The middle of the unit square stays where it is but for a shift.
    middle = np.array([0.5, 0.5])
    shift = looseness * rng.uniform(-0.1, 0.1, 2)
    return np.column_stack([turn, 0.5 + shift - turn @ middle])


def product(
    kind: str, color: str, pattern: str, *, size: int, seed: int, background: str = "white"
) -> Image.Image:
    """Return a picture of ``size`` × ``size`` pixels.

    Args:
        kind: a key of `KINDS`.
        color: a key of `COLORS`.
        pattern: a key of `PATTERNS`.
        size: pixels of a side.
        seed: varies cut and shade and, in a room, place, light and sharpness.
        background: "white" or "room".
    """
    rng = np.random.default_rng(seed)
    side = size * SUPERSAMPLING
    outlines = KINDS[kind]
    # The shade varies by 6 of 255 (standard deviation) around the color of that name.
    named, _ = COLORS[color]
    varied = np.array(named) + rng.normal(0, 6, 3)
    red, green, blue = np.clip(varied, 0, 255).astype(int).tolist()
    shade: Color = (red, green, blue)
    picture = _backdrop(background, side, rng)
    placement = _placement(background, rng)
    body = _mask(outlines.body, side, placement)
    details = _mask(outlines.details, side, placement)
    fabric = _fabric(pattern, side, shade, rng)
    picture.paste(fabric, mask=body)
    edge = _solid(side, _scaled(shade, 0.6))
    picture.paste(edge, mask=_outline(body))
    detail = METAL if outlines.department in METALLIC else _scaled(shade, 0.72)
    picture.paste(_solid(side, detail), mask=details)
    picture = picture.resize((size, size), Image.Resampling.BOX)
    if background != "white":
        brightness = float(rng.uniform(0.75, 1.2))
        picture = ImageEnhance.Brightness(picture).enhance(brightness)
        blur = float(rng.uniform(0, size / 250))
        picture = picture.filter(ImageFilter.GaussianBlur(blur))
    return picture


def _solid(side: int, color: Color) -> Image.Image:
    return Image.new("RGB", (side, side), color)


def _outline(body: Image.Image) -> Image.Image:
    """Return the edge of a filled mask, a hundredth of its side wide."""
    # As ImageFilter.MinFilter, to the bit, but along one axis after the other: five times as fast.
    window = 2 * (body.width // 100) + 1
    inner = minimum_filter(np.asarray(body), window, mode="nearest")
    return ImageChops.subtract(body, Image.fromarray(inner))
