"""The rows of a public set: each garment on a photo is one, cut out by its box."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from beauty_models.intake import crops, products, public_sets
from beauty_models.intake.images import Files
from beauty_models.intake.public_sets.garments import Garment
from beauty_models.intake.public_sets.photos import Photos
from beauty_models.progress import log_line


def public_rows(found: public_sets.Found, files: Files, fields: Sequence[str]) -> pd.DataFrame:
    """Return a row with the columns ``fields`` for each garment of the set, good and bad.

    Pictures that no annotation names are left aside: most are those of a test part without labels.

    Raises:
        ValueError: the set does not serve tryon, or an annotation cannot be understood.
    """
    reading = public_sets.read(found, files, "tryon", by_group=False)
    rows = []
    named = set()
    undecided = 0
    for garment in reading.garments:
        named.add(garment.picture)
        if not garment.category and not garment.reason:
            undecided += 1
            continue
        # Where the authors split by photos, their parts would tear what a group holds together.
        group = "" if reading.split_by_photo else garment.group
        rows.append(_row(garment, group))
    if undecided:
        log_line(f"ingest: left aside: {undecided:,} photos of several categories, or of none")
    unnamed = Photos(files).unnamed(named)
    if unnamed:
        log_line(f"ingest: left aside: {unnamed:,} pictures that no annotation names")
    return pd.DataFrame(rows, columns=list(fields), dtype=object).fillna("")


def _row(garment: Garment, group: str) -> dict[str, Any]:
    attributes = {**garment.attributes, "category": garment.category, "color": garment.color}
    name = products.clean(garment.name)
    words = filter(None, [name, products.clean(garment.description)])
    return {
        "file": garment.file,
        "row": garment.row,
        "reason": garment.reason,
        "id": garment.id,
        "product": group,
        "name": name,
        "text": " ".join(words),
        "image": crops.named(garment.picture, garment.box) if garment.picture else "",
        # Labels are taken from these, whichever heads there are.
        "attributes": json.dumps({name: value for name, value in attributes.items() if value}),
        "delivered": garment.part,
        # No table of it is a catalogue: `ingest.catalogue` does not count.
        "offered": garment.is_offered,
    }
