"""One photo's file → the square that is kept of it with its mask, or why it is not.

What a process of `parallel` runs; it imports no torch, which would be 470 MB and five seconds more
for each.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from beauty_models.editing import Photos, cutout, masks
from beauty_models.editing.listing import PhotoFile
from beauty_models.intake import images
from beauty_models.intake.images import BadImageError, ImageSizeError, PerceptualHash

TRANSPARENT = 0.01  # share of a photo from which its transparency is a mask


class Square(NamedTuple):
    """What is kept of a photo."""

    key: str
    jpeg: bytes
    mask: bytes  # PNG of the product's alpha, black where it is not known
    mask_from: str  # of `dataset.MASKS_FROM`
    hash: PerceptualHash  # of the whole photo
    remarks: tuple[str, ...]  # what was decided


def square_or_reason(rules: Photos, photo: PhotoFile) -> Square | str:
    """Return the square of a photo as ``rules`` want it, or what is wrong with it."""
    try:
        content = images.read_file(photo.path)
        image = images.open_image(content, rules.max_pixels, rules.min_side)
        mask, mask_from, remarks = _mask_of(photo, content, image, rules)
    except ImageSizeError as error:
        return f"{error} (ingest.photos.{error.limit})"
    except BadImageError as error:
        return str(error)
    box = _box(mask)
    kept = _resized(image.crop(box), rules.side)
    jpeg = images.encode(kept)
    stream = io.BytesIO()
    _resized(Image.fromarray(mask).crop(box), rules.side).save(stream, "PNG")
    seen = images.perceptual_hash(image)
    key = images.content_key(jpeg)
    return Square(key, jpeg, stream.getvalue(), mask_from, seen, tuple(remarks))


def _resized(image: Image.Image, side: int) -> Image.Image:
    return image.resize((side, side), Image.Resampling.LANCZOS)


def _mask_of(
    photo: PhotoFile, content: bytes, image: Image.Image, rules: Photos
) -> tuple[NDArray[np.uint8], str, list[str]]:
    """Return a photo's mask at its size, where it comes from, and what was decided.

    Raises:
        BadImageError: a delivered mask cannot be used.
    """
    if photo.mask is not None:
        given, notes = masks.read(images.read_file(photo.mask), image.size, rules.max_pixels)
        if masks.looks_inverted(given):
            raise BadImageError(
                f"its mask {photo.mask.name} seems to be inverted: white has to be the product"
            )
        return given, "given", notes
    alpha = transparency(content)
    if alpha is not None:
        return alpha, "given", ["its transparency is the mask"]
    found = cutout.cutout(np.asarray(image))
    if found.sure < cutout.SURE:
        return np.zeros_like(found.alpha), "none", ["no mask: the ground is too busy to find one"]
    return found.alpha, "found", []


def transparency(content: bytes) -> NDArray[np.uint8] | None:
    """Return the alpha of a picture file that opens, upright; None where it has none of note."""
    image = Image.open(io.BytesIO(content), formats=images.FORMATS)
    if not image.has_transparency_data:
        return None
    alpha = np.asarray(images.upright(image).convert("RGBA").getchannel("A"), np.uint8)
    # Wholly transparent says nothing either: the file is broken or was exported empty.
    share = float((alpha < masks.HALF).mean())
    return alpha if TRANSPARENT < share < 1 else None


def _box(mask: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Return the largest square of a photo, as near to the middle of its product as it can be."""
    height, width = mask.shape
    side = min(height, width)
    rows, columns = np.nonzero(mask >= masks.HALF)
    if not rows.size:
        rows, columns = np.array([height // 2]), np.array([width // 2])
    top = _start(int(rows.min() + rows.max()) // 2, side, height)
    left = _start(int(columns.min() + columns.max()) // 2, side, width)
    return left, top, left + side, top + side


def _start(middle: int, side: int, length: int) -> int:
    return min(max(0, middle - side // 2), length - side)


def file_of(photo: PhotoFile) -> Path:
    """Return the file that a photo is read from."""
    return photo.path
