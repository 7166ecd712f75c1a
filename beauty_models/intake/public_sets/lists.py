"""DeepFashion's lists: a line with their length, one with the columns' names, then a line each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Entry(NamedTuple):
    """A line of a list."""

    row: int  # in the file, from 1
    text: str


def entries(file: Path, notes: list[str], header_lines: int = 2) -> Iterator[Entry]:
    """Yield the lines of a list; note where it is shorter or longer than its first line says.

    The lists of attributes of all photos are close to a gigabyte, so nothing of them is held.

    Raises:
        ValueError: its first line is no number.
    """
    with file.open(encoding="utf-8-sig", errors="replace") as stream:
        first = stream.readline().strip()
        if not first.isdecimal():
            raise ValueError(
                f"{file}: begins with {first[:40]!r}, not with the number of its rows, as "
                "DeepFashion's lists do; was its beginning cut off?"
            )
        for _ in range(header_lines - 1):
            stream.readline()
        count = 0
        for row, line in enumerate(stream, start=header_lines + 1):
            text = line.strip()
            if text:
                count += 1
                yield Entry(row, text)
    if count != int(first):
        notes.append(f"{file.name} says {int(first):,} rows and has {count:,}")
