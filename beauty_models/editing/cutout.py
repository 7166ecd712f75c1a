"""Cut a product out of its photo: an alpha matte with soft edges, and how sure it is.

No network: a shop's photo has an even ground, and what is not ground is the product. The ground is
fitted to the photo's margin, so that it may be white, colored or lit from one side. At the edge the
alpha is how far a pixel's color has gone from the ground's to the product's (the compositing
equation of Porter and Duff 1984, solved by projection, as in Chuang et al. 2001).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from beauty_models.backbones.mediapipe import ModelFileError
from beauty_models.editing.extent import extent
from beauty_models.editing.morphology import disk, grown
from beauty_models.editing.worn import clothes

Picture = NDArray[np.uint8]  # sRGB [h, w, 3]
Array = NDArray[Any]  # float32; numpy's own types lose the width in every sum

LARGEST = 1536  # pixels a side at which the matte is found; of larger photos it is enlarged
MARGIN = 0.02  # width of the photo's margin that the ground is fitted to, of its shorter side
EVEN = 0.6  # share of the margin that must be ground
BUSY = 1.7  # Lab units by which a ground varies that is too busy to be told from a product
NOISE = 0.6  # Lab units that the color of an even ground varies by at least
GROUND = 2.5  # Lab units within which a pixel may be ground, where there is less noise
PRODUCT = 12.0  # Lab units from which a pixel surely is not
OUTER_BAND = 1  # pixels outside of the outline whose alpha is looked for
INNER_BAND = 3  # and inside: the outline is where the last of the product is seen
# Standard deviations in pixels of the neighborhoods that tell the colors at an edge: the near one,
# so that the end of a white stripe is white, and where it holds nothing that is sure the far one.
NEAR = 1.5
FAR = 5.0
ENCLOSED = 1e-4  # share of the photo that ground within a product has at least
SMALLEST = 5e-4  # share of the photo below which there is no product
HALF = 128  # alpha from which a pixel is the product's
SURE = 0.5  # from here on a matte counts as found
SPECK = 0.004  # share of what stands out, below which a piece of it is dirt
# A shadow is the ground with less light: of its hue, and without an edge.
SHADOW_CHROMA = 5.0  # Lab units
SHADOW_DEPTH = 40.0  # Lab units of lightness
SHADOW_EDGE = 1.6  # Lab units of lightness from one pixel to the next, at 512 pixels
CRACK = 0.006  # half the width, of the longer side, that ground needs to flow through
BETWEEN = 0.3  # share of a shadow that may lie between parts of the product
FADING = 0.6  # share of its outer side along which a shadow touches the ground
TOLD = 0.03  # share of the product that was taken for ground at first, from which it is told
SHADOW_SHARE = 0.6  # of what stands out that a shadow may be; more is a product of its color


class Cutout(NamedTuple):
    """A product without its ground."""

    alpha: NDArray[np.uint8]  # 0 is ground, 255 is product [h, w]
    colors: Picture  # of the product alone: at its edge without the ground's color
    sure: float  # 0 to 1; below `SURE` it is a guess
    notes: list[str]  # what a person should know of it


class _Ground(NamedTuple):
    """The ground as it would be without the product."""

    lab: Array  # [h, w, 3]
    noise: float  # standard deviation of a pixel's distance, Lab units
    share: float  # of the margin that is ground


def cutout(image: Picture) -> Cutout:
    """Return the product in a photo of at least 8 pixels a side."""
    height, width = image.shape[:2]
    scale = LARGEST / max(height, width)
    if scale >= 1:
        return _cut(image)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = _cut(np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8))
    alpha = cv2.resize(small.alpha, (width, height), interpolation=cv2.INTER_CUBIC)
    # The colors come from the photo itself but at the edge, where they hold some of the ground.
    pure = np.asarray(cv2.resize(small.colors, (width, height)), np.uint8)
    colors = np.where((alpha < 255)[..., None], pure, image)
    notes = [*small.notes, f"found at {size[0]} × {size[1]} pixels and enlarged"]
    return Cutout(np.asarray(alpha, np.uint8), colors, small.sure, notes)


def _lab(image: Picture) -> Array:
    return cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def _cut(image: Picture) -> Cutout:
    lab = _lab(image)
    ground = _fit_ground(lab)
    difference = lab - ground.lab
    distance = np.sqrt(np.einsum("hwc,hwc->hw", difference, difference))
    if ground.share < EVEN or ground.noise > BUSY:
        return _guessed(image, ground)
    outside = _outside(distance, ground)
    outside, notes = _without_shadow(lab, ground, outside)
    outside, told_by_shape, more = _without_clothes(image, distance, outside, ground)
    notes += more
    outside |= _specks(outside)
    inside = ~outside
    if inside.mean() < SMALLEST:
        empty = np.zeros(inside.shape, np.uint8)
        return Cutout(empty, image, 0.0, ["nothing stands out from the ground"])
    sure = _sureness(distance, outside, ground) * max(0.0, 1 - 2 * told_by_shape)
    if sure < SURE:
        notes = [*notes, "the product hardly differs from the ground: the cut-out is a guess"]
    # Beyond the product, and the neighborhood that tells its edge's colors, nothing is to be done.
    box = extent(inside, round(4 * FAR))
    alpha = np.zeros(inside.shape, np.uint8)
    colors = image.copy()
    alpha[box], colors[box] = _matte(image[box], distance[box], outside[box])
    return Cutout(alpha, colors, sure, notes)


def _margin(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which pixels are the photo's margin."""
    width = max(2, round(MARGIN * min(shape)))
    margin = np.ones(shape, bool)
    margin[width:-width, width:-width] = False
    return margin


def _terms(rows: Array, columns: Array) -> Array:
    """Return the terms of a surface of second order at places -1 to 1, [n, 6]."""
    one = np.ones_like(rows)
    return np.stack([one, rows, columns, rows * columns, rows**2, columns**2], -1)


def _fit_ground(lab: Array) -> _Ground:
    """Return the ground: a smooth surface through most of the margin.

    Least squares on what lies near the surface, three times over: a product that leaves the photo
    (trousers, a sleeve) is not near and does not count.
    """
    height, width = lab.shape[:2]
    rows, columns = np.nonzero(_margin((height, width)))
    seen = lab[rows, columns]
    terms = _terms(rows / height * 2 - 1, columns / width * 2 - 1)
    surface = np.broadcast_to(np.median(seen, 0), seen.shape)
    reach = 14.0
    noise = NOISE
    share = 0.0
    fit = np.zeros((6, 3))
    for _ in range(4):
        residual = np.linalg.norm(seen - surface, axis=1)
        near = residual < reach
        share = float(near.mean())
        if near.sum() < 12:
            break
        fit = np.linalg.lstsq(terms[near], seen[near], rcond=None)[0]
        surface = terms @ fit
        residual = np.linalg.norm(seen - surface, axis=1)
        noise = max(NOISE, float(np.median(residual[near])))
        reach = max(GROUND, 3.5 * noise)
    down = (np.arange(height, dtype=np.float32) / height * 2 - 1)[:, None, None]
    along = (np.arange(width, dtype=np.float32) / width * 2 - 1)[None, :, None]
    one, row, column, both, row_square, column_square = fit.astype(np.float32)
    # As `_terms`, but for a column and a row of pixels that numpy multiplies out.
    of_rows = one + row * down + row_square * down**2
    of_columns = column * along + column_square * along**2
    everywhere = of_rows + of_columns + (both * down) * along
    return _Ground(everywhere, noise, share)


def _reach(ground: _Ground) -> float:
    return max(GROUND, 3.5 * ground.noise)


def _touching(mask: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the connected pieces of ``mask`` of which a pixel is ``wanted``."""
    # 4-connected: ground does not leak through the diagonal of a strap that is one pixel wide.
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    kept = np.zeros(labels.max() + 1, bool)
    kept[np.unique(labels[wanted & mask])] = True
    kept[0] = False
    pieces: NDArray[np.bool_] = kept[labels]
    return pieces


def _outside(distance: Array, ground: _Ground) -> NDArray[np.bool_]:
    """Return what is ground: what is connected to the margin, and gaps in the product."""
    like_ground = distance < _reach(ground)
    # Through cracks as narrow as folds are the ground would flow into a white product.
    pixels = max(1, round(CRACK * max(distance.shape)))
    wide = cv2.morphologyEx(like_ground.astype(np.uint8), cv2.MORPH_OPEN, disk(pixels))
    flooded = _touching(wide.astype(bool), _margin(distance.shape))
    outside = grown(flooded, pixels + 1) & like_ground
    return outside | _gaps(distance, ground, outside)


def _gaps(distance: Array, ground: _Ground, outside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return ground that a product encloses: between an arm and the body, in a bag's handle."""
    # JPEG's ringing, at the edges all around, reaches across a narrow gap.
    enclosed = (distance < 1.6 * _reach(ground)) & ~outside
    count, labels, figures, _ = cv2.connectedComponentsWithStats(
        enclosed.astype(np.uint8), connectivity=8
    )
    area = figures[:, cv2.CC_STAT_AREA]
    mean = _mean_of_each(distance, labels, count)
    # A highlight fades into the product around it; a gap ends at once.
    around = cv2.dilate(labels.astype(np.float32), _square(2)).astype(np.int64)
    around[(labels > 0) | outside] = 0
    edge = _mean_of_each(distance, around, count)
    is_gap = (area >= max(9, ENCLOSED * distance.size)) & (mean < _reach(ground))
    is_gap &= edge > 2.5 * _reach(ground)
    is_gap[0] = False
    gaps: NDArray[np.bool_] = is_gap[labels]
    return gaps


def _mean_of_each(values: Array, labels: NDArray[Any], count: int) -> Array:
    """Return the mean of ``values`` for each label from 0 to ``count`` - 1."""
    total = np.bincount(labels.ravel(), values.ravel(), count)
    number = np.bincount(labels.ravel(), minlength=count)
    return total / np.maximum(number, 1)


def _without_shadow(
    lab: Array, ground: _Ground, outside: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], list[str]]:
    """Return ``outside`` with the soft shadows beside it, and what to tell of them."""
    difference = lab - ground.lab
    chroma = np.hypot(difference[..., 1], difference[..., 2])
    darker = -difference[..., 0]
    smooth = cv2.GaussianBlur(lab[..., 0], (0, 0), 0.8)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    slope = np.hypot(across, down) / 8  # Sobel's weights add up to 8
    # The same shadow is steeper from pixel to pixel in a smaller photo.
    edge = SHADOW_EDGE * max(1.0, 512 / max(outside.shape))
    shaded = (chroma < SHADOW_CHROMA) & (darker > -2) & (darker < SHADOW_DEPTH) & (slope < edge)
    # An opening keeps thin bridges from letting the shadow into a product of its color.
    width = 2 * round(0.004 * max(outside.shape)) + 1
    square = np.ones((max(3, width), max(3, width)), np.uint8)
    both = (shaded | outside).astype(np.uint8)
    opened = cv2.morphologyEx(both, cv2.MORPH_OPEN, square).astype(bool)
    candidates = opened & ~outside
    shadow = _touching(candidates | outside, outside) & candidates
    shadow = _fading(shadow, outside, ~outside & ~shaded)
    standing_out = np.count_nonzero(~outside)
    if not shadow.any() or not standing_out:
        return outside, []
    share = shadow.sum() / standing_out
    if share > SHADOW_SHARE:
        return outside, ["what may be a shadow was kept: it is too large to be sure"]
    return outside | shadow, []


def _without_clothes(
    image: Picture, distance: Array, outside: NDArray[np.bool_], ground: _Ground
) -> tuple[NDArray[np.bool_], float, list[str]]:
    """Return ``outside`` without white clothes that somebody wears.

    With their share of the product, and what to tell of them.
    """
    try:
        worn = clothes(image, distance, outside, _reach(ground), PRODUCT)
    except ModelFileError as error:
        return outside, 0.0, [f"people are not looked for: {error}"]
    outside = outside & ~worn
    share = float(worn.sum() / max(1, np.count_nonzero(~outside)))
    if share < TOLD:
        return outside, share, []
    note = f"{share:.0%} of it has the ground's color and was told by the shape of who wears it"
    return outside, share, [f"{note}: look at gaps between arms and body"]


def _fading(
    shadow: NDArray[np.bool_], outside: NDArray[np.bool_], product: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return the pieces of a ``shadow`` that fade into the ground.

    A shadow touches the ground along its whole outer side. A white product has an edge there, and
    where it was taken for a shadow it came in by the few places at which that edge is weak. And
    what has ``product`` above and below is product: the label of a bottle, a white jacket.
    """
    count, labels = cv2.connectedComponents(shadow.astype(np.uint8))
    frontier = outside & grown(~outside, 1)
    pixels = max(3, round(0.012 * max(outside.shape)))
    numbers = labels.astype(np.float32)
    touching = cv2.dilate(numbers, _square(2))[frontier].astype(np.int64)
    near = cv2.dilate(numbers, _square(pixels))[frontier].astype(np.int64)
    all_near = np.maximum(np.bincount(near, minlength=count), 1)
    share = np.bincount(touching, minlength=count) / all_near
    above = np.maximum.accumulate(product, 0)
    below = np.maximum.accumulate(product[::-1], 0)[::-1]
    between = _mean_of_each((above & below).astype(np.float32), labels, count)
    fades = (share > FADING) & (between < BETWEEN)
    fades[0] = False
    faded: NDArray[np.bool_] = fades[labels]
    return faded


def _around(values: Array, chosen: NDArray[np.bool_]) -> Array:
    """Return the mean of the ``chosen`` of ``values`` [h, w, 3] around each pixel."""
    weights = chosen.astype(np.float32)
    means = []
    weighted = values * weights[..., None]
    for reach in (NEAR, FAR):
        total = cv2.GaussianBlur(weighted, (0, 0), reach)
        weight = cv2.GaussianBlur(weights, (0, 0), reach)[..., None]
        means.append((total / np.maximum(weight, 1e-6), weight))
    near, near_weight = means[0]
    trust = np.clip(near_weight / 0.02, 0, 1)
    mean: Array = trust * near + (1 - trust) * means[1][0]
    return mean


def _square(radius: int) -> NDArray[np.uint8]:
    side = 2 * radius + 1
    return np.ones((side, side), np.uint8)


def _specks(outside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pieces of what is not ground that are too small to be one of the product's."""
    inside = ~outside
    _, labels, figures, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8))
    small = figures[:, cv2.CC_STAT_AREA] < SPECK * np.count_nonzero(inside)
    small[0] = False
    specks: NDArray[np.bool_] = small[labels]
    return specks


def _matte(
    image: Picture, distance: Array, outside: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], Picture]:
    """Return alpha, and the product's colors, at the outline between ``outside`` and the rest."""
    unknown = grown(~outside, OUTER_BAND) & grown(outside, INNER_BAND)
    # Of a thin strap nothing is deep inside: what differs most around there is all strap.
    most = cv2.dilate(distance, _square(2))
    core = ~outside & (distance > PRODUCT) & (distance > 0.9 * most)
    product = (~outside & ~unknown) | core
    ground = outside & ~unknown
    values = image.astype(np.float32)
    of_product = _around(values, product)
    of_ground = _around(values, ground)
    across = of_product - of_ground
    length = np.square(across).sum(2)
    along = ((values - of_ground) * across).sum(2) / np.maximum(length, 1.0)
    # Two colors that hardly differ say nothing: there the outline itself, a little softened.
    plain = cv2.GaussianBlur((~outside).astype(np.float32), (0, 0), 0.7)
    told = np.clip(length / 30.0**2, 0, 1)
    mixed = told * along + (1 - told) * plain
    alpha = np.where(unknown & ~core, mixed, (~outside).astype(np.float32))
    # Rounding and JPEG leave a veil on the ground and pinholes in the product.
    alpha = np.clip((alpha - 0.04) / 0.92, 0, 1)
    levels = np.rint(alpha * 255).astype(np.uint8)
    return levels, _pure_colors(values, alpha, of_product, of_ground)


def _pure_colors(values: Array, alpha: Array, of_product: Array, of_ground: Array) -> Picture:
    """Return the colors of the product without the share of the ground that edge pixels hold."""
    share = np.maximum(alpha, 0.3)[..., None]
    without = of_ground + (values - of_ground) / share
    # Where little of a pixel is product its own color is mostly noise; its neighbors know better.
    trust = np.clip(alpha / 0.6, 0, 1)[..., None]
    pure = trust * without + (1 - trust) * of_product
    colors = np.where((alpha < 1)[..., None], pure, values)
    return np.asarray(np.clip(colors + 0.5, 0, 255), np.uint8)


def _sureness(distance: Array, outside: NDArray[np.bool_], ground: _Ground) -> float:
    """Return how sure a matte is: the ground is even, the product differs from it at its edge."""
    rim = grown(outside, 3) & ~outside
    inner = rim & ~grown(outside, 1)
    inner = inner if inner.any() else rim
    stands_out = float((distance[inner] > PRODUCT).mean()) if inner.any() else 0.0
    even = (ground.share - EVEN) / (1 - EVEN)
    # An even wall varies by a unit or so, plaster and boards by two and more.
    quiet = min(1.0, 1.4 / ground.noise)
    # Joints of boards and tiles leave the photo at many places, a product at few.
    leaving = ~outside & _margin(outside.shape)
    places = cv2.connectedComponents(leaving.astype(np.uint8))[0] - 1
    whole = 1 / (1 + 0.2 * max(0, places - 3))
    return (0.35 + 0.65 * stands_out) * (0.5 + 0.5 * even) * quiet * whole


def _guessed(image: Picture, ground: _Ground) -> Cutout:
    """Return a cut-out of a photo without an even ground: what GrabCut (Rother et al. 2004) finds.

    It takes the margin for ground, and is told to be unsure.
    """
    height, width = image.shape[:2]
    scale = min(1.0, 256 / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.ascontiguousarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    labels = np.full(small.shape[:2], cv2.GC_PR_FGD, np.uint8)
    labels[_margin(labels.shape)] = cv2.GC_BGD
    cv2.setRNGSeed(7)
    colors = np.zeros((1, 65))
    unused = (0, 0, 1, 1)  # a box, which counts only without labels
    cv2.grabCut(small, labels, unused, colors, colors.copy(), 4, cv2.GC_INIT_WITH_MASK)
    found = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    alpha = cv2.GaussianBlur(cv2.resize(found, (width, height)), (0, 0), max(0.7, 0.5 / scale))
    levels = np.rint(np.clip(alpha, 0, 1) * 255).astype(np.uint8)
    notes = [
        f"the ground is busy ({ground.share:.0%} of the photo's margin is even, and that varies by "
        f"{ground.noise:.1f} units of Lab): the cut-out is a guess"
    ]
    return Cutout(levels, image, 0.4 * ground.share, notes)
