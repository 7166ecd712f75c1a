"""Ranking the full gallery: where the relevant things come for each query, and what follows.

Nothing is sampled: a query is compared with everything in the gallery (Krichene & Rendle 2020 on
why sampled metrics mislead), in blocks, so that no matrix of all scores is ever held.
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
RECALL_AT = (1, 5, TOP)
MAX_SCORES = 20_000_000  # held at once

Matrix = Any  # a dense or a sparse matrix of rows
Values = NDArray[np.float64]
Ranks = NDArray[np.int64]
Scores = Callable[[int, int], NDArray[Any]]
"""(first query, last query + 1) → scores [queries, gallery] of those queries."""


@dataclass(frozen=True)
class Task:
    """Queries that are answered from one gallery.

    Attributes:
        name: prefix of the metrics.
        kind: text_image, image_text, image_image, search (text → item with its texts) or listing
            (products → products).
        queries: [n] rows of texts, items or distorted photos; of a listing the weights
            [n, products] of the products that are given.
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

    @property
    def query_count(self) -> int:
        """How many queries there are."""
        return int(self.relevance.shape[0])

    @property
    def is_listing(self) -> bool:
        """Whether products are listed, of which several may be right."""
        return self.kind == "listing"


def similarity(queries: Matrix, gallery: Matrix) -> Scores:
    """Return the cosine of every query with everything in the gallery.

    Both are [rows, width], dense or sparse.
    """
    left = normalize(queries)
    right = normalize(gallery).T

    def scores(start: int, stop: int) -> NDArray[Any]:
        block = left[start:stop] @ right
        return np.asarray(block.toarray() if issparse(block) else block)

    return scores


def _block_scores(
    task: Task,
    scores: Scores,
    start: int,
    stop: int,
) -> NDArray[Any]:
    """Return the scores [queries, gallery] of some queries."""
    block = scores(start, stop)
    if task.is_listing:
        # what a listing starts from is nearest to itself, and nobody wants it again
        given = task.queries[start:stop].nonzero()
        block = block.astype(float)
        block[given] = -np.inf
    return block


def _tie_order(task: Task, seed: int) -> NDArray[np.int64]:
    """Return the place [gallery] of everything among things of equal score.

    It is random and the same for every method: a method that gives everything one score is then as
    good as chance.
    """
    return np.random.default_rng(seed).permutation(len(task.gallery))


def relevant_ranks(
    task: Task,
    scores: Scores,
    seed: int,
) -> Ranks:
    """Return the rank, from 1, of each relevant thing for its query.

    They are in the order of ``task.relevance.indices``.
    """
    order = _tie_order(task, seed)
    rows_at_once = max(1, MAX_SCORES // len(task.gallery))
    ranks = []
    for start in range(0, task.query_count, rows_at_once):
        relevance = task.relevance[start : start + rows_at_once]
        queries = relevance.shape[0]
        block = _block_scores(task, scores, start, start + queries)
        query = np.repeat(np.arange(queries), np.diff(relevance.indptr))
        # a query with many relevant things takes a row of scores for each: blocks again
        for first in range(0, len(query), rows_at_once):
            row = query[first : first + rows_at_once]
            column = relevance.indices[first : first + rows_at_once]
            own = block[row, column][:, None]
            better = block[row] > own
            tied = block[row] == own
            tied_before = tied & (order < order[column][:, None])
            ranks.append(1 + (better | tied_before).sum(1))
    return np.concatenate(ranks)


def best_answers(
    task: Task,
    scores: Scores,
    seed: int,
    query: int,
    count: int,
) -> Ranks:
    """Return the first ``count`` places of the gallery for one query, best first."""
    block = _block_scores(task, scores, query, query + 1)[0]
    return np.lexsort((_tie_order(task, seed), -block))[:count]


def first_ranks(task: Task, ranks: Ranks) -> Ranks:
    """Return the rank of the first relevant thing for each query [n], given `relevant_ranks`."""
    # a sparse matrix in CSR: the relevant things of query i begin at indptr[i]
    return np.minimum.reduceat(ranks, task.relevance.indptr[:-1])


def _ndcg(task: Task, ranks: Ranks) -> Values:
    """Return nDCG@10 for each query [n]."""
    starts = task.relevance.indptr[:-1]
    counts = np.diff(task.relevance.indptr)
    gains = task.relevance.data

    def discounted(gain: Values, rank: Ranks) -> Values:
        discount = np.log2(rank + 1.0)
        values = np.where(rank <= TOP, gain / discount, 0.0)
        return np.asarray(np.add.reduceat(values, starts))

    # the best order of a query: its relevant things from rank 1 on, what is worth most first
    query = np.repeat(np.arange(len(starts)), counts)
    falling_gains = gains[np.lexsort((-gains, query))]
    ideal_ranks = 1 + np.arange(len(gains)) - np.repeat(starts, counts)
    return discounted(gains, ranks) / discounted(falling_gains, ideal_ranks)


def query_metrics(task: Task, ranks: Ranks) -> dict[str, Values]:
    """Return each metric's value for each query [n], given the `relevant_ranks`.

    recall@k: is anything relevant among the first k (as in image–text retrieval since Karpathy &
    Fei-Fei 2015); of a listing, which part of what is relevant, of k at most, is among the first k.
    MRR@10: 1 / rank of the first relevant thing, 0 beyond 10. nDCG@10: Järvelin & Kekäläinen 2002,
    with the relevance itself as gain and 1 / log₂(rank + 1) as discount.
    """
    metrics: dict[str, Values] = {}
    if task.is_listing:
        starts = task.relevance.indptr[:-1]
        possible = np.minimum(np.diff(task.relevance.indptr), TOP)
        hits = np.add.reduceat(ranks <= TOP, starts, dtype=float)
        metrics[f"recall_at_{TOP}"] = hits / possible
    else:
        first = first_ranks(task, ranks)
        for k in RECALL_AT:
            metrics[f"recall_at_{k}"] = (first <= k).astype(float)
        metrics[f"mrr_at_{TOP}"] = np.where(first <= TOP, 1 / first, 0.0)
    metrics[f"ndcg_at_{TOP}"] = _ndcg(task, ranks)
    return metrics
