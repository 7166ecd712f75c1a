"""What can translate: the model, and what is there without it. All of them on protected texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from beauty_models.translate.cleaning import clean
from beauty_models.translate.dictionary import Dictionaries
from beauty_models.translate.glossary import Glossary
from beauty_models.translate.memory import NO_TERMS, TranslationMemory
from beauty_models.translate.model import Request, Translator
from beauty_models.translate.protected import Protected, protect, restore

MODEL, MEMORY, DICTIONARY, COPY = "model", "memory", "dictionary", "copy"
BASELINES = (COPY, DICTIONARY, MEMORY)
METHODS = (MODEL, MEMORY, DICTIONARY, COPY)
"""The first one is taken where several are equally good."""


class Text(NamedTuple):
    """A text to translate, short enough for one go."""

    text: str
    source: str  # language tag
    target: str


class Candidate(NamedTuple):
    """A translation by one of the methods."""

    text: str
    confidence: float  # 0 to 1; of other methods than the model by how much they knew


@dataclass
class Methods:
    """The four ways to translate, over one model folder."""

    translator: Translator
    memory: TranslationMemory
    dictionaries: Dictionaries

    @classmethod
    def of(cls, translator: Translator, memory: TranslationMemory) -> Methods:
        """Return the methods of ``translator`` with ``memory``, whose dictionaries they learn."""
        return cls(translator, memory, Dictionaries(memory))

    def translate(
        self,
        method: str,
        texts: Sequence[Text],
        more_terms: Glossary = NO_TERMS,
        beams: int = 0,
    ) -> list[Candidate]:
        """Return a candidate by ``method`` for each of ``texts``.

        Args:
            method: one of `METHODS`.
            texts: in any directions.
            more_terms: beside the memory's; each is kept, or becomes what the glossary says.
            beams: of the model's search; 0 takes what it was saved with.
        """
        if method == COPY:
            return [Candidate(text.text, 0.0) for text in texts]
        if method == MEMORY:
            return self._by_memory(texts)
        terms = self.terms(more_terms)
        protected = []
        for text in texts:
            protected.append(protect(clean(text.text), terms=terms, target=text.target))
        if method == MODEL:
            return self._by_model(texts, protected, beams)
        candidates = []
        for text, kept in zip(texts, protected, strict=True):
            looked = self.dictionaries.of(text.source, text.target).translate(kept.text)
            restored = restore(looked.text, kept.values, language=text.target)
            candidates.append(Candidate(restored, looked.known))
        return candidates

    def terms(self, more: Glossary = NO_TERMS) -> Glossary:
        """Return the memory's glossary with ``more``, which is looked at first."""
        if not more.terms:
            return self.memory.terms
        return Glossary((*more.terms, *self.memory.terms.terms))

    def _by_model(
        self, texts: Sequence[Text], protected: Sequence[Protected], beams: int
    ) -> list[Candidate]:
        requests = []
        for text, kept in zip(texts, protected, strict=True):
            requests.append(Request(kept.text, text.source, text.target))
        # all directions in one call: it sorts them by length itself
        written = self.translator.translate(requests, beams=beams or None)
        candidates = []
        for text, kept, translation in zip(texts, protected, written, strict=True):
            restored = restore(translation.text, kept.values, language=text.target)
            candidates.append(Candidate(restored, translation.confidence))
        return candidates

    def _by_memory(self, texts: Sequence[Text]) -> list[Candidate]:
        """Return the translation of the nearest text; the text itself where none is near."""
        directions: dict[tuple[str, str], list[int]] = {}
        for number, text in enumerate(texts):
            directions.setdefault((text.source, text.target), []).append(number)
        candidates = [Candidate(text.text, 0.0) for text in texts]
        for (source, target), numbers in directions.items():
            asked = [texts[number].text for number in numbers]
            for number, match in zip(
                numbers, self.memory.nearest(asked, source, target), strict=True
            ):
                if match is not None:
                    candidates[number] = Candidate(match.translation, match.similarity)
        return candidates
