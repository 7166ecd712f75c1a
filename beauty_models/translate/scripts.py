"""Words of texts, with spaces or without: what is one token where words are looked up."""

from __future__ import annotations

import re

# a sentinel, one character of Han or kana, a run of other letters and digits, or a mark; white
# space parts them and is no token
_UNSPACED = "\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff"
_LETTER = rf"[^\W_{_UNSPACED}]"
_TOKEN = re.compile(rf"<\d{{1,2}}>|[{_UNSPACED}]|{_LETTER}+(?:['’]{_LETTER}+)*|\S")
UNSPACED = ("zh", "ja")  # languages that put no space between words


def tokens(text: str) -> list[str]:
    """Return the words of ``text``; of Han and kana each character is one."""
    return _TOKEN.findall(text)


def is_unspaced(character: str) -> bool:
    """Return whether ``character`` is of a script without spaces: Han or kana."""
    return "\u3041" <= character <= "\u30ff" or "\u3400" <= character <= "\u9fff"


def spaced(language: str) -> bool:
    """Return whether ``language`` puts spaces between words."""
    return language.partition("-")[0] not in UNSPACED
