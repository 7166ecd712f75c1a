"""The index against brute force: exact and HNSW, filters, recall, bytes, and what is refused."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from beauty_models.retrieval import index

HNSW = {"exact_below": 100, "links": 16, "build_width": 80, "search_width": 64}
EXACT = HNSW | {"exact_below": 100_000}


def vectors(n: int, width: int = 16, seed: int = 0) -> np.ndarray:
    """Return normalised vectors [n, width] around twenty centres."""
    random = np.random.default_rng(seed)
    found = np.random.default_rng(9).normal(size=(20, width))[
        random.integers(0, 20, n)
    ] + 0.5 * random.normal(size=(n, width))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("settings, kind", [(EXACT, "exact"), (HNSW, "HNSW")])
def test_search_is_brute_force(settings, kind):
    rows, queries = vectors(3000), vectors(50, seed=1)
    built = index.build(rows, **settings)
    scores, found = index.search(built, queries, 10)
    truth = np.sort(queries @ rows.T, axis=1)[:, :-11:-1]
    assert (
        index.kind(built) == kind
        and found.shape == (50, 10)
        and (np.diff(scores, axis=1) <= 0).all()
    )
    assert np.take_along_axis(queries @ rows.T, found, 1) == pytest.approx(scores, abs=1e-5)
    assert (scores >= truth[:, -1:] - 1e-5).mean() >= 0.98
    assert index.recall(built, queries, 10) == pytest.approx(
        (scores >= truth[:, -1:] - 1e-5).mean(), abs=1e-3
    )


def test_recall_sees_a_bad_graph():
    built = index.build(vectors(5000, 64), exact_below=1, links=2, build_width=2, search_width=1)
    assert index.recall(built, vectors(50, 64, seed=1), 10) < 0.8


@pytest.mark.parametrize("settings", [EXACT, HNSW])
@pytest.mark.parametrize("share", [0.5, 0.002])
def test_filter_is_exact(settings, share):
    rows, queries = vectors(3000), vectors(20, seed=1)
    allowed = np.random.default_rng(3).random(3000) < share
    scores, found = index.search(index.build(rows, **settings), queries, 10, allowed)
    truth = np.sort(queries @ rows[allowed].T, axis=1)[:, ::-1][:, :10]
    assert allowed[found].all() and scores == pytest.approx(truth, abs=1e-5)


@pytest.mark.parametrize("settings", [EXACT, HNSW])
def test_filter_that_allows_nothing_finds_nothing(settings):
    scores, found = index.search(
        index.build(vectors(300), **settings), vectors(2, seed=1), 10, np.zeros(300, bool)
    )
    assert scores.shape == found.shape == (2, 0)


def test_more_wanted_than_there_is():
    assert index.search(index.build(vectors(3), **EXACT), vectors(1, seed=1), 10)[1].shape == (1, 3)


@pytest.mark.parametrize("settings", [EXACT, HNSW])
def test_file_gives_the_same_answers_and_the_same_bytes(tmp_path, settings):
    rows, queries = vectors(2000), vectors(20, seed=1)
    threads = faiss.omp_get_max_threads()
    for name in ("one", "two"):
        index.write(index.build(rows, **settings), tmp_path / name)
    assert faiss.omp_get_max_threads() == threads
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    again = index.read(tmp_path / "one")
    for before, after in zip(
        index.search(index.build(rows, **settings), queries, 5),
        index.search(again, queries, 5),
        strict=True,
    ):
        assert (before == after).all()
    assert index.kind(again) == ("exact" if settings is EXACT else "HNSW")
    if settings is HNSW:
        assert again.hnsw.efSearch == 64


def test_what_is_refused(tmp_path):
    bad = vectors(5)
    bad[3, 2] = np.nan
    with pytest.raises(ValueError, match="1 of 5 are not finite .* row 3"):
        index.build(bad, **EXACT)
    with pytest.raises(ValueError, match="nothing to index"):
        index.build(np.zeros((0, 4)), **EXACT)
    built = index.build(vectors(5), **EXACT)
    with pytest.raises(ValueError, match="not finite"):
        index.search(built, bad, 2)
    with pytest.raises(ValueError, match="different models"):
        index.search(built, vectors(2, 8), 2)
    with pytest.raises(ValueError, match="filter speaks of 4 rows"):
        index.search(built, vectors(2), 2, np.ones(4, bool))
    with pytest.raises(ValueError, match="no such file"):
        index.read(tmp_path / "none.faiss")
    (tmp_path / "bad.faiss").write_bytes(b"not an index at all")
    with pytest.raises(ValueError, match="not a faiss index"):
        index.read(tmp_path / "bad.faiss")
