"""What each pixel of a face shows, as a label map: from landmarks, or from a delivered mask.

Lips, mouth, eyes and brows are polygons of the face mesh. All else is a heuristic on colors, meant
to err on the side of leaving a pixel without make-up:

- skin is the oval of the mesh, with the forehead above it, as far as its color is that of cheeks
  and nose; what is far from it at forehead, temples and jaw (a fringe, a beard) is hair
- the neck is what continues below the chin in the color of the cheeks
- glasses are dark pixels around the eyes, where these make frames, or cover both eyes
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from beauty_models.makeup.alignment import Alignment, from_landmarks
from beauty_models.makeup.landmarks import Face
from beauty_models.makeup.regions import Region
from beauty_models.makeup.warping import moved, warp

# Numbers of mesh points, in order along the polygon. Left and right are those of the picture.
OVAL = [10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377]
OVAL += [152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109]
OUTER_LIPS = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375]
OUTER_LIPS += [291, 409, 270, 269, 267, 0, 37, 39, 40, 185]
INNER_LIPS = [78, 95, 88, 178, 87, 14, 317, 402, 318, 324]
INNER_LIPS += [308, 415, 310, 311, 312, 13, 82, 81, 80, 191]
LEFT_EYE = [33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246]
RIGHT_EYE = [263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466]
LEFT_BROW = [70, 63, 105, 66, 107, 55, 65, 52, 53, 46]
RIGHT_BROW = [300, 293, 334, 296, 336, 285, 295, 282, 283, 276]
# From below the brow to a strip below the lower lashes.
LEFT_SOCKET = [226, 113, 225, 224, 223, 222, 221, 189, 243, 112, 26, 22, 23, 24, 110, 25]
RIGHT_SOCKET = [446, 342, 445, 444, 443, 442, 441, 413, 463, 341, 256, 252, 253, 254, 339, 255]
# Skin for sure on every face: cheeks below the eyes, and the nose.
LEFT_CHEEK = [117, 118, 119, 100, 126, 203, 206, 207, 187, 123]
RIGHT_CHEEK = [346, 347, 348, 329, 355, 423, 426, 427, 411, 352]
JAW_CORNERS = [172, 397]
CHIN = 152
NOSE = [168, 122, 196, 3, 51, 5, 281, 248, 419, 351]
# To the nostrils, whose shade is no moustache.
WHOLE_NOSE = [168, 193, 122, 236, 198, 209, 49, 48, 64, 98, 97, 2]
WHOLE_NOSE += [326, 327, 294, 278, 279, 429, 420, 456, 351, 417]

SIDE = 256  # pixels of the square in which colors are judged, whatever the photo's size
VIEW = 1.3  # of the aligned square's side: neck and hair must be seen
BELOW_CENTER = 0.02  # of its side, by which the square is moved down: a neck is longer than hair
FINE = 512  # pixels of a face's width from which polygons need no finer grid than the photo's
FRACTION_BITS = 4  # binary places of a pixel that OpenCV is given

# Below the eyes, where a face has neither lashes nor make-up, but glasses have a rim.
LEFT_UNDER_EYE = [25, 110, 24, 23, 22, 26, 112, 233, 232, 231, 230, 229, 228, 31]
RIGHT_UNDER_EYE = [255, 339, 254, 253, 252, 256, 341, 453, 452, 451, 450, 449, 448, 261]
# Down to the cheeks, where the rims of large glasses lie.
LEFT_CHEEK_TOP = [25, 110, 24, 23, 22, 26, 112, 114, 47, 100, 101, 50, 123]
RIGHT_CHEEK_TOP = [255, 339, 254, 253, 252, 256, 341, 343, 277, 329, 330, 280, 352]
# Between the eyes: a rim has to cross it.
BRIDGE = [193, 417, 465, 412, 6, 188, 245]
# Wherever glasses may sit: from the brows to the upper cheeks, from temple to temple.
GLASSES_AREA = [70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 356, 454, 352, 280, 330, 329]
GLASSES_AREA += [197, 100, 101, 50, 123, 234, 127]

DARK = 0.6  # of the skin's lightness: what is darker may be a frame
LEAST_DARK_LENS = 0.8  # share of the eye and of the skin below that is dark behind sunglasses
LEAST_RIM = 0.04  # share of the skin below an eye that a frame covers
LARGEST_HOLE = 0.004  # of the face's area: a nostril, a mole, a shadow within skin; not a beard

LARGEST_SPREAD = 8.0  # of the skin's L, a, b
TEXTURE_WINDOW = 7  # pixels of `SIDE`
LARGEST_TEXTURE = 7.0  # L, more than on cheeks and nose

FOREHEAD = 0.22  # of the face's height: how far above the mesh's oval skin is looked for


def _filled(points: NDArray[np.floating], shape: tuple[int, int], fine: int) -> NDArray[np.bool_]:
    """Return the pixels at least half covered by a polygon, bool of ``shape``.

    The polygon is drawn ``fine`` times larger: OpenCV also fills the pixels of its outline, which
    would widen the lips of a small face by a fifth.
    """
    height, width = shape
    low = np.floor(points.min(0)).astype(int) - 1
    high = np.ceil(points.max(0)).astype(int) + 2
    filled = np.zeros(shape, bool)
    x0, x1 = np.clip([low[0], high[0]], 0, width)
    y0, y1 = np.clip([low[1], high[1]], 0, height)
    if x0 >= x1 or y0 >= y1:
        return filled
    size = (int(x1 - x0), int(y1 - y0))
    canvas = np.zeros((size[1] * fine, size[0] * fine), np.uint8)
    # A pixel's center lies half a pixel from its corner, and corners are what scaling keeps.
    from_corner = points - (x0, y0) + 0.5
    drawn = from_corner * fine - 0.5
    fixed_point = np.round(drawn * 2**FRACTION_BITS).astype(np.int32)
    cv2.fillPoly(canvas, [fixed_point], 255, shift=FRACTION_BITS)
    coverage = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)
    filled[y0:y1, x0:x1] = coverage >= 128
    return filled


class _Square(NamedTuple):
    """The face as its colors are judged: a square of `SIDE` pixels, upright."""

    lab: NDArray[np.float32]  # [SIDE, SIDE, 3]: L 0 to 100, a, b
    inside: NDArray[np.bool_]  # where the photo is, not its last pixels repeated
    points: NDArray[np.float64]  # mesh [468, 2] in it
    alignment: Alignment

    def polygon(self, numbers: list[int]) -> NDArray[np.bool_]:
        return _filled(self.points[numbers], (SIDE, SIDE), 2)


def _square(photo: NDArray[np.uint8], face: Face) -> _Square:
    """Return the square around ``face``, wider than the aligned one."""
    aligned = from_landmarks(face).matrix
    middle = np.array([0.5, 0.5])
    rotation = aligned[:, :2] / VIEW
    # The middle of the aligned square stays in the middle.
    from_middle = (aligned[:, 2] - middle) / VIEW
    offset = from_middle + middle - (0, BELOW_CENTER)
    alignment = Alignment(np.column_stack([rotation, offset]))
    pixels = alignment.pixels(SIDE)
    size = (SIDE, SIDE)
    # Beyond its border the photo goes on: at a black edge a forehead would look like strands.
    colors = warp(photo, pixels, size, border=cv2.BORDER_REPLICATE)
    rgb = colors.astype(np.float32) / 255
    # Single pixels are noise of the camera, and of JPEG.
    smooth = cv2.GaussianBlur(rgb, (0, 0), 1)
    lab = np.asarray(cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB), np.float32)
    everywhere = np.ones(photo.shape[:2], np.uint8)
    inside = warp(everywhere, pixels, size, cv2.INTER_NEAREST)
    points = moved(face.points, pixels)
    return _Square(lab, inside > 0, points, alignment)


def _skin_distance(square: _Square, known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return how far each pixel's color is from that of ``known`` skin; 1 is the limit."""
    if not known.any():
        return np.zeros((SIDE, SIDE), np.float32)
    skin = square.lab[known]
    middle = np.median(skin, 0)
    deviation = 1.4826 * np.median(np.abs(skin - middle), 0)  # of a normal distribution, robust
    # Bounded: glasses on the cheeks, or half a face in shade, would make hair pass for skin.
    spread = np.minimum(deviation, LARGEST_SPREAD)
    difference = square.lab - middle
    lighter = difference[..., 0]
    redder = difference[..., 1]
    yellower = difference[..., 2]
    # Shade makes skin darker, highlights brighter, blush redder: each has its own allowance.
    darkness = np.maximum(-lighter, 0) / (20 + 2.5 * spread[0])
    brightness = np.maximum(lighter, 0) / (25 + 2.5 * spread[0])
    red = redder / (14 + 2 * spread[1])
    yellow = yellower / (14 + 2 * spread[2])
    strands = _strands(square, known)
    squared = (darkness + brightness) ** 2 + red**2 + yellow**2 + strands**2
    return np.asarray(np.sqrt(squared), np.float32)


def _strands(square: _Square, known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return how much more texture than ``known`` skin has each pixel above the brows has.

    A blond fringe has the color of skin, but strands.
    """
    texture = _texture(square.lab[..., 0])
    usual = np.median(texture[known])
    strands = np.maximum(texture - usual, 0) / LARGEST_TEXTURE
    # Not below the brows, where nose and jaw have edges of their own.
    brow_points = square.points[LEFT_BROW + RIGHT_BROW]
    top_of_brows = int(brow_points[:, 1].min())
    strands[top_of_brows:] = 0
    return np.asarray(strands, np.float32)


def _texture(lightness: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the standard deviation of ``lightness`` around each pixel."""
    window = (TEXTURE_WINDOW, TEXTURE_WINDOW)
    mean = cv2.blur(lightness, window)
    variance = cv2.blur(lightness**2, window) - mean**2
    return np.asarray(np.sqrt(np.maximum(variance, 0)), np.float32)


def _connected(mask: NDArray[np.bool_], seed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the parts of ``mask`` that touch ``seed``."""
    _, numbers = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    touched = np.unique(numbers[seed & mask])
    touched = touched[touched > 0]  # 0 is what no part has
    return np.asarray(np.isin(numbers, touched), bool)


def _opened(mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Return ``mask`` without what is narrower than ``size`` pixels."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, kernel)
    return np.asarray(opened, bool)


def _forehead(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the oval with its upper half drawn up, to where the hair may begin."""
    oval = points[OVAL].copy()
    y = oval[:, 1]
    brow_points = points[LEFT_BROW + RIGHT_BROW]
    brows = brow_points[:, 1].mean()
    brows_to_top = max(1e-6, brows - y.min())
    # 0 at the brows and below, 1 at the top: the temples are drawn up less than the middle.
    above_brows = np.clip((brows - y) / brows_to_top, 0, 1)
    oval[:, 1] = y - FOREHEAD * np.ptp(y) * above_brows
    return oval


def _without_holes(skin: NDArray[np.bool_], face: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return ``skin`` with small gaps closed, which are nostrils and shadows and not hair."""
    gaps = (face & ~skin).astype(np.uint8)
    _, numbers, figures, _ = cv2.connectedComponentsWithStats(gaps, connectivity=4)
    areas = figures[:, cv2.CC_STAT_AREA]
    is_small = areas < LARGEST_HOLE * face.sum()
    is_small[0] = False  # what is no gap
    small_gaps = is_small[numbers]
    return np.asarray(skin | small_gaps, bool)


def _glasses(square: _Square, lightness: float) -> tuple[NDArray[np.bool_], bool]:
    """Return dark pixels of glasses, none where there are no glasses; whether they hide the eyes.

    Thin, light and rimless frames are not seen; neither are lenses through which skin shows.
    """
    is_dark = square.lab[..., 0] < DARK * lightness
    dark = is_dark & square.inside
    dark_area = dark & square.polygon(GLASSES_AREA)
    under = [square.polygon(LEFT_UNDER_EYE), square.polygon(RIGHT_UNDER_EYE)]
    cheeks = [square.polygon(LEFT_CHEEK_TOP), square.polygon(RIGHT_CHEEK_TOP)]
    eyes = [square.polygon(LEFT_EYE), square.polygon(RIGHT_EYE)]
    both_eyes = eyes[0] | eyes[1]
    if all(part.any() for part in under + cheeks + eyes):
        # The white of an eye shows in any eye that is seen, whatever the make-up around it.
        if _least_dark(dark, under + eyes) > LEAST_DARK_LENS:
            return dark_area | both_eyes, True
        has_rims = _least_dark(dark, cheeks) > LEAST_RIM
        if has_rims and _crosses_bridge(dark, square.polygon(BRIDGE)):
            return dark_area & ~both_eyes, False
    return np.zeros((SIDE, SIDE), bool), False


def _least_dark(dark: NDArray[np.bool_], parts: Sequence[NDArray[np.bool_]]) -> float:
    """Return the share of ``dark`` pixels in the part that has fewest: glasses have two sides."""
    return min(float(dark[part].mean()) for part in parts)


def _crosses_bridge(dark: NDArray[np.bool_], bridge: NDArray[np.bool_]) -> bool:
    """Return whether something dark goes across the bridge of the nose without a gap."""
    columns = np.nonzero(bridge.any(0))[0]
    # The middle half: at the sides the rims begin, and the corners of the eyes are dark.
    start = len(columns) // 4
    stop = max(1, 3 * len(columns) // 4)
    middle = columns[start:stop]
    if not middle.size:
        return False
    is_crossed = (dark & bridge)[:, middle].any(0)
    return bool(is_crossed.all())


def _lightness(square: _Square, known: NDArray[np.bool_]) -> float:
    """Return the median L* of ``known`` skin; 0 where nothing of it is in the photo."""
    lightness = square.lab[..., 0]
    skin = lightness[known & square.inside]
    return float(np.median(skin)) if skin.size else 0.0


class _Colors(NamedTuple):
    """What colors say of the square."""

    labels: NDArray[np.uint8]  # skin, hair, neck, glasses; background elsewhere
    hides_eyes: bool  # by sunglasses


def _color_regions(square: _Square) -> _Colors:
    """Return skin, hair, neck and glasses of the square."""
    known = np.zeros((SIDE, SIDE), bool)
    for numbers in (LEFT_CHEEK, RIGHT_CHEEK, NOSE):
        known |= square.polygon(numbers)
    lightness = _lightness(square, known)
    distance = _skin_distance(square, known & square.inside)
    forehead = _filled(_forehead(square.points), (SIDE, SIDE), 2)
    whole = square.polygon(OVAL) | forehead
    # Whatever color they have: lips and sockets may be made up, and nostrils are dark.
    for numbers in (OUTER_LIPS, LEFT_SOCKET, RIGHT_SOCKET, WHOLE_NOSE):
        known |= square.polygon(numbers)
    # Also where the photo has ended: cut there, a region would lose its last pixels.
    like_skin = _opened(distance < 1, 3)
    # A wall of skin's color behind the head is not connected to the face.
    connected = _connected(like_skin & whole | known, known)
    skin = _without_holes(connected, whole)
    labels = np.zeros((SIDE, SIDE), np.uint8)
    labels[_neck(square, like_skin & ~whole)] = Region.NECK
    # What is not skin within the face is hair: a fringe, a beard.
    labels[whole] = Region.HAIR
    labels[whole & skin] = Region.SKIN
    glasses, hides_eyes = _glasses(square, lightness)
    labels[glasses] = Region.GLASSES
    return _Colors(labels, hides_eyes)


def _neck(square: _Square, like_skin: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return what continues the face below the chin, between the corners of the jaw."""
    chin = square.points[CHIN]
    left, right = square.points[JAW_CORNERS]
    jaw_height = (left[1] + right[1]) / 2
    rows, columns = np.mgrid[:SIDE, :SIDE]
    between_corners = (columns > left[0]) & (columns < right[0])
    below_jaw = (rows > jaw_height) & between_corners
    from_chin = np.abs(columns - chin[0])
    # Where the neck has to begin: a shoulder of the same color does not touch it.
    under_chin = (rows < chin[1] + SIDE / 32) & (from_chin < SIDE / 12)
    return _connected(like_skin & below_jaw, below_jaw & under_chin)


def parse(photo: NDArray[np.uint8], face: Face) -> NDArray[np.uint8]:
    """Return the label map [height, width] of one face in an RGB photo [height, width, 3]."""
    shape = (photo.shape[0], photo.shape[1])
    square = _square(photo, face)
    colors = _color_regions(square)
    labels = _enlarged(colors.labels, square.alignment, shape)
    # Polygons are drawn finer than the photo where a face is small.
    fine = int(np.clip(np.ceil(FINE / max(face.width, 1)), 1, 8))

    def polygon(numbers: list[int]) -> NDArray[np.bool_]:
        return _filled(face.points[numbers], shape, fine)

    skin = labels == Region.SKIN
    glasses = labels == Region.GLASSES
    labels[polygon(LEFT_SOCKET) & skin] = Region.LEFT_SHADOW
    labels[polygon(RIGHT_SOCKET) & skin] = Region.RIGHT_SHADOW
    brows = polygon(LEFT_BROW) | polygon(RIGHT_BROW)
    labels[brows & ~glasses] = Region.BROWS
    if not colors.hides_eyes:
        labels[polygon(LEFT_EYE)] = Region.LEFT_EYE
        labels[polygon(RIGHT_EYE)] = Region.RIGHT_EYE
    # The mouth lies within the lips' outer edge, so it comes last.
    labels[polygon(OUTER_LIPS)] = Region.LIPS
    labels[polygon(INNER_LIPS)] = Region.MOUTH
    return labels


def _enlarged(
    square_labels: NDArray[np.uint8], alignment: Alignment, shape: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return the label map of ``shape`` that ``square_labels`` [SIDE, SIDE] becomes in the photo.

    Each region is enlarged by itself, smoothly, and cut at a half: edges have no steps.
    """
    labels = np.zeros(shape, np.uint8)
    rows, columns = alignment.window(shape)
    for region in (Region.NECK, Region.HAIR, Region.SKIN, Region.GLASSES):
        in_region = (square_labels == region).astype(np.float32)
        share = alignment.to_window(in_region, shape)
        labels[rows, columns][share >= 0.5] = region
    return labels
