"""Which part an example is in: as it was delivered, else by the hash of its group."""

from __future__ import annotations

import pandas as pd

from beauty_models.intake import splits
from beauty_models.tryon import Ingest
from beauty_models.tryon.labels import label_columns

UNLABELLED = "unlabelled"
PARTS = (*splits.PARTS, UNLABELLED)
"""The parts with labels, and the one that serves pretraining only."""

NO_PART = ""  # of a row that serves nothing


def assign_parts(rows: pd.DataFrame, params: Ingest) -> list[str]:
    """Return each row's part, one of `PARTS` or `NO_PART`.

    A delivered split counts; with one held-out folder, that is the test part and validation comes
    from train.
    """
    labels = rows[label_columns(params)]
    is_labelled = (labels != "").any(axis=1)
    if not params.split.train:  # data that a finished model is evaluated on
        return ["test" if labelled else UNLABELLED for labelled in is_labelled]
    held_out = set(rows["delivered"]) - {"", "train"}
    delivered_shares = splits.without_test(params.split) if held_out else params.split
    is_alone = rows["product"] == ""
    assigned = []
    for group, delivered, labelled, alone in zip(
        rows["group"], rows["delivered"], is_labelled, is_alone, strict=True
    ):
        part = _delivered_part(delivered, held_out)
        if not part:
            shares = delivered_shares if delivered else params.split
            part = splits.part(shares, group, params.seed)
            if not labelled:
                # An unlabelled photo of a product that is tested on must not serve pretraining.
                part = UNLABELLED if alone or part == "train" else NO_PART
        assigned.append(part)
    return assigned


def _delivered_part(delivered: str, held_out: set[str]) -> str:
    """Return the part of a row that was ``delivered`` for one, "" where its group decides."""
    if not delivered:
        return ""
    if len(held_out) == 2:
        return delivered
    return "test" if delivered in held_out else ""
