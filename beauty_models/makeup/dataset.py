"""A split of faces as `ingest` wrote it: aligned pictures, label maps and results, as tensors."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

from beauty_models.intake import shards

COLUMNS = ["key", "regions", "person", "made_up", "skin_tone", "path"]
"""Columns of a split's Parquet file.

``key`` names the aligned picture in the shards of the split, ``regions`` is its label map as a PNG,
``person`` whoever it shows, ``made_up`` whether it wears make-up, ``skin_tone`` the individual
typology angle in degrees (Chardon et al. 1991), ``path`` the file as it was delivered.
"""

TRANSFERS = "transfers.parquet"
"""Results that are known, of all parts: columns ``part``, and of keys ``bare`` and ``reference``
(faces of the part), ``worn`` (the reference with the look: the same key, or a picture in the shards
`RESULTS` where it was rendered) and ``result`` (a picture in them)."""
RESULTS = "results"


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
        made_up = self.frame["made_up"].to_numpy(bool)
        positions = np.flatnonzero(~made_up)
        return torch.from_numpy(positions)

    @property
    def made_up(self) -> torch.Tensor:
        """Positions of faces with make-up."""
        made_up = self.frame["made_up"].to_numpy(bool)
        positions = np.flatnonzero(made_up)
        return torch.from_numpy(positions)


@dataclass
class Results:
    """What bare faces of a part look like with somebody else's make-up: the right answers."""

    bare: NDArray[np.int64]  # positions in the `Faces` of the part [n]
    reference: NDArray[np.int64]  # who shows the look [n]
    worn: torch.Tensor  # the reference with the look, uint8 [n, 3, side, side]
    rendered: NDArray[np.bool_]  # whether the look was rendered, on both faces [n]
    images: torch.Tensor  # uint8 [n, 3, side, side], aligned as the bare faces are

    def __len__(self) -> int:
        return len(self.bare)


def _resized_label_map(png: bytes, size: int) -> NDArray[np.uint8]:
    image = Image.open(io.BytesIO(png), formats=("PNG",))
    # Numbers of regions have no mean.
    resized = image.resize((size, size), Image.Resampling.NEAREST)
    return np.asarray(resized, np.uint8)


def _resized(image: Image.Image, size: int) -> Image.Image:
    return image.resize((size, size), Image.Resampling.LANCZOS)


def read_faces(data: Path, part: str, size: int) -> Faces:
    """Return the faces of ``part`` of the folder ``data`` at ``size`` pixels a side."""
    frame = pd.read_parquet(data / f"{part}.parquet", columns=COLUMNS)
    pictures = shards.Pictures(data, part)
    keys = frame["key"].tolist()
    images = pictures.tensor(keys, size, lambda image, _: _resized(image, size))
    maps = [_resized_label_map(png, size) for png in frame["regions"]]
    empty = np.zeros((0, size, size), np.uint8)
    regions = torch.from_numpy(np.stack(maps) if maps else empty)
    return Faces(frame.drop(columns="regions"), images, regions)


def read_results(data: Path, part: str, faces: Faces) -> Results:
    """Return the known results of ``part``, whose ``faces`` `read_faces` returned."""
    rows = pd.read_parquet(data / TRANSFERS)
    rows = rows[rows["part"] == part]
    keys = faces.frame["key"]
    positions = {key: position for position, key in enumerate(keys)}
    size = faces.images.shape[-1]
    pictures = shards.Pictures(data, RESULTS, part)

    def read(column: str) -> torch.Tensor:
        keys = rows[column].tolist()
        return pictures.tensor(keys, size, lambda image, _: _resized(image, size))

    # Copies: torch warns of arrays that pandas does not let it write to.
    bare = rows["bare"].map(positions).to_numpy(np.int64, copy=True)
    reference = rows["reference"].map(positions).to_numpy(np.int64, copy=True)
    # A delivered reference is the face itself; a rendered one is a picture of its own.
    rendered = (rows["worn"] != rows["reference"]).to_numpy(bool)
    return Results(bare, reference, read("worn"), rendered, read("result"))


def normalized(images: torch.Tensor) -> torch.Tensor:
    """Return uint8 pictures as networks see them, float -1 to 1."""
    return images.float() / 127.5 - 1


def as_bytes(pictures: torch.Tensor) -> torch.Tensor:
    """Return what `normalized` was given, clipped and rounded."""
    levels = (pictures + 1) * 127.5
    return levels.round().clamp(0, 255).to(torch.uint8)
