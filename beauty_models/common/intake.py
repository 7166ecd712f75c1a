"""What every ingest of pictures ends with: decoded pictures, a part for each group, rejected rows told and counted."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from beauty_models.common import images, shards, tables
from beauty_models.common.files import new_file, read_json
from beauty_models.common.images import BadImageError, Files, Look
from beauty_models.common.progress import bar

ABOUT = ("manifest.json", "LICENSE.json")  # files about the data; the earlier one knows better
ALL = "all"  # the part that holds every picture until it is known which goes where
_SCHEMA = pa.schema(
    [("file", pa.string()), ("row", pa.int64()), ("reason", pa.string()), ("text", pa.string())]
)


class Rejected(NamedTuple):
    """A row, or a picture file (row 0), that is not taken."""

    file: str
    row: int
    reason: str
    text: str


class Decoded(NamedTuple):
    """The pictures of `decode`."""

    keys: dict[Path, str]
    looks: dict[str, Look]  # by key
    faults: dict[Path, str]  # what is wrong with a picture that could not be used


def decode(
    files: Files, paths: Sequence[Path], folder: Path, *, max_pixels: int, min_side: int, side: int
) -> Decoded:
    """Open the pictures ``paths``, make their shorter sides ``side`` at most, and write them to ``folder`` as the part `ALL`."""
    found = Decoded({}, {}, {})

    def read(path: Path) -> tuple[bytes, Look] | str:
        try:
            image = images.shrink(images.open_image(files.read(path), max_pixels, min_side), side)
            return images.encode(image), images.look(image)
        except BadImageError as error:
            return str(error)

    def good() -> Iterator[tuple[str, bytes]]:
        with (
            ThreadPoolExecutor(os.cpu_count()) as pool,
            bar("ingest: pictures", len(paths)) as progress,
        ):
            for path, result in zip(paths, pool.map(read, paths), strict=True):
                progress.advance(note=path.name)
                if isinstance(result, str):
                    found.faults[path] = result
                    continue
                key = found.keys[path] = images.name(result[0])
                found.looks[key] = result[1]
                yield key, result[0]

    shards.write(folder, ALL, good())
    return found


def share_out(folder: Path, parts: Mapping[str, Sequence[str]]) -> None:
    """Write the pictures of each part, given by their keys, to shards of that part, in place of those of `ALL`."""
    pictures = shards.Pictures(folder, ALL)
    for part, keys in parts.items():
        shards.write(folder, part, ((key, pictures.jpeg(key)) for key in keys))
    for file in folder.glob(f"{ALL}.images-*.arrow"):
        file.unlink()


def rejected_table(rejected: Sequence[Rejected]) -> pa.Table:
    """Return the content of rejected.parquet."""
    rows = sorted(row._replace(text=row.text[: tables.EXCERPT]) for row in rejected)
    return pa.table(
        [list(column) for column in zip(*rows, strict=True)] or [[]] * len(_SCHEMA), schema=_SCHEMA
    )


def check_rejected(rejected: Sequence[Rejected], share: float, limit: float, data: Path) -> None:
    """Fail when the ``share`` of rejected rows is above ``limit``, and leave them beside ``data``.

    Raises:
        ValueError: it is; the most frequent reasons are told.
    """
    left = data.with_name(f"{data.name}.rejected.parquet")
    left.unlink(missing_ok=True)
    if share <= limit:
        return
    with new_file(left) as temporary:
        pq.write_table(rejected_table(rejected), temporary)
    lines = [
        f"{share:.0%} of the rows are rejected, ingest.max_rejected allows {limit:.0%}; all of them are in {left}"
    ]
    for reason, count in Counter(row.reason for row in rejected).most_common(5):
        first = min(row for row in rejected if row.reason == reason)
        lines.append(f"  {count} times: {reason} (first in {first.file}, row {first.row})")
    raise ValueError("\n".join(lines))


def about(raw: Path) -> dict[str, Any]:
    """Return the license, commercial_use and source of the files in ``raw``, as the files about them say."""
    stated: dict[str, Any] = next(
        (read_json(raw / name) for name in ABOUT if (raw / name).exists()), {}
    )
    return {
        "license": stated.get("license", ""),
        "commercial_use": stated.get("commercial_use"),
        "source": stated.get("source", ""),
    }
