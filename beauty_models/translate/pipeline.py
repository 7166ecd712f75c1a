"""A product text from one language into another, as a shop asks for it.

The memory is asked first, then what serves the direction best. Long texts go in pieces; what must
be kept is counted; what a person should look at says why.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from beauty_models.serving.rows import LOST
from beauty_models.translate.checks import is_latin, script_fault
from beauty_models.translate.cleaning import clean
from beauty_models.translate.detection import SURE, Detector, Guess
from beauty_models.translate.directions import Directions
from beauty_models.translate.glossary import NO_TERMS, Glossary
from beauty_models.translate.locales import Locales
from beauty_models.translate.memory import TranslationMemory
from beauty_models.translate.methods import (
    COPY,
    DICTIONARY,
    LIKELIEST,
    MEMORY,
    MODEL,
    Candidate,
    Methods,
    Text,
    in_one,
)
from beauty_models.translate.missing import missing, torn
from beauty_models.translate.model import Translator
from beauty_models.translate.negations import lost_negation
from beauty_models.translate.protected import find, value_in
from beauty_models.translate.segments import Segment

FOUND = "memory, exact"
"""Method of a text that the memory has, in every direction."""
# By these bounds a text is in another language than was said; of 6,400 whose language is known they
# are wrong about 1.
CERTAIN = 0.99
TOLD = 20  # characters
AMBIGUOUS = 0.5  # of the units that say a text, translate it otherwise
KEEPING = (MODEL, DICTIONARY)
"""Methods that write what must be kept by construction."""
UNKNOWN = "und"
"""Source of a text that is the same in every language."""
SHOWN = 40  # characters of a text, in a message
_WORDS_IN_BRACES = re.compile(
    r"^\{(?:[^{}]*,\s*(?:plural|select|selectordinal|choice)\b|\s*\w+,?\s+\w+)"
)


class Query(NamedTuple):
    """What is asked."""

    text: str
    target: str  # language tag
    source: str = ""  # told from the text where it is empty


class Answer(NamedTuple):
    """A translation and what is to be said of it."""

    translation: str
    source: str  # language tag
    target: str
    method: str  # of `methods.METHODS`, several where pieces differ, or `FOUND`
    confidence: float  # 0 to 1
    look: tuple[str, ...]  # why a person should look at it; empty where nothing is suspicious
    error: str = ""  # why there is no translation


@dataclass
class _Plan:
    """How one query is to be answered."""

    query: Query
    source: str
    target: str
    look: list[str]
    segments: list[Segment]
    method: str
    found: list[Candidate | None]  # of each segment, where the memory has it


class Pipeline:
    """A model folder that stays loaded and translates."""

    def __init__(self, methods: Methods, directions: Directions) -> None:
        """Serve ``directions`` by ``methods``."""
        self.methods = methods
        self.directions = directions
        self.translator = methods.translator
        self.languages = tuple(self.translator.languages)
        self._locales = Locales({tag: [tag] for tag in self.languages})
        self._detector: Detector | None = None

    @classmethod
    def load(cls, folder: Path) -> Pipeline:
        """Return the pipeline of a model's ``folder``.

        Raises:
            ValueError: a part of it is missing.
        """
        methods = Methods.of(Translator.load(folder), TranslationMemory.load(folder))
        return cls(methods, Directions.load(folder))

    def language(self, name: str) -> str:
        """Return the tag of the model's language called ``name``: de for de-AT and DE.

        Raises:
            ValueError: the model has none of that name.
        """
        tag = self._locales.tag(name)
        if not tag:
            alike = [known for known in self.languages if known.startswith(f"{name.casefold()}-")]
            if alike:
                raise ValueError(f"{name!r}: not a language of this model; {' or '.join(alike)}?")
            known = ", ".join(self.languages)
            raise ValueError(f"{name!r}: not a language of this model, which knows {known}")
        return tag

    def translate(
        self, queries: Sequence[Query], more_terms: Glossary = NO_TERMS, beams: int = 0
    ) -> list[Answer]:
        """Return an answer to each query, in their order; equal ones are translated once.

        Args:
            queries: in any directions; sorted by length and batched by the model.
            more_terms: of a glossary beside the model's own.
            beams: of the model's search; 0 takes what it was saved with.
        """
        plans: dict[Query, _Plan | Answer] = {}
        for query in queries:
            if query not in plans:
                plans[query] = self._planned(query, more_terms)
        translated = self._candidates(
            [plan for plan in plans.values() if isinstance(plan, _Plan)], more_terms, beams
        )
        answers = {}
        for query, plan in plans.items():
            if isinstance(plan, _Plan):
                answers[query] = self._answer(plan, translated, more_terms)
            else:
                answers[query] = plan
        return [answers[query] for query in queries]

    def _planned(self, query: Query, more_terms: Glossary) -> _Plan | Answer:
        """Return how ``query`` will be answered, or the answer where there is nothing to do."""
        look: list[str] = []
        terms = self.methods.terms(more_terms)
        try:
            target = self.language(query.target)
            source = self._source(query, look)
        except ValueError as error:
            return Answer("", query.source, query.target, "", 0.0, (), str(error))
        if source == target:
            return Answer(query.text, source, target, COPY, 1.0, tuple(look))
        if any(_WORDS_IN_BRACES.search(span.value.text) for span in find(query.text)):
            look.append("the words within braces stay as they are")
        if not _says_something(query.text, terms):
            kept = _values_in(query.text, terms, target)
            return Answer(kept, source, target, COPY, 1.0, tuple(look))
        terms = terms.into(source, target)
        match = self.methods.memory.exact(query.text, source, target)
        # what the shop's glossary says today goes before what was said before
        if match is not None and not _loses(query.text, match.translation, terms):
            if match.similarity <= AMBIGUOUS:
                look.append("the memory has other translations, too")
            return Answer(match.translation, source, target, FOUND, match.similarity, tuple(look))
        method = self.directions.method(source, target)
        if (source, target) not in self.directions.choices:
            look.append(f"nobody has measured {source} to {target}")
        segments = self.methods.cut(query.text, terms)
        found = self._remembered(segments, source, target, terms)
        return _Plan(query, source, target, look, segments, method, found)

    def _source(self, query: Query, look: list[str]) -> str:
        """Return the language of a query; what is odd about it goes to ``look``.

        Raises:
            ValueError: there is no text, or none in a language of the model.
        """
        if LOST.search(query.text) or "\ufffd" in query.text:
            raise ValueError("characters that are lost: it was read in a wrong encoding")
        text = clean(query.text)
        if not text:
            raise ValueError("no text")
        if query.source:
            source = self.language(query.source)
            fault = script_fault(text, source) or self._another_language(text, source)
            if fault:
                look.append(f"said to be {source}: {fault}")
            return source
        if not _says_something(text, self.methods.terms()):
            return UNKNOWN  # numbers, marks and brands are the same in all of them
        guess = self._guess(text)
        if not guess.language:
            known = ", ".join(self.languages)
            raise ValueError(f"{text[:SHOWN]!r}: in none of the model's languages, {known}")
        if guess.probability < SURE:
            look.append(f"taken for {guess.language}; nobody said what it is")
        return guess.language

    def _guess(self, text: str) -> Guess:
        """Return the language of ``text`` by the shop's own words."""
        if self._detector is None:
            self._detector = Detector(self.methods.memory, self.languages)
        return self._detector.guess(text)

    def _another_language(self, text: str, source: str) -> str:
        """Return that ``text`` is in another language than ``source``, if that is beyond doubt."""
        # what is written in other letters `script_fault` tells
        if (
            len(text) < TOLD
            or not is_latin(source)
            or not _says_something(text, self.methods.terms())
        ):
            return ""
        guess = self._guess(text)
        if guess.language in ("", source) or guess.probability < CERTAIN:
            return ""
        return f"it reads like {guess.language}"

    def _remembered(
        self, segments: Sequence[Segment], source: str, target: str, terms: Glossary
    ) -> list[Candidate | None]:
        """Return what the memory has of a text's pieces, where it has more than one."""
        if len(segments) < 2:
            return [None] * len(segments)
        found: list[Candidate | None] = []
        for segment in segments:
            match = None
            if segment.text:
                match = self.methods.memory.exact(segment.text, source, target)
            if match is None or _loses(segment.text, match.translation, terms):
                found.append(None)
            else:
                found.append(Candidate(match.translation, match.similarity))
        return found

    def _candidates(
        self, plans: Sequence[_Plan], more_terms: Glossary, beams: int
    ) -> dict[tuple[str, Text], Candidate]:
        """Return the translation of every piece that the memory lacks, by method and piece."""
        wanted: dict[str, dict[Text, None]] = {}
        for plan in plans:
            for segment, found in zip(plan.segments, plan.found, strict=True):
                if segment.text and found is None:
                    text = Text(segment.text, plan.source, plan.target)
                    wanted.setdefault(plan.method, {})[text] = None
        translated = {}
        for method, texts in wanted.items():
            candidates = self._judged(method, list(texts), more_terms, beams)
            for text, candidate in zip(texts, candidates, strict=True):
                translated[method, text] = candidate
            self._mend(method, translated, more_terms, beams)
        return translated

    def _judged(
        self, method: str, texts: Sequence[Text], more_terms: Glossary, beams: int
    ) -> list[Candidate]:
        """Return candidates whose confidence is how likely they are right."""
        quality = self.directions.quality
        return quality.judged(method, self.methods, texts, more_terms, beams)

    def _mend(
        self,
        method: str,
        translated: dict[tuple[str, Text], Candidate],
        more_terms: Glossary,
        beams: int,
    ) -> None:
        """Have others translate what ``method`` translated with a loss, where they lose nothing.

        The nearest known text has other sizes and no placeholder; the model may write bytes that
        are no character.
        """
        terms = self.methods.terms(more_terms)
        for other in KEEPING:
            if other == method:
                continue
            bad = []
            for (by, text), candidate in translated.items():
                of_direction = terms.into(text.source, text.target)
                if by == method and _loses(text.text, candidate.text, of_direction):
                    bad.append(text)
            if not bad:
                return
            candidates = self._judged(other, bad, more_terms, beams)
            for text, mended in zip(bad, candidates, strict=True):
                if not _loses(text.text, mended.text, terms.into(text.source, text.target)):
                    translated[method, text] = mended._replace(method=other)

    def _answer(
        self,
        plan: _Plan,
        translated: dict[tuple[str, Text], Candidate],
        more_terms: Glossary,
    ) -> Answer:
        asked = Text(plan.query.text, plan.source, plan.target).pieces(plan.segments)
        found = []
        for piece, known in zip(asked, plan.found, strict=True):
            found.append(known or translated.get((plan.method, piece)))
        translation, confidence, _ = in_one(plan.segments, found)
        methods = dict.fromkeys(piece.method or plan.method for piece in found if piece)
        look = list(plan.look)
        thresholds = self.directions.thresholds
        limit = max((thresholds.get(method, 0.0) for method in methods), default=0.0)
        if confidence < limit:
            look.append(f"confidence {confidence:.2f}")
        if not translation.strip():
            look.append("nothing was written")
        terms = self.methods.terms(more_terms).into(plan.source, plan.target)
        lost = missing(plan.query.text, translation, terms=terms)
        if lost:
            look.append(f"lost: {', '.join(lost)}"[:200])
        apart = torn(plan.query.text, translation, terms=terms)
        if apart:
            look.append(f"torn apart: {', '.join(apart)}"[:200])
        denied = lost_negation(plan.query.text, plan.source, translation, plan.target)
        if denied:
            look.append(f"{denied!r} is not denied in it")
        return Answer(
            translation, plan.source, plan.target, ", ".join(methods), confidence, tuple(look)
        )

    def told(self, source: str, target: str) -> str:
        """Return why another method than the model serves a direction, "" where the model does."""
        method = self.directions.method(source, target)
        if method in (MODEL, LIKELIEST):  # of the latter each answer says what it is by
            return ""
        choice = self.directions.choices[source, target]
        name = "its nearest known text" if method == MEMORY else f"the {method}"
        return (
            f"{source} to {target} is served by {name}: chrF {choice.chrf[method]:.1f} on "
            f"{choice.n} validation texts, the model {choice.chrf[MODEL]:.1f}"
        )


def _loses(text: str, translation: str, terms: Glossary) -> bool:
    """Return whether ``translation`` lacks a value, tears one apart, or has a broken character."""
    # bytes that the model wrote and that are no character
    broken = "\ufffd" in translation and "\ufffd" not in text
    lacking = missing(text, translation, terms=terms) or torn(text, translation, terms=terms)
    return broken or bool(lacking)


def _says_something(text: str, terms: Glossary) -> bool:
    """Return whether ``text`` has letters beside what a translation keeps as it is."""
    place = 0
    for span in find(text, terms=terms):
        if any(map(str.isalpha, text[place : span.start])) or span.value.translations:
            return True
        place = span.end
    return any(map(str.isalpha, text[place:]))


def _values_in(text: str, terms: Glossary, target: str) -> str:
    """Return ``text``, which has nothing but values, as ``target`` writes them: 毫升 is ml."""
    pieces = []
    place = 0
    for span in find(text, terms=terms):
        pieces += [text[place : span.start], value_in(span.value, target)]
        place = span.end
    return "".join([*pieces, text[place:]])
