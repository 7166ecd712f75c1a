"""The shape of a face: outlines of its parts, the height of its surface, the light on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from beauty_models.makeup.drawing.canvas import Array, Box, Grid, curve, mirrored, smoothstep
from beauty_models.makeup.drawing.people import Person, Scene

CAVITY = 0.16  # distance at which a dent is in its own shade


@dataclass
class Eye:
    """One eye's outlines."""

    sign: int  # −1 the left one in the picture, 1 the right one
    upper: Array  # the edge of the upper lid, from the inner corner to the outer one [n, 2]
    lower: Array
    opening: Array  # masks [side, side]
    socket: Array  # where eye shadow goes, with the eye itself
    brow: Array


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


def _brow(grid: Grid, person: Person, brow_y: float, sign: int) -> Array:
    """Return the mask of a brow, its lower edge at about ``brow_y``."""
    half, middle = person.eyes
    thick = person.brows[0]
    top = brow_y - person.arch
    # From the nose over the arch to the temple, and back below.
    outline = [
        (middle - 1.3 * half, brow_y + 0.012),
        (middle - 0.2 * half, top + 0.025),
        (middle + 0.6 * half, top),
        (middle + 1.5 * half, brow_y + 0.045),
        (middle + 0.6 * half, top + 0.6 * thick),
        (middle - 0.2 * half, top + 0.025 + 0.9 * thick),
        (middle - 1.25 * half, brow_y + 0.012 + thick),
    ]
    on_side = [(sign * x, y) for x, y in outline]
    return grid.fill(curve(on_side))


def _eye(grid: Grid, person: Person, scene: Scene, sign: int) -> Eye:
    """Return the outlines of one eye, its socket and its brow."""
    half, middle = person.eyes
    # Along the eye, from the inner corner to the outer one.
    share = np.linspace(0, 1, 15, dtype=np.float32)
    x = middle - half + 2 * half * share
    slope = -person.tilt * (share - 0.3)
    # Cheeks that smile push the lids together.
    squint = 1 - 0.22 * max(0.0, scene.smile)
    # The exponents put the upper lid's top towards the nose, the lower lid's foot away from it.
    upper_arc = _arc(share**0.88) ** 0.8
    lower_arc = _arc(share**1.15) ** 0.9
    upper = slope - person.lids[0] * squint * upper_arc
    lower = slope + person.lids[1] * squint * lower_arc
    up = np.stack([sign * x, upper], 1)
    low = np.stack([sign * x, lower], 1)
    opening = grid.fill(np.concatenate([up, low[::-1]]))
    # The socket reaches the brow above, a little beyond the outer corner and below the lower lid.
    brow_y = -person.brows[1] - scene.raised
    wide = middle - half * 1.12 + (2.36 * half) * share
    roof_arc = _arc(np.clip(share, 0.02, 0.93)) ** 0.55
    roof_height = -brow_y - 0.105
    roof = slope - (0.045 + roof_height * roof_arc)
    ground = slope + person.lids[1] + 0.055 * np.sin(np.pi * share)
    above = np.stack([sign * wide, roof], 1)
    below = np.stack([sign * wide, ground], 1)
    socket = grid.fill(np.concatenate([above, below[::-1]]))
    brow = _brow(grid, person, brow_y, sign)
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
    # A smile draws a mouth wide, an open one is narrower.
    widened = 0.2 * max(0.0, scene.smile)
    narrowed = 0.1 * min(1.0, scene.mouth / 0.25)
    half = half * (1 + widened - narrowed)
    below_nose = person.length - person.nose[1]
    center = person.nose[1] + 0.6 * below_nose * 0.72
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
    # The point in the middle is in both halves, and must come once.
    left_rim = [(-x, y) for x, y in reversed(rim[1:])]
    left_line = [(-x, y) for x, y in reversed(line[:-1])]
    bow = curve(left_rim + rim, closed=False)
    between = curve(line + left_line, closed=False)
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
    # Half an ellipsoid; 0.02 keeps the root from being infinitely steep at its edge.
    inside = np.clip(1 - across - down, 0, None)
    height = 0.95 * np.sqrt(inside + 0.02)
    wide, end = person.nose
    # The bridge rises from between the eyes to the tip and breaks off below it.
    rise = np.clip((grid.y + 0.14) / (end + 0.06), 0, 1) ** 1.3
    bridge = rise * (1 - smoothstep(end - 0.06, end + 0.13, grid.y))
    spread = wide * (0.42 + 0.26 * np.clip(grid.y / end, 0, 1))
    ridge = np.exp(-0.5 * (grid.x / spread) ** 2)
    height += 0.2 * bridge * ridge
    tip = grid.bump(0, end - 0.06, wide * 0.5, 0.075)
    height += 0.07 * tip
    wings = grid.pair(wide * 0.72, end - 0.02, wide * 0.32, 0.06)
    height += 0.075 * wings
    # The eyeballs rise in their sockets, which lie below the ridge of the brows.
    middle = person.eyes[1]
    brow_ridges = grid.pair(middle * 0.95, -person.brows[1] + 0.02, 0.24, 0.075)
    height += 0.05 * brow_ridges
    sockets = grid.pair(middle * 0.93, 0.0, 0.2, 0.13)
    height -= 0.1 * sockets
    eyeballs = grid.pair(middle, 0.0, 0.14, 0.1)
    height += 0.055 * eyeballs
    # Cheeks are drawn up by a smile.
    cheeks_y = 0.42 - 0.05 * scene.smile
    cheeks = grid.pair(0.58, cheeks_y, 0.24, 0.2)
    height += 0.055 * cheeks
    # Teeth and jaw stand behind the mouth.
    around_mouth = grid.bump(0, mouth.center, 0.34, 0.22)
    height += 0.05 * around_mouth
    chin = grid.bump(0, person.length - 0.17, 0.2, 0.13)
    height += 0.07 * chin
    over_chin_y = 0.5 * (mouth.center + person.length) - 0.03
    over_chin = grid.bump(0, over_chin_y, 0.17, 0.05)
    height -= 0.035 * over_chin
    philtrum_y = 0.5 * (end + mouth.center) - 0.03
    philtrum = grid.bump(0, philtrum_y, 0.045, 0.09)
    height -= 0.022 * philtrum
    # The lower lip is the fuller one.
    upper_lip = grid.blur(mouth.upper, 0.035)
    lower_lip = grid.blur(mouth.lower, 0.045)
    height += 0.075 * upper_lip + 0.11 * lower_lip
    height -= 0.09 * grid.blur(mouth.inside, 0.03)
    # Folds from the nose to the mouth's corners, deeper with age and with a smile.
    depth = 0.012 + 0.03 * person.age + 0.022 * max(0.0, scene.smile)
    for sign in (-1, 1):
        outwards = 0.25 * np.clip(grid.y - end + 0.1, 0, 0.6)
        x = sign * (wide + 0.09 + outwards)
        middle_y = 0.5 * (end + mouth.center)
        along = grid.bump(sign * 0.35, middle_y, 0.3, 0.17)
        from_fold = (grid.x - x) / 0.045
        fold = np.exp(-0.5 * from_fold**2)
        height -= depth * along * fold
    return np.asarray(height, np.float32)


def shape_of(grid: Grid, person: Person, scene: Scene) -> Shape:
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


def light_on(grid: Grid, shape: Shape, scene: Scene) -> Light:
    """Return the light on a face that is turned as in ``scene``."""
    # The head stands still while it is drawn, so the light turns the other way.
    sine = math.sin(scene.yaw)
    cosine = math.cos(scene.yaw)
    turn = np.array(
        [
            [cosine, 0, -sine],
            [0, 1, 0],
            [sine, 0, cosine],
        ]
    )
    source = turn @ np.array(scene.light)
    source = source / np.linalg.norm(source)
    # What is mirrored to the camera is brightest where the surface looks halfway to the lamp.
    camera = turn @ np.array([0.0, 0.0, 1.0])
    halfway = source + camera
    halfway = halfway / np.linalg.norm(halfway)
    smooth = grid.blur(shape.height, 0.012)
    slope_scale = grid.scale / 8  # Sobel's kernel weighs eight neighbours
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=slope_scale)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=slope_scale)
    length = np.sqrt(across**2 + down**2 + 1)
    falling = (source[2] - source[0] * across - source[1] * down) / length
    mirrored_light = (halfway[2] - halfway[0] * across - halfway[1] * down) / length
    # Light scatters under the skin: the edge of a shadow is soft (wrapped diffuse).
    wrapped = np.clip((falling + 0.22) / 1.22, 0, None)
    # What lies deeper than its surroundings gets less light from all sides.
    above_surroundings = smooth - grid.blur(smooth, CAVITY)
    cavity = np.clip(1 + 2.2 * above_surroundings, 0.45, 1.25)
    from_lamp = (1 - scene.ambient) * 1.25 * wrapped
    diffuse = (scene.ambient + from_lamp) * cavity
    shine = np.clip(mirrored_light, 0, None)
    # Warm light has more red and less blue.
    red = 1 + scene.warmth
    blue = 1 - scene.warmth
    color = np.array([red, 1.0, blue], np.float32)
    return Light(
        np.asarray(diffuse, np.float32),
        np.asarray(shine**48, np.float32),
        np.asarray(shine**14, np.float32),
        color[:, None, None],
    )
