"""The texts of a batch of rows made clean, known again and signed: the costly part of ingest.

It needs nothing but the batch, so that other processes can do it.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beauty_models.intake import parent
from beauty_models.intake.rejected import EXCERPT
from beauty_models.intake.text import fingerprint, language, normalize
from beauty_models.sentiment.near_duplicates import Signatures, banding, signatures

PROCESSES = 2
WAITING = 4  # batches that lie in memory at once, to be cleaned or written


class Rules(NamedTuple):
    """What of the params the texts are cleaned by."""

    min_characters: int
    max_characters: int
    threshold: float  # of near duplicates; 1 looks for none


class Batch(NamedTuple):
    """Rows as they were delivered."""

    ids: list[str]
    texts: list[str]
    good: list[bool]  # the reader had nothing against the row


class Cleaned(NamedTuple):
    """A batch as `TextStore` keeps it, and what is wrong with its texts."""

    rows: pa.RecordBatch
    faults: list[str]  # of each text's length, or ""


def length_fault(text: str, rules: Rules) -> str:
    """Return why a text of this length is not taken, or ""."""
    if not text:
        return "no text"
    if len(text) < rules.min_characters:
        return f"text shorter than {rules.min_characters} characters"
    if len(text) > rules.max_characters:
        return f"text longer than {rules.max_characters} characters"
    return ""


def schema(rules: Rules) -> pa.Schema:
    """Return the columns of `Cleaned.rows`."""
    bands = banding(rules.threshold).bands if rules.threshold < 1 else 0
    return pa.schema(
        [
            ("id", pa.large_string()),
            ("text", pa.large_string()),
            ("language", pa.string()),
            ("key", pa.binary(16)),  # the fingerprint
            ("size", pa.int32()),
            ("sketch", pa.binary(64)),
            ("bands", pa.binary(4 * max(1, bands))),
        ]
    )


def clean(batch: Batch, rules: Rules) -> Cleaned:
    """Return ``batch`` with its texts normalized, and what later steps ask of each text."""
    texts = list(map(normalize, batch.texts))
    faults = [length_fault(text, rules) for text in texts]
    usable = []
    languages = []
    for place, text in enumerate(texts):
        if batch.good[place] and not faults[place]:
            usable.append(place)
            languages.append(language(text))
        else:
            languages.append("")
            # Nobody reads more of a text that is not taken.
            texts[place] = text[:EXCERPT]
    keys = [bytes.fromhex(fingerprint(text)) for text in texts]
    signed = _signed(texts, usable, rules)
    columns = [
        pa.array(batch.ids, pa.large_string()),
        pa.array(texts, pa.large_string()),
        pa.array(languages, pa.string()),
        pa.array(keys, pa.binary(16)),
        pa.array(signed.sizes, pa.int32()),
        _fixed(signed.sketches),
        _fixed(np.ascontiguousarray(signed.bands.T)),
    ]
    return Cleaned(pa.record_batch(columns, schema=schema(rules)), faults)


def _signed(texts: Sequence[str], usable: Sequence[int], rules: Rules) -> Signatures:
    """Return signatures for all of ``texts``, zeros for those that are not ``usable``."""
    bands = banding(rules.threshold).bands if rules.threshold < 1 else 1
    sizes = np.zeros(len(texts), np.int32)
    sketches = np.zeros((len(texts), 8), np.uint64)
    hashes = np.zeros((bands, len(texts)), np.uint32)
    if rules.threshold < 1:
        found = signatures([texts[place] for place in usable], rules.threshold)
        sizes[usable] = found.sizes
        sketches[usable] = found.sketches
        hashes[:, usable] = found.bands
    return Signatures(sizes, sketches, hashes)


def _fixed(rows: NDArray[Any]) -> pa.FixedSizeBinaryArray:
    """Return the rows of a matrix as one cell each, without a copy."""
    width = rows.shape[1] * rows.itemsize
    buffer = pa.py_buffer(rows)
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(rows), [None, buffer])


class Cleaner:
    """Cleans batches in their order: here, or in ``pool``, some of them ahead."""

    def __init__(self, rules: Rules, pool: ProcessPoolExecutor | None) -> None:
        self._rules = rules
        self._pool = pool
        self._waiting: deque[Future[Cleaned]] = deque()

    def add(self, batch: Batch) -> Iterator[Cleaned]:
        """Take ``batch``; yield the earlier ones that are done by then."""
        if self._pool is None:
            yield clean(batch, self._rules)
            return
        self._waiting.append(self._pool.submit(clean, batch, self._rules))
        while len(self._waiting) > WAITING:
            yield self._waiting.popleft().result()

    def rest(self) -> Iterator[Cleaned]:
        """Yield the batches that are not yielded yet."""
        while self._waiting:
            yield self._waiting.popleft().result()


@contextmanager
def cleaner(rules: Rules, parallel: bool) -> Iterator[Cleaner]:
    """Yield a `Cleaner`, in `PROCESSES` processes of their own where that is ``parallel``."""
    if not parallel or len(os.sched_getaffinity(0)) < PROCESSES:
        yield Cleaner(rules, None)
        return
    # Not forked: Arrow's threads would not be there in the copy.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        PROCESSES, context, initializer=parent.end_with, initargs=(os.getpid(),)
    ) as pool:
        yield Cleaner(rules, pool)
