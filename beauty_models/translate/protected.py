"""What a translation must keep as it is: found in a text, set aside, and put back.

Numbers, sizes, prices, placeholders, tags, addresses, codes and the shop's own terms become
sentinels, ``<0>`` to ``<31>``, single tokens that the decoder has to write, each once.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from beauty_models.translate.glossary import Glossary, Term, TermMatch, translation_of
from beauty_models.translate.patterns import PROTECTED, SENTINEL, UNIT_SYMBOLS, UNIT_WORD

MOST = 32
"""Sentinels that the tokenizer has."""

SENTINELS = tuple(f"<{number}>" for number in range(MOST))

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


def protect(text: str, *, terms: Terms = (), target: str = "") -> Protected:
    """Return ``text`` with a sentinel in place of each thing that a translation must keep.

    Where there are more than `MOST`, neighbours with nothing but spaces or punctuation between
    them share one.

    Args:
        terms: a glossary's entries and brands; a bare string is kept as it is.
        target: the language to come, if it is known: entries that have translations, but none into
            that language, are then left to the model.

    Raises:
        ValueError: there are still more than `MOST`; the text is to be cut (`segments.cut`).
    """
    spans = find(text, terms=terms, target=target)
    if len(spans) > MOST:
        spans = _joined(text, spans)
    if len(spans) > MOST:
        raise ValueError(
            f"{len(spans)} numbers, tags and the like in one text, {MOST} are kept at most; "
            "translate it sentence by sentence"
        )
    return _replaced(text, spans)


def find(text: str, *, terms: Terms = (), target: str = "") -> list[Span]:
    """Return where ``text`` has what must be kept, from left to right, none over another."""
    by_pattern = [_span(match) for match in PROTECTED.finditer(text)]
    by_term = Glossary.of(terms).find(text, target)
    if not by_term:
        return by_pattern
    spans = []
    waiting = deque(by_pattern)
    pattern = _first(waiting)
    for match in by_term:
        while pattern is not None and pattern.end <= match.start:
            spans.append(pattern)
            pattern = _first(waiting)
        # a brand within an address, or a number that is part of a code, is no term there
        if pattern is not None and _lies_within(match, pattern):
            continue
        while pattern is not None and pattern.start < match.end:
            # the term is the shop's own wish; of what crosses it the rest is looked at again
            spans += _within(text, pattern.start, match.start)
            if pattern.end > match.end:
                waiting.extendleft(reversed(_within(text, match.end, pattern.end)))
            pattern = _first(waiting)
        value = Value(text[match.start : match.end], "term", match.term.translations)
        spans.append(Span(match.start, match.end, value))
    if pattern is not None:
        spans.append(pattern)
    spans += waiting
    return spans


def _lies_within(match: TermMatch, pattern: Span) -> bool:
    """Return whether a term is a part of what a pattern found, and not all of it."""
    inside = pattern.start <= match.start and match.end <= pattern.end
    return inside and (pattern.start, pattern.end) != (match.start, match.end)


def _first(waiting: deque[Span]) -> Span | None:
    return waiting.popleft() if waiting else None


def _within(text: str, start: int, end: int) -> list[Span]:
    """Return what the patterns find in a piece of ``text``."""
    return [_span(match) for match in PROTECTED.finditer(text, start, max(start, end))]


def _span(match: re.Match[str]) -> Span:
    kind = match.lastgroup
    assert kind is not None  # every alternative of the pattern has a name
    return Span(match.start(), match.end(), Value(match[0], kind))


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
    and closing tags whose order the translation broke are put back into the source's order.

    Raises:
        ValueError: a sentinel stands for nothing; the translation is not of this text.
    """
    numbers = [int(match[1]) for match in SENTINEL.finditer(translated)]
    wrong = [number for number in numbers if number >= len(values)]
    if wrong:
        raise ValueError(f"<{wrong[0]}> stands for nothing: the text has {len(values)} values")
    tags = [number for number in numbers if values[number].kind == "tag"]
    moved = dict(zip(tags, sorted(tags), strict=True)) if _is_ill_nested(tags, values) else {}

    def written(match: re.Match[str]) -> str:
        number = int(match[1])
        return value_in(values[moved.get(number, number)], language)

    return SENTINEL.sub(written, translated)


def _is_ill_nested(tags: Sequence[int], values: Sequence[Value]) -> bool:
    """Return whether tags that were nested well in the source are not in this order any more."""
    return _nests(sorted(tags), values) and not _nests(tags, values)


def _nests(tags: Sequence[int], values: Sequence[Value]) -> bool:
    opened: list[str] = []
    for number in tags:
        text = values[number].text
        name = "".join(re.findall(r"^</?\s*([\w:-]+)", text)).casefold()
        if text.startswith("</"):
            if not opened or opened.pop() != name:
                return False
        elif name and not text.endswith("/>") and name not in ("br", "hr", "img", "wbr", "input"):
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
    if "\u3041" <= first <= "\u30ff":
        return "ja"
    return "ko" if "\uac00" <= first <= "\ud7af" else "zh"


def missing(source: str, translation: str, *, terms: Terms = ()) -> tuple[str, ...]:
    """Return what ``source`` has that must be kept and ``translation`` lacks, as often as it does.

    3,5 and 3.5, 100 ml and 100毫升 are the same; a term is there where it stands as it is or in any
    of its translations.
    """
    kept = Counter(key(span.value) for span in find(translation, terms=_all_forms(terms)))
    lacking = []
    for span in find(source, terms=terms):
        forms = [span.value.text, *(text for _, text in span.value.translations)]
        keys = [key(Value(form, span.value.kind)) for form in forms]
        here = [name for name in keys if kept[name] > 0]
        if here:
            kept[here[0]] -= 1
        else:
            lacking.append(span.value.text)
    return tuple(lacking)


def _all_forms(terms: Terms) -> Glossary:
    """Return a glossary of ``terms`` and of all their translations."""
    forms: dict[str, Term] = {}
    for entry in Glossary.of(terms).terms:
        for text in (entry.text, *(text for _, text in entry.translations)):
            forms.setdefault(text, Term(text))
    return Glossary(tuple(forms.values()))


def key(value: Value) -> str:
    """Return what is equal for two values that say the same in two languages."""
    plain = unicodedata.normalize("NFKC", value.text)
    if value.kind in ("term", "tag", "address"):
        return plain.casefold() if value.kind == "term" else plain
    if value.kind == "measure":
        plain = UNIT_WORD.sub(lambda match: UNIT_SYMBOLS[match[2]], plain)
    plain = re.sub(r"\s", "", plain).replace("×", "x").replace("–", "-").replace("~", "-")
    if value.kind in ("number", "measure", "price"):
        return _plain_number(plain)
    return plain


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
    ours = find(source, terms=terms)
    theirs = find(target, terms=_all_forms(terms))
    if len(ours) != len(theirs) or len(ours) > MOST:
        return None
    numbers: dict[str, list[int]] = {}
    for number, span in enumerate(ours):
        for name in {key(Value(text, span.value.kind)) for text in _forms(span.value)}:
            numbers.setdefault(name, []).append(number)
    used: set[int] = set()
    pieces = []
    place = 0
    for span in theirs:
        free = [number for number in numbers.get(key(span.value), ()) if number not in used]
        if not free:
            return None
        used.add(free[0])
        pieces += [target[place : span.start], SENTINELS[free[0]]]
        place = span.end
    pieces.append(target[place:])
    protected = _replaced(source, ours)
    return ProtectedPair(protected.text, "".join(pieces), protected.values)


def _forms(value: Value) -> list[str]:
    return [value.text, *(text for _, text in value.translations)]
