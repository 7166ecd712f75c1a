"""Drafts: what a dictionary makes of a text, which the network reads beside it and improves.

A small network from scratch sees a rare word too seldom to learn it, where a dictionary needs it
once; the network knows grammar, which the dictionary does not. Neural fuzzy repair reads the
translation of a similar text beside the source in the same way (Bulté & Tezcan 2019).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from beauty_models.translate.dictionary import Dictionaries
from beauty_models.translate.memory import TranslationMemory

FOLDS = 2


class Drafts:
    """Drafts of training texts by dictionaries that have not seen them.

    A unit's draft is by the dictionary of the other half of the units, else it would be the
    answer. Units with an equal text are in one half.
    """

    def __init__(self, memory: TranslationMemory, groups: Sequence[int]) -> None:
        """Draft the units of ``memory``; ``groups`` are equal numbers where units share a text."""
        self.folds = np.array(groups, np.int64) % FOLDS
        self.dictionaries: list[Dictionaries] = []
        for fold in range(FOLDS):
            self.dictionaries.append(Dictionaries(memory.part(self.folds != fold)))

    def of(self, unit: int, template: str, source: str, target: str) -> str:
        """Return the draft of ``unit``'s protected text, ``template``."""
        dictionary = self.dictionaries[self.folds[unit]].of(source, target)
        draft: str = dictionary.translate(template).text
        return draft
