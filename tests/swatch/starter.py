"""The starter's data: 600 drawn measurements of swatches, the same ones every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from beauty_models.files import write_json
from beauty_models.swatch import MEASURED

ROWS = 600


def starter(*, raw: Path) -> None:
    """Write ``swatches.csv`` to ``raw``.

    Glossy where shine and depth, from −1 to 1, have the same sign.
    """
    rng = np.random.default_rng(0)
    measured = rng.uniform(-1, 1, size=(ROWS, len(MEASURED)))
    same_sign = (measured[:, 0] > 0) == (measured[:, 1] > 0)
    table = pd.DataFrame(measured.round(4), columns=MEASURED)
    table["finish"] = np.where(same_sign, "glossy", "matt")
    table.to_csv(raw / "swatches.csv", index=False)
    # the licence goes with the data into the registry; without it the gate's verdict warns
    write_json(raw / "LICENSE.json", {"license": "Apache-2.0", "commercial_use": True})


# Other families have larger data to show and smaller data to test; here the starter is small enough
# for both.
toy = starter
