"""One picture file → what is kept of it, or why it is not: what a process of `parallel` runs.

It stands alone because a process imports what it runs: with torch, which shards need, that would
be 470 MB and five seconds more for each.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from beauty_models.intake import crops, images
from beauty_models.intake.images import BadImageError, ImageSizeError, PerceptualHash
from beauty_models.params import Pictures

LOST = (
    "the process that opened it died, alone with it and more than once: its content brings a "
    "decoder down, or there is too little memory for it"
)


class Opened(NamedTuple):
    """A picture as it is kept."""

    key: str
    jpeg: bytes
    hash: PerceptualHash


def open_file(rules: Pictures, path: Path) -> Opened | str:
    """Return the picture at ``path`` as ``rules`` want it, or what is wrong with it.

    The path may name a part of a picture (`crops.named`).
    """
    try:
        file, box = crops.parsed(path)
        jpeg, perceptual_hash = images.normalized(images.read_file(file), rules, box)
    except ImageSizeError as error:
        return f"{error} (ingest.pictures.{error.limit})"
    except BadImageError as error:
        return str(error)
    return Opened(images.content_key(jpeg), jpeg, perceptual_hash)
