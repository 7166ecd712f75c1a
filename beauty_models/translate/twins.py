"""Two files of listings in two languages, matched: which of the second is which of the first?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from beauty_models.serving.readers import open_source
from beauty_models.serving.rows import cell
from beauty_models.translate.matching import Matcher, Twin
from beauty_models.translate.pipeline import Pipeline

CHUNK_ROWS = 10_000
NOT_MUTUAL = "another listing is nearer to this twin"
TWIN = "twin_"  # before the names of the columns of the twin's file

Row = dict[str, Any]


def match_files(
    model: Path, listings: Path, twins: Path, column: str, source: str, target: str
) -> list[Row]:
    """Return a row for each of ``listings``, with its twin among ``twins``.

    Args:
        model: a folder that finetune wrote.
        listings: a table; its column ``column`` is in the language ``source``.
        twins: a table with a column of that name, in the language ``target``.
        column: of the texts that are compared.
        source: name of a language of the model.
        target: another one, or the same.

    Returns:
        ``row`` and ``text`` of the listing; ``twin_row``, ``similarity`` (−1 to 1) and ``look``
        (why a person should look at it), and all columns of the twin behind ``twin_``. A listing
        without a text has no twin.

    Raises:
        ValueError: a language is none of the model's, or a file cannot be read, lacks the column or
            has no text in it.
    """
    ours = _read(listings, column)
    theirs = _read(twins, column)
    pipeline = Pipeline.load(model)
    source, target = pipeline.language(source), pipeline.language(target)
    matcher = Matcher.load(model, pipeline.methods)
    found = _twins(matcher, ours, theirs, column, source, target)
    rows = []
    for number, listing in enumerate(ours):
        row: Row = {"row": number + 1, "text": listing[column]}
        twin = found.get(number)
        if twin is None:
            rows.append(row | {"twin_row": None, "similarity": None, "look": "no text"})
            continue
        row |= {"twin_row": twin.row + 1, "similarity": round(twin.similarity, 4)}
        row["look"] = None if twin.mutual else NOT_MUTUAL
        rows.append(row | {TWIN + name: value for name, value in theirs[twin.row].items()})
    return rows


def _twins(
    matcher: Matcher,
    ours: list[Row],
    theirs: list[Row],
    column: str,
    source: str,
    target: str,
) -> dict[int, Twin]:
    """Return number of a listing → its twin, of those that have a text."""
    asked = [number for number, row in enumerate(ours) if row[column]]
    known = [number for number, row in enumerate(theirs) if row[column]]
    queries = matcher.read([ours[number][column] for number in asked], source, "listings")
    gallery = matcher.read([theirs[number][column] for number in known], target, "twins")
    found = {}
    for number, twin in zip(asked, matcher.twins(queries, gallery), strict=True):
        found[number] = twin._replace(row=known[twin.row])
    return found


def _read(file: Path, column: str) -> list[Row]:
    """Return the rows of a table; the cells of ``column`` as texts."""
    table = open_source(file, file)
    if column not in table.columns:
        there = ", ".join(map(repr, table.columns))
        raise ValueError(f"{file}: there is no column {column!r}; there are {there}: --column")
    rows: list[Row] = []
    for chunk in table.chunks(CHUNK_ROWS):
        for record in chunk.records:
            if record.fault:
                raise ValueError(f"{file}: row {len(rows) + 1}: {record.fault}")
            rows.append(record.values | {column: cell(record.values.get(column)).strip()})
    if not any(row[column] for row in rows):
        raise ValueError(f"{file}: no text in the column {column!r}")
    return rows
