"""What can translate: the model, and what is there without it; long texts in pieces."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

from beauty_models.translate.cleaning import clean
from beauty_models.translate.dictionary import Dictionaries, Looked
from beauty_models.translate.glossary import NO_TERMS, Glossary
from beauty_models.translate.memory import TranslationMemory
from beauty_models.translate.missing import torn
from beauty_models.translate.model import Request, Translation
from beauty_models.translate.protected import Protected, protect, restore
from beauty_models.translate.segments import Segment, cut, joined
from beauty_models.translate.spacing import parted

MODEL, MEMORY, DICTIONARY, COPY = "model", "memory", "dictionary", "copy"
BASELINES = (COPY, DICTIONARY, MEMORY)
METHODS = (MODEL, MEMORY, DICTIONARY, COPY)
"""The first one is taken where several are equally good."""
VOICES = (MODEL, MEMORY, DICTIONARY)
LIKELIEST = "likeliest"
"""Of each text the candidate among `VOICES` that is most likely right (`quality`)."""


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


Candidates = dict[str, list[Candidate]]
"""Method → its candidate for each text."""


class _Piece(NamedTuple):
    """A piece of a text, none of which is empty or too long."""

    kept: Protected
    looked: Looked  # by the dictionary


_TWICE = re.compile(r"\b([^\W\d_]+)(?:[ \u00a0]+\1\b)+")
_DOUBLED = re.compile(r"([^\W\d_]{2,})[ \u00a0・-]?\1")  # Ylang-Ylang, イランイラン
MAY_DOUBLE = frozenset(
    [
        *("vous", "nous", "das", "der", "die", "dem", "den", "sie", "que", "that", "had", "is"),
        *("very", "très", "sehr", "muy", "ylang", "pom", "bon", "cha", "yo", "tam", "coco"),
    ]
)

_Written = dict[Text, Candidate]


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
    # a glossary that was given, and it with the memory's behind it
    _with_more: tuple[Glossary, Glossary] | None = field(default=None, init=False, repr=False)

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
        """Return a candidate by ``method`` for each of ``texts``, see `candidates`."""
        return self.candidates((method,), texts, more_terms, beams)[method]

    def candidates(
        self,
        methods: Sequence[str],
        texts: Sequence[Text],
        more_terms: Glossary = NO_TERMS,
        beams: int = 0,
    ) -> Candidates:
        """Return a candidate for each of ``texts`` by each of ``methods``.

        Args:
            methods: some of `METHODS`; words are looked up once for model and dictionary.
            texts: in any directions.
            more_terms: beside the memory's; each is kept, or becomes what the glossary says.
            beams: of the model's search; 0 takes what it was saved with.
        """
        found: Candidates = {}
        looked: dict[Text, _Piece] = {}
        segments: list[list[Segment]] = []
        if MODEL in methods or DICTIONARY in methods:
            terms = self.terms(more_terms)
            for text in texts:
                segments.append(self.cut(text.text, terms.into(text.source, text.target)))
            pieces = []
            for text, of_text in zip(texts, segments, strict=True):
                pieces += [piece for piece in text.pieces(of_text) if piece.text]
            looked = self._looked_up(dict.fromkeys(pieces), terms)
        for method in methods:
            if method == COPY:
                found[method] = [Candidate(text.text, 0.0) for text in texts]
            elif method == MEMORY:
                found[method] = self._by_memory(texts)
            else:
                write = _by_words if method == DICTIONARY else partial(self._by_model, beams=beams)
                found[method] = _put_together(texts, segments, self._whole(write, looked, terms))
        return found

    def _whole(
        self,
        write: Callable[[dict[Text, _Piece]], _Written],
        pieces: dict[Text, _Piece],
        terms: Glossary,
    ) -> _Written:
        """Return what ``write`` makes of ``pieces``.

        Those in which it tears a range, a date and the like apart it writes once more, with each
        of them one value: it then says 34–42 where it could have said 34 to 42.
        """
        written = write(pieces)
        apart = []
        for piece, candidate in written.items():
            if torn(piece.text, candidate.text, terms=terms.into(piece.source, piece.target)):
                apart.append(piece)
        if apart:
            written |= write(self._looked_up(apart, terms, tie=True))
        return written

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

    def _looked_up(
        self, pieces: Iterable[Text], terms: Glossary, *, tie: bool = False
    ) -> dict[Text, _Piece]:
        """Return ``pieces`` of texts, protected and looked up in the dictionary."""
        looked = {}
        for piece in pieces:
            of_direction = terms.into(piece.source, piece.target)
            kept = protect(clean(piece.text), terms=of_direction, tie=tie)
            dictionary = self.dictionaries.of(piece.source, piece.target)
            looked[piece] = _Piece(kept, dictionary.translate(kept.text))
        return looked

    def terms(self, more: Glossary = NO_TERMS) -> Glossary:
        """Return the memory's glossary with ``more``, which is looked at first."""
        if not more.terms:
            return self.memory.terms
        # asked for with every text: thousands of terms are sorted once
        if self._with_more is None or self._with_more[0] is not more:
            self._with_more = (more, Glossary((*more.terms, *self.memory.terms.terms)))
        return self._with_more[1]

    def _by_model(self, pieces: dict[Text, _Piece], beams: int) -> dict[Text, Candidate]:
        requests = []
        for piece, (kept, draft) in pieces.items():
            # the network reads the dictionary's translation, too, and improves it
            requests.append(
                Request(kept.text, piece.source, piece.target, draft.text, draft.unknown)
            )
        # all directions in one call: it sorts them by length itself
        written = self.translator.translate(requests, beams=beams or None)
        candidates = {}
        for (piece, (kept, _)), translation in zip(pieces.items(), written, strict=True):
            once = without_stutter(kept.text, translation.text)
            text = parted(kept.text, once, kept.values)
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


def without_stutter(source: str, translated: str) -> str:
    """Return ``translated`` with a word once that a network wrote twice in a row and more.

    Small networks stutter where two words of the source are near to each other. What the source
    says twice stays, and so do words that grammar may double: "si vous vous maquillez".
    """
    if _DOUBLED.search(source):
        return translated

    def once(match: re.Match[str]) -> str:
        return match[0] if match[1].casefold() in MAY_DOUBLE else match[1]

    return _TWICE.sub(once, translated)


def _by_words(pieces: dict[Text, _Piece]) -> dict[Text, Candidate]:
    """Return what the dictionary made of ``pieces``."""
    candidates = {}
    for piece, (kept, looked) in pieces.items():
        restored = restore(looked.text, kept.values, language=piece.target)
        candidates[piece] = Candidate(restored, looked.known)
    return candidates


def _put_together(
    texts: Sequence[Text],
    segments: Sequence[Sequence[Segment]],
    translated: dict[Text, Candidate],
) -> list[Candidate]:
    """Return the translations of ``texts`` by those of their pieces."""
    candidates = []
    for text, of_text in zip(texts, segments, strict=True):
        found = [translated.get(piece) for piece in text.pieces(of_text)]
        candidates.append(in_one(of_text, found))
    return candidates
