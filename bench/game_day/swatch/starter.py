"""Starter data: 600 drawn measurements of swatches, the same ones every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from beauty_models.files import write_json

ROWS = 600


def starter(*, raw: Path) -> None:
    """Write ``swatches.csv`` (shine, depth, finish) to ``raw``: glossy where shine and depth have the same sign."""
    random = np.random.default_rng(0)
    measured = random.uniform(-1, 1, size=(ROWS, 2))
    glossy = (measured[:, 0] > 0) == (measured[:, 1] > 0)
    table = pd.DataFrame(measured.round(4), columns=["shine", "depth"])
    table["finish"] = np.where(glossy, "glossy", "matt")
    table.to_csv(raw / "swatches.csv", index=False)
    write_json(raw / "LICENSE.json", {"license": "Apache-2.0", "commercial_use": True})


toy = starter
