"""A part of a picture: a box, and the name under which the part goes through ingest.

A photo of a public set shows several garments, each an example of its own. Its part is named as W3C
Media Fragments name it: ``photo.jpg#xywh=12,40,188,270`` is 188 × 270 pixels from (12, 40) on.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from PIL import Image

_FRAGMENT = re.compile(r"(.+)#xywh=(-?\d+),(-?\d+),(\d+),(\d+)")


class Box(NamedTuple):
    """Pixels from (left, top) on; the column ``right`` and the row ``bottom`` are outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def is_empty(self) -> bool:
        """Whether there is no pixel in it."""
        return self.right <= self.left or self.bottom <= self.top

    def within(self, width: int, height: int) -> Box:
        """Return what of the box is inside of a picture."""
        left, right = (min(max(0, x), width) for x in (self.left, self.right))
        top, bottom = (min(max(0, y), height) for y in (self.top, self.bottom))
        return Box(left, top, right, bottom)


def named(place: str, box: Box | None) -> str:
    """Return the name of the part ``box`` of the picture at ``place``; None is all of it."""
    if box is None:
        return place
    width = box.right - box.left
    height = box.bottom - box.top
    return f"{place}#xywh={box.left},{box.top},{width},{height}"


def parsed(path: Path) -> tuple[Path, Box | None]:
    """Return the file of a picture or of a part that `named` named, and the part's box."""
    match = _FRAGMENT.fullmatch(path.name)
    # A file may really be called so.
    if match is None or path.exists():
        return path, None
    left, top, width, height = map(int, match.groups()[1:])
    return path.with_name(match[1]), Box(left, top, left + width, top + height)


def cut(image: Image.Image, box: Box) -> Image.Image | None:
    """Return the part of ``image`` in ``box``, as far as it lies in it; None where none does."""
    inside = box.within(*image.size)
    return None if inside.is_empty else image.crop(inside)
