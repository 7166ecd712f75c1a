"""Drawn products that tests of editing share."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from beauty_models.editing import drawing
from beauty_models.editing.drawing import Drawn


def drawn(kind: str, ground: str = "white", size: int = 128, number: int = 1) -> Drawn:
    """Return a photo of a product of ``kind``, with its exact mask."""
    random = np.random.default_rng(number)
    parts = drawing.KINDS[kind](random)
    return drawing.draw(parts, number, ground, size, random)


def encoded(pixels: Any, kind: str = "PNG", **options: Any) -> bytes:
    """Return pixels as a file's bytes."""
    stream = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(stream, kind, **options)
    return stream.getvalue()
