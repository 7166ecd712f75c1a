"""The lines of a large text file as a sequence that lies on the disk: some thousands are in memory.

What reads a list of lines reads this, too.
"""

from __future__ import annotations

import bisect
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import overload

from beauty_models.intake.encodings import clean, encoding_of

BLOCK = 1_000_000  # bytes that are decoded at once
LARGE = 32_000_000  # bytes of a file, from which its lines stay on the disk
END = b"\n\n\n"  # a character has four bytes at most, and no later one of them is a line end
# In these a byte 10 may be half of another letter, so that a file cannot be cut at it.
WIDE = ("utf-16", "utf-32")


class Lines(Sequence[str]):
    """The lines of a file, each with its end as ``\\n``, in one encoding.

    A line is the same as if the whole file were decoded at once: blocks end where lines do.
    """

    def __init__(self, file: Path, encoding: str) -> None:
        self._file = file
        self._encoding = encoding
        self._change: Callable[[str], str] | None = None
        self._offsets = [0]  # of the blocks, in bytes
        self._starts = [0]  # numbers of their first lines
        with file.open("rb") as stream:
            while block := b"".join(stream.readlines(BLOCK)):
                self._offsets.append(self._offsets[-1] + len(block))
                self._starts.append(self._starts[-1] + _line_count(block))
        self._first = 0  # of the lines in memory
        self._loaded: list[str] = []

    def mapped(self, change: Callable[[str], str]) -> Lines:
        """Return the lines with each changed when it is read; ``change`` keeps it one line."""
        other = Lines.__new__(Lines)
        other.__dict__ = self.__dict__ | {"_change": change, "_loaded": [], "_first": 0}
        return other

    def __len__(self) -> int:
        return self._starts[-1]

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        place = index - self._first
        if 0 <= place < len(self._loaded):
            return self._loaded[place]
        if not 0 <= index < len(self):
            raise IndexError(index)
        block = bisect.bisect_right(self._starts, index) - 1
        self._loaded = self._block(block)
        self._first = self._starts[block]
        return self._loaded[index - self._first]

    def __iter__(self) -> Iterator[str]:
        for block in range(len(self._starts) - 1):
            yield from self._block(block)

    def _block(self, number: int) -> list[str]:
        begin, end = self._offsets[number : number + 2]
        with self._file.open("rb") as stream:
            stream.seek(begin)
            content = stream.read(end - begin)
        # Else a broken character before the block's end would take the line end with it.
        padded = content + END
        text = clean(padded.decode(self._encoding, "lost")[: -len(END)])
        lines = io.StringIO(text, newline=None).readlines()
        # A last line of nothing but NULs is none any more; it was counted.
        count = self._starts[number + 1] - self._starts[number]
        lines += [""] * (count - len(lines))
        if self._change:
            return list(map(self._change, lines))
        return lines


def _line_count(block: bytes) -> int:
    """Return how many lines ``block`` has: ``\\n``, ``\\r\\n`` and ``\\r`` end one."""
    ends = block.count(b"\n") + block.count(b"\r") - block.count(b"\r\n")
    return ends if block.endswith((b"\n", b"\r")) else ends + 1


def lines_on_disk(file: Path) -> Lines | None:
    """Return the lines of ``file`` where it is large and can be cut into blocks, else None.

    Raises:
        ValueError: as `encodings.encoding_of`.
    """
    if file.stat().st_size < LARGE:
        return None
    with file.open("rb") as stream:
        encoding = encoding_of(stream, str(file))
    return None if encoding.startswith(WIDE) else Lines(file, encoding)
