"""The catalogue that is evaluated, as tables of items, texts and products, and its photos.

An item is one photo of one product. Texts are shared: a caption that several items have is one row,
and all of them are right answers to it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import csr_matrix
from sklearn.preprocessing import normalize

from beauty_models.intake.shards import Pictures
from beauty_models.training.augmentation import random_augmentation

PARTS = ("train", "validation", "test")
DISTORTED_SIDE = 256  # pixels of a distorted photo
DISTORTED_CROP = (0.2, 0.5)  # share of the area that is left
DISTORTED_LIGHT = 0.4  # how much brightness, contrast and saturation change
DISTORTED_VIEWS = 4  # distorted photos of each item

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Feature = Callable[[Pictures, Sequence[str]], Floats]
"""(pictures, keys) → features [keys, width]."""


class DistortedPictures(Pictures):
    """The pictures as a shopper might photograph them: a part, turned, mirrored, in other light.

    ``KEY#3`` is the third of KEY.
    """

    def __init__(self, folder: Path, *parts: str, seed: int) -> None:
        super().__init__(folder, *parts)
        # harder than training's crops (half of the area at least)
        self._view = random_augmentation(
            DISTORTED_SIDE, seed, 0, crop_scale=DISTORTED_CROP, color_jitter=DISTORTED_LIGHT
        )

    def image(self, key: str) -> Image.Image:
        """Return the distorted picture, RGB."""
        clean = super().image(key.partition("#")[0])
        # seeded by the key: the same distortion for every method and in every run
        return self._view(clean, zlib.crc32(key.encode()))


def _means(
    rows: Rows,
    columns: Rows,
    shape: tuple[int, int],
) -> csr_matrix:
    """Return the matrix whose row i averages the columns that stand beside i."""
    counts = csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
    return normalize(counts, norm="l1")


@dataclass(frozen=True)
class Catalog:
    """All items of a data folder and what they are called.

    Attributes:
        items: [items] key, product, name, category, color, image, part and so on.
        texts: [texts] distinct captions and search queries.
        captions: item, text (rows), kind, language: one row per caption of an item.
        queries: text (row), language, product, color: what people searched, one row per product
            that it should find.
        products: [products] in the order of the items.
    """

    items: pd.DataFrame
    texts: list[str]
    captions: pd.DataFrame
    queries: pd.DataFrame
    products: list[str]
    folder: Path

    def rows(self, *parts: str) -> Rows:
        """Return the rows of the items of ``parts``."""
        return np.flatnonzero(self.items["part"].isin(parts))

    def caption_rows(self, *parts: str) -> Rows:
        """Return the rows of the distinct captions of ``parts``."""
        of_parts = self.captions["item"].isin(self.rows(*parts))
        return np.unique(self.captions["text"][of_parts].to_numpy(np.int64))

    def mean_of_captions(self) -> csr_matrix:
        """Return the matrix [items, texts] that takes the mean over the captions of each item."""
        shape = (len(self.items), len(self.texts))
        return _means(self.captions["item"].to_numpy(), self.captions["text"].to_numpy(), shape)

    def mean_of_items(self) -> csr_matrix:
        """Return the matrix [products, items] that takes the mean over each product's items."""
        product = pd.Index(self.products).get_indexer(pd.Index(self.items["product"]))
        return _means(product, np.arange(len(product)), (len(self.products), len(product)))


class Photos:
    """The catalogue's photos, clean and distorted."""

    def __init__(self, catalog: Catalog, seed: int) -> None:
        self.clean = Pictures(catalog.folder, *PARTS)
        self.distorted = DistortedPictures(catalog.folder, *PARTS, seed=seed)
        self.keys = catalog.items["image"].tolist()
        self.distorted_keys = []
        for row in catalog.rows("test"):
            for view in range(DISTORTED_VIEWS):
                self.distorted_keys.append(f"{self.keys[row]}#{view}")

    def features(self, feature: Feature) -> tuple[Floats, Floats]:
        """Return the ``feature`` [photos, width] of all clean photos, and of the distorted ones.

        Only the test part has distorted ones.
        """
        return feature(self.clean, self.keys), feature(self.distorted, self.distorted_keys)


def _caption_table(items: pd.DataFrame) -> pd.DataFrame:
    """Return item (row), kind, language and text of every caption."""
    captions = items["captions"].explode().dropna()
    table = pd.DataFrame(captions.tolist(), columns=["kind", "language", "text"])
    table.insert(0, "item", captions.index)
    return table


def _query_table(data: Path) -> pd.DataFrame:
    """Return text, language, product and color of what people searched."""
    file = data / "test.queries.parquet"
    if not file.exists():
        return pd.DataFrame(columns=["text", "language", "product", "color"])
    return pd.read_parquet(file).rename(columns={"query": "text"})


def read(data: Path) -> Catalog:
    """Return the catalogue in the data folder of ingest.

    Raises:
        ValueError: there is nothing to test on.
    """
    # all parts: lists of products are found in the whole catalogue
    frames = [pd.read_parquet(data / f"{part}.parquet").assign(part=part) for part in PARTS]
    if frames[-1].empty:
        raise ValueError(
            f"{data / 'test.parquet'}: no items to evaluate on; bring more products or raise "
            "ingest.split.test in params.yaml"
        )
    items = pd.concat(frames, ignore_index=True)
    captions = _caption_table(items)
    queries = _query_table(data)
    # one row for a text, whoever says it: a shared caption is embedded and asked once
    texts = list(dict.fromkeys([*captions["text"], *queries["text"]]))
    for table in (captions, queries):
        table["text"] = pd.Index(texts).get_indexer(pd.Index(table["text"]))
    products = list(dict.fromkeys(items["product"]))
    return Catalog(items, texts, captions, queries, products, data)
