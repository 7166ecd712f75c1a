"""The records of a Parquet file, by parts that fit into memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from beauty_models.intake.records import Record, cell_text

ROWS_AT_ONCE = 10_000


def records(file: Path) -> Iterator[Record]:
    """Yield the records of a Parquet file; a value that no text can say costs its own row.

    `ROWS_AT_ONCE` of them are in memory.

    Raises:
        ValueError: it cannot be read.
    """
    number = 0
    try:
        with pq.ParquetFile(file) as opened:
            names = _without_structs(opened.schema_arrow.empty_table()).column_names
            yield Record(0, list(names))
            for batch in opened.iter_batches(ROWS_AT_ONCE):
                table = _without_structs(pa.Table.from_batches([batch]))
                columns = [_column_cells(column) for column in table.columns]
                for cells in zip(*columns, strict=True):
                    number += 1
                    yield _parquet_record(number, cells, names)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        flaw = str(error).partition("\n")[0]
        raise ValueError(
            f"{file}: not a Parquet file that can be read ({flaw:.100}); write or download it again"
        ) from None


def row_count(file: Path) -> int:
    """Return how many rows a Parquet file has, 0 where it cannot be read."""
    try:
        count: int = pq.read_metadata(file).num_rows
    except (pa.ArrowException, OSError, ValueError, KeyError):
        return 0
    return count


def _without_structs(table: pa.Table) -> pa.Table:
    """Return ``table`` with the fields of structs as columns, as an object in JSON has them."""
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    return table


def _parquet_record(number: int, cells: Sequence[str | None], names: Sequence[str]) -> Record:
    lost = [name for name, cell in zip(names, cells, strict=True) if cell is None]
    reason = f"the value of {lost[0]!r:.60} is damaged or out of range" if lost else ""
    return Record(number, [cell or "" for cell in cells], reason)


def _column_cells(column: pa.ChunkedArray) -> list[str | None]:
    """Return the cells of a column of Parquet, None where a value is damaged."""
    kind = column.type
    if pa.types.is_float16(kind) or pa.types.is_float32(kind):
        # As doubles they would have digits that nobody wrote: 4.1 is 4.099999904632568.
        return [_shortest(value, kind) for value in column.to_pylist()]
    try:
        return [cell_text(value) for value in column.to_pylist()]
    except (ValueError, OverflowError, pa.ArrowException):
        return [_cell_or_none(value) for value in column]


def _shortest(value: float | None, kind: pa.DataType) -> str:
    """Return the shortest number that is ``value`` in the column's precision."""
    if value is None:
        return ""
    return cell_text(float(str(kind.to_pandas_dtype()(value))))


def _cell_or_none(value: pa.Scalar) -> str | None:
    """Return what ``value`` says; None of a year 300,000, or of a text that is no UTF-8."""
    try:
        return cell_text(value.as_py())
    except (ValueError, OverflowError, pa.ArrowException):
        return None
