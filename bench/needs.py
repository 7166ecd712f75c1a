"""What a benchmark needs before it begins: said in one line, with the command that makes it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path


def ingested(folder: Path, family: str, parts: Sequence[str]) -> None:
    """End the program with one line unless ``folder`` holds the tables ``parts`` of ``family``."""
    missing = [part for part in parts if not (folder / f"{part}.parquet").is_file()]
    if missing:
        sys.exit(
            f"error: {folder / missing[0]}.parquet is missing; `beauty retrain {family}` makes"
            f" build/{family}/data, or give another ingested folder with --data"
        )
