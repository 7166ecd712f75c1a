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


def hair_color(grid: Grid, hair: Hair, scene: Scene, light: Light, seed: int) -> Array:
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


def back_hair(grid: Grid, person: Person) -> Array:
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


def front_hair(grid: Grid, person: Person) -> Array:
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


def lay_body(layers: Layers, person: Person, scene: Scene, light: Light, hair: Array) -> None:
    """Draw clothes, hair behind the head, neck and ears."""
    grid = layers.grid
    random = np.random.default_rng(scene.seed + 1)
    shoulders = [(0.0, 1.72), (0.55, 1.66), (0.95, 1.78), (1.7, 2.02), (2.3, 2.5), (0.0, 2.6)]
    clothes = grid.fill(curve(mirrored(shoulders)))
    cloth = 0.85 + 0.08 * grid.noise(random, 0.35) + 0.2 * np.clip(grid.x * scene.light[0], -1, 1)
    layers.lay(np.asarray(linear(scene.clothes) * cloth * light.color, np.float32), clothes)
    layers.lay(0.7 * hair, back_hair(grid, person), Region.HAIR)
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


def lay_beard(layers: Layers, person: Person, scene: Scene, shape: Shape, light: Light) -> None:
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


def lay_glasses(layers: Layers, person: Person, scene: Scene) -> None:
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
