"""Give a product another color and keep its folds, its cloth and its print.

In OKLab (Ottosson 2020), whose lightness does not change when a hue is turned. What has the
product's own color is moved to the wanted one, lightness and all; how much darker or lighter than
its own color a pixel was, it stays. What has another color (a print, skin, a zip) stays as it is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from beauty_models.editing.cutout import Cutout

Picture = NDArray[np.uint8]
Array = NDArray[Any]  # float32; numpy's own types lose the width in every sum

BINS = 24  # a side of the grid on which the product's own color is looked for
OWN = 0.055  # distance of color in OKLab within which a pixel has the product's own
OTHER = 0.11  # and from which it has another
SHADE = 0.35  # a difference in lightness counts this much of one in color: folds are dark
LEAST_HUE = 0.3  # share of its hue that a pixel of the product's color shows at least
WORN = 0.15  # share of skin from which somebody wears the product
GREY = 0.035  # chroma of black, white and grey, whose hue says nothing
COLORLESS_SHADE = 1.0  # for these lightness tells a print from the cloth
COLORLESS_CHROMA = 2.0  # and a little color does

_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    np.float32,
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ],
    np.float32,
)
_FROM_LAB = np.linalg.inv(_TO_LAB).astype(np.float32)
_FROM_LMS = np.linalg.inv(_TO_LMS).astype(np.float32)


class Recoloured(NamedTuple):
    """A photo whose product has another color."""

    image: Picture
    former: str  # the product's own color, #RRGGBB
    share: float  # of the product that has been recolored
    notes: list[str]


def oklab(pixels: NDArray[np.uint8]) -> Array:
    """Return sRGB bytes [..., 3] in OKLab."""
    level = np.arange(256, dtype=np.float32) / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    light = linear.astype(np.float32)[pixels]
    lab: Array = np.cbrt(light @ _TO_LMS.T) @ _TO_LAB.T
    return lab


def srgb(lab: Array) -> NDArray[np.uint8]:
    """Return OKLab [..., 3] as sRGB bytes; a color that no screen has loses chroma, not hue."""
    lab = np.array(lab, np.float32)
    lab[..., 0] = np.clip(lab[..., 0], 0, 1)
    light = _linear(lab)
    for _ in range(8):
        outside = ((light < -1e-3) | (light > 1.001)).any(-1)
        if not outside.any():
            break
        lab[outside, 1:] *= 0.85
        light[outside] = _linear(lab[outside])
    light = np.clip(light, 0, 1)
    encoded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    levels: NDArray[np.uint8] = np.rint(encoded * 255).astype(np.uint8)
    return levels


def _linear(lab: Array) -> Array:
    roots = lab @ _FROM_LAB.T
    light: Array = roots**3 @ _FROM_LMS.T
    return light


def recolour(photo: Picture, product: Cutout, color: tuple[int, int, int]) -> Recoloured:
    """Return ``photo`` with the ``product``'s own color as ``color`` (sRGB, 0 to 255).

    Raises:
        ValueError: there is no product.
    """
    alpha = product.alpha.astype(np.float32) / 255
    inside = product.alpha >= 128
    if not inside.any():
        raise ValueError("there is no product to recolor")
    lab = oklab(product.colors)
    is_skin = _like_skin(lab)
    # Who wears it is cut out with it. A product that is beige itself has little else.
    is_worn = WORN < is_skin[inside].mean() < 1 - WORN
    notes = []
    chosen = inside
    if is_worn:
        notes.append("what has the color of skin was left as it is")
        chosen = inside & ~is_skin
    own = _fullest(lab[chosen])
    share = _share(lab, own)
    if is_worn:
        share = share * cv2.GaussianBlur((~is_skin).astype(np.float32), (0, 0), 0.7)
    wanted = oklab(np.array(color, np.uint8))
    edited = srgb(_moved(lab, own, wanted))
    # What a pixel holds of the ground stays; only the product's part of it changes.
    change = (edited.astype(np.float32) - product.colors) * (share * alpha)[..., None]
    touched = (share * alpha > 0.004)[..., None]
    result = np.clip(np.rint(photo + change), 0, 255).astype(np.uint8)
    former = "#{:02X}{:02X}{:02X}".format(*srgb(own).tolist())
    recolored = float((share[inside]).mean())
    if recolored < 0.5:
        notes.append(
            f"{1 - recolored:.0%} of the product has other colors than {former} and stays: a "
            "--mask of what is to be recolored says it better"
        )
    return Recoloured(np.where(touched, result, photo), former, recolored, notes)


def _like_skin(lab: Array) -> NDArray[np.bool_]:
    """Return which pixels of [h, w, 3] have a color that skin has, light or dark."""
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    hue = np.degrees(np.arctan2(lab[..., 2], lab[..., 1]))
    lightness = lab[..., 0]
    is_skin: NDArray[np.bool_] = (chroma > 0.025) & (chroma < 0.12) & (hue > 25) & (hue < 80)
    return is_skin & (lightness > 0.3) & (lightness < 0.93)


def _fullest(lab: Array) -> Array:
    """Return the color that most of the pixels have [3]: the fullest place of a histogram."""
    chroma = lab[:, 1:]
    edges = np.linspace(-0.35, 0.35, BINS + 1)
    counts, _, _ = np.histogram2d(chroma[:, 0], chroma[:, 1], (edges, edges))
    smooth = cv2.GaussianBlur(counts, (0, 0), 0.8)
    place = np.unravel_index(int(smooth.argmax()), smooth.shape)
    middle = (edges[:-1] + edges[1:]) / 2
    center = np.array([middle[place[0]], middle[place[1]]])
    near = np.linalg.norm(chroma - center, axis=1) < OWN
    if not near.any():
        near[:] = True
    own = np.median(lab[near], 0)
    if np.hypot(own[1], own[2]) < GREY:
        # Black, white and grey are one hue: the fullest lightness is the product's.
        lightness = lab[near][:, 0]
        levels, borders = np.histogram(lightness, 20, (0, 1))
        best = int(levels.argmax())
        inside = (lightness >= borders[max(0, best - 1)]) & (lightness <= borders[best + 1])
        own = np.median(lab[near][inside], 0)
    return np.asarray(own, np.float32)


def _share(lab: Array, own: Array) -> Array:
    """Return how much a pixel has the product's own color, 0 to 1 [h, w]."""
    # In a fold there is less light: chroma falls as lightness does.
    expected = own[1:] * _relative(lab[..., :1], own)
    apart = np.linalg.norm(lab[..., 1:] - expected, axis=-1)
    is_grey = float(np.hypot(own[1], own[2])) < GREY
    shade = COLORLESS_SHADE if is_grey else SHADE
    if is_grey:
        # What is as far from grey as skin or a faded print is another color.
        apart = apart * COLORLESS_CHROMA
    # A fifth lighter or two fifths darker is still light and fold, of a grey cloth less.
    difference = lab[..., 0] - own[0]
    darkest = 0.25 if is_grey else 0.4
    beyond = np.maximum(difference - 0.2, -difference - darkest).clip(0)
    distance = np.hypot(apart, shade * beyond)
    step = np.clip((OTHER - distance) / (OTHER - OWN), 0, 1)
    if not is_grey:
        # Dark grey is not a dark fold of a green cloth: some of the hue has to be there.
        hue = own[1:] / np.linalg.norm(own[1:])
        most = np.linalg.norm(expected, axis=-1)
        colored = lab[..., 1:] @ hue / np.maximum(most, 1e-4)
        step = np.minimum(step, np.clip((colored - LEAST_HUE) / LEAST_HUE, 0, 1))
    # 3 t² - 2 t³: level at both ends, so that no edge shows where a color fades into another.
    smooth = step * step * (3 - 2 * step)
    share: Array = cv2.GaussianBlur(smooth.astype(np.float32), (0, 0), 0.7)
    return share


def _moved(lab: Array, own: Array, wanted: Array) -> Array:
    """Return all pixels as if the color ``own`` had been ``wanted``."""
    # Light multiplies: the same fold takes more lightness from a light cloth than from a dark one.
    ratio = float(np.clip(wanted[0] / max(float(own[0]), 0.05), 0.5, 1.8))
    lightness = wanted[0] + (lab[..., 0] - own[0]) * ratio
    lightness = np.clip(lightness, 0.02, 0.995)
    lightness = lightness[..., None]
    # What a thread differs from its cloth, it keeps.
    grain = lab[..., 1:] - own[1:] * _relative(lab[..., :1], own)
    chroma = wanted[1:] * _relative(lightness, wanted) + grain
    return np.concatenate([lightness, chroma], -1)


def _relative(lightness: Array, color: Array) -> Array:
    """Return lightness as a share of a color's own: chroma rises and falls with it."""
    share = lightness / max(float(color[0]), 0.05)
    # In deep shade a little of the hue is left, and no light makes more of it than pure color has.
    return np.clip(share, 0.2, 1.3)
