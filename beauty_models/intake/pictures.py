"""What every ingest of pictures does with them: decode them, and write those of each part."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from beauty_models.intake import crops, images, shards
from beauty_models.intake.images import BadImageError, Files, ImageSizeError, PerceptualHash
from beauty_models.params import Pictures
from beauty_models.progress import bar

ALL = "all"  # the part that holds every picture until it is known which goes where


class Decoded(NamedTuple):
    """The pictures of `decode`."""

    keys: dict[Path, str]
    hashes: dict[str, PerceptualHash]  # by key
    faults: dict[Path, str]  # what is wrong with a picture that could not be used


def decode(files: Files, paths: Sequence[Path], folder: Path, rules: Pictures) -> Decoded:
    """Open the pictures ``paths`` and write them, as ``rules`` say, to ``folder`` as `ALL`.

    A path may name a part of a picture (`crops.named`).
    """
    decoded = Decoded({}, {}, {})

    def read(path: Path) -> tuple[bytes, PerceptualHash] | str:
        """Return a picture and its hash, or what is wrong with it."""
        try:
            file, box = crops.parsed(path)
            return images.normalized(files.read(file), rules, box)
        except ImageSizeError as error:
            return f"{error} (ingest.pictures.{error.limit})"
        except BadImageError as error:
            return str(error)

    def usable() -> Iterator[tuple[str, bytes]]:
        """Yield key and JPEG of each picture that can be used, and note the others' faults."""
        # Threads are enough: Pillow and numpy let go of the interpreter lock while they work.
        with (
            ThreadPoolExecutor(os.cpu_count()) as pool,
            bar("ingest: pictures", len(paths)) as progress,
        ):
            for path, outcome in zip(paths, pool.map(read, paths), strict=True):
                progress.advance(note=path.name)
                if isinstance(outcome, str):
                    decoded.faults[path] = outcome
                    continue
                jpeg, perceptual_hash = outcome
                key = images.content_key(jpeg)
                decoded.keys[path] = key
                decoded.hashes[key] = perceptual_hash
                yield key, jpeg

    shards.write(folder, ALL, usable())
    return decoded


def write_parts(folder: Path, parts: Mapping[str, Sequence[str]]) -> None:
    """Write the pictures of each part, given by their keys, to its shards, in place of `ALL`."""
    pictures = shards.Pictures(folder, ALL)
    for part, keys in parts.items():
        shards.write(folder, part, ((key, pictures.jpeg(key)) for key in keys))
    for file in folder.glob(f"{ALL}.images-*.arrow"):
        file.unlink()
