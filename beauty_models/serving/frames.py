"""What serving needs of a data frame that others send: texts and pictures, a cell at a time, nothing trusted."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

import pandas as pd
from PIL import Image

from beauty_models.intake import images

LARGEST, SMALLEST = 100_000_000, 16  # pixels of a picture, and of its shorter side
DATA_ADDRESS = "data:"  # begins a picture that is sent along, base64 (RFC 2397), in place of a path


def cells(frame: pd.DataFrame, column: str) -> list[str]:
    """Return the column's cells as they are; "" for an empty one, and for all when there is no such column."""
    if column not in frame.columns:
        return [""] * len(frame)
    return ["" if pd.isna(cell) else str(cell) for cell in frame[column]]


def picture(cell: str) -> Image.Image:
    """Return the picture, upright and RGB, that ``cell`` names: a path, or an address that begins with ``data:``.

    Raises:
        ValueError: it cannot be read, is too large or too small, or is no picture.
    """
    try:
        return images.open_image(_content(cell), LARGEST, SMALLEST)
    except images.BadImageError as error:
        raise ValueError(f"{_shown(cell)}: {error}") from None


def _content(cell: str) -> bytes:
    if cell.startswith(DATA_ADDRESS):
        try:
            content = base64.b64decode(cell.partition(",")[2], validate=True)
        except binascii.Error as error:
            raise ValueError(f"{_shown(cell)}: not base64: {error}") from None
        if len(content) > images.LARGEST_FILE:
            raise ValueError(f"{_shown(cell)}: more than {images.LARGEST_FILE:,} bytes")
        return content
    path = Path(cell)
    try:
        if path.stat().st_size > images.LARGEST_FILE:
            raise ValueError(f"{path}: more than {images.LARGEST_FILE:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None


def _shown(cell: str) -> str:
    return f"{cell[:40]}…" if cell.startswith(DATA_ADDRESS) and len(cell) > 40 else cell
