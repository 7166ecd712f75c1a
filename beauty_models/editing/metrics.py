"""How near a filled hole is to what the photo showed there, and a cut-out to the product's outline.

Only what lies in the hole counts: the rest is the photo's own, bit by bit, which
`outside_change` proves.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from beauty_models.editing.holes import KINDS, Holes
from beauty_models.evaluation.bootstrap import Floats
from beauty_models.evaluation.metrics import Metric

PEAK = 255.0
WINDOW = 11  # pixels a side of SSIM's window, and the deviation of its Gaussian (Wang et al. 2004)
DEVIATION = 1.5
C1 = 0.01**2  # SSIM's constants, for values 0 to 1
C2 = 0.03**2
LEAST_ERROR = 1 / 12  # levels²: what rounding to bytes alone costs, so that no PSNR is infinite
OUTLINE = 128  # level of a mask from which a pixel is the product's

METRICS = (
    Metric("psnr_hole", "PSNR in the hole, dB", format=".2f"),
    *[Metric(f"psnr_hole_{kind}", f"{kind}, dB", format=".2f") for kind in KINDS],
    Metric("ssim_hole", "SSIM in the hole"),
    *[Metric(f"ssim_hole_{kind}", f"{kind}, SSIM") for kind in KINDS],
    Metric("outside_change", "changed outside, most", format=".0f", larger_is_better=False),
    Metric("cutout_iou", "cut-outs, IoU"),
    Metric("boundary_f", "cut-outs, edges"),
    Metric("filled_well", "filled well", format=".0%"),
)

Images = NDArray[np.uint8]  # [n, h, w, 3]
Mask = NDArray[np.bool_]  # [h, w]


def hole_error(filled: Images, photos: Images, holes: Holes) -> Floats:
    """Return the mean squared error within each hole [n], in levels², over all channels."""
    difference = filled.astype(np.float64) - photos
    squares = np.square(difference).mean(-1)
    inside = np.asarray(holes, np.float64)
    total = (squares * inside).sum((1, 2))
    return np.asarray(total / np.maximum(inside.sum((1, 2)), 1))


def psnr_of_kinds(rows: NDArray[Any], weights: Floats) -> Floats:
    """Score: the PSNR in dB of each column of `hole_error` [n, kinds], and their mean.

    The mean error of all holes of a kind makes its PSNR. A mean of the holes' own PSNRs would be
    that of holes in plain grounds, which any fill closes without an error and at no bound of dB.
    """
    errors = np.maximum(weights @ rows / weights.sum(1, keepdims=True), LEAST_ERROR)
    return np.asarray(10 * np.log10(PEAK**2 / errors).mean(1))


def mean_of_kinds(rows: NDArray[Any], weights: Floats) -> Floats:
    """Score: the mean over all columns of their means."""
    return np.asarray((weights @ rows / weights.sum(1, keepdims=True)).mean(1))


@lru_cache(maxsize=4)
def _blur_matrix(side: int, kind: torch.device) -> Tensor:
    """Return SSIM's Gaussian of `WINDOW` pixels along one axis, as a matrix [side, side].

    At the borders the picture is mirrored. Two products with it take a fifth of the time of a
    convolution with the whole window: with it training was twice as slow.
    """
    margin = WINDOW // 2
    places = torch.arange(WINDOW, dtype=torch.float32) - margin
    bell = torch.exp(-places.square() / (2 * DEVIATION**2))
    bell = bell / bell.sum()
    matrix = torch.zeros(side, side)
    for row in range(side):
        for weight, place in zip(bell, range(row - margin, row + margin + 1), strict=True):
            inside = abs(place)
            if inside >= side:
                inside = 2 * (side - 1) - inside
            matrix[row, inside] += weight
    return matrix.to(kind)


def ssim_map(first: Tensor, second: Tensor) -> Tensor:
    """Return how alike two pictures [n, 3, h, w], -1 to 1, are around each pixel [n, h, w].

    Structural similarity (Wang et al. 2004), mean of the channels; 1 is the same. Sides have 6
    pixels at least.
    """
    height, width = first.shape[-2:]
    down = _blur_matrix(height, first.device)
    along = _blur_matrix(width, first.device)
    # Of values around 0 the means would have signs, and the comparison of light no sense.
    first = (first + 1) / 2
    second = (second + 1) / 2
    maps = torch.stack([first, second, first.square(), second.square(), first * second])
    mean1, mean2, square1, square2, product = down @ maps @ along.T
    # Rounding may leave a variance below 0.
    variance1 = (square1 - mean1.square()).clamp(min=0)
    variance2 = (square2 - mean2.square()).clamp(min=0)
    covariance = product - mean1 * mean2
    light = (2 * mean1 * mean2 + C1) / (mean1.square() + mean2.square() + C1)
    structure = (2 * covariance + C2) / (variance1 + variance2 + C2)
    alike: Tensor = (light * structure).mean(1)
    return alike


def mean_in_holes(values: Tensor, holes: Tensor) -> Tensor:
    """Return the mean [n] of ``values`` [n, h, w] within ``holes``, 0 or 1 [n, 1, h, w]."""
    inside = holes[:, 0]
    return (values * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1)


@torch.no_grad()
def hole_ssim(filled: Images, photos: Images, holes: Holes) -> Floats:
    """Return the mean of `ssim_map` within each hole [n]."""
    pictures = []
    for images in (filled, photos):
        pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
        pictures.append(pixels.float() / 127.5 - 1)
    inside = torch.from_numpy(np.ascontiguousarray(holes))[:, None].float()
    return mean_in_holes(ssim_map(*pictures), inside).double().numpy()


def outside_change(filled: Images, photos: Images, holes: Holes) -> float:
    """Return the largest difference outside of the holes, in levels: 0, or something is wrong."""
    difference = np.abs(filled.astype(np.int16) - photos)
    return float(difference[~holes].max(initial=0))


def cutout_iou(found: NDArray[np.uint8], exact: NDArray[np.uint8]) -> float:
    """Return the intersection over the union of two alpha mattes [h, w], as soft sets.

    1 is the same; half transparent pixels count by their alpha.
    """
    ours = found.astype(np.float64)
    theirs = exact.astype(np.float64)
    union = np.maximum(ours, theirs).sum()
    return float(np.minimum(ours, theirs).sum() / union) if union else 1.0


def boundary_f(found: NDArray[np.uint8], exact: NDArray[np.uint8], tolerance: int = 1) -> float:
    """Return the F-measure of the outlines of two mattes [h, w] (Martin et al. 2004).

    An outline's pixel is right where the other outline is at most ``tolerance`` pixels away.
    """
    ours = _outline(found >= OUTLINE)
    theirs = _outline(exact >= OUTLINE)
    if not ours.any() or not theirs.any():
        return float(not ours.any() and not theirs.any())
    precision = _share_near(ours, theirs, tolerance)
    recall = _share_near(theirs, ours, tolerance)
    return 2 * precision * recall / max(precision + recall, 1e-12)


def _outline(mask: Mask) -> Mask:
    """Return the mask's pixels that touch others, or the picture's edge."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0)
    return np.asarray(mask & ~inner.astype(bool))


def _share_near(outline: Mask, other: Mask, tolerance: int) -> float:
    size = 2 * tolerance + 1
    near = cv2.dilate(other.astype(np.uint8), np.ones((size, size), np.uint8)).astype(bool)
    return float(near[outline].mean())
