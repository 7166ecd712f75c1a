"""A saved recommender as MLflow loads it: ``mlflow.pyfunc.load_model("models:/recommend@champion").predict(frame)``.

Nothing is unpickled: MLflow reads this module's name in the version's MLmodel file, and the weights are safetensors.
"""

from __future__ import annotations

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


class Served:
    """A recommender that stays loaded, with its gallery, and answers data frames."""

    def __init__(self, folder: Path) -> None:
        from beauty_models.recommend.model import load  # torch, which registering does not need
        from beauty_models.recommend.predict import Gallery

        self.recommender = load(folder)
        self.gallery = Gallery(folder)

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return ``products``, best first, and ``error`` for each row of ``frame``, with its index.

        A row has a ``text``, an ``image`` (a path, or a ``data:`` address), or both: then the mean of the two is looked
        for. ``params["top"]`` products are listed. ``error`` is None, or why the row has no answer.

        Raises:
            ValueError: ``top`` is out of range.
        """
        from beauty_models.recommend.predict import MOST

        top = int((params or {}).get("top", PARAMS["top"]))
        if not 1 <= top <= MOST:
            raise ValueError(f"top {top}: from 1 to {MOST}")
        queries, errors = self._queries(frame)
        everything = np.ones(len(self.gallery.rows), bool)
        answers: list[list[Any]] = []
        for query, error in zip(queries, errors, strict=True):
            if error is None and not query.any():
                error = "neither text nor image"
            if error is not None:
                answers.append([[], error])
                continue
            found = self.gallery.best(query[None], top, everything)
            answers.append([[self.gallery.describe(row, score) for row, score in found], None])
        return pd.DataFrame(answers, index=frame.index, columns=[*ANSWERS, "error"], dtype=object)

    def _queries(self, frame: pd.DataFrame) -> tuple[NDArray[np.float32], list[str | None]]:
        """Return a query [n, width] of length 1 for each row, zero where there is none, and what is wrong with the row."""
        from beauty_models.intake import shards
        from beauty_models.recommend.model import normalise
        from beauty_models.recommend.predict import SIDE

        queries = np.zeros((len(frame), self.recommender.dual.dimension), np.float32)
        errors: list[str | None] = [None] * len(frame)
        texts = cells(frame, "text")
        asked = [row for row, text in enumerate(texts) if text.strip()]
        if asked:
            queries[asked] += self.recommender.embed_texts([texts[row] for row in asked])
        photos: list[tuple[str, bytes]] = []
        for row, cell in enumerate(cells(frame, "image")):
            if not cell:
                continue
            try:
                photos.append((str(row), images.encode(images.shrink(picture(cell), SIDE))))
            except ValueError as error:
                errors[row] = str(error)
        if photos:
            with TemporaryDirectory(prefix="beauty-") as folder:
                shards.write(Path(folder), "asked", photos)
                keys = [key for key, _ in photos]
                seen = self.recommender.embed_images(shards.Pictures(Path(folder), "asked"), keys)
            queries[[int(key) for key in keys]] += seen
        return normalise(queries), errors


def _load_pyfunc(path: str) -> Served:
    """Return the recommender in the folder ``path``; the name is MLflow's."""
    return Served(Path(path))
