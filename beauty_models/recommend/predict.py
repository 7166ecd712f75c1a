"""What a saved recommender finds for a picture, a sentence or a shopper's history.

Products with their scores, and a board that shows them.
"""

from __future__ import annotations

import argparse
import io
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from beauty_models.intake import images, shards
from beauty_models.recommend import openclip
from beauty_models.recommend.model import load, recency_weights
from beauty_models.recommend.serving import parser
from beauty_models.retrieval import index
from beauty_models.serving.frames import picture

Floats = NDArray[np.float32]
Hits = list[tuple[int, float]]
"""Rows of the gallery and their cosines, best first."""

MAX_TOP = 1000  # products listed
SIDE = 256  # pixels a picture is shrunk to, as in the catalogue
# the answer says colour, too, so people filter by it
ALIASES = {"colour": "color", "sku": "skus"}  # what people write → the gallery's column
COLUMNS = ("product", "skus", "name", "category", "color", "price")
PER_LINE = 10  # products on one line of a board
LISTED_VALUES = 20  # in an error


class Gallery:
    """The catalogue that a saved model knows: a row and an embedding per item."""

    def __init__(self, model: Path) -> None:
        self.file = model / "gallery.parquet"
        if not self.file.exists():
            raise ValueError(f"{self.file}: no such file; is {model} a saved recommender?")
        self.rows = pd.read_parquet(self.file, columns=[*COLUMNS, "attributes"])
        self.index = index.read(model / "products.faiss")

    def items(self, sku: str) -> NDArray[np.int64]:
        """Return the rows that show ``sku``, a product's or a variant's.

        Raises:
            ValueError: the catalogue has no such SKU; the message names those that are nearest.
        """
        # a variant's SKU names one photo, a product's all of them
        variants = np.flatnonzero([sku in skus for skus in self.rows["skus"]])
        if len(variants):
            return variants
        items = np.flatnonzero(self.rows["product"] == sku)
        if len(items):
            return items
        skus = self.rows["skus"].explode()
        known = pd.concat([self.rows["product"], skus]).unique().tolist()
        # a typing error, or a size that is not in the catalogue
        near = get_close_matches(sku, known, n=5, cutoff=0.5)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise ValueError(f"--history: no product has the SKU {sku!r}{hint}")

    def taste(self, skus: Sequence[str]) -> tuple[Floats, set[str]]:
        """Return the embedding [1, width] of a shopper, and the products that they had.

        Args:
            skus: what the shopper had, the latest last.
        """
        vectors = []
        products: set[str] = set()
        for sku in skus:
            rows = self.items(sku).tolist()
            items = [self.index.reconstruct(row) for row in rows]
            vectors.append(np.mean(items, axis=0))
            products.update(self.rows["product"].iloc[rows])
        weights = recency_weights(len(vectors))
        return np.average(np.stack(vectors), axis=0, weights=weights)[None], products

    def _cells(self, column: str) -> list[str]:
        """Return what each row has in a column, or under the name of an attribute, as text."""
        if column not in COLUMNS:
            cells = []
            for pairs in self.rows["attributes"]:
                attributes = {name.casefold(): value for name, value in pairs}
                cells.append(attributes.get(column, ""))
            return cells
        values = self.rows[column]
        if column == "skus":
            return [" ".join(skus) for skus in values]
        if column == "price":
            # Twelve digits: with the usual six 1299999 would be 1.3e+06.
            return ["" if pd.isna(price) else f"{price:.12g}" for price in values]
        return ["" if value is None else str(value) for value in values]

    def values(self, key: str) -> list[list[str]]:
        """Return what each row has under ``key``, a column or an attribute.

        A cell may name several values: the whole of it comes first, its parts follow.

        Raises:
            ValueError: there is no such column or attribute; the message names those there are.
        """
        cells = self._cells(_column(key))
        if not any(cells):
            attributes: set[str] = set()
            for pairs in self.rows["attributes"]:
                attributes.update(name for name, _ in pairs)
            names = [*COLUMNS, *sorted(attributes - set(COLUMNS))]
            raise ValueError(f"--filter: the catalogue has no {key!r}; it has {', '.join(names)}")
        values = []
        for cell in cells:
            # "Women/Tops", "Hot, Cold": a filter may name the whole or a part
            parts = [part.strip() for part in re.split(r"[/>|,;]", cell)]
            values.append([cell, *parts])
        return values

    def allowed(self, filters: Sequence[str]) -> NDArray[np.bool_]:
        """Return which rows [n] pass every filter KEY=VALUE.

        Of several filters with one key, one is enough. Capitals do not count.

        Raises:
            ValueError: a filter has no "=", its key is unknown, or nothing has its value.
        """
        passed: dict[str, NDArray[np.bool_]] = {}
        for filter_ in filters:
            key, equals, value = filter_.partition("=")
            if not equals or not value.strip():
                raise ValueError(f"--filter {filter_}: write KEY=VALUE, such as colour=red")
            fits = self._fits(key.strip(), value)
            # one key given twice asks for either, two keys for both
            column = _column(key.strip())
            passed[column] = passed.get(column, np.zeros(len(fits), bool)) | fits
        everything = np.ones(len(self.rows), bool)
        return np.asarray(np.logical_and.reduce([everything, *passed.values()]))

    def _fits(self, key: str, value: str) -> NDArray[np.bool_]:
        """Return which rows [n] have ``value`` under ``key``; ValueError as `allowed`."""
        values = self.values(key)
        wanted = value.strip().casefold()
        fits = np.array([wanted in map(str.casefold, row) for row in values])
        if not fits.any():
            parts: set[str] = set()
            for row in values:
                parts.update(part for part in row[1:] if part)
            listed = ", ".join(sorted(parts)[:LISTED_VALUES])
            more = " …" if len(parts) > LISTED_VALUES else ""
            raise ValueError(f"--filter: no product has {key}={value}; there are {listed}{more}")
        return fits

    def best(
        self,
        query: Floats,
        count: int,
        allowed: NDArray[np.bool_],
    ) -> Hits:
        """Return the ``count`` products nearest to ``query`` [1, width], each by its best item."""
        # enough, even if the nearest items are all of the product that has most of them
        items_of_a_product = int(self.rows["product"].value_counts().iloc[0])
        scores, rows = index.search(
            self.index, query, count * items_of_a_product, None if allowed.all() else allowed
        )
        nearest: dict[str, tuple[int, float]] = {}
        for row, score in zip(rows[0].tolist(), scores[0].tolist(), strict=True):
            # rows come best first: a product's first one is its best
            nearest.setdefault(str(self.rows["product"].iat[row]), (row, score))
        return list(nearest.values())[:count]

    def describe(self, row: int, score: float) -> dict[str, Any]:
        """Return a row of the answer."""
        item = self.rows.iloc[row]
        price = None if pd.isna(item["price"]) else float(item["price"])
        return {
            "product": item["product"],
            "sku": item["skus"][0],
            "name": item["name"],
            "category": item["category"] or "",
            "colour": item["color"] or "",
            "price": price,
            "score": round(score, 4),
        }

    def photos(self, rows: Sequence[int]) -> list[Image.Image]:
        """Return the thumbnails of rows, which are read from the file for this only."""
        column = pd.read_parquet(self.file, columns=["thumbnail"])["thumbnail"]
        thumbnails = column.iloc[list(rows)]
        return [Image.open(io.BytesIO(jpeg)).convert("RGB") for jpeg in thumbnails]


def _column(key: str) -> str:
    """Return the gallery's column, or the attribute, that people mean by ``key``."""
    return ALIASES.get(key.casefold(), key.casefold())


def _embedded(
    model: Path,
    image: Image.Image | None,
    text: str | None,
) -> list[Floats]:
    """Return the embeddings, [1, width] each, of a text and of a picture, where given."""
    recommender = load(model)
    embeddings = []
    if text is not None:
        embeddings.append(recommender.embed_texts([text]))
    if image is not None:
        with TemporaryDirectory() as folder:
            # shrunk and encoded as ingest does it, so that a catalogue's own photo finds itself
            jpeg = images.encode(images.shrink(image, SIDE))
            shards.write(Path(folder), "query", [("photo", jpeg)])
            pictures = shards.Pictures(Path(folder), "query")
            embeddings.append(recommender.embed_images(pictures, ["photo"]))
    return embeddings


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options, with ``skus`` of the history; "" of a text is None."""
    # told here, before a model is loaded for nothing
    options = parser().parse_args(arguments)
    history = (options.history or "").split(",")
    options.skus = [sku.strip() for sku in history if sku.strip()]
    if not (options.text or "").strip():
        options.text = None
    asks = options.image is not None or options.text is not None or options.skus
    if options.export is None and not asks:
        raise ValueError("nothing to go by; give --image FILE, --text TEXT or --history SKU,SKU")
    if not 1 <= options.top <= MAX_TOP:
        raise ValueError(f"--top {options.top}: from 1 to {MAX_TOP}")
    return options


def _board(
    file: Path,
    options: argparse.Namespace,
    image: Image.Image | None,
    gallery: Gallery,
    hits: Hits,
) -> None:
    # only a board needs fonts
    from beauty_models.recommend.board import Hit, Query, board_png, drawable

    photos = gallery.photos([row for row, _ in hits])
    answers = []
    for (row, score), photo in zip(hits, photos, strict=True):
        name = gallery.rows["name"].iat[row]
        answers.append(Hit(photo, f"{score:.2f} {name}"))
    given = [text for text in (options.text, options.history) if text]
    label = ", ".join(text if drawable(text) else "(your text)" for text in given)
    lines = [Query("asked for", label, image, answers[:PER_LINE])]
    for start in range(PER_LINE, len(answers), PER_LINE):
        lines.append(Query("", "", None, answers[start : start + PER_LINE]))
    board_png(file, lines)


def _export(model: Path, folder: Path) -> list[dict[str, Any]]:
    openclip.export(model, folder)
    call = f'open_clip.create_model_and_transforms("local-dir:{folder.resolve()}")'
    return [{"exported": str(folder), "load": call}]


def predict(*, model: Path, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Return the products nearest to a picture, a text, a history or the mean of those, best first.

    ``--image P``, ``--text T``, ``--history SKU,SKU``; ``--top 10``, ``--filter KEY=VALUE`` (may be
    repeated), ``--board FILE.png``; products of the history are not listed. With ``--export DIR``
    nothing is looked for: the dual encoder is written to DIR as open_clip loads it.

    Raises:
        ValueError: nothing is given, the picture cannot be read, a SKU or a filter is unknown, or
            nothing passes the filters.
    """
    options = _options(arguments)
    if options.export is not None:
        return _export(model, options.export)
    gallery = Gallery(model)
    allowed = gallery.allowed(options.filter)
    image = picture(str(options.image)) if options.image else None
    embeddings: list[Floats] = []
    bought: set[str] = set()
    if options.skus:
        taste, bought = gallery.taste(options.skus)
        embeddings.append(taste)
        allowed &= ~gallery.rows["product"].isin(bought).to_numpy()
    if image is not None or options.text is not None:
        embeddings += _embedded(model, image, options.text)
    # normalised first: what is longer would count for more in the mean
    directions = [vector / np.linalg.norm(vector) for vector in embeddings]
    query = np.mean(directions, axis=0)
    hits = gallery.best(query / np.linalg.norm(query), options.top, allowed)
    if not hits:
        whose = " that the shopper does not have" if bought else ""
        raise ValueError(f"no product passes all filters{whose}; give fewer of them")
    if options.board is not None:
        _board(options.board, options, image, gallery, hits)
    return [gallery.describe(row, score) for row, score in hits]
