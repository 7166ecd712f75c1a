"""Each text once: of equal and of nearly equal ones one stays, in the part that changes least."""

from __future__ import annotations

import numpy as np
import pandas as pd

from beauty_models.families import Metrics
from beauty_models.intake import splits
from beauty_models.intake.near_duplicates import near_duplicates
from beauty_models.sentiment import Ingest


def deduplicate(reviews: pd.DataFrame, params: Ingest) -> tuple[pd.DataFrame, Metrics]:
    """Return each text of ``reviews``, which have their part, once, and how many were dropped.

    At most ``limit`` labelled ones are kept. Of equal texts a labelled one stays, then one of the
    test part, then an annotated one, then the first by fingerprint.
    """
    ranked = _best_first(reviews)
    distinct = ranked.drop_duplicates("key")
    kept = distinct
    # in this order an earlier text is the one to keep of two that are nearly equal
    if params.near_duplicate_similarity < 1:
        texts = distinct["text"].tolist()
        earlier = near_duplicates(texts, params.near_duplicate_similarity)
        kept = distinct[np.array(earlier) < 0]
    # by fingerprint, as by chance: `limit` then takes the same texts whatever is added
    kept = kept.sort_values("key")
    labelled = kept.index[~kept["unlabelled"]]
    # texts without a label are no examples, so `limit` does not count them
    beyond_limit = labelled[params.limit or len(kept) :]
    dropped = {
        "duplicates": float(len(ranked) - len(distinct)),
        "near_duplicates": float(len(distinct) - len(kept)),
        "beyond_limit": float(len(beyond_limit)),
    }
    return kept.drop(beyond_limit), dropped


def _best_first(reviews: pd.DataFrame) -> pd.DataFrame:
    """Return ``reviews``, those first that are to be kept, with the column unlabelled."""
    ranked = reviews.assign(
        unlabelled=reviews["label"] == "",
        rank=reviews["part"].map(splits.PARTS.index),
        unannotated=reviews["aspects"].isna(),
    )
    # file and row break ties: the same files give the same texts
    return ranked.sort_values(["unlabelled", "rank", "unannotated", "key", "file", "row"])
