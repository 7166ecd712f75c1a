"""How near a made-up face is to the look it should wear, and how much of the face it left alone.

All are better when they are smaller. An *error* compares pixel by pixel with the truth, the same
photo of the same face in that make-up, in units of CIEDE2000, where it is known. A *distance*
compares the colors of a part with those of the reference's, another person in other light, in units
of CIELAB (D65). About 2 of either is the least difference that people notice side by side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance
from skimage.color import deltaE_ciede2000, rgb2lab

from beauty_models.backbones.efficientnet import features
from beauty_models.evaluation.metrics import Metric
from beauty_models.makeup.regions import MADE_UP

FEWEST = 8  # pixels of a part; the colors of fewer say nothing

METRICS = (
    Metric("look_error", "error, mean of the parts", format=".2f", larger_is_better=False),
    Metric("lips_error", "lips, error", format=".2f", larger_is_better=False),
    Metric("skin_error", "skin, error", format=".2f", larger_is_better=False),
    Metric("eyes_error", "eyes, error", format=".2f", larger_is_better=False),
    Metric("look_distance", "lips and skin, distance", format=".2f", larger_is_better=False),
    Metric("lips_distance", "lips, distance", format=".2f", larger_is_better=False),
    Metric("skin_distance", "skin, distance", format=".2f", larger_is_better=False),
    Metric("eyes_distance", "eyes, distance", format=".2f", larger_is_better=False),
    Metric("identity_distance", "identity, distance", larger_is_better=False),
    Metric("background_change", "changed elsewhere, mean", format=".2f", larger_is_better=False),
    Metric(
        "background_change_max", "changed elsewhere, most", format=".0f", larger_is_better=False
    ),
    Metric("looks_better", "nearer than the bare face"),
)

Image = NDArray[np.uint8]  # [side, side, 3]
LabelMap = NDArray[np.uint8]  # [side, side], numbers of `Region`
Colors = NDArray[np.float64]  # [pixels, 3], L, a and b


def part_mask(regions: LabelMap, part: str) -> NDArray[np.bool_]:
    """Return where ``part`` of a look goes, bool [side, side]."""
    numbers = [int(region) for region in MADE_UP[part]]
    return np.isin(regions, numbers)


def part_colors(image: Image, regions: LabelMap, part: str) -> Colors:
    """Return the colors of a part's pixels."""
    pixels = image[part_mask(regions, part)]
    # scikit-image wants a picture: one of one row.
    lab = rgb2lab(pixels.reshape(1, -1, 3))
    return np.asarray(lab.reshape(-1, 3))


def part_error(image: Image, truth: Image, regions: LabelMap, part: str) -> float:
    """Return the mean CIEDE2000 (Sharma et al. 2005) of ``image`` and ``truth`` within a part.

    NaN where the part has fewer than `FEWEST` pixels.
    """
    colors = part_colors(image, regions, part)
    if len(colors) < FEWEST:
        return float("nan")
    wanted = part_colors(truth, regions, part)
    difference: Any = deltaE_ciede2000
    return float(difference(wanted, colors).mean())


def color_distance(colors: Colors, reference: Colors) -> float:
    """Return the mean over L, a and b of the 1-D Wasserstein distance of two sets of colors.

    It is in units of CIELAB. NaN where a set is too small to compare: a part may be hidden by hair
    or by a beard.
    """
    if min(len(colors), len(reference)) < FEWEST:
        return float("nan")
    channels = []
    for channel in range(3):
        channels.append(wasserstein_distance(colors[:, channel], reference[:, channel]))
    return float(np.mean(channels))


def region_distance(
    image: Image,
    regions: LabelMap,
    reference: Image,
    reference_regions: LabelMap,
    part: str,
) -> float:
    """Return `color_distance` of a part (a key of `MADE_UP`) of two faces."""
    return color_distance(
        part_colors(image, regions, part), part_colors(reference, reference_regions, part)
    )


def background_change(image: Image, bare: Image, regions: LabelMap) -> tuple[float, float]:
    """Return the mean and the largest absolute difference outside of the made-up parts.

    Both are in levels, 0 to 255, over all channels.
    """
    made_up = np.zeros(regions.shape, bool)
    for part in MADE_UP:
        made_up |= part_mask(regions, part)
    # Of bytes a difference below 0 would be one of 255.
    difference = np.abs(image.astype(np.int16) - bare.astype(np.int16))
    difference = difference[~made_up]
    if not difference.size:
        return 0.0, 0.0
    return float(difference.mean()), float(difference.max())


def cosine_distance(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return 1 minus the cosine of each row of two matrices [n, width]: [n], 0 to 2."""
    products = (first.astype(np.float64) * second).sum(1)
    lengths = np.linalg.norm(first, axis=1)
    lengths = lengths * np.linalg.norm(second, axis=1)
    return np.asarray(1 - products / np.maximum(lengths, 1e-12))


def identity_distance(bare: torch.Tensor, made_up: torch.Tensor) -> NDArray[np.float64]:
    """Return how much else than colors changed between each bare face and its made-up one [n].

    It is 1 minus the cosine of the angle between their `features`: EfficientNet-lite0's pooled ones
    (Tan & Le 2019, without squeeze and excitation), as ImageNet taught it, of the whole aligned
    face. 0 is the same picture, 2 the opposite; smaller is better. The network knows things, not
    people: this is no face recognition and says nothing of whether somebody would be recognized, it
    only tells a face that was redrawn from one that was made up. Strong make-up alone makes 0.01 to
    0.05; another person's photo is about 0.4 away, which evaluate prints beside the figures.

    Args:
        bare: uint8 [n, 3, side, side], sRGB.
        made_up: the same faces, uint8 [n, 3, side, side].

    Raises:
        ValueError: the package with the network is not installed.
    """
    return cosine_distance(features(bare), features(made_up))
