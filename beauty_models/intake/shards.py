"""Many small pictures in few files: Arrow IPC shards that are mapped, not read."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

SHARD_BYTES = 256_000_000
BATCH_BYTES = 8_000_000  # of one record batch inside a shard
SCHEMA = pa.schema([("key", pa.string()), ("jpeg", pa.large_binary())])

View = Callable[[Image.Image, int], Image.Image]
"""(RGB picture, its position in the batch) → the square picture a network sees."""


def write(folder: Path, part: str, pictures: Iterable[tuple[str, bytes]]) -> None:
    """Write (key, JPEG) pairs, each key once, to ``<part>.images-00000.arrow``, ``-00001`` and so on; one file at least."""
    seen: set[str] = set()
    rows: list[tuple[str, bytes]] = []
    number = size = 0
    sink = pa.ipc.new_file(folder / f"{part}.images-{number:05}.arrow", SCHEMA)
    for key, jpeg in pictures:
        if key in seen:
            continue
        seen.add(key)
        rows.append((key, jpeg))
        size += len(jpeg)
        if sum(len(kept) for _, kept in rows) >= BATCH_BYTES:
            _flush(sink, rows)
        if size >= SHARD_BYTES:
            _flush(sink, rows)
            sink.close()
            number, size = number + 1, 0
            sink = pa.ipc.new_file(folder / f"{part}.images-{number:05}.arrow", SCHEMA)
    _flush(sink, rows)
    sink.close()


def _flush(sink: pa.RecordBatchWriter, rows: list[tuple[str, bytes]]) -> None:
    if rows:
        columns = [
            pa.array([key for key, _ in rows], pa.string()),
            pa.array([jpeg for _, jpeg in rows], pa.large_binary()),
        ]
        sink.write(pa.record_batch(columns, schema=SCHEMA))
        rows.clear()


class Pictures:
    """The pictures of some parts of a data folder, by key; a picture is read from the disk when it is asked for."""

    def __init__(self, folder: Path, *parts: str) -> None:
        self._place: dict[str, tuple[pa.LargeBinaryArray, int]] = {}
        for file in sorted(
            file for part in parts for file in folder.glob(f"{part}.images-*.arrow")
        ):
            reader = pa.ipc.open_file(pa.memory_map(str(file)))
            for batch in (reader.get_batch(i) for i in range(reader.num_record_batches)):
                self._place |= {
                    key: (batch.column(1), row)
                    for row, key in enumerate(batch.column(0).to_pylist())
                }

    def __contains__(self, key: str) -> bool:
        return key in self._place

    def __len__(self) -> int:
        return len(self._place)

    def jpeg(self, key: str) -> bytes:
        """Return the encoded picture."""
        column, row = self._place[key]
        return bytes(column[row].as_buffer())

    def image(self, key: str) -> Image.Image:
        """Return the picture, RGB."""
        return Image.open(io.BytesIO(self.jpeg(key)), formats=("JPEG",)).convert("RGB")

    def tensor(self, keys: Sequence[str], size: int, view: View) -> torch.Tensor:
        """Return ``view`` of each picture as uint8 [n, 3, size, size]; threads decode them side by side."""
        found = np.empty((len(keys), size, size, 3), np.uint8)

        def put(position: int) -> None:
            found[position] = np.asarray(view(self.image(keys[position]), position))

        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            list(pool.map(put, range(len(keys))))
        return torch.from_numpy(found).permute(0, 3, 1, 2)
