"""ingest: the measured table → a train, a validation and a frozen test part."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.intake import splits
from beauty_models.swatch import Ingest

PARTS = ("train", "validation", "test")
CLASSES = ["glossy", "matt"]


def ingest(*, raw: Path, data: Path, params: Ingest) -> Metrics:
    """Split ``raw/swatches.csv`` by a hash of each row; write one Parquet file per part to ``data``."""
    table = pd.read_csv(raw / "swatches.csv")
    table["label"] = table["finish"].map(CLASSES.index)
    table["key"] = [
        f"{shine}:{depth}" for shine, depth in zip(table["shine"], table["depth"], strict=True)
    ]
    part = table["key"].map(lambda key: splits.part(params.split, key, params.seed))
    with new_folder(data) as folder:
        for name in PARTS:
            table[part == name].to_parquet(folder / f"{name}.parquet", index=False)
        write_json(folder / "schema.json", {"classes": CLASSES})
    return {"rows": float(len(table)), "rejected": 0.0}
