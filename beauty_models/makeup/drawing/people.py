"""What a drawn portrait shows: who, what make-up they wear, and how the photo is taken."""

from __future__ import annotations

from dataclasses import dataclass

from beauty_models.makeup.drawing.canvas import Lab, Point


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
