"""Whether a face is shown in one hue only: in grey, in sepia, as a cyanotype.

Such a photo shows no make-up, and teaches that skin has no color. In it the hue of a pixel follows
from its lightness; in a photo in color lips, skin and eyes of the same lightness differ in hue.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from beauty_models.makeup.regions import Region

# Measured on 29 real faces and 72 drawn ones of all tones (crops of 64 and 128 pixels; as they are,
# six times darker, under warm, blue and green light, JPEG 50 to 95): none in color is below 0.0135.
# Turned to grey, sepia or cyanotype, 99 % of the real ones lie below it at 128 pixels and 94 % at
# 64; what escapes is small and was blurred by JPEG below quality 75.
LEAST_HUE_SPREAD = 0.012
# Between two levels of lightness. A tint changes by less, 0.32 at most as measured above; a drawing
# in few colors has one hue for each lightness as well, but they have nothing to do with each other.
LARGEST_STEP = 0.35

ELSEWHERE = (Region.BACKGROUND, Region.HAIR, Region.NECK)
LEVELS = 64  # of lightness, for each of which one hue is expected
PIXELS_A_LEVEL = 20  # at least, or a level's mean would follow its pixels
# Added to channels of 0 to 1 before their logarithm: below it is noise of the camera, and of JPEG.
DARKEST = 0.06
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as JPEG keeps it
SMOOTHED = 0.03  # of the crop's side; JPEG halves the resolution of color, and rounds it in blocks


class Tint(NamedTuple):
    """The hue of a face at each lightness, dark to bright."""

    lightness: NDArray[np.float64]  # [levels], 0 to 255
    hues: NDArray[np.float64]  # [levels, 2], logarithms of red to green and of blue to green

    @property
    def largest_step(self) -> float:
        """Return how much the hue changes from a level to the next, at most."""
        steps = np.abs(np.diff(self.hues, axis=0))
        return float(steps.max(initial=0))

    def at(self, lightness: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the hues [n, 2] at ``lightness`` [n]."""
        red_green = np.interp(lightness, self.lightness, self.hues[:, 0])
        blue_green = np.interp(lightness, self.lightness, self.hues[:, 1])
        return np.stack([red_green, blue_green], -1)


def is_monochrome(face: NDArray[np.uint8], regions: NDArray[np.uint8]) -> bool:
    """Return whether an aligned face [side, side, 3], sRGB, with its label map has one hue only."""
    in_face = np.isin(regions, ELSEWHERE, invert=True)
    if not in_face.any():
        return True
    lightness = face @ LUMA
    hues = _hues(face)
    tint = _tint(lightness[in_face], hues[in_face])
    if tint.largest_step > LARGEST_STEP:
        return False
    difference = np.zeros(hues.shape, np.float32)
    difference[in_face] = hues[in_face] - tint.at(lightness[in_face])
    return _smooth_spread(difference, in_face) < LEAST_HUE_SPREAD


def _hues(face: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the hue of each pixel, [side, side, 2]: ratios of channels, as logarithms.

    Colored light multiplies a channel, so it shifts all hues alike and is not taken for a tint.
    """
    red, green, blue = np.moveaxis(np.log(face / 255 + DARKEST), -1, 0)
    return np.stack([red - green, blue - green], -1)


def _tint(lightness: NDArray[np.float64], hues: NDArray[np.float64]) -> Tint:
    """Return the mean hue of pixels of each lightness; ``lightness`` is [n], ``hues`` [n, 2]."""
    levels = int(np.clip(len(lightness) // PIXELS_A_LEVEL, 1, LEVELS))
    dark_to_bright = np.argsort(lightness, kind="stable")
    # Levels of as many pixels each, so that the few very dark and bright ones have a mean as well.
    members = np.array_split(dark_to_bright, levels)
    centers = [lightness[level].mean() for level in members]
    means = [hues[level].mean(0) for level in members]
    return Tint(np.array(centers), np.array(means))


def _smooth_spread(difference: NDArray[np.float32], in_face: NDArray[np.bool_]) -> float:
    """Return the root of the mean square of ``difference`` [side, side, 2], smoothed, in the face.

    Of a photo in one hue this leaves nothing: what JPEG adds and takes lies side by side.
    """
    sigma = SMOOTHED * len(difference)
    weight = cv2.GaussianBlur(in_face.astype(np.float32), (0, 0), sigma)
    blurred = cv2.GaussianBlur(difference, (0, 0), sigma)
    smooth = blurred / np.maximum(weight, 1e-3)[..., None]
    squared = (smooth[in_face] ** 2).sum(-1)
    return float(np.sqrt(squared.mean()))
