"""The records of delimited text (CSV, TSV and their kin), in whatever dialect it was written."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from beauty_models.intake import account
from beauty_models.intake.lines import Lines
from beauty_models.intake.records import Record

DELIMITERS = [",", "\t", ";", "|", "\x01"]  # the last one is Hive's
NO_DELIMITER = "\x1f"  # the unit separator: no text holds it, so the file has one column
LONGEST_TITLE = 10  # lines above a header
LONGEST_NAME = 30  # characters of a column's name where a title stands above it
LINES_BELOW = 20  # that have to have as many cells as the header
LEAST_BELOW = 3
OTHER_WIDTH = "cells where the header has"  # of a row that is rejected for its number of cells
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)

# `tables.LONGEST_ROW` rejects the row; csv would end the whole file.
csv.field_size_limit(sys.maxsize)


def delimiter_of(header: str) -> str:
    """Return the delimiter that cuts ``header`` into most cells; `NO_DELIMITER` when none does."""
    best = max(DELIMITERS, key=lambda delimiter: len(_cells(header, delimiter)))
    return best if best in header else NO_DELIMITER


def _cells(line: str, delimiter: str) -> list[str]:
    """Return the cells of ``line`` by csv, so that a delimiter within quotes does not count."""
    return next(csv.reader([line], delimiter=delimiter))


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


def records(text: str | Lines, name: str) -> Iterator[Record]:
    """Yield the records of delimited text, or of its lines; ``name`` is for the messages.

    A quote that is never closed costs its own line only; one that swallows whole rows is a mark of
    inches, or a slip of the keyboard, and stays in its cell.
    """
    lines: Sequence[str]
    lines = io.StringIO(text, newline=None).readlines() if isinstance(text, str) else text
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
    backslashes = _read_backslashes(lines, start, syntax)
    if backslashes.escaped:
        account.guess(
            "quotes",
            'a backslash stands before what is text: \\" is a quotation mark',
            sure="likely",
            evidence="more rows have the header's cells so, or a cell is \\N",
            file=name,
        )
        syntax = syntax._replace(backslash=True)
        lines = backslashes.escaped
    others = 0
    fitting = 0
    for record in _records_of_lines(lines, start, syntax, name):
        if record.number - 1 in backslashes.doubtful:
            reason = "a backslash before a quotation mark, which may be a part of the text or not"
            record = record._replace(reason=record.reason or reason)
        others += OTHER_WIDTH in record.reason
        fitting += not record.reason
        yield record
    # The header is no evidence for itself.
    _tell_separator(name, delimiter, told_by, fitting - 1, others)


def _header_line(lines: Sequence[str], start: int, name: str) -> int:
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
        width = len(_cells(lines[place], delimiter))
        if all(len(_cells(line, delimiter)) == width for line in below):
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
    return sum(bool(cell.strip()) for cell in _cells(line, delimiter))


def _are_names(line: str, least: int) -> bool:
    """Return whether the cells of ``line``, ``least`` or more, can be the names of columns."""
    if not line.strip():
        return False
    cells = [cell.strip() for cell in _cells(line, delimiter_of(line))]
    if len(cells) < least or len(set(cells)) < len(cells):
        return False
    return all(0 < len(cell) <= LONGEST_NAME and not cell[0].isdigit() for cell in cells)


def _records_of_lines(
    lines: Sequence[str], start: int, syntax: _Syntax, name: str
) -> Iterator[Record]:
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
        for lines, taken, told_by, evidence in (
            (
                self.swallowing,
                "a quotation mark that begins a cell is a part of its text",
                "text",
                "{} would make several rows one",
            ),
            (
                self.whole,
                "a cell of several lines that look like rows stays one",
                "cells",
                "other cells are quoted, too; {}",
            ),
            (
                self.literal,
                "quotation marks that do not go around a whole cell are a part of its text",
                "",
                "{} rows",
            ),
        ):
            if lines:
                account.guess(
                    "quotes",
                    taken,
                    sure="certain" if rule == told_by else "likely",
                    evidence=f"{evidence.format(len(lines))}, first in line {lines[0]}",
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


class _Backslashes(NamedTuple):
    """What the backslashes of a file are."""

    escaped: Sequence[str]  # the lines as csv reads backslashes; [] where they escape nothing
    doubtful: set[int]  # lines of records of which nobody knows whether they do


def _read_backslashes(lines: Sequence[str], start: int, syntax: _Syntax) -> _Backslashes:
    """Return what the backslashes of a file are, by all of its records.

    They escape where more rows are whole so, or as many and a cell is a database's word for null.
    Both readings are gone through together, for most records have no backslash and are the same in
    both.
    """
    if not any("\\" in line for line in lines):
        return _Backslashes([], set())
    mark = re.escape(syntax.delimiter)
    null = re.compile(rf"(?:^|{mark})\\N(?:{mark}|$)", re.MULTILINE)
    escaped = _with_all_escapes(lines, syntax, null)
    plain = _Walk(lines, start, syntax)
    other = _Walk(escaped, start, syntax._replace(backslash=True))
    has_escaped_quote = any('\\"' in line for line in lines)
    quotes = _QuotesWithin(syntax.delimiter)
    has_null = False
    while min(plain.line, other.line) < len(lines):
        if other.line < plain.line:
            other.step()
            continue
        place = plain.line
        in_step = place == other.line and plain.width == other.width
        cut = plain.step()
        record = "".join(lines[place : place + cut.used])
        if NO_VALUE in record:
            has_null = has_null or bool(null.search(record))
        if has_escaped_quote:
            quotes.look(place, record)
        if in_step and "\\" not in record and not cut.reason and not cut.is_literal:
            other.take(cut)
    if other.faults < plain.faults or has_null and other.faults == plain.faults:
        return _Backslashes(escaped, set())
    return _Backslashes([], quotes.doubtful)


def _with_all_escapes(
    lines: Sequence[str], syntax: _Syntax, null: re.Pattern[str]
) -> Sequence[str]:
    """Return ``lines``, each `_with_escapes`."""
    letters: dict[str, str] = {}
    if syntax.delimiter == "\t" and not any('"' in line for line in lines):
        # PostgreSQL's COPY and MySQL's own dumps: tabs, no quotes, and line ends as a letter.
        has_null = any(NO_VALUE in line and null.search(line.rstrip("\n")) for line in lines)
        letters = _LETTERS if has_null else {}
    if isinstance(lines, Lines):
        return lines.mapped(lambda line: _with_escapes(line, letters))
    return [_with_escapes(line, letters) for line in lines]


class _Walk:
    """Goes through the records of a file by one syntax, and counts those that are no rows."""

    def __init__(self, lines: Sequence[str], start: int, syntax: _Syntax) -> None:
        self.line = start  # at which the next record begins
        self.width = 0
        self.faults = 0
        self._lines = lines
        self._syntax = syntax

    def step(self) -> _Cut:
        """Go over the next record and return it."""
        cut = _next_record(self._lines, self.line, self._syntax, self.width)
        self.take(cut)
        return cut

    def take(self, cut: _Cut) -> None:
        """Go over the next record, which is ``cut``."""
        self.width = self.width or len(cut.cells)
        no_row = cut.reason or cut.is_literal or len(cut.cells) != self.width
        if no_row and self._lines[self.line].strip():
            self.faults += 1
        self.line += cut.used


class _QuotesWithin:
    r"""Tells whether ``\\"`` in a cell without quotes around it is one character or two.

    Who puts a cell with a quote within quotes writes no such thing; if a quote stands there without
    a backslash, too, then backslashes mean nothing.
    """

    def __init__(self, delimiter: str) -> None:
        mark = re.escape(delimiter)
        self._cell = re.compile(f'(?:^|{mark})(?:"(?:[^"]|"")*"|([^"{mark}][^{mark}]*))')
        self._mean_nothing = False
        self._doubtful: set[int] = set()

    def look(self, line: int, record: str) -> None:
        """Look at a ``record`` that begins at ``line``."""
        if self._mean_nothing or '"' not in record:
            return
        for match in self._cell.finditer(record):
            cell = match[1] or ""
            bare = cell.replace('\\"', "")
            self._mean_nothing = self._mean_nothing or '"' in bare
            if bare != cell:
                self._doubtful.add(line)

    @property
    def doubtful(self) -> set[int]:
        """The lines of records of which nobody knows; they are rows either way."""
        return set() if self._mean_nothing else self._doubtful


class _RowShapes:
    """What tells whether the lines of one record are rows that a stray quote made one."""

    PLAIN_ROWS = 1_000  # rows without quotes that are looked at
    NUMBER = re.compile(r"\s*[-+]?\d[\d.,:/-]*\s*")
    MOST = 0.9  # share of a column's cells that are numbers

    def __init__(self, lines: Sequence[str], delimiter: str) -> None:
        self.lines = lines
        self.delimiter = delimiter
        self._columns: list[int] | None = None  # that hold numbers; looked for when asked

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
            for line in islice(self.lines, 1, None):
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


def _next_record(lines: Sequence[str], start: int, syntax: _Syntax, width: int) -> _Cut:
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
