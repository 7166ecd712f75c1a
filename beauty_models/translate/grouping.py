"""Which units must not be torn apart: those that say the same in any language.

A test text whose twin the model has seen in a third language would measure memory, not translation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from beauty_models.intake.text import bare, fingerprint
from beauty_models.translate.glossary import Glossary
from beauty_models.translate.protected import find

FEWEST = 50  # units; smaller groups go anywhere, however few units there are
LARGEST_GROUP = 0.05  # of the units; a larger group goes to the training part, and is told


def key(text: str, glossary: Glossary) -> str:
    """Return what is equal for texts that say the same: numbers, brands, capitals do not count.

    To the model "Serum 30 ml" and "Serum 50 ml" are one text, for it sees neither number.
    """
    pieces = []
    place = 0
    for span in find(text, terms=glossary):
        pieces += [text[place : span.start], " 0 "]
        place = span.end
    without = "".join([*pieces, text[place:]])
    # "SPF 50" is all that this one says
    return fingerprint(without if any(map(str.isalpha, bare(without))) else text)


def groups(units: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the group of each of ``units`` (language → key): connected by equal keys.

    A group is called by the least of its keys.
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            # halving the path keeps later walks short
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for keys in units:
        roots = {root(name) for name in keys.values()}
        least = min(roots)
        for name in roots:
            parent[name] = least
    return [root(next(iter(keys.values()))) for keys in units]
