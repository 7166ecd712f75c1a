"""A retrieval board: what was asked at the left, what was found to its right.

It is a picture, for reports and for predict. The one font that is sure to be there is DejaVu, which
comes with matplotlib and has no Chinese, Japanese or Korean: such a text is drawn as its number and
language, and written out on the page that shows the same board.
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
QUERY_WIDTH = 240  # pixels of the column of what is asked
GAP = 10  # pixels between photos
CAPTION_HEIGHT = 18  # pixels of the line below a photo
LINE_HEIGHT = 17  # pixels of the text of a query
RIGHT_FRAME = 3  # pixels of the frame around what is right
INK = "#1d2330"
SOFT = "#667085"
LINE = "#e4e7ec"
GOOD = "#1f9e89"
# fewer show bands in photos, more make the file larger and the photos smaller
PALETTE_COLORS = 160


@dataclass(frozen=True)
class Hit:
    """A photo that was found; ``right`` is None where nobody knows."""

    photo: Image.Image
    caption: str
    right: bool | None = None


@dataclass(frozen=True)
class Query:
    """One line of a board: a text, a photo or both were asked."""

    note: str  # what kind of query it is; "": the line goes on with the hits of the one before
    text: str
    photo: Image.Image | None
    hits: Sequence[Hit]


def drawable(text: str) -> bool:
    """Return whether the font has the characters of ``text``."""
    # W and F are the wide characters of East Asian scripts (Unicode annex 11)
    return not any(unicodedata.east_asian_width(character) in "WF" for character in text)


def _shortened(
    draw: ImageDraw.ImageDraw,
    text: str,
    width: int,
    face: ImageFont.FreeTypeFont,
) -> str:
    """Return as much of ``text`` as fits into ``width`` pixels."""
    if not drawable(text):
        text = "".join(character for character in text if drawable(character)).strip()
    if draw.textlength(text, face) <= width:
        return text
    # DejaVu is proportional: how many characters fit is known only by measuring
    while text and draw.textlength(text + "…", face) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def _wrapped(
    draw: ImageDraw.ImageDraw,
    text: str,
    width: int,
    height: int,
    face: ImageFont.FreeTypeFont,
) -> str:
    """Return ``text`` in lines that fit into ``width`` × ``height`` pixels."""
    # by the width of an n: `wrap` counts characters, and `_shortened` cuts what is still too wide
    characters = int(width / draw.textlength("n", face))
    lines = wrap(text, max(8, characters))
    kept = max(1, height // LINE_HEIGHT)
    if len(lines) > kept:
        lines = lines[:kept]
        lines[-1] = lines[-1][:-1].rstrip() + "…"
    return "\n".join(_shortened(draw, line, width, face) for line in lines)


def _framed_photo(
    canvas: Image.Image,
    photo: Image.Image,
    left: int,
    top: int,
    side: int,
    right: bool = False,
) -> None:
    """Paste ``photo`` as a square of ``side`` pixels; its frame grows outwards."""
    canvas.paste(ImageOps.pad(photo, (side, side), color="white"), (left, top))
    # outwards, so that the photo of a right answer is as large as the others
    width = RIGHT_FRAME if right else 1
    outside = width - 1
    box = (
        left - outside,
        top - outside,
        left + side + outside - 1,
        top + side + outside - 1,
    )
    color = GOOD if right else LINE
    ImageDraw.Draw(canvas).rectangle(box, outline=color, width=width)


def _draw_query(
    canvas: Image.Image,
    query: Query,
    number: int,
    top: int,
    side: int,
) -> None:
    draw = ImageDraw.Draw(canvas)
    left = GAP
    if query.photo is not None:
        _framed_photo(canvas, query.photo, left, top, side)
        left += side + GAP
    width = GAP + QUERY_WIDTH - left
    note = _shortened(draw, f"{number}  {query.note}", width, font(11))
    draw.text((left, top), note, SOFT, font(11))
    # the number leads to the same line of board.html, where browsers have the fonts
    text = query.text if drawable(query.text) else f"(text {number}, written out on the page)"
    face = font(13, bold=True)
    below = top + CAPTION_HEIGHT
    wrapped = _wrapped(draw, text, width, side - CAPTION_HEIGHT, face)
    draw.multiline_text((left, below), wrapped, INK, face, spacing=4)


def _draw_hit(
    canvas: Image.Image,
    hit: Hit,
    left: int,
    top: int,
    side: int,
) -> None:
    draw = ImageDraw.Draw(canvas)
    _framed_photo(canvas, hit.photo, left, top, side, right=bool(hit.right))
    caption = _shortened(draw, hit.caption, side, font(10))
    color = GOOD if hit.right else SOFT
    draw.text((left, top + side + 4), caption, color, font(10))


def _draw_board(queries: Sequence[Query], side: int) -> Image.Image:
    columns = max(len(query.hits) for query in queries)
    height = side + CAPTION_HEIGHT + GAP
    first_hit = 2 * GAP + QUERY_WIDTH
    # a line may have fewer hits than another: a small gallery, the last line of an answer
    width = first_hit + columns * (side + GAP)
    canvas = Image.new("RGB", (width, GAP + len(queries) * height), "white")
    for row, query in enumerate(queries):
        top = GAP + row * height
        # a line that goes on has its query above
        if query.note:
            _draw_query(canvas, query, row + 1, top, side)
        for column, hit in enumerate(query.hits):
            _draw_hit(canvas, hit, first_hit + column * (side + GAP), top, side)
    return canvas


def board_png(file: Path, queries: Sequence[Query]) -> None:
    """Draw ``queries`` to ``file``; what is known to be right has a green frame.

    The photos shrink until the file has at most `png.LIMIT` bytes.
    """
    png.save(file, lambda side: _draw_board(queries, side), SIDES, PALETTE_COLORS)
