"""What the exports of all shop systems share: rows by line, and options as one column."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import cast

import pandas as pd

Row = dict[str, str]
"""Column → cell."""

Lines = list[tuple[int, Row]]
"""Rows, each with its line in the file."""


def in_small_letters(rows: pd.DataFrame) -> pd.DataFrame:
    """Return ``rows`` under their names in small letters: systems changed them between versions."""
    return rows.set_axis([str(column).strip().casefold() for column in rows.columns], axis=1)


def by_line(rows: pd.DataFrame) -> Lines:
    """Return the rows of ``rows`` one by one."""
    records = rows.to_dict("records")
    return [(int(line), cast(Row, row)) for line, row in zip(rows.index, records, strict=True)]


def frame(lines: Lines, index_name: object) -> pd.DataFrame:
    """Return rows as a frame of strings whose index is their lines."""
    index = pd.Index([line for line, _ in lines], name=index_name)
    return pd.DataFrame([row for _, row in lines], index=index).fillna("").astype(object)


def attributes(options: dict[str, str]) -> str:
    """Return option → value as the cell that `products.attributes` reads."""
    return json.dumps(options, ensure_ascii=False) if options else ""


def pictures(names: Iterable[str]) -> str:
    """Return the names of pictures as one cell, the main one first, none twice."""
    return "\n".join(dict.fromkeys(filter(None, names)))
