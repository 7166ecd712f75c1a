"""Each example once: equal ones are one, and a picture that another product has is rejected."""

from __future__ import annotations

import pandas as pd

from beauty_models.intake import images
from beauty_models.intake.pictures import Decoded
from beauty_models.intake.rejected import good_rows, reject
from beauty_models.params import Pictures
from beauty_models.tryon import Ingest
from beauty_models.tryon.labels import label_columns
from beauty_models.tryon.parts import NO_PART, PARTS


def best_of_each_key(rows: pd.DataFrame, params: Ingest) -> pd.DataFrame:
    """Return of the good rows with the same picture and words one, best first.

    That in the earliest of `PARTS` is the best, then the one with most labels, then a garment on
    sale.
    """
    parts = [*PARTS, NO_PART]
    labels = rows[label_columns(params)]
    ranked = rows.assign(
        rank=rows["part"].map(parts.index),
        unknown=(labels == "").sum(axis=1),
        not_offered=~rows["offered"].astype(bool),
    )
    # Key, file and row break ties: the same files give the same examples.
    order = ["rank", "unknown", "not_offered", "key", "file", "row"]
    return good_rows(ranked).sort_values(order).drop_duplicates("key")


def reject_repeated_pictures(
    rows: pd.DataFrame, once: pd.DataFrame, decoded: Decoded, rules: Pictures
) -> int:
    """Reject the ``rows`` whose picture repeats one of another group; return how many pictures.

    ``once`` has every example once, those first whose pictures stay.
    """
    repeated = _repeated_pictures(once, decoded, rules)
    reasons = []
    for picture in zip(rows["group"], rows["picture"], strict=True):
        original = repeated.get(picture)
        reasons.append(f"the picture repeats {original}" if original else "")
    reject(rows, reasons)
    return len(repeated)


def _repeated_pictures(
    once: pd.DataFrame, decoded: Decoded, rules: Pictures
) -> dict[tuple[str, str], str]:
    """Return (group, picture) → the path of the earlier picture, of another group, it repeats."""
    # The order of ``once`` says who is earlier: the picture in the test part, before all.
    shown = once[once["picture"] != ""]
    shown = shown.drop_duplicates(["group", "picture"])
    hashes = (decoded.hashes[picture] for picture in shown["picture"])
    earlier = images.near_duplicates(hashes, rules)
    groups = shown["group"].tolist()
    pictures = shown["picture"].tolist()
    repeated = {}
    for i, original in enumerate(earlier):
        # Within a group photos of one garment may resemble each other: they are in one part.
        if original >= 0 and groups[original] != groups[i]:
            path = shown["image"].iloc[original]
            repeated[groups[i], pictures[i]] = str(path)
    return repeated
