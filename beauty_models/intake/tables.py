"""Tables as they are delivered, in any encoding and with any dirt, as frames of strings.

CSV, TSV, JSON Lines, Parquet, workbooks and product feeds in XML, packed or not. A row that cannot
be read is kept with its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import ftfy
import pandas as pd

from beauty_models.intake import account, delivery, feeds, packed, records
from beauty_models.intake.encodings import BEGINNING, LOST, decode, marked_encoding
from beauty_models.intake.provenance import ABOUT
from beauty_models.intake.records import Record
from beauty_models.intake.rejected import EXCERPT

LONGEST_ROW = 1_000_000  # characters; a longer row is a broken file, not data
# What databases, R, pandas and Excel write where there is nothing, as they write it. As a word in
# small letters "none" is a value: a polarity may be it.
NOTHING = {
    *("NULL", "null", "Null", "(null)", "[NULL]", "<null>", "<NULL>", records.NO_VALUE),
    *("NA", "N/A", "n/a", "N.A.", "n.a.", "#N/A", "#NA", "<NA>", "<N/A>"),
    *("NaN", "nan", "NAN", "-nan", "-NaN", "NaT", "None"),
    *("#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!"),
}
TEXT_READERS = {
    ".csv": records.delimited,
    ".tsv": records.delimited,
    ".jsonl": records.json_lines,
    ".ndjson": records.json_lines,
    ".json": records.json_lines,
}
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


def delivered_files(raw: Path) -> list[Path]:
    """Return the files below ``raw`` in one order on every machine.

    Without those that say something of the data (`ABOUT`), and without what systems put beside
    them (`delivery`).
    """
    return [path for path in delivery.look(raw).files if path.name not in ABOUT]


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


def _records(file: Path) -> Iterator[Record]:
    table_format = format_of(file)
    assert table_format, file
    if table_format == ".parquet":
        return records.parquet(file)
    if table_format in WORKBOOKS:
        packed.refuse_bomb(file)
        return records.workbook(file)
    if table_format == FEED:
        return feeds.records(packed.content(file), str(file))
    return TEXT_READERS[table_format](decode(packed.content(file), str(file)), str(file))


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
    if any(LOST.search(cell) for cell in cells):
        return "characters that are lost: bytes that do not fit the file's encoding"
    return ""


def read(file: Path, raw: Path | None = None) -> Table:
    """Return the rows of ``file`` and those that could not be read, whatever is wrong with them.

    The suffix (`format_of`) says the format, the header the delimiter. Mojibake is repaired cell by
    cell. Folders ``column=value`` between ``raw`` and the file are columns, too.

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
            excerpt = LOST.sub("?", " ".join(cells)[:EXCERPT])
            rejected.append((number, reason, excerpt))
        else:
            numbers.append(number)
            rows.append(list(map(_repair, cells)))
    if not rows and not rejected:
        raise EmptyTableError(f"{file}: no rows below the header; was the download cut off?")
    index = pd.Index(numbers, name="row")
    frame = pd.DataFrame(rows, columns=header, index=index, dtype=object)
    _empty_nothings(frame, file)
    for column, value in (delivery.partition_values(file, raw) if raw else {}).items():
        # What stands in the file itself goes first.
        if column not in frame:
            frame[column] = value
    return Table(
        rows=frame,
        rejected=pd.DataFrame(rejected, columns=["row", "reason", "text"]),
    )


def _empty_nothings(frame: pd.DataFrame, file: Path) -> None:
    """Put "" where a cell is a program's word for nothing, and tell which.

    Left as they are all products without a brand would be of one that is called NULL.
    """
    for column in frame.columns:
        cells = frame[column]
        nothing = cells.isin(NOTHING)
        if nothing.any():
            account.guess(
                "empty",
                f"{cells[nothing].iloc[0]} says that nothing is there",
                sure="likely",
                evidence=f"{nothing.sum():,} of {len(cells):,} cells of {column}",
                file=str(file),
            )
            frame[column] = cells.mask(nothing, "")


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
