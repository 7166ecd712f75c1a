"""What is asked of the model: the catalogue as tables of items, texts and products, and the tasks that its test part gives.

An item is one photo of one product. Texts are shared: a caption that several items have is one row, and all of them are
right answers to it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import csr_matrix
from sklearn.preprocessing import normalize

from beauty_models.intake.shards import Pictures
from beauty_models.recommend.model import recency_weights
from beauty_models.recommend.report.ranking import Task
from beauty_models.training.augmentation import random_augmentation

PARTS = ("train", "validation", "test")
PHOTO = 256  # pixels of a distorted photo
CROP, LIGHT = (
    (0.2, 0.5),
    0.4,
)  # share of the area that is left, and how much brightness, contrast and saturation change
VIEWS = 4  # distorted photos of each item
EXACT, OTHER_COLOUR = (
    2.0,
    1.0,
)  # what the same item and another colour of its product are worth to a photo

Rows = NDArray[np.int64]
Feature = Callable[[Pictures, Sequence[str]], NDArray[np.float32]]


class Distorted(Pictures):
    """The pictures as a shopper might photograph them: a part, turned, mirrored, in other light; ``KEY#3`` is the third of KEY."""

    def __init__(self, folder: Path, *parts: str, seed: int) -> None:
        super().__init__(folder, *parts)
        self._view = random_augmentation(PHOTO, seed, 0, crop_scale=CROP, color_jitter=LIGHT)

    def image(self, key: str) -> Image.Image:
        """Return the distorted picture, RGB."""
        return self._view(super().image(key.partition("#")[0]), zlib.crc32(key.encode()))


def _means(rows: Rows, columns: Rows, shape: tuple[int, int]) -> csr_matrix:
    """Return the matrix whose row i averages the columns that stand beside i."""
    counts = csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
    return normalize(counts, norm="l1")


@dataclass(frozen=True)
class Catalogue:
    """All items of a data folder and what they are called.

    Attributes:
        items: [items] key, product, name, category, color, image, part and so on.
        texts: [texts] distinct captions and search queries.
        captions: item, text (rows), kind, language: one row per caption of an item.
        queries: text (row), language, product, color: what people searched, one row per product that it should find.
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

    def told(self, *parts: str) -> Rows:
        """Return the rows of the distinct captions of ``parts``."""
        return np.unique(
            self.captions["text"][self.captions["item"].isin(self.rows(*parts))].to_numpy(np.int64)
        )

    def by_item(self) -> csr_matrix:
        """Return the matrix [items, texts] that takes the mean over the captions of each item."""
        return _means(
            self.captions["item"].to_numpy(),
            self.captions["text"].to_numpy(),
            (len(self.items), len(self.texts)),
        )

    def by_product(self) -> csr_matrix:
        """Return the matrix [products, items] that takes the mean over the items of each product."""
        rows = pd.Index(self.products).get_indexer(pd.Index(self.items["product"]))
        return _means(rows, np.arange(len(rows)), (len(self.products), len(rows)))


class Photos:
    """The catalogue's photos, clean and distorted."""

    def __init__(self, catalogue: Catalogue, seed: int) -> None:
        self.clean, self.distorted = (
            Pictures(catalogue.folder, *PARTS),
            Distorted(catalogue.folder, *PARTS, seed=seed),
        )
        self.keys = catalogue.items["image"].tolist()
        self.distorted_keys = [
            f"{self.keys[row]}#{view}" for row in catalogue.rows("test") for view in range(VIEWS)
        ]

    def each(self, feature: Feature) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the ``feature`` of all clean photos [items, width], and of the distorted ones of the test part."""
        return feature(self.clean, self.keys), feature(self.distorted, self.distorted_keys)


def _captions(items: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for row, captions in enumerate(items["captions"]):
        for one in () if captions is None else captions:
            yield {
                "item": row,
                "kind": one["kind"],
                "language": one["language"],
                "text": one["text"],
            }


def _optional(file: Path, columns: Sequence[str]) -> pd.DataFrame:
    return pd.read_parquet(file) if file.exists() else pd.DataFrame(columns=list(columns))


def read(data: Path) -> Catalogue:
    """Return the catalogue in the data folder of ingest.

    Raises:
        ValueError: there is nothing to test on.
    """
    frames = [pd.read_parquet(data / f"{part}.parquet").assign(part=part) for part in PARTS]
    if frames[-1].empty:
        raise ValueError(
            f"{data / 'test.parquet'}: no items to evaluate on; bring more products or raise ingest.split.test in params.yaml"
        )
    items = pd.concat(frames, ignore_index=True)
    captions = pd.DataFrame(_captions(items), columns=["item", "kind", "language", "text"])
    queries = _optional(
        data / "test.queries.parquet", ["query", "language", "product", "color"]
    ).rename(columns={"query": "text"})
    texts = list(dict.fromkeys([*captions["text"], *queries["text"]]))
    for table in (captions, queries):
        table["text"] = pd.Index(texts).get_indexer(pd.Index(table["text"]))
    return Catalogue(items, texts, captions, queries, list(dict.fromkeys(items["product"])), data)


def _relevance(
    shape: tuple[int, int], cells: Iterable[tuple[int, int]], worth: float = 1.0
) -> csr_matrix:
    """Return the matrix with ``worth`` at each of ``cells``, however often it is named."""
    distinct = np.array(sorted(set(cells)), np.int64).reshape(-1, 2)
    return csr_matrix(
        (np.full(len(distinct), worth), (distinct[:, 0], distinct[:, 1])), shape=shape
    )


def text_image(catalogue: Catalogue, part: str = "test") -> Task | None:
    """Return the task to find the items of each distinct caption, of any kind, among the items of ``part``."""
    gallery = catalogue.rows(part)
    told = catalogue.captions[catalogue.captions["item"].isin(gallery)]
    texts, query = np.unique(told["text"], return_inverse=True)
    if not len(texts):
        return None
    relevance = _relevance(
        (len(texts), len(gallery)),
        zip(query.tolist(), np.searchsorted(gallery, told["item"]).tolist(), strict=True),
    )
    about = told.drop_duplicates("text").sort_values("text").reset_index(drop=True)
    about["product"] = catalogue.items["product"].to_numpy()[about["item"]]
    about["category"] = catalogue.items["category"].to_numpy()[about["item"]]
    return Task("text_image", "text_image", texts, gallery, relevance, about)


def image_text(catalogue: Catalogue, part: str = "test") -> Task | None:
    """Return the task to find its own captions for each photo of ``part``, among all distinct captions of ``part``."""
    turned = text_image(catalogue, part)
    if turned is None:
        return None
    relevance = csr_matrix(turned.relevance.T)
    told = np.flatnonzero(np.diff(relevance.indptr))
    rows = turned.gallery[told]
    about = catalogue.items.iloc[rows][["product", "category"]].reset_index(drop=True)
    return Task("image_text", "image_text", rows, turned.queries, relevance[told], about)


def image_image(catalogue: Catalogue) -> Task:
    """Return the task to find a product by a distorted photo of one of its items, among the clean photos of the test part."""
    rows = catalogue.rows("test")
    about = catalogue.items.iloc[rows][["product", "category"]].reset_index(drop=True)
    same = pd.factorize(about["product"])[0]
    members = csr_matrix((np.ones(len(rows)), (range(len(rows)), same)))
    relevance = csr_matrix(members @ members.T) * OTHER_COLOUR
    relevance.setdiag(EXACT)
    relevance.sort_indices()
    asked = np.repeat(np.arange(len(rows)), VIEWS)
    return Task(
        "image_image",
        "image_image",
        np.arange(len(asked)),
        rows,
        relevance[asked],
        about.iloc[asked].reset_index(drop=True),
    )


def _listing(
    catalogue: Catalogue,
    name: str,
    given: list[dict[int, float]],
    wanted: list[set[int]],
    about: pd.DataFrame,
) -> Task | None:
    """Return the task to list the products ``wanted`` of each query, from the weights of the products that are ``given``."""
    if not given:
        return None
    shape = (len(given), len(catalogue.products))
    cells = [
        (row, column, weight)
        for row, weights in enumerate(given)
        for column, weight in sorted(weights.items())
    ]
    row, column, weight = (np.array(values) for values in zip(*cells, strict=True))
    relevance = _relevance(
        shape, ((row, column) for row, columns in enumerate(wanted) for column in columns)
    )
    return Task(
        name,
        "listing",
        csr_matrix((weight, (row, column)), shape=shape),
        np.arange(shape[1]),
        relevance,
        about,
    )


def goes_with(catalogue: Catalogue) -> Task | None:
    """Return the task to list what the shop links with a test product, among all products of the catalogue."""
    links = _optional(catalogue.folder / "test.relations.parquet", ["product", "other"])
    place = {product: row for row, product in enumerate(catalogue.products)}
    links = links[
        links["product"].isin(place)
        & links["other"].isin(place)
        & (links["product"] != links["other"])
    ]
    groups = list(links.groupby("product")["other"])
    return _listing(
        catalogue,
        "goes_with",
        [{place[str(product)]: 1.0} for product, _ in groups],
        [{place[other] for other in others} for _, others in groups],
        pd.DataFrame({"product": [product for product, _ in groups]}),
    )


def history(catalogue: Catalogue) -> Task | None:
    """Return the task to list the product a shopper came to last, from those before it, among all others.

    A product that was bought again counts where it came first; shoppers with fewer than two known products are left out.
    """
    shoppers = _optional(catalogue.folder / "test.histories.parquet", ["shopper", "products"])
    place = {product: row for row, product in enumerate(catalogue.products)}
    known = [
        list(dict.fromkeys(place[p] for p in products if p in place))
        for products in shoppers["products"]
    ]
    kept = [row for row, products in enumerate(known) if len(products) > 1]
    given = [
        dict(zip(known[row][:-1], recency_weights(len(known[row]) - 1), strict=True))
        for row in kept
    ]
    about = pd.DataFrame({"product": shoppers["shopper"].iloc[kept].astype(str).to_numpy()})
    return _listing(catalogue, "history", given, [{known[row][-1]} for row in kept], about)


def searches(catalogue: Catalogue) -> list[Task]:
    """Return a task per language: real search texts and the test items that they should find."""
    gallery = catalogue.rows("test")
    items = catalogue.items.iloc[gallery].assign(place=range(len(gallery)))[
        ["product", "color", "place"]
    ]
    found = catalogue.queries.merge(items, on="product", suffixes=("", "_item"))
    found = found[found["color"].isna() | (found["color"] == found["color_item"])]
    tasks = []
    for language, rows in found.groupby("language"):
        texts, query = np.unique(rows["text"], return_inverse=True)
        relevance = _relevance(
            (len(texts), len(gallery)), zip(query.tolist(), rows["place"].tolist(), strict=True)
        )
        about = (
            rows.drop_duplicates("text")
            .sort_values("text")
            .reset_index(drop=True)[["text", "product"]]
        )
        tasks.append(Task(f"query_{language}", "search", texts, gallery, relevance, about))
    return tasks


def tasks(catalogue: Catalogue) -> list[Task]:
    """Return every task that the data of the test part have the truth for."""
    some = [
        text_image(catalogue),
        image_text(catalogue),
        image_image(catalogue),
        goes_with(catalogue),
        history(catalogue),
    ]
    return [task for task in [*some, *searches(catalogue)] if task is not None]
