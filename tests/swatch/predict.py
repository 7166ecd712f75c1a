"""What a person asks: the finish of one measured swatch."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from beauty_models.swatch import CLASSES, MEASURED
from beauty_models.swatch.model import load


def predict(*, model: Path, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Return the finish for ``--shine X --depth Y``, and how sure the model is."""
    parser = argparse.ArgumentParser(prog="beauty predict swatch")
    for name in MEASURED:
        parser.add_argument(f"--{name}", type=float, required=True)
    options = parser.parse_args(arguments)
    [probabilities] = load(model).probabilities(pd.DataFrame([vars(options)]))
    best = int(probabilities.argmax())
    return [{"finish": CLASSES[best], "probability": round(float(probabilities[best]), 4)}]
