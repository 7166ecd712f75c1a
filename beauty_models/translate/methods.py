"""What can translate: the model, and what is there without it; long texts in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from beauty_models.translate.cleaning import clean
from beauty_models.translate.dictionary import Dictionaries
from beauty_models.translate.glossary import Glossary
from beauty_models.translate.memory import NO_TERMS, TranslationMemory
from beauty_models.translate.model import Request, Translation
from beauty_models.translate.protected import Protected, protect, restore
from beauty_models.translate.segments import Segment, cut, joined
from beauty_models.translate.spacing import parted

MODEL, MEMORY, DICTIONARY, COPY = "model", "memory", "dictionary", "copy"
BASELINES = (COPY, DICTIONARY, MEMORY)
METHODS = (MODEL, MEMORY, DICTIONARY, COPY)
"""The first one is taken where several are equally good."""


class Text(NamedTuple):
    """A text to translate."""

    text: str
    source: str  # language tag
    target: str

    def pieces(self, segments: Sequence[Segment]) -> list[Text]:
        """Return the pieces of this text, in its direction."""
        return [Text(segment.text, self.source, self.target) for segment in segments]


class Candidate(NamedTuple):
    """A translation by one of the methods."""

    text: str
    confidence: float  # 0 to 1; of other methods than the model by how much they knew
    method: str = ""  # one of `METHODS`, where it is not the one that was asked


def in_one(segments: Sequence[Segment], found: Sequence[Candidate | None]) -> Candidate:
    """Return the translation of a text by those of its pieces, None where there is no text.

    It is as sure as the weakest of them.
    """
    texts = [candidate.text if candidate else "" for candidate in found]
    confidence = min((candidate.confidence for candidate in found if candidate), default=1.0)
    return Candidate(joined(segments, texts), confidence)


class AnyTranslator(Protocol):
    """What is asked of a `model.Translator`."""

    @property
    def languages(self) -> Sequence[str]:
        """Tags."""

    @property
    def max_tokens(self) -> int:
        """Of a text that it learned from."""

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of protected ``texts``."""

    def translate(
        self, requests: Sequence[Request], *, beams: int | None = None
    ) -> list[Translation]:
        """Return the translation of each request, in their order."""


@dataclass
class Methods:
    """The four ways to translate, over one model folder."""

    translator: AnyTranslator
    memory: TranslationMemory
    dictionaries: Dictionaries

    @classmethod
    def of(cls, translator: AnyTranslator, memory: TranslationMemory) -> Methods:
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
        segments = [self.cut(text.text, terms) for text in texts]
        pieces: dict[Text, None] = {}
        for text, cut_text in zip(texts, segments, strict=True):
            pieces.update(dict.fromkeys(text.pieces(cut_text)))
        translated = self._pieces(method, list(pieces), terms, beams)
        candidates = []
        for text, cut_text in zip(texts, segments, strict=True):
            found = [translated.get(piece) for piece in text.pieces(cut_text)]
            candidates.append(in_one(cut_text, found))
        return candidates

    def cut(self, text: str, terms: Glossary) -> list[Segment]:
        """Return ``text`` in pieces as long as those that the model learned from, at most."""
        return cut(text, self._size, self.translator.max_tokens, terms)

    def _size(self, text: str) -> int:
        """Return how many tokens the model reads for a text."""
        try:
            read = protect(text).text
        except ValueError:  # more values than one piece can have: `cut` sees to it
            read = text
        return len(self.translator.encode([read])[0])

    def _pieces(
        self, method: str, pieces: Sequence[Text], terms: Glossary, beams: int
    ) -> dict[Text, Candidate]:
        """Return the translation of each of ``pieces``, none of which is empty or too long."""
        protected = {}
        for piece in pieces:
            if piece.text:
                kept = protect(clean(piece.text), terms=terms, target=piece.target)
                protected[piece] = kept
        if method == MODEL:
            return self._by_model(protected, beams)
        candidates = {}
        for piece, kept in protected.items():
            looked = self.dictionaries.of(piece.source, piece.target).translate(kept.text)
            restored = restore(looked.text, kept.values, language=piece.target)
            candidates[piece] = Candidate(restored, looked.known)
        return candidates

    def terms(self, more: Glossary = NO_TERMS) -> Glossary:
        """Return the memory's glossary with ``more``, which is looked at first."""
        if not more.terms:
            return self.memory.terms
        return Glossary((*more.terms, *self.memory.terms.terms))

    def _by_model(self, protected: dict[Text, Protected], beams: int) -> dict[Text, Candidate]:
        requests = []
        for piece, kept in protected.items():
            # the network reads the dictionary's translation, too, and improves it
            draft = self.dictionaries.of(piece.source, piece.target).translate(kept.text).text
            requests.append(Request(kept.text, piece.source, piece.target, draft))
        # all directions in one call: it sorts them by length itself
        written = self.translator.translate(requests, beams=beams or None)
        candidates = {}
        for (piece, kept), translation in zip(protected.items(), written, strict=True):
            text = parted(kept.text, translation.text, kept.values)
            restored = restore(text, kept.values, language=piece.target)
            candidates[piece] = Candidate(restored, translation.confidence)
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
