"""Many small pictures in few files: Arrow IPC shards that are mapped, not read."""

from __future__ import annotations

import io
from array import array
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

SHARD_BYTES = 256_000_000
BATCH_BYTES = 8_000_000  # of one record batch inside a shard
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("jpeg", pa.large_binary()),
    ]
)

_JPEGS = 2  # where the content of a column of binaries stands among its buffers

View = Callable[[Image.Image, int], Image.Image]
"""(RGB picture, its position in the batch) → the square picture a network sees."""


def write(folder: Path, part: str, pictures: Iterable[tuple[str, bytes]]) -> None:
    """Write (key, JPEG) pairs, each key once, to shards of ``part``; one file at least.

    The files are ``<part>.images-00000.arrow``, ``-00001`` and so on. ``pictures`` may be a
    generator: no more than `BATCH_BYTES` of it are held.
    """
    seen: set[str] = set()
    batch: list[tuple[str, bytes]] = []
    batch_bytes = 0
    shard_bytes = 0
    number = 0
    shard = _new_shard(folder, part, number)
    for key, jpeg in pictures:
        if key in seen:
            continue
        seen.add(key)
        batch.append((key, jpeg))
        batch_bytes += len(jpeg)
        shard_bytes += len(jpeg)
        if batch_bytes >= BATCH_BYTES or shard_bytes >= SHARD_BYTES:
            _flush(shard, batch)
            batch_bytes = 0
        if shard_bytes >= SHARD_BYTES:
            shard.close()
            number += 1
            shard_bytes = 0
            shard = _new_shard(folder, part, number)
    _flush(shard, batch)
    shard.close()


def _new_shard(folder: Path, part: str, number: int) -> pa.RecordBatchWriter:
    file = folder / f"{part}.images-{number:05}.arrow"
    return pa.ipc.new_file(file, SCHEMA)


def _flush(shard: pa.RecordBatchWriter, batch: list[tuple[str, bytes]]) -> None:
    """Write ``batch`` as one record batch, if there is anything in it, and empty it."""
    if not batch:
        return
    keys = pa.array([key for key, _ in batch], pa.string())
    jpegs = pa.array([jpeg for _, jpeg in batch], pa.large_binary())
    shard.write(pa.record_batch([keys, jpegs], schema=SCHEMA))
    batch.clear()


class Places:
    """Where the pictures of a part lie on the disk, by key; 230 bytes are held of each.

    Unlike those of `Pictures` they are read without mapping the files. What is read of a mapping
    counts as memory of this process, up to all of it.
    """

    def __init__(self, folder: Path, part: str) -> None:
        self._position: dict[str, int] = {}
        self._shard = array("H")
        self._offset = array("Q")
        self._length = array("Q")
        self._open: list[BinaryIO] = []
        for file in sorted(folder.glob(f"{part}.images-*.arrow")):
            self._open.append(file.open("rb"))
            self._note(file)

    def _note(self, file: Path) -> None:
        """Note where each picture of a shard lies."""
        with pa.memory_map(str(file)) as mapped:
            beginning = mapped.read_buffer(1).address
            reader = pa.ipc.open_file(mapped)
            for number in range(reader.num_record_batches):
                keys, jpegs = reader.get_batch(number).columns
                content = jpegs.buffers()[_JPEGS].address - beginning
                ends = np.frombuffer(jpegs.buffers()[1], np.int64, len(jpegs) + 1)
                for row, key in enumerate(keys.to_pylist()):
                    self._position[key] = len(self._offset)
                    self._shard.append(len(self._open) - 1)
                    self._offset.append(content + int(ends[row]))
                    self._length.append(int(ends[row + 1] - ends[row]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for file in self._open:
            file.close()

    def jpeg(self, key: str) -> bytes:
        """Return the encoded picture."""
        position = self._position[key]
        file = self._open[self._shard[position]]
        file.seek(self._offset[position])
        return file.read(self._length[position])


class Pictures:
    """The pictures of some parts of a data folder, by key.

    A picture is read from the disk when it is asked for.
    """

    def __init__(self, folder: Path, *parts: str) -> None:
        self._place: dict[str, tuple[pa.LargeBinaryArray, int]] = {}
        shards: list[Path] = []
        for part in parts:
            shards.extend(folder.glob(f"{part}.images-*.arrow"))
        for file in sorted(shards):
            # Mapped: only the keys are read now, and the arrays keep the mapping alive.
            mapped = pa.memory_map(str(file))
            reader = pa.ipc.open_file(mapped)
            for number in range(reader.num_record_batches):
                keys, jpegs = reader.get_batch(number).columns
                for row, key in enumerate(keys.to_pylist()):
                    self._place[key] = (jpegs, row)

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
        stream = io.BytesIO(self.jpeg(key))
        return Image.open(stream, formats=("JPEG",)).convert("RGB")

    def tensor(self, keys: Sequence[str], size: int, view: View) -> torch.Tensor:
        """Return ``view`` of each picture, uint8 [n, 3, size, size], decoded in threads."""
        pixels = np.empty((len(keys), size, size, 3), np.uint8)

        def fill(position: int) -> None:
            picture = self.image(keys[position])
            pixels[position] = np.asarray(view(picture, position))

        # Pillow decodes outside the interpreter lock. Two worker processes of torch's DataLoader on
        # loose files were slower: 142 against 223 pictures/s (bench/loader.py).
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            # A list, because an iterator that nobody reads would swallow the errors of threads.
            list(pool.map(fill, range(len(keys))))
        return torch.from_numpy(pixels).permute(0, 3, 1, 2)
