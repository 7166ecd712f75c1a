"""The pictures people look at: photos with captions, and what in text and photo decided."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from beauty_models.serving import png
from beauty_models.serving.fonts import font
from beauty_models.tryon.attribution import Reasons

PAPER = "#ffffff"
INK = "#1d2330"
SOFT = "#6b7383"
BORDER = "#dfe3ea"
GOOD = "#1f9e89"
BAD = "#d9603b"
TINT = (255, 90, 40)  # of the places that decided
COLORS = 128  # of a PNG's palette
SHARES = (1.0, 0.85, 0.7, 0.55, 0.4)  # of the full size that a PNG may have

# In pixels.
SIDE = 150  # of a photo
GAP = 14
LINE = 17
BARS = 300  # the column of words and their bars
BARS_LEFT = 40  # room for bars of words that speak against the answer

# The effect of a word from which its bar fills the room. With the largest effect instead, the bars
# of a text that hardly matters would be as long as those of one that decides.
FULL_EFFECT = 0.2
FIRST_EAST_ASIAN = 0x2E80  # DejaVu Sans has no Chinese, Japanese and Korean characters


class Tile(NamedTuple):
    """A photo and what is written below it, the first line bold."""

    picture: Image.Image | None
    lines: Sequence[str]
    right: bool | None = None  # colors the first line


def readable(text: str) -> bool:
    """Return whether the font has the characters of ``text``."""
    return all(ord(character) < FIRST_EAST_ASIAN for character in text)


def _verdict_color(right: bool | None) -> str:
    if right is None:
        return INK
    return GOOD if right else BAD


def _cut(text: str, width: float, face: ImageFont.FreeTypeFont) -> str:
    """Return as much of ``text`` as fits into ``width`` pixels."""
    if face.getlength(text) <= width:
        return text
    while text and face.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


def _write(
    pen: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    size: int,
    color: str,
    *,
    width: float = math.inf,
    anchor: str = "la",
    bold: bool = False,
) -> None:
    """Write ``text`` in ``size`` pixels at ``place``, cut to ``width``; ``anchor`` as in Pillow."""
    face = font(size, bold)
    pen.text(place, _cut(text, width, face), color, face, anchor=anchor)


def _draw_tile(tile: Tile, rows: int) -> Image.Image:
    """Return one photo with its lines; ``rows`` lines have room."""
    height = SIDE + 6 + rows * LINE
    drawn = Image.new("RGB", (SIDE, height), PAPER)
    pen = ImageDraw.Draw(drawn)
    if tile.picture:
        # The whole photo, in the middle of its square: what the network does not see counts for us.
        fitted = ImageOps.contain(tile.picture, (SIDE, SIDE))
        left = (SIDE - fitted.width) // 2
        top = (SIDE - fitted.height) // 2
        drawn.paste(fitted, (left, top))
    else:
        pen.rectangle((0, 0, SIDE - 1, SIDE - 1), outline=BORDER)
        _write(pen, (SIDE // 2, SIDE // 2), "no photo", 11, SOFT, anchor="mm")
    top = SIDE + 4
    for row, line in enumerate(tile.lines):
        color = SOFT if row else _verdict_color(tile.right)
        _write(pen, (0, top), line, 12, color, width=SIDE, bold=row == 0)
        top += LINE
    return drawn


def contact_sheet(tiles: Sequence[Tile], columns: int) -> Image.Image:
    """Return the photos in rows of ``columns``."""
    lines = max((len(tile.lines) for tile in tiles), default=1)
    width = SIDE + GAP
    height = SIDE + 6 + lines * LINE + GAP
    rows = max(1, -(-len(tiles) // columns))
    filled_columns = min(columns, max(1, len(tiles)))
    size = (
        GAP + filled_columns * width,
        GAP + rows * height,
    )
    sheet = Image.new("RGB", size, PAPER)
    for i, tile in enumerate(tiles):
        row, column = divmod(i, columns)
        left = GAP + column * width
        top = GAP + row * height
        sheet.paste(_draw_tile(tile, lines), (left, top))
    return sheet


def save_png(picture: Image.Image, file: Path) -> None:
    """Write ``picture`` with a palette, made smaller until the file is small enough to be shown."""

    def resized(share: float) -> Image.Image:
        size = (round(picture.width * share), round(picture.height * share))
        return picture.resize(size, Image.Resampling.LANCZOS)

    png.save(file, resized, SHARES, COLORS)


def heat_overlay(photo: Image.Image, heat: NDArray[np.float32]) -> Image.Image:
    """Return the square middle of ``photo``, which the network saw, with what decided in color.

    Grey is where ``heat`` [rows, columns] is 0.
    """
    middle = ImageOps.fit(photo, (SIDE, SIDE), Image.Resampling.BICUBIC)
    mask = Image.fromarray((255 * heat).astype(np.uint8))
    # Enlarged smoothly: the squares of a network's few places would look like edges in the photo.
    mask = mask.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    share = np.asarray(mask, np.float32)[..., None] / 255
    color = np.asarray(middle, np.float32)
    grey = np.asarray(middle.convert("L").convert("RGB"), np.float32)
    # The rest is pale as well, so that the eye goes to the color.
    pale = 0.5 * grey + 100
    tinted = 0.6 * color + 0.4 * np.array(TINT, np.float32)
    mixed = (1 - share) * pale + share * tinted
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))


def _draw_bars(
    pen: ImageDraw.ImageDraw, left: int, top: int, effects: Sequence[tuple[str, float]]
) -> None:
    """Draw a bar for each word.

    It goes to the right for what speaks for the answer, to the left for what speaks against it.
    """
    most = max(FULL_EFFECT, *(abs(effect) for _, effect in effects))
    words_width = BARS * 3 // 5
    middle = left + words_width
    y = top
    for word, effect in effects:
        place = (middle - 46, y + 7)
        _write(pen, place, word, 11, INK, width=words_width - 50, anchor="rm")
        room = BARS - words_width if effect > 0 else BARS_LEFT
        end = middle + int(effect / most * room)
        left_end, right_end = sorted((middle, end))
        # One pixel at least, so that a word without effect has its place, too.
        box = (left_end, y + 2, right_end + 1, y + 12)
        pen.rectangle(box, fill=GOOD if effect > 0 else BAD)
        y += LINE + 2


def _strongest(words: Sequence[tuple[str, float]], count: int) -> list[tuple[str, float]]:
    """Return the ``count`` words with the largest effects, in the order of the text.

    One that the font cannot write is called by its place.
    """
    # argsort is stable: of two words that count the same the first is taken.
    strength = np.array([abs(effect) for _, effect in words])
    by_strength = np.argsort(-strength, kind="stable")
    strongest = []
    for i in sorted(by_strength[:count].tolist()):
        word, effect = words[i]
        name = word if readable(word) else f"word {i + 1}"
        strongest.append((name, effect))
    return strongest


def explanation(
    photo: Image.Image | None,
    reasons: Reasons,
    title: str,
    right: bool | None = None,
    words: int = 7,
) -> Image.Image:
    """Return one panel: the photo, where it decided, and the words that decided most.

    Args:
        photo: as it was asked about; None without one.
        reasons: what `attribution.explain` returned.
        title: stands at the right; "" writes there what text and photo say alone.
        right: whether the answer is, which colors it; None where nobody knows.
        words: how many have room.
    """
    width = 4 * GAP + 2 * SIDE + BARS
    height = SIDE + 3 * GAP + 2 * LINE
    panel = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(panel)
    answer = f"{reasons.label} {reasons.probability:.0%}"
    color = _verdict_color(right)
    _write(pen, (GAP, GAP), answer, 15, color, width=2 * SIDE, bold=True)
    parts = []
    for name, (label, probability) in reasons.alone.items():
        parts.append(f"{name} alone: {label} {probability:.0%}")
    alone = ", ".join(parts)
    # At the right, up to a little beyond the middle: the answer is short.
    note_width = width // 2 + 60
    place = (width - GAP, GAP + 2)
    _write(pen, place, title or alone, 11, SOFT, width=note_width, anchor="ra")
    top = 2 * GAP + LINE
    middle = top + SIDE // 2
    if photo is not None and reasons.heat is not None:
        # The square middle, as the network saw it, plain and with what decided.
        panel.paste(ImageOps.fit(photo, (SIDE, SIDE)), (GAP, top))
        panel.paste(heat_overlay(photo, reasons.heat), (2 * GAP + SIDE, top))
    else:
        _write(pen, (GAP + SIDE, middle), "no photo", 12, SOFT, anchor="mm")
    left = 3 * GAP + 2 * SIDE
    strongest = _strongest(reasons.words, words)
    if strongest:
        _draw_bars(pen, left, top + 4, strongest)
    else:
        _write(pen, (left + BARS // 2, middle), "no text", 12, SOFT, anchor="mm")
    if title and alone:
        place = (GAP, top + SIDE + 4)
        _write(pen, place, alone, 11, SOFT, width=width - 2 * GAP)
    return panel


def stack(panels: Sequence[Image.Image]) -> Image.Image:
    """Return ``panels`` one below the other."""
    width = max(panel.width for panel in panels)
    height = sum(panel.height for panel in panels)
    sheet = Image.new("RGB", (width, height), PAPER)
    top = 0
    for panel in panels:
        sheet.paste(panel, (0, top))
        top += panel.height
    return sheet
