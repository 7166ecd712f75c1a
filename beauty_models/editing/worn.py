"""White clothes on white: what somebody wears is not ground, however little it differs from it.

A blown-out sleeve has the ground's color, and a matte by color loses it. Where a person is seen, a
network that knows people (`backbones.mediapipe`) says which of it belongs to them; it sees shapes
and no edges, so color keeps the last word wherever it has one.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from beauty_models.backbones import mediapipe
from beauty_models.editing.morphology import disk, grown

Picture = NDArray[np.uint8]  # sRGB [h, w, 3]
Mask = NDArray[np.bool_]
Array = NDArray[Any]  # float32; numpy's own types lose the width in every sum

SIDE = 256  # pixels of the network's input
COVERED = 0.8  # share of what surely stands out that must be a person's
SMALLEST = 0.02  # share of the photo that a person has at least
SURELY = 0.7  # share from which a crack in the clothes is closed
SHAPE = 0.9  # from which a shadow is a fold
LIKELY = 0.3  # and below which nothing is a person's
# Lab units by which ground differs from itself, and by which white cloth does; on 13 white garments
# of a catalogue the studio's white had 0.1 to 0.5, shoulders that are all but white 0.9 to 2.
PLAIN = 0.7
SPREAD = 0.4
CLEAN = 0.4  # below which a crack is a gap
SPECK = 2e-4  # share of the photo that a piece of clothes has at least
SMOOTH = 3.0  # pixels over which that difference is taken, and 2 for the decision
EDGE = 0.008  # of the longer side: near an edge that is seen, what looks like ground is ground
CRACK = 0.004  # of the longer side: half the width of a crack


def person(image: Picture) -> Array:
    """Return how likely each pixel of ``image`` is a person's or their clothes', 0 to 1 [h, w].

    The mean of two looks: at the photo as it is, and with its sides made equal by white. One
    alone takes the gap between an arm and the body for the person more often.

    Raises:
        mediapipe.ModelFileError: the network is not there.
    """
    height, width = image.shape[:2]
    side = max(height, width)
    top = (side - height) // 2
    left = (side - width) // 2
    square = np.full((side, side, 3), 255, np.uint8)
    square[top : top + height, left : left + width] = image
    whole = cv2.resize(_segmented(image), (width, height))
    padded = cv2.resize(_segmented(square), (side, side))
    likely: Array = (whole + padded[top : top + height, left : left + width]) / 2
    return likely


def _segmented(image: Picture) -> Array:
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    [shares] = mediapipe.run(mediapipe.SELFIE_SEGMENTATION, small / np.float32(255))
    return shares[..., 0]


def clothes(image: Picture, distance: Array, outside: Mask, reach: float, product: float) -> Mask:
    """Return which pixels that were taken for ground belong to somebody's clothes.

    Args:
        image: the photo.
        distance: of each pixel's color from the ground's, Lab units [h, w].
        outside: what was taken for ground [h, w].
        reach: ``distance`` below which a pixel may be ground.
        product: ``distance`` from which a pixel surely is not.

    Raises:
        mediapipe.ModelFileError: the network is not there.
    """
    nobody = np.zeros_like(outside)
    stands_out = distance > product
    if stands_out.mean() < SMALLEST:
        return nobody
    longest = max(outside.shape)
    least = SPECK * outside.size
    texture = _mean_within(np.minimum(distance, reach), outside)
    # The network's own edges are soft: beside an edge that is seen they would be a white seam.
    beside = grown(stands_out, max(2, round(EDGE * longest)))
    # Most photos have nothing that looks like white cloth: the network is not asked.
    if np.count_nonzero(outside & (texture > PLAIN) & ~beside) < least:
        return nobody
    likely = person(image)
    # A bag or a bottle is no person, whatever the network makes of it.
    if (likely[stands_out] > 0.5).mean() < COVERED:
        return nobody
    score: Array = 2 * (likely - 0.5) + 1.5 * np.clip((texture - PLAIN) / SPREAD, -1, 1)
    seam = beside & (texture < PLAIN + SPREAD)
    score = cv2.GaussianBlur(np.where(seam, -2, score).astype(np.float32), (0, 0), 2.0)
    # A soft shadow was taken for ground by another rule, and so were folds of white cloth.
    possible = outside & ((distance < reach) | (likely > SHAPE))
    worn = possible & (score > 0) & (likely > LIKELY)
    crack = disk(max(1, round(CRACK * longest)))
    closed = cv2.morphologyEx((~outside | worn).astype(np.uint8), cv2.MORPH_CLOSE, crack)
    worn |= possible & closed.astype(bool) & (likely > SURELY) & (texture > CLEAN)
    worn &= ~_small_pieces(worn, least) & _beside_cloth(worn, distance, outside, product)
    holes = _small_pieces(outside & ~worn, 2 * least)
    return worn | (holes & (likely > SHAPE))


def _beside_cloth(worn: Mask, distance: Array, outside: Mask, product: float) -> Mask:
    """Return the pieces of ``worn`` that continue cloth which is all but white.

    What has skin or dark cloth around it is a gap that the network takes for the person.
    """
    count, labels = cv2.connectedComponents(worn.astype(np.uint8))
    around = cv2.dilate(labels.astype(np.float32), disk(3)).astype(np.int64)
    around[outside] = 0
    number = np.bincount(around.ravel(), minlength=count)
    total = np.bincount(around.ravel(), distance.ravel(), count)
    continues = (number > 0) & (total < product * number)
    continues[0] = False
    pieces: Mask = continues[labels]
    return pieces


def _small_pieces(mask: Mask, least: float) -> Mask:
    """Return the connected pieces of ``mask`` of less than ``least`` pixels."""
    _, labels, figures, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    small = figures[:, cv2.CC_STAT_AREA] < least
    small[0] = False
    pieces: Mask = small[labels]
    return pieces


def _mean_within(values: Array, chosen: Mask) -> Array:
    """Return the mean of the ``chosen`` of ``values`` [h, w] around each pixel."""
    weights = chosen.astype(np.float32)
    total = cv2.GaussianBlur(values * weights, (0, 0), SMOOTH)
    weight = cv2.GaussianBlur(weights, (0, 0), SMOOTH)
    mean: Array = total / np.maximum(weight, 1e-3)
    return mean
