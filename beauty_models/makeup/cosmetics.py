"""Lipstick, blush, eye shadow and foundation on a photo, at its own resolution.

A shade is put on in CIELAB: it sets what the skin's or the lips' middle tone becomes, and the photo
keeps its own light, shadow and texture around it. Nothing outside a region's mask is touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from beauty_models.makeup.compose import box_of
from beauty_models.makeup.regions import MADE_UP, Region
from beauty_models.makeup.shades import Shade

Photo = NDArray[np.uint8]  # [h, w, 3] sRGB
Plane = NDArray[np.float32]  # [h, w]
Lab = NDArray[np.float32]  # [h, w, 3] CIELAB, D65

Finish = Literal["matte", "satin", "gloss"]
PARTS = ("foundation", "blush", "eyeshadow", "lipstick")  # in the order in which they are put on

# Among MediaPipe's 468 points, left and right in the picture.
CHEEKS = (50, 280)
TEMPLES = (127, 356)

EYES = (Region.LEFT_EYE, Region.RIGHT_EYE)
SHADOWS = (Region.LEFT_SHADOW, Region.RIGHT_SHADOW)


class FinishLook(NamedTuple):
    """What a finish does to light on the lips."""

    contrast: float  # of light and shadow, 1 as in the photo
    highlights: float  # how much of the photo's own highlights stays
    specular: float  # highlights that are added where the light falls, L* at most
    coverage: float  # how much of the lips' own color is hidden


FINISHES: dict[Finish, FinishLook] = {
    "matte": FinishLook(contrast=0.88, highlights=0.3, specular=0, coverage=0.94),
    "satin": FinishLook(contrast=1.0, highlights=0.8, specular=0, coverage=0.86),
    "gloss": FinishLook(contrast=1.15, highlights=1.3, specular=24, coverage=0.78),
}

# Of a face's width, which is twice the distance of the eyes.
LIP_FEATHER = 0.005
EYE_FEATHER = 0.012
SKIN_FEATHER = 0.02  # of a foundation at the jaw and at the hair: by hand, too, it is blended out
FEATURE_FEATHER = 0.004  # at brows, eyes and lips, where a wide edge would be a pale rim
SKIN_PATCHES = 0.035  # a foundation evens what is larger than this and keeps what is finer
CHEEK_LENGTH = 0.24  # half axes of the blush
CHEEK_HEIGHT = 0.13
SHADOW_REACH = 0.19  # from the eye to where a shadow ends

LEAST_BLUR = 0.6  # pixels: less leaves the steps of a small label map

BLUSH_COVERAGE = 0.44
SHADOW_COVERAGE = 0.75
FOUNDATION_COVERAGE = 0.55
# A foundation of any shade is worn by any skin: this much lighter or darker it makes it, at most.
FOUNDATION_DARKER = 10.0  # L*
FOUNDATION_LIGHTER = 7.0
LARGEST_PATCH = 14.0  # L*, a*, b*: more is a mole, a nostril or a strand of hair, and stays
# Darker skin is also more colorful: without this a dark shade on fair skin looks like ash.
CHROMA_WITH_DEPTH = 0.2  # of a* and b*, for each L* that it gets darker
# Sheer pigment hardly lightens or darkens: pale pink on deep skin would be ash.
BLUSH_LIGHTNESS = 0.3
SHADOW_LIGHTNESS = 0.9
POWDER_LIGHTER = 16.0  # L*, at most; champagne at full lightness is a white ring on deep skin

WHITE_LIGHTNESS = 94.0  # L* of the brightest part of a face in a photo that is exposed well
DARKEST_EXPOSURE = 0.6
# A face whose eyes are nearer than this, in pixels, has no place for anything.
LEAST_EYE_DISTANCE = 2
EYES_TO_MOUTH = 1.1  # distances of the eyes
# L* of lips above their median from which light is a highlight, and where it is nothing else
HIGHLIGHT_BEGINS = 14.0
HIGHLIGHT_FULL = 40.0


@dataclass(frozen=True)
class Look:
    """What is put on a face."""

    lipstick: Shade | None = None
    blush: Shade | None = None
    eyeshadow: Shade | None = None
    foundation: Shade | None = None
    finish: Finish = "satin"
    strength: float = 0.8  # 0 changes nothing

    def __post_init__(self) -> None:
        """Refuse what cannot be put on.

        Raises:
            ValueError: the finish is unknown, or the strength is not from 0 to 1.
        """
        if self.finish not in FINISHES:
            raise ValueError(f"finish {self.finish!r}: one of {', '.join(FINISHES)}")
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength {self.strength}: from 0 to 1")

    @property
    def shades(self) -> dict[str, Shade]:
        """What is put on, in the order in which it is."""
        chosen = {part: getattr(self, part) for part in PARTS}
        return {part: shade for part, shade in chosen.items() if shade is not None}


class MadeUp(NamedTuple):
    """A photo with a look on it."""

    image: Photo
    # where it may differ from the photo, float32 [h, w]: 0 where it does not
    alpha: Plane
    parts: dict[str, Plane]  # the same for each cosmetic that was put on


class Geometry(NamedTuple):
    """Where a face is in the photo, by its label map."""

    width: float  # pixels, twice the distance of the eyes
    across: NDArray[np.float64]  # unit vector from the left eye to the right one
    down: NDArray[np.float64]
    eyes: NDArray[np.float64]  # [2, 2] centers x, y
    mouth: NDArray[np.float64]  # center x, y


def _center(label_map: NDArray[np.uint8], *regions: Region) -> NDArray[np.float64] | None:
    """Return the center x, y of the regions, None where they have no pixel."""
    chosen = np.isin(label_map, regions).astype(np.uint8)
    moments = cv2.moments(chosen, binaryImage=True)
    pixels = moments["m00"]
    if not pixels:
        return None
    sums = np.array([moments["m10"], moments["m01"]])  # of x and y
    return sums / pixels


def geometry(label_map: NDArray[np.uint8]) -> Geometry | None:
    """Return where the face of ``label_map`` is; None without lips or without skin.

    An eye that is not seen (sunglasses, hair) is taken from its shadow or from the skin's width.
    """
    eyes = _eye_centers(label_map)
    if eyes is None:
        return None
    left, right = eyes
    distance = float(np.linalg.norm(right - left))
    if distance < LEAST_EYE_DISTANCE:
        return None
    across = (right - left) / distance
    down = np.array([-across[1], across[0]])
    mouth = _center(label_map, Region.LIPS, Region.MOUTH)
    if mouth is None:
        between_eyes = (left + right) / 2
        mouth = between_eyes + down * distance * EYES_TO_MOUTH
    return Geometry(2 * distance, across, down, np.stack([left, right]), mouth)


def _eye_centers(
    label_map: NDArray[np.uint8],
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the centers x, y of both eyes; None without eyes, their shadows and skin."""
    left = _center(label_map, Region.LEFT_EYE)
    right = _center(label_map, Region.RIGHT_EYE)
    if left is None:
        left = _center(label_map, Region.LEFT_SHADOW)
    if right is None:
        right = _center(label_map, Region.RIGHT_SHADOW)
    if left is not None and right is not None:
        return left, right
    box = box_of(label_map == Region.SKIN)
    if box is None:
        return None
    rows, columns = box
    width = columns.stop - 1 - columns.start
    height = rows.stop - 1 - rows.start
    # Eyes lie at two fifths of the face's height, a quarter of its width from its sides.
    line = rows.start + 0.4 * height
    aside = 0.27 * width
    left = np.array([columns.start + aside, line])
    right = np.array([columns.stop - 1 - aside, line])
    return left, right


def smoothstep(values: NDArray[np.floating], low: float, high: float) -> Plane:
    """Return 0 below ``low``, 1 above ``high`` and a smooth rise between them."""
    t = np.clip((values - low) / (high - low), 0, 1).astype(np.float32)
    smooth: Plane = t * t * (3 - 2 * t)
    return smooth


def soft_mask(chosen: NDArray[np.bool_], sigma: float) -> Plane:
    """Return ``chosen`` with soft inner edges, 0 to 1, and 0 wherever it is False."""
    soft = np.zeros(chosen.shape, np.float32)
    box = box_of(chosen)
    if box is None:
        return soft
    sigma = max(sigma, LEAST_BLUR)
    # Far from the region nothing can be seen of it: lips are a tenth of a face.
    margin = int(4 * sigma) + 1
    top = max(box[0].start - margin, 0)
    first = max(box[1].start - margin, 0)
    rows = slice(top, box[0].stop + margin)
    columns = slice(first, box[1].stop + margin)
    plane = chosen[rows, columns].astype(np.float32)
    near = cv2.GaussianBlur(plane, (0, 0), sigma)
    # A straight edge has half of its neighbors inside: the mask begins at 0 there, and is smooth
    # where the pixels of a small label map made steps.
    soft[rows, columns] = np.clip(2 * near - 1, 0, 1) * plane
    return soft


def _as_lab(photo: NDArray[Any]) -> Lab:
    rgb = photo.astype(np.float32) / 255
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB), np.float32)


def _as_rgb(lab: Lab) -> NDArray[np.float32]:
    """Return Lab as sRGB of 0 to 255, float; what no screen can show is clipped."""
    rgb = np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.float32)
    return np.clip(np.nan_to_num(rgb), 0, 1) * np.float32(255)


def _cube_root(lightness: Any) -> Any:
    """Return the cube root of the luminance that L* stands for, of a number or a plane."""
    return (lightness + 16) / 116


def _relit(lightness: Plane, middle: float, wanted: float, contrast: float) -> Plane:
    """Return ``lightness`` with ``wanted`` in place of ``middle``, its shading kept as a ratio.

    A dark shade thus has small shadows and a light one large ones, as light does it.
    """
    ratio = np.maximum(_cube_root(lightness) / _cube_root(middle), 0.05)
    at_middle = 116 * _cube_root(wanted)
    relit: Plane = (at_middle * ratio**contrast - 16).astype(np.float32)
    return np.clip(relit, 0, 100)


def _mixed_color(a: Lab, b: NDArray[np.float32], share: float | Plane) -> Lab:
    """Return a* and b* [h, w, 2] between ``a`` and ``b`` without the grey between two hues.

    The hue is that of the mixture, the chroma is mixed as a number: red with a little blue is
    purple, not grey.
    """
    weight = np.asarray(share, np.float32)[..., None]
    mixed = a + weight * (b - a)
    chroma_a = np.linalg.norm(a, axis=-1, keepdims=True)
    chroma_b = np.linalg.norm(b, axis=-1, keepdims=True)
    chroma = chroma_a + weight * (chroma_b - chroma_a)
    length = np.linalg.norm(mixed, axis=-1, keepdims=True)
    colorful = mixed * chroma / np.maximum(length, 1e-3)
    # Of opposite hues the mixture is grey, and has no hue that could be kept.
    return np.where(length > 1, colorful, mixed)


def _exposure(lightness: Plane, face: NDArray[np.bool_]) -> float:
    """Return how bright white would be in the photo: 1, less in a dark one."""
    if not face.any():
        return 1.0
    # Not the maximum, which is a single glint.
    brightest = float(np.percentile(lightness[face], 99))
    exposure = brightest / WHITE_LIGHTNESS
    return float(np.clip(exposure, DARKEST_EXPOSURE, 1))


def _middle(lab: Lab, alpha: Plane) -> NDArray[np.float32]:
    """Return the median color under a mask, [3]."""
    core = alpha > 0.5 * float(alpha.max())
    middle: NDArray[np.float32] = np.median(lab[core], axis=0).astype(np.float32)
    return middle


def _specular(lightness: Plane, alpha: Plane, width: float) -> Plane:
    """Return where gloss would shine, 0 to 1: the brightest places of the lips' own shading."""
    core = alpha > 0.5
    if not core.any():
        return np.zeros_like(lightness)
    # Within the mask alone: the skin around the lips is lighter than they are.
    sigma = max(0.012 * width, LEAST_BLUR)
    weight = cv2.GaussianBlur(alpha, (0, 0), sigma)
    weighted = cv2.GaussianBlur(lightness * alpha, (0, 0), sigma)
    form = weighted / np.maximum(weight, 1e-3)
    low, high = np.percentile(form[core], [80, 99])
    shine = smoothstep(form, float(low), float(max(high, low + 1)))
    # The fine lines of the lips break the shine up.
    lines = lightness - form
    detail = np.clip(1 + lines / 12, 0.3, 1.6)
    # Not at the edge: a bright rim would draw the lips larger than they are.
    inside = smoothstep(alpha, 0.6, 1)
    return (shine * detail * inside).astype(np.float32)


def _lipstick(lab: Lab, alpha: Plane, look: Look, width: float, exposure: float) -> Lab:
    """Return lips with lipstick on them: the shade, the photo's shading, and the finish's shine."""
    assert look.lipstick is not None
    finish = FINISHES[look.finish]
    shade = look.lipstick.lab.astype(np.float32)
    middle = _middle(lab, alpha)
    lightness = lab[..., 0]
    # White light that the surface throws back has no color of the lips in it.
    begins = middle[0] + HIGHLIGHT_BEGINS
    diffuse = np.minimum(lightness, begins)
    highlight = lightness - diffuse
    # A shade is what white light shows of it; in a dark photo it is darker.
    shade_lightness = shade[0] * exposure
    wanted = middle[0] + finish.coverage * (shade_lightness - middle[0])
    relit = _relit(diffuse, float(middle[0]), float(wanted), finish.contrast)
    # In shadow a color has less chroma, as it has less light.
    relative_root = _cube_root(relit) / _cube_root(float(wanted))
    chroma_scale = np.clip(relative_root, 0.6, 1.15)
    pigment = shade[1:] * chroma_scale[..., None]
    tinted = _mixed_color(lab[..., 1:], pigment, finish.coverage)
    shine = finish.highlights * highlight
    if finish.specular:
        specular = _specular(lightness, alpha, width)
        shine = shine + finish.specular * specular
    white = smoothstep(shine, 0, HIGHLIGHT_FULL)[..., None]
    color = tinted * (1 - 0.7 * white)
    shining = np.clip(relit + shine, 0, 100)
    return np.dstack([shining, color]).astype(np.float32)


def _powder(
    lab: Lab, alpha: Plane, shade: NDArray[np.float32], coverage: float, lightness: float
) -> Lab:
    """Return skin with powder on it: the shade's hue, a part of its lightness, never less chroma.

    Args:
        lab: the skin.
        alpha: where the powder is.
        shade: its color, [3].
        coverage: how much of the skin's own color is hidden.
        lightness: how much of the way to the shade's L* it goes.
    """
    middle = _middle(lab, alpha)
    step = coverage * lightness * (shade[0] - middle[0])
    # Darker as far as it goes, lighter not: pale powder on deep skin is chalk.
    wanted = float(middle[0] + np.minimum(step, POWDER_LIGHTER))
    relit = _relit(lab[..., 0], float(middle[0]), wanted, 1)
    own = lab[..., 1:]
    tinted = _mixed_color(own, shade[1:], coverage)
    return np.dstack([relit, tinted]).astype(np.float32)


def _keep_chroma(lab: Lab, before: Lab, share: float) -> Lab:
    """Return ``lab`` with at least ``share`` of the chroma ``before``: skin never turns to ash."""
    chroma = np.linalg.norm(lab[..., 1:], axis=-1)
    chroma_before = np.linalg.norm(before[..., 1:], axis=-1)
    least = share * chroma_before
    scale = np.maximum(least / np.maximum(chroma, 1e-3), 1)
    # Bounded: the hue of what is nearly grey is noise.
    bounded = np.minimum(scale, 3)
    lab[..., 1:] *= bounded[..., None]
    return lab


def _foundation(lab: Lab, alpha: Plane, shade: NDArray[np.float32], width: float) -> Lab:
    """Return even skin, nearer to ``shade``: patches go, pores, hair and the face's form stay."""
    middle = _middle(lab, alpha)
    even = _evened(lab, alpha, middle, max(SKIN_PATCHES * width, 1))
    step = FOUNDATION_COVERAGE * (shade[0] - middle[0])
    bounded_step = np.clip(step, -FOUNDATION_DARKER, FOUNDATION_LIGHTER)
    wanted = float(middle[0] + bounded_step)
    relit = _relit(even[..., 0], float(middle[0]), wanted, 1)
    # The hue goes to that of the shade; the chroma is that of a skin of this lightness.
    tinted = _mixed_color(even[..., 1:], shade[1:], 0.75 * FOUNDATION_COVERAGE)
    darker = max(float(middle[0]) - wanted, 0)
    chroma = float(np.linalg.norm(middle[1:]))
    tinted *= 1 + CHROMA_WITH_DEPTH * darker / max(chroma, 8)
    covered = np.dstack([relit, tinted]).astype(np.float32)
    # Not less than the even skin has; the patches' own color would come back by the photo's.
    return _keep_chroma(covered, even, 1)


def _evened(lab: Lab, alpha: Plane, middle: NDArray[np.float32], sigma: float) -> Lab:
    """Return skin whose patches, smaller than about ``sigma`` pixels, are weaker than they were."""
    wide = _wide_color(lab, alpha, sigma)
    patches = np.clip(lab - wide, -LARGEST_PATCH, LARGEST_PATCH)
    # The color of patches goes, more than their lightness, which is also the face's form.
    even = lab.copy()
    even[..., 0] -= 0.25 * patches[..., 0]
    even[..., 1:] -= 0.5 * patches[..., 1:]
    # Red cheeks and a yellow forehead, too, come nearer to each other.
    even[..., 1:] -= 0.35 * (wide[..., 1:] - middle[1:])
    return even


def _wide_color(lab: Lab, alpha: Plane, sigma: float) -> Lab:
    """Return the color of the skin around each pixel, a mean over ``sigma`` pixels, [h, w, 3]."""
    height, width = lab.shape[:2]
    # A quarter of the size is enough for what is wide, and sixteen times as fast.
    step = max(1, int(sigma / 4))
    small_size = (max(1, width // step), max(1, height // step))
    # Weighted by the mask: hair and lips beside the skin have no part in its mean.
    weighted = lab * alpha[..., None]
    small_weight = cv2.resize(alpha, small_size, interpolation=cv2.INTER_AREA)
    small_lab = cv2.resize(weighted, small_size, interpolation=cv2.INTER_AREA)
    weight = cv2.GaussianBlur(small_weight, (0, 0), sigma / step)[..., None]
    blurred = cv2.GaussianBlur(small_lab, (0, 0), sigma / step)
    mean = blurred / np.maximum(weight, 1e-3)
    wide = cv2.resize(mean, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(wide, np.float32)


def _ellipse(
    shape: tuple[int, int],
    center: NDArray[np.float64],
    axis: NDArray[np.float64],
    half: tuple[float, float],
) -> Plane:
    """Return a soft ellipse, 1 in its middle and 0 at and outside its rim."""
    rows, columns = np.indices(shape, np.float32)
    x = columns - np.float32(center[0])
    y = rows - np.float32(center[1])
    along = (x * axis[0] + y * axis[1]) / half[0]
    beside = (y * axis[0] - x * axis[1]) / half[1]
    # Half of an ellipsoid's height would end in an edge; this power makes it smooth.
    inside = np.clip(1 - along**2 - beside**2, 0, 1)
    ellipse: Plane = (inside**1.5).astype(np.float32)
    return ellipse


def _cheeks(shape: tuple[int, int], face: Geometry, points: NDArray[np.float32] | None) -> Plane:
    """Return where blush goes, 0 to 1: from the apples of the cheeks up towards the temples."""
    alpha = np.zeros(shape, np.float32)
    for side, sign in ((0, -1.0), (1, 1.0)):
        outward = sign * face.across
        if points is not None:
            cheek = points[CHEEKS[side]].astype(np.float64)
            temple = points[TEMPLES[side]].astype(np.float64)
            to_temple = temple - cheek
            center = cheek + 0.12 * to_temple
            # In a turned face the far cheek is narrow.
            room = abs(float(to_temple @ outward))
        else:
            center = _cheek_below_eye(face, side, outward)
            room = 0.25 * face.width
        # Along the cheekbone, which rises towards the ear.
        rise = outward - 0.6 * face.down
        rise = rise / np.linalg.norm(rise)
        shortest = 0.12 * face.width
        length = float(np.clip(1.1 * room, shortest, CHEEK_LENGTH * face.width))
        height = CHEEK_HEIGHT * face.width
        cheek_alpha = _ellipse(shape, center, rise, (length, height))
        alpha = np.maximum(alpha, cheek_alpha)
    return alpha


def _cheek_below_eye(
    face: Geometry, side: int, outward: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return where a cheek is, x, y, of a face without landmarks."""
    eyes_to_mouth = float((face.mouth - face.eyes.mean(0)) @ face.down)
    aside = face.eyes[side] + 0.1 * face.width * outward
    center: NDArray[np.float64] = aside + 0.47 * eyes_to_mouth * face.down
    return center


def _eyeshadow(label_map: NDArray[np.uint8], face: Geometry) -> Plane:
    """Return where shadow goes, 0 to 1: full along the lashes, fading towards the brow."""
    alpha = np.zeros(label_map.shape, np.float32)
    for eye, shadow, center in zip(EYES, SHADOWS, face.eyes, strict=True):
        around = (label_map == shadow) | (label_map == eye)
        box = box_of(around)
        if box is None:
            continue
        rows, columns = box
        corner = np.array([columns.start, rows.start])
        labels = label_map[box]
        fading = _fading(labels == eye, center - corner, face)
        # Soft at the socket's outer edge only: along the lashes it is full.
        soft = soft_mask(around, EYE_FEATHER * face.width)[box]
        strength = soft * (labels == shadow) * fading
        alpha[box] = np.maximum(alpha[box], strength)
    return alpha


def _fading(eye: NDArray[np.bool_], center: NDArray[np.float64], face: Geometry) -> Plane:
    """Return how strong a shadow is around ``eye`` [h, w]: 1 at the lashes, 0 out of its reach.

    Without an eye in sight ``center`` x, y stands for it.
    """
    reach = SHADOW_REACH * face.width
    rows, columns = np.indices(eye.shape, np.float32)
    x = columns - np.float32(center[0])
    y = rows - np.float32(center[1])
    distance: Plane = np.asarray(np.hypot(x, y), np.float32)
    if eye.any():
        outside = (~eye).astype(np.uint8)
        distance = np.asarray(cv2.distanceTransform(outside, cv2.DIST_L2, 5), np.float32)
    fade = 1 - smoothstep(distance, 0.15 * reach, reach)
    # How far along the face's own downward direction, which a tilted head turns.
    down_x, down_y = face.down
    below = np.asarray(x * down_x + y * down_y, np.float32)
    # Under the eye it is a hint close to the lashes.
    near = 1 - smoothstep(distance, 0.05 * reach, 0.35 * reach)
    hint = np.float32(0.35) * near
    under = smoothstep(below, -0.01 * face.width, 0.035 * face.width)
    return fade * (1 - under) + hint * under


def _part_alpha(
    part: str,
    label_map: NDArray[np.uint8],
    face: Geometry,
    points: NDArray[np.float32] | None,
) -> Plane:
    """Return where ``part`` goes, 0 to 1, before the strength."""
    if part == "lipstick":
        return soft_mask(label_map == Region.LIPS, LIP_FEATHER * face.width)
    if part == "eyeshadow":
        return _eyeshadow(label_map, face)
    soft = _skin_alpha(label_map, face.width)
    if part == "blush":
        return soft * _cheeks(label_map.shape, face, points)
    return soft


# What lies within a face's skin, and has no skin beyond it.
FEATURES = (Region.BROWS, Region.LEFT_EYE, Region.RIGHT_EYE, Region.LIPS, Region.MOUTH)


def _skin_alpha(label_map: NDArray[np.uint8], width: float) -> Plane:
    """Return where skin is covered, 0 to 1: wide edges around the face, narrow ones in it."""
    # Lids and sockets are skin to a foundation: a mask that ends there would show.
    skin = np.isin(label_map, [*MADE_UP["skin"], *SHADOWS])
    with_features = skin | np.isin(label_map, FEATURES)
    around = soft_mask(with_features, SKIN_FEATHER * width)
    within = soft_mask(skin, FEATURE_FEATHER * width)
    narrower: Plane = np.minimum(around, within)
    return narrower


def _put_on(part: str, lab: Lab, alpha: Plane, look: Look, face: Geometry, exposure: float) -> Lab:
    """Return the color of skin or lips under ``part`` at full strength, [h, w, 3]."""
    shade = look.shades[part].lab.astype(np.float32)
    if part == "lipstick":
        return _lipstick(lab, alpha, look, face.width, exposure)
    if part == "foundation":
        return _foundation(lab, alpha, shade, face.width)
    if part == "eyeshadow":
        return _powder(lab, alpha, shade, SHADOW_COVERAGE, SHADOW_LIGHTNESS)
    powdered = _powder(lab, alpha, shade, BLUSH_COVERAGE, BLUSH_LIGHTNESS)
    return _keep_chroma(powdered, lab, 1)


def make_up(
    photo: Photo,
    label_map: NDArray[np.uint8],
    look: Look,
    points: NDArray[np.float32] | None = None,
) -> MadeUp:
    """Return ``photo`` [h, w, 3] with ``look`` on the face of ``label_map`` [h, w].

    Every pixel whose ``alpha`` is 0 has its former bytes.

    Args:
        photo: sRGB.
        label_map: numbers of `Region`, as large as the photo.
        look: what is put on.
        points: landmarks x, y [468, 2]; without them blush goes by the label map.
    """
    assert photo.shape[:2] == label_map.shape
    image = photo.copy()
    whole = np.zeros(label_map.shape, np.float32)
    parts: dict[str, Plane] = {}
    # Of a photo of 8,000 pixels only the face is computed with.
    box = box_of(label_map != Region.BACKGROUND)
    if box is None or not look.strength:
        return MadeUp(image, whole, parts)
    box = _widened(box)
    if points is not None:
        rows, columns = box
        corner = np.array([columns.start, rows.start], np.float32)
        points = points - corner
    near = _make_up_face(photo[box], label_map[box], look, points)
    image[box] = near.image
    whole[box] = near.alpha
    for part, alpha in near.parts.items():
        parts[part] = np.zeros(label_map.shape, np.float32)
        parts[part][box] = alpha
    return MadeUp(image, whole, parts)


def _widened(box: tuple[slice, slice]) -> tuple[slice, slice]:
    """Return ``box`` with what is beside a face: where it ends with the face, edges were hard."""
    rows, columns = box
    margin = 1 + (columns.stop - columns.start) // 10
    # Not beyond the photo's border, where skin does go on and a mask must not fade.
    taller = slice(max(rows.start - margin, 0), rows.stop + margin)
    wider = slice(max(columns.start - margin, 0), columns.stop + margin)
    return taller, wider


def _make_up_face(
    photo: Photo, label_map: NDArray[np.uint8], look: Look, points: NDArray[np.float32] | None
) -> MadeUp:
    """Return what `make_up` does, of a photo that shows the face and nothing else."""
    whole = np.zeros(label_map.shape, np.float32)
    parts: dict[str, Plane] = {}
    face = geometry(label_map)
    if face is None:
        return MadeUp(photo, whole, parts)
    # Rounded once, after the last part: each rounding would show as bands in soft edges.
    image = photo.astype(np.float32)
    lightness = _as_lab(photo)[..., 0]
    exposure = _exposure(lightness, label_map != Region.BACKGROUND)
    strength = np.float32(look.strength)
    for part in look.shades:
        alpha = _part_alpha(part, label_map, face, points) * strength
        box = box_of(alpha)
        if box is None:
            continue
        # On what is there already: blush lies on the foundation.
        before = image[box]
        lab = _as_lab(before)
        # The look is measured where it is full; the strength only says how much of it is seen.
        full = alpha[box] / strength
        changed = _as_rgb(_put_on(part, lab, full, look, face, exposure))
        image[box] += alpha[box][..., None] * (changed - before)
        parts[part] = alpha
        np.maximum(whole, alpha, out=whole)
    rounded = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return MadeUp(np.where(whole[..., None] > 0, rounded, photo), whole, parts)
