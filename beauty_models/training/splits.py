"""The rows that a training learns from, and those that it is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

Row = TypeVar("Row")


def read_split(data: Path, split: str, rows: str) -> pd.DataFrame:
    """Return the table of ``split`` (train, validation) in ``data``.

    ``rows`` is what the message of an empty one asks for more of, such as "labelled reviews".

    Raises:
        ValueError: the split has no rows.
    """
    file = data / f"{split}.parquet"
    frame = pd.read_parquet(file)
    if frame.empty:
        raise ValueError(f"{file}: no rows; deliver more {rows} or enlarge ingest.split.{split}")
    return frame


def hold_out(rows: Sequence[Row], share: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Return ``rows`` shuffled, cut into those to learn from and those held out.

    ``share`` of them is held out, one at least.
    """
    order = np.random.default_rng(seed).permutation(len(rows))
    shuffled = [rows[i] for i in order]
    count = max(1, round(len(rows) * share))
    return shuffled[count:], shuffled[:count]
