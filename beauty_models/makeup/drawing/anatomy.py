"""The shape of a face: outlines of its parts, the height of its surface, the light on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from beauty_models.makeup.drawing.canvas import (
    Array,
    Box,
    Grid,
    Point,
    as_float32,
    curve,
    gaussian,
    mirrored,
    smoothstep,
)
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
    jaw = person.jaw
    chin = person.chin
    # Halfway between the widest points; a little more, so that the outline bulges there.
    cheek = 0.5 * (0.95 + jaw) + 0.04
    beside_chin = 0.5 * (jaw + chin) + 0.02
    half = [
        (0.0, -1.3),
        (0.55, -1.17),
        (0.88, -0.72),
        (0.99, -0.2),
        (0.97, 0.25),
        (cheek, 0.45 * foot + 0.05),
        (jaw, 0.71 * foot),
        (beside_chin, 0.9 * foot),
        (0.62 * chin, 0.985 * foot),
        (0.0, 1.005 * foot),
    ]
    outline = mirrored(half)
    return curve(outline)


def _arc(share: Array) -> Array:
    """Return half a wave: 0 at the ends, 1 in the middle."""
    wave = np.sin(np.pi * share)
    # Rounding makes the sine of pi a little less than 0, which has no root.
    positive = np.clip(wave, 0, 1)
    return as_float32(positive)


def _side_line(sign: int, x: Array, y: Array) -> Array:
    """Return a line [n, 2] on the side of the face that ``sign`` names."""
    on_side = sign * x
    return np.stack([on_side, y], 1)


def _between(grid: Grid, above: Array, below: Array) -> Array:
    """Return the mask between two lines [n, 2] that run in the same direction."""
    back = below[::-1]
    outline = np.concatenate([above, back])
    return grid.fill(outline)


def _brow(grid: Grid, person: Person, brow_y: float, sign: int) -> Array:
    """Return the mask of a brow, its lower edge at about ``brow_y``."""
    half, middle = person.eyes
    thick = person.brows[0]
    at_nose = brow_y + 0.012
    top = brow_y - person.arch
    before_arch = top + 0.025
    head_x = middle - 0.2 * half
    arch_x = middle + 0.6 * half
    tail = (middle + 1.5 * half, brow_y + 0.045)
    # From the nose over the arch to the temple, and back below.
    outline = [
        (middle - 1.3 * half, at_nose),
        (head_x, before_arch),
        (arch_x, top),
        tail,
        (arch_x, top + 0.6 * thick),
        (head_x, before_arch + 0.9 * thick),
        (middle - 1.25 * half, at_nose + thick),
    ]
    on_side = [(sign * x, y) for x, y in outline]
    line = curve(on_side)
    return grid.fill(line)


def _eye(grid: Grid, person: Person, scene: Scene, sign: int) -> Eye:
    """Return the outlines of one eye, its socket and its brow."""
    half, middle = person.eyes
    upper_lid, lower_lid = person.lids
    # Along the eye, from the inner corner to the outer one.
    share = np.linspace(0, 1, 15, dtype=np.float32)
    inner = middle - half
    x = inner + 2 * half * share
    slope = -person.tilt * (share - 0.3)
    # Cheeks that smile push the lids together.
    smile = max(0.0, scene.smile)
    squint = 1 - 0.22 * smile
    # The exponents put the upper lid's top towards the nose, the lower lid's foot away from it.
    upper_arc = _arc(share**0.88) ** 0.8
    lower_arc = _arc(share**1.15) ** 0.9
    upper_height = upper_lid * squint * upper_arc
    lower_depth = lower_lid * squint * lower_arc
    upper = _side_line(sign, x, slope - upper_height)
    lower = _side_line(sign, x, slope + lower_depth)
    opening = _between(grid, upper, lower)
    brow_y = -person.brows[1] - scene.raised
    socket = _socket(grid, person, slope, brow_y, sign)
    brow = _brow(grid, person, brow_y, sign)
    return Eye(sign, upper, lower, opening, socket, brow)


def _socket(grid: Grid, person: Person, slope: Array, brow_y: float, sign: int) -> Array:
    """Return the mask of a socket, up to a brow whose lower edge is at about ``brow_y``.

    ``slope`` is how high the line between the corners of the eye is, from the inner one on.
    """
    half, middle = person.eyes
    share = np.linspace(0, 1, len(slope), dtype=np.float32)
    # A little beyond both corners.
    inner = middle - half * 1.12
    width = 2.36 * half
    x = inner + width * share
    # Cut before its ends, so that it is still high there.
    rounded = np.clip(share, 0.02, 0.93)
    roof_arc = _arc(rounded) ** 0.55
    roof_height = -brow_y - 0.105
    roof = 0.045 + roof_height * roof_arc
    bulge = 0.055 * np.sin(np.pi * share)
    ground = slope + person.lids[1] + bulge
    above = _side_line(sign, x, slope - roof)
    below = _side_line(sign, x, ground)
    return _between(grid, above, below)


class Mouth(NamedTuple):
    """The masks of a mouth [side, side]."""

    lips: Array
    inside: Array
    upper: Array
    lower: Array
    center: float  # where the lips meet


def _open_line(half: list[Point]) -> Array:
    """Return a line from the right corner of the mouth to the left one; ``half`` is its right."""
    whole = mirrored(half)
    return curve(whole, closed=False)


def _mouth(grid: Grid, person: Person, scene: Scene) -> Mouth:
    """Return the masks of lips and of what is between them."""
    half, upper, lower = person.lips
    gap = scene.mouth
    # A smile draws a mouth wide, an open one is narrower.
    smile = max(0.0, scene.smile)
    widened = 0.2 * smile
    narrowed = 0.1 * min(1.0, gap / 0.25)
    half = half * (1 + widened - narrowed)
    nose_end = person.nose[1]
    below_nose = person.length - nose_end
    center = nose_end + 0.6 * below_nose * 0.72
    drawn_up = 0.075 * scene.smile
    pulled_down = 0.3 * gap
    corner = center - drawn_up + pulled_down
    inner_corner = (half * 0.94, corner)
    bow = _cupids_bow(half, upper, center, corner)
    # Who smiles has the edge lower beside the middle.
    upper_edge = [
        inner_corner,
        (half * 0.5, center + 0.015 + 0.02 * scene.smile),
        (half * 0.12, center),
        (0.0, center + 0.012),
    ]
    between = _open_line(upper_edge)
    lower_edge = [
        inner_corner,
        (half * 0.55, center + 0.75 * gap + 0.015),
        (0.0, center + gap + 0.012),
    ]
    opened = _open_line(lower_edge)
    lower_top = center + gap
    foot = lower_top + lower
    above_foot = lower_top + 0.72 * lower
    lower_foot = [
        (half, corner),
        (half * 0.6, above_foot),
        (half * 0.25, foot - 0.005),
        (0.0, foot),
    ]
    lower_rim = _open_line(lower_foot)
    # The bow runs to the right, the edge below it back to the left.
    upper_outline = np.concatenate([bow, between])
    upper_mask = grid.fill(upper_outline)
    lower_mask = _between(grid, opened, lower_rim)
    lips = np.maximum(upper_mask, lower_mask)
    # Nothing shows through so narrow a gap.
    if gap < 0.02:
        inside = np.zeros_like(lips)
    else:
        inside = _between(grid, between, opened)
        inside = inside * (1 - lips)
    return Mouth(lips, inside, upper_mask, lower_mask, center)


def _cupids_bow(half: float, upper: float, center: float, corner: float) -> Array:
    """Return the upper rim of the lips, from the left corner to the right one."""
    dip = center - upper * 0.8
    peak = center - upper
    beside_peak = center - upper * 0.62
    right = [
        (half, corner),
        (half * 0.55, beside_peak),
        (half * 0.2, peak),
        (0.0, dip),
    ]
    from_right = mirrored(right)
    from_left = from_right[::-1]
    return curve(from_left, closed=False)


@dataclass
class Shape:
    """The shape of a head: masks, and the height of its surface towards the camera."""

    face: Array
    eyes: list[Eye]
    mouth: Mouth
    height: Array
    turned: Array  # a smoother height, by which pixels move when the head turns


def _height(grid: Grid, person: Person, scene: Scene, mouth: Mouth) -> Array:
    """Return the height of a face towards the camera [side, side]."""
    across = (grid.x / 1.06) ** 2
    half_height = person.length + 0.12
    down = ((grid.y - 0.08) / half_height) ** 2
    # Half an ellipsoid; 0.02 keeps the root from being infinitely steep at its edge.
    inside = np.clip(1 - across - down, 0, None)
    height = 0.95 * np.sqrt(inside + 0.02)
    # Into this array, in place: the canvas is large, and a face has a dozen such parts.
    _add_nose(height, grid, person)
    _add_eyes_and_cheeks(height, grid, person, scene)
    _add_mouth_and_chin(height, grid, person, mouth)
    _add_folds(height, grid, person, scene, mouth)
    return as_float32(height)


def _add_nose(height: Array, grid: Grid, person: Person) -> None:
    """Raise the nose in ``height``."""
    wide, end = person.nose
    # The bridge rises from between the eyes to the tip and breaks off below it.
    below_eyes = (grid.y + 0.14) / (end + 0.06)
    rise = np.clip(below_eyes, 0, 1) ** 1.3
    beyond_tip = smoothstep(end - 0.06, end + 0.13, grid.y)
    bridge = rise * (1 - beyond_tip)
    share = np.clip(grid.y / end, 0, 1)
    spread = wide * (0.42 + 0.26 * share)
    ridge = gaussian(grid.x / spread)
    height += 0.2 * bridge * ridge
    tip = grid.bump(0, end - 0.06, wide * 0.5, 0.075)
    height += 0.07 * tip
    wings = grid.pair(wide * 0.72, end - 0.02, wide * 0.32, 0.06)
    height += 0.075 * wings


def _add_eyes_and_cheeks(height: Array, grid: Grid, person: Person, scene: Scene) -> None:
    """Raise brows, eyeballs and cheeks in ``height``, and sink the sockets."""
    middle = person.eyes[1]
    brow_y = -person.brows[1] + 0.02
    # The eyeballs rise in their sockets, which lie below the ridge of the brows.
    brow_ridges = grid.pair(middle * 0.95, brow_y, 0.24, 0.075)
    height += 0.05 * brow_ridges
    sockets = grid.pair(middle * 0.93, 0.0, 0.2, 0.13)
    height -= 0.1 * sockets
    eyeballs = grid.pair(middle, 0.0, 0.14, 0.1)
    height += 0.055 * eyeballs
    # Cheeks are drawn up by a smile.
    cheeks_y = 0.42 - 0.05 * scene.smile
    cheeks = grid.pair(0.58, cheeks_y, 0.24, 0.2)
    height += 0.055 * cheeks


def _add_mouth_and_chin(height: Array, grid: Grid, person: Person, mouth: Mouth) -> None:
    """Raise lips and chin in ``height``, and sink what lies between them and the nose."""
    nose_end = person.nose[1]
    center = mouth.center
    foot = person.length
    # Teeth and jaw stand behind the mouth.
    around_mouth = grid.bump(0, center, 0.34, 0.22)
    height += 0.05 * around_mouth
    chin = grid.bump(0, foot - 0.17, 0.2, 0.13)
    height += 0.07 * chin
    over_chin_y = 0.5 * (center + foot) - 0.03
    over_chin = grid.bump(0, over_chin_y, 0.17, 0.05)
    height -= 0.035 * over_chin
    philtrum_y = 0.5 * (nose_end + center) - 0.03
    philtrum = grid.bump(0, philtrum_y, 0.045, 0.09)
    height -= 0.022 * philtrum
    # The lower lip is the fuller one.
    upper_lip = grid.blur(mouth.upper, 0.035)
    lower_lip = grid.blur(mouth.lower, 0.045)
    height += 0.075 * upper_lip + 0.11 * lower_lip
    opening = grid.blur(mouth.inside, 0.03)
    height -= 0.09 * opening


def _add_folds(height: Array, grid: Grid, person: Person, scene: Scene, mouth: Mouth) -> None:
    """Sink the folds from the nose to the mouth's corners in ``height``."""
    wide, end = person.nose
    # Deeper with age and with a smile.
    smile = max(0.0, scene.smile)
    depth = 0.012 + 0.03 * person.age + 0.022 * smile
    middle_y = 0.5 * (end + mouth.center)
    # The lower, the further from the middle.
    below_wings = np.clip(grid.y - end + 0.1, 0, 0.6)
    outwards = 0.25 * below_wings
    from_middle = wide + 0.09 + outwards
    for sign in (-1, 1):
        x = sign * from_middle
        along = grid.bump(sign * 0.35, middle_y, 0.3, 0.17)
        from_fold = (grid.x - x) / 0.045
        fold = gaussian(from_fold)
        height -= depth * along * fold


def shape_of(grid: Grid, person: Person, scene: Scene) -> Shape:
    """Return masks and heights of ``person``'s head with the expression of ``scene``."""
    face = grid.fill(_outline(person))
    eyes = [_eye(grid, person, scene, sign) for sign in (-1, 1)]
    mouth = _mouth(grid, person, scene)
    height = _height(grid, person, scene, mouth)
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


class _Normals(NamedTuple):
    """Which way the surface looks: its slopes, and the length of (-across, -down, 1)."""

    across: Array
    down: Array
    length: Array

    def towards(self, direction: Array) -> Array:
        """Return the cosine between the surface's normals and ``direction`` [3]."""
        x, y, z = direction
        facing = z - x * self.across - y * self.down
        cosine: Array = facing / self.length
        return cosine


def _normals(grid: Grid, smooth: Array) -> _Normals:
    """Return the normals of a surface of height ``smooth``."""
    slope_scale = grid.scale / 8  # Sobel's kernel weighs eight neighbours
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=slope_scale)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=slope_scale)
    square = across**2 + down**2 + 1
    length = np.sqrt(square)
    return _Normals(across, down, length)


def _lamp_and_halfway(scene: Scene) -> tuple[Array, Array]:
    """Return unit vectors [3] to the lamp, and halfway between it and the camera."""
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
    lamp = turn @ np.array(scene.light)
    lamp = lamp / np.linalg.norm(lamp)
    camera = turn @ np.array([0.0, 0.0, 1.0])
    halfway = lamp + camera
    halfway = halfway / np.linalg.norm(halfway)
    return lamp, halfway


def light_on(grid: Grid, shape: Shape, scene: Scene) -> Light:
    """Return the light on a face that is turned as in ``scene``."""
    lamp, halfway = _lamp_and_halfway(scene)
    smooth = grid.blur(shape.height, 0.012)
    normals = _normals(grid, smooth)
    falling = normals.towards(lamp)
    # What is mirrored to the camera is brightest where the surface looks halfway to the lamp.
    mirrored_light = normals.towards(halfway)
    # Light scatters under the skin: the edge of a shadow is soft (wrapped diffuse).
    wrapped = (falling + 0.22) / 1.22
    wrapped = np.clip(wrapped, 0, None)
    # What lies deeper than its surroundings gets less light from all sides.
    surroundings = grid.blur(smooth, CAVITY)
    above_surroundings = smooth - surroundings
    cavity = 1 + 2.2 * above_surroundings
    cavity = np.clip(cavity, 0.45, 1.25)
    lamp_share = 1 - scene.ambient
    from_lamp = lamp_share * 1.25 * wrapped
    diffuse = (scene.ambient + from_lamp) * cavity
    # Blinn's exponents: the higher, the smaller and harder the spot.
    shine = np.clip(mirrored_light, 0, None)
    specular = shine**48
    sheen = shine**14
    # Warm light has more red and less blue.
    red = 1 + scene.warmth
    blue = 1 - scene.warmth
    color = np.array([red, 1.0, blue], np.float32)
    return Light(
        diffuse=as_float32(diffuse),
        specular=as_float32(specular),
        sheen=as_float32(sheen),
        color=color[:, None, None],
    )
