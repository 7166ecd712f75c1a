"""The regions of a face as a label map, one number a pixel, and the masks that are made of it."""

from __future__ import annotations

import io
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    # At run time where it is used only: the processes that align faces need no torch, and it would
    # be 470 MB in each of them.
    import torch


class Region(IntEnum):
    """What a pixel of a label map shows. Left and right are those of the picture."""

    BACKGROUND = 0  # also clothes, ears, hands: whatever wears no make-up
    SKIN = 1  # with the nose
    BROWS = 2
    LEFT_EYE = 3  # the eyeball, as far as it is seen
    RIGHT_EYE = 4
    LEFT_SHADOW = 5  # lid and socket around the eye, where eye shadow goes
    RIGHT_SHADOW = 6
    LIPS = 7
    MOUTH = 8  # what is between open lips: teeth, tongue
    HAIR = 9  # also beards
    NECK = 10
    GLASSES = 11


MADE_UP = {
    "lips": (Region.LIPS,),
    "skin": (Region.SKIN,),
    "eyes": (Region.LEFT_SHADOW, Region.RIGHT_SHADOW),
}
"""Part of a look → the regions that it colors. Nothing outside of them is ever changed."""

MIRROR_PAIRS = (
    (Region.LEFT_EYE, Region.RIGHT_EYE),
    (Region.LEFT_SHADOW, Region.RIGHT_SHADOW),
)


def mask(label_map: torch.Tensor, part: str) -> torch.Tensor:
    """Return where ``part`` of a look goes: bool [..., side, side] of ``label_map``, same shape."""
    import torch

    chosen = torch.zeros_like(label_map, dtype=torch.bool)
    for region in MADE_UP[part]:
        chosen |= label_map == int(region)
    return chosen


def masks(label_map: torch.Tensor) -> torch.Tensor:
    """Return the masks of all parts, bool [n, parts, side, side], of ``label_map`` [n, side, side].

    The order is that of `MADE_UP`.
    """
    import torch

    return torch.stack([mask(label_map, part) for part in MADE_UP], 1)


def mirrored(label_map: torch.Tensor) -> torch.Tensor:
    """Return the label map of the mirrored picture, [..., side, side].

    Left and right change sides in name, too.
    """
    import torch

    numbers = torch.arange(len(Region), dtype=label_map.dtype, device=label_map.device)
    for left, right in MIRROR_PAIRS:
        numbers[[int(left), int(right)]] = numbers[[int(right), int(left)]]
    return numbers[label_map.long()].flip(-1)


def label_map_png(regions: np.ndarray) -> bytes:
    """Return a label map, uint8 [side, side], as PNG: lossless, about 1 kB."""
    stream = io.BytesIO()
    Image.fromarray(regions, "L").save(stream, "PNG")
    return stream.getvalue()


def label_map(png: bytes) -> NDArray[np.uint8]:
    """Return the label map that `label_map_png` was given."""
    image = Image.open(io.BytesIO(png), formats=("PNG",))
    return np.asarray(image, np.uint8)
