"""A saved recommender as MLflow loads it.

``mlflow.pyfunc.load_model("models:/recommend@champion").predict(frame)``. Nothing is unpickled:
MLflow reads this module's name in the version's MLmodel file, and the weights are safetensors.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from beauty_models.intake import images
from beauty_models.serving.frames import cells, picture

COLUMNS = {"text": False, "image": False}  # column of the frame → whether it must be there
ANSWERS = ("products",)  # columns of what is answered, besides `error`
PARAMS = {"top": 10}  # what `predict` takes besides the frame, with its value when not given


def parser() -> argparse.ArgumentParser:
    """Return the arguments of ``predict``; here, where ``--help`` need not wait for torch."""
    arguments = argparse.ArgumentParser(
        prog="beauty predict recommend",
        description="Products for a picture, a sentence or a shopper's history.",
    )
    arguments.add_argument(
        "--image", type=Path, help="a picture; together with --text the mean of both is looked for"
    )
    arguments.add_argument("--text", help="a sentence or a few words, in any language")
    arguments.add_argument("--history", help="SKU,SKU: what a shopper had, the latest last")
    arguments.add_argument("--top", type=int, default=10, help="products that are listed")
    arguments.add_argument(
        "--filter",
        action="append",
        default=[],
        help="KEY=VALUE, such as colour=red; may be repeated",
    )
    arguments.add_argument("--board", type=Path, help="also draw the answer to this PNG file")
    arguments.add_argument(
        "--export", type=Path, help="instead: write the dual encoder to this folder, for open_clip"
    )
    return arguments


class Served:
    """A recommender that stays loaded, with its gallery, and answers data frames."""

    def __init__(self, folder: Path) -> None:
        from beauty_models.recommend.model import load  # torch, which registering does not need
        from beauty_models.recommend.predict import Gallery

        self.recommender = load(folder)
        self.gallery = Gallery(folder)

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return ``products``, best first, and ``error`` for each row of ``frame``, with its index.

        A row has a ``text``, an ``image`` (a path, or a ``data:`` address), or both: then the mean
        of the two is looked for. ``params["top"]`` products are listed. ``error`` is None, or why
        the row has no answer.

        Raises:
            ValueError: ``top`` is out of range.
        """
        from beauty_models.recommend.predict import MAX_TOP

        top = int((params or {}).get("top", PARAMS["top"]))
        if not 1 <= top <= MAX_TOP:
            raise ValueError(f"top {top}: from 1 to {MAX_TOP}")
        queries, errors = self._queries(frame)
        everything = np.ones(len(self.gallery.rows), bool)
        answers: list[list[Any]] = []
        for query, error in zip(queries, errors, strict=True):
            # a bad row has its reason and leaves the answers of the others alone
            if error is None and not query.any():
                error = "neither text nor image"
            if error is not None:
                answers.append([[], error])
                continue
            hits = self.gallery.best(query[None], top, everything)
            products = [self.gallery.describe(row, score) for row, score in hits]
            answers.append([products, None])
        return pd.DataFrame(answers, index=frame.index, columns=[*ANSWERS, "error"], dtype=object)

    def _queries(self, frame: pd.DataFrame) -> tuple[NDArray[np.float32], list[str | None]]:
        """Return a query [n, width] for each row, and what is wrong with the row.

        Queries have length 1, or 0 where there is nothing to look for.
        """
        from beauty_models.recommend.model import normalize

        queries = np.zeros((len(frame), self.recommender.encoder.dimension), np.float32)
        texts = cells(frame, "text")
        with_text = [row for row, text in enumerate(texts) if text.strip()]
        if with_text:
            queries[with_text] += self.recommender.embed_texts([texts[row] for row in with_text])
        photos, errors = _read_photos(cells(frame, "image"))
        if photos:
            queries[list(photos)] += self._embed_photos(photos)
        # both embeddings have length 1: the sum points where their mean does
        return normalize(queries), errors

    def _embed_photos(self, photos: dict[int, bytes]) -> NDArray[np.float32]:
        """Return the embeddings [n, width] of JPEGs."""
        from beauty_models.intake import shards

        named = {str(row): jpeg for row, jpeg in photos.items()}
        # shards read from files only, as in training
        with TemporaryDirectory(prefix="beauty-") as folder:
            shards.write(Path(folder), "query", named.items())
            pictures = shards.Pictures(Path(folder), "query")
            return self.recommender.embed_images(pictures, list(named))


def _read_photos(column: list[str]) -> tuple[dict[int, bytes], list[str | None]]:
    """Return row → JPEG for the rows with a picture, and what is wrong with each row."""
    from beauty_models.recommend.predict import SIDE

    photos: dict[int, bytes] = {}
    errors: list[str | None] = [None] * len(column)
    for row, cell in enumerate(column):
        if not cell:
            continue
        try:
            photos[row] = images.encode(images.shrink(picture(cell), SIDE))
        except ValueError as error:
            errors[row] = str(error)
    return photos, errors


def _load_pyfunc(path: str) -> Served:
    """Return the recommender in the folder ``path``; the name is MLflow's."""
    return Served(Path(path))
