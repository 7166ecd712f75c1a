"""The rows of a file as they were written, a chunk at a time: CSV, TSV, JSON Lines, Parquet, or a folder of pictures.

For whoever answers rows and gives them back (`beauty_models.serving.batch`): nothing is stripped, repaired or left out, as
`beauty_models.intake.tables` does for training. A file is never in memory whole. A text row keeps its own characters beside
its values, and a Parquet chunk its Arrow batch, so that they can be written again exactly.
"""

from __future__ import annotations

import base64
import csv
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from beauty_models.intake import tables

DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
PARQUET = ".parquet"
FORMATS = (*DELIMITERS, *JSON_LINES, PARQUET)
PICTURE = "file"  # the column of a folder's rows: the picture's path below the folder
MARK = "\ufeff"  # the byte order mark, as a character
LINE = "line"  # the column of a line that is no JSON object
LOST = re.compile("[\ud800-\udfff]")  # what stands where bytes did not fit the encoding
INT64 = range(-(2**63), 2**63)

Row = dict[str, Any]


@dataclass
class Record:
    """One row: its values, why it cannot be asked about or "", and a text file's own characters where those are kept."""

    values: Row
    broken: str = ""
    written: str | None = None


@dataclass
class Chunk:
    """Some rows in a row; ``batch`` is what Parquet holds of them."""

    records: list[Record]
    batch: pa.RecordBatch | None = None


class Source(Protocol):
    """What all formats offer. ``total`` and ``done`` count bytes or rows, for a bar."""

    columns: list[str]
    total: int
    done: int

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Yield the rows from the first one on, ``size`` at a time."""
        ...


class WrittenFloat(float):
    """A number of a JSON file that is shown as it stands there: 91.90 and not 91.9."""

    text: str

    def __new__(cls, text: str) -> WrittenFloat:
        """Return the number that ``text`` says."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __str__(self) -> str:
        """Return the number as it was written."""
        return self.text


def cell(value: Any) -> str:
    """Return ``value`` as a cell of text: "" for None, nested values as JSON, bytes as UTF-8 or else base64."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | dict | list):
        return json_text(value)
    return _bytes(value) if isinstance(value, bytes) else str(value)


def base64_text(value: bytes) -> str:
    """Return ``value`` in base64."""
    return base64.b64encode(value).decode()


def json_text(value: Any) -> str:
    """Return ``value`` as JSON on one line; what JSON does not know (dates, decimals, bytes) becomes a text."""
    return json.dumps(value, ensure_ascii=False, default=cell)


def _bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64_text(value)


def _together(source: Source, records: Iterable[Record], size: int) -> Iterator[Chunk]:
    some: list[Record] = []
    for record in records:
        some.append(record)
        if len(some) == size:
            yield Chunk(some)
            some = []
    source.done = source.total
    if some:
        yield Chunk(some)


def _unclosed(lines: list[str], delimiter: str) -> bool:
    """Return whether ``lines``, taken for one record, end within a quote or go on behind one that was closed."""
    if '"' not in lines[0]:
        return False
    try:
        for _ in csv.reader(lines, delimiter=delimiter, strict=True):
            pass
    except csv.Error as error:
        return len(lines) > 1 or "end of data" in str(error)
    return False


def _cut(lines: Iterator[str], delimiter: str) -> Iterator[tuple[list[str], str, str]]:
    """Yield each record of delimited text: its cells, its characters, and "" or what is wrong with it.

    A quote that is never closed costs its own line only: what was read behind it is read again.
    """
    again: deque[str] = deque()

    def feed(used: list[str]) -> Iterator[str]:
        length = 0
        while length <= tables.LONGEST_ROW:
            line = again.popleft() if again else next(lines, None)
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
        reason = ""
        if _unclosed(used, delimiter):
            again.extendleft(reversed(used[1:]))
            used = used[:1]
            cells = next(csv.reader(used, delimiter=delimiter, quoting=csv.QUOTE_NONE))
            cells[-1] = cells[-1].rstrip("\r\n")
            reason = "a quote that is not closed"
        yield cells, "".join(used), reason


def _ending(text: str) -> str:
    return next((mark for mark in ("\r\n", "\n", "\r") if text.endswith(mark)), "")


def _filled(lines: Iterator[str], delimiter: str) -> Iterator[tuple[list[str], str, str]]:
    """Yield the records of `_cut` but blank lines."""
    return (record for record in _cut(lines, delimiter) if record[1].strip())


@dataclass
class Delimited:
    """A CSV or TSV file, in any encoding; the header says the delimiter. Values are texts."""

    file: Path
    columns: list[str] = field(init=False)
    total: int = field(init=False)
    done: int = field(init=False, default=0)
    encoding: str = field(init=False)
    delimiter: str = field(init=False)
    header: str = field(init=False)  # as it stands in the file
    ending: str = field(init=False)  # of its lines
    marked: bool = field(init=False, default=False)  # begins with a byte order mark

    def __post_init__(self) -> None:
        """Read the header.

        Raises:
            ValueError: there is none, or it names a column twice.
        """
        self.total = self.file.stat().st_size
        with self.file.open("rb") as binary:
            self.encoding = tables.encoding_of(binary, str(self.file))
        with self._open() as stream:
            first = next(filter(str.strip, self._lines(stream)), "")
        self.delimiter = tables.delimiter_of(first.rstrip("\r\n"))
        with self._open() as stream:
            records = _filled(self._lines(stream), self.delimiter)
            cells, written, _ = next(records, ([], "", ""))
        if not cells:
            raise ValueError(f"{self.file}: the file is empty; was the download cut off?")
        self.ending = _ending(written) or "\n"
        self.header = written.removesuffix(_ending(written))
        names = enumerate(cells, start=1)
        self.columns = [name.strip() or f"column {place}" for place, name in names]
        _once(self.file, self.columns)

    def _open(self) -> TextIO:
        return self.file.open(encoding=self.encoding, errors="lost", newline="")

    def _lines(self, stream: TextIO) -> Iterator[str]:
        """Yield the lines with their endings, without the mark that a file may begin with."""
        first = next(stream, "")
        self.marked = first.startswith(MARK)
        yield first.lstrip(MARK)
        yield from stream

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Yield the rows below the header."""
        with self._open() as stream:
            yield from _together(self, self._records(stream), size)

    def _records(self, stream: Any) -> Iterator[Record]:
        records = _filled(self._lines(stream), self.delimiter)
        next(records)  # the header
        for cells, written, reason in records:
            self.done = stream.buffer.tell()
            if len(cells) != len(self.columns) and not reason:
                reason = f"{len(cells)} cells where the header has {len(self.columns)}"
            if beyond := cells[len(self.columns) :]:
                reason += f", beyond it: {beyond}"
            if not reason and LOST.search(written):
                reason = f"characters that are lost: bytes that do not fit {self.encoding}"
            values = dict(zip(self.columns, cells, strict=False))
            yield Record(values, reason, written.removesuffix(_ending(written)))


def _once(file: Path, columns: list[str]) -> None:
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise ValueError(f"{file}: the column {twice[0]!r} is there twice; rename one")


@dataclass
class JsonLines:
    """A file with a JSON object a line. It is read once before, for the columns that any of its rows has."""

    file: Path
    columns: list[str] = field(init=False)
    kinds: dict[str, set[type]] = field(init=False)  # of each column's values
    total: int = field(init=False)
    done: int = field(init=False, default=0)
    encoding: str = field(init=False)

    def __post_init__(self) -> None:
        """Find the columns."""
        self.total = self.file.stat().st_size
        with self.file.open("rb") as binary:
            self.encoding = tables.encoding_of(binary, str(self.file))
        self.kinds = {}
        for chunk in self.chunks(1):
            for name, value in chunk.records[0].values.items():
                self.kinds.setdefault(name, set()).add(_kind(value))
        self.columns = list(self.kinds)
        self.done = 0

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Yield the rows; a line that is no object is a row with the column `LINE`."""
        with self.file.open(encoding=self.encoding, errors="lost", newline="\n") as stream:
            yield from _together(self, self._records(stream), size)

    def _records(self, stream: Any) -> Iterator[Record]:
        for line in stream:
            self.done = stream.buffer.tell()
            written = line.lstrip(MARK).strip()
            if not written:
                continue
            try:
                value = json.loads(written, parse_float=WrittenFloat)
            except (ValueError, RecursionError):
                value = None
            if not isinstance(value, dict):
                yield Record({LINE: written}, "not a JSON object")
            elif LOST.search(written):
                reason = f"characters that are lost: bytes that do not fit {self.encoding}"
                yield Record(value, reason, written)
            else:
                yield Record(value, "", written)

    def types(self) -> dict[str, pa.DataType]:
        """Return the Arrow type of each column whose values are of one kind; texts for all others."""
        return {name: _arrow(kinds - {type(None)}) for name, kinds in self.kinds.items()}


def _kind(value: Any) -> type:
    if isinstance(value, int) and not isinstance(value, bool) and value not in INT64:
        return object
    return float if isinstance(value, float) else type(value)


def _arrow(kinds: set[type]) -> pa.DataType:
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64()
    return pa.float64() if kinds in ({float}, {int, float}) else pa.string()


@dataclass
class Parquet:
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
                self.schema, self.total = opened.schema_arrow, opened.metadata.num_rows
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from None
        self.columns = list(self.schema.names)
        _once(self.file, self.columns)

    def _unreadable(self, error: Exception) -> ValueError:
        said = str(error).splitlines()[0]
        return ValueError(
            f"{self.file}: not a Parquet file that can be read ({said:.100}); write or download it again"
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
        for name in [found.name for found in self.schema if found.type == pa.float32()]:
            for row in rows:  # 91.9 and not 91.9000015258789, which is what a double makes of it
                if row[name] is not None:
                    row[name] = float(str(np.float32(row[name])))
        return rows


@dataclass
class Folder:
    """The files of a folder, hidden ones aside, each a row with its path below the folder."""

    folder: Path
    without: Path  # a file that does not count: what is being written
    columns: list[str] = field(default_factory=lambda: [PICTURE])
    total: int = field(init=False)
    done: int = field(init=False, default=0)
    paths: list[Path] = field(init=False)

    def __post_init__(self) -> None:
        """List the files."""
        self.paths = [file for file in sorted(self.folder.rglob("*")) if self._counts(file)]
        self.total = len(self.paths)

    def _counts(self, file: Path) -> bool:
        below = file.relative_to(self.folder).parts
        hidden = any(part.startswith(".") for part in below)
        return file.is_file() and not hidden and file.absolute() != self.without.absolute()

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Yield the files."""
        for start in range(0, self.total, size):
            some = self.paths[start : start + size]
            self.done += len(some)
            names = [file.relative_to(self.folder).as_posix() for file in some]
            yield Chunk([Record({PICTURE: name}) for name in names])


def source(place: Path, out: Path) -> Delimited | JsonLines | Parquet | Folder:
    """Return the rows of a table, or the files of a folder but ``out``.

    Raises:
        ValueError: nothing is there, it is of no known format, or it cannot be read.
    """
    if not place.exists():
        raise ValueError(f"{place}: no such file or folder")
    if place.is_dir():
        return Folder(place, out)
    suffix = place.suffix.lower()
    if suffix in DELIMITERS:
        return Delimited(place)
    if suffix in JSON_LINES:
        return JsonLines(place)
    if suffix == PARQUET:
        return Parquet(place)
    raise ValueError(f"{place}: give {', '.join(FORMATS)}, or a folder of pictures")
