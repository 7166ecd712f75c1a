"""Which part a review is in: by the hash of its product, so that a product is in one part only."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from beauty_models.intake import splits
from beauty_models.sentiment import Ingest


def assign_parts(reviews: pd.DataFrame, fingerprints: Sequence[str], params: Ingest) -> list[str]:
    """Return the part of each review, whose texts have these ``fingerprints``.

    A text without a product is a group of its own, and serves training when it has no label.
    """
    assigned = []
    for product, key, label in zip(reviews["product"], fingerprints, reviews["label"], strict=True):
        group = splits.product_group(product) if product else f"text {key}"
        part = splits.part(params.split, group, params.seed)
        # nobody can be tested on it
        if not product and not label and params.split.train > 0:
            part = "train"
        assigned.append(part)
    return assigned
