"""Pictures as they are delivered, hostile until proven otherwise: find them, open them safely, know them again."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "BMP",
    "GIF",
    "TIFF",
)  # the decoders that are tried; all others of Pillow stay shut
LARGEST_FILE = 100_000_000  # bytes; a larger file is not read at all
LONGEST_SIDE = 65_500  # pixels, of a JPEG (libjpeg's JPEG_MAX_DIMENSION)
THUMBNAIL = 8  # pixels a side of the colour thumbnail
BITS = 64  # of the perceptual hash


class BadImageError(ValueError):
    """A picture that cannot be used; the message is the reason, in words for rejected.parquet."""


class ImageSizeError(BadImageError):
    """A picture of too many pixels, or of too few; ``limit`` is the argument of `open_image` that says so."""

    def __init__(self, message: str, limit: str) -> None:
        super().__init__(message)
        self.limit = limit


class Look(NamedTuple):
    """What makes two pictures look alike: the hash of their grey structure and their colours, coarsely."""

    structure: int  # 64 bits
    colours: NDArray[np.int16]  # [8, 8, 3], 0 to 255


def _upright(image: Image.Image) -> Image.Image:
    """Return ``image`` turned as its EXIF says, in RGB; what is transparent lies on white."""
    image = ImageOps.exif_transpose(image)
    if image.mode in (
        "I",
        "I;16",
        "I;16B",
        "I;16L",
        "F",
    ):  # 16 bits a pixel and more: Pillow would clip, not scale
        values = np.asarray(image, dtype=np.float64)
        top = (
            65535.0
            if image.mode.startswith("I") and values.max() > 255
            else max(float(values.max()), 1.0)
        )
        return Image.fromarray(np.clip(values / top * 255, 0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def open_image(content: bytes, max_pixels: int, min_side: int) -> Image.Image:
    """Return the picture in ``content`` as upright RGB: the first frame of an animation, CMYK and 16 bits converted.

    The size is read from the header before anything is decoded, so a "bomb" of 30,000 × 30,000 pixels costs nothing.

    Raises:
        BadImageError: it is no picture, broken or cut off.
        ImageSizeError: it is larger than ``max_pixels`` or has a side below ``min_side``.
    """
    if not content:
        raise BadImageError("the picture is an empty file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own words on large pictures and odd metadata
            image = Image.open(io.BytesIO(content), formats=FORMATS)
            width, height = image.size
            if width * height > max_pixels:
                raise ImageSizeError(
                    f"the picture has {width} × {height} pixels, more than {max_pixels:,} are not read",
                    "max_pixels",
                )
            if min(width, height) < min_side:
                raise ImageSizeError(
                    f"the picture has {width} × {height} pixels, its shorter side needs {min_side}",
                    "min_side",
                )
            image.load()
            return _upright(image)
    except BadImageError:
        raise
    except UnidentifiedImageError:
        raise BadImageError(f"not a picture in {', '.join(FORMATS)}") from None
    except Image.DecompressionBombError:
        raise ImageSizeError(
            f"the picture has more than {max_pixels:,} pixels and is not read", "max_pixels"
        ) from None
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        OverflowError,
        MemoryError,
        IndexError,
        KeyError,
        TypeError,
    ) as error:
        raise BadImageError(
            f"the picture is broken or cut off: {str(error)[:100]}"
        ) from None  # decoders fail in all these ways


def shrink(image: Image.Image, side: int) -> Image.Image:
    """Return ``image`` with its shorter side at most ``side`` pixels; it is never enlarged."""
    scale = side / min(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(length * scale)) for length in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def encode(image: Image.Image, quality: int = 90) -> bytes:
    """Return an RGB picture as JPEG without any metadata; the same pixels give the same bytes.

    Raises:
        BadImageError: JPEG cannot hold it.
    """
    width, height = image.size
    if max(width, height) > LONGEST_SIDE:
        raise BadImageError(
            f"the picture has {width} × {height} pixels as it is kept, JPEG allows {LONGEST_SIDE:,} a side"
        )
    stream = io.BytesIO()
    try:
        image.save(stream, "JPEG", quality=quality, subsampling=0)
    except (OSError, ValueError, MemoryError) as error:
        raise BadImageError(f"the picture cannot be kept as JPEG: {str(error)[:100]}") from None
    return stream.getvalue()


def name(encoded: bytes) -> str:
    """Return the key of an encoded picture: 32 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(encoded).hexdigest()[:32]


def look(image: Image.Image) -> Look:
    """Return how an RGB picture looks: pHash of its grey values (Zauner 2010) and an 8 × 8 thumbnail of its colours."""
    bits = imagehash.phash(image).hash.flatten()
    thumbnail = image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return Look(
        int("".join("1" if bit else "0" for bit in bits), 2), np.asarray(thumbnail, np.int16)
    )


def repeats(looks: Sequence[Look], distance: int, colour: float) -> list[int]:
    """Return for each picture the index of the earlier one that it repeats, or -1.

    Two pictures repeat each other when at most ``distance`` of the 64 bits of their structure differ and their colours
    differ by at most ``colour`` (mean absolute difference, 0 to 255): a recolour of a photo is another picture, a copy in
    another size or quality is not. A kept picture repeats no other kept one. The bits are cut into ``distance`` + 1 pieces:
    of two that close one piece is equal, so only pictures that share a piece are compared (Manku et al. 2007).
    """
    pieces = min(distance + 1, BITS)
    edges = [BITS * i // pieces for i in range(pieces + 1)]
    shared: dict[tuple[int, int], list[int]] = defaultdict(list)
    found = []
    for index, one in enumerate(looks):
        keys = [
            (low, one.structure >> low & ((1 << (high - low)) - 1))
            for low, high in zip(edges, edges[1:], strict=False)
        ]
        met = sorted(set().union(*(shared.get(key, ()) for key in keys)))
        match = next((i for i in met if _alike(looks[i], one, distance, colour)), -1)
        found.append(match)
        if match < 0:
            for key in keys:
                shared[key].append(index)
    return found


def _alike(one: Look, other: Look, distance: int, colour: float) -> bool:
    if (one.structure ^ other.structure).bit_count() > distance:
        return False
    return float(np.abs(one.colours - other.colours).mean()) <= colour


class Files:
    """The picture files below a raw folder; nothing outside it is ever opened."""

    def __init__(self, raw: Path) -> None:
        self.raw = raw.resolve()

    @cached_property
    def _by_suffix(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = defaultdict(list)
        for path in self.all():
            parts = path.relative_to(self.raw).as_posix().casefold().split("/")
            for start in range(len(parts)):
                found["/".join(parts[start:])].append(path)
        return found

    def all(self) -> list[Path]:
        """Return every visible picture file, sorted."""
        visible = (
            p
            for p in self.raw.rglob("*")
            if not any(part.startswith(".") for part in p.relative_to(self.raw).parts)
        )
        return sorted(
            p
            for p in visible
            if p.suffix.lower() in SUFFIXES and p.is_file() and p.resolve().is_relative_to(self.raw)
        )

    def find(self, reference: str) -> Path | None:
        """Return the file that a table's cell names: by its path below the folder, else by the end of its path when only one fits.

        ``/w/h/x.jpg``, ``w\\h\\x.jpg`` and ``https://shop/media/w/h/x.jpg?v=2`` all find ``images/w/h/x.jpg``; nothing is downloaded.
        """
        parts = [
            part
            for part in reference.split("?")[0].replace("\\", "/").casefold().split("/")
            if part not in ("", ".", "..")
        ]
        for start in range(len(parts)):
            if found := self._by_suffix.get("/".join(parts[start:]), []):
                exact = [
                    p
                    for p in found
                    if p.relative_to(self.raw).as_posix().casefold() == "/".join(parts[start:])
                ]
                return exact[0] if exact else found[0] if len(found) == 1 else None
        return None

    def read(self, path: Path) -> bytes:
        """Return the content of a file that `all` or `find` gave.

        Raises:
            BadImageError: it is larger than `LARGEST_FILE`.
        """
        if (size := path.stat().st_size) > LARGEST_FILE:
            raise BadImageError(
                f"the file has {size:,} bytes, a picture has {LARGEST_FILE:,} at most"
            )
        return path.read_bytes()
