"""Each text once: of equal and of nearly equal ones one stays, in the part that changes least."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from beauty_models.families import Metrics
from beauty_models.intake import splits
from beauty_models.sentiment import Ingest
from beauty_models.sentiment.near_duplicates import originals
from beauty_models.sentiment.texts import TextStore


def deduplicate(
    reviews: pd.DataFrame, store: TextStore, params: Ingest
) -> tuple[NDArray[np.int64], Metrics]:
    """Return the numbers of the ``reviews`` that stay, each text once, and how many were dropped.

    At most ``limit`` labelled ones are kept. Of equal texts a labelled one stays, then one of the
    test part, then an annotated one, then the first by fingerprint. Texts are read from ``store``.
    ``reviews`` are numbered from 0 on, in the store, too; rejected ones do not count. Their column
    key is in the order of the fingerprints, and so are the numbers.
    """
    keys = reviews["key"].to_numpy()
    good = (reviews["reason"] == "").to_numpy(bool)
    ranked = _best_first(reviews)
    ranked = ranked[good[ranked]]
    # in this order an earlier text is the one to keep of two that are equal, or nearly so
    distinct = ranked[~pd.Series(keys[ranked]).duplicated().to_numpy()]
    kept = distinct
    if params.near_duplicate_similarity < 1:
        found = originals(
            store.signatures(distinct),
            lambda place: store.text(int(distinct[place])),
            params.near_duplicate_similarity,
        )
        kept = distinct[found < 0]
    # by fingerprint, as by chance: `limit` then takes the same texts whatever is added
    kept = kept[np.argsort(keys[kept])]
    # texts without a label are no examples, so `limit` does not count them
    labelled = (reviews["label"] != "").to_numpy(bool)[kept]
    within_limit = ~labelled | (np.cumsum(labelled) <= (params.limit or len(kept)))
    dropped = {
        "duplicates": float(len(ranked) - len(distinct)),
        "near_duplicates": float(len(distinct) - len(kept)),
        "beyond_limit": float(len(kept) - within_limit.sum()),
    }
    return kept[within_limit], dropped


def _best_first(reviews: pd.DataFrame) -> NDArray[np.int64]:
    """Return the numbers of ``reviews``, those first that are to be kept."""
    unlabelled = (reviews["label"] == "").to_numpy(bool)
    rank = reviews["part"].map(splits.PARTS.index).to_numpy(np.int8)
    unannotated = reviews["aspects"].isna().to_numpy(bool)
    file, _ = pd.factorize(reviews["file"], sort=True)
    # the last one counts most; file and row break ties: the same files give the same texts
    by = (reviews["row"], file, reviews["key"], unannotated, rank, unlabelled)
    return np.lexsort(by)
