"""Which part a review is in: by the hash of its product, so that a product is in one part only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from beauty_models.intake import splits
from beauty_models.sentiment import Ingest


def assign_parts(
    reviews: pd.DataFrame, fingerprint: Callable[[int], str], params: Ingest
) -> NDArray[np.object_]:
    """Return the part of each review; ``fingerprint`` gives that of a text by its place, [n].

    A text without a product is a group of its own, and serves training when it has no label.
    """
    products, distinct = pd.factorize(reviews["product"])
    part_of = []
    for product in distinct:
        part_of.append(splits.part(params.split, splits.product_group(product), params.seed))
    parts = np.array(part_of, dtype=object)[products]
    alone = (reviews["product"] == "").to_numpy(bool)
    for place in np.flatnonzero(alone).tolist():
        parts[place] = splits.part(params.split, f"text {fingerprint(place)}", params.seed)
    if params.split.train > 0:
        # nobody can be tested on it
        parts[alone & (reviews["label"] == "").to_numpy(bool)] = "train"
    return parts
