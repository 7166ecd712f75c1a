"""Finding a listing's twin in another language, for product matching and categories.

Two listings are alike by the cosine of their sentence embeddings, and by the character n-grams that
one shares with the dictionary's translation of the other: embeddings know what things mean, n-grams
names, numbers and the shop's own words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from beauty_models import device
from beauty_models.files import read_json, write_json
from beauty_models.progress import log_line
from beauty_models.translate import Matching
from beauty_models.translate.methods import DICTIONARY, Methods, Text
from beauty_models.translate.sentences import SentenceEncoder, learn

Floats = NDArray[np.float32]
FOLDER = "matching"  # of the encoder, in the model's folder
SETTINGS = "matching.json"  # beside it, where the registry looks for licences
NGRAMS = (1, 3)  # characters within words
CELLS = 50_000_000  # of similarities at a time, 200 MB
WEIGHTS = (0.1, 0.2, 0.3, 0.6, 1.0, 2.0)  # of the n-grams beside the embeddings, one is chosen
COMPARED = 200  # validation units by which it is chosen


class Ngrams:
    """TF-IDF weighted character n-grams of texts, in which others are looked for."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Count those of ``texts``."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._vectorizer = TfidfVectorizer(
            analyzer="char_wb", ngram_range=NGRAMS, sublinear_tf=True, dtype=np.float32
        )
        self.known: Any = self._vectorizer.fit_transform([text.casefold() for text in texts])

    def of(self, texts: Sequence[str]) -> Any:
        """Return sparse vectors of ``texts``, of unit length where they share an n-gram."""
        return self._vectorizer.transform([text.casefold() for text in texts])


@dataclass(frozen=True)
class Listings:
    """Texts of one language, ready to be compared."""

    language: str
    texts: Sequence[str]
    vectors: Floats | None  # [texts, width], None without an encoder

    @cached_property
    def ngrams(self) -> Ngrams:
        """Their n-grams, counted when others are first looked for in them."""
        return Ngrams(self.texts)


class Twin(NamedTuple):
    """What a listing was matched with."""

    row: int  # of the gallery
    similarity: float  # −1 to 1
    mutual: bool  # no other query is nearer to it


class Recalled(NamedTuple):
    """How often a twin was found first."""

    queries: int  # that have a twin
    recall: float


@dataclass
class Matcher:
    """Compares listings by an encoder, where there is one, and by shared n-grams."""

    encoder: SentenceEncoder | None
    methods: Methods  # whose dictionary translates
    weight: float = 1.0  # of the n-grams, beside 1 of the embeddings

    @classmethod
    def load(cls, model: Path, methods: Methods) -> Matcher:
        """Return the matcher of the folder ``model``, with its ``methods``.

        Raises:
            ValueError: a part of it is missing.
        """
        settings = read_json(model / SETTINGS)
        encoder = SentenceEncoder.load(model / FOLDER) if settings["encoder"] else None
        return cls(encoder, methods, settings["weight"])

    def save(self, model: Path) -> None:
        """Write the matcher into the folder ``model``."""
        settings: dict[str, Any] = {"encoder": bool(self.encoder), "weight": self.weight}
        if self.encoder:
            folder = model / FOLDER
            folder.mkdir()
            self.encoder.save(folder)
            settings |= self.encoder.card
        write_json(model / SETTINGS, settings)

    def read(self, texts: Sequence[str], language: str, title: str = "") -> Listings:
        """Return ``texts`` ready to be compared; ``title`` is that of a progress bar."""
        vectors = self.encoder.embed(texts, title) if self.encoder else None
        return Listings(language, texts, vectors)

    def nearest(self, queries: Listings, gallery: Listings) -> list[int]:
        """Return the row of ``gallery`` that is most like each of ``queries``."""
        rows: list[int] = []
        for block in _Similarities(self, queries, gallery):
            rows += block.argmax(1).tolist()
        return rows

    def twins(self, queries: Listings, gallery: Listings) -> list[Twin]:
        """Return for each of ``queries`` its twin in ``gallery``.

        What is nearer to another query is less likely its twin: similarities count beside the
        highest that a gallery's text has with any query, cross-domain similarity local scaling
        (CSLS, Conneau et al. 2018) with one neighbour. Which twin is found depends on the other
        queries, therefore.

        Raises:
            ValueError: there are no texts on one of the sides.
        """
        if not queries.texts or not gallery.texts:
            raise ValueError("there is nothing to match: one of the two lists has no texts")
        return _Similarities(self, queries, gallery).twins()


class _Similarities:
    """Blocks [queries, gallery] of similarities, of as many queries as memory allows."""

    def __init__(self, matcher: Matcher, queries: Listings, gallery: Listings) -> None:
        self.matcher = matcher
        self.queries = queries
        self.gallery = gallery
        self.theirs = gallery.ngrams.known
        self.ours = gallery.ngrams.of(_translated(matcher.methods, queries, gallery.language))

    def __iter__(self) -> Iterator[Floats]:
        size = max(1, CELLS // len(self.gallery.texts))
        for start in range(0, len(self.queries.texts), size):
            ours = slice(start, start + size)
            shared: Floats = (self.ours[ours] @ self.theirs.T).toarray()
            if self.queries.vectors is None or self.gallery.vectors is None:
                yield shared
                continue
            alike = self.queries.vectors[ours] @ self.gallery.vectors.T
            weight = self.matcher.weight
            yield np.asarray((alike + weight * shared) / (1 + weight), np.float32)

    def twins(self) -> list[Twin]:
        """Return the twin of each query, see `Matcher.twins`."""
        blocks: Iterable[Floats] = self
        if len(self.queries.texts) * len(self.gallery.texts) <= CELLS:  # few: compared once
            blocks = list(self)
        highest = np.full(len(self.gallery.texts), -np.inf, np.float32)
        for block in blocks:
            np.maximum(highest, block.max(0), out=highest)
        twins = []
        for block in blocks:
            rows = (2 * block - highest).argmax(1)
            found = block[np.arange(len(block)), rows]
            for row, similarity in zip(rows.tolist(), found.tolist(), strict=True):
                mutual = similarity >= float(highest[row]) - 1e-6
                twins.append(Twin(row, similarity, mutual))
        return twins


def _translated(methods: Methods, queries: Listings, target: str) -> list[str]:
    """Return what the dictionary makes of ``queries`` in the language ``target``."""
    if queries.language == target:
        return list(queries.texts)
    texts = [Text(text, queries.language, target) for text in queries.texts]
    return [candidate.text for candidate in methods.translate(DICTIONARY, texts)]


def distinct_texts(units: pd.DataFrame, language: str) -> list[str]:
    """Return the texts of ``units`` in ``language``, each once, sorted."""
    return sorted({text for text in units[language] if isinstance(text, str) and text})


def recall(
    matcher: Matcher, units: pd.DataFrame, queries: Listings, gallery: Listings
) -> Recalled | None:
    """Return how often the twin of a query is found first; None where no query has one.

    A text has as many twins as ``units`` say it with.
    """
    wanted = twins_of(units, queries, gallery)
    if not wanted:
        return None
    return Recalled(len(wanted), _share_found(matcher.twins(queries, gallery), wanted))


def _share_found(found: Sequence[Twin], wanted: dict[int, set[int]]) -> float:
    """Return the share of the queries ``wanted`` whose twin was ``found``."""
    return float(np.mean([found[row].row in twins for row, twins in wanted.items()]))


def twins_of(units: pd.DataFrame, queries: Listings, gallery: Listings) -> dict[int, set[int]]:
    """Return query → rows of the gallery that ``units`` hold as the same."""
    query_of = {text: row for row, text in enumerate(queries.texts)}
    gallery_of = {text: row for row, text in enumerate(gallery.texts)}
    twins: dict[int, set[int]] = {}
    pairs = units[[queries.language, gallery.language]].dropna()
    for text, twin in pairs.itertuples(index=False, name=None):
        if text and twin:
            twins.setdefault(query_of[text], set()).add(gallery_of[twin])
    return twins


def learn_matcher(
    methods: Methods,
    validation: pd.DataFrame,
    params: Matching,
    seed: int,
) -> Matcher:
    """Return a matcher whose encoder learns from the units of the memory of ``methods``.

    The n-grams' weight is that with which most twins of ``validation`` are found.
    """
    if not params.base:
        return Matcher(None, methods)
    languages = [name for name in methods.translator.languages if name in methods.memory.languages]
    matcher = Matcher(learn(methods.memory.units, languages, params, seed), methods)
    units = validation.head(COMPARED)
    said = {}
    for name in languages:
        texts = distinct_texts(units, name) if name in units else []
        if texts:
            with device.precision(params.precision):
                said[name] = matcher.read(texts, name)
    recalls: dict[float, list[float]] = {weight: [] for weight in WEIGHTS}
    for source, target in _directions(list(said)):
        wanted = twins_of(units, said[source], said[target])
        if not wanted:
            continue
        similarities = _Similarities(matcher, said[source], said[target])
        for weight in WEIGHTS:
            matcher.weight = weight
            recalls[weight].append(_share_found(similarities.twins(), wanted))
    scores = {weight: float(np.mean(of or [0.0])) for weight, of in recalls.items()}
    matcher.weight = max(WEIGHTS, key=lambda weight: scores[weight])
    measured = ", ".join(f"{weight:g}: {score:.3f}" for weight, score in scores.items())
    log_line(f"finetune: recall@1 of validation's twins by the weight of n-grams: {measured}")
    return matcher


def _directions(languages: list[str]) -> list[tuple[str, str]]:
    """Return from the first language to all others and back; that says enough about a weight."""
    return [pair for pair in permutations(languages, 2) if languages[0] in pair]
