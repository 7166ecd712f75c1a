"""Long texts in pieces that the model can take: lines, sentences, clauses, words.

What stands between the pieces is kept as it is, so that a description keeps its paragraphs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from beauty_models.translate.glossary import Glossary
from beauty_models.translate.protected import MOST, find, tied

# where a text may be cut, the best places first
_PLACES = (
    re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])\s*"),
    re.compile(r"(?<=[;:；：])\s*|\s+[>|•·–—-]\s+"),
    re.compile(r"(?<=[,，、])\s*"),
    re.compile(r"\s+"),
    re.compile(r""),
)
_LINE = re.compile(r"(\s*[\r\n\u2028\u2029]\s*)")
LOOKED_AT = 8  # characters that a token hardly exceeds, so that a long line is not measured whole

Size = Callable[[str], int]
"""Text → how many tokens the model reads for it."""


class Segment(NamedTuple):
    """A piece of a text; the pieces with what is behind each make the text again."""

    text: str  # without white space around; "" where there is nothing to translate
    behind: str  # white space, as it stands


def cut(text: str, size: Size, most: int, terms: Glossary | None = None) -> list[Segment]:
    """Return ``text`` in pieces of ``most`` tokens and `protected.MOST` values at most.

    No value that a translation must keep is cut in two; one that is longer stays whole.
    """
    segments: list[Segment] = []
    # lines and what parts them by turns
    pieces = _LINE.split(text)
    for line, parting in zip(pieces[::2], [*pieces[1::2], ""], strict=True):
        of_line = list(_of_line(line, size, most, terms or Glossary()))
        last = of_line.pop()
        segments += [*of_line, Segment(last.text, last.behind + parting)]
    return segments


def _of_line(line: str, size: Size, most: int, terms: Glossary) -> Iterator[Segment]:
    """Yield the pieces of one line, one at least."""
    start = len(line) - len(line.lstrip())
    if start or not line:
        yield Segment("", line[:start])
    values = [(span.start, span.end) for span in tied(line, find(line, terms=terms))]
    first = 0  # of the values that are not behind us
    while start < len(line):
        while first < len(values) and values[first][1] <= start:
            first += 1
        end = _end(line, start, values[first:], size, most)
        piece = line[start:end]
        text = piece.rstrip()
        behind = len(line[end:]) - len(line[end:].lstrip())
        yield Segment(text, line[start + len(text) : end + behind])
        start = end + behind


def _end(line: str, start: int, values: list[tuple[int, int]], size: Size, most: int) -> int:
    """Return where the piece that begins at ``start`` ends."""
    end = min(len(line), start + most * LOOKED_AT)
    if len(values) > MOST:
        # one value fewer than there are sentinels: the next one begins the next piece
        end = min(end, values[MOST][0])
    if end < len(line):
        end = _place(line, start, end, values)
    while (tokens := size(line[start:end])) > most:
        # about so much is too much; a token at least goes
        wanted = min(end - 1, start + int((end - start) * most / tokens))
        before = _place(line, start, max(wanted, start + 1), values)
        if before >= end:  # a single value
            break
        end = before
    return end


def _place(line: str, start: int, end: int, values: list[tuple[int, int]]) -> int:
    """Return the best place to cut in the second half before ``end``, else any place before it.

    Where a value leaves none, the end of that value.
    """
    for pattern in _PLACES:
        best = 0
        # the last place of a kind, if the piece does not become too short by it
        for match in pattern.finditer(line, start + (end - start) // 2, end):
            if match.end() > start and not _inside(match.end(), values):
                best = match.end()
        if best:
            return best
    for begin, stop in values:
        if begin < end < stop:
            return begin if begin > start else stop
    return end


def _inside(place: int, values: list[tuple[int, int]]) -> bool:
    for begin, stop in values:
        if begin >= place:
            return False
        if place < stop:
            return True
    return False


def joined(segments: Sequence[Segment], translated: Sequence[str]) -> str:
    """Return the translations of ``segments`` in one text."""
    pieces = []
    for segment, text in zip(segments, translated, strict=True):
        pieces += [text, segment.behind]
    return "".join(pieces)
