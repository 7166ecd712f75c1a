"""Phrases of a listing in eight languages: noun, modifiers and sentences, with their agreement.

The words stand in ``lexicon/*.md``, a column per language. A noun of French, German or Spanish has
its gender behind a slash (m, f, n; mp, fp, p for a plural). A modifier of French and Spanish has
four forms (masculine, feminine, and their plurals) or one that never changes; of German it ends in
``-`` where it takes an ending, in ``=`` where it stands before the noun unchanged, and else stands
behind it. In a sentence ``[a/b/c/d]`` is chosen by the gender of the noun.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

LEXICON = Path(__file__).parent / "lexicon"
LANGUAGES = ("en", "zh-CN", "zh-TW", "ja", "ko", "fr", "de", "es")

WEAR = (
    *("dress", "skirt", "top", "knit", "coat", "puffer", "bottom", "night", "swim", "small"),
    *("shoes", "bags", "warm", "tie"),
)
"""Classes of nouns that "wear" stands for among a modifier's."""

# Which of the four forms a gender takes; German has its own order, with the neuter.
_FORMS = {"m": 0, "f": 1, "mp": 2, "fp": 3}
_GERMAN_FORMS = {"m": 0, "f": 1, "n": 2, "p": 3}
_GERMAN_ENDINGS = ("er", "e", "es", "e")  # strong declension, nominative
_CHOICE = re.compile(r"\[(o:)?([^\[\]]*/[^\[\]]*)\]")
_VOWEL = "aeiouéèêâîôûhAEIOUÉ"

# In which order kinds of modifiers stand before a noun, and behind it.
_BEFORE = {
    "en": ("finish", "care", "style", "colour", "material"),
    "zh-CN": ("who", "for", "with", "colour", "care", "finish", "style", "material"),
    "zh-TW": ("who", "for", "with", "colour", "care", "finish", "style", "material"),
    "ja": ("who", "for", "with", "colour", "care", "finish", "style", "material"),
    "ko": ("who", "for", "with", "colour", "care", "finish", "style", "material"),
    "de": ("finish", "care", "style", "colour"),
}
_BEHIND = ("colour", "finish", "care", "style", "material", "with", "for", "who")


class Noun(NamedTuple):
    """What is sold."""

    kind: str
    words: dict[str, str]
    genders: dict[str, str]

    def name(self, language: str) -> str:
        """Return the noun in ``language``."""
        return self.words[language]


class Modifier(NamedTuple):
    """What is said of it: a colour, a material, whom it is for …"""

    kind: str
    classes: frozenset[str]
    words: dict[str, str]

    def suits(self, noun: Noun) -> bool:
        """Return whether the modifier can be said of ``noun``."""
        return noun.kind in self.classes


def _table(name: str) -> list[dict[str, str]]:
    """Return the rows of a lexicon's table, column → cell."""
    rows = []
    for line in (LEXICON / f"{name}.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| "):
            rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    header = rows[0]
    return [dict(zip(header, row, strict=True)) for row in rows[1:]]


@functools.cache
def nouns() -> list[Noun]:
    """Return all nouns."""
    found = []
    for row in _table("nouns"):
        words = {}
        genders = {}
        # "robe/f" has a gender; Chinese has none
        for language in LANGUAGES:
            words[language], _, genders[language] = row[language].partition("/")
        found.append(Noun(row["class"], words, genders))
    return found


@functools.cache
def modifiers() -> list[Modifier]:
    """Return all modifiers."""
    found = []
    for row in _table("modifiers"):
        classes = row["of"].split()
        if "wear" in classes:
            classes += WEAR
        words = {language: row[language] for language in LANGUAGES}
        found.append(Modifier(row["kind"], frozenset(classes), words))
    return found


@functools.cache
def frames() -> list[tuple[str, dict[str, str]]]:
    """Return (of what, language → sentence with slots) of every frame."""
    return [(row["of"], {tag: row[tag] for tag in LANGUAGES}) for row in _table("frames")]


@functools.cache
def sentences() -> list[tuple[str, dict[str, str]]]:
    """Return (kind, language → text) of the texts that stand alone."""
    return [(row["kind"], {tag: row[tag] for tag in LANGUAGES}) for row in _table("sentences")]


def phrase(noun: Noun, chosen: Sequence[Modifier], language: str) -> str:
    """Return ``noun`` with its modifiers in ``language``, as it stands within a sentence."""
    before = []
    behind = []
    for kind in _BEFORE.get(language, ()):
        for modifier in chosen:
            if modifier.kind == kind and _stands_before(modifier, language):
                before.append(_form(modifier, noun, language))
    for kind in _BEHIND:
        for modifier in chosen:
            if modifier.kind == kind and not _stands_before(modifier, language):
                behind.append(_form(modifier, noun, language))
    space = "" if language in ("zh-CN", "zh-TW", "ja") else " "
    return space.join([*before, noun.name(language), *behind])


def _stands_before(modifier: Modifier, language: str) -> bool:
    word = modifier.words[language]
    if language == "en":
        return not word.startswith("+")
    if language == "de":
        return word.endswith(("-", "="))
    return language not in ("fr", "es")


def _form(modifier: Modifier, noun: Noun, language: str) -> str:
    """Return the modifier as it agrees with ``noun``."""
    word = modifier.words[language]
    if language == "de" and word.endswith("-"):
        return word[:-1] + _GERMAN_ENDINGS[_GERMAN_FORMS[noun.genders["de"]]]
    if language in ("fr", "es"):
        forms = word.split(",")
        return forms[_FORMS[noun.genders[language]]] if len(forms) > 1 else word
    return word.strip("+=")


def bare(modifier: Modifier, language: str) -> str:
    """Return a modifier as a predicate: 适合干性肌肤, not 适合干性肌肤的."""
    word = modifier.words[language].strip("+=")
    return word.removesuffix("的") if language.startswith("zh") else word


def substance(modifier: Modifier, language: str) -> str:
    """Return the name of a material: coton of en coton."""
    word = modifier.words[language]
    preposition = {"fr": "en ", "es": "de "}.get(language, "")
    return word.removeprefix(preposition)


def fill(
    frame: str, slots: Mapping[str, str], language: str, noun: Noun, other: Noun | None = None
) -> str:
    """Return a sentence with its slots filled, and what depends on the nouns chosen.

    ``{noun}`` and ``{other}`` are filled with the nouns themselves, ``{Noun}`` with a capital.
    """

    def choice(match: re.Match[str]) -> str:
        of = other if match[1] else noun
        assert of is not None  # a frame that has [o: …] has {other}
        return match[2].split("/")[_form_number(of, language)]

    text = _CHOICE.sub(choice, frame)
    name = noun.name(language)
    words = {"noun": name, "Noun": capital(name), **slots}
    if other is not None:
        words["other"] = other.name(language)
    return capital(_joined(filled_slots(text, words), language))


def filled_slots(text: str, values: Mapping[str, str]) -> str:
    """Return ``text`` with each ``{slot}`` of ``values`` filled; other braces stay."""
    for slot, value in values.items():
        text = text.replace(f"{{{slot}}}", value)
    return text


def _form_number(noun: Noun, language: str) -> int:
    gender = noun.genders[language]
    if language == "en":
        return int(gender == "p")
    if language == "de":
        return _GERMAN_FORMS[gender]
    return _FORMS[gender]


def _joined(text: str, language: str) -> str:
    """Return ``text`` with what depends on its neighbour's sound: l'huile, e iluminador, 은."""
    if language == "fr":
        text = re.sub(rf"\b([Ll])[ea] (?=[{_VOWEL}])", r"\1'", text)
        text = re.sub(rf"\bCe (?=[{_VOWEL}])", "Cet ", text)
        return re.sub(rf"\bvotre nouveau (?=[{_VOWEL}])", "votre nouvel ", text)
    if language == "es":
        text = re.sub(
            r"\b([Ll])a (?=agua)", lambda match: "El " if match[1] == "L" else "el ", text
        )
        text = re.sub(r"\(y/e\)(?= h?i(?!e))", "e", text)
        return text.replace("(y/e)", "y")
    if language == "ko":
        return re.sub(r"(.)\((.)/(.)\)", _with_particle, text)
    return text


def _with_particle(match: re.Match[str]) -> str:
    """Return a Korean syllable with the particle that suits its last sound."""
    syllable, after_consonant, after_vowel = match.groups()
    # of the 28 hangul syllables with the same beginning the first ends in its vowel
    closed = "\uac00" <= syllable <= "\ud7a3" and (ord(syllable) - 0xAC00) % 28
    return syllable + (after_consonant if closed else after_vowel)


def capital(text: str) -> str:
    """Return ``text`` with a capital at its beginning, behind a tag if it begins with one."""
    start = len("<b>") if text.startswith("<b>") else 0
    if text[start : start + 2] in ("¿", "¡"):
        start += 1
    return text[:start] + text[start : start + 1].upper() + text[start + 1 :]
