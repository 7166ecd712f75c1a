"""What a translation lost of what must be kept, and which values it tore apart."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from itertools import pairwise

from beauty_models.translate.glossary import Glossary
from beauty_models.translate.protected import Span, Terms, Value, find, key, keys, tied

# SPF is LSF in German, 24h 24小时, 500円 500 yen
_IN_WORDS = re.compile(
    r"(?:SPF|pH|N[°º]|No\.|Nr\.|№|UK|EU|US|FR|IT|JP) ?(?P<a>\d[\d.,]*)"
    r"|(?P<b>\d[\d.,]*) ?(?:h|MP|円|원|元|kr\.?|zł|Kč|руб\.?)"
)
_OF_A_DATE = ("年", "月", "년 ", "월 ", "년", "월")
# what may stand between the ends of a range in any language: 34–42, 34 to 42, 34から42
_RANGE = re.compile(
    r"\s*[^\w\s]{1,3}\s*|-in-"
    # a unit may stand behind either end: 3岁至5岁
    r"|\s*[\u2e80-\ud7ff]{0,2}\s*(?:to|through|bis|à|au|a|al|hasta|e|até|tot|do|in|en|and|und|et|y|or"
    r"|oder|ou|o|w|から|より|至|到|合|人|에서|부터|인)\s*[^\w\s]?\s*"
)


def missing(source: str, translation: str, *, terms: Terms = ()) -> tuple[str, ...]:
    """Return what ``source`` has that must be kept and ``translation`` lacks, as often as it does.

    3,5 and 3.5, 100 ml and 100毫升 are the same; a term is there where it stands as it is or in any
    of its translations.
    """
    glossary = Glossary.of(terms)
    there: dict[str, list[int]] = {}
    for place, span in enumerate(find(translation, terms=glossary.with_translations)):
        for name in (key(span.value), *_number_of(span.value)):
            there.setdefault(name, []).append(place)
    used: set[int] = set()
    lacking = []
    for span in find(source, terms=glossary):
        for name in (*keys(span.value), *_number_of(span.value)):
            while there.get(name) and there[name][0] in used:
                there[name].pop(0)
            if there.get(name):
                used.add(there[name].pop(0))
                break
        else:
            if span.value.kind != "size" or not _stands_alone(span.value.text, translation):
                lacking.append(span.value.text)
    return tuple(lacking)


def _number_of(value: Value) -> tuple[str, ...]:
    """Return the key of the number alone, of values whose words people translate: 24h, SPF 50."""
    match = _IN_WORDS.fullmatch(value.text)
    return (key(Value(match["a"] or match["b"], "number")),) if match else ()


def _stands_alone(size: str, text: str) -> bool:
    """Return whether a size is a word of ``text``: an S is one behind words that nobody listed."""
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(size)}(?![A-Za-z0-9])", text) is not None


def torn(source: str, translation: str, *, terms: Terms = ()) -> tuple[str, ...]:
    """Return the values of ``source`` whose numbers do not stand together in ``translation``.

    The ends of a range may have a word between them, 34 to 42. What is not there at all is
    `missing`'s to tell.
    """
    glossary = Glossary.of(terms)
    single = find(source, terms=glossary)
    whole = tied(source, single)
    if len(whole) == len(single):
        return ()
    there = find(translation, terms=glossary.with_translations)
    names = [key(span.value) for span in there]
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    apart = []
    waiting = deque(single)
    for value in whole:
        parts = []
        while waiting and waiting[0].end <= value.end:
            parts.append(waiting.popleft())
        wanted = [key(part.value) for part in parts]
        if len(parts) < 2 or not all(name in places for name in wanted):
            continue
        ties = _between(source, parts)
        for place in places[wanted[0]]:
            found = there[place : place + len(wanted)]
            if names[place : place + len(wanted)] == wanted and _are_tied(
                _between(translation, found), ties
            ):
                break
        else:
            apart.append(value.value.text)
    return tuple(apart)


def _between(text: str, spans: Sequence[Span]) -> list[str]:
    return [text[first.end : second.start] for first, second in pairwise(spans)]


def _are_tied(found: Sequence[str], ties: Sequence[str]) -> bool:
    """Return whether what stands between numbers ties them as the source's ``ties`` do."""
    if len(ties) == 1 and ties[0].strip():
        return _RANGE.fullmatch(found[0]) is not None
    return all(_is_tie_like(one, tie) for one, tie in zip(found, ties, strict=True))


def _is_tie_like(found: str, tie: str) -> bool:
    if not tie.strip():
        return found == tie or (bool(tie) and found.isspace())
    return bool(found.strip()) and (found in _OF_A_DATE or not any(map(str.isalpha, found)))
