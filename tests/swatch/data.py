"""ingest: the measured table → train, validation and a frozen test, and what was rejected."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.intake import splits
from beauty_models.swatch import CLASSES, MEASURED, Ingest

PARTS = ("train", "validation", "test")


def _reason(row: pd.Series) -> str:
    """Return why a row cannot be taken; nothing where it can."""
    if row["finish"] not in CLASSES:
        return f"finish is {row['finish']!r}, which is none of {', '.join(CLASSES)}"
    if not pd.to_numeric(row[MEASURED], errors="coerce").notna().all():
        return f"{' or '.join(MEASURED)} is no number"
    return ""


def ingest(*, raw: Path, data: Path, params: Ingest) -> Metrics:
    """Split ``raw/swatches.csv`` by a hash of each row.

    Write one Parquet file per part to ``data``.

    Returns:
        ``kept`` and ``rejected``, in rows.
    """
    table = pd.read_csv(raw / "swatches.csv")
    table["reason"] = table.apply(_reason, axis=1)
    kept = table[table["reason"] == ""].drop(columns="reason")
    rejected = table[table["reason"] != ""].astype(str)
    kept[MEASURED] = kept[MEASURED].astype("float32")
    kept["label"] = kept["finish"].map(CLASSES.index)
    # A hash of the row, not its place: a row stays on its side of the split when others are added.
    keys = kept[MEASURED].astype(str).agg(":".join, axis=1)
    part = keys.map(lambda key: splits.part(params.split, key, params.seed))
    with new_folder(data) as folder:
        for name in PARTS:
            kept[part == name].to_parquet(folder / f"{name}.parquet", index=False)
        rejected.to_parquet(folder / "rejected.parquet", index=False)
        write_json(folder / "schema.json", {"classes": CLASSES})
    return {"kept": float(len(kept)), "rejected": float(len(rejected))}
