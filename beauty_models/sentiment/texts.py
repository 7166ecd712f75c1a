"""The texts of all rows, which lie on the disk; in memory is only what is worked on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beauty_models.sentiment.near_duplicates import Signatures

Rows = NDArray[np.int64]

MOST_SINGLE = 10_000  # texts read by one map: with each some 64 KB around it are in memory


class TextStore:
    """Rows of `cleaning.schema` by their number, in the order in which they were added.

    Write with `append`, then `seal`, then read. Files are mapped: what is read may leave memory.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        folder.mkdir()
        self._folder = folder
        self._file = folder / "texts.arrow"
        self._schema = schema
        self._writer = pa.ipc.new_file(self._file, schema)
        self._batches: list[pa.RecordBatch] = []
        self._read_singly = 0
        self._starts = np.zeros(1, np.int64)  # number of each batch's first row, and of all rows

    def append(self, batch: pa.RecordBatch) -> None:
        """Add the rows of ``batch``."""
        self._writer.write_batch(batch)

    def seal(self) -> None:
        """End writing; from now on rows can be read."""
        self._writer.close()
        self._map()

    def _map(self) -> None:
        """Map the file; the pages of an earlier map leave this process's memory."""
        self._batches = []
        reader = pa.ipc.open_file(pa.memory_map(str(self._file)))
        self._batches = [reader.get_batch(place) for place in range(reader.num_record_batches)]
        sizes = [batch.num_rows for batch in self._batches]
        self._starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def take(self, rows: Rows, columns: list[str]) -> pa.Table:
        """Return these ``columns`` of ``rows``, in their order."""
        self._map()  # what an earlier call read would stay
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        cuts = np.searchsorted(ascending, self._starts)
        pieces = []
        for number, batch in enumerate(self._batches):
            inside = ascending[cuts[number] : cuts[number + 1]]
            if len(inside):
                places = pa.array(inside - self._starts[number])
                pieces.append(batch.select(columns).take(places))
        if not pieces:
            return pa.schema([self._schema.field(name) for name in columns]).empty_table()
        back = np.empty(len(rows), np.int64)
        back[order] = np.arange(len(rows))
        table: pa.Table = pa.Table.from_batches(pieces).combine_chunks()
        return table.take(pa.array(back))

    def text(self, row: int) -> str:
        """Return the text of one row."""
        self._read_singly += 1
        if self._read_singly % MOST_SINGLE == 0:
            self._map()
        number = int(np.searchsorted(self._starts, row, "right")) - 1
        value: str = self._batches[number]["text"][row - int(self._starts[number])].as_py()
        return value

    def cells(self, column: str) -> list[Any]:
        """Return a column of all rows."""
        cells: list[Any] = []
        for batch in self._batches:
            cells += batch[column].to_pylist()
        return cells

    def text_hashes(self) -> NDArray[np.int64]:
        """Return a number for each text, equal for equal ones, in this process only."""
        hashes = np.empty(len(self), np.int64)
        for number, batch in enumerate(self._batches):
            of_batch = [hash(text) for text in batch["text"].to_pylist()]
            hashes[self._starts[number] : self._starts[number + 1]] = of_batch
        return hashes

    def keys(self) -> NDArray[np.uint64]:
        """Return the fingerprint of each row as two integers, the higher half first, [n, 2]."""
        halves = np.empty((len(self), 2), np.uint64)
        for number, batch in enumerate(self._batches):
            content = _bytes(batch["key"]).view(">u8")
            halves[self._starts[number] : self._starts[number + 1]] = content
        return halves

    def signatures(self, rows: Rows) -> Signatures:
        """Return the signatures of ``rows``, in their order; the large ones lie on the disk."""
        place_of = np.full(len(self), -1, np.int64)
        place_of[rows] = np.arange(len(rows))
        width = _bytes(self._batches[0]["bands"]).shape[1] // 4 if self._batches else 1
        sizes = np.empty(len(rows), np.int32)
        sketches = self._mapped("sketches", np.dtype(np.uint64), (len(rows), 8))
        bands = self._mapped("bands", np.dtype(np.uint32), (width, len(rows)))
        for number, batch in enumerate(self._batches):
            places = place_of[self._starts[number] : self._starts[number + 1]]
            wanted = np.flatnonzero(places >= 0)
            goal = places[wanted]
            sizes[goal] = batch["size"].to_numpy()[wanted]
            sketches[goal] = _bytes(batch["sketch"]).view(np.uint64)[wanted]
            bands[:, goal] = _bytes(batch["bands"]).view(np.uint32)[wanted].T
        self._map()
        return Signatures(sizes, sketches, bands)

    def _mapped(self, name: str, dtype: np.dtype[Any], shape: tuple[int, int]) -> NDArray[Any]:
        if not shape[1] or not shape[0]:
            return np.empty(shape, dtype)  # an empty file cannot be mapped
        return np.memmap(self._folder / name, dtype, "w+", shape=shape)


def _bytes(column: pa.FixedSizeBinaryArray) -> NDArray[np.uint8]:
    """Return the cells of a column of equal width as the rows of a matrix, without a copy."""
    width = column.type.byte_width
    content = np.frombuffer(column.buffers()[1], np.uint8)
    begin = column.offset * width
    return content[begin : begin + len(column) * width].reshape(-1, width)
