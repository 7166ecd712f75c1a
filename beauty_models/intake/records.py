"""A record of a table: what every format is read into, and typed values as cells of text."""

from __future__ import annotations

import json
from datetime import date, time
from decimal import Decimal
from typing import Any, NamedTuple


class Record(NamedTuple):
    """A row as it was read; the first record of a file is its header."""

    number: int  # the line on which it begins (Parquet: its number), from 1
    cells: list[str]
    reason: str = ""  # why it is rejected


def cell_text(value: Any) -> str:
    """Return what a cell of a typed table says, as a cell of a delimited one would say it."""
    if value is None or value != value:  # NaN is not equal to itself
        return ""
    if isinstance(value, str):
        return value
    # pandas writes a column of integers with a gap in it as floats: 5.0 is the star rating 5.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        # Impala and Hive write texts without the mark that says so.
        return value.decode("utf-8", "lost").replace("\0", "")
    if isinstance(value, Decimal):
        return _plain_decimal(value)
    if isinstance(value, list | tuple) and len(value) == 1 and isinstance(value[0], str):
        return value[0]
    if isinstance(value, bool | int | float | list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=cell_text)
    return str(value)


def string_list(cell: str) -> list[str] | None:
    """Return the items of a cell that is a JSON list of texts, as typed tables hold; else None."""
    if not cell.lstrip().startswith("["):
        return None
    try:
        items = json.loads(cell)
    except (ValueError, RecursionError):
        return None
    return items if all(isinstance(item, str) for item in items) else None


def texts_of(cell: str) -> list[str]:
    """Return the texts of a cell: those of a list of them, none of an empty one, or it alone."""
    items = string_list(cell)
    return [cell] if items is None else items


def _plain_decimal(value: Decimal) -> str:
    """Return ``value`` as people write it: ``5.00`` is the star rating 5."""
    if not value.is_finite():
        return ""
    whole = value.to_integral_value()
    return str(int(whole)) if value == whole else format(value.normalize(), "f")
