"""What fine-tuning learns from: pairs of texts of a unit, a direction for each unit and epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from beauty_models.translate.glossary import NO_TERMS, Glossary
from beauty_models.translate.model import Translator
from beauty_models.translate.protected import key, protect


class Text(NamedTuple):
    """A protected text."""

    template: str
    ids: list[int]  # tokens, without tag and end
    keys: tuple[str, ...]  # of the values that <0>, <1> … stand for
    number: int  # equal for equal texts of one language, different for others


class Pair(NamedTuple):
    """A text and its translation, with the same sentinels for the same values."""

    source: list[int]  # token ids
    target: list[int]
    source_language: str
    target_language: str
    draft: list[int]  # token ids of the dictionary's translation; empty where there is none


Direction = tuple[str, str]
Draft = Callable[[int, str, str, str], str]
"""Number of a unit, protected text, source, target → draft."""

DRAFT_RATIO = 1.5  # tokens of a draft for each of `max_tokens`, at most


def wanted(directions: Sequence[str], languages: Sequence[str]) -> list[Direction]:
    """Return the (source, target) that ``directions`` of params.yaml name; all where it is empty.

    Raises:
        ValueError: one is misspelled or names a language that the data do not have.
    """
    pairs = [(a, b) for a in languages for b in languages if a != b]
    if not directions:
        return pairs
    chosen: dict[Direction, None] = {}
    for direction in directions:
        source, _, target = direction.partition(" ")
        named = []
        for a, b in pairs:
            if source in ("*", a) and target in ("*", b):
                named.append((a, b))
        if not named:
            raise ValueError(
                f"params.yaml: finetune.directions: {direction!r} is none of the data; write "
                f"SOURCE TARGET with one of {', '.join(languages)} or * each"
            )
        chosen.update(dict.fromkeys(named))
    return list(chosen)


class ParallelTexts:
    """One split: the texts of its units as tokens, and in which directions each can teach."""

    def __init__(
        self,
        frame: pd.DataFrame,
        translator: Translator,
        directions: Sequence[Direction],
        max_tokens: int,
        brands: Glossary = NO_TERMS,
    ) -> None:
        """Read ``frame``; ``brands`` are the same in every language and become sentinels."""
        self.translator = translator
        self.brands = brands
        self.max_tokens = max_tokens
        self.sentinels: list[int] = translator.vocabulary.sentinels.tolist()
        self.too_long = 0
        self.texts: dict[str, list[Text | None]] = {}
        for language in translator.languages:
            if language in frame:
                self.texts[language] = self._texts(frame[language], translator, max_tokens)
        first = self.texts[next(iter(self.texts))]
        self.first = [0 if text is None else text.number + 1 for text in first]
        self.units: list[tuple[int, list[Direction]]] = []
        self.unequal = 0  # pairs that do not hold the same values
        for unit in range(len(frame)):
            usable = self._usable(unit, directions)
            if usable:
                self.units.append((unit, usable))

    def _texts(
        self, column: pd.Series, translator: Translator, max_tokens: int
    ) -> list[Text | None]:
        """Return the texts of a column; None where it has none, or one that is too long."""
        templates: list[str | None] = []
        keys: list[tuple[str, ...]] = []
        for text in column:
            protected = None
            if isinstance(text, str) and text:
                try:
                    protected = protect(text, terms=self.brands)
                except ValueError:  # more values than there are sentinels
                    self.too_long += 1
            templates.append(protected.text if protected else None)
            keys.append(tuple(map(key, protected.values)) if protected else ())
        encoded = translator.encode([template or "" for template in templates])
        numbers: dict[str, int] = {}
        texts: list[Text | None] = []
        for text, template, ids, of_values in zip(column, templates, encoded, keys, strict=True):
            if template is None:
                texts.append(None)
            elif len(ids) > max_tokens:
                self.too_long += 1
                texts.append(None)
            else:
                texts.append(Text(template, ids, of_values, numbers.setdefault(text, len(numbers))))
        return texts

    def _usable(self, unit: int, directions: Sequence[Direction]) -> list[Direction]:
        """Return the directions in which both texts are there and hold the same values."""
        held: dict[str, list[str]] = {}
        for language, texts in self.texts.items():
            text = texts[unit]
            if text is not None:
                held[language] = sorted(text.keys)
        usable = []
        for source, target in directions:
            if source not in held or target not in held:
                continue
            # a decoder that must write every sentinel learns nothing right from others
            if held[source] == held[target]:
                usable.append((source, target))
            else:
                self.unequal += 1
        return usable

    def pair(self, unit: int, direction: Direction) -> Pair:
        """Return the texts of ``unit`` in ``direction``, without a draft."""
        source = self.texts[direction[0]][unit]
        target = self.texts[direction[1]][unit]
        assert source is not None and target is not None  # `_usable` saw to it
        ids = self._renumbered(source, target) if source.keys else target.ids
        return Pair(source.ids, ids, *direction, [])

    def _renumbered(self, source: Text, target: Text) -> list[int]:
        """Return the target's tokens with the source's sentinels for the same values."""
        free: dict[str, list[int]] = {}
        for number, name in enumerate(source.keys):
            free.setdefault(name, []).append(number)
        moved = {}
        for number, name in enumerate(target.keys):
            moved[self.sentinels[number]] = self.sentinels[free[name].pop(0)]
        return [moved.get(token, token) for token in target.ids]

    def draw(self, seed: int, epoch: int, draft: Draft, without: float = 0.0) -> list[Pair]:
        """Return a pair of each unit that has one, in a direction drawn for this ``epoch``.

        Args:
            seed: of the directions, with ``epoch``.
            epoch: its number.
            draft: makes the drafts, of a unit's number, its protected text and the direction.
            without: share of the pairs that get none.
        """
        random = np.random.default_rng((seed, epoch))
        drawn = []
        drafts = []
        for (unit, usable), place in zip(self.units, random.random(len(self.units)), strict=True):
            direction = usable[int(place * len(usable))]
            drawn.append(self.pair(unit, direction))
            text = self.texts[direction[0]][unit]
            assert text is not None
            drafts.append(draft(unit, text.template, *direction))
        encoded = self.translator.encode(drafts)
        with_drafts = []
        for pair, ids, place in zip(drawn, encoded, random.random(len(drawn)), strict=True):
            # a draft that is far too long would make the whole batch slow
            short = place >= without and len(ids) <= DRAFT_RATIO * self.max_tokens
            with_drafts.append(pair._replace(draft=ids if short else []))
        return with_drafts
