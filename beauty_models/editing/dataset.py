"""A split of product photos as `ingest` wrote it: pictures, masks and products in memory."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from beauty_models.intake import shards

COLUMNS = ["key", "mask", "mask_from", "product", "path"]
"""Columns of a split's Parquet file.

``key`` names the square picture in the shards of the split, ``mask`` is the product's alpha matte
at the same size as a PNG, ``mask_from`` is one of `MASKS_FROM`, ``product`` what no two splits
share, ``path`` the file as it was delivered.
"""

MASKS_FROM = ("given", "found", "none")
"""Where a mask comes from: it was delivered, `cutout` found it, or there is none (it is black)."""


@dataclass
class Photos:
    """Square photos of one size, in memory: 64-pixel ones take 16 kB each."""

    images: NDArray[np.uint8]  # sRGB [n, side, side, 3]
    masks: NDArray[np.uint8]  # alpha of the product [n, side, side]; all 0 where it is not known
    mask_from: list[str]  # of `MASKS_FROM` [n]
    products: list[str]  # no product is in two splits [n]
    keys: list[str]  # of the pictures in the shards [n]
    paths: list[str]  # as they were delivered [n]

    def __len__(self) -> int:
        return len(self.products)

    @staticmethod
    def load(folder: Path, split: str, side: int) -> Photos:
        """Return the photos of ``split`` (train, validation, test) at ``side`` pixels a side."""
        frame = pd.read_parquet(folder / f"{split}.parquet", columns=COLUMNS)
        keys = frame["key"].tolist()
        pictures = shards.Pictures(folder, split)
        images = pictures.tensor(keys, side, lambda image, _: _resized(image, side))
        masks = np.zeros((len(frame), side, side), np.uint8)
        for row, png in enumerate(frame["mask"]):
            mask = Image.open(io.BytesIO(png), formats=("PNG",))
            masks[row] = np.asarray(_resized(mask, side))
        return Photos(
            np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy()),
            masks,
            frame["mask_from"].tolist(),
            frame["product"].tolist(),
            keys,
            frame["path"].tolist(),
        )


def _resized(image: Image.Image, side: int) -> Image.Image:
    # Pillow's filters widen with the scale, so that shrinking does not alias.
    return image.resize((side, side), Image.Resampling.LANCZOS)
