"""The index at 100,000 products: time to build, size, time of a query, recall; HNSW and exact.

``python -m bench.index`` generates embeddings with the structure of a catalogue: products gather
around styles, and queries lie near products. Vectors without any structure are the hard case for a
graph; the last row of the table has them. faiss has one thread, and times are those of the
processor: what else the machine does is not counted.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from beauty_models import params
from beauty_models.retrieval import index

STYLES = 2000  # centers that products gather around
LOOKED_UP = 1000  # queries


def embeddings(n: int, width: int, spread: float, seed: int) -> NDArray[np.float32]:
    """Return ``n`` normalized vectors around `STYLES` centers, float32 [n, width].

    ``spread`` is their distance from a center, in lengths of the center.
    """
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(0).normal(size=(STYLES, width)) / np.sqrt(width)
    own_centers = centers[rng.integers(0, STYLES, n)]
    vectors = own_centers + spread * rng.normal(size=(n, width)) / np.sqrt(width)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def one_by_one(built: faiss.Index, queries: NDArray[np.float32]) -> float:
    """Return the milliseconds of one query for ten products."""
    start = time.process_time()
    for query in queries:
        index.search(built, query[None], 10)
    return 1000 * (time.process_time() - start) / len(queries)


def main() -> None:
    """Build both indices for each kind of embeddings and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=256)
    options = parser.parse_args()
    settings = params.load("recommend").finetune.index.model_dump()
    faiss.omp_set_num_threads(1)
    head = ("embeddings", "index", "build, s", "file, MB", "query, ms", "read, s", "recall@10")
    table = Table(
        *head,
        title=f"{options.products:,} × {options.width}, one thread, "
        f"seconds of the processor, {settings}",
    )
    for name, spread in (("around styles", 0.8), ("no structure", 1e6)):
        rows, queries = (
            embeddings(n, options.width, spread, seed)
            for n, seed in ((options.products, 1), (LOOKED_UP, 2))
        )
        for exact_below in (options.products + 1, 0):
            start = time.process_time()
            built = index.build(rows, **settings | {"exact_below": exact_below})
            seconds = time.process_time() - start
            with tempfile.TemporaryDirectory() as folder:
                index.write(built, file := Path(folder) / "products.faiss")
                size, start = file.stat().st_size, time.process_time()
                index.read(file)
                opened = time.process_time() - start
            row = (
                f"{seconds:.1f}",
                f"{size / 1e6:.0f}",
                f"{one_by_one(built, queries):.2f}",
                f"{opened:.2f}",
            )
            table.add_row(name, index.kind(built), *row, f"{index.recall(built, queries, 10):.4f}")
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
