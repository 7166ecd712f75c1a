"""Tables as they are delivered, in any encoding and with any dirt, as frames of strings.

CSV, TSV, JSON Lines, Parquet, workbooks and product feeds in XML, packed or not. A row that cannot
be read is kept with its reason.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import ftfy
import pandas as pd
from ftfy.badness import is_bad

from beauty_models.intake import (
    account,
    delimited,
    delivery,
    feeds,
    json_tables,
    packed,
    parquet_tables,
    template_rows,
    workbooks,
)
from beauty_models.intake.encodings import BEGINNING, LOST, decode, marked_encoding
from beauty_models.intake.lines import lines_on_disk
from beauty_models.intake.provenance import ABOUT
from beauty_models.intake.records import Record
from beauty_models.intake.rejected import EXCERPT

LONGEST_ROW = 1_000_000  # characters; a longer row is a broken file, not data
# What databases, R, pandas and Excel write where there is nothing, as they write it. As a word in
# small letters "none" is a value: a polarity may be it.
NOTHING = {
    *("NULL", "null", "Null", "(null)", "[NULL]", "<null>", "<NULL>", delimited.NO_VALUE),
    *("NA", "N/A", "n/a", "N.A.", "n.a.", "#N/A", "#NA", "<NA>", "<N/A>"),
    *("NaN", "nan", "NAN", "-nan", "-NaN", "NaT", "None"),
    *("#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!"),
}
BATCH = 20_000  # rows that are in memory where a table is read in batches
TEXT_READERS = {
    ".csv": delimited.records,
    ".tsv": delimited.records,
    ".jsonl": json_tables.records,
    ".ndjson": json_tables.records,
    ".json": json_tables.records,
}
DELIMITED = (".csv", ".tsv", ".txt")
WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
FEED = ".xml"
PACKABLE = (*TEXT_READERS, FEED)  # what may be compressed, or alone in a .zip
SUFFIXES = (*TEXT_READERS, ".parquet", *WORKBOOKS, FEED)


class EmptyTableError(ValueError):
    """A table with a header and no rows."""


class Table(NamedTuple):
    """The good and the bad rows of a file."""

    rows: pd.DataFrame
    """The file's columns as strings, "" where nothing is; the index is the records' number."""
    rejected: pd.DataFrame
    """Columns row (as above), reason and text (of the row, `EXCERPT` characters at most)."""
    read: float = 1.0
    """Share of the file that is read by then, where that is known."""


def delivered_files(raw: Path) -> list[Path]:
    """Return the files below ``raw`` in one order on every machine.

    Without those that say something of the data (`ABOUT`), and without what systems put beside
    them (`delivery`).
    """
    return [path for path in delivery.look(raw).files if path.name not in ABOUT]


def readable(raw: Path, beside: Sequence[str]) -> list[Path]:
    """Return the tables below ``raw``; a file that has no suffix of ``beside`` either is told."""
    found = []
    for file in delivered_files(raw):
        if is_table(file):
            found.append(file)
        elif file.suffix.lower() not in beside:
            account.leave_aside("files", "neither a table nor a picture that is read", file)
    return found


def is_table(file: Path) -> bool:
    """Return whether ``file`` is of a format that `read` knows, by its suffix."""
    return bool(format_of(file))


def may_be_table(name: str) -> bool:
    """Return whether a file called ``name`` can be a table; of a .txt only its content tells."""
    path = Path(name)
    return path.suffix.lower() in (".txt", ".zip", FEED) or bool(format_of(path))


def example_id(file: str, row: int, given: str) -> str:
    """Return by what people know an example: the table's name and its id there, else its row.

    ``row`` is 0 of what stands in no table, such as a loose picture: that is known by ``given``.
    """
    # With the table's name, for several tables may count from 1.
    return f"{Path(file).stem}:{given or row}" if row else given


def format_of(file: Path) -> str:
    """Return which of `SUFFIXES` says the format of ``file``, or "" where none does.

    ``reviews.csv.gz`` is a .csv, and so is a .zip with reviews.csv alone in it; a .txt with a tab
    in its first line is a .tsv: so Excel saves what it calls Unicode Text. XML that is no feed of
    products is no table.
    """
    suffix = file.suffix.lower()
    if suffix in packed.COMPRESSED:
        inner = file.with_suffix("").suffix.lower()
        return inner if inner in PACKABLE else ""
    if suffix == ".zip":
        inner = Path(packed.only_file(file)).suffix.lower()
        return inner if inner in PACKABLE else ""
    if suffix == ".txt" and "\t" in _beginning(file).partition("\n")[0]:
        return ".tsv"
    if suffix == FEED and not feeds.is_feed(_beginning(file)):
        return ""
    return suffix if suffix in SUFFIXES else ""


def _beginning(file: Path) -> str:
    """Return the first characters of ``file``, "" where it is not there: an object of S3's yet."""
    if not file.is_file():
        return ""
    with file.open("rb") as stream:
        head = stream.read(BEGINNING)
    return head.decode(marked_encoding(head) or "latin-1", "replace")


def _records(file: Path) -> tuple[Iterator[Record], int]:
    """Return the records of ``file``, and the number of the last one, 0 where it is not known."""
    table_format = format_of(file)
    assert table_format, file
    if table_format == ".parquet":
        return parquet_tables.records(file), parquet_tables.row_count(file)
    is_template = _beginning(file).lstrip('\ufeff"').startswith(template_rows.BEGINNINGS)
    if table_format in DELIMITED and file.suffix.lower() in DELIMITED and not is_template:
        # A packed one is unpacked in memory.
        lines = lines_on_disk(file)
        if lines is not None:
            return delimited.records(lines, str(file)), len(lines)
    return _records_in_memory(file, table_format), 0


def _records_in_memory(file: Path, table_format: str) -> Iterator[Record]:
    if table_format in WORKBOOKS:
        packed.refuse_bomb(file)
        return workbooks.records(file)
    if table_format == FEED:
        return feeds.records(packed.content(file), str(file))
    text = decode(packed.content(file), str(file))
    moved = 0
    if table_format in DELIMITED:
        text, moved = template_rows.without(text, str(file))
    read = TEXT_READERS[table_format](text, str(file))
    # A row is told by its line in the file.
    return (record._replace(number=record.number + moved) for record in read) if moved else read


def _repair(cell: str) -> str:
    """Return ``cell`` stripped, and decoded again when it is UTF-8 that was read as something else.

    ``å¾ˆå¥½`` becomes 很好.
    """
    # ftfy looks at the same, at three times the cost.
    if cell.isascii() or not is_bad(cell):
        return cell.strip()
    return ftfy.fix_encoding(cell).strip()


def _fault(cells: list[str]) -> str:
    """Return why a row that was read cannot be used, or ""."""
    length = sum(map(len, cells))
    if length > LONGEST_ROW:
        return f"{length} characters, a row has {LONGEST_ROW} at most"
    if any(not cell.isascii() and LOST.search(cell) for cell in cells):
        return "characters that are lost: bytes that do not fit the file's encoding"
    return ""


def read(file: Path, raw: Path | None = None) -> Table:
    """Return all rows of ``file`` at once, good and bad, as `batches` yields them.

    Raises:
        ValueError: as `batches`.
    """
    [table] = batches(file, raw, most=None)
    return table


def batches(file: Path, raw: Path | None = None, most: int | None = BATCH) -> Iterator[Table]:
    """Yield the rows of ``file`` and those that could not be read, whatever is wrong with them.

    The suffix (`format_of`) says the format, the header the delimiter. Mojibake is repaired cell by
    cell. Folders ``column=value`` between ``raw`` and the file are columns, too. A table has
    ``most`` rows at most; of delimited text and Parquet no more than that is in memory.

    Raises:
        EmptyTableError: it has no rows.
        ValueError: the file is empty, names a column twice, is in no known encoding, or is broken
            Parquet.
    """
    if not file.stat().st_size:
        raise ValueError(f"{file}: the file is empty; was the download cut off?")
    records, last = _records(file)
    header = _header(file, next(records, Record(0, [])).cells)
    folders = delivery.partition_values(file, raw) if raw else {}
    some = False
    nothings = _Nothings()
    while some_records := list(itertools.islice(records, most)):
        some = True
        table = _table(some_records, header, folders, nothings)
        yield table._replace(read=some_records[-1].number / last) if last else table
    nothings.tell(file)
    if not some:
        raise EmptyTableError(f"{file}: no rows below the header; was the download cut off?")


def _table(
    records: list[Record], header: list[str], folders: dict[str, str], nothings: _Nothings
) -> Table:
    """Return the good and the bad ones of ``records``, with the columns of their folders."""
    numbers: list[int] = []
    rows: list[list[str]] = []
    rejected: list[tuple[int, str, str]] = []
    for number, cells, flaw in records:
        reason = flaw or _fault(cells)
        if reason:
            # A lone surrogate cannot be written to Parquet.
            excerpt = LOST.sub("?", " ".join(cells)[:EXCERPT])
            rejected.append((number, reason, excerpt))
        else:
            numbers.append(number)
            rows.append(list(map(_repair, cells)))
    index = pd.Index(numbers, name="row", dtype="int64")
    frame = pd.DataFrame(rows, columns=header, index=index, dtype=object)
    nothings.empty(frame)
    for column, value in folders.items():
        # What stands in the file itself goes first.
        if column not in frame:
            frame[column] = value
    return Table(
        rows=frame,
        rejected=pd.DataFrame(rejected, columns=["row", "reason", "text"]),
    )


class _Nothings:
    """Programs' words for nothing in the columns of a file, batch by batch."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        self._counts = Counter[str]()
        self._rows = 0

    def empty(self, frame: pd.DataFrame) -> None:
        """Put "" where a cell of ``frame`` is such a word.

        Left as they are all products without a brand would be of one that is called NULL.
        """
        self._rows += len(frame)
        for column in frame.columns:
            cells = frame[column]
            nothing = cells.isin(NOTHING)
            if nothing.any():
                self._first.setdefault(column, cells[nothing].iloc[0])
                self._counts[column] += int(nothing.sum())
                frame[column] = cells.mask(nothing, "")

    def tell(self, file: Path) -> None:
        """Say which words were emptied, and how often."""
        for column, word in self._first.items():
            account.guess(
                "empty",
                f"{word} says that nothing is there",
                sure="likely",
                evidence=f"{self._counts[column]:,} of {self._rows:,} cells of {column}",
                file=str(file),
            )


def _header(file: Path, cells: list[str]) -> list[str]:
    """Return the names of the columns; one without a name is called by its place."""
    names = []
    for place, cell in enumerate(cells, start=1):
        names.append(cell.strip() or f"column {place}")
    if any(map(LOST.search, names)):
        raise ValueError(f"{file}: characters of the columns' names are lost; save it as UTF-8")
    counts = Counter(names)
    doubled = sorted(name for name in counts if counts[name] > 1)
    if doubled:
        raise ValueError(f"{file}: the column {', '.join(doubled)} is there twice; rename one")
    return names
