"""Skin, eyes, brows and mouth, with the make-up on them."""

from __future__ import annotations

import math

import cv2
import numpy as np

from beauty_models.makeup.drawing.anatomy import Eye, Light, Mouth, Shape
from beauty_models.makeup.drawing.canvas import Array, Grid, Layers, linear, mixed, smoothstep
from beauty_models.makeup.drawing.people import Look, Person, Scene
from beauty_models.makeup.regions import Region


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
    albedo = mixed(albedo, flushed, covered * (0.12 + 0.4 * person.redness) * blood)
    tired = linear((lightness - 9, red + 3, yellow - 5))
    rings = grid.pair(person.eyes[1] - 0.03, 0.14, 0.17, 0.05)
    albedo = mixed(albedo, tired, covered * (0.2 + 0.45 * person.age) * rings)
    if person.freckles > 0:
        spots = smoothstep(1.1, 1.9, grid.noise(random, 0.055))
        where = np.clip(grid.bump(0, 0.35, 0.55, 0.2) + 0.3 * grid.bump(0, -0.5, 0.5, 0.2), 0, 1)
        brown = linear((lightness - 17, red + 5, yellow + 6))
        albedo = mixed(albedo, brown, covered * person.freckles * spots * where)
    if person.beard > 0 or person.age > 0.5:
        # Where a beard is shaved the skin is a little darker and colder.
        chin = grid.bump(0, person.length - 0.1, 0.6, 0.35) * smoothstep(0.55, 0.8, grid.y)
        shaved = linear((lightness - 10, red - 4, yellow - 7))
        albedo = mixed(albedo, shaved, 0.5 * min(1.0, 2 * person.beard) * chin)
    if look.foundation > 0:
        cover = np.full_like(grid.x, 0.75 * look.foundation)
        albedo = mixed(albedo, linear(look.foundation_color), cover)
    if look.blush > 0:
        cheeks = grid.pair(0.6, 0.33, 0.2, 0.15)
        albedo = mixed(albedo, linear(look.blush_color), 0.45 * look.blush * cheeks)
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
        albedo = mixed(albedo, np.asarray(worn, np.float32), look.shadows * strength * soft)
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
    return mixed(albedo, dark, (0.6 + 0.35 * min(1.0, 2 * look.liner)) * lashes)


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
    white = mixed(white, linear((56, 16, 10)), 0.5 * corners)
    iris = linear(person.iris) * (1.3 - 0.85 * (distance / radius) ** 4)
    ball = mixed(white, iris, smoothstep(radius + edge, radius - edge, distance))
    ball = mixed(ball, linear((4, 0, 0)), smoothstep(0.048 + edge, 0.048 - edge, distance))
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
    drawn = random.standard_normal((2, 60)).astype(np.float32)
    lines: Array = cv2.resize(drawn, (grid.side, grid.side), interpolation=cv2.INTER_CUBIC)
    albedo = linear(person.lip_color) * (1 + 0.05 * lines * (1 - 0.6 * look.lips))
    albedo = mixed(albedo, linear(look.lipstick), np.full_like(grid.x, look.lips))
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
        throat = mixed(throat, linear((42, 26, 14)), tongue)
        shown = smoothstep(0.62, 0.5, below / max(0.16, gap))
        inner = mixed(throat, np.asarray(teeth, np.float32), shown)
        upper_shade = smoothstep(-0.01, 0.06, below)
        inner = inner * (0.45 + 0.55 * upper_shade) * (0.5 + 0.5 * light.diffuse)
        layers.lay(np.asarray(inner * light.color, np.float32), mouth.inside, Region.MOUTH)
    else:
        crease = mouth.upper * mouth.lower
        closed = np.clip(3 * grid.blur(crease, 0.008), 0, 1) * mouth.lips
        layers.lay(linear((16, 14, 7)), np.asarray(0.75 * closed, np.float32))


def lay_face(
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
