"""Rows and pictures that are not taken: kept with reasons, counted, refused where too many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from beauty_models.files import new_file

EXCERPT = 200  # characters of a rejected row that are kept
LISTED_REASONS = 5  # in the message

_SCHEMA = pa.schema(
    [
        ("file", pa.string()),
        ("row", pa.int64()),
        ("reason", pa.string()),
        ("text", pa.string()),
    ]
)


class Rejected(NamedTuple):
    """A row, or a picture file (row 0), that is not taken."""

    file: str
    row: int
    reason: str
    text: str


def reject(rows: pd.DataFrame, reasons: Sequence[str]) -> None:
    """Reject the ``rows`` that have a reason among ``reasons``, "" being none, and none yet.

    A rejected row stays in its frame, with its reason in the column ``reason``, so that it can be
    named with file and line in the end. What was wrong with it first is what is told.
    """
    rows["reason"] = [old or new for old, new in zip(rows["reason"], reasons, strict=True)]


def reject_where(rows: pd.DataFrame, bad: pd.Series[bool], reason: str) -> None:
    """Reject the ``rows`` that are ``bad`` and have no reason yet."""
    rows.loc[bad & (rows["reason"] == ""), "reason"] = reason


def good_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the ``rows`` that are not rejected."""
    return rows[rows["reason"] == ""]


def rejected_rows(rows: pd.DataFrame) -> list[Rejected]:
    """Return the ``rows`` that are rejected, in their order."""
    bad = rows[rows["reason"] != ""]
    fields = bad[list(Rejected._fields)]
    return list(map(Rejected._make, fields.itertuples(index=False, name=None)))


def rejected_table(rejected: Sequence[Rejected]) -> pa.Table:
    """Return the content of rejected.parquet."""
    shortened = []
    for row in rejected:
        excerpt = row.text[:EXCERPT]
        shortened.append(row._replace(text=excerpt))
    rows = [row._asdict() for row in sorted(shortened)]
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
        # The first one in the files is told, wherever it stands among the rejected ones.
        first = min(row for row in rejected if row.reason == reason)
        place = f"first in {first.file}, row {first.row}"
        lines.append(f"  {count} times: {reason} ({place})")
    if remedy:
        lines.append(remedy)
    raise ValueError("\n".join(lines))
