"""ingest: raw review files → clean, distinct, labelled texts: train, validation, frozen test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.intake import account, splits
from beauty_models.intake.counts import as_metrics
from beauty_models.intake.provenance import about
from beauty_models.intake.rejected import (
    Rejected,
    check_rejected,
    good_rows,
    reject,
    rejected_rows,
    rejected_table,
)
from beauty_models.intake.text import fingerprint, normalize
from beauty_models.intake.values import dates
from beauty_models.sentiment import Ingest
from beauty_models.sentiment.annotations import join_annotations
from beauty_models.sentiment.deliveries import read_deliveries
from beauty_models.sentiment.duplicates import deduplicate
from beauty_models.sentiment.fields import review_table
from beauty_models.sentiment.labels import assign_labels, labels_remedy, reject_contradictions
from beauty_models.sentiment.parts import assign_parts

Parts = dict[str, pd.DataFrame]
"""Each of `splits.PARTS` → its labelled reviews."""


def ingest(*, raw: Path, data: Path, params: Ingest) -> Metrics:
    """Read every table of ``raw`` and write the shards and ``schema.json`` to ``data``.

    A table with a text column holds reviews; one with id, aspect and polarity but no text annotates
    reviews by their id.

    ``train``, ``validation`` and ``test.parquet`` have the columns of `fields.SCHEMA`, label being
    an index into the classes of ``schema.json``, aspects null where nobody annotated.
    ``unlabelled.parquet`` has the texts to pretrain on: those of the train part and those without a
    label, unless their product is in another part. ``rejected.parquet`` has the rows that are not
    taken, ``account.json`` what was counted and guessed. Texts are in the order of their
    fingerprints, which says nothing about them; the same files give the same bytes.

    Raises:
        ValueError: a file cannot be read or has no text, no row has a label, too many rows are
            rejected, or a part or a class would be empty.
    """
    with account.opened("sentiment", raw, params.reading) as book:
        return _ingest(raw, data, params, book)


def _ingest(raw: Path, data: Path, params: Ingest, book: account.Account) -> Metrics:
    """As `ingest`, which opens the account ``book`` for it."""
    deliveries = read_deliveries(raw, params.columns)
    reviews = deliveries.reviews
    annotations = deliveries.annotations
    reviews["text"] = reviews["text"].map(normalize)
    # by whole files: what a part of one says of day and month may be too little
    read = dates(reviews["date"].tolist(), reviews["file"].tolist())
    reviews["date"] = pd.Series(read, index=reviews.index, dtype=object)
    join_annotations(reviews, annotations, params.polarities)
    reject(reviews, [_length_fault(text, params) for text in reviews["text"]])
    label_values = assign_labels(reviews, params)
    # equal texts have one key; capitals, spaces and punctuation do not count
    reviews["key"] = reviews["text"].map(fingerprint)
    contradictions = reject_contradictions(reviews)
    rejected = _rejected(reviews, annotations)
    share = _share_rejected(reviews, annotations)
    remedy = labels_remedy(label_values, params.labels)
    # before anything is written: a bad delivery leaves no data folder
    check_rejected(rejected, share, params.max_rejected, data, remedy)
    good = good_rows(reviews)
    kept, dropped = deduplicate(good.assign(part=assign_parts(good, params)), params)
    labelled = kept[kept["label"] != ""]
    parts = {part: labelled[labelled["part"] == part] for part in splits.PARTS}
    _check_parts(parts, deliveries.columns, params)
    # a text of another part, or of a product in it, must not be learned from either
    unlabelled = kept[kept["part"] == "train"]
    sizes = _sizes(parts)
    told = sizes | {"without label": len(kept) - len(labelled)}
    _settle(book, reviews, annotations, dropped, told)
    with new_folder(data) as folder:
        _write_texts(folder, parts, unlabelled, params)
        pq.write_table(rejected_table(rejected), folder / "rejected.parquet")
        write_json(folder / "schema.json", _schema(raw, parts, params))
        book.write(folder)
    counts = {
        "rows": len(reviews),
        "annotations": len(annotations),
        "rejected": len(rejected),
        "contradictions": contradictions,
        "kept": len(kept),
        "without_label": len(kept) - len(labelled),
        "to_pretrain_on": len(unlabelled),
        **sizes,
        # without a label, and of a product whose other texts are tested or validated on
        "held_back": len(kept) - len(labelled) - int(unlabelled["unlabelled"].sum()),
    }
    return dropped | as_metrics(counts) | _class_shares(labelled["label"], params)


def _settle(
    book: account.Account,
    reviews: pd.DataFrame,
    annotations: pd.DataFrame,
    dropped: Metrics,
    parts: Mapping[str, int],
) -> None:
    """Say in the account what became of every review and annotation."""
    reasons = {
        "duplicates": "the text is there already",
        "near_duplicates": "nearly the text of another one",
        "beyond_limit": "beyond ingest.limit",
    }
    counts = {reason: int(dropped[name]) for name, reason in reasons.items()}
    for things, rows, out in (("reviews", reviews, counts), ("annotations", annotations, {})):
        if rows.empty:
            continue
        bad = rejected_rows(rows)
        book.settle(
            things,
            read=len(rows),
            kept=len(rows) - len(bad) - sum(out.values()),
            dropped=out,
            rejected=bad,
            parts=parts if things == "reviews" else {},
        )


def _length_fault(text: str, params: Ingest) -> str:
    """Return why a text of this length is not taken, or ""."""
    if not text:
        return "no text"
    if len(text) < params.min_characters:
        return f"text shorter than {params.min_characters} characters"
    if len(text) > params.max_characters:
        return f"text longer than {params.max_characters} characters"
    return ""


def _rejected(reviews: pd.DataFrame, annotations: pd.DataFrame) -> list[Rejected]:
    """Return the rows of both that are rejected, in the order of their files and rows."""
    fields = list(Rejected._fields)
    rows = pd.concat([reviews[fields], annotations[fields]])
    return rejected_rows(rows.sort_values(["file", "row"]))


def _share_rejected(reviews: pd.DataFrame, annotations: pd.DataFrame) -> float:
    """Return the rejected share of reviews or of annotations, the larger one.

    Over both together few bad annotations would hide among many good reviews.
    """
    shares = [0.0]
    for rows in (reviews, annotations):
        if not rows.empty:
            bad = rows["reason"] != ""
            shares.append(float(bad.mean()))
    return max(shares)


def _class_shares(labels: pd.Series[str], params: Ingest) -> Metrics:
    """Return which share of the ``labels`` each class has: an imbalance is to be seen early."""
    shares = {}
    for name in params.labels:
        shares[f"share.{name}"] = float((labels == name).mean())
    return shares


def _sizes(parts: Parts) -> dict[str, int]:
    return {part: len(reviews) for part, reviews in parts.items()}


def _check_parts(parts: Parts, columns: str, params: Ingest) -> None:
    """Raise a ValueError when there is nothing to learn from, or a part is empty."""
    sizes = _sizes(parts)
    if not sum(sizes.values()):
        raise ValueError(
            f"no review has a label, a rating or aspects; {columns}. "
            "Add the column's name to ingest.columns.label or .rating (or --map label=COLUMN), "
            "or set label_from_aspects"
        )
    splits.check_filled(sizes, params.split, "labelled reviews")
    labels = parts["train"]["label"]
    if params.split.train and labels.nunique() < 2:
        raise ValueError(
            f"all reviews to train on are {labels.iloc[0]}; a classifier needs two classes at least"
        )


def _write_texts(folder: Path, parts: Parts, unlabelled: pd.DataFrame, params: Ingest) -> None:
    """Write the labelled texts of each part and those to pretrain on into ``folder``."""
    for part, reviews in parts.items():
        table = review_table(reviews, list(params.labels))
        pq.write_table(table, folder / f"{part}.parquet")
    texts = pa.array(unlabelled["text"].tolist(), pa.string())
    pq.write_table(pa.table({"text": texts}), folder / "unlabelled.parquet")


def _schema(raw: Path, parts: Parts, params: Ingest) -> dict[str, Any]:
    """Return the content of schema.json: what the data can teach, and where they come from."""
    test = parts["test"]
    return {
        "classes": list(params.labels),
        "aspects": _aspects(parts),
        "polarities": list(params.polarities),
        "rows": _sizes(parts),
        "split_sha256": splits.digest(zip(test["key"], test["label"], strict=True)),
        **about(raw),
    }


def _aspects(parts: Parts) -> list[str]:
    """Return every aspect that any text of any part was annotated with."""
    categories = set()
    for reviews in parts.values():
        for aspects in reviews["aspects"].dropna():
            categories |= {aspect["category"] for aspect in aspects}
    return sorted(categories)
