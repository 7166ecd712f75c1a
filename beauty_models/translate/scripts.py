"""Words of texts, with spaces or without: what is one token where words are looked up."""

from __future__ import annotations

import re

# a sentinel, a run of Latin (Cyrillic, hangul …) letters and digits, one character of Han or kana,
# or a mark; white space parts them and is no token
_TOKEN = re.compile(
    "<\\d{1,2}>|[\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|[^\\W_]+(?:['’][^\\W_]+)*|\\S"
)
UNSPACED = ("zh", "ja")  # languages that put no space between words


def tokens(text: str) -> list[str]:
    """Return the words of ``text``; of Han and kana each character is one."""
    # runs of letters must not swallow Han characters: [^\W_] has them, too
    found: list[str] = []
    for match in _TOKEN.finditer(text):
        found += _split(match[0])
    return found


def _split(word: str) -> list[str]:
    """Return a run of letters cut where Han or kana begin and end."""
    if word.isascii():
        return [word]
    pieces: list[str] = []
    for character in word:
        if is_unspaced(character) or not pieces or is_unspaced(pieces[-1][-1]):
            pieces.append(character)
        else:
            pieces[-1] += character
    return pieces


def is_unspaced(character: str) -> bool:
    """Return whether ``character`` is of a script without spaces: Han or kana."""
    return "\u3041" <= character <= "\u30ff" or "\u3400" <= character <= "\u9fff"


def spaced(language: str) -> bool:
    """Return whether ``language`` puts spaces between words."""
    return language.partition("-")[0] not in UNSPACED
