"""The records of a table, format by format: delimited text, JSON, Parquet, workbooks of Excel."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import python_calamine

from beauty_models.intake import account

DELIMITERS = [",", "\t", ";", "|"]
NO_DELIMITER = "\x1f"  # the unit separator: no text holds it, so the file has one column
_SEPARATOR_LINE = re.compile(r"sep=(.)", re.IGNORECASE)

# `tables.LONGEST_ROW` rejects the row; csv would end the whole file.
csv.field_size_limit(sys.maxsize)


class Record(NamedTuple):
    """A row as it was read; the first record of a file is its header."""

    number: int  # the line on which it begins (Parquet: its number), from 1
    cells: list[str]
    reason: str = ""  # why it is rejected


def delimiter_of(header: str) -> str:
    """Return the delimiter that cuts ``header`` into most cells; `NO_DELIMITER` when none does."""

    def cell_count(delimiter: str) -> int:
        # By csv, so that a comma within quotes does not count.
        return len(next(csv.reader([header], delimiter=delimiter)))

    best = max(DELIMITERS, key=cell_count)
    return best if best in header else NO_DELIMITER


def delimited(text: str, name: str) -> Iterator[Record]:
    """Yield the records of delimited text; ``name`` is for the messages.

    A quote that is never closed costs its own line only; one that swallows whole rows is a mark of
    inches, or a slip of the keyboard, and stays in its cell.
    """
    lines = io.StringIO(text, newline=None).readlines()
    start = 0
    while start < len(lines) and not lines[start].strip():
        start += 1
    delimiter = ""
    told_by = ""
    # Excel's own line, which says the delimiter: "sep=;".
    if start < len(lines) and (told := _SEPARATOR_LINE.fullmatch(lines[start].strip("\r\n"))):
        delimiter = told[1]
        told_by = "its line sep="
        start += 1
    if not delimiter:
        delimiter = delimiter_of(lines[start]) if start < len(lines) else ","
    width = 0
    stray = []
    whole = []
    fitting = 0
    others = 0
    rule = account.reading().quotes
    # Where quotes are in use, a cell of several lines with commas in each is a text: a Magento
    # export has descriptions that look like rows. Between tabs they are not.
    unquoted = delimiter == "\t" or not _quotes_cells(lines, delimiter)
    while start < len(lines):
        cells, used, reason = _next_record(lines, start, delimiter)
        swallows = used > 1 and width
        if swallows and _are_rows(lines[start : start + used], delimiter, width):
            if rule == "text" or rule == "auto" and unquoted:
                cells, used = lines[start].rstrip("\n").split(delimiter), 1
                stray.append(start + 1)
            else:
                whole.append(start + 1)
        width = width or len(cells)
        if not reason and len(cells) != width:
            reason = f"{len(cells)} cells where the header has {width}"
            others += 1
        fitting += not reason
        if lines[start].strip():
            yield Record(start + 1, cells, reason)
        start += used
    _tell_quotes(name, stray, whole)
    # The header is no evidence for itself.
    _tell_separator(name, delimiter, told_by, fitting - 1, others)


def _tell_quotes(name: str, stray: Sequence[int], whole: Sequence[int]) -> None:
    """Say what was made of quotation marks whose cell takes whole rows in; both by their lines."""
    if stray:
        account.guess(
            "quotes",
            "a quotation mark that begins a cell is a part of its text",
            sure="certain" if account.reading().quotes == "text" else "likely",
            evidence=f"{len(stray)} would make several rows one, first in line {stray[0]}",
            file=name,
        )
    if whole:
        account.guess(
            "quotes",
            "a cell of several lines that look like rows stays one",
            sure="certain" if account.reading().quotes == "cells" else "likely",
            evidence=f"other cells are quoted, too; {len(whole)}, first in line {whole[0]}",
            file=name,
        )


def _tell_separator(name: str, delimiter: str, told_by: str, fitting: int, others: int) -> None:
    """Say which delimiter was taken, where it is not the one that the file's name promises."""
    suffixes = Path(name).suffixes
    usual = "\t" if ".tsv" in suffixes or ".txt" in suffixes else ","
    if delimiter in (usual, NO_DELIMITER) and not told_by:
        return
    account.guess(
        "separator",
        {"\t": "tab", " ": "space"}.get(delimiter, delimiter),
        sure="certain" if told_by else account.sureness(fitting, others),
        evidence=told_by or f"{fitting:,} of {fitting + others:,} rows have the header's cells",
        file=name,
    )


def _quotes_cells(lines: Sequence[str], delimiter: str) -> bool:
    """Return whether any of ``lines`` has a cell within quotes that begins and ends in it."""
    mark = re.escape(delimiter)
    cell = re.compile(f'(?:^|{mark})"(?:[^"]|"")*"(?:{mark}|$)')
    return any(cell.search(line.rstrip("\n")) for line in lines)


def _are_rows(lines: Sequence[str], delimiter: str, width: int) -> bool:
    """Return whether each of ``lines``, which quotes make one record, is a row of ``width`` cells.

    With one delimiter a row a text of several lines may have as many by chance.
    """
    if width < 3 and delimiter != "\t":
        return False
    return all(line.count(delimiter) == width - 1 for line in lines)


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
    if isinstance(value, bytes):
        # Impala and Hive write texts without the mark that says so.
        return value.decode("utf-8", "lost").replace("\0", "")
    if isinstance(value, Decimal):
        return _plain_decimal(value)
    return json.dumps(value, ensure_ascii=False, default=_cell)


def _plain_decimal(value: Decimal) -> str:
    """Return ``value`` as people write it: ``5.00`` is the star rating 5."""
    if not value.is_finite():
        return ""
    whole = value.to_integral_value()
    return str(int(whole)) if value == whole else format(value.normalize(), "f")


def json_lines(text: str, name: str) -> Iterator[Record]:
    """Yield the records of JSON Lines, or of JSON that is one array of objects or wraps one.

    The header has the keys of all objects in order of appearance; an object within an object has
    its keys as ``review.text``.

    Raises:
        ValueError: several arrays of objects are wrapped, and nobody knows which is meant.
    """
    items = _items_of_one_value(text, name)
    if items is not None:
        text = "\n".join(json.dumps(item) for item in items)
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
            objects[number] = _flattened(value)
            header.update(dict.fromkeys(objects[number]))
    yield Record(0, list(header))
    for number, line in lines:
        if number in faults:
            yield Record(number, [line], faults[number])
        elif number in objects:
            yield Record(number, [_cell(objects[number].get(key)) for key in header])


def _flattened(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return ``value`` with the keys of objects in it as ``outer.inner``.

    As one cell an object would be a text that holds the rating, too: what is learned from would
    contain what is to be learned.
    """
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            flat |= _flattened(item, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = item
    return flat


def _json_object(line: str) -> tuple[Any, str]:
    """Return what ``line`` says, and what is wrong with it; (None, "") for ``null``."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None, "not valid JSON: cut off or damaged"
    if value is None or isinstance(value, dict):
        return value, ""
    return None, "not a JSON object"


def _items_of_one_value(text: str, name: str) -> list[Any] | None:
    """Return the rows of a file that is one JSON value; None where each line is one of its own.

    Of an array its items; of an object the items of the array of objects in it, which exports and
    answers of web services wrap as ``{"reviews": […]}``; else the object itself. An array that is
    damaged is its own text, to be rejected.
    """
    begins = text.lstrip()[:1]
    if begins not in ("[", "{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return [text] if begins == "[" else None
    if isinstance(value, list):
        return value
    wrapped = {key: item for key, item in value.items() if _is_of_objects(item)}
    if not wrapped:
        return [value]
    if len(wrapped) > 1:
        raise ValueError(
            f"{name}: {', '.join(wrapped)} are lists of rows; save the one that is meant alone"
        )
    [(key, items)] = wrapped.items()
    evidence = "the only list of objects in it"
    account.guess("rows", f"those of {key!r}", sure="certain", evidence=evidence, file=name)
    return list(items)


def _is_of_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def parquet(file: Path) -> Iterator[Record]:
    try:
        with pq.ParquetFile(file) as opened:
            table = opened.read()
    except (pa.ArrowException, OSError) as error:
        flaw = str(error).splitlines()[0]
        raise ValueError(
            f"{file}: not a Parquet file that can be read ({flaw:.100}); write or download it again"
        ) from None
    # A struct becomes columns, as an object in JSON does.
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    yield Record(0, list(table.column_names))
    columns = [column.to_pylist() for column in table.columns]
    for number, values in enumerate(zip(*columns, strict=True), start=1):
        yield Record(number, [_cell(value) for value in values])


def workbook(file: Path) -> Iterator[Record]:
    """Yield the records of the first sheet with rows of an Excel or OpenDocument workbook.

    Raises:
        ValueError: it cannot be read, or it has several sheets of different columns.
    """
    sheets = {}
    try:
        with python_calamine.load_workbook(str(file)) as book:
            for name in book.sheet_names:
                rows = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
                if any(any(cell not in ("", None) for cell in row) for row in rows):
                    sheets[name] = rows
    except (python_calamine.CalamineError, OSError) as error:
        flaw = str(error).splitlines()[0]
        raise ValueError(
            f"{file}: not a workbook that can be read ({flaw:.100}); without a password, or "
            "saved as CSV, it can"
        ) from None
    if not sheets:
        return
    (first, rows), *others = sheets.items()
    if others:
        _leave_sheets(file, first, rows, dict(others))
    head = _header_row(rows)
    for number, row in enumerate(rows[head:], start=head + 1):
        cells = [_cell(None if value == "" else value) for value in row]
        if any(cells) or number == head + 1:
            yield Record(number, cells)


def _leave_sheets(
    file: Path, first: str, rows: list[list[Any]], others: dict[str, list[list[Any]]]
) -> None:
    """Tell which sheets are not read.

    Raises:
        ValueError: one has the columns of the first: it has more of the rows.
    """
    header = rows[_header_row(rows)]
    for name, cells in others.items():
        more = cells[_header_row(cells)] == header
        if more and account.reading().sheets == "auto":
            option = account.remedy("reading.sheets", "first")
            raise ValueError(
                f"{file}: the sheet {name} has the columns of {first}, and one sheet is read; save "
                f"each as CSV{', or leave the others aside with ' + option if option else ''}"
            )
        reason = f"one of a workbook is read, here {first}; save the others as CSV"
        account.leave_aside("sheets", reason, f"{file}: {name}")


def _header_row(rows: list[list[Any]]) -> int:
    """Return the place of the header: the first row that is at least half filled.

    Above it people write a title.
    """
    filled = [sum(cell not in ("", None) for cell in row) for row in rows]
    return next(place for place, count in enumerate(filled) if count >= max(filled) / 2)
