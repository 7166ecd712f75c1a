"""The items of a JSON array one after the other, each with the characters that it was written in.

`json.load` would hold the whole file, and forget how numbers were written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, TextIO

from beauty_models.serving.rows import BYTE_ORDER_MARK, WrittenFloat

BLOCK = 1 << 16  # characters that are read at once, more where an item is longer
HEAD = 4096  # bytes in which an array begins
CUT = 64  # characters at the end of what was read, in which an error may be the cut alone
BLANK = re.compile(r"[ \t\r\n]*")  # what JSON allows between two values
LINE_BREAK = re.compile(r"[ \t]*[\r\n]\s*")

DECODER = json.JSONDecoder(parse_float=WrittenFloat)


class DamagedArrayError(ValueError):
    """The array cannot be read, and where."""


def parsed(written: str) -> Any:
    """Return the value of ``written``; None where it is no JSON."""
    try:
        return json.loads(written, parse_float=WrittenFloat)
    except (ValueError, RecursionError):
        return None


def begins_array(binary: BinaryIO) -> bool:
    """Return whether a bracket is the first character, in UTF-8 or UTF-16, with a mark or not."""
    head = binary.read(HEAD).replace(b"\0", b"")
    return head.lstrip(b"\xef\xbb\xbf\xfe\xff \t\r\n").startswith(b"[")


def on_one_line(written: str) -> str:
    """Return an item without its line breaks, which stand between values: no text has one."""
    return LINE_BREAK.sub(" ", written)


def items(stream: TextIO) -> Iterator[tuple[str, Any]]:
    """Yield the characters and the value of each item of the array in ``stream``.

    Raises:
        DamagedArrayError: it is no JSON, or something follows the array.
    """
    text = _ArrayText(stream)
    text.take("[")
    if text.next_character() == "]":
        text.take("]")
    else:
        yield text.item()
        while text.next_character() == ",":
            text.take(",")
            yield text.item()
        text.take("]")
    if text.next_character():
        raise text.error("something stands behind the array")


class _ArrayText:
    """The part of the text that is being looked at; what lies before it is forgotten."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.text = ""
        self.place = 0  # in `text`
        self.before = 0  # characters of the file that lie before `text`
        self._read_more()
        self.text = self.text.removeprefix(BYTE_ORDER_MARK)

    def _read_more(self) -> bool:
        """Read on, as much again as waits already, so that a long item is parsed only few times."""
        self.before += self.place
        self.text = self.text[self.place :]
        self.place = 0
        block = self.stream.read(max(BLOCK, len(self.text)))
        self.text += block
        return bool(block)

    def next_character(self) -> str:
        """Go to the next character that is not blank and return it; "" at the end of the file."""
        while True:
            blank = BLANK.match(self.text, self.place)
            assert blank is not None
            self.place = blank.end()
            if self.place < len(self.text):
                return self.text[self.place]
            if not self._read_more():
                return ""

    def take(self, wanted: str) -> None:
        """Go behind the character ``wanted``, which comes next."""
        found = self.next_character()
        if found != wanted:
            raise self.error(f"{wanted!r} is missing" if found else "it is cut off")
        self.place += 1

    def item(self) -> tuple[str, Any]:
        """Go behind the next value; return its characters and the value."""
        if not self.next_character():
            raise self.error("it is cut off")
        while True:
            try:
                value, end = DECODER.raw_decode(self.text, self.place)
            except json.JSONDecodeError as error:
                within = error.pos - self.place
                # A text without its end is known by its beginning, which may lie anywhere.
                may_be_cut = error.pos > len(self.text) - CUT or error.msg.startswith("Untermin")
                if may_be_cut and self._read_more():
                    continue
                self.place += within
                raise self.error(error.msg) from None
            except (ValueError, RecursionError) as error:  # thousands of digits, of brackets
                raise self.error(str(error)) from None
            # A number at the end of what was read may go on.
            if end == len(self.text) and self._read_more():
                continue
            written = self.text[self.place : end]
            self.place = end
            return written, value

    def error(self, flaw: str) -> DamagedArrayError:
        """Return the error that tells ``flaw`` and the place."""
        return DamagedArrayError(
            f"not a JSON array at character {self.before + self.place + 1:,}: {flaw}"
        )
