"""The tables of a delivery: reviews, and annotations of their aspects, told apart by columns."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from beauty_models.intake import account, columns, tables
from beauty_models.intake.rejected import Rejected
from beauty_models.progress import bar
from beauty_models.sentiment import POLARITY_WORDS, Columns
from beauty_models.sentiment.fields import ANNOTATION, REVIEW, Fields


class Deliveries(NamedTuple):
    """What the files of a source hold, one row each, with its file, row, text and reason."""

    reviews: pd.DataFrame
    annotations: pd.DataFrame
    columns: str  # in words, which columns every file has


def read_deliveries(raw: Path, known: Columns) -> Deliveries:
    """Return the rows of every table below ``raw``, whose columns are among the ``known`` ones.

    Raises:
        ValueError: there is no table, or one cannot be read or is of neither kind.
    """
    frames = {
        REVIEW: [_empty_frame(REVIEW)],
        ANNOTATION: [_empty_frame(ANNOTATION)],
    }
    descriptions = []
    files = _readable_files(raw)
    with bar("ingest: read", len(files)) as progress:
        for file in files:
            table = tables.read(file, raw)
            header = list(table.rows.columns)
            column_of = columns.pick(header, known.model_dump())
            description = _description(file, table.rows, column_of)
            descriptions.append(description)
            # by its columns: the names of files are the deliverer's own
            kind = _kind(table.rows, column_of, description)
            frame = _frame(table, column_of, kind)
            frame["file"] = file.relative_to(raw).as_posix()
            frames[kind].append(frame)
            progress.advance(note=file.name)
    return Deliveries(
        reviews=pd.concat(frames[REVIEW], ignore_index=True),
        annotations=pd.concat(frames[ANNOTATION], ignore_index=True),
        columns="; ".join(descriptions),
    )


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
        description += f" (perhaps --map label={candidates[0]})"
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
        assignments.append(f"label={labels[0]}")
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
    if "text" not in fields:
        # rejected.parquet shows people by its text which row it is
        rows = good[list(fields)].itertuples(index=False, name=None)
        good["text"] = list(map(" ".join, rows))
    bad = table.rejected.reindex(columns=good.columns, fill_value="")
    return pd.concat([good, bad], ignore_index=True)
