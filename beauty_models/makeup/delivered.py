"""Masks as they are delivered, whatever numbers they use, as label maps of `Region`."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from beauty_models.intake import account
from beauty_models.intake.images import DECODER_ERRORS, BadImageError
from beauty_models.intake.masks import open_mask
from beauty_models.makeup.regions import Region

LabelMap = Literal["auto"] | Mapping[int, str]
"""`ingest.label_map`: number in a mask → name of a region in lower case, or ``auto``."""

FORMATS = ("PNG", "BMP", "GIF", "TIFF", "WEBP")  # JPEG smears numbers into their neighbours
SAME_SHAPE = 0.01  # difference of two ratios of width to height that still are one
COARSE = 128  # pixels a side, from which a scheme is recognized
FARTHEST_LIPS = 2.2  # distances of the eyes below them; 1.15 in a face seen from the front
# Parts of the eyes' distance, where no landmarks say how far the socket goes.
SOCKET_SIDEWAYS = 0.10
SOCKET_BELOW = 0.07
SOCKET_ABOVE = 0.22  # where the mask has no brow above the eye

MT = "the MT dataset"


def _scheme(**numbers: list[int]) -> dict[int, Region]:
    """Return number → region of region → numbers; 0 is always the background."""
    scheme = {0: Region.BACKGROUND}
    for name, chosen in numbers.items():
        for number in chosen:
            scheme[number] = Region[name]
    return scheme


SCHEMES = {
    # What face-parsing networks trained on CelebAMask-HQ put out (zllrunning's BiSeNet).
    "CelebAMask-HQ as face-parsing networks number it": _scheme(
        BACKGROUND=[7, 8, 9, 15, 16, 18],  # ears, earring, necklace, cloth, hat
        SKIN=[1, 10],
        BROWS=[2, 3],
        LEFT_EYE=[4],
        RIGHT_EYE=[5],
        GLASSES=[6],
        MOUTH=[11],
        LIPS=[12, 13],
        NECK=[14],
        HAIR=[17],
    ),
    # The order of the dataset's own script, `g_mask.py` (Lee et al. 2020).
    "CelebAMask-HQ's own order": _scheme(
        BACKGROUND=[8, 9, 14, 15, 16, 18],
        SKIN=[1, 2],
        GLASSES=[3],
        LEFT_EYE=[4],
        RIGHT_EYE=[5],
        BROWS=[6, 7],
        MOUTH=[10],
        LIPS=[11, 12],
        HAIR=[13],
        NECK=[17],
    ),
    # The Makeup Transfer dataset of BeautyGAN (Li et al. 2018), as PSGAN's parser repeats it.
    MT: _scheme(
        BACKGROUND=[11, 12],
        SKIN=[1, 6],
        BROWS=[2, 3],
        LEFT_EYE=[4],
        RIGHT_EYE=[5],
        LIPS=[7, 9],
        MOUTH=[8],
        HAIR=[10],
        NECK=[13],
    ),
    "this project": {int(region): region for region in Region},
}


def _size_told(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]} pixels"


def read_mask(content: bytes, size: tuple[int, int], max_pixels: int) -> NDArray[np.uint8]:
    """Return the numbers of a mask file [height, width], at the photo's ``size`` (width, height).

    Grey, palette (the numbers are the palette's positions), 16 bits and RGB with three equal
    channels are read. A mask of another size is scaled when its shape is the photo's.

    Raises:
        BadImageError: it is no such file, or of another shape; the message says what it is.
    """
    image = open_mask(content, FORMATS, max_pixels)
    mask_shape = image.width / image.height
    photo_shape = size[0] / size[1]
    if abs(mask_shape / photo_shape - 1) > SAME_SHAPE:
        raise BadImageError(
            f"the mask has {_size_told(image.size)}, the photo {_size_told(size)}: "
            "it needs the same shape"
        )
    numbers = _numbers(image)
    if image.size != size:
        numbers = np.asarray(cv2.resize(numbers, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    return numbers


def mask_size(content: bytes) -> tuple[int, int] | None:
    """Return width and height that a mask file states; None where it is no picture."""
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS).size
    except DECODER_ERRORS:
        return None


def _numbers(image: Image.Image) -> NDArray[np.uint8]:
    """Return the numbers that the pixels of a mask stand for."""
    if image.mode in ("RGB", "RGBA", "LA"):
        channels = np.asarray(image.convert("RGB"), np.uint8)
        if (channels != channels[..., :1]).any():
            colors = len(np.unique(channels.reshape(-1, 3), axis=0))
            raise BadImageError(
                f"the mask is colored ({colors} colors); it needs one number a region, in grey or "
                "as a palette"
            )
        return np.ascontiguousarray(channels[..., 0])
    values = np.asarray(image)
    if values.max(initial=0) > 255 or values.min(initial=0) < 0:
        largest = np.unique(values)[-3:]
        found = ", ".join(f"{value:g}" for value in largest)
        raise BadImageError(f"the mask has numbers as large as {found}; regions have 0 to 255")
    return values.astype(np.uint8)


def numbers_of(mask: NDArray[np.uint8]) -> list[int]:
    """Return the numbers that a mask has, rising."""
    counts = np.bincount(mask.ravel(), minlength=256)
    return [int(number) for number in np.nonzero(counts)[0]]


def _coarse(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return every n-th pixel, about `COARSE` a side: where eyes and lips lie shows there too."""
    step = max(1, min(mask.shape) // COARSE)
    return mask[::step, ::step]


def _looked_up(mask: NDArray[np.uint8], scheme: Mapping[int, Region]) -> NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    for number, region in scheme.items():
        table[number] = int(region)
    return table[mask]


def _center(chosen: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    rows, columns = np.nonzero(chosen)
    return np.array([columns.mean(), rows.mean()]) if rows.size else None


def _box(chosen: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(chosen)
    left = int(columns.min())
    top = int(rows.min())
    right = int(columns.max())
    bottom = int(rows.max())
    return left, top, right, bottom


def _is_face(labels: NDArray[np.uint8]) -> bool:
    """Return whether the regions lie as those of a face do that stands upright."""
    skin = labels == Region.SKIN
    lips = labels == Region.LIPS
    eyes = np.isin(labels, (Region.LEFT_EYE, Region.RIGHT_EYE))
    eye_center = _center(eyes)
    lip_center = _center(lips)
    if eye_center is None or lip_center is None or not skin.any():
        return False
    skin_left, _, skin_right, skin_bottom = _box(skin)
    lip_left, lip_top, lip_right, lip_bottom = _box(lips)
    lips_in_skin = skin_left <= lip_center[0] <= skin_right and lip_bottom <= skin_bottom
    # In another numbering skin may be what is a small part here, such as a nose.
    a_quarter = 0.25 * skin.sum()
    small = lips.sum() < a_quarter and eyes.sum() < a_quarter
    eyes_above = eye_center[1] < lip_top
    if not (lips_in_skin and small and eyes_above):
        return False
    left, right = (_center(labels == eye) for eye in (Region.LEFT_EYE, Region.RIGHT_EYE))
    # what is farther below is a neck that another scheme calls lips
    if left is not None and right is not None:
        below = lip_center[1] - eye_center[1]
        if below > FARTHEST_LIPS * np.hypot(*(right - left)):
            return False
    brows, mouth = _center(labels == Region.BROWS), _center(labels == Region.MOUTH)
    if brows is not None and brows[1] >= eye_center[1]:
        return False
    if mouth is not None and not lip_left <= mouth[0] <= lip_right:
        return False
    if mouth is not None and not lip_top <= mouth[1] <= lip_bottom:
        return False
    neck = _center(labels == Region.NECK)
    if neck is not None and neck[1] <= lip_center[1]:
        return False
    hair = labels == Region.HAIR
    # beards are hair as well, but what has hair has some above the eyes
    return not hair.any() or _box(hair)[1] < eye_center[1]


def recognized(masks: Iterable[NDArray[np.uint8]], likely: str = "") -> dict[int, Region]:
    """Return the one of `SCHEMES` whose numbers make faces of ``masks``.

    Numbers alone do not tell: two schemes have 0 to 18. In the right one eyes lie above lips, brows
    above eyes, hair on top. Where several fit, and ``likely`` is one of them, it is that.

    Raises:
        ValueError: none does for at least half of the masks, or more than one; the message says
            which numbers were found and how to say what they mean.
    """
    fits = dict.fromkeys(SCHEMES, 0)
    found: set[int] = set()
    count = 0
    for mask in masks:
        count += 1
        numbers = set(numbers_of(mask))
        found |= numbers
        small = _coarse(mask)
        for name, scheme in SCHEMES.items():
            fits[name] += numbers <= scheme.keys() and _is_face(_looked_up(small, scheme))
    fitting = [name for name, number in fits.items() if number and 2 * number >= count]
    # A few masks may fit two schemes: one that fits twice as many as any other is the one.
    fitting = [name for name in fitting if 2 * fits[name] > max(fits.values())]
    if likely in fitting:
        fitting = [likely]
    if len(fitting) == 1:
        name = fitting[0]
        if account.is_open():
            evidence = f"{fits[name]:,} of {count:,} masks are faces by them"
            sure = account.sureness(fits[name], count - fits[name])
            account.guess("mask numbers", name, sure=sure, evidence=evidence)
        return SCHEMES[name]
    numbers_told = ", ".join(map(str, sorted(found)))
    reason = f"they could be those of {' or '.join(fitting)}" if fitting else _expected()
    raise ValueError(
        f"the masks have the numbers {numbers_told}: {reason}; say in ingest.label_map what each "
        f"number is ({{1: skin, …}}), one of {', '.join(region.name.lower() for region in Region)}"
    )


def _expected() -> str:
    told = [f"{name} (0 to {max(scheme)})" for name, scheme in SCHEMES.items()]
    return f"no face comes of them by the numbers of {', '.join(told)}"


def named(label_map: Mapping[int, str]) -> dict[int, Region]:
    """Return ``ingest.label_map`` with regions in place of their names.

    Raises:
        ValueError: it names a region that does not exist.
    """
    names = {region.name.lower(): region for region in Region}
    unknown = sorted(set(label_map.values()) - set(names))
    if unknown:
        raise ValueError(
            f"ingest.label_map: {', '.join(unknown)} is none of the regions {', '.join(names)}"
        )
    return {number: names[name] for number, name in label_map.items()}


def _by_side(labels: NDArray[np.uint8]) -> None:
    """Call the eye on the picture's left the left one.

    Datasets disagree whether left is the picture's or the person's, and a flipped photo changes it.
    """
    first, second = labels == Region.LEFT_EYE, labels == Region.RIGHT_EYE
    left, right = _center(first), _center(second)
    if left is not None and right is not None:
        swap = left[0] > right[0]
    else:
        seen = left if left is not None else right
        face = _center(np.isin(labels, (Region.LIPS, Region.MOUTH)))
        if seen is None or face is None:
            return
        swap = (seen[0] < face[0]) != (left is not None)
    if swap:
        labels[first] = Region.RIGHT_EYE
        labels[second] = Region.LEFT_EYE


def from_delivered(mask: NDArray[np.uint8], label_map: LabelMap = "auto") -> NDArray[np.uint8]:
    """Return the label map of a delivered mask [height, width].

    Regions for eye shadow, which most masks lack, are added from eyes and brows.

    Raises:
        ValueError: the mask has numbers that ``label_map`` lacks, or ``auto`` cannot tell what they
            are; the message says which are expected and which were found.
    """
    scheme = recognized([mask]) if label_map == "auto" else named(label_map)
    return labelled(mask, scheme)


def labelled(mask: NDArray[np.uint8], scheme: Mapping[int, Region]) -> NDArray[np.uint8]:
    """Return the label map of a delivered mask by a scheme that `recognized` or `named` gave.

    Raises:
        ValueError: the mask has numbers that ``scheme`` lacks.
    """
    unknown = [number for number in numbers_of(mask) if number not in scheme and number != 0]
    if unknown:
        raise ValueError(
            f"the mask has the numbers {', '.join(map(str, unknown))}, which mean nothing; "
            f"expected are {', '.join(map(str, sorted(scheme)))} (ingest.label_map)"
        )
    labels = _looked_up(mask, scheme)
    _by_side(labels)
    if not np.isin(labels, (Region.LEFT_SHADOW, Region.RIGHT_SHADOW)).any():
        _add_sockets(labels)
    return labels


def _add_sockets(labels: NDArray[np.uint8]) -> None:
    """Mark the skin from the brow to a strip below the eye, for both eyes."""
    eyes = {
        Region.LEFT_SHADOW: labels == Region.LEFT_EYE,
        Region.RIGHT_SHADOW: labels == Region.RIGHT_EYE,
    }
    centers = [_center(eye) for eye in eyes.values()]
    if centers[0] is None or centers[1] is None:
        return
    distance = float(np.hypot(*(centers[1] - centers[0])))
    brows = labels == Region.BROWS
    rows, columns = np.mgrid[: labels.shape[0], : labels.shape[1]]
    for shadow, eye in eyes.items():
        x0, y0, x1, y1 = _box(eye)
        aside = SOCKET_SIDEWAYS * distance
        top = y0 - SOCKET_ABOVE * distance
        over = brows & (columns >= x0) & (columns <= x1) & (rows < (y0 + y1) / 2)
        if over.any():
            top = max(top, float(np.median(np.nonzero(over)[0])))
        bottom = y1 + SOCKET_BELOW * distance
        # An ellipse through these four sides: sockets have no corners.
        half_width = (x1 - x0) / 2 + aside
        half_height = max(1.0, (bottom - top) / 2)
        across = (columns - (x0 + x1) / 2) / half_width
        upright = (rows - (top + bottom) / 2) / half_height
        inside = across**2 + upright**2 <= 1
        labels[inside & (labels == Region.SKIN)] = shadow
