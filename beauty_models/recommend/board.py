"""A retrieval board: what was asked at the left, what was found to its right. As a picture, for reports and for predict.

The one font that is sure to be there is DejaVu, which comes with matplotlib and has no Chinese, Japanese or Korean: such a text
is drawn as its number and language, and written out on the page that shows the same board.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

from PIL import Image, ImageDraw, ImageFont, ImageOps

from beauty_models.serving import png
from beauty_models.serving.fonts import font

SIDES = (112, 96, 80, 64, 48)  # pixels of a photo; the largest that keeps the file below the limit
ASKED, GAP, UNDER = (
    240,
    10,
    18,
)  # pixels: the column of what is asked, the space between photos, the line below a photo
INK, SOFT, LINE, GOOD = "#1d2330", "#667085", "#e4e7ec", "#1f9e89"
COLOURS = 160  # of the palette


@dataclass(frozen=True)
class Hit:
    """A photo that was found; ``right`` is None where nobody knows."""

    photo: Image.Image
    caption: str
    right: bool | None = None


@dataclass(frozen=True)
class Query:
    """One line of a board: ``note`` says what kind of query it is, "" that the line goes on; a text, a photo or both were asked."""

    note: str
    text: str
    photo: Image.Image | None
    found: Sequence[Hit]


def drawable(text: str) -> bool:
    """Return whether the font has the characters of ``text``."""
    return not any(unicodedata.east_asian_width(character) in "WF" for character in text)


def _cut(draw: ImageDraw.ImageDraw, text: str, width: int, face: ImageFont.FreeTypeFont) -> str:
    """Return as much of ``text`` as fits into ``width`` pixels."""
    text = text if drawable(text) else "".join(c for c in text if drawable(c)).strip()
    if draw.textlength(text, face) <= width:
        return text
    while text and draw.textlength(text + "…", face) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def _ask(
    draw: ImageDraw.ImageDraw, canvas: Image.Image, asked: Query, number: int, top: int, side: int
) -> None:
    left = GAP
    if asked.photo is not None:
        canvas.paste(ImageOps.pad(asked.photo, (side, side), color="white"), (left, top))
        draw.rectangle((left, top, left + side - 1, top + side - 1), outline=LINE)
        left += side + GAP
    width = GAP + ASKED - left
    draw.text((left, top), _cut(draw, f"{number}  {asked.note}", width, font(11)), SOFT, font(11))
    face = font(13, bold=True)
    text = asked.text if drawable(asked.text) else f"(text {number}, written out on the page)"
    lines = wrap(text, max(8, int(width / draw.textlength("n", face))))
    kept = max(1, (side - 18) // 17)
    if len(lines) > kept:
        lines = [*lines[: kept - 1], lines[kept - 1][:-1].rstrip() + "…"]
    draw.multiline_text(
        (left, top + 18),
        "\n".join(_cut(draw, line, width, face) for line in lines),
        INK,
        face,
        spacing=4,
    )


def _paint(rows: Sequence[Query], side: int) -> Image.Image:
    columns, height = max(len(row.found) for row in rows), side + UNDER + GAP
    canvas = Image.new(
        "RGB", (2 * GAP + ASKED + columns * (side + GAP), GAP + len(rows) * height), "white"
    )
    draw = ImageDraw.Draw(canvas)
    for number, row in enumerate(rows, 1):
        top = GAP + (number - 1) * height
        if row.note:
            _ask(draw, canvas, row, number, top, side)
        for place, found in enumerate(row.found):
            left = 2 * GAP + ASKED + place * (side + GAP)
            canvas.paste(ImageOps.pad(found.photo, (side, side), color="white"), (left, top))
            frame, width = (GOOD, 3) if found.right else (LINE, 1)
            draw.rectangle(
                (
                    left - width + 1,
                    top - width + 1,
                    left + side + width - 2,
                    top + side + width - 2,
                ),
                outline=frame,
                width=width,
            )
            draw.text(
                (left, top + side + 4),
                _cut(draw, found.caption, side, font(10)),
                GOOD if found.right else SOFT,
                font(10),
            )
    return canvas


def board_png(file: Path, rows: Sequence[Query]) -> None:
    """Draw ``rows`` to ``file``; what is known to be right has a green frame.

    The photos shrink until the file has at most `png.LIMIT` bytes.
    """
    png.save(file, lambda side: _paint(rows, side), SIDES, COLOURS)
