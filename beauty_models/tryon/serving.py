"""A saved classifier as MLflow loads it.

``mlflow.pyfunc.load_model("models:/tryon@champion").predict(frame)``. Nothing is unpickled: MLflow
reads this module's name in the version's MLmodel file, and the weights are safetensors.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from beauty_models.intake import images
from beauty_models.intake.text import normalize
from beauty_models.serving.frames import cells, picture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from beauty_models.tryon.model import Predictions

# The imports within functions are those that need torch, which registering a version does not.

COLUMNS = {"text": False, "image": False}  # column of the frame → whether it must be there
ANSWERS = ("answer", "garments")  # columns of what is answered, besides `error`
PARAMS = {"top": 10}  # what `predict` takes besides the frame, with its value when not given


def parser() -> argparse.ArgumentParser:
    """Return the arguments of ``predict``; here, where ``--help`` need not wait for torch."""
    arguments = argparse.ArgumentParser(
        prog="beauty predict tryon",
        description="Garment, attributes and garments on sale for a text and a photo.",
    )
    arguments.add_argument("--text", default="", help="what the shopper writes")
    arguments.add_argument("--image", help="the shopper's photo")
    arguments.add_argument("--top", type=int, default=10, help="garments on sale, at most")
    arguments.add_argument(
        "--board",
        type=Path,
        help="a PNG file with what decided, drawn on the photo, and the garments",
    )
    return arguments


class Query(NamedTuple):
    """One row of a frame; "" and None stand for what is missing."""

    text: str
    photo: bytes | None  # JPEG, as the network looks at it


class Served:
    """A classifier that stays loaded, with its garments, and answers data frames."""

    def __init__(self, folder: Path) -> None:
        from beauty_models.retrieval import index
        from beauty_models.tryon.model import load

        self.classifier = load(folder)
        # Data without garments on sale make a model without a gallery.
        self.garments = pd.DataFrame()
        if (folder / "gallery.parquet").exists():
            gallery = pd.read_parquet(folder / "gallery.parquet")
            self.garments = gallery.drop(columns=["key", "text", "thumbnail"], errors="ignore")
            self.index = index.read(folder / "gallery.faiss")

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return ``answer``, ``garments`` and ``error`` for each row of ``frame``, with its index.

        A row has a ``text``, an ``image`` (a path, or a ``data:`` address), or both. ``answer`` is
        head → label and probabilities; ``garments`` are those on sale that suit, ``params["top"]``
        at most, best first. ``error`` is None, or why the row has no answer.

        Raises:
            ValueError: ``top`` is below 1.
        """
        # MLflow fills in what a signature lists; a call from Python may leave it out.
        top = int((params or {}).get("top", PARAMS["top"]))
        if top < 1:
            raise ValueError(f"top {top}: at least 1")
        queries, errors = self._queries(frame)
        rows = [row for row, error in enumerate(errors) if error is None]
        # A row that cannot be answered keeps its place, with the reason.
        answers: list[list[Any]] = [[None, [], error] for error in errors]
        if rows:
            predictions = self._predictions([queries[row] for row in rows])
            garments = self._nearest_garments(predictions.features, top)
            for position, row in enumerate(rows):
                answer = self._answer(predictions, position)
                answers[row] = [answer, garments[position], None]
        return pd.DataFrame(answers, index=frame.index, columns=[*ANSWERS, "error"], dtype=object)

    def _queries(self, frame: pd.DataFrame) -> tuple[list[Query], list[str | None]]:
        """Return what each row asks, and what is wrong with it."""
        from beauty_models.tryon.predict import SIDE

        inputs = self.classifier.widths
        queries = []
        errors: list[str | None] = []
        # Pictures are opened one by one: a broken one is the fault of its row alone.
        for raw_text, cell in zip(cells(frame, "text"), cells(frame, "image"), strict=True):
            text = normalize(raw_text)
            photo = None
            error = None
            if cell:
                try:
                    photo = images.encode(images.shrink(picture(cell), SIDE), 95)
                except ValueError as problem:
                    error = str(problem)
            usable = (text and "text" in inputs) or (photo and "image" in inputs)
            if error is None and not usable:
                error = f"give {' or '.join(inputs)}"
            queries.append(Query(text, photo))
            errors.append(error)
        return queries, errors

    def _predictions(self, queries: Sequence[Query]) -> Predictions:
        """Return what the classifier says to ``queries``."""
        from beauty_models.intake import shards

        texts = [query.text for query in queries]
        keys = []
        photos = []
        for row, query in enumerate(queries):
            key = "" if query.photo is None else str(row)
            keys.append(key)
            if query.photo is not None:
                photos.append((key, query.photo))
        # The photos take the way of those that the model has learned from: through a shard.
        with TemporaryDirectory(prefix="beauty-") as folder:
            shards.write(Path(folder), "asked", photos)
            pictures = shards.Pictures(Path(folder), "asked")
            return self.classifier.predict(texts, keys, pictures, "")

    def _answer(self, predictions: Predictions, row: int) -> dict[str, Any]:
        """Return for each head the likeliest label and the probabilities of all."""
        from beauty_models.tryon.predict import label_answer

        answer = {}
        for head in self.classifier.config.heads:
            name = head["name"]
            answer[name] = label_answer(head, predictions.probabilities[name][row])
        return answer

    def _nearest_garments(
        self, features: NDArray[np.float32], top: int
    ) -> list[list[dict[str, Any]]]:
        """Return for each row of ``features`` [n, width] the garments on sale nearest to it."""
        from beauty_models.retrieval import index

        if self.garments.empty:
            return [[] for _ in features]
        scores, positions = index.search(self.index, features, top)
        return [self._described(*row) for row in zip(scores, positions, strict=True)]

    def _described(
        self, scores: NDArray[np.float32], positions: NDArray[np.int64]
    ) -> list[dict[str, Any]]:
        """Return the garments at ``positions``, with what is known of each and its score."""
        garments = self.garments.iloc[positions].astype(object)
        described = []
        for garment, score in zip(garments.to_dict("records"), scores.tolist(), strict=True):
            known = {}
            for name, value in garment.items():
                # JSON has no NaN: what is not known of a garment is left out.
                if not pd.isna(value):
                    known[str(name).removeprefix("label.")] = value
            known["score"] = round(score, 4)
            described.append(known)
        return described


def _load_pyfunc(path: str) -> Served:
    """Return the classifier in the folder ``path``; the name is MLflow's."""
    return Served(Path(path))
