"""Put a product that was cut out on another ground: a color or a photo, with a shadow if wanted."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from beauty_models.editing.cutout import Cutout
from beauty_models.editing.extent import extent

Picture = NDArray[np.uint8]
Array = NDArray[Any]  # float32

PLACES = ("keep", "center", "bottom")
"""keep: where it is in its photo; center; bottom: it stands at the foot of the picture."""

ROOM = 0.86  # of the picture's sides, that a product takes at most which is placed anew
FOOT = 0.94  # of the picture's height, at which a product stands
DEPTH = 0.38  # of its light that a shadow takes
SEEN = 8  # alpha from which a pixel shows some of the product
CUT_OFF = 0.01  # of a side of the photo, from which a product leaves it there


class Composed(NamedTuple):
    """A product on another ground."""

    image: Picture
    notes: list[str]


def plain_ground(shape: tuple[int, int], color: tuple[int, int, int]) -> Picture:
    """Return a ground of one color [h, w, 3]."""
    return np.broadcast_to(np.array(color, np.uint8), (*shape, 3)).copy()


def compose(product: Cutout, ground: Picture, place: str, shadow: bool) -> Composed:
    """Return ``product`` on ``ground``, at a ``place`` of `PLACES`.

    Raises:
        ValueError: there is no product.
    """
    if not (product.alpha >= 128).any():
        raise ValueError("there is no product to put on another ground")
    notes = list(product.notes)
    cut_off = _cut_off(product.alpha)
    foot = FOOT
    if "bottom" in cut_off and place == "bottom":
        # Somebody who is seen to the knees stands nowhere: the picture ends where the photo does.
        foot = 1.0
    elif cut_off and place != "keep":
        notes.append(
            f"its photo cuts the product off at the {' and '.join(cut_off)}: it ends there"
        )
    if "bottom" in cut_off and shadow:
        shadow = False
        notes.append("no shadow: the photo cuts off what the product stands on")
    alpha, colors = _placed(product, ground.shape[:2], place, foot)
    light = ground.astype(np.float32)
    if shadow:
        light = light * (1 - _shadow(alpha))[..., None]
    share = alpha[..., None].astype(np.float32) / 255
    mixed = light + (colors - light) * share
    return Composed(np.clip(np.rint(mixed), 0, 255).astype(np.uint8), notes)


def _cut_off(alpha: NDArray[np.uint8]) -> list[str]:
    """Return the sides at which the product leaves its photo."""
    sides = {"top": alpha[0], "bottom": alpha[-1], "left": alpha[:, 0], "right": alpha[:, -1]}
    return [name for name, edge in sides.items() if (edge >= 128).mean() > CUT_OFF]


def _placed(
    product: Cutout, shape: tuple[int, ...], place: str, foot: float
) -> tuple[NDArray[np.uint8], Picture]:
    """Return alpha and colors as large as the ground."""
    height, width = shape
    rows, columns = extent(product.alpha >= SEEN)
    if place == "keep":
        # The whole photo, as large as it can be.
        scale = min(width / product.alpha.shape[1], height / product.alpha.shape[0])
        left = (width - product.alpha.shape[1] * scale) / 2
        top = (height - product.alpha.shape[0] * scale) / 2
        return _warped(product, (height, width), scale, left, top)
    tall = rows.stop - rows.start
    wide = columns.stop - columns.start
    scale = min(ROOM * width / wide, ROOM * height / tall)
    left = (width - wide * scale) / 2 - columns.start * scale
    end = foot * height if place == "bottom" else (height + tall * scale) / 2
    top = end - rows.stop * scale
    return _warped(product, (height, width), scale, left, top)


def _warped(
    product: Cutout, shape: tuple[int, int], scale: float, left: float, top: float
) -> tuple[NDArray[np.uint8], Picture]:
    height, width = shape
    if scale == 1 and left == 0 and top == 0:
        return product.alpha, product.colors
    alpha, colors = product.alpha, product.colors
    if scale < 1:
        # Bilinear sampling alone would skip pixels where it shrinks.
        size = (max(1, round(alpha.shape[1] * scale)), max(1, round(alpha.shape[0] * scale)))
        alpha = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), np.uint8)
        colors = np.asarray(cv2.resize(colors, size, interpolation=cv2.INTER_AREA), np.uint8)
        scale = 1.0
    move = np.array([[scale, 0, round(left)], [0, scale, round(top)]], np.float64)
    flags = cv2.INTER_CUBIC
    warped_alpha = cv2.warpAffine(alpha, move, (width, height), flags=flags)
    warped_colors = cv2.warpAffine(
        colors, move, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(warped_alpha, np.uint8), np.asarray(warped_colors, np.uint8)


def _shadow(alpha: NDArray[np.uint8]) -> Array:
    """Return the share of light that a shadow takes: dark where it stands, wide and soft behind."""
    height, width = alpha.shape
    seen = alpha.astype(np.float32) / 255
    rows, columns = extent(alpha >= 128)
    foot = rows.stop - 1
    tall = rows.stop - rows.start
    wide_at = columns.stop - columns.start
    # The outline, lying: its height falls to a fifth, and it ends where the product stands.
    behind = 0.8 * foot + 0.01 * tall
    flat = np.array([[1, 0, 0], [0, 0.2, behind]], np.float64)
    lying = cv2.warpAffine(seen, flat, (width, height))
    wide = cv2.GaussianBlur(lying, (0, 0), max(1.0, 0.03 * tall))
    # Where it touches the ground no light comes at all; a product's lowest part tells where.
    lowest = max(2, tall // 40)
    standing = seen[max(0, foot - lowest) : foot + 1].max(0)
    contact = np.zeros_like(seen)
    last = min(height, foot + max(2, round(0.012 * tall)))
    contact[foot:last] = standing
    close = cv2.GaussianBlur(contact, (0, 0), max(0.8, 0.012 * wide_at))
    taken: Array = np.clip(DEPTH * wide + DEPTH * close, 0, 0.7)
    return taken
