"""Our training loop beside another one: what the throughput benchmarks measure and print."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from rich.table import Table

from beauty_models import progress
from beauty_models.training.loop import Loop


class Timing(NamedTuple):
    """What one loop needed, and what its model was worth after it."""

    loop: str  # whose it is
    seconds: list[float]  # of each epoch
    score: str


def epoch_seconds(loop: Loop[Any], epochs: int, cache_frozen: Callable[[], object]) -> list[float]:
    """Train ``epochs`` and return the seconds of each.

    ``cache_frozen`` computes what the frozen layers put out. It counts towards the first epoch: the
    other loop computes the same in every one of its epochs.
    """
    seconds = []
    for epoch in range(epochs):
        start = time.perf_counter()
        if epoch == 0:
            cache_frozen()
        loop.train_epoch(progress.Bar("ours", 10**9, 0, None))
        # not `end_epoch`, which validates: the other loop does not
        loop.epoch = epoch + 1
        loop.batch = 0
        seconds.append(time.perf_counter() - start)
    return seconds


def table(title: str, loop: str, score: str) -> Table:
    """Return a table for `add_case`; ``loop`` and ``score`` head two of its columns."""
    return Table("case", loop, "epoch 1 samples/s", "later samples/s", score, title=title)


def add_case(rows: Table, case: str, samples: int, theirs: Timing, ours: Timing) -> None:
    """Add a row for each loop, whose epochs have ``samples``, and one for ours over theirs."""
    first = {}
    later = {}
    for timing in (theirs, ours):
        speeds = [samples / seconds for seconds in timing.seconds]
        first[timing.loop] = speeds[0]
        later[timing.loop] = float(np.mean(speeds[1:]))
        rows.add_row(
            case,
            timing.loop,
            f"{first[timing.loop]:.1f}",
            f"{later[timing.loop]:.1f}",
            timing.score,
        )
    ratio_first = first[ours.loop] / first[theirs.loop]
    ratio_later = later[ours.loop] / later[theirs.loop]
    rows.add_row(case, "ratio", f"{ratio_first:.2f}", f"{ratio_later:.2f}", "")
