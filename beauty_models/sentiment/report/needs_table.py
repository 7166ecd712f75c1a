"""The needs table: what customers praise, what they complain of, and how that moves.

One row of the table is a group (everything, a category, a product), a subject and a period.
Subjects are the aspects of the data: annotated where people did that, the model's predictions
elsewhere. A model without aspects has as subjects the words that are characteristic of the positive
or negative texts of a group. The subject `OVERALL` counts whole texts by their label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from beauty_models.evaluation.bootstrap import wilson
from beauty_models.sentiment.report.baselines import POLARITIES, annotated, mentions
from beauty_models.sentiment.report.characteristic_words import (
    NEGATIVE,
    POSITIVE,
    characteristic_words,
)
from beauty_models.sentiment.report.excerpts import excerpt

OVERALL = "(whole text)"
ALL = "all"  # the period that holds every month
PREDICTED = 20_000  # texts without annotation that the model reads at most, a seeded sample
QUOTE = 40  # characters of a text that is a good example: short enough to read, and it says why
# Level → what tells its groups apart; a product has its category beside it for the page.
LEVELS: dict[str, list[str]] = {
    "all": [],
    "category": ["category"],
    "product": ["category", "product"],
}
COLUMNS = [
    "level",
    "product",
    "category",
    "aspect",
    "period",
    "n",
    *reversed(POLARITIES),
    "annotated",
    "complaints",
    "praise",
]
Predict = Callable[[list[str]], NDArray[np.bool_]]
"""texts → mentions [n, aspects, 3]."""


def whole_texts(polarity: NDArray[np.int64]) -> pd.DataFrame:
    """Return the mentions of `OVERALL`: each text with a ``polarity`` [n], −1 for none."""
    rows = np.flatnonzero(polarity >= 0)
    return pd.DataFrame(
        {
            "row": rows,
            "aspect": OVERALL,
            "level": "",
            "polarity": polarity[rows],
            "annotated": True,
            "needle": "",
        }
    )


def mentions_of_words(frame: pd.DataFrame, polarity: NDArray[np.int64]) -> pd.DataFrame:
    """Return the mentions of characteristic words; each is as positive as the text it is in."""
    rows = np.flatnonzero(polarity >= 0)
    texts = frame.iloc[rows]
    mentioned = characteristic_words(texts["text"], polarity[rows], texts["category"])
    row = rows[mentioned["row"].to_numpy(dtype=int)]
    return mentioned.assign(
        row=row, polarity=polarity[row], annotated=True, needle=mentioned["aspect"]
    )


def _needles(annotations: Iterable[Any]) -> dict[tuple[int, str, str], str]:
    """Return the words of each annotation: (row, aspect, polarity) → opinion, or what it is of."""
    needles = {}
    for row, of_text in enumerate(annotations):
        if of_text is None:
            continue
        for annotation in of_text:
            needle = ""
            for part in ("opinion", "term"):
                # Annotations write "_" where no word of the text names the aspect.
                needle = needle or str(annotation[part] or "").strip(" _").lower()
            needles[row, annotation["category"], annotation["polarity"]] = needle
    return needles


def mentions_of_aspects(
    frame: pd.DataFrame, aspects: list[str], predict: Predict, seed: int
) -> pd.DataFrame:
    """Return the mentions of aspects: annotated ones, and those that ``predict`` finds elsewhere.

    It reads a sample of the texts without annotation.
    """
    known = annotated(frame["aspects"])
    mentioned = mentions(frame["aspects"], aspects)
    # Drawn at random, for the first texts of a file may all be of one product; then in the order of
    # the file.
    drawn = np.random.default_rng(seed).permutation(np.flatnonzero(~known))
    unknown = np.sort(drawn[:PREDICTED])
    if len(unknown):
        mentioned[unknown] = predict(frame["text"].iloc[unknown].tolist())
    needles = _needles(frame["aspects"])
    rows, places, signs = np.nonzero(mentioned)
    of_mention = []
    for row, place, sign in zip(rows.tolist(), places.tolist(), signs.tolist(), strict=True):
        of_mention.append(needles.get((row, aspects[place], POLARITIES[sign]), ""))
    return pd.DataFrame(
        {
            "row": rows,
            "aspect": np.array(aspects, dtype=object)[places],
            "level": "",
            "polarity": signs,
            "annotated": known[rows],
            "needle": of_mention,
        }
    )


def _quotes(part: pd.DataFrame, keys: list[str], examples: int) -> dict[str, pd.Series[Any]]:
    """Return the ``examples`` of each group of ``keys``: annotated ones first, then by length."""
    # The row decides between equals, so that the same data give the same examples.
    order = part.assign(distance=(part["text"].str.len() - QUOTE).abs()).sort_values(
        ["annotated", "distance", "row"], ascending=[False, True, True]
    )
    quotes = {}
    for name, sign in {"complaints": NEGATIVE, "praise": POSITIVE}.items():
        chosen = order[order["polarity"] == sign].groupby(keys, dropna=False).head(examples)
        pairs = zip(chosen["text"], chosen["needle"], strict=True)
        excerpts = [excerpt(text, needle) for text, needle in pairs]
        by_group = chosen.assign(quote=excerpts).groupby(keys, dropna=False)
        quotes[name] = by_group["quote"].agg(list)
    return quotes


def _count(part: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return how often each group of ``keys`` was mentioned, and with which polarity."""
    # dropna=False: a product without category counts all the same.
    groups = part.assign(n=1).groupby(keys, dropna=False)
    return groups[[*POLARITIES, "n", "annotated"]].sum()


def tally(
    frame: pd.DataFrame, mentioned: pd.DataFrame, confidence: float, examples: int
) -> pd.DataFrame:
    """Return the needs table: one row per level, product, category, aspect and period.

    Args:
        frame: the texts.
        mentioned: their mentions: row, aspect, level ("": any), polarity, annotated, needle.
        confidence: of the intervals.
        examples: sentences per row and sign.

    Returns:
        A period is a month, or `ALL`. ``n`` counts mentions; ``share_negative`` comes with its
        Wilson interval; ``annotated`` tells how many of ``n`` people annotated.
    """
    period = pd.to_datetime(frame["date"]).dt.strftime("%Y-%m")
    texts = frame[["text", "product", "category"]].assign(period=period)
    mentioned = mentioned.join(texts.reset_index(drop=True), on="row")
    # A column of 0 and 1 per polarity: a group's sum is its count.
    for i, name in enumerate(POLARITIES):
        mentioned[name] = (mentioned["polarity"] == i).astype("int64")
    parts = []
    for level, groups in LEVELS.items():
        part = mentioned[mentioned["level"].isin(["", level])]
        if groups:
            # A text without product is in no product's group, but in its category's.
            part = part.dropna(subset=groups[-1:])
        total = _count(part, [*groups, "aspect"])
        total = total.assign(**_quotes(part, [*groups, "aspect"], examples))
        monthly = _count(part.dropna(subset=["period"]), [*groups, "aspect", "period"])
        for counts in (total, monthly):
            parts.append(counts.reset_index().assign(level=level))
    table = pd.concat(parts, ignore_index=True).reindex(columns=COLUMNS)
    # Wilson's interval, not the bootstrap's: many rows have few mentions, for which it holds, too.
    negative = table["negative"].to_numpy(float)
    low, high = wilson(negative, table["n"].to_numpy(float), confidence)
    table = table.assign(
        period=table["period"].fillna(ALL),
        share_negative=table["negative"] / table["n"],
        low=low,
        high=high,
    )
    for name in ("complaints", "praise"):
        # A group without an example has NaN from the join; a column of lists has an empty one.
        table[name] = [value if isinstance(value, list) else [] for value in table[name]]
    return table
