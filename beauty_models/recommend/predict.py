"""What a saved recommender finds for a picture, a sentence or a shopper's history: products with their scores, and a board."""

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
from beauty_models.recommend.model import load, recency
from beauty_models.retrieval import index
from beauty_models.serving.frames import picture

MOST = 1000  # products listed
SIDE = 256  # pixels a picture is shrunk to, as in the catalogue
NAMES = {"colour": "color", "sku": "skus"}  # what people write → the gallery's column
COLUMNS = ("product", "skus", "name", "category", "color", "price")
PER_LINE = 10  # products on one line of a board
SHOWN = 20  # values named in an error


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
        found = np.flatnonzero([sku in skus for skus in self.rows["skus"]])
        found = found if len(found) else np.flatnonzero(self.rows["product"] == sku)
        if len(found):
            return found
        known = list(
            dict.fromkeys(
                [*self.rows["product"], *(one for skus in self.rows["skus"] for one in skus)]
            )
        )
        near = get_close_matches(sku, known, n=5, cutoff=0.5)
        raise ValueError(
            f"--history: no product has the SKU {sku!r}"
            + (f"; did you mean {', '.join(near)}?" if near else "")
        )

    def taste(self, skus: Sequence[str]) -> tuple[NDArray[np.float32], set[str]]:
        """Return the embedding [1, width] of a shopper who had ``skus``, the latest last, and the products these are."""
        rows = [self.items(sku) for sku in skus]
        vectors = np.stack(
            [np.mean([self.index.reconstruct(int(row)) for row in one], axis=0) for one in rows]
        )
        return np.average(vectors, axis=0, weights=recency(len(vectors)))[None], {
            str(self.rows["product"].iat[row]) for one in rows for row in one
        }

    def values(self, key: str) -> list[list[str]]:
        """Return what each row has under ``key``, a column or an attribute; a cell may name several values.

        Raises:
            ValueError: there is no such column or attribute; the message names those that there are.
        """
        column = NAMES.get(key.casefold(), key.casefold())
        if column in COLUMNS:
            cells = [
                " ".join(cell)
                if column == "skus"
                else ""
                if cell is None
                else f"{cell:g}"
                if column == "price"
                else str(cell)
                for cell in self.rows[column]
            ]
        else:
            cells = [
                {name.casefold(): value for name, value in pairs}.get(column, "")
                for pairs in self.rows["attributes"]
            ]
        if not any(cells):
            names = [
                *COLUMNS,
                *sorted(
                    {name for pairs in self.rows["attributes"] for name, _ in pairs} - set(COLUMNS)
                ),
            ]
            raise ValueError(f"--filter: the catalogue has no {key!r}; it has {', '.join(names)}")
        return [[cell, *(part.strip() for part in re.split(r"[/>|,;]", cell))] for cell in cells]

    def allowed(self, filters: Sequence[str]) -> NDArray[np.bool_]:
        """Return which rows pass every filter KEY=VALUE; of several with one key, one is enough. Capitals do not count.

        Raises:
            ValueError: a filter has no "=", its key is unknown, or nothing has its value.
        """
        passed: dict[str, NDArray[np.bool_]] = {}
        for one in filters:
            key, equals, value = one.partition("=")
            if not equals or not value.strip():
                raise ValueError(f"--filter {one}: write KEY=VALUE, such as colour=red")
            cells = self.values(key.strip())
            fits = np.array(
                [value.strip().casefold() in [part.casefold() for part in parts] for parts in cells]
            )
            if not fits.any():
                there = sorted({part for parts in cells for part in parts[1:] if part})
                raise ValueError(
                    f"--filter: no product has {key}={value}; there are {', '.join(there[:SHOWN])}{' …' if len(there) > SHOWN else ''}"
                )
            column = NAMES.get(key.strip().casefold(), key.strip().casefold())
            passed[column] = passed.get(column, np.zeros(len(fits), bool)) | fits
        return np.asarray(np.all([np.ones(len(self.rows), bool), *passed.values()], axis=0))

    def best(
        self, query: NDArray[np.float32], count: int, allowed: NDArray[np.bool_]
    ) -> list[tuple[int, float]]:
        """Return the ``count`` nearest products, each by its nearest item: row and cosine."""
        most = int(self.rows["product"].value_counts().iloc[0])
        scores, rows = index.search(
            self.index, query, count * most, None if allowed.all() else allowed
        )
        found: dict[str, tuple[int, float]] = {}
        for row, score in zip(rows[0].tolist(), scores[0].tolist(), strict=True):
            found.setdefault(str(self.rows["product"].iat[row]), (row, score))
        return list(found.values())[:count]

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
        """Return the thumbnails of rows."""
        kept = pd.read_parquet(self.file, columns=["thumbnail"])["thumbnail"].to_numpy()
        return [Image.open(io.BytesIO(kept[row])).convert("RGB") for row in rows]


def _embedded(
    model: Path, image: Image.Image | None, text: str | None
) -> list[NDArray[np.float32]]:
    """Return the embeddings, [1, width] each, of a picture and of a text, where given."""
    recommender = load(model)
    found = [] if text is None else [recommender.embed_texts([text])]
    if image is not None:
        with TemporaryDirectory() as folder:
            shards.write(
                Path(folder), "asked", [("photo", images.encode(images.shrink(image, SIDE)))]
            )
            found.append(
                recommender.embed_images(shards.Pictures(Path(folder), "asked"), ["photo"])
            )
    return found


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="beauty predict recommend",
        description="Products for a picture, a sentence or a shopper's history.",
    )
    parser.add_argument(
        "--image", type=Path, help="a picture; together with --text the mean of both is looked for"
    )
    parser.add_argument("--text", help="a sentence or a few words, in any language")
    parser.add_argument("--history", help="SKU,SKU: what a shopper had, the latest last")
    parser.add_argument("--top", type=int, default=10, help="products that are listed")
    parser.add_argument(
        "--filter",
        action="append",
        default=[],
        help="KEY=VALUE, such as colour=red; may be repeated",
    )
    parser.add_argument("--board", type=Path, help="also draw the answer to this PNG file")
    parser.add_argument(
        "--export", type=Path, help="instead: write the dual encoder to this folder, for open_clip"
    )
    options = parser.parse_args(arguments)
    options.skus = [sku.strip() for sku in (options.history or "").split(",") if sku.strip()]
    if (
        options.export is None
        and options.image is None
        and not (options.text or "").strip()
        and not options.skus
    ):
        raise ValueError("nothing to go by; give --image FILE, --text TEXT or --history SKU,SKU")
    if not 1 <= options.top <= MOST:
        raise ValueError(f"--top {options.top}: from 1 to {MOST}")
    return options


def _board(
    file: Path,
    options: argparse.Namespace,
    image: Image.Image | None,
    gallery: Gallery,
    found: list[tuple[int, float]],
) -> None:
    from beauty_models.recommend.board import Asked, Found, board_png, drawable

    answers = [
        Found(photo, f"{score:.2f} {gallery.rows['name'].iat[row]}")
        for (row, score), photo in zip(
            found, gallery.photos([row for row, _ in found]), strict=True
        )
    ]
    text = ", ".join(
        part if drawable(part) else "(your text)"
        for part in (options.text, options.history)
        if part
    )
    lines = [answers[start : start + PER_LINE] for start in range(0, len(answers), PER_LINE)]
    board_png(
        file,
        [Asked("asked for", text, image, lines[0])]
        + [Asked("", "", None, line) for line in lines[1:]],
    )


def predict(*, model: Path, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Return the products nearest to ``--image P``, ``--text T``, ``--history SKU,SKU`` or the mean of those given, best first.

    ``--top 10``, ``--filter KEY=VALUE`` (may be repeated), ``--board FILE.png``; products of the history are not listed. With
    ``--export DIR`` nothing is looked for: the dual encoder is written to DIR as open_clip loads it.

    Raises:
        ValueError: nothing is given, the picture cannot be read, a SKU or a filter is unknown, or nothing passes the filters.
    """
    options = _options(arguments)
    if options.export is not None:
        openclip.export(model, options.export)
        return [
            {
                "exported": str(options.export),
                "load": f'open_clip.create_model_and_transforms("local-dir:{options.export.resolve()}")',
            }
        ]
    gallery = Gallery(model)
    allowed = gallery.allowed(options.filter)
    image = picture(str(options.image)) if options.image else None
    asked, bought = [], set[str]()
    if options.skus:
        taste, bought = gallery.taste(options.skus)
        asked.append(taste)
    text = options.text if (options.text or "").strip() else None
    if image is not None or text is not None:
        asked += _embedded(model, image, text)
    query = np.mean([one / np.linalg.norm(one) for one in asked], axis=0)
    found = gallery.best(
        query / np.linalg.norm(query),
        options.top,
        allowed & ~gallery.rows["product"].isin(bought).to_numpy(),
    )
    if not found:
        raise ValueError(
            "no product passes all filters"
            + (" that the shopper does not have" if bought else "")
            + "; give fewer of them"
        )
    if options.board is not None:
        _board(options.board, options, image, gallery, found)
    return [gallery.describe(row, score) for row, score in found]
