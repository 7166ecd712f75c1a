"""The pictures people look at: photos with what was said of them, and what in text and photo decided, drawn on the photo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from beauty_models.serving import png
from beauty_models.serving.fonts import font
from beauty_models.tryon.attribution import Reasons

PAPER, INK, SOFT, GOOD, BAD = "#ffffff", "#1d2330", "#6b7383", "#1f9e89", "#d9603b"
LEAST = 0.2  # effect of a word from which its bar fills the room; all bars of a text that matters little stay short
SIDE, GAP, LINE = 150, 14, 17  # pixels
COLOURS = 128  # of a PNG's palette
SHARES = (1.0, 0.85, 0.7, 0.55, 0.4)  # of the full size that a PNG may have


class Shown(NamedTuple):
    """A photo and what is written below it, the first line bold."""

    picture: Image.Image | None
    lines: Sequence[str]
    right: bool | None = None  # colours the first line


def readable(text: str) -> bool:
    """Return whether that font has the characters of ``text``; it has no Chinese, Japanese and Korean."""
    return all(ord(character) < 0x2E80 for character in text)


def _cut(text: str, width: int, face: ImageFont.FreeTypeFont) -> str:
    if face.getlength(text) <= width:
        return text
    while text and face.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


def _tile(shown: Shown, rows: int) -> Image.Image:
    """Return one photo with its lines; ``rows`` lines have room."""
    tile = Image.new("RGB", (SIDE, SIDE + 6 + rows * LINE), PAPER)
    pen = ImageDraw.Draw(tile)
    if shown.picture:
        fitted = ImageOps.contain(shown.picture, (SIDE, SIDE))
        tile.paste(fitted, ((SIDE - fitted.width) // 2, (SIDE - fitted.height) // 2))
    else:
        pen.rectangle((0, 0, SIDE - 1, SIDE - 1), outline="#dfe3ea")
        pen.text((SIDE // 2, SIDE // 2), "no photo", SOFT, font(11), anchor="mm")
    for row, line in enumerate(shown.lines):
        face = font(12, bold=row == 0)
        colour = SOFT if row else INK if shown.right is None else GOOD if shown.right else BAD
        pen.text((0, SIDE + 4 + row * LINE), _cut(line, SIDE, face), colour, face)
    return tile


def strip(shown: Sequence[Shown], columns: int) -> Image.Image:
    """Return the photos in rows of ``columns``."""
    rows = max((len(one.lines) for one in shown), default=1)
    tiles = [_tile(one, rows) for one in shown]
    width, height = SIDE + GAP, SIDE + 6 + rows * LINE + GAP
    lines = max(1, -(-len(tiles) // columns))
    sheet = Image.new(
        "RGB", (GAP + min(columns, max(1, len(tiles))) * width, GAP + lines * height), PAPER
    )
    for i, tile in enumerate(tiles):
        sheet.paste(tile, (GAP + i % columns * width, GAP + i // columns * height))
    return sheet


def save_png(picture: Image.Image, file: Path) -> None:
    """Write ``picture`` with a palette, made smaller until the file has at most `png.LIMIT` bytes."""

    def resized(share: float) -> Image.Image:
        size = (round(picture.width * share), round(picture.height * share))
        return picture.resize(size, Image.Resampling.LANCZOS)

    png.save(file, resized, SHARES, COLOURS)


def heated(photo: Image.Image, heat: NDArray[np.float32]) -> Image.Image:
    """Return the square middle of ``photo`` that the network saw: grey where nothing decided, in colour and outlined where it did."""
    seen = ImageOps.fit(photo, (SIDE, SIDE), Image.Resampling.BICUBIC)
    mask = Image.fromarray((255 * heat).astype(np.uint8)).resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC
    )
    values = np.asarray(mask, np.float32)[..., None] / 255
    tint = np.array([255, 90, 40], np.float32)
    colour, grey = (
        np.asarray(seen, np.float32),
        np.asarray(seen.convert("L").convert("RGB"), np.float32),
    )
    mixed = (1 - values) * (0.5 * grey + 100) + values * (0.6 * colour + 0.4 * tint)
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))


def _bars(
    pen: ImageDraw.ImageDraw, left: int, top: int, width: int, effects: Sequence[tuple[str, float]]
) -> None:
    """Draw a bar for each word: to the right for what speaks for the answer, to the left for what speaks against it."""
    most = max(LEAST, *(abs(effect) for _, effect in effects))
    middle = left + width * 3 // 5
    for row, (place, word, effect) in enumerate((i, *one) for i, one in enumerate(effects)):
        y = top + row * (LINE + 2)
        text = word if readable(word) else f"word {place + 1}"
        pen.text(
            (middle - 46, y + 7),
            _cut(text, width * 3 // 5 - 50, font(11)),
            INK,
            font(11),
            anchor="rm",
        )
        end = middle + int(effect / most * (width * 2 // 5 if effect > 0 else 40))
        pen.rectangle(
            (min(middle, end), y + 2, max(middle, end) + 1, y + 12),
            fill=GOOD if effect > 0 else BAD,
        )


def explained(
    photo: Image.Image | None,
    reasons: Reasons,
    title: str,
    right: bool | None = None,
    words: int = 7,
) -> Image.Image:
    """Return one panel: the photo, where it decided, and the words that decided most, in the order of the text."""
    width = 4 * GAP + 2 * SIDE + 300
    panel = Image.new("RGB", (width, SIDE + 3 * GAP + 2 * LINE), PAPER)
    pen = ImageDraw.Draw(panel)
    pen.text(
        (GAP, GAP),
        _cut(f"{reasons.label} {reasons.probability:.0%}", 2 * SIDE, font(15, True)),
        INK if right is None else GOOD if right else BAD,
        font(15, True),
    )
    alone = ", ".join(
        f"{name} alone: {label} {share:.0%}" for name, (label, share) in reasons.alone.items()
    )
    pen.text(
        (width - GAP, GAP + 2),
        _cut(title or alone, width // 2 + 60, font(11)),
        SOFT,
        font(11),
        anchor="ra",
    )
    top = 2 * GAP + LINE
    if photo is not None and reasons.heat is not None:
        panel.paste(ImageOps.fit(photo, (SIDE, SIDE)), (GAP, top))
        panel.paste(heated(photo, reasons.heat), (2 * GAP + SIDE, top))
    else:
        pen.text((GAP + SIDE, top + SIDE // 2), "no photo", SOFT, font(12), anchor="mm")
    strongest = sorted(range(len(reasons.words)), key=lambda i: -abs(reasons.words[i][1]))[:words]
    told = [
        (word if readable(word) else f"word {i + 1}", effect)
        for i, (word, effect) in enumerate(reasons.words)
        if i in strongest
    ]
    if told:
        _bars(pen, 3 * GAP + 2 * SIDE, top + 4, 300, told)
    else:
        pen.text(
            (3 * GAP + 2 * SIDE + 150, top + SIDE // 2), "no text", SOFT, font(12), anchor="mm"
        )
    if title and alone:
        pen.text((GAP, top + SIDE + 4), _cut(alone, width - 2 * GAP, font(11)), SOFT, font(11))
    return panel


def stacked(panels: Sequence[Image.Image]) -> Image.Image:
    """Return ``panels`` one below the other."""
    sheet = Image.new(
        "RGB", (max(panel.width for panel in panels), sum(panel.height for panel in panels)), PAPER
    )
    top = 0
    for panel in panels:
        sheet.paste(panel, (0, top))
        top += panel.height
    return sheet
