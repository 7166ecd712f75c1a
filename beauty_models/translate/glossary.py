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


class Term(NamedTuple):
    """An entry of a glossary."""

    text: str
    """As it is written. One in small letters is found with capitals, too; a brand only as it is."""
    translations: tuple[tuple[str, str], ...] = ()
    """(language tag, translation); a term that has none, a brand, is the same in every language."""


class TermMatch(NamedTuple):
    """Where a term stands in a text."""

    start: int
    end: int
    term: Term


def term(text: str, translations: Mapping[str, str] | None = None) -> Term:
    """Return the entry for ``text``, with language tag → translation."""
    return Term(text, tuple((translations or {}).items()))


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
    _by_start: dict[str, list[Term]] = field(default_factory=dict, init=False, repr=False)
    # (text, target) → what `protected.find` found there
    remembered: dict[tuple[str, str], list[Any]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        """Sort the terms; of two that begin alike the longer one is tried first."""
        for entry in sorted(self.terms, key=lambda entry: -len(entry.text)):
            if entry.text.strip():
                start = entry.text[:START].casefold()
                self._by_start.setdefault(start, []).append(entry)

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
        return cls(tuple(term(entry["text"], entry["translations"]) for entry in entries))

    def write(self, folder: Path) -> None:
        """Write the terms into ``folder``."""
        entries = []
        for entry in self.terms:
            entries.append({"text": entry.text, "translations": dict(entry.translations)})
        write_json(folder / FILE, entries)

    def find(self, text: str, target: str = "") -> list[TermMatch]:
        """Return where terms stand in ``text``, from left to right, none over another.

        With a ``target`` language terms are left out that have translations, but none for it: they
        would stand untranslated in the answer.
        """
        matches: list[TermMatch] = []
        # an empty glossary is the usual one
        if not self._by_start:
            return matches
        place = 0
        for start in self._starts.finditer(text):
            if start.start() < place:
                continue
            entry = self._at(text, start.start(), target)
            if entry is not None:
                place = start.start() + len(entry.text)
                matches.append(TermMatch(start.start(), place, entry))
        return matches

    @functools.cached_property
    def translates(self) -> bool:
        """Whether a term has a translation: else what is found is the same for every target."""
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

    def _at(self, text: str, place: int, target: str) -> Term | None:
        """Return the longest term that stands at ``place``, if any does."""
        if not _is_edge(text, place):
            return None
        for length in range(START, 0, -1):
            start = text[place : place + length].casefold()
            for entry in self._by_start.get(start, ()):
                end = place + len(entry.text)
                if not _same(text[place:end], entry.text) or not _is_edge(text, end):
                    continue
                if target and entry.translations and not translation_of(entry.translations, target):
                    continue
                return entry
        return None


NO_TERMS = Glossary()
"""A glossary without an entry."""


def _same(written: str, entry: str) -> bool:
    if written == entry:
        return True
    # "Apple" is a brand and "apple" a fruit, but "Lip gloss" is lip gloss
    return entry == entry.casefold() and written.casefold() == entry


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
