"""Many small pictures in few files: Arrow IPC shards that are mapped, not read, and the views that training takes of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from PIL import Image, ImageEnhance, ImageOps

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


def whole(size: int) -> View:
    """Return the view that cuts nothing off: the longer side becomes ``size``, the rest is filled with the border's colour."""

    def view(image: Image.Image, position: int) -> Image.Image:
        edge = np.asarray(image)
        border = np.concatenate([edge[0], edge[-1], edge[:, 0], edge[:, -1]])
        colour = tuple(int(value) for value in np.median(border, axis=0))
        fitted = ImageOps.contain(image, (size, size), Image.Resampling.BICUBIC)
        square = Image.new("RGB", (size, size), colour)
        square.paste(fitted, ((size - fitted.width) // 2, (size - fitted.height) // 2))
        return square

    return view


def centre(size: int) -> View:
    """Return the view of the middle: the shorter side becomes ``size``, what stands out is cut off."""

    def view(image: Image.Image, position: int) -> Image.Image:
        return ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)

    return view


def augmented(
    size: int,
    seed: int,
    step: int,
    *,
    scale: tuple[float, float],
    colour: float,
    erase: float = 0.0,
) -> View:
    """Return a random view: crop, mirror, turn, light; what it draws depends on (seed, step, position) alone.

    The crop has a share within ``scale`` of the area and an aspect ratio from 3:4 to 4:3 (Szegedy et al. 2015); brightness,
    contrast and saturation change by up to ±``colour``, the hue never: a red dress stays red. With probability ``erase`` a
    rectangle is blanked (Zhong et al. 2020).
    """

    def view(image: Image.Image, position: int) -> Image.Image:
        random = np.random.default_rng((seed, step, position))
        if random.random() < 0.5:
            image = ImageOps.mirror(image)
        image = _crop(image, size, scale, random)
        image = image.rotate(
            float(random.uniform(-12, 12)),
            Image.Resampling.BILINEAR,
            fillcolor=image.getpixel((0, 0)),
        )
        for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            image = enhance(image).enhance(float(random.uniform(1 - colour, 1 + colour)))
        return _erased(image, random) if random.random() < erase else image

    return view


def dyed(seed: int, step: int, share: float) -> View:
    """Return the view that turns a picture's hue by a random angle and strengthens or weakens it, for ``share`` of the pictures.

    What it draws depends on (seed, step, position) alone; the picture keeps its size, its lights and shadows.
    """

    def view(image: Image.Image, position: int) -> Image.Image:
        random = np.random.default_rng((seed, step, position, 1))
        if random.random() >= share:
            return image
        hue, saturation, value = image.convert("HSV").split()
        turn, strength = int(random.integers(256)), float(random.uniform(0.3, 2.0))
        hue = hue.point([(level + turn) % 256 for level in range(256)])
        saturation = saturation.point([min(255, int(level * strength)) for level in range(256)])
        return Image.merge("HSV", (hue, saturation, value)).convert("RGB")

    return view


def _crop(
    image: Image.Image, size: int, scale: tuple[float, float], random: np.random.Generator
) -> Image.Image:
    area, ratio = (
        image.width * image.height * random.uniform(*scale),
        np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3))),
    )
    width, height = (
        min(image.width, round(np.sqrt(area * ratio))),
        min(image.height, round(np.sqrt(area / ratio))),
    )
    left, top = (
        int(random.integers(0, room + 1)) for room in (image.width - width, image.height - height)
    )
    box = (left, top, left + max(1, width), top + max(1, height))
    return image.resize((size, size), Image.Resampling.BICUBIC, box=box)


def _erased(image: Image.Image, random: np.random.Generator) -> Image.Image:
    width, height = (int(side * random.uniform(0.15, 0.5)) for side in image.size)
    left, top = (
        int(random.integers(0, room + 1)) for room in (image.width - width, image.height - height)
    )
    image.paste(
        tuple(int(value) for value in random.integers(0, 256, 3)),
        (left, top, left + width, top + height),
    )
    return image
