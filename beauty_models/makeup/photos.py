"""A made-up photo's file: with the note that a model put make-up on, or drew the face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from beauty_models.serving import photos
from beauty_models.serving.photos import (
    GENERATED_TYPE,
    MAX_PIXELS,
    SOURCE_TYPE,
    Format,
    Photo,
    Pixels,
    open_photo,
    source_type_of,
)

__all__ = [
    "GENERATED_TYPE",
    "MAX_PIXELS",
    "SOURCE_TYPE",
    "Format",
    "Photo",
    "encode",
    "encode_png",
    "open_photo",
    "source_type_of",
]


def _mark(source_type: str) -> photos.Mark:
    return photos.Mark("beauty-models makeup", "Make-up was put on by a model.", source_type)


def encode_png(
    pixels: NDArray[np.uint8], profile: bytes | None = None, source_type: str = SOURCE_TYPE
) -> bytes:
    """Return pixels [h, w, 3 or 4] as PNG with the note that a model made or changed them."""
    return photos.encode_png(pixels, _mark(source_type), profile)


def encode(photo: Photo, edited: Pixels, kind: Format) -> tuple[bytes, str]:
    """Return ``edited`` as a file's bytes and its suffix, as `photos.encode` does."""
    return photos.encode(photo, edited, kind, _mark(SOURCE_TYPE))
