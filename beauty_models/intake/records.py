"""The records of a table, format by format: delimited text, JSON, Parquet, workbooks of Excel."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator
from datetime import date, time
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import python_calamine

from beauty_models.intake import account, json_shapes

DELIMITERS = [",", "\t", ";", "|", "\x01"]  # the last one is Hive's
NO_DELIMITER = "\x1f"  # the unit separator: no text holds it, so the file has one column
LONGEST_TITLE = 10  # lines above a header
LONGEST_NAME = 30  # characters of a column's name where a title stands above it
LINES_BELOW = 20  # that have to have as many cells as the header
LEAST_BELOW = 3
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)

# `tables.LONGEST_ROW` rejects the row; csv would end the whole file.
csv.field_size_limit(sys.maxsize)


OTHER_WIDTH = "cells where the header has"  # of a row that is rejected for its number of cells


Rows = list[list[Any]]  # of a sheet


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


class _Syntax(NamedTuple):
    """How a delimited file marks where a cell ends."""

    delimiter: str
    backslash: bool = False  # before a quote, a delimiter or a line end it makes that a text's

    def reader(self, lines: Iterable[str]) -> Any:
        """Return csv's reader, which says what csv would else repair without a word."""
        escape = "\\" if self.backslash else None
        return csv.reader(lines, delimiter=self.delimiter, escapechar=escape, strict=True)

    def cells_of_line(self, line: str) -> list[str]:
        """Return the cells of a line in which quotes are a part of the text."""
        return line.rstrip("\n").split(self.delimiter)


class _Cut(NamedTuple):
    """A record of delimited text, as far as its own lines tell."""

    cells: list[str]
    used: int  # lines
    reason: str = ""
    is_literal: bool = False  # its quotes are a part of its text


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
        start = _header_line(lines, start, name)
        delimiter = delimiter_of(lines[start]) if start < len(lines) else ","
    syntax = _Syntax(delimiter)
    escaped = _escaped_lines(lines, start, syntax)
    if escaped:
        account.guess(
            "quotes",
            'a backslash stands before what is text: \\" is a quotation mark',
            sure="likely",
            evidence="more rows have the header's cells so, or a cell is \\N",
            file=name,
        )
        syntax = syntax._replace(backslash=True)
        lines = escaped
    doubtful: set[int] = set()
    if not escaped and any('\\"' in line for line in lines):
        doubtful = _doubtful_lines(lines, start, syntax)
    others = 0
    fitting = 0
    for record in _records_of_lines(lines, start, syntax, name):
        if record.number - 1 in doubtful:
            reason = "a backslash before a quotation mark, which may be a part of the text or not"
            record = record._replace(reason=record.reason or reason)
        others += OTHER_WIDTH in record.reason
        fitting += not record.reason
        yield record
    # The header is no evidence for itself.
    _tell_separator(name, delimiter, told_by, fitting - 1, others)


def _header_line(lines: list[str], start: int, name: str) -> int:
    """Return the line of the header: ``start``, or a later one below a title and empty lines.

    Excel and the reports of shops write such titles. A column of texts with a comma in each is no
    table: the names of columns are short and all there, and what follows has as many cells.
    """
    if start >= len(lines) or _filled(lines[start], delimiter_of(lines[start])) > 1:
        return start
    for place in range(start + 1, min(len(lines), start + LONGEST_TITLE)):
        delimiter = delimiter_of(lines[place])
        below = [line for line in lines[place + 1 : place + 1 + LINES_BELOW] if line.strip()]
        separate = not lines[place - 1].strip(f"\r\n {delimiter}") or _are_names(lines[place], 3)
        if not separate or len(below) < LEAST_BELOW or not _are_names(lines[place], 2):
            continue
        width = len(next(csv.reader([lines[place]], delimiter=delimiter)))
        if all(len(next(csv.reader([line], delimiter=delimiter))) == width for line in below):
            account.guess(
                "header",
                f"line {place + 1}",
                sure="likely",
                evidence=f"what stands above it has one cell, {len(below)} lines below it {width}",
                file=name,
            )
            return place
    return start


def _filled(line: str, delimiter: str) -> int:
    """Return how many cells of ``line`` say something."""
    return sum(bool(cell.strip()) for cell in next(csv.reader([line], delimiter=delimiter)))


def _are_names(line: str, least: int) -> bool:
    """Return whether the cells of ``line``, ``least`` or more, can be the names of columns."""
    if not line.strip():
        return False
    cells = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter_of(line)))]
    if len(cells) < least or len(set(cells)) < len(cells):
        return False
    return all(0 < len(cell) <= LONGEST_NAME and not cell[0].isdigit() for cell in cells)


def _records_of_lines(lines: list[str], start: int, syntax: _Syntax, name: str) -> Iterator[Record]:
    """Yield the records from the line ``start`` on, the header first, and tell of odd quotes."""
    width = 0
    odd = _OddQuotes([], [], [])
    rows = _RowShapes(lines, syntax.delimiter)
    rule = account.reading().quotes
    while start < len(lines):
        cut = _next_record(lines, start, syntax, width)
        if cut.used > 1 and width and rows.look_like_rows(start, cut.used, width):
            if rule == "text" or rule == "auto" and rows.are_rows(start, cut.used, width):
                cut = _Cut(syntax.cells_of_line(lines[start]), 1)
                odd.swallowing.append(start + 1)
            else:
                odd.whole.append(start + 1)
        if cut.is_literal:
            odd.literal.append(start + 1)
        cells = cut.cells
        if syntax.backslash:
            cells = [cell.translate(_ESCAPED) for cell in cells]
        width = width or len(cells)
        reason = cut.reason
        if not reason and len(cells) != width:
            reason = f"{len(cells)} {OTHER_WIDTH} {width}"
        if lines[start].strip():
            yield Record(start + 1, cells, reason)
        start += cut.used
    odd.tell(name)


class _OddQuotes(NamedTuple):
    """Records with quotation marks that may mean two things, by their lines."""

    swallowing: list[int]  # taken for one row, though its quotes reach over several
    whole: list[int]  # the same, taken for one cell
    literal: list[int]  # with quotes that do not go around a whole cell

    def tell(self, name: str) -> None:
        """Say what was made of them."""
        rule = account.reading().quotes
        if self.swallowing:
            account.guess(
                "quotes",
                "a quotation mark that begins a cell is a part of its text",
                sure="certain" if rule == "text" else "likely",
                evidence=f"{len(self.swallowing)} would make several rows one, first in line "
                f"{self.swallowing[0]}",
                file=name,
            )
        if self.whole:
            account.guess(
                "quotes",
                "a cell of several lines that look like rows stays one",
                sure="certain" if rule == "cells" else "likely",
                evidence=f"other cells are quoted, too; {len(self.whole)}, first in line "
                f"{self.whole[0]}",
                file=name,
            )
        if self.literal:
            account.guess(
                "quotes",
                "quotation marks that do not go around a whole cell are a part of its text",
                sure="likely",
                evidence=f"{len(self.literal)} rows, first in line {self.literal[0]}",
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


# What a backslash and a letter stand for in the dumps of databases. In private characters until
# the cells are cut, for a line end within a line would end its record.
_ESCAPED = {0xE000: "\n", 0xE001: "\r", 0xE002: "\t"}
_LETTERS = {"n": "\ue000", "r": "\ue001", "t": "\ue002"}
_BACKSLASH = re.compile(r"\\(.)")
NO_VALUE = "\\N"  # null as MySQL and PostgreSQL write it


def _with_escapes(line: str, letters: dict[str, str]) -> str:
    """Return ``line`` with each backslash doubled that says nothing, for csv takes them all.

    A backslash and one of ``letters`` become what the letter stands for.
    """

    def escaped(match: re.Match[str]) -> str:
        character = match[1]
        if character in letters:
            return letters[character]
        # Before a letter or a digit a backslash is a backslash; so it is in NO_VALUE.
        return f"\\{match[0]}" if character.isalnum() else match[0]

    return _BACKSLASH.sub(escaped, line)


def _escaped_lines(lines: list[str], start: int, syntax: _Syntax) -> list[str]:
    """Return the lines as csv reads backslashes, [] where the file escapes nothing by them.

    It does where more rows are whole so, or as many and a cell is a database's word for null.
    """
    if not any("\\" in line for line in lines):
        return []
    mark = re.escape(syntax.delimiter)
    null = re.compile(rf"(?:^|{mark})\\N(?:{mark}|$)")
    has_null = any(null.search(line.rstrip("\n")) for line in lines)
    # PostgreSQL's COPY and MySQL's own dumps: tabs, no quotes, and line ends as a letter.
    quoted = any('"' in line for line in lines)
    letters = _LETTERS if has_null and syntax.delimiter == "\t" and not quoted else {}
    escaped = [_with_escapes(line, letters) for line in lines]
    plain_faults = _fault_count(lines, start, syntax)
    faults = _fault_count(escaped, start, syntax._replace(backslash=True))
    if faults < plain_faults or has_null and faults == plain_faults:
        return escaped
    return []


def _doubtful_lines(lines: list[str], start: int, syntax: _Syntax) -> set[int]:
    r"""Return the lines of records of which nobody knows whether ``\\"`` is one character or two.

    They are rows either way. Who puts a cell with a quote within quotes writes no such thing; if a
    quote stands there without a backslash, too, then backslashes mean nothing.
    """
    mark = re.escape(syntax.delimiter)
    cell_without_quotes = re.compile(f'(?:^|{mark})(?:"(?:[^"]|"")*"|([^"{mark}][^{mark}]*))')
    doubtful = set()
    while start < len(lines):
        used = _next_record(lines, start, syntax, 0).used
        record = "".join(lines[start : start + used])
        for match in cell_without_quotes.finditer(record) if '"' in record else ():
            cell = match[1] or ""
            bare = cell.replace('\\"', "")
            if '"' in bare:
                return set()
            if bare != cell:
                doubtful.add(start)
        start += used
    return doubtful


def _fault_count(lines: list[str], start: int, syntax: _Syntax) -> int:
    """Return how many records are no rows when the lines are read by ``syntax``."""
    width = 0
    faults = 0
    while start < len(lines):
        cut = _next_record(lines, start, syntax, width)
        width = width or len(cut.cells)
        if lines[start].strip() and (cut.reason or cut.is_literal or len(cut.cells) != width):
            faults += 1
        start += cut.used
    return faults


class _RowShapes:
    """What tells whether the lines of one record are rows that a stray quote made one."""

    PLAIN_ROWS = 1_000  # rows without quotes that are looked at
    NUMBER = re.compile(r"\s*[-+]?\d[\d.,:/-]*\s*")
    MOST = 0.9  # share of a column's cells that are numbers

    def __init__(self, lines: list[str], delimiter: str) -> None:
        self.lines = lines
        self.delimiter = delimiter

    def look_like_rows(self, start: int, used: int, width: int) -> bool:
        """Return whether each of these lines, which quotes make one record, has a row's cells.

        With one delimiter a row a text of several lines may have as many by chance.
        """
        if width < 3 and self.delimiter != "\t":
            return False
        lines = self.lines[start : start + used]
        return all(line.count(self.delimiter) == width - 1 for line in lines)

    def are_rows(self, start: int, used: int, width: int) -> bool:
        """Return whether lines that look like rows are rows.

        Where quotes are in use, a text of several lines with commas in each may look so, too: a
        Magento export has such descriptions, but no numbers where its other rows have them.
        """
        if self.delimiter == "\t" or not self._quotes_cells:
            return True
        columns = self._number_columns(width)
        lines = self.lines[start : start + used]
        return bool(columns) and all(self._has_numbers(line, columns) for line in lines)

    @cached_property
    def _quotes_cells(self) -> bool:
        """Whether any line has a cell within quotes that begins and ends in it."""
        mark = re.escape(self.delimiter)
        cell = re.compile(f'(?:^|{mark})"(?:[^"]|"")*"(?:{mark}|$)')
        return any(cell.search(line.rstrip("\n")) for line in self.lines)

    def _has_numbers(self, line: str, columns: list[int]) -> bool:
        cells = line.rstrip("\n").split(self.delimiter)
        return all(self.NUMBER.fullmatch(cells[column]) for column in columns)

    def _number_columns(self, width: int) -> list[int]:
        """Return the places of the columns that hold numbers in the rows without quotes."""
        if self._columns is None:
            rows = []
            for line in self.lines[1:]:
                if '"' not in line and line.count(self.delimiter) == width - 1:
                    rows.append(line.rstrip("\n").split(self.delimiter))
                if len(rows) == self.PLAIN_ROWS:
                    break
            self._columns = []
            for place, cells in enumerate(zip(*rows, strict=True)):
                numbers = sum(bool(self.NUMBER.fullmatch(cell)) for cell in cells)
                if numbers >= self.MOST * len(cells):
                    self._columns.append(place)
        return self._columns

    _columns: list[int] | None = None


def _next_record(lines: list[str], start: int, syntax: _Syntax, width: int) -> _Cut:
    """Return the record that begins at line ``start``; a row has ``width`` cells, if not 0."""
    # Indices, not a slice: a copy of the rest for each record would make the file quadratic.
    rest = (lines[line] for line in range(start, len(lines)))
    reader = syntax.reader(rest)
    # Strict: else csv takes all that follows an open quote for one cell, to the file's end, and
    # makes `"Great" they said` a text without quotes; and says nothing.
    try:
        cells = next(reader)
    except csv.Error:
        literal = syntax.cells_of_line(lines[start])
        if reader.line_num > 1 or _opens_only(lines[start], syntax):
            return _Cut([lines[start]], 1, "a quote that is not closed")
        if len(literal) == (width or len(literal)):
            return _Cut(literal, 1, is_literal=True)
        return _Cut([lines[start]], 1, "a quote that does not go around a whole cell")
    return _Cut(cells, reader.line_num)


def _opens_only(line: str, syntax: _Syntax) -> bool:
    """Return whether ``line``, the last of its file, has a quote that is open at its end."""
    try:
        next(syntax.reader([line]))
    except csv.Error as error:
        return "end of data" in str(error)
    return False


def _cell(value: Any) -> str:
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
    if isinstance(value, bool | int | float | list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=_cell)
    return str(value)


def _plain_decimal(value: Decimal) -> str:
    """Return ``value`` as people write it: ``5.00`` is the star rating 5."""
    if not value.is_finite():
        return ""
    whole = value.to_integral_value()
    return str(int(whole)) if value == whole else format(value.normalize(), "f")


class _Item(NamedTuple):
    """An item of a JSON file, to become a row."""

    number: int  # its line; in an array its place; from 1
    value: Any  # None where it is damaged
    written: str  # its characters, to be shown where it is rejected
    reason: str = ""


def json_lines(text: str, name: str) -> Iterator[Record]:
    """Yield the records of JSON Lines, or of JSON that is one array of objects or wraps one.

    The header has the keys of all objects in order of appearance; an object within an object has
    its keys as ``review.text``.

    Raises:
        ValueError: no row can be read, or several arrays of objects are wrapped, and nobody knows
            which is meant.
    """
    header: dict[str, None] = {}  # an ordered set
    rows: list[tuple[_Item, dict[str, Any]]] = []
    for item in _json_items(text, name):
        flat: dict[str, Any] = {}
        if not item.reason:
            try:
                flat = _flattened(item.value)
            except json_shapes.DoubledKeyError as error:
                item = item._replace(reason=str(error))
        header.update(dict.fromkeys(flat))
        rows.append((item, flat))
    if rows and all(item.reason for item, _ in rows):
        # An array that is cut off is one line as a rule, and would count as one bad row.
        [first, *_] = rows
        raise ValueError(f"{name}: {first[0].reason}; write it again, or as JSON Lines (.jsonl)")
    yield Record(0, list(header))
    for item, flat in rows:
        if item.reason:
            yield Record(item.number, [item.written], item.reason)
        else:
            yield Record(item.number, [_cell(flat.get(key)) for key in header])


def _json_items(text: str, name: str) -> Iterator[_Item]:
    """Yield the items of a JSON file; null is none."""
    values = json_shapes.rows_of(text, name)
    if values is None:
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                value, reason = json_shapes.parsed(line)
                if value is not None or reason:
                    yield _checked(_Item(number, value, line, reason))
        return
    for number, value in enumerate(values, start=1):
        if value is not None:
            yield _checked(_Item(number, value, json.dumps(value, ensure_ascii=False)))


def _checked(item: _Item) -> _Item:
    if item.reason or isinstance(item.value, dict):
        return item
    return item._replace(reason="not a JSON object")


def _flattened(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return ``value`` with the keys of objects in it as ``outer.inner``.

    As one cell an object would be a text that holds the rating, too: what is learned from would
    contain what is to be learned.

    Raises:
        DoubledKeyError: two have one name, such as ``a.b`` and ``b`` within ``a``.
    """
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict) and len(item) == 1 and next(iter(item)).startswith("$"):
            # MongoDB's way to write a type: {"$numberInt": "5"}, {"$date": …}.
            [item] = item.values()
        inner = {f"{prefix}{key}": item}
        if isinstance(item, dict):
            inner = _flattened(item, f"{prefix}{key}.")
        json_shapes.refuse_doubled(key for key in inner if key in flat)
        flat |= inner
    return flat


def parquet(file: Path) -> Iterator[Record]:
    """Yield the records of a Parquet file; a value that no text can say costs its own row.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        with pq.ParquetFile(file) as opened:
            table = opened.read()
        # A struct becomes columns, as an object in JSON does.
        while any(pa.types.is_struct(field.type) for field in table.schema):
            table = table.flatten()
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        flaw = str(error).partition("\n")[0]
        raise ValueError(
            f"{file}: not a Parquet file that can be read ({flaw:.100}); write or download it again"
        ) from None
    yield Record(0, list(table.column_names))
    columns = [_column_cells(column) for column in table.columns]
    for number, cells in enumerate(zip(*columns, strict=True), start=1):
        lost = [name for name, cell in zip(table.column_names, cells, strict=True) if cell is None]
        reason = f"the value of {lost[0]!r:.60} is damaged or out of range" if lost else ""
        yield Record(number, [cell or "" for cell in cells], reason)


def _column_cells(column: pa.ChunkedArray) -> list[str | None]:
    """Return the cells of a column of Parquet, None where a value is damaged."""
    kind = column.type
    if pa.types.is_float16(kind) or pa.types.is_float32(kind):
        # As doubles they would have digits that nobody wrote: 4.1 is 4.099999904632568.
        return [_shortest(value, kind) for value in column.to_pylist()]
    try:
        return [_cell(value) for value in column.to_pylist()]
    except (ValueError, OverflowError, pa.ArrowException):
        return [_cell_or_none(value) for value in column]


def _shortest(value: float | None, kind: pa.DataType) -> str:
    """Return the shortest number that is ``value`` in the column's precision."""
    if value is None:
        return ""
    return _cell(float(str(kind.to_pandas_dtype()(value))))


def _cell_or_none(value: pa.Scalar) -> str | None:
    """Return what ``value`` says; None of a year 300,000, or of a text that is no UTF-8."""
    try:
        return _cell(value.as_py())
    except (ValueError, OverflowError, pa.ArrowException):
        return None


def workbook(file: Path) -> Iterator[Record]:
    """Yield the records of an Excel or OpenDocument workbook.

    Raises:
        ValueError: it cannot be read.
    """
    sheets: dict[str, Rows] = {}
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
    number = 0
    for place, rows in enumerate(_sheets_to_read(file, sheets)):
        head = _header_row(rows)
        if place:
            head += 1  # the columns are known
        else:
            number = head
        # Rows are counted on through the sheets, so that each has a number of its own.
        for row in rows[head:]:
            number += 1
            cells = [_cell(None if value == "" else value) for value in row]
            if any(cells):
                yield Record(number, cells)


def _sheets_to_read(file: Path, sheets: dict[str, Rows]) -> list[Rows]:
    """Return the sheet with most rows, and those that go on with its columns.

    The others are left aside and told.
    """
    main = max(sheets, key=lambda name: len(sheets[name]))
    if account.reading().sheets == "first":
        main = next(iter(sheets))
    header = sheets[main][_header_row(sheets[main])]
    chosen = []
    for name, rows in sheets.items():
        same = rows[_header_row(rows)] == header and account.reading().sheets == "auto"
        if name == main or same:
            chosen.append(name)
        else:
            reason = f"other columns than the sheet {main}, which is read; save it as CSV"
            account.leave_aside("sheets", reason, f"{file}: {name}")
    if len(chosen) > 1:
        evidence = "they have the same columns"
        account.guess(
            "sheets", f"{len(chosen)} as one", sure="certain", evidence=evidence, file=str(file)
        )
    return [sheets[name] for name in chosen]


def _header_row(rows: Rows) -> int:
    """Return the place of the header: the first row that is filled by more than half.

    Above it people write a title.
    """
    filled = [sum(cell not in ("", None) for cell in row) for row in rows]
    return next(place for place, count in enumerate(filled) if count > max(filled) / 2)
