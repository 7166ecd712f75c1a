"""What the model must beat: simple ways to give a face the colors of a look, part by part."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from skimage.color import lab2rgb, rgb2lab

from beauty_models.makeup.metrics import FEWEST, Colors, Image, LabelMap, part_mask
from beauty_models.makeup.regions import MADE_UP

Transfer = Callable[[Image, LabelMap, Image, LabelMap], Image]
"""(bare, its regions, reference, its regions) → made-up face."""


def copy(bare: Image, regions: LabelMap, reference: Image, reference_regions: LabelMap) -> Image:
    """Return the bare face as it is: what nothing at all would score."""
    return bare


def mean_std(
    bare: Image, regions: LabelMap, reference: Image, reference_regions: LabelMap
) -> Image:
    """Give each part the mean and the deviation of the reference in L, a and b (Reinhard 2001)."""
    return _by_part(bare, regions, reference, reference_regions, _match_moments)


def histogram_matching(
    bare: Image, regions: LabelMap, reference: Image, reference_regions: LabelMap
) -> Image:
    """Give each part the reference's distribution of L, of a and of b.

    No other way can be nearer in these distances, for they compare just that; but light, shade and
    shine of the reference come with its colors.
    """
    return _by_part(bare, regions, reference, reference_regions, _match_histograms)


BASELINES: dict[str, Transfer] = {
    "copy": copy,
    "mean_std": mean_std,
    "histogram_matching": histogram_matching,
}


def _match_moments(colors: Colors, reference: Colors) -> Colors:
    deviation = np.maximum(colors.std(0), 1e-6)
    standard = (colors - colors.mean(0)) / deviation
    return np.asarray(standard * reference.std(0) + reference.mean(0))


def _match_histograms(colors: Colors, reference: Colors) -> Colors:
    matched = np.empty_like(colors)
    places = (np.arange(len(colors)) + 0.5) / len(colors)
    own_places = (np.arange(len(reference)) + 0.5) / len(reference)
    for channel in range(3):
        order = np.argsort(colors[:, channel], kind="stable")
        # The darkest pixel gets the reference's darkest value, and so on.
        values = np.interp(places, own_places, np.sort(reference[:, channel]))
        matched[order, channel] = values
    return matched


def _by_part(
    bare: Image,
    regions: LabelMap,
    reference: Image,
    reference_regions: LabelMap,
    match: Callable[[Colors, Colors], Colors],
) -> Image:
    lab = rgb2lab(bare)
    reference_lab = rgb2lab(reference)
    changed: NDArray[np.bool_] = np.zeros(regions.shape, bool)
    for part in MADE_UP:
        mask = part_mask(regions, part)
        reference_mask = part_mask(reference_regions, part)
        # A part that either face does not show stays as it is.
        if min(mask.sum(), reference_mask.sum()) < FEWEST:
            continue
        lab[mask] = match(lab[mask], reference_lab[reference_mask])
        changed |= mask
    made_up = bare.copy()
    if changed.any():
        with warnings.catch_warnings():
            # Colors that no light has are clipped, and scikit-image warns of each.
            warnings.simplefilter("ignore", UserWarning)
            pixels = lab2rgb(lab[changed].reshape(1, -1, 3)).reshape(-1, 3)
        made_up[changed] = np.round(pixels * 255).astype(np.uint8)
    return made_up
