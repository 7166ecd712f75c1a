"""ingest: raw review files → clean, distinct, labelled texts: train, validation, frozen test."""

from __future__ import annotations

import shutil
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
    good_rows,
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

Parts = dict[str, pd.DataFrame]
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
    """Write what is taken of ``deliveries`` into ``folder``, which becomes ``data``."""
    reviews = deliveries.reviews
    annotations = deliveries.annotations
    # by whole files: what a part of one says of day and month may be too little
    read = dates(reviews["date"].tolist(), reviews["file"].tolist())
    reviews["date"] = np.array(read, dtype="datetime64[us]")
    if not annotations.empty:
        reviews["id"] = store.cells("id")
        reviews["text_hash"] = store.text_hashes()
    join_annotations(reviews, annotations, params.polarities)
    reject(reviews, reviews.pop("length_fault").tolist())
    label_values = assign_labels(reviews, params)
    # equal texts have one key; capitals, spaces and punctuation do not count
    fingerprints = store.keys()
    reviews["key"] = _ranks(fingerprints)
    contradictions = reject_contradictions(reviews)
    bad_reviews = _rejected_reviews(reviews, store)
    rejected = _rejected(bad_reviews, annotations)
    share = _share_rejected(reviews, annotations)
    remedy = labels_remedy(label_values, params.labels)
    check_rejected(rejected, share, params.max_rejected, data, remedy)
    good = good_rows(reviews)
    part_of = assign_parts(good, _hexadecimal(fingerprints, good), params)
    kept, dropped = deduplicate(good.assign(part=part_of), store, params)
    labelled = kept[kept["label"] != ""]
    parts = {part: labelled[labelled["part"] == part] for part in splits.PARTS}
    _check_parts(parts, deliveries.columns, params)
    # a text of another part, or of a product in it, must not be learned from either
    unlabelled = kept[kept["part"] == "train"]
    sizes = _sizes(parts)
    told = sizes | {"without label": len(kept) - len(labelled)}
    _settle(book, "reviews", len(reviews), rejected_rows(bad_reviews), dropped, told)
    _settle(book, "annotations", len(annotations), rejected_rows(annotations), {}, {})
    _write_texts(folder, parts, unlabelled, store, params)
    pq.write_table(rejected_table(rejected), folder / "rejected.parquet")
    test = parts["test"]
    answers = zip(_hexadecimal(fingerprints, test), test["label"], strict=True)
    content = _schema(raw, parts, params) | {"split_sha256": splits.digest(answers)}
    write_json(folder / "schema.json", content)
    book.write(folder, data)
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


def _ranks(fingerprints: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return [n], the place of each fingerprint among the distinct ones in their order."""
    order = np.lexsort((fingerprints[:, 1], fingerprints[:, 0]))
    ordered = fingerprints[order]
    new = np.zeros(len(order), np.int64)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.cumsum(new)
    return ranks


def _hexadecimal(fingerprints: NDArray[np.uint64], reviews: pd.DataFrame) -> list[str]:
    """Return the fingerprints of ``reviews`` as `text.fingerprint` writes them."""
    rows = fingerprints[reviews.index.to_numpy(np.int64)]
    digits = rows.astype(">u8").tobytes().hex()
    return [digits[place : place + 32] for place in range(0, len(digits), 32)]


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


def _write_texts(
    folder: Path, parts: Parts, unlabelled: pd.DataFrame, store: TextStore, params: Ingest
) -> None:
    """Write the labelled texts of each part and those to pretrain on into ``folder``."""
    classes = list(params.labels)
    total = sum(_sizes(parts).values()) + len(unlabelled)
    with bar("ingest: write", total) as progress:
        for part, reviews in parts.items():
            with pq.ParquetWriter(folder / f"{part}.parquet", SCHEMA) as writer:
                for rows in _row_groups(reviews):
                    texts = store.take(rows.index.to_numpy(np.int64), ["id", "text", "language"])
                    writer.write_table(review_table(rows, texts, classes), ROW_GROUP)
                    progress.advance(len(rows), note=part)
        to_pretrain_on = pa.schema([("text", pa.string())])
        with pq.ParquetWriter(folder / "unlabelled.parquet", to_pretrain_on) as writer:
            for rows in _row_groups(unlabelled):
                texts = store.take(rows.index.to_numpy(np.int64), ["text"])
                writer.write_table(texts.cast(to_pretrain_on), ROW_GROUP)
                progress.advance(len(rows), note="to pretrain on")


def _row_groups(reviews: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield ``reviews`` in pieces, each of which is one row group of a Parquet file."""
    # an empty file has one row group, too, as pq.write_table writes it
    for start in range(0, max(1, len(reviews)), ROW_GROUP):
        yield reviews.iloc[start : start + ROW_GROUP]


def _schema(raw: Path, parts: Parts, params: Ingest) -> dict[str, Any]:
    """Return the content of schema.json: what the data can teach, and where they come from."""
    return {
        "classes": list(params.labels),
        "aspects": _aspects(parts),
        "polarities": list(params.polarities),
        "rows": _sizes(parts),
        **about(raw),
    }


def _aspects(parts: Parts) -> list[str]:
    """Return every aspect that any text of any part was annotated with."""
    categories = set()
    for reviews in parts.values():
        for aspects in reviews["aspects"].dropna():
            categories |= {aspect["category"] for aspect in aspects}
    return sorted(categories)
