"""Whether a text consists of what people write: words of the articles, pairs of Han characters.

A base that has read little of a language writes valid characters there, and nothing that means
anything. Words tell that more surely than a model does of its own text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from beauty_models.files import read_json, write_json

FILE = "known_words.json"
_RUN = re.compile(r"[a-z][a-z'-]+|[\u3400-\u9fff]+", re.IGNORECASE)
_HAN = re.compile(r"[\u3400-\u9fff]")


def units(text: str) -> list[str]:
    """Return the Latin words of ``text``, in small letters, and its pairs of Han characters."""
    found = []
    for run in _RUN.findall(text.replace("’", "'")):
        if not _HAN.match(run):
            found.append(run.casefold())
            continue
        found += [run[place : place + 2] for place in range(len(run) - 1)]
    return found


def known_units(texts: Iterable[str]) -> frozenset[str]:
    """Return all units of ``texts``."""
    known: set[str] = set()
    for text in texts:
        known.update(units(text))
    return frozenset(known)


def known_share(text: str, known: frozenset[str]) -> float:
    """Return the share of the units of ``text`` that are known; 1 of a text without any."""
    found = units(text)
    return sum(unit in known for unit in found) / len(found) if found else 1.0


def save(known: frozenset[str], folder: Path) -> None:
    """Write ``known`` into ``folder``."""
    write_json(folder / FILE, sorted(known))


def load(folder: Path) -> frozenset[str]:
    """Return what `save` wrote into ``folder``; nothing where there is no such file."""
    file = folder / FILE
    return frozenset(read_json(file)) if file.exists() else frozenset()
