"""What is around a face: hair, beard, neck, ears, clothes and glasses."""

from __future__ import annotations

import math

import cv2
import numpy as np

from beauty_models.makeup.drawing.anatomy import Light, Shape
from beauty_models.makeup.drawing.canvas import (
    Array,
    Grid,
    Layers,
    curve,
    linear,
    mirrored,
    smoothstep,
)
from beauty_models.makeup.drawing.people import Hair, Person, Scene
from beauty_models.makeup.regions import Region

# By style of hair, in half widths of a face.
BACK_HAIR_END = {"bob": 1.05, "long": 2.2, "curly": 0.75}  # below the eyes
BACK_HAIR_WIDTH = {"bob": 1.2, "long": 1.17, "curly": 1.38}  # from the middle
FRONT_HAIR_THICKNESS = {  # above the skull
    "short": 0.07,
    "side": 0.11,
    "bob": 0.17,
    "long": 0.15,
    "curly": 0.3,
    "bun": 0.06,
}


def _strands(grid: Grid, hair: Hair, random: np.random.Generator) -> Array:
    """Return how bright the strands of hair are [side, side], about 1."""
    if hair.style == "curly":
        fine = 0.22 * grid.noise(random, 0.09)
        coarse = 0.15 * grid.noise(random, 0.2)
        return np.asarray(np.clip(1 + (fine + coarse), 0.3, 1.8), np.float32)
    # Strands run away from the parting: those at one angle share their brightness.
    from_x = grid.x - hair.parting * 0.4
    from_y = grid.y + 1.35
    below = np.clip(from_y, 0.02, None) + 0.35
    angle = np.arctan2(from_x, below)
    distance = np.sqrt(from_x**2 + from_y**2)
    # Six rows from the parting to the tips, so that a strand's brightness changes on its way.
    rows = random.standard_normal((6, 160)).astype(np.float32)
    wave = 0.02 * grid.noise(random, 0.6)
    half_turns = (angle + wave + math.pi / 2) / math.pi
    map_x = (half_turns * 159).astype(np.float32)
    map_y = np.clip(distance / 4 * 5, 0, 5).astype(np.float32)
    streaks = cv2.remap(rows, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(1 + 0.2 * streaks, 0.35, 1.7), np.float32)


def hair_color(grid: Grid, hair: Hair, scene: Scene, light: Light, seed: int) -> Array:
    """Return the light that hair sends [3, side, side]."""
    random = np.random.default_rng(seed + 3)
    strands = _strands(grid, hair, random)
    from_right = scene.light[0]
    from_x = grid.x - 0.25 * from_right
    distance = np.sqrt(from_x**2 + (grid.y + 0.2) ** 2)
    # A band of light lies around the head where its surface looks halfway to the lamp.
    ring = np.exp(-0.5 * ((distance - 0.92) / 0.09) ** 2)
    band = ring * smoothstep(-0.1, -0.6, grid.y)
    towards_lamp = np.clip(grid.x * from_right, -1, 1)
    downwards = np.clip(grid.y, -1, 1.5)
    side = 1 + 0.3 * towards_lamp - 0.12 * downwards
    shade = (0.55 + 0.35 * side) * strands
    albedo = linear(hair.color)
    color = albedo * shade
    # Hair mirrors light in its own color (Marschner et al. 2003), and a little of it unchanged.
    gloss = 0.05 + 0.35 * albedo
    bright = gloss * (band * strands**2)
    return np.asarray((color + bright) * light.color, np.float32)


def back_hair(grid: Grid, person: Person) -> Array:
    """Return the mask of the hair behind face and neck."""
    style = person.hair.style
    if style in ("bald", "short", "side"):
        return np.zeros_like(grid.x)
    if style == "bun":
        bun = [(0.38, -1.55), (0.0, -1.88), (-0.38, -1.55), (0.0, -1.25)]
        return grid.fill(curve(bun))
    foot = BACK_HAIR_END[style]
    wide = BACK_HAIR_WIDTH[style]
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
        # Noise on the blurred edge, cut at a half: an outline of curls.
        ragged = grid.blur(mask, 0.1) + 0.16 * grid.noise(random, 0.14)
        mask = smoothstep(0.42, 0.52, ragged)
    return mask


def front_hair(grid: Grid, person: Person) -> Array:
    """Return the mask of the hair above the forehead and beside it."""
    hair = person.hair
    if hair.style == "bald":
        return np.zeros_like(grid.x)
    grown = FRONT_HAIR_THICKNESS[hair.style]
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
    is_parted = hair.style != "short"
    from_parting = np.abs(grid.x - 0.45 * hair.parting * is_parted)
    line = -hair.hairline + hair.curve * from_parting**2.2
    # Beside the face it comes down to the ears, whatever the forehead is like.
    beside = smoothstep(0.8, 0.93, np.abs(grid.x))
    to_ear = np.clip(0.16 - line, 0, None)
    line = line + beside * to_ear
    fringe = 0.014 * grid.noise(random, 0.05)
    above_line = smoothstep(0.045, -0.03, grid.y - line - fringe)
    return np.asarray(scalp * above_line, np.float32)


def _lay_clothes(layers: Layers, scene: Scene, light: Light) -> None:
    """Draw shoulders in cloth."""
    grid = layers.grid
    random = np.random.default_rng(scene.seed + 1)
    shoulders = [
        (0.0, 1.72),
        (0.55, 1.66),
        (0.95, 1.78),
        (1.7, 2.02),
        (2.3, 2.5),
        (0.0, 2.6),
    ]
    mask = grid.fill(curve(mirrored(shoulders)))
    folds = 0.08 * grid.noise(random, 0.35)
    towards_lamp = np.clip(grid.x * scene.light[0], -1, 1)
    shade = 0.85 + folds + 0.2 * towards_lamp
    color = linear(scene.clothes) * shade * light.color
    layers.lay(np.asarray(color, np.float32), mask)


def _lay_neck(layers: Layers, person: Person, scene: Scene, light: Light) -> None:
    """Draw the neck, a cylinder below the chin."""
    grid = layers.grid
    half = [
        (0.0, 0.7),
        (0.52, 0.7),
        (0.5, 1.35),
        (0.57, 1.62),
        (0.5, 1.85),
        (0.0, 1.98),
    ]
    mask = grid.fill(curve(mirrored(half)))
    # How much of a cylinder's surface looks at the camera.
    rounded = np.sqrt(np.clip(1 - (grid.x / 0.72) ** 2, 0, 1))
    towards_lamp = np.clip(grid.x * scene.light[0], -0.7, 0.7)
    sidewards = 1 + 0.35 * towards_lamp
    # The chin keeps the light away.
    below_chin = smoothstep(person.length - 0.15, person.length + 0.45, grid.y)
    from_above = 0.38 + 0.45 * below_chin
    lit = from_above * (0.55 + 0.45 * rounded) * sidewards
    color = linear(person.skin) * lit * light.color
    layers.lay(np.asarray(color, np.float32), mask, Region.NECK)


def _lay_ear(layers: Layers, person: Person, scene: Scene, light: Light, sign: int) -> None:
    """Draw one ear; ``sign`` is −1 for the left one in the picture."""
    grid = layers.grid
    outline = [
        (sign * 0.93, -0.12),
        (sign * 1.12, -0.14),
        (sign * 1.1, 0.14),
        (sign * 0.95, 0.36),
    ]
    mask = grid.fill(curve(outline))
    hollow = 0.8 - 0.3 * grid.bump(sign * 1.03, 0.08, 0.05, 0.1)
    # More blood shows through than in a cheek.
    lightness, red, yellow = person.skin
    albedo = linear((lightness - 4, red + 4, yellow))
    side = 1 + 0.3 * sign * scene.light[0]
    color = albedo * (hollow * side) * light.color
    # The label map has no ears: they are as unchanged as the wall.
    layers.lay(np.asarray(color, np.float32), mask, Region.BACKGROUND)


def lay_body(layers: Layers, person: Person, scene: Scene, light: Light, hair: Array) -> None:
    """Draw clothes, hair behind the head, neck and ears."""
    _lay_clothes(layers, scene, light)
    # Head and neck shade the hair behind them.
    layers.lay(0.7 * hair, back_hair(layers.grid, person), Region.HAIR)
    _lay_neck(layers, person, scene, light)
    for sign in (-1, 1):
        _lay_ear(layers, person, scene, light, sign)


def _beard_mask(
    grid: Grid, person: Person, scene: Scene, shape: Shape, random: np.random.Generator
) -> Array:
    """Return where a beard grows [side, side]."""
    mouth = shape.mouth
    # It grows below a line from the ears to the corners of the mouth, and on the upper lip.
    rise = smoothstep(0.45, 1.0, np.abs(grid.x)) ** 1.3
    cheek = mouth.center - 0.06 - 0.62 * rise
    ragged = 0.03 * grid.noise(random, 0.08)
    below_cheek = smoothstep(-0.07, 0.07, grid.y - cheek + ragged)
    below_nose = smoothstep(0.0, 0.07, grid.y - person.nose[1] - 0.07)
    grown = below_cheek * below_nose
    whole_mouth = np.maximum(mouth.lips, mouth.inside)
    near_mouth = np.clip(1.3 * grid.blur(whole_mouth, 0.015), 0, 1)
    # On both sides below the lower lip some skin stays free.
    foot = mouth.center + person.lips[2] + scene.mouth + 0.05
    left = grid.bump(-0.16, foot, 0.09, 0.035)
    right = grid.bump(0.16, foot, 0.09, 0.035)
    free = np.clip(right + left, 0, 1)
    mask = grown * (1 - near_mouth) * (1 - 0.5 * free) * shape.face
    return np.asarray(mask)


def lay_beard(layers: Layers, person: Person, scene: Scene, shape: Shape, light: Light) -> None:
    """Draw stubble or a full beard around the mouth."""
    grid = layers.grid
    random = np.random.default_rng(person.texture + 7)
    mask = _beard_mask(grid, person, scene, shape, random)
    hairs = 0.8 + 0.35 * grid.noise(random, 0.045)
    # A beard is darker than the hair of the head, but never quite black.
    lightness, red, yellow = person.hair.color
    albedo = linear((max(8.0, lightness * 0.8), red, yellow))
    shade = light.diffuse * np.clip(hairs, 0.3, 1.6)
    color = np.asarray(albedo * shade * light.color, np.float32)
    if person.beard > 0.5:
        layers.lay(color, np.asarray(0.93 * mask, np.float32), Region.HAIR)
        return
    # Skin shows between the hairs of stubble, so its label stays.
    density = 0.6 + 0.4 * smoothstep(0.3, 1.3, hairs)
    stubble = 0.8 * person.beard * mask * density
    layers.lay(color, np.asarray(stubble, np.float32))


def lay_glasses(layers: Layers, person: Person, scene: Scene) -> None:
    """Draw a frame and the gleam of its lenses."""
    grid = layers.grid
    middle = person.eyes[1] + 0.01
    # A lens is a superellipse: the higher the power, the squarer.
    if person.glasses == "square":
        wide = 0.34
        high = 0.24
        power = 5.0
    else:
        wide = 0.3
        high = 0.28
        power = 2.2
    frame = np.zeros_like(grid.x)
    lens = np.zeros_like(grid.x)
    for sign in (-1, 1):
        across = np.abs((grid.x - sign * middle) / wide) ** power
        down = np.abs((grid.y - 0.05) / high) ** power
        radius = (across + down) ** (1 / power)
        from_rim = np.abs(radius - 1) * 1.05
        rim = smoothstep(0.17, 0.1, from_rim)
        frame = np.maximum(frame, rim)
        lens = np.maximum(lens, smoothstep(1.0, 0.9, radius))
    from_middle = np.abs(grid.x)
    bridge = (from_middle < middle - wide * 0.94) & (np.abs(grid.y + 0.03) < 0.03)
    temple = (from_middle > middle + wide * 0.96) & (np.abs(grid.y + 0.05) < 0.03)
    on_head = from_middle < 1.0
    bars = bridge | (temple & on_head)
    frame = np.maximum(frame, bars.astype(np.float32))
    # A bright line slants over both lenses, further right when the lamp is there.
    from_gleam = np.abs(grid.x * 0.8 + grid.y - 0.25 * scene.light[0])
    gleam = smoothstep(0.05, 0.0, from_gleam)
    white = np.full((3, 1, 1), 0.9, np.float32)
    layers.lay(white, np.asarray(0.1 * lens * gleam, np.float32))
    random = np.random.default_rng(person.texture + 8)
    lightness = random.uniform(8, 35)
    red = random.uniform(-4, 12)
    yellow = random.uniform(-6, 14)
    color = linear((lightness, red, yellow))
    layers.lay(color, np.asarray(frame, np.float32), Region.GLASSES)
