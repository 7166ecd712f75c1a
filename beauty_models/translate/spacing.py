"""Spaces beside what was put back: no value runs into a word that it did not touch in the source.

"Ruby" and "30 ml" that a network wrote as one word are kept, and yet nobody finds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from beauty_models.translate.patterns import SENTINEL
from beauty_models.translate.protected import Value


class _Piece(NamedTuple):
    """A sentinel or what stands between two."""

    text: str
    number: int  # of the sentinel, -1 where it is none


def parted(source: str, translated: str, values: Sequence[Value]) -> str:
    """Return the protected ``translated`` with a space where a value would run into a word.

    Both sides must be Latin letters or digits, and must not touch in the protected ``source``
    either, as in "<0>er". Chinese, Japanese and Korean need none but beside an address, of which
    their characters would become a part.
    """
    touching = _touching(source)
    written = ""
    pieces = _pieces(translated)
    for before, piece in zip([_Piece("", -1), *pieces], pieces, strict=False):
        left, right = _shown(before, values)[-1:], _shown(piece, values)[:1]
        sides = (before.number, piece.number)
        new = not touching & {(sides[0], "behind"), (sides[1], "before")}
        address = _is_address(before, values) or _is_address(piece, values)
        joins = str.isalnum if address else _joins
        if sides != (-1, -1) and new and joins(left) and joins(right):
            written += " "
        written += piece.text
    return written


def _pieces(text: str) -> list[_Piece]:
    pieces: list[_Piece] = []
    place = 0
    for match in SENTINEL.finditer(text):
        if match.start() > place:
            pieces.append(_Piece(text[place : match.start()], -1))
        pieces.append(_Piece(match[0], int(match[1])))
        place = match.end()
    if place < len(text):
        pieces.append(_Piece(text[place:], -1))
    return pieces


def _touching(source: str) -> set[tuple[int, str]]:
    """Return at which side which sentinels touch a word in the source."""
    touching: set[tuple[int, str]] = set()
    pieces = _pieces(source)
    for before, piece in zip(pieces, pieces[1:], strict=False):
        if before.number >= 0 and (piece.number >= 0 or _joins(piece.text[:1])):
            touching.add((before.number, "behind"))
        if piece.number >= 0 and (before.number >= 0 or _joins(before.text[-1:])):
            touching.add((piece.number, "before"))
    return touching


def _shown(piece: _Piece, values: Sequence[Value]) -> str:
    return values[piece.number].text if 0 <= piece.number < len(values) else piece.text


def _is_address(piece: _Piece, values: Sequence[Value]) -> bool:
    return 0 <= piece.number < len(values) and values[piece.number].kind == "address"


def _joins(character: str) -> bool:
    """Return whether a character would make one word with its like beside it."""
    return character.isalnum() and character < "\u2e80"
