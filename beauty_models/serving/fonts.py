"""The font of the pictures that are drawn: the one that comes with matplotlib."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from PIL import ImageFont


def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans of ``size`` pixels; it has no Chinese, Japanese and Korean characters."""
    name = f"DejaVuSans{'-Bold' if bold else ''}.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)
