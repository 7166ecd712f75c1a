"""What every ingest of pictures does with them: decodes them, and shares them out to the parts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from beauty_models.intake import images, shards
from beauty_models.intake.images import BadImageError, Files, ImageSizeError, Look
from beauty_models.progress import bar

ALL = "all"  # the part that holds every picture until it is known which goes where


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
        except ImageSizeError as error:
            return f"{error} (ingest.pictures.{error.limit})"
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
