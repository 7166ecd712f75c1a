"""The directions as a picture, for those who look at an artifact and not at the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from beauty_models.translate.report.scores import Scores

DPI = 120
CELL = 0.78  # inches


def heatmap_png(file: Path, scores: Scores) -> None:
    """Draw the chrF of what predict answers; a dot stands where a baseline may be as good."""
    languages = scores["languages"]
    place = {name: number for number, name in enumerate(languages)}
    values = np.full((len(languages), len(languages)), np.nan)
    lost = np.zeros(values.shape, bool)
    for score in scores["directions"]:
        cell = (place[score["source"]], place[score["target"]])
        values[cell] = score["chrf"]["served"]
        lost[cell] = not score["won"]
    side = 1.6 + CELL * len(languages)
    figure = Figure(figsize=(side + 0.4, side), layout="constrained")
    axes = figure.add_subplot(
        xlabel="into", ylabel="from", xticks=range(len(languages)), yticks=range(len(languages))
    )
    axes.imshow(values, cmap="Blues", vmin=0, vmax=100)
    axes.set_xticklabels(languages)
    axes.set_yticklabels(languages)
    axes.set_title("chrF on unseen texts (• a baseline may be as good)", fontsize=9)
    for (row, column), value in np.ndenumerate(values):
        if np.isnan(value):
            continue
        text = f"{value:.0f}{' •' if lost[row, column] else ''}"
        color = "white" if value > 60 else "black"  # on dark blue black could not be read
        axes.text(column, row, text, ha="center", va="center", color=color)
    figure.savefig(file, dpi=DPI, format="png")
