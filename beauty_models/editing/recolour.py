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
from beauty_models.editing.morphology import disk, grown

Picture = NDArray[np.uint8]
Array = NDArray[Any]  # float32; numpy's own types lose the width in every sum

BINS = 24  # a side of the grid on which the product's own color is looked for
OWN = 0.055  # distance of color in OKLab within which a pixel has the product's own
OTHER = 0.11  # and from which it has another
SHADE = 0.35  # a difference in lightness counts this much of one in color: folds are dark
LEAST_HUE = 0.3  # share of its hue that a pixel of the product's color shows at least
WORN = 0.05  # share of skin from which somebody wears the product
BEIGE = 0.85  # and from which the product itself has the color of skin
SKIN_APART = 0.06  # of chromaticity, from which skin is surely not the cloth
SLIVER = 0.004  # of the longer side: half the width below which something is no skin
TOO_NEAR = 0.13  # of chromaticity; an orange cloth lies 0.08 to 0.12 from the skin beside it
SKIN_LEAST = 0.1  # share of what is like skin that must be so
GREY = 0.035  # chroma of black, white and grey, whose hue says nothing
FOLD = 0.4  # of lightness that a fold of a colored cloth may be darker than it
GREY_FOLD = 0.25  # of a grey one
LEVELS = 32  # of lightness, in which the valley between two grey garments is looked for
RISE = 1.6  # times as many pixels as in the valley, from which it is another garment
RISE_LEAST = 0.02  # share of the pixels that it has at least
NEARBY = 0.008  # of the longer side: what lies nearer to a garment is a part of it
APART = 0.04  # of the longer side: no piece of the garment is farther from the rest of it
LEAST_PIECE = 0.03  # of the garment's area that a piece of it has at least
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
    # Who wears it is cut out with it. A product that is beige itself has little else.
    like_skin = _like_skin(lab) & inside
    is_worn = WORN < like_skin[inside].mean() < BEIGE
    is_skin = np.zeros_like(inside)
    notes = []
    if is_worn:
        cloth = _fullest(lab[inside & ~like_skin])
        is_skin = _skin(lab, like_skin, cloth)
        notes.append("what has the color of skin was left as it is")
        if _near_skin(lab[is_skin], cloth):
            notes.append(
                "the product's color is near that of skin: look at the face and the hands, or say "
                "by --mask what is to be recolored"
            )
    chosen = inside & ~is_skin
    own = _fullest(lab[chosen])
    share = np.where(inside | (alpha > 0), _share(lab, own, _darkest(lab[chosen], own)), 0)
    if is_worn:
        share = np.where(_one_garment(np.where(is_skin, 0, share) * alpha), share, 0)
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


def _chromaticity(lab: Array) -> Array:
    """Return a/L and b/L of OKLab [..., 3], which light and shade leave as they are."""
    ratio: Array = lab[..., 1:] / np.maximum(lab[..., :1], 0.05)
    return ratio


def _skin(lab: Array, like_skin: NDArray[np.bool_], own: Array) -> NDArray[np.bool_]:
    """Return which of the pixels that are ``like_skin`` are skin, and no light on an orange cloth.

    By chromaticity, a/L and b/L, which light and shade leave as it is: what is nearer to that of
    the cloth, ``own``, than to that of the skin is cloth.
    """
    chromaticity = _chromaticity(lab)
    from_own = np.linalg.norm(chromaticity - _chromaticity(own), axis=-1)
    sure = like_skin & (from_own > SKIN_APART)
    if sure.sum() < SKIN_LEAST * like_skin.sum():
        return np.zeros_like(like_skin)
    from_skin = np.linalg.norm(chromaticity - np.median(chromaticity[sure], 0), axis=-1)
    # Neighbors decide together: of one pixel JPEG says too little.
    nearer = cv2.GaussianBlur((from_skin - from_own).astype(np.float32), (0, 0), 2.0) < 0
    # Light along a shoulder is as pale as skin, but no finger is as narrow.
    radius = max(1, round(SLIVER * max(like_skin.shape)))
    wide = cv2.morphologyEx((like_skin & nearer).astype(np.uint8), cv2.MORPH_OPEN, disk(radius))
    skin: NDArray[np.bool_] = like_skin & nearer & grown(wide.astype(bool), radius)
    return skin


def _near_skin(skin: Array, own: Array) -> bool:
    """Return whether the cloth, ``own``, can hardly be told from the ``skin`` [n, 3] beside it."""
    if _is_grey(own):
        return False
    if not len(skin):
        return True
    middle = np.median(_chromaticity(skin), 0)
    return float(np.linalg.norm(middle - _chromaticity(own))) < TOO_NEAR


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
    if _is_grey(own):
        # Black, white and grey are one hue: the fullest lightness is the product's.
        lightness = lab[near][:, 0]
        levels, borders = np.histogram(lightness, 20, (0, 1))
        best = int(levels.argmax())
        inside = (lightness >= borders[max(0, best - 1)]) & (lightness <= borders[best + 1])
        own = np.median(lab[near][inside], 0)
    return np.asarray(own, np.float32)


def _is_grey(color: Array) -> bool:
    return float(np.hypot(color[1], color[2])) < GREY


def _darkest(lab: Array, own: Array) -> float:
    """Return how much darker than ``own`` a pixel of ``lab`` [n, 3] may be and still be a fold.

    White, grey and black garments differ in lightness alone, and folds of one are as dark as
    another. Between two of them there is a lightness that few pixels have: the valley of the
    histogram, where there is one.
    """
    if not _is_grey(own):
        return FOLD
    grey = lab[np.hypot(lab[:, 1], lab[:, 2]) < GREY * 1.5]
    counts, edges = np.histogram(grey[:, 0], LEVELS, (0, 1))
    smooth = cv2.GaussianBlur(counts.astype(np.float64)[None], (0, 0), 0.8)[0]
    mode = int(np.clip(own[0] * LEVELS, 0, LEVELS - 1))
    lowest = mode
    for level in range(mode, -1, -1):
        if smooth[level] < smooth[lowest]:
            lowest = level
        # Another garment: it rises again by much of what the valley has.
        elif smooth[level] > max(RISE * smooth[lowest], RISE_LEAST * len(lab)):
            # At the valley itself a pixel is neither's: `_share` fades out from OWN to OTHER.
            return float(np.clip(own[0] - edges[lowest + 1] - OTHER, 0.0, GREY_FOLD))
    return GREY_FOLD


def _one_garment(share: Array) -> NDArray[np.bool_]:
    """Return the largest piece of what is recolored, and larger ones that lie near it.

    Hair, shoes and zips may be as grey as the garment.
    """
    own = (share > 0.5).astype(np.uint8)
    reach = max(1, round(NEARBY * max(share.shape)))
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    joined = cv2.morphologyEx(own, cv2.MORPH_CLOSE, square)
    _, labels, figures, _ = cv2.connectedComponentsWithStats(joined)
    if len(figures) < 2:
        return own.astype(bool)
    garment = 1 + int(figures[1:, cv2.CC_STAT_AREA].argmax())
    # A sleeve behind an arm is near; shoes are not, and hair is parted from a collar by skin.
    far = max(1, round(APART * max(share.shape)))
    around = cv2.dilate((labels == garment).astype(np.uint8), np.ones((2 * far + 1,) * 2, np.uint8))
    kept = np.zeros(len(figures), bool)
    kept[np.unique(labels[around > 0])] = True
    kept &= figures[:, cv2.CC_STAT_AREA] >= LEAST_PIECE * figures[garment, cv2.CC_STAT_AREA]
    kept[0] = False
    # Where it fades out its share is below a half.
    pieces: NDArray[np.bool_] = cv2.dilate(kept[labels].astype(np.uint8), square).astype(bool)
    return pieces


def _share(lab: Array, own: Array, darkest: float) -> Array:
    """Return how much a pixel has the product's own color, 0 to 1 [h, w].

    ``darkest`` is how much darker a fold may be.
    """
    # In a fold there is less light: chroma falls as lightness does.
    expected = own[1:] * _relative(lab[..., :1], own)
    apart = np.linalg.norm(lab[..., 1:] - expected, axis=-1)
    is_grey = _is_grey(own)
    if not is_grey:
        # Light on a shoulder has less of the hue and no other: that counts as a shade does.
        along, across = _along_hue(lab[..., 1:] - expected, own)
        pale = np.where(along < 0, SHADE * along, along)
        apart = np.where(lab[..., 0] > own[0], np.hypot(pale, across), apart)
    shade = COLORLESS_SHADE if is_grey else SHADE
    if is_grey:
        # What is as far from grey as skin or a faded print is another color.
        apart = apart * COLORLESS_CHROMA
    # A fifth lighter is still light.
    difference = lab[..., 0] - own[0]
    beyond = np.maximum(difference - 0.2, -difference - darkest).clip(0)
    distance = np.hypot(apart, shade * beyond)
    step = np.clip((OTHER - distance) / (OTHER - OWN), 0, 1)
    if not is_grey:
        # Dark grey is not a dark fold of a green cloth: some of the hue has to be there.
        colored = _along_hue(lab[..., 1:], own)[0] / _along_hue(expected, own)[0]
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
    full = wanted[1:] * _relative(lightness, wanted)
    expected = own[1:] * _relative(lab[..., :1], own)
    # What a thread differs from its cloth, it keeps.
    grain = lab[..., 1:] - expected
    if not _is_grey(own):
        # Where light takes half of the old hue it takes half of the new one.
        along, across = _along_hue(lab[..., 1:], own)
        full = full * np.clip(along / _along_hue(expected, own)[0], 0, 1.3)[..., None]
        grain = across[..., None] * _across(own)
    return np.concatenate([lightness, full + grain], -1)


def _across(color: Array) -> Array:
    """Return the direction [2] in the plane of a and b that is at right angles to a color's hue."""
    hue = color[1:] / np.linalg.norm(color[1:])
    return np.array([-hue[1], hue[0]], np.float32)


def _along_hue(chroma: Array, color: Array) -> tuple[Array, Array]:
    """Return how far ``chroma`` [..., 2] goes along the hue of a color, and across it."""
    hue = color[1:] / np.linalg.norm(color[1:])
    return chroma @ hue, chroma @ _across(color)


def _relative(lightness: Array, color: Array) -> Array:
    """Return lightness as a share of a color's own: chroma rises and falls with it."""
    share = lightness / max(float(color[0]), 0.05)
    # In deep shade a little of the hue is left, and no light makes more of it than pure color has.
    return np.clip(share, 0.2, 1.3)
