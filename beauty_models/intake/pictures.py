"""What every ingest of pictures does with them: decode them, and write those of each part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from beauty_models.intake import crops, parallel, shards
from beauty_models.intake.images import PerceptualHashes
from beauty_models.intake.opening import LOST, Opened, open_file
from beauty_models.params import Pictures
from beauty_models.progress import bar

ALL = "all"  # the part that holds every picture until it is known which goes where


class Decoded(NamedTuple):
    """The pictures of `decode`; what is held of each is some 700 bytes."""

    keys: dict[Path, str]
    hashes: PerceptualHashes  # by key
    faults: dict[Path, str]  # what is wrong with a picture that could not be used


def _file_of(path: Path) -> Path:
    file, _ = crops.parsed(path)
    return file


def decode(paths: Sequence[Path], folder: Path, rules: Pictures) -> Decoded:
    """Open the pictures ``paths`` and write them, as ``rules`` say, to ``folder`` as `ALL`.

    A path may name a part of a picture (`crops.named`). They are opened by the processes of
    `parallel`; the result does not depend on how many.
    """
    decoded = Decoded({}, PerceptualHashes(), {})
    opened: Iterator[Opened | str] = parallel.outcomes(
        partial(open_file, rules), paths, _file_of, LOST
    )

    def usable() -> Iterator[tuple[str, bytes]]:
        """Yield key and JPEG of each picture that can be used, and note the others' faults."""
        with bar("ingest: pictures", len(paths)) as progress:
            for path, outcome in zip(paths, opened, strict=True):
                progress.advance(note=path.name)
                if isinstance(outcome, str):
                    decoded.faults[path] = outcome
                    continue
                decoded.keys[path] = outcome.key
                decoded.hashes.add(outcome.key, outcome.hash)
                yield outcome.key, outcome.jpeg

    shards.write(folder, ALL, usable())
    return decoded


def write_parts(folder: Path, parts: Mapping[str, Sequence[str]]) -> None:
    """Write the pictures of each part, given by their keys, to its shards, in place of `ALL`."""
    with shards.Places(folder, ALL) as pictures:
        for part, keys in parts.items():
            shards.write(folder, part, ((key, pictures.jpeg(key)) for key in keys))
    for file in folder.glob(f"{ALL}.images-*.arrow"):
        file.unlink()
