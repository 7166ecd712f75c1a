"""Terms and brands that a shop fixes: found in a text, and what each is in another language."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from beauty_models.files import read_json, write_json

FILE = "glossary.json"
"""Its name in a data and in a model folder."""


# Characters by which terms are looked up. With one, 10,000 terms would leave some hundred to try at
# every letter.
START = 3
# characters of a brand that is found in capitals, too: in capitals NEXT DAY names no Next
FEWEST_CAPITALS = 6


class Term(NamedTuple):
    """An entry of a glossary."""

    text: str
    """As it is written. One in small letters is found with capitals, too; a brand only as it is."""
    translations: tuple[tuple[str, str], ...] = ()
    """(language tag, translation); a term that has none, a brand, is the same in every language."""
    language: str = ""
    """Tag of the language that ``text`` is a word of; "" is any: a gift is no German Gift."""


class TermMatch(NamedTuple):
    """Where a term stands in a text."""

    start: int
    end: int
    term: Term


def term(text: str, translations: Mapping[str, str] | None = None, language: str = "") -> Term:
    """Return the entry for ``text`` of ``language``, with language tag → translation."""
    return Term(text, tuple((translations or {}).items()), language)


def translation_of(
    translations: Iterable[tuple[str, str]], language: str, otherwise: str = ""
) -> str:
    """Return the translation for ``language``, else that for its primary subtag, else another.

    ``zh-CN`` is served by an entry for ``zh``, never by one for ``zh-TW``.
    """
    by_tag = dict(translations)
    primary = language.partition("-")[0]
    return by_tag.get(language) or by_tag.get(primary) or otherwise


@dataclass(frozen=True)
class Glossary:
    """Terms by how they begin, so that a text is searched once for all of them."""

    terms: tuple[Term, ...] = ()
    # how a term may be written, and the term, by how that begins
    _by_start: dict[str, list[tuple[str, Term]]] = field(
        default_factory=dict, init=False, repr=False
    )
    # text → what `protected.find` found there
    remembered: dict[str, list[Any]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _directions: dict[tuple[str, str], Glossary] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        """Sort the terms; of two that begin alike the longer one is tried first."""
        spellings = []
        for entry in self.terms:
            if entry.text.strip():
                spellings += [(spelling, entry) for spelling in _spellings(entry)]
        for spelling, entry in sorted(spellings, key=lambda pair: -len(pair[0])):
            self._by_start.setdefault(spelling[:START].casefold(), []).append((spelling, entry))

    @classmethod
    def of(cls, terms: Glossary | Iterable[Term | str]) -> Glossary:
        """Return a glossary of ``terms``, where a bare string is a brand."""
        if isinstance(terms, Glossary):
            return terms
        if not terms:
            return NO_TERMS
        entries = [Term(entry) if isinstance(entry, str) else entry for entry in terms]
        return cls(tuple(entries))

    @classmethod
    def read(cls, folder: Path) -> Glossary:
        """Return the glossary of a data or model folder; an empty one where it has none."""
        file = folder / FILE
        entries = read_json(file) if file.exists() else []
        terms = []
        for entry in entries:
            terms.append(term(entry["text"], entry["translations"], entry.get("language", "")))
        return cls(tuple(terms))

    def write(self, folder: Path) -> None:
        """Write the terms into ``folder``."""
        entries = []
        for entry in self.terms:
            entries.append(
                {
                    "text": entry.text,
                    "translations": dict(entry.translations),
                    "language": entry.language,
                }
            )
        write_json(folder / FILE, entries)

    def said_in(self, language: str) -> Glossary:
        """Return a glossary of the terms that a text in ``language`` may have."""
        return self.into(language, "")

    def into(self, source: str, target: str) -> Glossary:
        """Return a glossary for translating from ``source`` to ``target``.

        Terms are left out that are words of another language than ``source``, or that have
        translations, but none for ``target``: they would stand untranslated in the answer.
        """
        if not self._translates:
            return self
        if (source, target) not in self._directions:
            said = ("", source, source.partition("-")[0])
            terms = []
            for entry in self.terms:
                lacking = (
                    target and entry.translations and not translation_of(entry.translations, target)
                )
                if entry.language in said and not lacking:
                    terms.append(entry)
            self._directions[source, target] = Glossary(tuple(terms))
        return self._directions[source, target]

    def find(self, text: str) -> list[TermMatch]:
        """Return where terms stand in ``text``, from left to right, none over another."""
        matches: list[TermMatch] = []
        # an empty glossary is the usual one
        if not self._by_start:
            return matches
        place = 0
        for start in self._starts.finditer(text):
            if start.start() < place:
                continue
            match = self._at(text, start.start())
            if match is not None:
                place = match.end
                matches.append(match)
        return matches

    @functools.cached_property
    def _translates(self) -> bool:
        """Whether a term has a translation: else what is found is the same in every direction."""
        return any(entry.translations for entry in self.terms)

    @functools.cached_property
    def with_translations(self) -> Glossary:
        """Return a glossary of the terms and of all their translations, to search a target for."""
        forms: dict[str, Term] = {}
        for entry in self.terms:
            forms.setdefault(entry.text, Term(entry.text))
            for _, text in entry.translations:
                forms.setdefault(text, Term(text))
        return Glossary(tuple(forms.values()))

    @functools.cached_property
    def brands(self) -> Glossary:
        """Return a glossary of the terms that are the same in every language."""
        return Glossary(tuple(entry for entry in self.terms if not entry.translations))

    @functools.cached_property
    def _starts(self) -> re.Pattern[str]:
        """Return a pattern for the characters that a term begins with."""
        letters = "".join(sorted({start[0] for start in self._by_start}))
        return re.compile(f"[{re.escape(letters)}]", re.IGNORECASE)

    def _at(self, text: str, place: int) -> TermMatch | None:
        """Return the longest term that stands at ``place``, if any does."""
        if not _is_edge(text, place):
            return None
        for length in range(START, 0, -1):
            start = text[place : place + length].casefold()
            for spelling, entry in self._by_start.get(start, ()):
                end = place + len(spelling)
                if _same(text[place:end], spelling) and _is_edge(text, end):
                    return TermMatch(place, end, entry)
        return None


NO_TERMS = Glossary()
"""A glossary without an entry."""


def _spellings(entry: Term) -> list[str]:
    """Return how a term may be written: L’Oréal, THISTLE & RUE, Thistle &amp; Rue."""
    found = [entry.text]
    if len(entry.text) >= FEWEST_CAPITALS:
        found.append(entry.text.upper())
    for plain, other in (("'", "’"), ("’", "'"), ("&", "&amp;"), (" & ", "&"), (" & ", "&amp;")):
        found += [spelling.replace(plain, other) for spelling in found if plain in spelling]
    return list(dict.fromkeys(found))


def _same(written: str, spelling: str) -> bool:
    if written == spelling:
        return True
    # "Apple" is a brand and "apple" a fruit, but "Lip gloss" is lip gloss
    return spelling == spelling.casefold() and written.casefold() == spelling


def _is_edge(text: str, place: int) -> bool:
    """Return whether a word begins or ends at ``place``; Chinese has no spaces to tell by."""
    if place in (0, len(text)):
        return True
    before, after = text[place - 1], text[place]
    return not (_joins(before) and _joins(after))


def _joins(character: str) -> bool:
    """Return whether a character makes one word with its neighbours, as Latin letters do."""
    if not (character.isalnum() or character == "_"):
        return False
    # Han, kana, hangul: words stand side by side there
    return character < "\u2e80"
