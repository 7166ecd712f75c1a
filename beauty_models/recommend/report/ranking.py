"""Ranking the full gallery: where the relevant things come for each query, and the figures that follow from it.

Nothing is sampled: a query is compared with everything in the gallery (Krichene & Rendle 2020 on why sampled figures
mislead), in blocks, so that no matrix of all scores is ever held.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, issparse
from sklearn.preprocessing import normalize

TOP = 10  # of MRR, nDCG and the longest recall
CELLS = 20_000_000  # scores held at once

Matrix = Any  # a dense or a sparse matrix of rows
Scores = Callable[[int, int], NDArray[Any]]
"""(first query, last query + 1) → scores [queries, gallery] of those queries."""


@dataclass(frozen=True)
class Task:
    """Queries that are answered from one gallery.

    Attributes:
        name: prefix of the figures.
        kind: text_image, image_text, image_image, search (text → item with its texts) or listing (products → products).
        queries: [n] rows of texts, items or distorted photos; of a listing the weights [n, products] of the products that are given.
        gallery: [m] rows of items, texts or products.
        relevance: [n, m], how much each thing is worth to each query; every query has something.
        about: [n] rows, what is known of each query: product, and kind, language, text and so on.
    """

    name: str
    kind: str
    queries: Any
    gallery: NDArray[np.int64]
    relevance: csr_matrix
    about: pd.DataFrame


def similarity(queries: Matrix, gallery: Matrix) -> Scores:
    """Return the cosine of every query with everything in the gallery; both [rows, width], dense or sparse."""
    left, right = normalize(queries), normalize(gallery).T

    def scores(start: int, stop: int) -> NDArray[Any]:
        block = left[start:stop] @ right
        return np.asarray(block.toarray() if issparse(block) else block)

    return scores


def _block(task: Task, scores: Scores, start: int, stop: int) -> NDArray[Any]:
    """Return the scores of some queries; what a listing starts from is not listed again."""
    block = scores(start, stop)
    if task.kind == "listing":
        given = task.queries[start:stop].nonzero()
        block = block.astype(float)
        block[given] = -np.inf
    return block


def _order(task: Task, seed: int) -> NDArray[np.int64]:
    """Return the place of everything in the gallery among things of equal score: random, the same for every method."""
    return np.random.default_rng(seed).permutation(len(task.gallery))


def ranks(task: Task, scores: Scores, seed: int) -> NDArray[np.int64]:
    """Return the rank, from 1, of each relevant thing for its query, in the order of ``task.relevance.indices``."""
    size, order, found = len(task.gallery), _order(task, seed), []
    at_once = max(1, CELLS // size)
    for start in range(0, task.relevance.shape[0], at_once):
        part = task.relevance[start : start + at_once]
        block = _block(task, scores, start, start + part.shape[0])
        rows = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
        for first in range(0, len(rows), at_once):
            row, column = rows[first : first + at_once], part.indices[first : first + at_once]
            own = block[row, column][:, None]
            better = (block[row] > own) | ((block[row] == own) & (order < order[column][:, None]))
            found.append(1 + better.sum(1))
    return np.concatenate(found)


def first(task: Task, scores: Scores, seed: int, query: int, count: int) -> NDArray[np.int64]:
    """Return the first ``count`` places of the gallery for one query."""
    block = _block(task, scores, query, query + 1)[0]
    return np.lexsort((_order(task, seed), -block))[:count]


def figures(task: Task, found: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return each figure's value for each query [n], given the `ranks`.

    recall@k: is anything relevant among the first k (as in image–text retrieval since Karpathy & Fei-Fei 2015); of a listing,
    which part of what is relevant, of k at most, is among the first k. MRR@10: 1 / rank of the first relevant thing, 0 beyond
    10. nDCG@10: Järvelin & Kekäläinen 2002, with the relevance itself as gain and 1 / log₂(rank + 1) as discount.
    """
    starts, counts = task.relevance.indptr[:-1], np.diff(task.relevance.indptr)
    nearest = np.minimum.reduceat(found, starts)
    query = np.repeat(np.arange(len(starts)), counts)
    gains = task.relevance.data
    best = gains[np.lexsort((-gains, query))]
    place = 1 + np.arange(len(gains)) - np.repeat(starts, counts)

    def gained(worth: NDArray[Any], rank: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(
            np.add.reduceat(np.where(rank <= TOP, worth / np.log2(rank + 1.0), 0.0), starts)
        )

    ndcg = gained(gains, found) / gained(best, place)
    if task.kind == "listing":
        return {
            f"recall_at_{TOP}": np.add.reduceat(found <= TOP, starts, dtype=float)
            / np.minimum(counts, TOP),
            f"ndcg_at_{TOP}": ndcg,
        }
    hits = {f"recall_at_{k}": (nearest <= k).astype(float) for k in (1, 5, TOP)}
    return hits | {
        f"mrr_at_{TOP}": np.where(nearest <= TOP, 1 / nearest, 0.0),
        f"ndcg_at_{TOP}": ndcg,
    }
