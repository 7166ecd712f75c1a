"""What every ingest owes a delivery: a split that stays as it is, bad rows and pictures with their reasons, what it says of itself."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from beauty_models.common import images, tables
from beauty_models.common.files import new_file, read_json
from beauty_models.common.progress import bar

ABOUT = ("manifest.json", "LICENSE.json")  # files about the data; the earlier one knows better
AT_ONCE, THREADS = 256, 8  # pictures opened side by side; the decoders let go of the interpreter
REJECTED = pa.schema([("file", pa.string()), ("row", pa.int64()), ("reason", pa.string()), ("text", pa.string())])


def part(group: str, validation: float, test: float, seed: int) -> str:
    """Return test, validation or train for ``group``, whatever else is delivered: its salted hash as a share of 1."""
    place = int(hashlib.sha256(f"{seed}:{group}".encode()).hexdigest()[:13], 16) / 16**13
    return "test" if place < test else "validation" if place < test + validation else "train"


def check_shares(shares: dict[str, float]) -> None:
    """Refuse shares of a split that do not add up to 1.

    Raises:
        ValueError: they do not.
    """
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError(f"split: the shares {shares} add up to {sum(shares.values()):g}; they must add up to 1")


def rejected(rows: pd.DataFrame) -> pa.Table:
    """Return the rows that have a reason as a table of `REJECTED`, in the order of files and rows, long texts cut."""
    bad = rows[rows["reason"] != ""].sort_values(["file", "row"])
    return pa.table({"file": bad["file"].tolist(), "row": bad["row"].tolist(), "reason": bad["reason"].tolist(),
                     "text": bad["text"].str[: tables.EXCERPT].tolist()}, schema=REJECTED)


def check_rejected(rows: pd.DataFrame, data: Path, limit: float) -> None:
    """Fail when more than the share ``limit`` of ``rows`` has a reason, and leave those rows beside ``data``.

    Raises:
        ValueError: there are too many; the message has the five most frequent reasons and where each comes up first.
    """
    left = data.with_name(f"{data.name}.rejected.parquet")
    left.unlink(missing_ok=True)
    table = rejected(rows)
    if len(table) <= limit * len(rows):
        return
    with new_file(left) as temporary:
        pq.write_table(table, temporary)
    lines = [f"{len(table) / len(rows):.0%} of the rows are rejected, ingest.max_rejected allows {limit:.0%}; all of them are in {left}"]
    reasons = table["reason"].to_pylist()
    for reason, count in Counter(reasons).most_common(5):
        first = reasons.index(reason)
        lines.append(f"  {count} times: {reason} (first in {table['file'][first]}, row {table['row'][first]})")
    raise ValueError("\n".join(lines))


def about(raw: Path) -> dict[str, Any]:
    """Return license, commercial_use and source as the delivery states them; "" and None where it does not."""
    stated: dict[str, Any] = next((read_json(raw / name) for name in ABOUT if (raw / name).exists()), {})
    return {"license": stated.get("license", ""), "commercial_use": stated.get("commercial_use"), "source": stated.get("source", "")}


def split_sha256(keys: Iterable[str], labels: Iterable[str]) -> str:
    """Return what identifies a frozen test split: the hash of its keys and labels in order."""
    content = "".join(f"{key} {label}\n" for key, label in zip(keys, labels, strict=True))
    return hashlib.sha256(content.encode()).hexdigest()


class Limits(Protocol):
    """Which pictures are taken, as a section of params.yaml says."""

    max_pixels: int
    min_side: int
    side: int


class Opened:
    """Pictures by their path below the raw folder, opened once: their keys and looks, or what is wrong; their JPEG files lie in ``spool``."""

    def __init__(self, spool: IO[bytes], files: images.Files, references: Iterable[str], limits: Limits) -> None:
        self._spool, self._place = spool, dict[str, tuple[int, int]]()
        self.keys, self.faults, self.looks = dict[str, str](), dict[str, str](), dict[str, images.Look]()
        named = sorted(references)

        def take(reference: str) -> tuple[bytes, images.Look] | str:
            try:
                picture = images.shrink(images.open_image(files.read(files.raw / reference), limits.max_pixels, limits.min_side), limits.side)
            except images.BadImageError as error:
                return str(error)
            return images.encode(picture), images.look(picture)

        with ThreadPoolExecutor(THREADS) as pool, bar("ingest: pictures", len(named)) as progress:
            for start in range(0, len(named), AT_ONCE):
                some = named[start : start + AT_ONCE]
                for reference, found in zip(some, pool.map(take, some), strict=True):
                    self._keep(reference, found)
                progress.advance(len(some))

    def _keep(self, reference: str, found: tuple[bytes, images.Look] | str) -> None:
        if isinstance(found, str):
            self.faults[reference] = found
            return
        key = self.keys[reference] = images.name(found[0])
        if key not in self._place:
            self.looks[key] = found[1]
            self._place[key] = (self._spool.tell(), len(found[0]))
            self._spool.write(found[0])

    def jpeg(self, key: str) -> bytes:
        """Return the encoded picture."""
        start, length = self._place[key]
        self._spool.seek(start)
        return bytes(self._spool.read(length))
