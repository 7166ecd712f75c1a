"""Annotated aspects, joined to the reviews that they speak of by the reviews' ids."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pandas as pd

from beauty_models.intake.rejected import reject, reject_where
from beauty_models.intake.values import meanings, plain

NO_WORD = {"", "_"}  # an annotation's way to say that no word of the text names the aspect

Aspect = dict[str, str]
"""category, polarity, and the words of the text that say so: term and opinion, "" for none."""


def join_annotations(
    reviews: pd.DataFrame, annotations: pd.DataFrame, polarities: dict[str, list[str]]
) -> None:
    """Give ``reviews`` the column aspects: a list, or None in files that nobody annotated.

    Rows that cannot be joined are rejected. ``polarities`` are those of the params. ``reviews``
    have the columns id and text_hash where there are ``annotations``.
    """
    if annotations.empty:
        reviews["aspects"] = None
        return
    polarity_of = meanings(polarities, "ingest.polarities")
    aspects = _aspects_by_id(reviews, annotations, polarity_of)
    # a review without annotations in a file that has some speaks of no aspect; in another file
    # nobody looked
    has_aspects = reviews["id"].isin(list(aspects))
    annotated_files = reviews["file"][has_aspects]
    annotated = reviews["file"].isin(annotated_files) & (reviews["id"] != "")
    column: list[list[Aspect] | None] = []
    for review_id, looked_at in zip(reviews["id"], annotated, strict=True):
        column.append(aspects.get(review_id, []) if looked_at else None)
    reviews["aspects"] = pd.Series(column, dtype=object)
    first_text = reviews.groupby("id")["text_hash"].transform("first")
    ambiguous = annotated & (reviews["text_hash"] != first_text)
    reason = "an earlier review has this id, so this one's annotations are unknown"
    reject_where(reviews, ambiguous, reason)


def _aspects_by_id(
    reviews: pd.DataFrame, annotations: pd.DataFrame, polarity_of: dict[str, str]
) -> Mapping[str, list[Aspect]]:
    """Return id → the aspects of that review, each once; reject the ``annotations`` of no use."""
    known_ids = set(reviews["id"]) - {""}
    reasons = []
    aspects: dict[str, list[Aspect]] = defaultdict(list)
    annotation: Any
    for annotation in annotations.itertuples(index=False):
        reason = _fault(annotation, known_ids, polarity_of)
        reasons.append(reason)
        if reason or annotation.reason:
            continue
        aspect = {
            "category": annotation.aspect,
            "polarity": polarity_of[plain(annotation.polarity)],
            "term": _word(annotation.term),
            "opinion": _word(annotation.opinion),
        }
        # an export may repeat a row
        if aspect not in aspects[annotation.id]:
            aspects[annotation.id].append(aspect)
    reject(annotations, reasons)
    return aspects


def _word(cell: str) -> str:
    return "" if cell in NO_WORD else cell


def _fault(annotation: Any, known_ids: set[str], polarity_of: dict[str, str]) -> str:
    """Return why an annotation cannot be joined, or ""."""
    if not annotation.aspect:
        return "no aspect"
    if plain(annotation.polarity) not in polarity_of:
        return f"polarity {annotation.polarity!r} is none of {', '.join(polarity_of)}"
    if annotation.id not in known_ids:
        return "no review has this id"
    return ""
