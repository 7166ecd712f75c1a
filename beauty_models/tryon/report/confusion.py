"""The confusion matrix as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from beauty_models.tryon.board import readable


def confusion_png(file: Path, scores: dict[str, Any]) -> None:
    """Draw the confusion matrix as shares of each true class. Names that a plain font may lack are replaced by numbers."""
    counts = np.array(scores["confusion"])
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    names = [
        name if readable(name) else f"class {i + 1}" for i, name in enumerate(scores["classes"])
    ]
    side = 1.8 + 0.62 * len(names)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.add_subplot(
        xlabel="predicted", ylabel="true", xticks=range(len(names)), yticks=range(len(names))
    )
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticklabels(names, rotation=40, ha="right")
    axes.set_yticklabels(names)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            axes.text(
                column,
                row,
                f"{count:,}",
                ha="center",
                va="center",
                color="white" if shares[row, column] > 0.5 else "black",
            )
    figure.savefig(file, dpi=110, format="png")
