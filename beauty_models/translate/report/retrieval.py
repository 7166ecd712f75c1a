"""Does a listing find its twin in another language, first among all?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from beauty_models.translate.report.scores import Retrieval

QUERIES = 1024  # compared with the gallery at a time


class Embedder(Protocol):
    """What is asked: `model.Translator`."""

    def embed(self, texts: Sequence[str], languages: Sequence[str]) -> torch.Tensor:
        """Return embeddings [n, width] of unit length."""


def recalls(translator: Embedder, units: pd.DataFrame, languages: Sequence[str]) -> list[Retrieval]:
    """Return recall@1 of each direction among all distinct texts of the other language.

    ``characters`` beside it finds by the cosine of TF-IDF weighted character n-grams, which tells
    what names and numbers alone can do.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = {name: _texts(units, name) for name in languages}
    said = [name for name in languages if any(texts[name])]
    vectors = {}
    for name in said:
        found = sorted({text for text in texts[name] if text})
        embedded = translator.embed(found, [name] * len(found)).float().cpu().numpy()
        vectors[name] = (found, embedded)
    everything = [text for found, _ in vectors.values() for text in found]
    if not everything:
        return []
    vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), dtype=np.float32)
    vectorizer.fit(everything)
    ngrams = {name: vectorizer.transform(found) for name, (found, _) in vectors.items()}
    scores: list[Retrieval] = []
    for source, target in permutations(said, 2):
        wanted = _twins(texts, vectors[source][0], vectors[target][0], source, target)
        if not wanted:
            continue
        asked = sorted(wanted)
        model = _nearest(vectors[source][1], vectors[target][1], asked)
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
