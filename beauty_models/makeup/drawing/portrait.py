"""Faces that this project draws, each with its exact label map.

A face is drawn from the front: outlines are filled, a height map gives the normals that light falls
on (Lambert's diffuse and Blinn's specular term), and skin, hair and make-up are albedos in linear
light. Then the head is turned by moving each pixel as far as its height asks, and laid over a
background. Lengths are in half widths of a face, from the point between the eyes, y downwards.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from beauty_models.makeup.drawing.anatomy import Shape, light_on, shape_of
from beauty_models.makeup.drawing.around import (
    front_hair,
    hair_color,
    lay_beard,
    lay_body,
    lay_glasses,
)
from beauty_models.makeup.drawing.canvas import (
    EXTENT,
    Array,
    Grid,
    Layers,
    grid_of,
    linear,
    mixed,
    smoothstep,
    srgb,
)
from beauty_models.makeup.drawing.face import lay_face
from beauty_models.makeup.drawing.people import Look, Person, Scene
from beauty_models.makeup.regions import Region

OVERSAMPLED = 2  # pixels a side that are averaged to one


class Portrait(NamedTuple):
    """A drawn photo."""

    image: NDArray[np.uint8]  # [side, side, 3]
    regions: NDArray[np.uint8]  # [side, side], numbers of `Region`


def _background(scene: Scene, side: int) -> Array:
    """Return a wall with blurred things and lights on it [side, side, 3]."""
    random = np.random.default_rng(scene.seed)
    down = np.linspace(0, 1, side, dtype=np.float32)[:, None]
    across = np.linspace(-1, 1, side, dtype=np.float32)[None]
    wall_end = random.uniform(0.1, 0.5)
    floor_start = random.uniform(0.6, 1.0)
    share = smoothstep(wall_end, floor_start, down) * np.ones_like(across)
    wall_color = linear(scene.wall)
    floor_color = linear(scene.floor)
    wall = wall_color + share * (floor_color - wall_color)
    # The lamp stands on one side, so the wall is unevenly lit, too.
    falloff = 1 - 0.25 * scene.light[0] * across
    wall = np.asarray(wall * falloff, np.float32)
    for _ in range(scene.bokeh):
        wall = _with_spot(wall, side, random)
    # The camera's focus is on the face.
    blurred = cv2.GaussianBlur(wall.transpose(1, 2, 0), (0, 0), 0.025 * side)
    return np.asarray(blurred, np.float32)


def _with_spot(wall: Array, side: int, random: np.random.Generator) -> Array:
    """Return ``wall`` [3, side, side] with a thing or a light in front of it."""
    x, y = random.uniform(0, side, 2)
    radius = random.uniform(0.03, 0.22) * side
    lightness = random.uniform(20, 90)
    red = random.uniform(-25, 30)
    yellow = random.uniform(-30, 40)
    spot = np.zeros((side, side), np.float32)
    if random.random() < 0.4:
        # Twice as high as wide, as doors and shelves are.
        top_left = (int(x - radius), int(y - 2 * radius))
        bottom_right = (int(x + radius), int(y + 2 * radius))
        cv2.rectangle(spot, top_left, bottom_right, 1.0, -1)
    else:
        cv2.circle(spot, (int(x), int(y)), int(radius), 1.0, -1, cv2.LINE_AA)
    color = linear((lightness, red, yellow))
    return mixed(wall, color, np.asarray(0.5 * spot, np.float32))


def _source(grid: Grid, shape: Shape, scene: Scene, side: int) -> tuple[Array, Array]:
    """Return where on the canvas each pixel of a picture comes from: x and y [side, side]."""
    line = (np.arange(side, dtype=np.float32) + 0.5) / side - 0.5
    across = line[None] - scene.shift[0]
    down = line[:, None] - scene.shift[1]
    # The roll is undone first: it turns the picture, not the head in space.
    cos = math.cos(scene.roll)
    sin = math.sin(scene.roll)
    u = (cos * across + sin * down) / scene.face
    v = (cos * down - sin * across) / scene.face
    x = np.asarray(u, np.float32)
    y = np.asarray(v, np.float32)
    # A point at height z is seen at x cos + z sin; solved for x by going back and forth.
    for _ in range(4):
        z = _sampled(grid, shape.turned, x, y, cv2.INTER_LINEAR)
        sideways = u - z * math.sin(scene.yaw)
        upright = v - z * math.sin(scene.pitch)
        x = np.asarray(sideways / math.cos(scene.yaw), np.float32)
        y = np.asarray(upright / math.cos(scene.pitch), np.float32)
    return x, y


def _sampled(grid: Grid, picture: NDArray[Any], x: Array, y: Array, how: int) -> NDArray[Any]:
    # OpenCV counts from the middle of the first pixel, the canvas from its edge.
    map_x = (x + EXTENT) * grid.scale - 0.5
    map_y = (y + EXTENT) * grid.scale - 0.5
    sampled = cv2.remap(picture, map_x, map_y, how, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled)


def draw(person: Person, look: Look, scene: Scene, side: int) -> Portrait:
    """Return a photo of ``person`` made up as ``look``; the same arguments give the same bytes."""
    fine = OVERSAMPLED * side
    # As many pixels in a face as the oversampled photo has, whatever its part of the photo.
    pixels = fine * scene.face * 2 * EXTENT
    # In steps of 16, so that few canvases are built.
    grid = grid_of(round(pixels / 16) * 16)
    shape = shape_of(grid, person, scene)
    light = light_on(grid, shape, scene)
    layers = Layers(grid)
    hair = hair_color(grid, person.hair, scene, light, person.texture)
    lay_body(layers, person, scene, light, hair)
    lay_face(layers, person, look, scene, shape, light)
    if person.beard > 0:
        lay_beard(layers, person, scene, shape, light)
    front = front_hair(grid, person)
    # Hair throws a little shade on the forehead.
    shade = np.clip(grid.blur(front, 0.06) - front, 0, 1) * shape.face
    layers.color *= 1 - 0.45 * shade
    layers.lay(hair, front, Region.HAIR)
    if person.glasses:
        lay_glasses(layers, person, scene)
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
    shoulder = 0.7 + 0.3 * np.tanh((exposed - 0.7) / 0.3)
    toned = np.where(exposed > 0.7, shoulder, exposed)
    shown = srgb(np.asarray(toned, np.float32))
    grain = random.standard_normal(shown.shape, np.float32)
    shown = shown + scene.noise * grain
    image = np.clip(shown * 255 + 0.5, 0, 255).astype(np.uint8)
    # The label of a pixel is that of its middle.
    middle_x, middle_y = _source(grid, shape, scene, side)
    regions = _sampled(grid, layers.regions, middle_x, middle_y, cv2.INTER_NEAREST)
    return Portrait(image, regions)
