"""Rows and pictures that are not taken: kept with their reasons, counted, and refused where they are too many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from beauty_models.files import new_file
from beauty_models.intake import tables

_SCHEMA = pa.schema(
    [("file", pa.string()), ("row", pa.int64()), ("reason", pa.string()), ("text", pa.string())]
)


class Rejected(NamedTuple):
    """A row, or a picture file (row 0), that is not taken."""

    file: str
    row: int
    reason: str
    text: str


def rejected_table(rejected: Sequence[Rejected]) -> pa.Table:
    """Return the content of rejected.parquet."""
    rows = sorted(row._replace(text=row.text[: tables.EXCERPT]) for row in rejected)
    return pa.table(
        [list(column) for column in zip(*rows, strict=True)] or [[]] * len(_SCHEMA), schema=_SCHEMA
    )


def check_rejected(rejected: Sequence[Rejected], share: float, limit: float, data: Path) -> None:
    """Fail when the ``share`` of rejected rows is above ``limit``, and leave them beside ``data``.

    Raises:
        ValueError: it is; the most frequent reasons are told.
    """
    left = data.with_name(f"{data.name}.rejected.parquet")
    left.unlink(missing_ok=True)
    if share <= limit:
        return
    with new_file(left) as temporary:
        pq.write_table(rejected_table(rejected), temporary)
    lines = [
        f"{share:.0%} of the rows are rejected, ingest.max_rejected allows {limit:.0%}; all of them are in {left}"
    ]
    for reason, count in Counter(row.reason for row in rejected).most_common(5):
        first = min(row for row in rejected if row.reason == reason)
        lines.append(f"  {count} times: {reason} (first in {first.file}, row {first.row})")
    raise ValueError("\n".join(lines))
