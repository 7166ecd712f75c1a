"""Texts of held-out units that are translated, and what people made of them, by direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from beauty_models.translate.memory import NOT_LANGUAGES
from beauty_models.translate.methods import Text

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """Texts with their references, all directions one behind the other."""

    units: pd.DataFrame
    texts: list[Text]
    references: list[str]
    unit: Ints  # of each text, its row in `units`
    rows: dict[tuple[str, str], Ints]  # direction → its texts


def languages_of(units: pd.DataFrame) -> list[str]:
    """Return the languages of a table of units: its columns beside id and kind."""
    return [name for name in units.columns if name not in NOT_LANGUAGES]


def pairs(units: pd.DataFrame, source: str, target: str, count: int, seed: int) -> pd.DataFrame:
    """Return the columns ``source`` and ``target`` of units that have both, ``count`` at most.

    Every direction draws from the units in the same order, so that they test the same ones.
    ``count`` 0 takes all. The index is the number of the unit.
    """
    order = np.random.default_rng(seed).permutation(len(units))
    both = units.reset_index(drop=True).iloc[order][[source, target]].dropna()
    both = both[(both[source] != "") & (both[target] != "")]
    return both.iloc[:count] if count else both


def sample(units: pd.DataFrame, languages: Sequence[str], count: int, seed: int) -> Sample:
    """Return the texts of ``units`` in all directions between ``languages``.

    ``count`` texts of a direction at most, 0 takes all; a direction without texts is left out.
    """
    texts: list[Text] = []
    references: list[str] = []
    unit: list[int] = []
    rows = {}
    for source in languages:
        for target in languages:
            if source == target:
                continue
            tested = pairs(units, source, target, count, seed)
            if tested.empty:
                continue
            rows[source, target] = np.arange(len(texts), len(texts) + len(tested))
            texts += [Text(text, source, target) for text in tested[source]]
            references += tested[target].tolist()
            unit += tested.index.tolist()
    return Sample(units, texts, references, np.array(unit, np.int64), rows)
