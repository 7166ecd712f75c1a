"""Skin, eyes, brows and mouth, with the make-up on them."""

from __future__ import annotations

import math

import cv2
import numpy as np

from beauty_models.makeup.drawing.anatomy import Eye, Light, Mouth, Shape
from beauty_models.makeup.drawing.canvas import Array, Grid, Layers, linear, mixed, smoothstep
from beauty_models.makeup.drawing.people import Look, Person, Scene
from beauty_models.makeup.regions import Region

# In half widths of a face, as all lengths here.
IRIS_RADIUS = 0.112
PUPIL_RADIUS = 0.048
TOOTH_WIDTH = 0.085
CLOSED = 0.02  # a mouth that is open by less shows no teeth


def _blood_and_shade(grid: Grid, person: Person, albedo: Array, covered: float) -> Array:
    """Return ``albedo`` with red cheeks and nose, and rings under the eyes."""
    lightness, red, yellow = person.skin
    flushed = linear((lightness - 5, red + 11, yellow + 1))
    cheeks = grid.pair(0.52, 0.42, 0.22, 0.2)
    nose_tip = grid.bump(0, person.nose[1] - 0.04, 0.16, 0.1)
    blood = cheeks + 0.8 * nose_tip
    # Nobody's cheeks are as pale as their forehead: some blood shows in every face.
    flush = 0.12 + 0.4 * person.redness
    albedo = mixed(albedo, flushed, covered * flush * blood)
    tired = linear((lightness - 9, red + 3, yellow - 5))
    rings = grid.pair(person.eyes[1] - 0.03, 0.14, 0.17, 0.05)
    tiredness = 0.2 + 0.45 * person.age
    return mixed(albedo, tired, covered * tiredness * rings)


def _freckled(grid: Grid, person: Person, albedo: Array, covered: float, noise: Array) -> Array:
    """Return ``albedo`` with freckles where ``noise`` is high, over nose, cheeks and forehead."""
    lightness, red, yellow = person.skin
    # Only the peaks of the noise are spots.
    spots = smoothstep(1.1, 1.9, noise)
    over_nose = grid.bump(0, 0.35, 0.55, 0.2)
    forehead = grid.bump(0, -0.5, 0.5, 0.2)
    where = np.clip(over_nose + 0.3 * forehead, 0, 1)
    brown = linear((lightness - 17, red + 5, yellow + 6))
    return mixed(albedo, brown, covered * person.freckles * spots * where)


def _shaved(grid: Grid, person: Person, albedo: Array) -> Array:
    """Return ``albedo`` a little darker and colder where a beard is shaved."""
    lightness, red, yellow = person.skin
    around_chin = grid.bump(0, person.length - 0.1, 0.6, 0.35)
    chin = around_chin * smoothstep(0.55, 0.8, grid.y)
    color = linear((lightness - 10, red - 4, yellow - 7))
    # Stubble of 0.5 has all of its shade.
    strength = 0.5 * min(1.0, 2 * person.beard)
    return mixed(albedo, color, strength * chin)


def _skin(grid: Grid, person: Person, look: Look, shape: Shape) -> Array:
    """Return the albedo of skin, lips aside [3, side, side]."""
    random = np.random.default_rng(person.texture)
    # Foundation hides most of what the skin has of its own, never all.
    covered = 1 - 0.8 * look.foundation
    wide_blotches = 0.035 * grid.noise(random, 0.5)
    fine_blotches = 0.03 * grid.noise(random, 0.13)
    blotches = wide_blotches + fine_blotches
    albedo = linear(person.skin) * (1 + covered * blotches)
    albedo = _blood_and_shade(grid, person, albedo, covered)
    if person.freckles > 0:
        noise = grid.noise(random, 0.055)
        albedo = _freckled(grid, person, albedo, covered, noise)
    if person.beard > 0 or person.age > 0.5:
        albedo = _shaved(grid, person, albedo)
    # Foundation goes on before blush, as it is worn.
    if look.foundation > 0:
        cover = np.full_like(grid.x, 0.75 * look.foundation)
        albedo = mixed(albedo, linear(look.foundation_color), cover)
    if look.blush > 0:
        cheeks = grid.pair(0.6, 0.33, 0.2, 0.15)
        strength = 0.45 * look.blush
        albedo = mixed(albedo, linear(look.blush_color), strength * cheeks)
    return albedo


def _eye_shadow(grid: Grid, albedo: Array, look: Look, eye: Eye) -> Array:
    """Return ``albedo`` with the eye shadow around one eye."""
    x = eye.sign * grid.x[0]  # both eyes have their inner corner at the smaller x
    lid_x = eye.sign * eye.upper[:, 0]
    lid = np.interp(x, lid_x, eye.upper[:, 1]).astype(np.float32)
    above = np.clip(lid[None] - grid.y, -0.06, None)
    # Strongest at the lid, gone at the brow; below the eye there is a trace of it.
    fading = 1 - smoothstep(0.03, 0.26, above)
    strength = np.where(above >= 0, fading, 0.45)
    # The blurred mask is a half at the socket's edge, so this fades inside of it.
    faded_edge = np.clip(2 * grid.blur(eye.socket, 0.03) - 0.9, 0, 1)
    soft = eye.socket * faded_edge
    start = float(lid_x[0])
    end = float(lid_x[-1])
    outer_start = start + 0.45 * (end - start)
    outer = smoothstep(outer_start, end + 0.06, x)[None]
    inner_color = linear(look.shadow)
    outer_color = linear(look.outer_shadow)
    worn = inner_color + outer * (outer_color - inner_color)
    return mixed(albedo, np.asarray(worn, np.float32), look.shadows * strength * soft)


def _lash_line(grid: Grid, albedo: Array, look: Look, eye: Eye) -> Array:
    """Return ``albedo`` with the dark line of lashes and liner along the upper lid."""
    # The lashes' shade is there without any make-up, too.
    thick = 0.012 + 0.04 * look.liner
    line = eye.upper.copy()
    if look.wing > 0:
        outwards = eye.sign * 0.16 * look.wing
        upwards = -0.075 * look.wing
        tip = line[-1] + [outwards, upwards]
        line = np.concatenate([line, tip[None].astype(np.float32)])
    # Thin at the nose; a wing ends in a point.
    taper = np.linspace(0.25, 1, len(line), dtype=np.float32)
    if look.wing > 0:
        taper[-1] = 0.0
    rise = np.stack([np.zeros_like(taper), thick * taper], 1)
    top_edge = line - rise
    # A little below the lid's edge, or skin would shine between line and eye.
    bottom_edge = line + [0, 0.008]
    lashes = grid.fill(np.concatenate([bottom_edge, top_edge[::-1]]))
    dark = linear((14, 4, 4))
    darkness = 0.6 + 0.35 * min(1.0, 2 * look.liner)
    return mixed(albedo, dark, darkness * lashes)


def _eyeball(grid: Grid, person: Person, eye: Eye, distance: Array) -> Array:
    """Return the albedo of white, iris and pupil; ``distance`` is that from the pupil's middle."""
    edge = 0.7 / grid.scale  # in pixels, so that circles are smooth at any size
    white = linear((72, 3, 6)) * np.ones_like(grid.x)
    # The white is redder towards the corners, as the ball turns away and vessels show.
    from_eye = np.abs(grid.x - eye.sign * person.eyes[1])
    corners = smoothstep(0.1, 0.23, from_eye)
    white = mixed(white, linear((56, 16, 10)), 0.5 * corners)
    # The rim of an iris is darker than its middle.
    rim_shade = 1.3 - 0.85 * (distance / IRIS_RADIUS) ** 4
    iris = linear(person.iris) * rim_shade
    in_iris = smoothstep(IRIS_RADIUS + edge, IRIS_RADIUS - edge, distance)
    in_pupil = smoothstep(PUPIL_RADIUS + edge, PUPIL_RADIUS - edge, distance)
    ball = mixed(white, iris, in_iris)
    return mixed(ball, linear((4, 0, 0)), in_pupil)


def _lay_eye(layers: Layers, person: Person, scene: Scene, eye: Eye, light: Light) -> None:
    """Draw an eyeball: white, iris, pupil, the shade of the lid and a glint."""
    # Pixels of the opening alone: an eye is a small part of a face.
    box = layers.grid.around(eye.opening)
    grid = layers.grid.part(box)
    light = light.part(box)
    middle_x = eye.sign * person.eyes[1] + scene.gaze[0]
    upper_lid, lower_lid = person.lids
    # The iris rests a little above the middle between the lids.
    middle_y = -0.16 * upper_lid + 0.2 * lower_lid + scene.gaze[1]
    squared = (grid.x - middle_x) ** 2 + (grid.y - middle_y) ** 2
    ball = _eyeball(grid, person, eye, np.sqrt(squared))
    # The upper lid and its lashes throw a shade on the ball.
    x = eye.sign * grid.x[0]
    lid_x = eye.sign * eye.upper[:, 0]
    lid = np.interp(x, lid_x, eye.upper[:, 1])
    below_lid = grid.y - lid.astype(np.float32)
    shade = 1 - 0.6 * smoothstep(0.1, 0.0, below_lid)
    lit = ball * (0.35 + 0.65 * light.diffuse * shade) * light.color
    # The lamp is mirrored on the side of the iris that it comes from.
    side = math.copysign(1, scene.light[0])
    glint = grid.bump(middle_x + side * 0.035, middle_y - 0.04, 0.016, 0.016)
    lit = lit + 0.8 * glint
    region = Region.LEFT_EYE if eye.sign < 0 else Region.RIGHT_EYE
    layers.lay(lit, eye.opening[box], region, box)


def _lay_brow(layers: Layers, person: Person, eye: Eye, light: Light) -> None:
    """Draw a brow of fine hairs."""
    grid = layers.grid
    random = np.random.default_rng(person.texture + 5)
    hairs = 0.8 + 0.16 * grid.noise(random, 0.035)
    # Brows are darker than the hair, and dark even where hair is fair or grey.
    lightness = min(person.hair.color[0], 42) * 0.75
    color = linear((lightness, 5, 9))
    soft = grid.blur(eye.brow, 0.018)
    worn = np.clip(soft * hairs, 0, 0.9)
    layers.lay(color * light.diffuse, np.asarray(worn, np.float32))
    # The label has the outline itself, not its single hairs.
    layers.regions[eye.brow > 0.5] = Region.BROWS


def _lay_lips(
    layers: Layers, person: Person, look: Look, mouth: Mouth, light: Light, lines: Array
) -> None:
    """Draw the lips; ``lines`` [side, side] are the furrows across them."""
    grid = layers.grid
    # Lipstick fills the furrows.
    furrows = 0.05 * lines * (1 - 0.6 * look.lips)
    albedo = linear(person.lip_color) * (1 + furrows)
    worn = np.full_like(grid.x, look.lips)
    albedo = mixed(albedo, linear(look.lipstick), worn)
    # A lipstick looks darker at the lips' edge, as if it were lined.
    rim = 1 - smoothstep(0.4, 0.95, grid.blur(mouth.lips, 0.02))
    albedo = albedo * (1 - 0.18 * look.lips * rim)
    # Matte lipstick takes the shine that bare lips have; gloss brings much more.
    wet = 0.06 + 0.05 * (1 - look.lips) + 0.6 * look.gloss
    highlight = wet * light.specular * (1 + 0.15 * lines)
    haze = 0.1 * look.gloss * light.sheen
    lit = albedo * light.diffuse + np.clip(highlight + haze, 0, None)
    # Bare lips have no sharp edge.
    faded = np.clip(1.15 * grid.blur(mouth.lips, 0.012), 0, 1)
    edge = mouth.lips if look.lips > 0.5 else faded
    layers.lay(np.asarray(lit * light.color, np.float32), np.asarray(edge, np.float32))
    layers.regions[mouth.lips > 0.5] = Region.LIPS


def _lay_open_mouth(
    layers: Layers, person: Person, scene: Scene, mouth: Mouth, light: Light
) -> None:
    """Draw the upper teeth, and the throat with the tongue below them."""
    grid = layers.grid
    gap = max(scene.mouth, 0.012)
    below = grid.y - mouth.center
    half_width = person.lips[0]
    # Teeth are darker towards the corners of the mouth.
    depth = smoothstep(1.15, 0.35, np.abs(grid.x) / half_width)
    between_teeth = np.cos(grid.x * 2 * math.pi / TOOTH_WIDTH)
    tooth = 0.93 + 0.07 * between_teeth
    teeth = linear((90, 1, 9)) * (tooth * (0.25 + 0.75 * depth))
    throat = linear((14, 16, 8)) * np.ones_like(grid.x)
    tongue_top = mouth.center + gap * 1.05
    tongue = grid.bump(0, tongue_top, half_width * 0.5, 0.3 * gap)
    throat = mixed(throat, linear((42, 26, 14)), tongue)
    # Teeth have a length of their own, however far the mouth is open.
    shown = smoothstep(0.62, 0.5, below / max(0.16, gap))
    inner = mixed(throat, np.asarray(teeth, np.float32), shown)
    # The upper lip shades what is behind it.
    upper_shade = 0.45 + 0.55 * smoothstep(-0.01, 0.06, below)
    inner = inner * upper_shade * (0.5 + 0.5 * light.diffuse)
    layers.lay(np.asarray(inner * light.color, np.float32), mouth.inside, Region.MOUTH)


def _lay_mouth(
    layers: Layers, person: Person, look: Look, scene: Scene, mouth: Mouth, light: Light
) -> None:
    """Draw lips with their lines, and teeth and tongue between them."""
    grid = layers.grid
    random = np.random.default_rng(person.texture + 9)
    # Two rows of noise, stretched to the height of the face: upright furrows.
    rows = random.standard_normal((2, 60)).astype(np.float32)
    size = (grid.side, grid.side)
    lines: Array = cv2.resize(rows, size, interpolation=cv2.INTER_CUBIC)
    _lay_lips(layers, person, look, mouth, light, lines)
    if scene.mouth >= CLOSED:
        _lay_open_mouth(layers, person, scene, mouth, light)
        return
    # The line where the lips meet is dark even when they are closed.
    crease = mouth.upper * mouth.lower
    widened = np.clip(3 * grid.blur(crease, 0.008), 0, 1)
    closed = widened * mouth.lips
    layers.lay(linear((16, 14, 7)), np.asarray(0.75 * closed, np.float32))


def _shimmer(
    grid: Grid, look: Look, shape: Shape, light: Light, random: np.random.Generator
) -> list[Array]:
    """Return the sparks of the eye shadow's glitter, added light of each eye [side, side]."""
    sparks = np.clip(grid.noise(random, 0.03), 0, None) * light.sheen
    strength = 0.3 * look.shimmer * look.shadows
    added = []
    for eye in shape.eyes:
        # On the lid alone, not in the trace of shadow below the eye.
        near = eye.socket * smoothstep(-0.3, 0.0, grid.y)
        added.append(strength * sparks * near)
    return added


def _lay_skin(
    layers: Layers, person: Person, look: Look, scene: Scene, shape: Shape, light: Light
) -> None:
    """Draw the skin with its make-up, and the regions where eye shadow goes."""
    grid = layers.grid
    random = np.random.default_rng(scene.seed + 2)
    albedo = _skin(grid, person, look, shape)
    for eye in shape.eyes:
        if look.shadows > 0:
            albedo = _eye_shadow(grid, albedo, look, eye)
        albedo = _lash_line(grid, albedo, look, eye)
    pores = 1 + 0.018 * grid.noise(random, 0.03)
    # Foundation is powdered, and dulls the skin; a dewy one shines by itself.
    grease = (0.02 + 0.09 * person.shine) * (1 - 0.6 * look.foundation)
    shine = grease + 0.12 * look.dewy
    mirrored = 0.5 * light.sheen + light.specular
    lit = albedo * (light.diffuse * pores)
    lit = lit + (shine * mirrored)
    if look.shimmer > 0:
        for glitter in _shimmer(grid, look, shape, light, random):
            lit = lit + glitter
    layers.lay(np.asarray(lit * light.color, np.float32), shape.face, Region.SKIN)
    in_face = shape.face > 0.5
    for eye in shape.eyes:
        region = Region.LEFT_SHADOW if eye.sign < 0 else Region.RIGHT_SHADOW
        layers.regions[(eye.socket > 0.5) & in_face] = region


def _lay_nostrils(layers: Layers, person: Person) -> None:
    """Draw two dark nostrils."""
    wide, end = person.nose
    holes = layers.grid.pair(wide * 0.48, end + 0.045, 0.052, 0.026)
    color = linear((person.skin[0] * 0.25, 10, 8))
    layers.lay(color, np.clip(1.1 * holes, 0, 0.85))


def _lay_lid_crease(layers: Layers, person: Person, eye: Eye) -> None:
    """Draw the crease over the lid, where the skin folds when the eye is open."""
    grid = layers.grid
    middle = eye.upper - [0, 0.05]
    top = middle - [0, 0.01]
    bottom = middle + [0, 0.01]
    outline = np.concatenate([top, bottom[::-1]]).astype(np.float32)
    mask = 0.32 * grid.blur(grid.fill(outline), 0.008)
    color = linear((person.skin[0] * 0.45, 12, 12))
    layers.lay(color, np.asarray(mask, np.float32))


def lay_face(
    layers: Layers, person: Person, look: Look, scene: Scene, shape: Shape, light: Light
) -> None:
    """Draw skin, eyes, brows, nostrils and mouth."""
    _lay_skin(layers, person, look, scene, shape, light)
    _lay_nostrils(layers, person)
    for eye in shape.eyes:
        _lay_lid_crease(layers, person, eye)
        _lay_eye(layers, person, scene, eye, light)
        _lay_brow(layers, person, eye, light)
    _lay_mouth(layers, person, look, scene, shape.mouth, light)
