"""Which language a column, a file or an attribute names, and in which characters it is written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

_SEPARATED = re.compile(r"^(?P<stem>.+?)[ _.:/-]+(?P<tag>[^ _.:/]+)$")
_BRACKETED = re.compile(r"^(?P<stem>.+?)\s*[\[(](?P<tag>[^\[\]()]+)[\])]$")
_LEADING = re.compile(r"^(?P<tag>[^ _.:/]+)[ _.:/]+(?P<stem>.+)$")
# zh_cn behind a stem: the tag has a separator of its own
_WITH_REGION = re.compile(r"^(?P<stem>.+?)[ _.:/-]+(?P<tag>[A-Za-z]{2}[_-][A-Za-z]{2,4})$")
_PAIR_IN_NAME = re.compile(
    r"(?<![A-Za-z])([A-Za-z]{2}(?:[_-](?:[A-Z]{2}|Han[st]))?)"
    r"(?:-|_to_|2|_|\.)([A-Za-z]{2}(?:[_-](?:[A-Z]{2}|Han[st]))?)(?![A-Za-z])"
)


class TextColumn(NamedTuple):
    """A column that holds texts of one language."""

    column: str
    language: str  # BCP 47 tag as params.yaml spells it
    stem: str  # title of title_en; "" where the name is a language's alone


class Locales:
    """The languages that are taken, by all the names that params.yaml gives them."""

    def __init__(self, languages: Mapping[str, Sequence[str]]) -> None:
        self.tags = list(languages)
        self._by_name: dict[str, str] = {}
        for tag, names in languages.items():
            for name in (tag, *names):
                self._by_name.setdefault(_plain(name), tag)

    def tag(self, name: str) -> str:
        """Return the tag of the language called ``name``, "" where it is none that is taken.

        ``fr_BE`` is French where only fr is known; Chinese of an unknown region is nobody's: its
        characters may be simplified or traditional.
        """
        plain = _plain(name)
        if plain in self._by_name:
            return self._by_name[plain]
        primary = plain.partition("-")[0]
        if primary == "zh" or not re.fullmatch(r"[a-z]{2,3}(?:-[a-z0-9]{1,8})+", plain):
            return ""
        return self._by_name.get(primary, "")

    def columns(self, header: Sequence[str]) -> list[TextColumn]:
        """Return the columns whose names say a language: ``ja``, ``title_en``, ``name (fr)``.

        A name that only ends in a language's counts where another column has the same stem, or is
        the stem: ``name_of_de`` alone may be anything.
        """
        whole = []
        partial = []
        for column in header:
            tag = self.tag(column)
            if tag:
                whole.append(TextColumn(column, tag, ""))
                continue
            split = self._split(column)
            if split is not None:
                partial.append(split)
        stems = [item.stem for item in partial]
        shared = [item for item in partial if stems.count(item.stem) > 1]
        return [*whole, *shared]

    def _split(self, column: str) -> TextColumn | None:
        for pattern in (_BRACKETED, _WITH_REGION, _SEPARATED, _LEADING):
            match = pattern.match(column.strip())
            if match is None:
                continue
            tag = self.tag(match["tag"])
            if tag:
                return TextColumn(column, tag, match["stem"].strip().casefold())
        return None

    def in_file_name(self, name: str) -> tuple[str, str] | None:
        """Return source and target language of a file called ``shop.en-de.tsv``."""
        for match in _PAIR_IN_NAME.finditer(name):
            source, target = self.tag(match[1]), self.tag(match[2])
            if source and target and source != target:
                return source, target
        return None


def _plain(name: str) -> str:
    return name.strip().casefold().replace("_", "-")
