"""The confusion matrix as a picture, for those who look at an artifact and not at the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from numpy.typing import NDArray

DPI = 120


def drawable(text: str) -> bool:
    """Return whether matplotlib's font has the characters of ``text``; it has no Chinese."""
    font = get_font(findfont("DejaVu Sans"))
    return all(font.get_char_index(ord(character)) for character in text)


def confusion_png(
    file: Path, counts: NDArray[np.int64], classes: Sequence[str], *, with_shares: bool
) -> None:
    """Draw ``counts`` [true, predicted] as shares of each true class.

    Names that the font lacks are replaced by numbers. ``with_shares`` writes the shares, too; with
    many classes there is no room for them.
    """
    totals = counts.sum(1, keepdims=True)
    # A class without examples has a row of zeros.
    shares = counts / np.maximum(1, totals)
    names = []
    for number, name in enumerate(classes, start=1):
        names.append(name if drawable(name) else f"class {number}")
    cell = 1.1 if with_shares else 0.62  # inches
    # The names stand beside and below the cells.
    side = 1.8 + cell * len(names)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.add_subplot(
        xlabel="predicted", ylabel="true", xticks=range(len(names)), yticks=range(len(names))
    )
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if with_shares:
        axes.set_xticklabels(names)
    else:
        axes.set_xticklabels(names, rotation=40, ha="right")  # narrow cells, long names
    axes.set_yticklabels(names)
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        text = ""
        if with_shares:
            text = f"{count:,}\n{share:.0%}"
        elif count:
            text = f"{count:,}"
        color = "white" if share > 0.5 else "black"  # on dark blue black could not be read
        axes.text(column, row, text, ha="center", va="center", color=color)
    figure.savefig(file, dpi=DPI, format="png")
