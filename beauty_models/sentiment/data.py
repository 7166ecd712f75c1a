"""ingest: raw review files → clean, distinct, labelled texts: train, validation, frozen test."""

from __future__ import annotations

import functools
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.intake import account, archives, folders, splits
from beauty_models.intake.counts import as_metrics
from beauty_models.intake.provenance import about
from beauty_models.intake.rejected import (
    EXCERPT,
    Rejected,
    check_rejected,
    reject,
    rejected_rows,
    rejected_table,
)
from beauty_models.intake.values import dates
from beauty_models.progress import bar
from beauty_models.sentiment import Ingest
from beauty_models.sentiment.annotations import join_annotations
from beauty_models.sentiment.cleaning import Rules, cleaner, schema
from beauty_models.sentiment.deliveries import Deliveries, read_deliveries
from beauty_models.sentiment.duplicates import deduplicate
from beauty_models.sentiment.fields import SCHEMA, review_table
from beauty_models.sentiment.labels import assign_labels, labels_remedy, reject_contradictions
from beauty_models.sentiment.parts import assign_parts
from beauty_models.sentiment.texts import TextStore

Numbers = NDArray[np.int64]
"""Of reviews, in the frame of all of them and in the `TextStore`."""

Parts = dict[str, Numbers]
"""Each of `splits.PARTS` → its labelled reviews."""

PARALLEL_FROM = 50_000_000  # bytes, from which two processes are sooner ready than one
ROW_GROUP = 1024 * 1024  # rows that are in memory while they are written; pq.write_table's own


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
    with (
        account.opened("sentiment", raw, params.reading) as book,
        archives.as_folders(raw, data) as book.raw,
    ):
        return _ingest(book.raw, data, params, book)


def _ingest(raw: Path, data: Path, params: Ingest, book: account.Account) -> Metrics:
    """As `ingest`, which opens the account ``book`` for it."""
    rules = Rules(params.min_characters, params.max_characters, params.near_duplicate_similarity)
    # a bad delivery leaves no data folder: what is written before it is known goes with this one
    with new_folder(data) as folder:
        store = TextStore(folder / "texts", schema(rules))
        with cleaner(rules, parallel=_size(raw) >= PARALLEL_FROM) as cleaning:
            deliveries = read_deliveries(raw, params.columns, cleaning, store)
        metrics = _write(folder, raw, data, deliveries, store, params, book)
        shutil.rmtree(folder / "texts")
    return metrics


def _size(raw: Path) -> int:
    """Return how many bytes the files below ``raw`` have."""
    return sum(file.stat().st_size for file in folders.walk(raw).files)


def _write(
    folder: Path,
    raw: Path,
    data: Path,
    deliveries: Deliveries,
    store: TextStore,
    params: Ingest,
    book: account.Account,
) -> Metrics:
    """Write what is taken of ``deliveries`` into ``folder``, which becomes ``data``.

    There is one frame of all reviews, and what is chosen of them are their numbers: a copy of ten
    million rows takes a gigabyte.
    """
    reviews = deliveries.reviews
    annotations = deliveries.annotations
    fingerprints = store.keys()
    label_values, contradictions = _judge(reviews, annotations, store, fingerprints, params)
    bad_reviews = _rejected_reviews(reviews, store)
    rejected = _rejected(bad_reviews, annotations)
    share = _share_rejected(reviews, annotations)
    remedy = labels_remedy(label_values, params.labels)
    check_rejected(rejected, share, params.max_rejected, data, remedy)
    reviews["part"] = assign_parts(reviews, functools.partial(_hexadecimal, fingerprints), params)
    kept, dropped = deduplicate(reviews, store, params)
    labels = reviews["label"].to_numpy()[kept]
    part_of = reviews["part"].to_numpy()[kept]
    labelled = labels != ""
    parts = {part: kept[labelled & (part_of == part)] for part in splits.PARTS}
    _check_parts(reviews, parts, deliveries.columns, params)
    # a text of another part, or of a product in it, must not be learned from either
    to_pretrain_on = kept[part_of == "train"]
    sizes = _sizes(parts)
    without_label = int((~labelled).sum())
    told = sizes | {"without label": without_label}
    _settle(book, "reviews", len(reviews), rejected_rows(bad_reviews), dropped, told)
    _settle(book, "annotations", len(annotations), rejected_rows(annotations), {}, {})
    _write_texts(folder, reviews, parts, to_pretrain_on, store, params)
    pq.write_table(rejected_table(rejected), folder / "rejected.parquet")
    answers = _answers(reviews, parts["test"], fingerprints)
    content = _schema(raw, reviews, parts, params) | {"split_sha256": splits.digest(answers)}
    write_json(folder / "schema.json", content)
    book.write(folder, data)
    counts = {
        "rows": len(reviews),
        "annotations": len(annotations),
        "rejected": len(rejected),
        "contradictions": contradictions,
        "kept": len(kept),
        "without_label": without_label,
        "to_pretrain_on": len(to_pretrain_on),
        **sizes,
        # without a label, and of a product whose other texts are tested or validated on
        "held_back": int((~labelled & (part_of != "train")).sum()),
    }
    return dropped | as_metrics(counts) | _class_shares(labels[labelled], params)


def _judge(
    reviews: pd.DataFrame,
    annotations: pd.DataFrame,
    store: TextStore,
    fingerprints: NDArray[np.uint64],
    params: Ingest,
) -> tuple[Counter[str], int]:
    """Give ``reviews`` their class, day, aspects and key, and reject what cannot be taken.

    Returns how often each value of the label column is there, and how many rows were rejected
    because their text has another label elsewhere.
    """
    # by whole files: what a part of one says of day and month may be too little
    reviews["date"] = dates(reviews["date"].tolist(), reviews["file"].tolist())
    if not annotations.empty:
        reviews["id"] = store.cells("id")
        reviews["text_hash"] = store.text_hashes()
    join_annotations(reviews, annotations, params.polarities)
    reject(reviews, reviews.pop("length_fault").tolist())
    label_values = assign_labels(reviews, params)
    # equal texts have one key; capitals, spaces and punctuation do not count
    reviews["key"] = _ranks(fingerprints)
    return label_values, reject_contradictions(reviews)


def _ranks(fingerprints: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return [n], the place of each fingerprint among the distinct ones in their order."""
    order = np.lexsort((fingerprints[:, 1], fingerprints[:, 0]))
    ordered = fingerprints[order]
    new = np.zeros(len(order), np.int64)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.cumsum(new)
    return ranks


def _hexadecimal(fingerprints: NDArray[np.uint64], number: int) -> str:
    """Return the fingerprint of a review as `text.fingerprint` writes it."""
    high, low = fingerprints[number].tolist()
    return f"{high:016x}{low:016x}"


def _answers(
    reviews: pd.DataFrame, numbers: Numbers, fingerprints: NDArray[np.uint64]
) -> Iterator[tuple[str, str]]:
    """Yield the fingerprint and the class of each of these reviews, for `splits.digest`."""
    labels = reviews["label"].to_numpy()
    for number in numbers.tolist():
        yield _hexadecimal(fingerprints, number), labels[number]


def _settle(
    book: account.Account,
    things: str,
    read: int,
    rejected: list[Rejected],
    dropped: Metrics,
    parts: Mapping[str, int],
) -> None:
    """Say in the account what became of every review or annotation that was ``read``."""
    if not read:
        return
    reasons = {
        "duplicates": "the text is there already",
        "near_duplicates": "nearly the text of another one",
        "beyond_limit": "beyond ingest.limit",
    }
    out = {reasons[name]: int(count) for name, count in dropped.items()}
    book.settle(
        things,
        read=read,
        kept=read - len(rejected) - sum(out.values()),
        dropped=out,
        rejected=rejected,
        parts=parts,
    )


def _rejected_reviews(reviews: pd.DataFrame, store: TextStore) -> pd.DataFrame:
    """Return the rejected ones of ``reviews``, with the beginning of their text."""
    bad = reviews[reviews["reason"] != ""]
    texts = store.take(bad.index.to_numpy(np.int64), ["text"])["text"]
    beginnings = pc.utf8_slice_codeunits(texts, 0, EXCERPT).to_pylist()
    return bad.assign(text=pd.Series(beginnings, index=bad.index, dtype=object))


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


def _class_shares(labels: NDArray[np.object_], params: Ingest) -> Metrics:
    """Return which share of the ``labels`` each class has: an imbalance is to be seen early."""
    shares = {}
    for name in params.labels:
        shares[f"share.{name}"] = float((labels == name).mean())
    return shares


def _sizes(parts: Parts) -> dict[str, int]:
    return {part: len(numbers) for part, numbers in parts.items()}


def _check_parts(reviews: pd.DataFrame, parts: Parts, columns: str, params: Ingest) -> None:
    """Raise a ValueError when there is nothing to learn from, or a part is empty."""
    sizes = _sizes(parts)
    if not sum(sizes.values()):
        raise ValueError(
            f"no review has a label, a rating or aspects; {columns}. "
            "Add the column's name to ingest.columns.label or .rating (or --map label=COLUMN), "
            "or set label_from_aspects"
        )
    splits.check_filled(sizes, params.split, "labelled reviews")
    labels = reviews["label"].iloc[parts["train"]]
    if params.split.train and labels.nunique() < 2:
        raise ValueError(
            f"all reviews to train on are {labels.iloc[0]}; a classifier needs two classes at least"
        )


def _write_texts(
    folder: Path,
    reviews: pd.DataFrame,
    parts: Parts,
    to_pretrain_on: Numbers,
    store: TextStore,
    params: Ingest,
) -> None:
    """Write the labelled texts of each part and those to pretrain on into ``folder``."""
    classes = list(params.labels)
    total = sum(_sizes(parts).values()) + len(to_pretrain_on)
    with bar("ingest: write", total) as progress:
        for part, numbers in parts.items():
            with pq.ParquetWriter(folder / f"{part}.parquet", SCHEMA) as writer:
                for group in _row_groups(numbers):
                    texts = store.take(group, ["id", "text", "language"])
                    table = review_table(reviews.iloc[group], texts, classes)
                    writer.write_table(table, ROW_GROUP)
                    progress.advance(len(group), note=part)
        schema_of_texts = pa.schema([("text", pa.string())])
        with pq.ParquetWriter(folder / "unlabelled.parquet", schema_of_texts) as writer:
            for group in _row_groups(to_pretrain_on):
                texts = store.take(group, ["text"])
                writer.write_table(texts.cast(schema_of_texts), ROW_GROUP)
                progress.advance(len(group), note="to pretrain on")


def _row_groups(numbers: Numbers) -> Iterator[Numbers]:
    """Yield ``numbers`` in pieces, each of which is one row group of a Parquet file."""
    # an empty file has one row group, too, as pq.write_table writes it
    for start in range(0, max(1, len(numbers)), ROW_GROUP):
        yield numbers[start : start + ROW_GROUP]


def _schema(raw: Path, reviews: pd.DataFrame, parts: Parts, params: Ingest) -> dict[str, Any]:
    """Return the content of schema.json: what the data can teach, and where they come from."""
    return {
        "classes": list(params.labels),
        "aspects": _aspects(reviews, parts),
        "polarities": list(params.polarities),
        "rows": _sizes(parts),
        **about(raw),
    }


def _aspects(reviews: pd.DataFrame, parts: Parts) -> list[str]:
    """Return every aspect that any text of any part was annotated with."""
    categories = set()
    for numbers in parts.values():
        for aspects in reviews["aspects"].iloc[numbers].dropna():
            categories |= {aspect["category"] for aspect in aspects}
    return sorted(categories)
