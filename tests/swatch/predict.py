"""What a person asks: the finish of one measured swatch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from beauty_models.swatch import CLASSES
from beauty_models.swatch.model import load
from beauty_models.swatch.serving import parser


def predict(*, model: Path, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Return the finish for ``--shine X --depth Y``, and how sure the model is."""
    options = parser().parse_args(arguments)
    [probabilities] = load(model).probabilities(pd.DataFrame([vars(options)]))
    best = int(probabilities.argmax())
    return [{"finish": CLASSES[best], "probability": round(float(probabilities[best]), 4)}]
