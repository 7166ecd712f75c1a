"""The needs report, needs.html and needs.parquet, about all texts there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from beauty_models.files import new_file
from beauty_models.sentiment import Evaluate
from beauty_models.sentiment.report.baselines import POLARITIES, annotated
from beauty_models.sentiment.report.needs_page import NeedsFacts, needs_page
from beauty_models.sentiment.report.needs_table import (
    PREDICTED,
    Predict,
    mentions_of_aspects,
    mentions_of_words,
    tally,
    whole_texts,
)


def write_needs(
    *,
    folder: Path,
    frame: pd.DataFrame,
    classes: list[str],
    aspects: list[str],
    predict: Predict,
    params: Evaluate,
) -> pd.DataFrame:
    """Write needs.html and needs.parquet about the texts of ``frame`` to ``folder``.

    Return the table. Texts count by their label where the class is called negative, neutral or
    positive. Without ``aspects`` the subjects are characteristic words.
    """
    frame = frame.reset_index(drop=True)
    # Classes may be stars or anything else: such a text has no polarity as a whole.
    of_class = [POLARITIES.index(name) if name in POLARITIES else -1 for name in classes]
    polarity = np.array(of_class)[frame["label"]]
    mentioned = [whole_texts(polarity)]
    if aspects:
        mentioned.append(mentions_of_aspects(frame, aspects, predict, params.seed))
    else:
        mentioned.append(mentions_of_words(frame, polarity))
    table = tally(
        frame,
        pd.concat(mentioned, ignore_index=True),
        params.confidence,
        params.examples_per_need,
    )
    with new_file(folder / "needs.parquet") as temporary:
        table.to_parquet(temporary, index=False)
    known = annotated(frame["aspects"])
    facts = NeedsFacts(
        texts=len(frame),
        annotated=int(known.sum()),
        predicted=min(PREDICTED, int((~known).sum())) if aspects else 0,
        words=not aspects,
        confidence=params.confidence,
    )
    with new_file(folder / "needs.html") as temporary:
        temporary.write_text(needs_page(table, facts), encoding="utf-8")
    return table
