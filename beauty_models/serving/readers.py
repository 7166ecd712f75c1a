"""Readers of files a chunk at a time: CSV, TSV, JSON, Parquet, or a folder of pictures.

A file is never in memory whole. A text row keeps its own characters beside its values, and a
Parquet chunk its Arrow batch, so that they can be written again exactly.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from beauty_models.intake import encodings, tables
from beauty_models.intake.delimited import delimiter_of
from beauty_models.serving import json_items
from beauty_models.serving.rows import (
    BYTE_ORDER_MARK,
    DELIMITERS,
    ENDINGS,
    JSON,
    LINE,
    LOST,
    PARQUET,
    PICTURE,
    Chunk,
    Record,
    Row,
    Source,
    format_of,
)

INT64 = range(-(2**63), 2**63)
OPEN = "a quote that is not closed"
ODD = "a quote that does not go around a whole cell"
LINE_ENDS = ("\r\n", "\n", "\r")  # the longest first

CutRecord = tuple[list[str], str, str]
"""A record of delimited text: its cells, its characters, and "" or what is wrong with it."""


def _chunked(source: Source, records: Iterable[Record], size: int) -> Iterator[Chunk]:
    chunk: list[Record] = []
    for record in records:
        chunk.append(record)
        if len(chunk) == size:
            yield Chunk(chunk)
            chunk = []
    # Before the last chunk, so that the bar is full when the last answers are in.
    source.done = source.total
    if chunk:
        yield Chunk(chunk)


def _quote_fault(lines: list[str], delimiter: str) -> str:
    """Return what is wrong with the quotes of ``lines``, which csv took for one record, or ""."""
    # Most rows have no quote, and need no second parse.
    if '"' not in lines[0]:
        return ""
    # csv says so only in strict mode, by an error that both faults share. On one line only the
    # error of the end means that a quote is open: text behind a closed one (`"a" b`) is odd there.
    try:
        for _ in csv.reader(lines, delimiter=delimiter, strict=True):
            pass
    except csv.Error as error:
        return OPEN if len(lines) > 1 or "end of data" in str(error) else ODD
    return ""


def _cut(lines: Iterator[str], delimiter: str) -> Iterator[CutRecord]:
    """Yield each record of delimited text.

    A quote that is never closed costs its own line only: what was read behind it is read again.
    """
    unread: deque[str] = deque()
    width = 0  # cells of the header

    def feed(used: list[str]) -> Iterator[str]:
        """Yield the lines of one record to csv, and note them in ``used``."""
        length = 0
        # csv would follow an open quote to the end of the file, and hold all of it.
        while length <= tables.LONGEST_ROW:
            line = unread.popleft() if unread else next(lines, None)
            if line is None:
                return
            used.append(line)
            length += len(line)
            yield line

    while True:
        used: list[str] = []
        cells = next(csv.reader(feed(used), delimiter=delimiter), None)
        if cells is None:
            return
        reason = _quote_fault(used, delimiter)
        if reason == OPEN:
            # extendleft turns the order around.
            unread.extendleft(reversed(used[1:]))
            used = used[:1]
            cells = next(csv.reader(used, delimiter=delimiter, quoting=csv.QUOTE_NONE))
            cells[-1] = cells[-1].rstrip("\r\n")
        elif reason == ODD:
            # As in training: quotes of `"Great" they said` are a part of the text.
            cells = used[0].rstrip("\r\n").split(delimiter)
            if len(cells) == (width or len(cells)):
                reason = ""
        width = width or len(cells)
        yield cells, "".join(used), reason


def _without_blank_lines(lines: Iterator[str], delimiter: str) -> Iterator[CutRecord]:
    return (record for record in _cut(lines, delimiter) if record[1].strip())


def _binary(file: Path) -> BinaryIO:
    """Open ``file``, and what is compressed in it."""
    format_ = format_of(file)
    if format_ is not None and format_.gzipped:
        return cast(BinaryIO, gzip.open(file, "rb"))
    return file.open("rb")


def _text(file: Path, encoding: str, newline: str) -> TextIO:
    return io.TextIOWrapper(_binary(file), encoding, "lost", newline)


def _encoding(file: Path) -> str:
    # A pass over all bytes: the one line that is no UTF-8 may be the last.
    with _binary(file) as binary:
        return encodings.encoding_of(binary, str(file))


def _bytes_read(stream: Any) -> int:
    """Return how far the file of ``stream`` was read, in its own bytes, compressed or not.

    That is what was read ahead, not where a row ends: near enough for a bar.
    """
    binary: Any = stream.buffer
    if isinstance(binary, gzip.GzipFile):
        binary = binary.fileobj  # what is compressed
    return int(binary.tell())


def _line_end(text: str) -> str:
    return next((end for end in LINE_ENDS if text.endswith(end)), "")


def _check_distinct(file: Path, columns: list[str]) -> None:
    doubled = sorted(name for name, count in Counter(columns).items() if count > 1)
    if doubled:
        raise ValueError(f"{file}: the column {doubled[0]!r} is there twice; rename one")
    if any(map(LOST.search, columns)):
        # No format of an answer could hold such a name.
        raise ValueError(f"{file}: characters of the columns' names are lost; save it as UTF-8")


@dataclass
class DelimitedFile:
    """A CSV or TSV file, in any encoding; the header says the delimiter. Values are texts."""

    file: Path
    columns: list[str] = field(init=False)
    total: int = field(init=False)
    done: int = field(init=False, default=0)
    encoding: str = field(init=False)
    delimiter: str = field(init=False)
    header: str = field(init=False)  # as it stands in the file
    line_end: str = field(init=False)
    marked: bool = field(init=False, default=False)  # begins with a byte order mark

    def __post_init__(self) -> None:
        """Read the header.

        Raises:
            ValueError: there is none, or it names a column twice.
        """
        self.total = self.file.stat().st_size
        self.encoding = _encoding(self.file)
        with self._open() as stream:
            first = next(filter(str.strip, self._lines(stream)), "")
        self.delimiter = delimiter_of(first.rstrip("\r\n"))
        # Opened again: a header with a quote in it may take several lines.
        with self._open() as stream:
            records = _without_blank_lines(self._lines(stream), self.delimiter)
            cells, written, _ = next(records, ([], "", ""))
        if not cells:
            raise ValueError(f"{self.file}: the file is empty; was the download cut off?")
        self.line_end = _line_end(written) or "\n"
        self.header = written.removesuffix(_line_end(written))
        # As `intake.tables` names them, so that --map says the same here and in training.
        names = enumerate(cells, start=1)
        self.columns = [name.strip() or f"column {place}" for place, name in names]
        _check_distinct(self.file, self.columns)

    def _open(self) -> TextIO:
        # newline="" leaves line ends as they are, in cells as between rows.
        return _text(self.file, self.encoding, "")

    def _lines(self, stream: TextIO) -> Iterator[str]:
        """Yield the lines with their ends, without the mark that a file may begin with."""
        first = next(stream, "")
        self.marked = first.startswith(BYTE_ORDER_MARK)
        yield first.lstrip(BYTE_ORDER_MARK)
        yield from stream

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Yield the rows below the header."""
        with self._open() as stream:
            yield from _chunked(self, self._records(stream), size)

    def _records(self, stream: Any) -> Iterator[Record]:
        records = _without_blank_lines(self._lines(stream), self.delimiter)
        next(records)  # the header
        for cells, written, reason in records:
            self.done = _bytes_read(stream)
            fault = reason or self._fault(cells, written)
            beyond = cells[len(self.columns) :]
            if beyond:
                fault += f", beyond it: {beyond}"
            # Not strict: a row with a fault keeps the cells that it has.
            values = dict(zip(self.columns, cells, strict=False))
            yield Record(values, fault, written.removesuffix(_line_end(written)))

    def _fault(self, cells: list[str], written: str) -> str:
        if len(cells) != len(self.columns):
            return f"{len(cells)} cells where the header has {len(self.columns)}"
        if LOST.search(written):
            return f"characters that are lost: bytes that do not fit {self.encoding}"
        return ""


@dataclass
class JsonLinesFile:
    """A file with a JSON object a line.

    It is read once before, for the columns: any row may have one that no row before it had.
    """

    file: Path
    columns: list[str] = field(init=False)
    kinds: dict[str, set[type]] = field(init=False)  # of each column's values
    total: int = field(init=False)
    done: int = field(init=False, default=0)
    encoding: str = field(init=False)

    def __post_init__(self) -> None:
        """Find the columns."""
        self.total = self.file.stat().st_size
        self.encoding = _encoding(self.file)
        self.kinds = {}
        for chunk in self.chunks(1):
            for name, value in chunk.records[0].values.items():
                self.kinds.setdefault(name, set()).add(_kind(value))
        self.columns = list(self.kinds)
        _check_distinct(self.file, self.columns)
        self.done = 0

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Yield the rows; a line that is no object is a row with the column `LINE`."""
        # JSON Lines end with \n alone: a \r or U+2028 in between is no end of a row.
        with _text(self.file, self.encoding, "\n") as stream:
            yield from _chunked(self, self._records(stream), size)

    def _records(self, stream: TextIO) -> Iterator[Record]:
        for line in stream:
            self.done = _bytes_read(stream)
            written = line.lstrip(BYTE_ORDER_MARK).strip()
            if written:
                yield self._record(written, json_items.parsed(written))

    def _record(self, written: str, value: Any) -> Record:
        if not isinstance(value, dict):
            return Record({LINE: written}, "not a JSON object")
        fault = ""
        if LOST.search(written):
            fault = f"characters that are lost: bytes that do not fit {self.encoding}"
        return Record(value, fault, written)

    def types(self) -> dict[str, pa.DataType]:
        """Return the Arrow type of each column whose values are of one kind; text for others."""
        return {name: _arrow_type(kinds - {type(None)}) for name, kinds in self.kinds.items()}


class JsonArrayFile(JsonLinesFile):
    """A file with one JSON array of objects, as ``DataFrame.to_json(orient="records")`` writes it.

    It is read item by item, and twice, as JSON Lines are. What is damaged has no end at which the
    next row could begin: such a file is refused before anything is asked.
    """

    def _records(self, stream: TextIO) -> Iterator[Record]:
        try:
            for written, value in json_items.items(stream):
                self.done = _bytes_read(stream)
                yield self._record(json_items.on_one_line(written), value)
        except json_items.DamagedArrayError as error:
            raise ValueError(
                f"{self.file}: {error}; write it again, or as JSON Lines (.jsonl), of which a "
                "damaged line costs its own row only"
            ) from None


def _json_file(file: Path) -> JsonLinesFile:
    """Return the rows of a ``.json``: pandas writes an array, columns, or JSON Lines into one.

    Raises:
        ValueError: it holds no rows.
    """
    with _binary(file) as binary:
        is_array = json_items.begins_array(binary)
    if is_array:
        return JsonArrayFile(file)
    lines = JsonLinesFile(file)
    # {"text": {"0": …}, …} and {"columns": […], …}, or an object over several lines
    nested = all(kinds <= {dict, list} for kinds in lines.kinds.values())
    if lines.columns == [LINE] or (lines.columns and nested):
        raise ValueError(
            f"{file}: neither an array of objects nor an object a line; in pandas, "
            '`to_json(…, orient="records")` writes the array'
        )
    return lines


def _kind(value: Any) -> type:
    """Return the type of a JSON value; ``object`` for an integer that Arrow's int64 cannot hold."""
    # In Python True is an int, too.
    if isinstance(value, bool):
        return bool
    if isinstance(value, int) and value not in INT64:
        return object
    return float if isinstance(value, float) else type(value)


def _arrow_type(kinds: set[type]) -> pa.DataType:
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64()
    # 1 and 1.5 are numbers of one column; JSON does not tell whole ones from others.
    if kinds in ({float}, {int, float}):
        return pa.float64()
    return pa.string()


@dataclass
class ParquetFile:
    """A Parquet file; its batches keep the types."""

    file: Path
    columns: list[str] = field(init=False)
    schema: pa.Schema = field(init=False)
    total: int = field(init=False)
    done: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        """Read the schema.

        Raises:
            ValueError: it is not Parquet, or names a column twice.
        """
        try:
            with pq.ParquetFile(self.file) as opened:
                self.schema = opened.schema_arrow
                self.total = opened.metadata.num_rows
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from None
        self.columns = list(self.schema.names)
        _check_distinct(self.file, self.columns)

    def _unreadable(self, error: Exception) -> ValueError:
        flaw = str(error).splitlines()[0]
        return ValueError(
            f"{self.file}: not a Parquet file that can be read ({flaw:.100}); "
            "write or download it again"
        )

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Yield the rows."""
        try:
            with pq.ParquetFile(self.file) as opened:
                for batch in opened.iter_batches(size):
                    self.done += batch.num_rows
                    yield Chunk([Record(row) for row in self._rows(batch)], batch)
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from None

    def _rows(self, batch: pa.RecordBatch) -> list[Row]:
        rows: list[Row] = batch.to_pylist()
        for column in self.schema:
            if column.type != pa.float32():
                continue
            # Python's floats are doubles, in which 91.9 becomes 91.9000015258789. numpy knows the
            # shortest digits that mean this float32.
            for row in rows:
                value = row[column.name]
                if value is not None:
                    row[column.name] = float(str(np.float32(value)))
        return rows


@dataclass
class TableFile:
    """A table that is read as for training, whole: a workbook, .zip, .zst, .bz2, Unicode Text.

    Values are texts; a row that cannot be read has what of it could be, in the first column.
    """

    file: Path
    columns: list[str] = field(init=False)
    total: int = field(init=False)
    done: int = field(init=False, default=0)
    records: list[Record] = field(init=False)

    def __post_init__(self) -> None:
        """Read the file.

        Raises:
            ValueError: it cannot be read, or has no rows.
        """
        table = tables.read(self.file)
        self.columns = list(table.rows.columns)
        numbered: list[tuple[int, Record]] = []
        good = table.rows.to_dict("records")
        for number, values in zip(table.rows.index.tolist(), good, strict=True):
            numbered.append((number, Record(cast(Row, values))))
        for number, reason, text in table.rejected.itertuples(index=False, name=None):
            numbered.append((number, Record({self.columns[0]: text}, reason)))
        # In the order of the file, whatever is wrong with some.
        numbered.sort(key=lambda pair: pair[0])
        self.records = [record for _, record in numbered]
        self.total = len(self.records)

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Yield the rows."""
        for start in range(0, self.total, size):
            records = self.records[start : start + size]
            self.done += len(records)
            yield Chunk(records)


@dataclass
class PictureFolder:
    """The files of a folder, hidden ones aside, each a row with its path below the folder."""

    folder: Path
    without: Path  # a file that does not count: what is being written
    columns: list[str] = field(default_factory=lambda: [PICTURE])
    total: int = field(init=False)
    done: int = field(init=False, default=0)
    paths: list[Path] = field(init=False)

    def __post_init__(self) -> None:
        """List the files."""
        # Sorted: a run that goes on after a kill must find the rows in their former order.
        self.paths = [file for file in sorted(self.folder.rglob("*")) if self._counts(file)]
        self.total = len(self.paths)

    def _counts(self, file: Path) -> bool:
        below = file.relative_to(self.folder).parts
        hidden = any(part.startswith(".") for part in below)
        return file.is_file() and not hidden and file.absolute() != self.without.absolute()

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Yield the files."""
        for start in range(0, self.total, size):
            records = []
            for file in self.paths[start : start + size]:
                records.append(Record({PICTURE: file.relative_to(self.folder).as_posix()}))
            self.done += len(records)
            yield Chunk(records)


AnySource = DelimitedFile | JsonLinesFile | ParquetFile | TableFile | PictureFolder


def open_source(path: Path, out: Path) -> AnySource:
    """Return the rows of a table, or the files of a folder but ``out``.

    Raises:
        ValueError: nothing is there, it is of no known format, or it cannot be read.
    """
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder")
    if path.is_dir():
        return PictureFolder(path, out)
    format_ = format_of(path)
    if format_ is None and tables.is_table(path):
        return TableFile(path)
    if format_ is None:
        raise ValueError(
            f"{path}: give {ENDINGS}; or a workbook, a packed table, or a folder of pictures"
        )
    try:
        return _table(path, format_.suffix)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"{path}: not gzip that can be read ({error}); write or download it again"
        ) from None


def _table(path: Path, suffix: str) -> AnySource:
    if suffix in DELIMITERS:
        return DelimitedFile(path)
    if suffix == JSON:
        return _json_file(path)
    if suffix == PARQUET:
        return ParquetFile(path)
    return JsonLinesFile(path)
