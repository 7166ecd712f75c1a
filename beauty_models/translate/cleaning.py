"""Texts in one form: Unicode NFC on one line, without what nobody sees."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

# control characters beside white space
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
# zero-width characters, soft hyphen, byte order mark; joiners are kept where they join
_ZERO_WIDTH = re.compile("[\u00ad\u180e\u200b\u2060-\u2064\ufeff]")
_JOINERS = re.compile("[\u200c\u200d]")
# what stands on both sides of a joiner that means something: emoji, Arabic, Indic letters
_JOINED = re.compile("[\u0600-\u08ff\u0900-\u0dff\u2600-\u27bf\ufe0f\U0001f000-\U0001faff]")
_DIRECTION = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# private use, noncharacters, the replacement character: a letter stood there once
LOST = re.compile("[\ufffd\ue000-\uf8ff\ufff0-\ufff8\ufffe\uffff]")


def clean(text: str, removed: Counter[str] | None = None) -> str:
    """Return ``text`` in NFC on one line; ``removed`` counts the texts that lost something.

    Full-width letters stay: NFKC would rewrite what Japanese and Chinese shops mean to write.
    """
    visible = text
    for what, pattern in (
        ("control characters", _CONTROL),
        ("zero-width characters", _ZERO_WIDTH),
        ("marks of direction", _DIRECTION),
    ):
        without = pattern.sub("", visible)
        if removed is not None and without != visible:
            removed[what] += 1
        visible = without
    visible = _without_loose_joiners(visible)
    return " ".join(unicodedata.normalize("NFC", visible).split())


def _without_loose_joiners(text: str) -> str:
    if not _JOINERS.search(text):
        return text
    kept = []
    for place, character in enumerate(text):
        if _JOINERS.match(character):
            around = text[max(0, place - 1) : place] + text[place + 1 : place + 2]
            if len(around) < 2 or not all(map(_JOINED.match, around)):
                continue
        kept.append(character)
    return "".join(kept)
