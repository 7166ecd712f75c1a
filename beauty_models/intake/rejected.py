"""Rows and pictures that are not taken: kept with reasons, counted, refused where too many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from beauty_models.files import new_file
from beauty_models.intake import tables

LISTED_REASONS = 5  # in the message

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
    rows = []
    for row in sorted(row._replace(text=row.text[: tables.EXCERPT]) for row in rejected):
        rows.append(row._asdict())
    return pa.Table.from_pylist(rows, schema=_SCHEMA)


def check_rejected(
    rejected: Sequence[Rejected], share: float, limit: float, data: Path, remedy: str = ""
) -> None:
    """Fail when the ``share`` of rejected rows is above ``limit``, and leave them beside ``data``.

    Raises:
        ValueError: it is; the most frequent reasons are told, and the family's ``remedy``.
    """
    # Not in `data`, which does not come into being when this fails; a later success clears it.
    report = data.with_name(f"{data.name}.rejected.parquet")
    report.unlink(missing_ok=True)
    if share <= limit:
        return
    with new_file(report) as temporary:
        pq.write_table(rejected_table(rejected), temporary)
    lines = [
        f"{share:.0%} of the rows are rejected, ingest.max_rejected allows {limit:.0%}; "
        f"all of them are in {report}"
    ]
    counts = Counter(row.reason for row in rejected)
    for reason, count in counts.most_common(LISTED_REASONS):
        first = min(row for row in rejected if row.reason == reason)
        lines.append(f"  {count} times: {reason} (first in {first.file}, row {first.row})")
    if remedy:
        lines.append(remedy)
    raise ValueError("\n".join(lines))
