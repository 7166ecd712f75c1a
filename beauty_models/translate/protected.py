"""What a translation must keep as it is: found in a text, set aside, and put back.

Numbers, sizes, prices, placeholders, tags, addresses, codes and the shop's own terms become
sentinels, ``<0>`` to ``<31>``, single tokens that the decoder has to write, each once.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from beauty_models.translate.glossary import Glossary, Term, TermMatch, translation_of
from beauty_models.translate.patterns import PROTECTED, SENTINEL, UNIT_SYMBOLS, UNIT_WORD

MOST = 32
"""Sentinels that the tokenizer has."""

SENTINELS = tuple(f"<{number}>" for number in range(MOST))

SHORT = 300  # characters of a text at most, of which is remembered what was found in it
REMEMBERED = 1 << 15  # texts
QUANTITIES = ("number", "measure", "price")  # kinds of values that are numbers, with a unit or not
# what stands between the numbers of a range, a date, a "2-in-1"; nothing: one number of many digits
_TIES = re.compile(r"[ \u00a0]?[‐-―~〜～−-][ \u00a0]?|-in-|")
_DOLLARS = re.compile(r"\$\d")
# 1 1/2 · 1 000 ml; "2 500 ml" may be two of 500 ml
_GOES_ON = re.compile(r"\d{1,2}/\d{1,2}(?!\d)|000(?![\d.,:])")
TELEPHONE = 7  # digits, at least
_SIDE_BY_SIDE = re.compile(rf"{SENTINEL.pattern}([.,]?)(?={SENTINEL.pattern})")
_TAG_NAME = re.compile(r"</?\s*([\w:-]+)")
_EMPTY_TAGS = ("br", "hr", "img", "wbr", "input")  # that nothing closes

Terms = Glossary | Iterable[Term | str]


class Value(NamedTuple):
    """What a sentinel stands for."""

    text: str
    """As the source has it, with its spaces."""
    kind: str
    """Which pattern found it: number, price, tag, …, or ``term``."""
    translations: tuple[tuple[str, str], ...] = ()
    """Of a term: (language tag, translation)."""


class Span(NamedTuple):
    """Where a value stands in the source."""

    start: int
    end: int
    value: Value


@dataclass(frozen=True)
class Protected:
    """A text with sentinels, and what each stands for: ``values[0]`` is that of ``<0>``."""

    text: str
    values: tuple[Value, ...]


def protect(text: str, *, terms: Terms = (), tie: bool = False) -> Protected:
    """Return ``text`` with a sentinel in place of each thing that a translation must keep.

    Where there are more than `MOST`, neighbours with nothing but spaces or punctuation between
    them share one.

    Args:
        terms: a glossary's entries and brands; a bare string is kept as it is.
        tie: one sentinel for numbers that are one value together, see `tied`. What is learned has
            them apart, for a range is 34–42 in one language and 34 to 42 in another.

    Raises:
        ValueError: there are still more than `MOST`; the text is to be cut (`segments.cut`).
    """
    spans = find(text, terms=terms)
    if tie:
        spans = tied(text, spans)
    if len(spans) > MOST:
        spans = _joined(text, spans)
    if len(spans) > MOST:
        raise ValueError(
            f"{len(spans)} numbers, tags and the like in one text, {MOST} are kept at most; "
            "translate it sentence by sentence"
        )
    return _replaced(text, spans)


def find(text: str, *, terms: Terms = ()) -> list[Span]:
    """Return where ``text`` has what must be kept, from left to right, none over another."""
    glossary = Glossary.of(terms)
    if len(text) > SHORT:
        return _found(text, glossary)
    # the same texts are asked about in every direction
    if text not in glossary.remembered:
        if len(glossary.remembered) >= REMEMBERED:
            glossary.remembered.clear()
        glossary.remembered[text] = _found(text, glossary)
    return list(glossary.remembered[text])


def _found(text: str, glossary: Glossary) -> list[Span]:
    waiting = deque(_within(text, 0, len(text)))
    spans: list[Span] = []
    for match in glossary.find(text):
        while waiting and waiting[0].end <= match.start:
            spans.append(waiting.popleft())
        # a brand within an address, or a number that is part of a code, is no term there
        if waiting and _lies_within(match, waiting[0]):
            continue
        # otherwise the term is the shop's own wish; of what crosses it the rest is looked at again
        while waiting and waiting[0].start < match.end:
            crossing = waiting.popleft()
            spans += _within(text, crossing.start, match.start)
            behind = _within(text, match.end, crossing.end)
            waiting.extendleft(reversed(behind))
        value = Value(text[match.start : match.end], "term", match.term.translations)
        spans.append(Span(match.start, match.end, value))
    spans += waiting
    return spans


def _lies_within(match: TermMatch, pattern: Span) -> bool:
    """Return whether a term is a part of what a pattern found, and not all of it."""
    inside = pattern.start <= match.start and match.end <= pattern.end
    whole = pattern.start == match.start and pattern.end == match.end
    return inside and not whole


def _within(text: str, start: int, end: int) -> list[Span]:
    """Return what the patterns find in a piece of ``text``; nothing in one that is no piece."""
    if start >= end:
        return []
    return [_span(match) for match in PROTECTED.finditer(text, start, end)]


def _span(match: re.Match[str]) -> Span:
    kind = match.lastgroup
    assert kind is not None  # every alternative of the pattern has a name
    return Span(match.start(), match.end(), Value(match[0], kind))


def tied(text: str, spans: Sequence[Span]) -> list[Span]:
    """Return ``spans`` with those made one that are one value together.

    A range (5-10 ml), a date (2026-11-28), a telephone number, 1 1/2, 1 000, "2-in-1", more digits
    than a number has: torn apart they would be other numbers.
    """
    whole: list[Span] = []
    for span in spans:
        last = whole[-1] if whole else None
        if last is None or not _are_one(text, last, span):
            whole.append(span)
            continue
        kinds = (last.value.kind, span.value.kind)
        kind = next((kind for kind in ("price", "measure") if kind in kinds), "number")
        whole[-1] = Span(last.start, span.end, Value(text[last.start : span.end], kind))
    return whole


def _are_one(text: str, first: Span, second: Span) -> bool:
    """Return whether two neighbours are one value."""
    if not (_is_quantity(first.value) and _is_quantity(second.value)):
        return False
    between = text[first.end : second.start]
    if between in (" ", "\u00a0"):
        plain = first.value.kind == "number" and first.value.text[-1:].isdigit()
        telephone = plain and first.value.text.startswith("+") and second.value.kind == "number"
        if telephone:
            digits = [c for c in text[first.start : second.end + TELEPHONE] if c.isdigit()]
            return len(digits) >= TELEPHONE
        return plain and _GOES_ON.match(second.value.text) is not None
    return _TIES.fullmatch(between) is not None


def _is_quantity(value: Value) -> bool:
    # $5 has the form of a placeholder, too
    return value.kind in QUANTITIES or _DOLLARS.match(value.text) is not None


def _joined(text: str, spans: Sequence[Span]) -> list[Span]:
    """Return ``spans`` with neighbours made one, as many of them as there must be."""
    joined: list[Span] = []
    surplus = len(spans) - MOST
    for span in spans:
        last = joined[-1] if joined else None
        if surplus and last is not None and _may_join(text, last, span):
            whole = Value(text[last.start : span.end], "several")
            joined[-1] = Span(last.start, span.end, whole)
            surplus -= 1
        else:
            joined.append(span)
    return joined


def _may_join(text: str, first: Span, second: Span) -> bool:
    between = text[first.end : second.start]
    # a term that is translated cannot be part of what is kept as it is
    translated = first.value.translations or second.value.translations
    return not translated and not any(map(str.isalnum, between))


def _replaced(text: str, spans: Sequence[Span]) -> Protected:
    pieces = []
    place = 0
    for number, span in enumerate(spans):
        pieces += [text[place : span.start], SENTINELS[number]]
        place = span.end
    pieces.append(text[place:])
    values = tuple(span.value for span in spans)
    return Protected("".join(pieces), values)


def restore(translated: str, values: Sequence[Value], *, language: str) -> str:
    """Return ``translated`` with each sentinel replaced by what it stands for in ``language``.

    A term that has a translation becomes that. A unit in Chinese, Japanese or Korean characters
    becomes its symbol in other languages: 毫升 is ml. All else stays as the source has it. Opening
    and closing tags whose order the translation broke are put back into the source's order. Where a
    number would run into the next, 3,12 ml of 3 and 12 ml, a space comes between.

    Raises:
        ValueError: a sentinel stands for nothing; the translation is not of this text.
    """
    tags = []
    for match in SENTINEL.finditer(translated):
        number = int(match[1])
        if number >= len(values):
            raise ValueError(f"{match[0]} stands for nothing: the text has {len(values)} values")
        if values[number].kind == "tag":
            tags.append(number)
    moved: dict[int, int] = {}
    if _is_ill_nested(tags, values):
        moved = dict(zip(tags, sorted(tags), strict=True))

    def written(match: re.Match[str]) -> str:
        number = int(match[1])
        return value_in(values[moved.get(number, number)], language)

    def apart(match: re.Match[str]) -> str:
        first, second = values[int(match[1])], values[int(match[3])]
        if first.kind != "number" or second.kind not in QUANTITIES or not second.text[0].isdigit():
            return match[0]
        # Digits so many that they are two values stay together, as the source has them.
        read_as_one = len(find(first.text + match[2] + second.text)) == 1
        return f"{match[0]} " if read_as_one else match[0]

    return SENTINEL.sub(written, _SIDE_BY_SIDE.sub(apart, translated))


def _is_ill_nested(tags: Sequence[int], values: Sequence[Value]) -> bool:
    """Return whether tags that were nested well in the source are not in this order any more."""
    return _nests(sorted(tags), values) and not _nests(tags, values)


def _nests(tags: Sequence[int], values: Sequence[Value]) -> bool:
    """Return whether each closing tag closes the last one that was opened, and all are closed."""
    opened: list[str] = []
    for number in tags:
        text = values[number].text
        match = _TAG_NAME.match(text)
        # a comment has no name
        name = match[1].casefold() if match else ""
        if text.startswith("</"):
            if not opened or opened.pop() != name:
                return False
        elif name and name not in _EMPTY_TAGS and not text.endswith("/>"):
            opened.append(name)
    return not opened


def value_in(value: Value, language: str) -> str:
    """Return how ``value`` is written in ``language``."""
    if value.translations:
        return translation_of(value.translations, language, otherwise=value.text)
    if value.kind == "measure":
        return UNIT_WORD.sub(lambda match: _unit_in(match, language), value.text)
    return value.text


def _unit_in(match: re.Match[str], language: str) -> str:
    """Return a number's unit for readers of ``language``."""
    spaces, unit = match.groups()
    # Chinese characters are left to Chinese, kana to Japanese, hangul to Korean
    if _script_of(unit) == language.partition("-")[0]:
        return match[0]
    symbol = UNIT_SYMBOLS[unit]
    spaced = language.partition("-")[0] not in ("zh", "ja")
    return f" {symbol}" if spaced else f"{spaces}{symbol}"


def _script_of(unit: str) -> str:
    first = unit[0]
    if "\u3041" <= first <= "\u30ff" or unit == "円":
        return "ja"
    return "ko" if "\uac00" <= first <= "\ud7af" else "zh"


def key(value: Value) -> str:
    """Return what is equal for two values that say the same in two languages."""
    plain = unicodedata.normalize("NFKC", value.text)
    if value.kind == "term":
        return html.unescape(plain).replace("’", "'").casefold()
    if value.kind in ("tag", "address"):
        return plain
    if value.kind == "measure":
        plain = UNIT_WORD.sub(lambda match: UNIT_SYMBOLS[match[2]], plain)
    plain = re.sub(r"\s", "", plain).replace("×", "x")
    if value.kind in QUANTITIES:
        return _plain_number(plain)
    return plain


def keys(value: Value) -> list[str]:
    """Return the key of ``value`` and those of its translations, each once."""
    texts = [value.text, *(text for _, text in value.translations)]
    return list(dict.fromkeys(key(Value(text, value.kind)) for text in texts))


def _plain_number(text: str) -> str:
    """Return ``text`` with numbers in one form: no thousands separators, a decimal point."""
    ungrouped = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    pointed = re.sub(r"(?<=\d),(?=\d)", ".", ungrouped)
    return pointed.casefold()


@dataclass(frozen=True)
class ProtectedPair:
    """Two texts that say the same, with the same sentinels for the same values."""

    source: str
    target: str
    values: tuple[Value, ...]


def protect_pair(source: str, target: str, *, terms: Terms = ()) -> ProtectedPair | None:
    """Return a pair to learn from: each sentinel of the source stands in the target, too.

    None where the two do not hold the same values (a "2-piece" set is 两件套): a decoder that must
    write every sentinel learns nothing right from it.
    """
    glossary = Glossary.of(terms)
    ours = find(source, terms=glossary)
    theirs = find(target, terms=glossary.with_translations)
    if len(ours) != len(theirs) or len(ours) > MOST:
        return None
    free: dict[str, deque[int]] = {}
    for number, span in enumerate(ours):
        for name in keys(span.value):
            free.setdefault(name, deque()).append(number)
    used: set[int] = set()
    pieces = []
    place = 0
    for span in theirs:
        waiting = free.get(key(span.value), deque())
        # a term waits under each of its forms
        while waiting and waiting[0] in used:
            waiting.popleft()
        if not waiting:
            return None
        number = waiting.popleft()
        used.add(number)
        pieces += [target[place : span.start], SENTINELS[number]]
        place = span.end
    pieces.append(target[place:])
    protected = _replaced(source, ours)
    return ProtectedPair(protected.text, "".join(pieces), protected.values)
