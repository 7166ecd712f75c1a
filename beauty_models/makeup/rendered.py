"""Results for photos that have none: the same cosmetics, rendered on two bare faces.

Nobody has two people in the very same make-up, and one of them bare in the same pose. But shades
can be put on any photo (`cosmetics`): the same ones on two bare faces give a reference, and the
truth for the other face. They teach what comes over, the make-up, and what does not, the other's
skin and light; how real make-up of a photographer looks they do not teach.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from beauty_models.makeup import cosmetics, palette
from beauty_models.makeup.cosmetics import Finish, Look
from beauty_models.makeup.palette import OwnShade
from beauty_models.makeup.shades import Shade

# How often a look has it; lipstick it always has.
BLUSH = 0.8
EYESHADOW = 0.9
STRENGTHS = (0.5, 1.0)  # from faint to all that a cosmetic gives
LIGHTER = 12.0  # by which a shade's R, G and B vary, standard deviation


class Wearer(NamedTuple):
    """A bare face that make-up is rendered on."""

    key: str
    person: str
    image: NDArray[np.uint8]  # [side, side, 3]
    regions: NDArray[np.uint8]  # [side, side]


class Rendered(NamedTuple):
    """One look on two bare faces."""

    bare: str  # key of the face that is to be made up
    reference: str  # key of the bare face that shows the look
    worn: NDArray[np.uint8]  # the reference in that look
    result: NDArray[np.uint8]  # the bare face in that look


def _shade(random: np.random.Generator, shades: Sequence[OwnShade]) -> Shade:
    """Return one of ``shades``, varied a little: there are more lipsticks than names."""
    number = int(random.integers(len(shades)))
    code = shades[number].hex.lstrip("#")
    color = np.array(list(bytes.fromhex(code)))
    varied = color + LIGHTER * random.standard_normal(3)
    shown = np.clip(np.round(varied), 0, 255).astype(int)
    red, green, blue = shown.tolist()
    return Shade("", (red, green, blue))


def random_look(random: np.random.Generator) -> Look:
    """Return cosmetics drawn at random; no foundation, which is bought in one's own shade."""
    lipstick = _shade(random, palette.LIPS)
    blush = None
    if random.random() < BLUSH:
        blush = _shade(random, palette.CHEEKS)
    eyeshadow = None
    if random.random() < EYESHADOW:
        eyeshadow = _shade(random, palette.EYES)
    finishes: list[Finish] = list(cosmetics.FINISHES)
    finish = finishes[int(random.integers(len(finishes)))]
    strength = random.uniform(*STRENGTHS)
    return Look(
        lipstick=lipstick, blush=blush, eyeshadow=eyeshadow, finish=finish, strength=strength
    )


def render(faces: Sequence[Wearer], count: int, seed: int) -> Iterator[Rendered]:
    """Yield ``count`` looks for each of ``faces``, each with another person as its reference.

    None where all of them show one person.
    """
    for bare in faces:
        others = [face for face in faces if face.person != bare.person]
        # A source of chance for each face, so that one more photo changes no other's looks, but
        # for who shows them.
        number = zlib.crc32(bare.key.encode())
        random = np.random.default_rng((seed, number))
        for _ in range(count if others else 0):
            look = random_look(random)
            reference = others[int(random.integers(len(others)))]
            worn = cosmetics.make_up(reference.image, reference.regions, look).image
            result = cosmetics.make_up(bare.image, bare.regions, look).image
            yield Rendered(bare.key, reference.key, worn, result)
