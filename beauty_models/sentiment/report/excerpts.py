"""Sentences of customers as a report may show them: masked, cut, around the words that matter."""

from __future__ import annotations

import re

LENGTH = 160  # characters

_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
# A code after a word such as "order": five characters or more of which one is a digit.
_CODE = re.compile(
    r"((?:订单|单号|编号|快递单|运单|order|invoice|tracking|parcel)[^\n,;，。；]{0,12}?)"
    r"(?<![A-Za-z0-9-])(?=[A-Za-z-]*\d)[A-Za-z0-9-]{5,}",
    re.IGNORECASE,
)
# Seven digits or more, with or without separators; what begins as a date does is none.
_NUMBER = re.compile(
    r"(?<![\d.])(?!(?:19|20)\d\d[-./]\d{1,2}[-./]\d{1,2}(?!\d))\+?\(?\d(?:[ ().-]{0,2}\d){6,}"
)
# A full stop ends a sentence before white space only: "1.5" and "e.g." inside words do not.
_SENTENCE_END = re.compile(r"(?<=[。！？!?；;…])\s*|(?<=\.)\s+")


def mask(text: str) -> str:
    """Return ``text`` with e-mail addresses, phone numbers and order numbers replaced.

    A number is any run of seven or more digits, with or without separators, that is not a date, and
    any code after a word such as "order" or 单号.
    """
    # Addresses first: a number inside of one would hide the rest of it from its pattern.
    text = _EMAIL.sub("‹e-mail›", text)
    text = _CODE.sub(r"\1‹number›", text)
    return _NUMBER.sub("‹number›", text)


def excerpt(text: str, needle: str, length: int = LENGTH) -> str:
    """Return the masked sentence of ``text`` that holds ``needle``, or its beginning.

    It has at most ``length`` characters. ``needle`` is in lower case, "" for none.
    """
    # Masked before it is cut: half a phone number would not be known as one.
    sentence = mask(text)
    if needle:
        holding = [part for part in _SENTENCE_END.split(sentence) if needle in part.lower()]
        sentence = holding[0] if holding else sentence
    sentence = sentence.strip()
    start = 0
    if needle and len(sentence) > length:
        start = max(0, sentence.lower().find(needle) - length // 2)
    stop = start + length
    before = "…" if start else ""
    after = "…" if len(sentence) > stop else ""
    return before + sentence[start:stop] + after
