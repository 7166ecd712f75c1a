"""Writers of rows with their answers: CSV, TSV, JSON or Parquet, a part at a time.

A part holds the rows of one chunk as they will stand in the file; `join` makes the file of them.
"""

from __future__ import annotations

import csv
import gzip
import io
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import pyarrow as pa
import pyarrow.parquet as pq

from beauty_models.intake.delimited import DELIMITERS
from beauty_models.serving import rows
from beauty_models.serving.readers import (
    AnySource,
    DelimitedFile,
    JsonArrayFile,
    JsonLinesFile,
    ParquetFile,
)
from beauty_models.serving.rows import Chunk, Format, Row, writable

# Parts in a row group of a Parquet file. With the 256 rows of a part alone, every group would cost
# a reader a seek and its statistics; 65,536 rows are in memory at once.
PARTS_PER_GROUP = 256
GZIP_LEVEL = 6  # gzip's own; 9 takes several times as long for a hundredth of the size


class Writer(Protocol):
    """What all formats offer."""

    def part(self, file: Path, chunk: Chunk, answers: list[Row]) -> None:
        """Write the rows of one chunk."""
        ...

    def join(self, file: Path, parts: list[Path]) -> None:
        """Write the whole file out of its parts."""
        ...


class DelimitedWriter:
    """Writes CSV or TSV.

    Where the input is the like, its rows are copied character by character, and so are its
    delimiter and line ends: ``""`` and nothing, ``007`` and ``7`` would not survive being read and
    written again.
    """

    def __init__(self, source: AnySource, format_: Format, names: list[str]) -> None:
        self.columns = source.columns
        self.names = names
        self.gzipped = format_.gzipped
        self.delimiter = rows.DELIMITERS[format_.suffix]
        self.line_end = "\n"
        self.mark = ""
        self.copies_rows = False
        if not isinstance(source, DelimitedFile):
            self.header = self._line([*self.columns, *names])
            return
        # A `;` file gives a `;` file. One column alone has no delimiter that could be kept.
        of_source = rows.format_of(source.file)
        is_alike = of_source is not None and of_source.suffix == format_.suffix
        if is_alike and source.delimiter in DELIMITERS:
            self.delimiter = source.delimiter
        self.line_end = source.line_end
        # Excel takes a UTF-8 file without the mark for another encoding.
        self.mark = rows.BYTE_ORDER_MARK if source.marked else ""
        self.copies_rows = source.delimiter == self.delimiter
        if self.copies_rows:
            self.header = f"{source.header}{self.delimiter}{self._line(names)}"
        else:
            self.header = self._line([*self.columns, *names])

    def _line(self, cells: Sequence[str]) -> str:
        stream = io.StringIO(newline="")
        csv.writer(stream, delimiter=self.delimiter, lineterminator=self.line_end).writerow(cells)
        return stream.getvalue()

    def part(self, file: Path, chunk: Chunk, answers: list[Row]) -> None:
        """Write the rows of one chunk."""
        with file.open("w", encoding="utf-8", newline="") as stream:
            for record, answer in zip(chunk.records, answers, strict=True):
                answered = [rows.cell(value) for value in answer.values()]
                # A row with a fault may have an open quote, which would swallow the answers.
                if self.copies_rows and not record.fault:
                    line = f"{record.written}{self.delimiter}{self._line(answered)}"
                else:
                    own = [rows.cell(record.values.get(name)) for name in self.columns]
                    line = self._line([*own, *answered])
                stream.write(writable(line))

    def join(self, file: Path, parts: list[Path]) -> None:
        """Write the header and all parts."""
        with _compressing(file, self.gzipped) as stream:
            stream.write((self.mark + writable(self.header)).encode())
            _append(stream, parts)


class JsonWriter:
    """Writes JSON Lines, or an array of objects with one on each line.

    A row that was JSON is copied character by character, with the answers behind it: its numbers
    (``91.90``) and its order of keys stay.
    """

    def __init__(self, source: AnySource, format_: Format, names: list[str]) -> None:
        self.copies_rows = isinstance(source, JsonLinesFile)
        self.names = names
        self.gzipped = format_.gzipped
        self.as_array = format_.suffix == rows.JSON and not _is_lines_called_json(source)

    def part(self, file: Path, chunk: Chunk, answers: list[Row]) -> None:
        """Write the rows of one chunk, a line each."""
        with file.open("w", encoding="utf-8", newline="") as stream:
            for record, answer in zip(chunk.records, answers, strict=True):
                answered = dict(zip(self.names, answer.values(), strict=True))
                if self.copies_rows and record.written:
                    start = record.written[:-1].rstrip()  # without the closing brace
                    comma = ", " if record.values else ""
                    line = start + comma + rows.json_text(answered)[1:]
                else:
                    line = rows.json_text(record.values | answered)
                stream.write(writable(line) + "\n")

    def join(self, file: Path, parts: list[Path]) -> None:
        """Write all parts; between the lines of an array commas."""
        with _compressing(file, self.gzipped) as stream:
            if not self.as_array:
                _append(stream, parts)
                return
            mark = b"[\n"
            for part in parts:
                with part.open("rb") as lines:
                    for line in lines:
                        stream.write(mark + line.rstrip(b"\n"))
                        mark = b",\n"
            stream.write(b"\n]\n")


class ParquetWriter:
    """Writes Parquet. Columns of a Parquet file keep their types.

    The answers are texts, nested ones JSON.
    """

    def __init__(self, source: AnySource, names: list[str]) -> None:
        self.own = _own_schema(source)
        self.schema = self.own
        for name in names:
            self.schema = self.schema.append(pa.field(name, pa.string()))

    def part(self, file: Path, chunk: Chunk, answers: list[Row]) -> None:
        """Write the rows of one chunk."""
        columns = []
        # Arrow's own arrays: Python has no nanoseconds, and types would have to be guessed.
        if chunk.batch is not None:
            columns.extend(chunk.batch.columns)
        else:
            for column in self.own:
                values = [record.values.get(column.name) for record in chunk.records]
                columns.append(_array(values, column.type))
        for cells in zip(*(answer.values() for answer in answers), strict=True):
            columns.append(_array(cells, pa.string()))
        pq.write_table(pa.Table.from_arrays(columns, schema=self.schema), file)

    def join(self, file: Path, parts: list[Path]) -> None:
        """Write all parts, in larger row groups than theirs."""
        with pq.ParquetWriter(file, self.schema) as writer:
            for start in range(0, len(parts), PARTS_PER_GROUP):
                group = []
                for part in parts[start : start + PARTS_PER_GROUP]:
                    group.append(pq.read_table(part, schema=self.schema))
                writer.write_table(pa.concat_tables(group))


def _own_schema(source: AnySource) -> pa.Schema:
    """Return the types of the input's own columns."""
    if isinstance(source, ParquetFile):
        return source.schema
    types = source.types() if isinstance(source, JsonLinesFile) else {}
    return pa.schema([(name, types.get(name, pa.string())) for name in source.columns])


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if kind != pa.string():
        return pa.array(values, kind)
    # Arrow keeps UTF-8, which cannot hold the lone surrogates of what was lost.
    texts = [None if value is None else writable(rows.cell(value)) for value in values]
    return pa.array(texts, kind)


def _is_lines_called_json(source: AnySource) -> bool:
    """Return whether ``source`` is JSON Lines in a ``.json``: then so is what is written of it."""
    if not isinstance(source, JsonLinesFile) or isinstance(source, JsonArrayFile):
        return False
    of_source = rows.format_of(source.file)
    return of_source is not None and of_source.suffix == rows.JSON


@contextmanager
def _compressing(file: Path, gzipped: bool) -> Iterator[BinaryIO]:
    """Open ``file`` to be written, by way of gzip where that is wanted.

    The archive holds neither a name nor a time: the same rows are the same bytes.
    """
    with file.open("wb") as plain:
        if not gzipped:
            yield plain
            return
        with gzip.GzipFile("", "wb", GZIP_LEVEL, plain, mtime=0) as stream:
            yield cast(BinaryIO, stream)


def _append(stream: BinaryIO, parts: list[Path]) -> None:
    for part in parts:
        with part.open("rb") as content:
            shutil.copyfileobj(content, stream)


def writer_for(source: AnySource, out: Path, names: list[str]) -> Writer:
    """Return the writer of ``out``, by its ending; ``names`` are the columns of the answers."""
    format_ = rows.format_of(out)
    assert format_ is not None, "`batch` has refused other endings"
    if format_.suffix in rows.DELIMITERS:
        return DelimitedWriter(source, format_, names)
    if format_.suffix == rows.PARQUET:
        return ParquetWriter(source, names)
    return JsonWriter(source, format_, names)
