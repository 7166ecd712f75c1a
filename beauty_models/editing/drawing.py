"""Product photos that this project draws itself, with the mask that a photo never has: exact.

A product is a list of `Part`: outlines in the unit square, x to the right and y down, in a color, a
finish and maybe a print. It is painted three times larger than it is kept, so that the mask is the
share of each pixel that the product covers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from beauty_models.editing.extent import extent

Rng = np.random.Generator
Color = tuple[float, float, float]  # sRGB, 0 to 1
Points = list[tuple[float, float]]
Plane = NDArray[Any]  # float32 [side, side], 0 to 1; numpy's own types lose the width in every sum
Colors = NDArray[Any]  # float32 [side, side, 3]

SUPERSAMPLING = 3
FRACTION_BITS = 4  # of a polygon's corners: a sixteenth of a pixel
CURVE = 10  # points that an arc is drawn with


class Drawn(NamedTuple):
    """A photo and the truth."""

    image: NDArray[np.uint8]  # sRGB [side, side, 3]
    mask: NDArray[np.uint8]  # share of each pixel that the product covers, 0 to 255 [side, side]


@dataclass
class Part:
    """A piece of a product in one material."""

    outlines: list[Points]
    color: Color
    finish: str = "cloth"  # cloth, round (a cylinder), metal, flat
    print: str = ""  # one of `PRINTS`, or ""
    print_color: Color = (1.0, 1.0, 1.0)
    line: float = 0.0  # width of an open line that the outlines are, in the unit square; 0 fills


PRINTS = ("stripes", "dots", "checks", "diagonal", "label", "flowers")

PALETTE: list[Color] = [
    (0.78, 0.12, 0.18),
    (0.93, 0.47, 0.16),
    (0.95, 0.80, 0.28),
    (0.20, 0.52, 0.30),
    (0.13, 0.30, 0.66),
    (0.46, 0.24, 0.60),
    (0.94, 0.58, 0.70),
    (0.45, 0.29, 0.18),
    (0.12, 0.12, 0.14),
    (0.90, 0.89, 0.86),
    (0.58, 0.59, 0.61),
    (0.14, 0.58, 0.60),
    (0.86, 0.72, 0.56),
    (0.40, 0.10, 0.20),
]
GOLD: Color = (0.83, 0.68, 0.38)
SILVER: Color = (0.74, 0.75, 0.78)
DARK: Color = (0.14, 0.13, 0.15)


def color(rng: Rng) -> Color:
    """Return a color of `PALETTE`, varied a little."""
    base = np.array(PALETTE[int(rng.integers(len(PALETTE)))])
    red, green, blue = np.clip(base + rng.normal(0, 0.03, 3), 0.03, 0.93).tolist()
    return (red, green, blue)


def darker(shade: Color, share: float) -> Color:
    """Return ``share`` of a color's light."""
    red, green, blue = shade
    return (red * share, green * share, blue * share)


def mirrored(*half: tuple[float, float]) -> Points:
    """Return the outline of a right half, from the top to the bottom, mirrored at x = 0.5."""
    return [*half, *((1 - x, y) for x, y in reversed(half))]


def arc(left: float, right: float, top: float, bottom: float) -> Points:
    """Return half an ellipse that opens downwards, from its left foot to its right one."""
    angles = np.linspace(math.pi, 0, CURVE)
    middle = (left + right) / 2
    across = middle + (right - left) / 2 * np.cos(angles)
    down = bottom - (bottom - top) * np.sin(angles)
    return list(zip(across.tolist(), down.tolist(), strict=True))


def _print_of(rng: Rng, share: float) -> tuple[str, Color]:
    """Return a print, or none, and its color; ``share`` of the products have one."""
    chosen = PRINTS[int(rng.integers(len(PRINTS)))] if rng.random() < share else ""
    return chosen, color(rng)


def bottle(rng: Rng) -> list[Part]:
    """Return a bottle with a neck, a cap and a label."""
    half = rng.uniform(0.13, 0.24)
    neck = rng.uniform(0.04, min(0.09, half - 0.04))
    shoulder = rng.uniform(0.30, 0.42)
    top = rng.uniform(0.18, 0.24)
    body = mirrored(
        (0.5 + neck, top),
        (0.5 + neck, shoulder - 0.06),
        (0.5 + half, shoulder + 0.03),
        (0.5 + half, 0.90),
        (0.5 + half - 0.02, 0.92),
    )
    cap_half = neck + rng.uniform(0.005, 0.03)
    cap = mirrored((0.5 + cap_half, rng.uniform(0.06, 0.1)), (0.5 + cap_half, top + 0.02))
    label_top = rng.uniform(0.50, 0.58)
    label = mirrored((0.5 + half, label_top), (0.5 + half, label_top + rng.uniform(0.14, 0.26)))
    shade = color(rng)
    cap_color = [GOLD, SILVER, DARK, shade][int(rng.integers(4))]
    return [
        Part([body], shade, "round"),
        Part([label], (0.93, 0.92, 0.88), "round", "label", color(rng)),
        Part([cap], cap_color, "metal"),
    ]


def jar(rng: Rng) -> list[Part]:
    """Return a jar of cream, low and broad, with a lid."""
    half = rng.uniform(0.26, 0.40)
    top = rng.uniform(0.42, 0.52)
    foot = half - rng.uniform(0.0, 0.06)
    body = mirrored((0.5 + half, top), (0.5 + half, 0.72), (0.5 + foot, 0.86))
    lid_half = half + rng.uniform(-0.02, 0.015)
    lid = mirrored((0.5 + lid_half, top - rng.uniform(0.12, 0.18)), (0.5 + lid_half, top))
    chosen, print_color = _print_of(rng, 0.5)
    lid_color = [GOLD, SILVER, DARK, color(rng)][int(rng.integers(4))]
    return [
        Part([body], color(rng), "round", chosen and "label", print_color),
        Part([lid], lid_color, "metal"),
    ]


def lipstick(rng: Rng) -> list[Part]:
    """Return an open lipstick: tube, ring and a slanted bullet."""
    half = rng.uniform(0.07, 0.11)
    joint = rng.uniform(0.52, 0.60)
    inner = half - 0.015
    ring = mirrored((0.5 + inner, joint - rng.uniform(0.08, 0.14)), (0.5 + inner, joint))
    bullet_half = inner - 0.012
    tip = rng.uniform(0.10, 0.18)
    slant = rng.uniform(0.05, 0.12)
    bullet = [
        (0.5 - bullet_half, tip + slant),
        (0.5 + bullet_half * 0.2, tip),
        (0.5 + bullet_half, tip + 0.03),
        (0.5 + bullet_half, ring[0][1] + 0.02),
        (0.5 - bullet_half, ring[0][1] + 0.02),
    ]
    reds = [(0.72, 0.08, 0.18), (0.86, 0.36, 0.42), (0.50, 0.10, 0.24), (0.84, 0.44, 0.34)]
    red = reds[int(rng.integers(len(reds)))]
    tube = mirrored((0.5 + half, joint), (0.5 + half, 0.92))
    return [
        Part([bullet], red, "round"),
        Part([ring], [GOLD, SILVER][int(rng.integers(2))], "metal"),
        Part([tube], [DARK, color(rng)][int(rng.integers(2))], "round"),
    ]


def bag(rng: Rng) -> list[Part]:
    """Return a handbag; through its handle the ground is seen."""
    top = rng.uniform(0.38, 0.48)
    half = rng.uniform(0.26, 0.36)
    foot = half + rng.uniform(-0.04, 0.08)
    body = mirrored((0.5 + half, top), (0.5 + foot, 0.84), (0.5 + foot - 0.03, 0.88))
    reach = rng.uniform(0.12, half - 0.06)
    handle = arc(0.5 - reach, 0.5 + reach, rng.uniform(0.10, 0.2), top + 0.02)
    shade = color(rng)
    chosen, print_color = _print_of(rng, 0.5)
    clasp = mirrored((0.54, top + 0.10), (0.54, top + 0.16))
    return [
        Part([handle], shade, "flat", line=rng.uniform(0.018, 0.035)),
        Part([body], shade, "cloth", chosen, print_color),
        Part([clasp], [GOLD, SILVER][int(rng.integers(2))], "metal"),
    ]


def dress(rng: Rng) -> list[Part]:
    """Return a dress on thin straps."""
    bust = rng.uniform(0.13, 0.17)
    waist = rng.uniform(0.09, bust - 0.02)
    hem = rng.uniform(0.20, 0.34)
    top = rng.uniform(0.24, 0.30)
    waist_at = top + rng.uniform(0.18, 0.24)
    body = [
        (0.5, top + rng.uniform(0.0, 0.04)),
        (0.5 + bust * 0.8, top - 0.02),
        (0.5 + bust, top + 0.04),
        (0.5 + waist, waist_at),
        (0.5 + hem, 0.92),
        (0.5 - hem, 0.92),
        (0.5 - waist, waist_at),
        (0.5 - bust, top + 0.04),
        (0.5 - bust * 0.8, top - 0.02),
    ]
    shoulder = bust * rng.uniform(0.45, 0.75)
    straps = []
    for side in (-1, 1):
        foot = (0.5 + side * bust * 0.8, top)
        straps.append([foot, (0.5 + side * shoulder, rng.uniform(0.06, 0.10))])
    shade = color(rng)
    chosen, print_color = _print_of(rng, 0.6)
    return [
        Part(straps, shade, "flat", line=rng.uniform(0.010, 0.022)),
        Part([body], shade, "cloth", chosen, print_color),
    ]


def hoodie(rng: Rng) -> list[Part]:
    """Return a hooded sweater with a pocket and cords."""
    half = rng.uniform(0.19, 0.25)
    top = rng.uniform(0.24, 0.30)
    body = mirrored((0.5 + 0.08, top), (0.5 + half, top + 0.05), (0.5 + half - 0.01, 0.88))
    cuff = rng.uniform(0.70, 0.82)
    reach = half + rng.uniform(0.10, 0.18)
    arms: list[Points] = []
    for side in (-1, 1):
        arms.append(
            [
                (0.5 + side * half * 0.85, top + 0.03),
                (0.5 + side * (half + 0.03), top + 0.08),
                (0.5 + side * reach, cuff),
                (0.5 + side * (reach - 0.09), cuff + 0.02),
                (0.5 + side * (half - 0.03), top + 0.24),
            ]
        )
    hood = arc(0.5 - 0.13, 0.5 + 0.13, rng.uniform(0.08, 0.12), top + 0.06)
    opening = arc(0.5 - 0.07, 0.5 + 0.07, 0.15, top + 0.03)
    shade = color(rng)
    chosen, print_color = _print_of(rng, 0.4)
    pocket = mirrored((0.5 + half * 0.5, 0.62), (0.5 + half * 0.7, 0.78))
    cords: list[Points] = [
        [(0.5 + side * 0.04, top), (0.5 + side * 0.05, top + 0.16)] for side in (-1, 1)
    ]
    return [
        Part([*arms, hood], shade, "cloth"),
        Part([opening], darker(shade, 0.55), "flat"),
        Part([body], shade, "cloth", chosen, print_color),
        Part([pocket], darker(shade, 0.85), "cloth"),
        Part(cords, (0.92, 0.91, 0.88), "flat", line=0.010),
    ]


KINDS: dict[str, Callable[[Rng], list[Part]]] = {
    "bottle": bottle,
    "jar": jar,
    "lipstick": lipstick,
    "bag": bag,
    "dress": dress,
    "hoodie": hoodie,
}

GROUNDS = ("white", "even", "gradient", "texture")


def draw(parts: list[Part], seed: int, ground: str, size: int, rng: Rng) -> Drawn:
    """Return a photo of ``size`` pixels a side of a product on a ground, one of `GROUNDS`.

    ``rng`` varies place, light, shadow and ground; ``seed`` is the product's own: its folds and its
    print.
    """
    side = size * SUPERSAMPLING
    scale = rng.uniform(0.78, 1.0)
    room = (1 - scale) / 2
    shift = np.array([rng.uniform(-room, room), rng.uniform(-room, room)])
    light = rng.uniform(-0.6, 0.6)  # where the lamp is: left to right
    painted = np.zeros((side, side, 3), np.float32)
    covered = np.zeros((side, side), np.float32)
    grid = _grid(side)
    for number, part in enumerate(parts):
        inside = _mask(part, side, scale, shift)
        box = extent(inside)
        places = grid[:, *box]
        # What is printed is the product's, and the same in each of its photos.
        printing = np.random.default_rng((seed, number))
        material = _material(part, inside[box], places, light, printing)
        painted[box] = _over(painted[box], material, inside[box])
        covered = np.maximum(covered, inside)
    backdrop = _backdrop(ground, side, rng)
    backdrop *= _shadow(covered, rng)[..., None]
    picture = _over(backdrop, painted, covered)
    kept = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    # A camera's noise, less than a shop's JPEG adds.
    kept = kept + rng.normal(0, 0.004, kept.shape)
    if ground == "white":
        # What a shop does with its photos: the ground is white without noise.
        share = cv2.resize(covered, (size, size), interpolation=cv2.INTER_AREA)[..., None]
        kept = np.where((share == 0) & (kept.min(2, keepdims=True) > 0.97), 1.0, kept)
    mask = cv2.resize(covered, (size, size), interpolation=cv2.INTER_AREA)
    return Drawn(_bytes(kept), _bytes(mask))


def _grid(side: int) -> Colors:
    """Return how far down and how far across each pixel is, 0 to 1 [2, side, side]."""
    return np.asarray(np.mgrid[0:side, 0:side] / side, np.float32)


def _bytes(values: Colors) -> NDArray[np.uint8]:
    levels: NDArray[np.uint8] = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return levels


def _over(below: Colors, above: Colors, share: Plane) -> Colors:
    return np.asarray(below + (above - below) * share[..., None], np.float32)


def _mask(part: Part, side: int, scale: float, shift: NDArray[np.float64]) -> Plane:
    """Return which pixels a part covers."""
    covered = np.zeros((side, side), np.uint8)
    unit = side * 2**FRACTION_BITS
    for outline in part.outlines:
        placed = (np.array(outline) - 0.5) * scale + 0.5 + shift
        corners = np.rint(placed * unit).astype(np.int32)[None]
        if part.line:
            width = max(1, round(part.line * scale * side))
            cv2.polylines(covered, corners, False, 255, width, cv2.LINE_8, FRACTION_BITS)
        else:
            cv2.fillPoly(covered, corners, 255, cv2.LINE_8, FRACTION_BITS)
    return covered.astype(np.float32) / 255


def _material(part: Part, inside: Plane, places: Colors, light: float, rng: Rng) -> Colors:
    """Return the color of a part at each of ``places``, lit."""
    down, across = places
    surface = np.empty((*inside.shape, 3), np.float32)
    surface[:] = part.color
    if part.print:
        share = _printed(part.print, down, across, rng)
        printed = np.empty_like(surface)
        printed[:] = part.print_color
        surface = _over(surface, printed, share)
    if part.finish == "cloth":
        surface *= _folds(down, across, rng)[..., None]
    if part.finish in ("round", "metal"):
        surface = _cylinder(surface, inside, light, part.finish == "metal")
    return surface


def _across(inside: Plane) -> Plane:
    """Return for each pixel how far it is between its row's ends, -1 to 1."""
    width = inside.shape[1]
    columns = np.arange(width, dtype=np.float32)
    is_inside = inside > 0
    left = np.where(is_inside, columns, width).min(1)
    right = np.where(is_inside, columns, -1).max(1)
    middle = ((left + right) / 2)[:, None]
    half = np.maximum((right - left) / 2, 1)[:, None]
    return np.asarray(np.clip((columns - middle) / half, -1, 1), np.float32)


def _cylinder(surface: Colors, inside: Plane, light: float, metal: bool) -> Colors:
    """Return ``surface`` as a cylinder shows it: dark at its sides, with a streak of the lamp."""
    across = _across(inside)
    shade = 0.55 + 0.45 * np.sqrt(1 - 0.95 * across**2)
    streak = np.exp(-(((across - light) / 0.14) ** 2))
    lit = surface * shade[..., None]
    # As varnish does: less is added to what is bright already, and nothing becomes pure white.
    lit = lit + (0.97 - lit) * (0.6 if metal else 0.3) * streak[..., None]
    if metal:
        # A second, darker band: metal mirrors the room.
        band = np.exp(-(((across + light * 0.7) / 0.10) ** 2))
        lit = lit * (1 - 0.35 * band[..., None])
    return np.asarray(lit, np.float32)


def _folds(down: Plane, across: Plane, rng: Rng) -> Plane:
    """Return how bright cloth is with its folds, about 1."""
    folds = np.zeros_like(down)
    for _ in range(4):
        # Cloth hangs: its folds run down rather than across.
        angle = rng.normal(0, 0.35)
        wave = across * math.cos(angle) + down * math.sin(angle)
        bend = 0.05 * np.sin(2 * math.pi * (down * rng.uniform(0.5, 1.5) + rng.random()))
        folds += np.sin(2 * math.pi * ((wave + bend) * rng.uniform(2, 7) + rng.random()))
    return np.asarray(0.92 + 0.06 * folds, np.float32)


def _printed(name: str, down: Plane, across: Plane, rng: Rng) -> Plane:
    """Return where a print lies; it repeats, or is a label's lines."""
    pitch = rng.uniform(0.05, 0.10)
    if name == "stripes":
        return (down % pitch < pitch * 0.45).astype(np.float32)
    if name == "diagonal":
        return ((down + across) % pitch < pitch * 0.45).astype(np.float32)
    if name == "checks":
        both = (down % pitch < pitch / 2).astype(np.float32) + (across % pitch < pitch / 2)
        return np.asarray(both / 2, np.float32)
    if name == "label":
        return _label(down.shape, rng)
    # Dots in rows that are shifted by half against each other; flowers are dots with petals.
    row = np.floor(down / pitch)
    y = down % pitch / pitch - 0.5
    x = (across + row % 2 * pitch / 2) % pitch / pitch - 0.5
    radius = np.hypot(x, y)
    if name == "flowers":
        radius = radius / (0.7 + 0.3 * np.cos(5 * np.arctan2(y, x)))
    return (radius < 0.3).astype(np.float32)


def _label(shape: tuple[int, ...], rng: Rng) -> Plane:
    """Return a bar, and lines of different lengths, as lettering looks from afar."""
    printed = np.zeros(shape, np.float32)
    height, width = shape
    middle = width // 2
    place = 0.18
    for number in range(4):
        thickness = 0.16 if number == 0 else 0.06
        half = int(width * (0.3 if number == 0 else rng.uniform(0.12, 0.34)))
        first = int(place * height)
        last = int((place + thickness) * height)
        printed[first:last, middle - half : middle + half] = 1
        place += thickness + 0.1
    return printed


def _backdrop(ground: str, side: int, rng: Rng) -> Colors:
    """Return the ground."""
    backdrop = np.ones((side, side, 3), np.float32)
    if ground == "white":
        return backdrop
    backdrop[:] = np.clip(np.array(color(rng)) * 0.45 + 0.45, 0, 0.95)
    down, across = _grid(side)
    if ground == "gradient":
        slope = rng.uniform(-0.25, 0.25) * (across - 0.5) + rng.uniform(0.05, 0.3) * (0.5 - down)
        backdrop *= (1 + slope)[..., None]
    if ground == "texture":
        backdrop *= _texture(down, across, rng)[..., None]
    return backdrop


def _texture(down: Plane, across: Plane, rng: Rng) -> Plane:
    """Return how bright a ground of boards, tiles or plaster is."""
    kind = int(rng.integers(3))
    pitch = rng.uniform(0.12, 0.25)
    if kind == 2:
        rough = rng.normal(0, 1, (12, 12)).astype(np.float32)
        cloud = cv2.resize(rough, down.shape[::-1], interpolation=cv2.INTER_CUBIC)
        return np.asarray(0.9 + 0.07 * cloud, np.float32)
    joint = (down % pitch < 0.012).astype(np.float32)
    if kind == 1:
        joint = np.maximum(joint, across % pitch < 0.012)
    board = np.floor(down / pitch)
    tone = 0.06 * np.sin(board * 2.4 + rng.random() * 6)
    grain = 0.04 * np.sin(2 * math.pi * (down * 38 + 0.3 * np.sin(across * 5 + board)))
    return np.asarray((0.92 + tone + grain) * (1 - 0.35 * joint), np.float32)


def _shadow(covered: Plane, rng: Rng) -> Plane:
    """Return the share of light that a soft shadow leaves."""
    side = covered.shape[0]
    depth = rng.uniform(0.10, 0.35) if rng.random() < 0.7 else 0.0
    if not depth:
        return np.ones_like(covered)
    if rng.random() < 0.5:
        # Seen from above: the product's own outline, beside it.
        right, down = (rng.uniform(-0.05, 0.05) * side, rng.uniform(0.01, 0.05) * side)
        moved = cv2.warpAffine(covered, np.array([[1, 0, right], [0, 1, down]]), (side, side))
        blurred = cv2.GaussianBlur(moved, (0, 0), side * rng.uniform(0.012, 0.03))
        return np.asarray(1 - depth * blurred, np.float32)
    # It stands: a flat ellipse at its foot.
    rows = np.flatnonzero(covered.any(1))
    columns = np.flatnonzero(covered[rows[-max(1, len(rows) // 12) :]].any(0))
    middle = (int(columns.mean()), int(rows[-1]))
    axes = (int(len(columns) * 0.55), max(2, int(side * 0.025)))
    flat = np.zeros_like(covered)
    cv2.ellipse(flat, middle, axes, 0, 0, 360, 1.0, -1)
    blurred = cv2.GaussianBlur(flat, (0, 0), side * 0.015)
    return np.asarray(1 - depth * blurred, np.float32)
