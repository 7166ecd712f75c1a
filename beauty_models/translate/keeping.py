"""How much of what must be kept a translation has: numbers, brands, placeholders, counted apart."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from beauty_models.translate.glossary import Glossary
from beauty_models.translate.protected import find, key, keys

NUMBERS, BRANDS, PLACEHOLDERS = "kept_numbers", "kept_brands", "kept_placeholders"
GROUPS = {
    "number": NUMBERS,
    "price": NUMBERS,
    "measure": NUMBERS,
    "size": NUMBERS,
    "code": NUMBERS,
    "term": BRANDS,
    "placeholder": PLACEHOLDERS,
    "tag": PLACEHOLDERS,
    "entity": PLACEHOLDERS,
    "address": PLACEHOLDERS,
    "sentinel": PLACEHOLDERS,
}
"""Kind of `protected.Value` → the figure that counts it; emoji and the like are in none."""


class Kept(NamedTuple):
    """Values of one group."""

    kept: int
    there: int  # in the source


class Keeping:
    """Counts values with one glossary, whose terms may stand in any of their forms."""

    def __init__(self, terms: Glossary) -> None:
        self.terms = terms

    def count(self, source: str, translation: str) -> dict[str, Kept]:
        """Return group → how many of the values of ``source`` stand in ``translation``.

        3,5 and 3.5, 100 ml and 100毫升 are the same. A value that stands there once is kept once.
        """
        left = Counter(
            key(span.value) for span in find(translation, terms=self.terms.with_translations)
        )
        kept: Counter[str] = Counter()
        there: Counter[str] = Counter()
        for span in find(source, terms=self.terms):
            group = GROUPS.get(span.value.kind)
            if group is None:
                continue
            there[group] += 1
            for name in keys(span.value):
                if left[name] > 0:
                    left[name] -= 1
                    kept[group] += 1
                    break
        return {group: Kept(kept[group], count) for group, count in there.items()}
