"""The tables of a delivery: reviews, and annotations of their aspects, told apart by columns."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from beauty_models.intake import account, columns, tables
from beauty_models.intake.records import texts_of
from beauty_models.intake.rejected import Rejected
from beauty_models.progress import bar
from beauty_models.sentiment import POLARITY_WORDS, Columns
from beauty_models.sentiment.cleaning import Batch, Cleaned, Cleaner
from beauty_models.sentiment.fields import ANNOTATION, REVIEW, Fields
from beauty_models.sentiment.texts import TextStore

ON_DISK = ("id", "text")  # of a review: in the `TextStore`
MOST_SHARED = 1_000_000  # strings that are looked for among the next ones


class Deliveries(NamedTuple):
    """What the files of a source hold, one row each, with its file, row and reason."""

    reviews: pd.DataFrame  # without `ON_DISK`
    annotations: pd.DataFrame
    columns: str  # in words, which columns every file has


def read_deliveries(raw: Path, known: Columns, cleaner: Cleaner, store: TextStore) -> Deliveries:
    """Return the rows of every table below ``raw``, whose columns are among the ``known`` ones.

    Texts and ids of reviews go through ``cleaner`` into ``store``; a review's number is the same in
    both.

    Raises:
        ValueError: there is no table, or one cannot be read or is of neither kind.
    """
    reviews = _Reviews(cleaner, store)
    annotations = [_empty_frame(ANNOTATION)]
    descriptions = []
    files = _readable_files(raw)
    sizes = [file.stat().st_size for file in files]
    with bar("ingest: read", sum(sizes)) as progress:
        for file, size in zip(files, sizes, strict=True):
            name = file.relative_to(raw).as_posix()
            column_of: dict[str, str] = {}
            kind = REVIEW
            read = 0.0  # share of the file
            for number, table in enumerate(tables.batches(file, raw)):
                if number == 0:
                    header = list(table.rows.columns)
                    column_of = columns.pick(header, known.model_dump())
                    account.tell_columns(file, header, column_of, known.model_dump())
                    description = _description(file, table.rows, column_of)
                    descriptions.append(description)
                    # by its columns: the names of files are the deliverer's own
                    kind = _kind(table.rows, column_of, description)
                frame = _frame(table, column_of, kind)
                frame["file"] = name
                if kind is REVIEW:
                    reviews.add(frame)
                else:
                    annotations.append(frame)
                progress.advance(int(size * (table.read - read)), note=file.name)
                read = table.read
            progress.advance(size - int(size * read), note=file.name)
    return Deliveries(
        reviews=reviews.frame(),
        annotations=pd.concat(annotations, ignore_index=True),
        columns="; ".join(descriptions),
    )


class _Reviews:
    """Reviews as they are read: what is short stays in memory, texts and ids go to the disk."""

    def __init__(self, cleaner: Cleaner, store: TextStore) -> None:
        self._cleaner = cleaner
        self._store = store
        self._frames = [_empty_frame(REVIEW).drop(columns=list(ON_DISK))]
        self._faults: list[str] = []
        # A rating, a product or a day stands in many rows: one string for all of them.
        self._equal: dict[str, str] = {}

    def add(self, frame: pd.DataFrame) -> None:
        """Take the rows of one batch."""
        batch = Batch(
            ids=frame["id"].tolist(),
            texts=frame["text"].tolist(),
            good=(frame["reason"] == "").tolist(),
        )
        short = frame.drop(columns=list(ON_DISK))
        for name in short.columns.difference(["row"]):
            short[name] = self._shared(short[name].tolist())
        self._frames.append(short)
        self._keep(self._cleaner.add(batch))

    def frame(self) -> pd.DataFrame:
        """Return all rows, numbered as in the store, with the column length_fault."""
        self._keep(self._cleaner.rest())
        self._store.seal()
        reviews = pd.concat(self._frames, ignore_index=True)
        reviews["row"] = reviews["row"].astype("int64")
        reviews["length_fault"] = pd.Series(self._faults, dtype=object)
        return reviews

    def _keep(self, batches: Iterable[Cleaned]) -> None:
        for cleaned in batches:
            self._store.append(cleaned.rows)
            self._faults += self._shared(cleaned.faults).tolist()

    def _shared(self, cells: Sequence[str]) -> NDArray[np.object_]:
        """Return ``cells`` with one object for equal ones."""
        if len(self._equal) > MOST_SHARED:
            self._equal.clear()
        shared = [self._equal.setdefault(cell, cell) for cell in cells]
        return np.array(shared, dtype=object)


def _empty_frame(kind: Fields) -> pd.DataFrame:
    """Return a frame of this kind without rows: there may be no file of it."""
    names = dict.fromkeys([*kind, *Rejected._fields])
    return pd.DataFrame(columns=list(names))


def _readable_files(raw: Path) -> list[Path]:
    """Return the tables below ``raw``, and tell of the other files."""
    formats = ", ".join(tables.SUFFIXES)
    readable = []
    for file in tables.delivered_files(raw):
        if tables.is_table(file):
            readable.append(file)
        else:
            account.leave_aside("files", "no table that is read", file)
    if not readable:
        raise ValueError(f"{raw}: no {formats} file in it")
    return readable


def _description(file: Path, rows: pd.DataFrame, column_of: dict[str, str]) -> str:
    """Return which columns a file has, and which may be the label where none is known as one."""
    listed = ", ".join(rows.columns)
    description = f"{file} has the columns {listed}"
    known = set(column_of)
    if known & {"label", "rating", "polarity"}:
        return description
    candidates = columns.label_columns(rows, POLARITY_WORDS, column_of.values())
    if len(candidates) == 1:
        name = "rating" if columns.are_ratings(rows[candidates[0]]) else "label"
        description += f" (perhaps --map {name}={candidates[0]})"
    return description


def _kind(rows: pd.DataFrame, column_of: dict[str, str], description: str) -> Fields:
    """Return `REVIEW` or `ANNOTATION`, by the fields that the table has."""
    if "text" in column_of:
        return REVIEW
    if {"id", "aspect", "polarity"} <= set(column_of):
        return ANNOTATION
    remedy = _map_remedy(rows, column_of)
    raise ValueError(
        f"{description}; none of them is known as the text: add {remedy} "
        "(or the name to ingest.columns.text); `beauty init FILE` looks at a file and proposes"
    )


def _map_remedy(rows: pd.DataFrame, column_of: dict[str, str]) -> str:
    """Return the ``--map`` of the likeliest text of ``rows``, and of a label that stands out."""
    taken = set(column_of.values())
    text = columns.text_column(rows, taken)
    assignments = [f"text={text or 'COLUMN'}"]
    labels = columns.label_columns(rows, POLARITY_WORDS, {*taken, text})
    has_label = "label" in column_of or "rating" in column_of
    # of several candidates nobody knows which one is meant
    if not has_label and len(labels) == 1:
        name = "rating" if columns.are_ratings(rows[labels[0]]) else "label"
        assignments.append(f"{name}={labels[0]}")
    mapping = ",".join(assignments)
    return f"--map {shlex.quote(mapping)}"


def _frame(table: tables.Table, column_of: dict[str, str], fields: Fields) -> pd.DataFrame:
    """Return good and bad rows with the columns ``fields``, row, text and reason."""
    cells = {}
    for field in fields:
        column = column_of.get(field)
        cells[field] = table.rows[column] if column else ""
    # object: a column that is not there is "" in all rows, with no rows of no other type
    good = pd.DataFrame(cells, index=table.rows.index, dtype=object)
    good = good.assign(reason="").reset_index()
    if "text" in fields:
        good["text"] = [" ".join(texts_of(cell)) for cell in good["text"]]
    else:
        # rejected.parquet shows people by its text which row it is
        rows = good[list(fields)].itertuples(index=False, name=None)
        good["text"] = list(map(" ".join, rows))
    bad = table.rejected.reindex(columns=good.columns, fill_value="")
    return pd.concat([good, bad], ignore_index=True)
