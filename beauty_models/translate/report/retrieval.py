"""Does a listing find its twin in another language, first among all, and its kind?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pandas as pd

from beauty_models.translate.matching import (
    Listings,
    Matcher,
    distinct_texts,
    recall,
    twins_of,
)
from beauty_models.translate.report.scores import Retrieval

MOST_NEIGHBOURS = 1000  # training texts among which the nearest is looked for


def read_texts(
    matcher: Matcher, units: pd.DataFrame, languages: Sequence[str]
) -> dict[str, Listings]:
    """Return the distinct texts of ``units``, of the languages that have some."""
    said = {}
    for name in languages:
        texts = distinct_texts(units, name)
        if texts:
            said[name] = matcher.read(texts, name, f"evaluate: embeddings, {name}")
    return said


def recalls(matcher: Matcher, units: pd.DataFrame, said: dict[str, Listings]) -> list[Retrieval]:
    """Return recall@1 of each direction among all distinct texts of the other language.

    ``characters`` beside it finds by the n-grams that the texts share untranslated: what names and
    numbers alone can do.
    """
    scores: list[Retrieval] = []
    for source, target in permutations(said, 2):
        queries, gallery = said[source], said[target]
        found = recall(matcher, units, queries, gallery)
        if found is None:
            continue
        scores.append(
            {
                "source": source,
                "target": target,
                "n": found.queries,
                "model": found.recall,
                "characters": _by_characters(units, queries, gallery),
            }
        )
    return scores


def _by_characters(units: pd.DataFrame, queries: Listings, gallery: Listings) -> float:
    wanted = twins_of(units, queries, gallery)
    asked = gallery.ngrams.of([queries.texts[row] for row in wanted])
    nearest = (asked @ gallery.ngrams.known.T).toarray().argmax(1)
    hits = [row in twins for row, twins in zip(nearest, wanted.values(), strict=True)]
    return float(np.mean(hits))


def kind_accuracy(
    matcher: Matcher, train: pd.DataFrame, test: pd.DataFrame, said: dict[str, Listings]
) -> dict[str, dict[str, float]]:
    """Return how often a text has the kind of the nearest training text of another language.

    A shop that has sorted its listings in one language has sorted them in all: training texts are
    those of the language that has most of them, `MOST_NEIGHBOURS` at most; test texts those of all
    others. ``majority`` says the commonest kind. Nothing where there are no two kinds.
    """
    counts = {name: int(train[name].notna().sum()) for name in said if name in train}
    if not counts or train["kind"].nunique() < 2:
        return {}
    known = max(counts, key=lambda name: counts[name])
    neighbours = train[[known, "kind"]].dropna()
    neighbours = neighbours[:: -(-len(neighbours) // MOST_NEIGHBOURS)]
    gallery = matcher.read(neighbours[known].tolist(), known)
    kinds = neighbours["kind"].tolist()
    commonest = str(train["kind"].mode()[0])
    hits: list[bool] = []
    majority: list[bool] = []
    for name, queries in said.items():
        if name == known:
            continue
        nearest = dict(zip(queries.texts, matcher.nearest(queries, gallery), strict=True))
        sorted_ = test[[name, "kind"]].dropna()
        for text, kind in sorted_.itertuples(index=False, name=None):
            if text:
                hits.append(kinds[nearest[text]] == kind)
                majority.append(kind == commonest)
    if not hits:
        return {}
    return {
        "served": {"kind_accuracy": float(np.mean(hits))},
        "majority": {"kind_accuracy": float(np.mean(majority))},
    }
