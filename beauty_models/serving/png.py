"""Drawn pictures as PNG files that are small enough to be shown."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from PIL import Image

Size = TypeVar("Size", int, float)  # of a side in pixels, or a share
LIMIT = 300_000  # bytes; larger pictures are not shown in the Prefect UI


def encode(picture: Image.Image, colors: int) -> bytes:
    """Return ``picture`` as PNG with a palette of ``colors``."""
    stream = io.BytesIO()
    # Dithering would hide the palette, and make noise that PNG compresses badly.
    palette = picture.quantize(colors, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    palette.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def save(
    file: Path, draw: Callable[[Size], Image.Image], sizes: Sequence[Size], colors: int
) -> None:
    """Write to ``file`` what ``draw`` makes of the first of ``sizes`` with at most `LIMIT` bytes.

    Where even the last is larger, it is written all the same.
    """
    for size in sizes:
        content = encode(draw(size), colors)
        if len(content) <= LIMIT:
            break
    file.write_bytes(content)
