"""Nearest neighbours by inner product: a faiss index, exact for few vectors, HNSW for many.

Vectors are normalised by whoever makes them, so that the inner product is the cosine. HNSW walks a
graph of near neighbours (Malkov & Yashunin 2018): its answer is nearly always the exact one at a
fraction of the time; `recall` says how nearly.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
TIE = 1e-6  # scores closer than this are equal


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let faiss use one thread: with more, the graph depends on which of them comes first."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _checked(vectors: NDArray[Any], what: str) -> Floats:
    if vectors.ndim != 2 or not vectors.size:
        raise ValueError(
            f"{what} of shape {vectors.shape}: there is nothing to index or to look up"
        )
    bad = np.flatnonzero(~np.isfinite(vectors).all(1))
    if len(bad):
        raise ValueError(
            f"{what}: {len(bad)} of {len(vectors)} are not finite (NaN or infinity), "
            f"the first is row {bad[0]}"
        )
    return np.ascontiguousarray(vectors, np.float32)


def build(
    vectors: NDArray[Any],
    *,
    exact_below: int,
    links: int,
    build_width: int,
    search_width: int,
) -> faiss.Index:
    """Return the index of ``vectors`` [n, width]: exact when n is below ``exact_below``, else HNSW.

    ``links`` is the paper's M, ``build_width`` its efConstruction and ``search_width`` its ef. The
    same vectors always give the same index.

    Raises:
        ValueError: there are no vectors, or some are not finite.
    """
    vectors = _checked(vectors, "vectors")
    width = vectors.shape[1]
    index: faiss.Index = faiss.IndexFlatIP(width)
    # below, comparing with all is fast enough, and never wrong
    if len(vectors) >= exact_below:
        graph = faiss.IndexHNSWFlat(width, links, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = build_width
        graph.hnsw.efSearch = search_width
        index = graph
    with _one_thread():
        index.add(vectors)
    return index


def _exact(index: faiss.Index) -> faiss.Index:
    """Return the plain vectors that ``index`` stands on; they answer exactly."""
    if isinstance(index, faiss.IndexHNSW):
        # faiss returns the base class, which cannot search
        return faiss.downcast_index(index.storage)
    return index


def search(
    index: faiss.Index,
    queries: NDArray[Any],
    count: int,
    allowed: NDArray[np.bool_] | None = None,
) -> tuple[Floats, Rows]:
    """Return the scores and the row numbers [queries, count] of the nearest rows, best first.

    ``allowed`` [rows] tells which rows may be found. Fewer than ``count`` columns come back when
    there are fewer rows.

    Raises:
        ValueError: the queries are empty or not finite, have another width than the index, or
            ``allowed`` another length.
    """
    queries = _checked(queries, "queries")
    if queries.shape[1] != index.d:
        raise ValueError(
            f"queries have {queries.shape[1]} numbers each, the index has {index.d}: "
            "they come from different models"
        )
    if allowed is None:
        scores, rows = index.search(queries, min(count, index.ntotal))
        return scores, rows
    if allowed.shape != (index.ntotal,):
        raise ValueError(f"the filter speaks of {len(allowed)} rows, the index has {index.ntotal}")
    count = min(count, int(allowed.sum()))
    if not count:  # faiss refuses to look for nothing
        empty = (len(queries), 0)
        return np.zeros(empty, np.float32), np.zeros(empty, np.int64)
    # faiss types its Python arguments as those of C++
    selector = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))  # type: ignore
    parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
    # Exact for both kinds: a graph with most of its nodes forbidden finds too few.
    scores, rows = _exact(index).search(queries, count, params=parameters)
    return scores, rows


def recall(
    index: faiss.Index,
    queries: NDArray[Any],
    count: int,
) -> float:
    """Return the share of the ``count`` exact neighbours of ``queries`` that the index finds.

    Equal scores count as found.
    """
    exact, _ = search(_exact(index), queries, count)
    scores, _ = search(index, queries, count)
    # compared by score, not by row: of two equal vectors either is the nearest
    worst_exact = exact[:, -1:]
    return float((scores >= worst_exact - TIE).mean())


def kind(index: faiss.Index) -> str:
    """Return the name of the index for reports: exact or HNSW."""
    return "HNSW" if isinstance(index, faiss.IndexHNSW) else "exact"


def write(index: faiss.Index, file: Path) -> None:
    """Write ``index`` to ``file``; the same index gives the same bytes."""
    faiss.write_index(index, str(file))


def read(file: Path) -> faiss.Index:
    """Return the index in ``file``.

    Raises:
        ValueError: there is no such file, or it is not a faiss index.
    """
    if not file.exists():
        raise ValueError(f"{file}: no such file; run finetune again")
    try:
        return faiss.read_index(str(file))
    except RuntimeError as error:
        raise ValueError(
            f"{file}: not a faiss index, or a damaged one; restore the folder or run finetune again"
        ) from error
