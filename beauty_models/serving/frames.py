"""What serving needs of a data frame that others send: texts and pictures, nothing trusted."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

import pandas as pd
from PIL import Image

from beauty_models.intake import images
from beauty_models.intake.tables import NOTHING

MAX_PIXELS = 100_000_000  # of a picture
MIN_SIDE = 16  # pixels
DATA_ADDRESS = "data:"  # begins a picture that is sent along, base64 (RFC 2397), not by its path
SHOWN_ADDRESS = 40  # characters, in messages


def cells(frame: pd.DataFrame, column: str) -> list[str]:
    """Return the column's cells as they are.

    "" stands for an empty one, for what programs write there (`NOTHING`: training, too, read NaN as
    no text), and for all when there is no such column.
    """
    if column not in frame.columns:
        return [""] * len(frame)
    texts = ["" if pd.isna(cell) else str(cell) for cell in frame[column]]
    return ["" if text.strip() in NOTHING else text for text in texts]


def picture(cell: str) -> Image.Image:
    """Return the picture, upright and RGB, that ``cell`` names: a path, or a ``data:`` address.

    Raises:
        ValueError: it cannot be read, is too large or too small, or is no picture.
    """
    try:
        return images.open_image(content(cell), MAX_PIXELS, MIN_SIDE)
    except images.BadImageError as error:
        raise ValueError(f"{shown(cell)}: {error}") from None


def content(cell: str) -> bytes:
    """Return the bytes of the picture that ``cell`` names, a path or a ``data:`` address.

    Raises:
        ValueError: they cannot be read, or are too many.
    """
    if cell.startswith(DATA_ADDRESS):
        return _sent_along(cell)
    path = Path(cell)
    try:
        # Before it is read: whoever asks may name any file, of any size.
        if path.stat().st_size > images.LARGEST_FILE:
            raise ValueError(f"{path}: more than {images.LARGEST_FILE:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None


def _sent_along(cell: str) -> bytes:
    """Return the file that stands in the ``data:`` address ``cell``, behind its comma."""
    try:
        decoded = base64.b64decode(cell.partition(",")[2], validate=True)
    except binascii.Error as error:
        raise ValueError(f"{shown(cell)}: not base64: {error}") from None
    if len(decoded) > images.LARGEST_FILE:
        raise ValueError(f"{shown(cell)}: more than {images.LARGEST_FILE:,} bytes")
    return decoded


def shown(cell: str) -> str:
    """Return ``cell`` for a message: of a picture that was sent along, the beginning."""
    if cell.startswith(DATA_ADDRESS) and len(cell) > SHOWN_ADDRESS:
        return f"{cell[:SHOWN_ADDRESS]}…"
    return cell
