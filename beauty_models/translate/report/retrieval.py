"""Does a listing find its twin in another language, first among all?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from beauty_models.translate.report.scores import Retrieval

MOST_NEIGHBOURS = 5000  # training texts among which the nearest is looked for
QUERIES = 1024  # compared with the gallery at a time


class Embedder(Protocol):
    """What is asked: `model.Translator`."""

    def embed(self, texts: Sequence[str], languages: Sequence[str]) -> torch.Tensor:
        """Return embeddings [n, width] of unit length."""


class Embedded(NamedTuple):
    """The distinct texts of a language."""

    texts: list[str]
    vectors: NDArray[np.float32]  # [texts, width], of unit length


def embedded(
    translator: Embedder, units: pd.DataFrame, languages: Sequence[str]
) -> dict[str, Embedded]:
    """Return the embeddings of all texts of ``units``, of the languages that have some."""
    found = {}
    for name in languages:
        texts = sorted({text for text in _texts(units, name) if text})
        if texts:
            vectors = translator.embed(texts, [name] * len(texts)).float().cpu().numpy()
            found[name] = Embedded(texts, vectors)
    return found


def recalls(units: pd.DataFrame, found: dict[str, Embedded]) -> list[Retrieval]:
    """Return recall@1 of each direction among all distinct texts of the other language.

    ``characters`` beside it finds by the cosine of TF-IDF weighted character n-grams, which tells
    what names and numbers alone can do.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = {name: _texts(units, name) for name in found}
    everything = [text for language in found.values() for text in language.texts]
    if not everything:
        return []
    vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), dtype=np.float32)
    vectorizer.fit(everything)
    ngrams = {name: vectorizer.transform(language.texts) for name, language in found.items()}
    scores: list[Retrieval] = []
    for source, target in permutations(found, 2):
        wanted = _twins(texts, found[source].texts, found[target].texts, source, target)
        if not wanted:
            continue
        asked = sorted(wanted)
        model = _nearest(found[source].vectors, found[target].vectors, asked)
        characters = _nearest(ngrams[source], ngrams[target], asked)
        scores.append(
            {
                "source": source,
                "target": target,
                "n": len(asked),
                "model": _recall(model, asked, wanted),
                "characters": _recall(characters, asked, wanted),
            }
        )
    return scores


def kind_accuracy(
    translator: Embedder, train: pd.DataFrame, test: pd.DataFrame, found: dict[str, Embedded]
) -> dict[str, dict[str, float]]:
    """Return how often a text has the kind of the nearest training text of another language.

    A shop that has sorted its listings in one language has sorted them in all: training texts are
    those of the language that has most of them, `MOST_NEIGHBOURS` at most; test texts those of all
    others. ``majority`` says the commonest kind. Nothing where there are no two kinds.
    """
    counts = {name: int(train[name].notna().sum()) for name in found if name in train}
    if not counts or train["kind"].nunique() < 2:
        return {}
    known = max(counts, key=lambda name: counts[name])
    neighbours = train[[known, "kind"]].dropna()
    neighbours = neighbours[:: -(-len(neighbours) // MOST_NEIGHBOURS)]
    embeddings = translator.embed(neighbours[known].tolist(), [known] * len(neighbours))
    gallery = embeddings.float().cpu().numpy()
    kinds = neighbours["kind"].tolist()
    commonest = str(train["kind"].mode()[0])
    hits: list[bool] = []
    majority: list[bool] = []
    for name, language in found.items():
        if name == known:
            continue
        row_of = {text: row for row, text in enumerate(language.texts)}
        said = test[[name, "kind"]].dropna()
        said = said[said[name] != ""]
        rows = [row_of[text] for text in said[name]]
        nearest = _nearest(language.vectors, gallery, rows)
        for row, kind in zip(nearest, said["kind"], strict=True):
            hits.append(kinds[row] == kind)
            majority.append(kind == commonest)
    if not hits:
        return {}
    return {
        "model": {"kind_accuracy": float(np.mean(hits))},
        "majority": {"kind_accuracy": float(np.mean(majority))},
    }


def _texts(units: pd.DataFrame, language: str) -> list[str]:
    return [text if isinstance(text, str) else "" for text in units[language]]


def _twins(
    texts: dict[str, list[str]],
    queries: Sequence[str],
    gallery: Sequence[str],
    source: str,
    target: str,
) -> dict[int, set[int]]:
    """Return query → which rows of the gallery say the same; a text may have several twins."""
    query_of = {text: row for row, text in enumerate(queries)}
    gallery_of = {text: row for row, text in enumerate(gallery)}
    twins: dict[int, set[int]] = {}
    for text, twin in zip(texts[source], texts[target], strict=True):
        if text and twin:
            twins.setdefault(query_of[text], set()).add(gallery_of[twin])
    return twins


def _nearest(
    queries: NDArray[np.float32], gallery: NDArray[np.float32], rows: list[int]
) -> list[int]:
    """Return the most similar row of ``gallery`` for each of ``rows`` of ``queries``."""
    nearest: list[int] = []
    for start in range(0, len(rows), QUERIES):
        similarity = queries[rows[start : start + QUERIES]] @ gallery.T
        # sparse rows have no argmax of their own that puts up with empty ones
        dense = similarity if isinstance(similarity, np.ndarray) else similarity.toarray()
        nearest += dense.argmax(1).tolist()
    return nearest


def _recall(nearest: list[int], asked: list[int], wanted: dict[int, set[int]]) -> float:
    hits = [found in wanted[row] for row, found in zip(asked, nearest, strict=True)]
    return float(np.mean(hits))
