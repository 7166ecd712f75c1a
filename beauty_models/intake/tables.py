"""Tables as they are delivered, in any encoding and with any dirt, as frames of strings.

CSV, TSV, JSON Lines and Parquet. A row that cannot be read is kept with its reason.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import ftfy
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from charset_normalizer import from_bytes

from beauty_models.intake.provenance import ABOUT
from beauty_models.progress import log_line

LONGEST_ROW = 1_000_000  # characters; a longer row is a broken file, not data
GUESSED_BY = 200_000  # bytes of a file that is not UTF-8, by which its encoding is guessed
EXCERPT = 200  # characters of a rejected row that are kept

# What charset-normalizer may answer: the encodings in which shops export, and no others.
ENCODINGS = [
    "gb18030",
    "big5",
    "utf_16_le",
    "utf_16_be",
    "shift_jis",
    "euc_jp",
    "cp949",
    "cp1252",
    "cp1251",
]
DELIMITERS = [",", "\t", ";", "|"]
NO_DELIMITER = "\x1f"  # the unit separator: no text holds it, so the file has one column

# The longer mark first: that of UTF-16-LE begins that of UTF-32-LE.
_BOMS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}

# Bytes that do not fit the encoding become a lone surrogate, which no valid text can hold, so that
# they can be told from a replacement character that was delivered.
_LOST = re.compile("[\ud800-\udfff]")
codecs.register_error("lost", lambda error: ("\udcff", error.end))  # type: ignore[attr-defined]

csv.field_size_limit(sys.maxsize)  # LONGEST_ROW rejects the row; csv would end the whole file


class Record(NamedTuple):
    """A row as it was read; the first record of a file is its header."""

    number: int  # the line on which it begins (Parquet: its number), from 1
    cells: list[str]
    reason: str = ""  # why it is rejected


class EmptyTableError(ValueError):
    """A table with a header and no rows."""


class Table(NamedTuple):
    """The good and the bad rows of a file."""

    rows: pd.DataFrame
    """The file's columns as strings, "" where nothing is; the index is the records' number."""
    rejected: pd.DataFrame
    """Columns row (as above), reason and text (of the row, `EXCERPT` characters at most)."""


def delivered_files(raw: Path) -> list[Path]:
    """Return the files below ``raw`` in one order on every machine.

    Without those that say something of the data (`ABOUT`), and without hidden ones: ``.DS_Store``
    and its like are no deliveries.
    """
    files = []
    for path in raw.rglob("*"):
        hidden = path.name.startswith(".")
        if path.is_file() and not hidden and path.name not in ABOUT:
            files.append(path)
    return sorted(files)


def is_table(file: Path) -> bool:
    """Return whether ``file`` is of a format that `read` knows, by its suffix."""
    return file.suffix.lower() in SUFFIXES


def example_id(file: str, row: int, given: str) -> str:
    """Return by what people know an example: the table's name and its id there, else its row.

    ``row`` is 0 of what stands in no table, such as a loose picture: that is known by ``given``.
    """
    # With the table's name, for several tables may count from 1.
    return f"{Path(file).stem}:{given or row}" if row else given


def _is_utf8(lines: Iterable[bytes]) -> bool:
    """Return whether of the lines that are not ASCII nine of ten are UTF-8."""
    total = 0
    broken = 0
    for line in lines:
        if line.isascii():
            continue
        total += 1
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            broken += 1
    return broken <= 0.1 * total


def encoding_of(stream: BinaryIO, name: str) -> str:
    """Return the encoding of the text in ``stream``; ``name`` is for the messages.

    A byte order mark decides; else it is UTF-8 when 9 of 10 lines that are not ASCII are valid;
    else charset-normalizer guesses by the first `GUESSED_BY` bytes.

    Raises:
        ValueError: nothing fits.
    """
    head = stream.read(GUESSED_BY)
    stream.seek(0)
    encoding = _marked_encoding(head)
    if not encoding:
        encoding = "utf-8" if _is_utf8(stream) else _guessed_encoding(head, name)
    if encoding != "utf-8":
        log_line(f"{name}: read as {encoding}, not UTF-8")
    return encoding


def _marked_encoding(head: bytes) -> str:
    """Return the encoding whose byte order mark a file begins with, or ""."""
    for mark, encoding in _BOMS.items():
        if head.startswith(mark):
            return encoding
    return ""


def _guessed_encoding(head: bytes, name: str) -> str:
    guess = from_bytes(head, cp_isolation=ENCODINGS).best()
    if guess is None:
        raise ValueError(
            f"{name}: neither UTF-8 nor any of {', '.join(ENCODINGS)}; save it as UTF-8"
        )
    return guess.encoding


def decode(content: bytes, name: str) -> str:
    """Return ``content`` as text without BOMs and NULs, in the encoding that `encoding_of` finds.

    What does not fit it becomes a lone surrogate.
    """
    encoding = encoding_of(io.BytesIO(content), name)
    return content.decode(encoding, "lost").translate({0xFEFF: None, 0: None})


def delimiter_of(header: str) -> str:
    """Return the delimiter that cuts ``header`` into most cells; `NO_DELIMITER` when none does."""

    def cell_count(delimiter: str) -> int:
        # By csv, so that a comma within quotes does not count.
        return len(next(csv.reader([header], delimiter=delimiter)))

    best = max(DELIMITERS, key=cell_count)
    return best if best in header else NO_DELIMITER


def _delimited(text: str) -> Iterator[Record]:
    """Yield the records of delimited text.

    A quote that is never closed costs its own line only.
    """
    lines = io.StringIO(text, newline=None).readlines()
    start = 0
    while start < len(lines) and not lines[start].strip():
        start += 1
    delimiter = delimiter_of(lines[start]) if start < len(lines) else ","
    width = 0
    while start < len(lines):
        cells, used, reason = _next_record(lines, start, delimiter)
        width = width or len(cells)
        if not reason and len(cells) != width:
            reason = f"{len(cells)} cells where the header has {width}"
        if lines[start].strip():
            yield Record(start + 1, cells, reason)
        start += used


def _next_record(lines: list[str], start: int, delimiter: str) -> tuple[list[str], int, str]:
    """Return the cells of the record at line ``start``, how many lines it takes, and its fault."""
    # Indices, not a slice: a copy of the rest for each record would make the file quadratic.
    rest = (lines[line] for line in range(start, len(lines)))
    reader = csv.reader(rest, delimiter=delimiter)
    cells = next(reader)
    used = reader.line_num
    if used > 1:
        # Without `strict`, csv takes all that follows an open quote for one cell, to the file's
        # end, and says nothing.
        try:
            next(csv.reader(lines[start : start + used], delimiter=delimiter, strict=True))
        except csv.Error:
            return [lines[start]], 1, "a quote that is not closed"
    return cells, used, ""


def _cell(value: Any) -> str:
    if value is None or value != value:  # NaN is not equal to itself
        return ""
    if isinstance(value, str):
        return value
    # pandas writes a column of integers with a gap in it as floats: 5.0 is the star rating 5.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, date):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False, default=str)


def _json_lines(text: str) -> Iterator[Record]:
    """Yield the records of JSON Lines, or of one JSON array of objects.

    The header has the keys of all objects in order of appearance.
    """
    if text.lstrip().startswith("["):
        text = "\n".join(json.dumps(item) for item in _json_array(text))
    lines = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            lines.append((number, line))
    header: dict[str, None] = {}  # an ordered set
    objects: dict[int, dict[str, Any]] = {}  # by line, without the broken ones
    faults: dict[int, str] = {}
    for number, line in lines:
        value, reason = _json_object(line)
        if reason:
            faults[number] = reason
        elif value is not None:
            objects[number] = value
            header.update(dict.fromkeys(value))
    yield Record(0, list(header))
    for number, line in lines:
        if number in faults:
            yield Record(number, [line], faults[number])
        elif number in objects:
            yield Record(number, [_cell(objects[number].get(key)) for key in header])


def _json_object(line: str) -> tuple[Any, str]:
    """Return what ``line`` says, and what is wrong with it; (None, "") for ``null``."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None, "not valid JSON: cut off or damaged"
    if value is None or isinstance(value, dict):
        return value, ""
    return None, "not a JSON object"


def _json_array(text: str) -> list[Any]:
    """Return the items of a JSON array; of one that is damaged the text itself, to be rejected."""
    try:
        items: list[Any] = json.loads(text)
    except (ValueError, RecursionError):
        return [text]
    return items


def _parquet(file: Path) -> Iterator[Record]:
    try:
        with pq.ParquetFile(file) as opened:
            table = opened.read()
    except (pa.ArrowException, OSError) as error:
        flaw = str(error).splitlines()[0]
        raise ValueError(
            f"{file}: not a Parquet file that can be read ({flaw:.100}); write or download it again"
        ) from None
    yield Record(0, list(table.column_names))
    columns = [column.to_pylist() for column in table.columns]
    for number, values in enumerate(zip(*columns, strict=True), start=1):
        yield Record(number, [_cell(value) for value in values])


TEXT_READERS = {
    ".csv": _delimited,
    ".tsv": _delimited,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json_lines,
}
SUFFIXES = (*TEXT_READERS, ".parquet")


def _records(file: Path) -> Iterator[Record]:
    suffix = file.suffix.lower()
    assert suffix in SUFFIXES, file
    if suffix == ".parquet":
        return _parquet(file)
    return TEXT_READERS[suffix](decode(file.read_bytes(), str(file)))


def _repair(cell: str) -> str:
    """Return ``cell`` stripped, and decoded again when it is UTF-8 that was read as something else.

    ``å¾ˆå¥½`` becomes 很好.
    """
    if cell.isascii():
        return cell.strip()
    return ftfy.fix_encoding(cell).strip()


def _fault(cells: list[str]) -> str:
    """Return why a row that was read cannot be used, or ""."""
    length = sum(map(len, cells))
    if length > LONGEST_ROW:
        return f"{length} characters, a row has {LONGEST_ROW} at most"
    if any(_LOST.search(cell) for cell in cells):
        return "characters that are lost: bytes that do not fit the file's encoding"
    return ""


def read(file: Path) -> Table:
    """Return the rows of ``file`` and those that could not be read, whatever is wrong with them.

    The suffix (`SUFFIXES`) says the format, the header the delimiter. Mojibake is repaired cell by
    cell.

    Raises:
        EmptyTableError: it has no rows.
        ValueError: the file is empty, names a column twice, is in no known encoding, or is broken
            Parquet.
    """
    if not file.stat().st_size:
        raise ValueError(f"{file}: the file is empty; was the download cut off?")
    records = _records(file)
    header = _header(file, next(records, Record(0, [])).cells)
    numbers: list[int] = []
    rows: list[list[str]] = []
    rejected: list[tuple[int, str, str]] = []
    for number, cells, flaw in records:
        reason = flaw or _fault(cells)
        if reason:
            # A lone surrogate cannot be written to Parquet.
            excerpt = _LOST.sub("?", " ".join(cells)[:EXCERPT])
            rejected.append((number, reason, excerpt))
        else:
            numbers.append(number)
            rows.append(list(map(_repair, cells)))
    if not rows and not rejected:
        raise EmptyTableError(f"{file}: no rows below the header; was the download cut off?")
    index = pd.Index(numbers, name="row")
    return Table(
        rows=pd.DataFrame(rows, columns=header, index=index, dtype=object),
        rejected=pd.DataFrame(rejected, columns=["row", "reason", "text"]),
    )


def _header(file: Path, cells: list[str]) -> list[str]:
    """Return the names of the columns; one without a name is called by its place."""
    names = []
    for place, cell in enumerate(cells, start=1):
        names.append(cell.strip() or f"column {place}")
    counts = Counter(names)
    doubled = sorted(name for name in counts if counts[name] > 1)
    if doubled:
        raise ValueError(f"{file}: the column {', '.join(doubled)} is there twice; rename one")
    return names
