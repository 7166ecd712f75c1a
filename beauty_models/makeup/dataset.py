"""A split of faces as `ingest` wrote it: aligned pictures and their label maps, as tensors."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from beauty_models.intake import shards

COLUMNS = ["key", "regions", "person", "made_up", "skin_tone", "path"]
"""Columns of a split's Parquet file.

``key`` names the aligned picture in the shards of the split, ``regions`` is its label map as a PNG,
``person`` whoever it shows, ``made_up`` whether it wears make-up, ``skin_tone`` the individual
typology angle in degrees (Chardon et al. 1991), ``path`` the file as it was delivered.
"""


@dataclass
class Faces:
    """Faces of one size, in memory: 64-pixel ones take 16 kB each."""

    frame: pd.DataFrame  # the `COLUMNS` but `regions`; its index is the position below
    images: torch.Tensor  # uint8 [n, 3, side, side]
    regions: torch.Tensor  # uint8 [n, side, side], numbers of `Region`

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def bare(self) -> torch.Tensor:
        """Positions of faces without make-up."""
        return torch.from_numpy((~self.frame["made_up"].to_numpy(bool)).nonzero()[0])

    @property
    def made_up(self) -> torch.Tensor:
        """Positions of faces with make-up."""
        return torch.from_numpy(self.frame["made_up"].to_numpy(bool).nonzero()[0])


def label_map_png(regions: np.ndarray) -> bytes:
    """Return a label map, uint8 [side, side], as PNG: lossless, about 1 kB."""
    stream = io.BytesIO()
    Image.fromarray(regions, "L").save(stream, "PNG")
    return stream.getvalue()


def _label_map(png: bytes, size: int) -> np.ndarray:
    image = Image.open(io.BytesIO(png), formats=("PNG",))
    return np.asarray(image.resize((size, size), Image.Resampling.NEAREST), np.uint8)


def _resized(image: Image.Image, size: int) -> Image.Image:
    return image.resize((size, size), Image.Resampling.LANCZOS)


def read_faces(data: Path, part: str, size: int) -> Faces:
    """Return the faces of ``part`` of the folder ``data`` at ``size`` pixels a side."""
    frame = pd.read_parquet(data / f"{part}.parquet", columns=COLUMNS)
    pictures = shards.Pictures(data, part)
    images = pictures.tensor(frame["key"].tolist(), size, lambda image, _: _resized(image, size))
    maps = [_label_map(png, size) for png in frame["regions"]]
    empty = np.zeros((0, size, size), np.uint8)
    regions = torch.from_numpy(np.stack(maps) if maps else empty)
    return Faces(frame.drop(columns="regions"), images, regions)


def normalized(images: torch.Tensor) -> torch.Tensor:
    """Return uint8 pictures as networks see them, float -1 to 1."""
    return images.float() / 127.5 - 1


def as_bytes(pictures: torch.Tensor) -> torch.Tensor:
    """Return what `normalized` was given, clipped and rounded."""
    return ((pictures + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
