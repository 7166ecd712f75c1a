"""Rows of a file as they were written: what a row is, and how its values look as text.

For whoever answers rows and gives them back: nothing is stripped, repaired or left out, as
`beauty_models.intake.tables` does for training.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
JSON = ".json"  # an array of objects, or JSON Lines under another name
PARQUET = ".parquet"
GZIP = ".gz"  # behind any of them but Parquet, which is compressed within
FORMATS = (*DELIMITERS, *JSON_LINES, JSON, PARQUET)
ENDINGS = f"{', '.join(FORMATS)}; all but {PARQUET} also with {GZIP} behind"

PICTURE = "file"  # the column of a folder's rows: the picture's path below the folder
LINE = "line"  # the column of a line that is no JSON object
ERROR = "error"  # the answer that says why there is none

BYTE_ORDER_MARK = "\ufeff"

# A lone surrogate stands where bytes did not fit the encoding (the error handler "lost" of
# `intake.tables`). No valid text holds one.
LOST = re.compile("[\ud800-\udfff]")

Row = dict[str, Any]
"""Column → value."""


class Format(NamedTuple):
    """What the name of a table says of its content."""

    suffix: str  # one of `FORMATS`
    gzipped: bool


def format_of(path: Path) -> Format | None:
    """Return the format of ``path`` by the end of its name; None where it is none of `ENDINGS`."""
    gzipped = path.suffix.lower() == GZIP
    suffix = (path.with_suffix("") if gzipped else path).suffix.lower()
    if suffix not in FORMATS or (gzipped and suffix == PARQUET):
        return None
    return Format(suffix, gzipped)


@dataclass
class Record:
    """One row of a file."""

    values: Row
    fault: str = ""  # why it cannot be asked about
    written: str | None = None  # its characters in a text file, where they are kept


@dataclass
class Chunk:
    """Some rows in a row."""

    records: list[Record]
    batch: pa.RecordBatch | None = None  # what Parquet holds of them


class Source(Protocol):
    """What all formats offer. ``total`` and ``done`` count bytes or rows, for a bar."""

    columns: list[str]
    total: int
    done: int

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Yield the rows from the first one on, ``size`` at a time."""
        ...


class WrittenFloat(float):
    """A number of a JSON file that is shown as it stands in the file: 91.90 and not 91.9."""

    text: str

    def __new__(cls, text: str) -> WrittenFloat:
        """Return the number that ``text`` says."""
        # A float cannot be changed once it is made, so `__init__` would come too late.
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __str__(self) -> str:
        """Return the number as it was written."""
        return self.text


def cell(value: Any) -> str:
    """Return ``value`` as a cell of text.

    "" for None, nested values as JSON, bytes as UTF-8 or else base64.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    # "True" and "{'a': 1}" are Python's spelling, which no other program reads.
    if isinstance(value, bool | dict | list):
        return json_text(value)
    if isinstance(value, bytes):
        return _decoded(value)
    return str(value)


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64_text(value)


def base64_text(value: bytes) -> str:
    """Return ``value`` in base64."""
    return base64.b64encode(value).decode()


def json_text(value: Any) -> str:
    """Return ``value`` as JSON on one line; dates, decimals and bytes become texts."""
    # Chinese stays Chinese: with \u escapes nobody could read the answers.
    return json.dumps(value, ensure_ascii=False, default=cell)


def writable(text: str) -> str:
    """Return ``text`` so that UTF-8 can hold it: what was lost in reading becomes U+FFFD."""
    return LOST.sub("\ufffd", text)
