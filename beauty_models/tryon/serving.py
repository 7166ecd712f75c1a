"""A saved stylist as MLflow loads it: ``mlflow.pyfunc.load_model("models:/tryon@champion").predict(frame)``.

Nothing is unpickled: MLflow reads this module's name in the version's MLmodel file, and the weights are safetensors.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from beauty_models.intake import images
from beauty_models.intake.text import normalize
from beauty_models.serving.frames import cells, picture

COLUMNS = {"text": False, "image": False}  # column of the frame → whether it must be there
ANSWERS = ("answer", "garments")  # columns of what is answered, besides `error`
PARAMS = {"top": 10}  # what `predict` takes besides the frame, with its value when not given


class Served:
    """A stylist that stays loaded, with its garments, and answers data frames."""

    def __init__(self, folder: Path) -> None:
        from beauty_models.retrieval import index
        from beauty_models.tryon.model import load  # torch, which registering does not need

        self.stylist = load(folder)
        self.garments = pd.DataFrame()
        if (folder / "gallery.parquet").exists():
            gallery = pd.read_parquet(folder / "gallery.parquet")
            self.garments = gallery.drop(columns=["key", "text", "thumbnail"], errors="ignore")
            self.index = index.read(folder / "gallery.faiss")

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return ``answer``, ``garments`` and ``error`` for each row of ``frame``, with its index.

        A row has a ``text``, an ``image`` (a path, or a ``data:`` address), or both. ``answer`` is head → label and
        probabilities; ``garments`` are those on sale that suit, ``params["top"]`` at most, best first. ``error`` is None,
        or why the row has no answer.

        Raises:
            ValueError: ``top`` is below 1.
        """
        top = int((params or {}).get("top", PARAMS["top"]))
        if top < 1:
            raise ValueError(f"top {top}: at least 1")
        texts = [normalize(text) for text in cells(frame, "text")]
        photos, errors = self._photos(frame)
        for row, text in enumerate(texts):
            given = {name for name, there in (("text", text), ("image", photos[row])) if there}
            if errors[row] is None and not given & set(self.stylist.widths):
                errors[row] = f"give {' or '.join(self.stylist.widths)}"
        asked = [row for row, error in enumerate(errors) if error is None]
        answers: list[list[Any]] = [[None, [], error] for error in errors]
        found = self._answers([texts[row] for row in asked], [photos[row] for row in asked], top)
        for row, (answer, garments) in zip(asked, found, strict=True):
            answers[row] = [answer, garments, None]
        return pd.DataFrame(answers, index=frame.index, columns=[*ANSWERS, "error"], dtype=object)

    def _photos(self, frame: pd.DataFrame) -> tuple[list[bytes | None], list[str | None]]:
        """Return each row's photo as the network looks at it, None without one, and what is wrong with the row."""
        from beauty_models.tryon.predict import SIDE

        photos: list[bytes | None] = [None] * len(frame)
        errors: list[str | None] = [None] * len(frame)
        for row, cell in enumerate(cells(frame, "image")):
            if not cell:
                continue
            try:
                photos[row] = images.encode(images.shrink(picture(cell), SIDE), 95)
            except ValueError as error:
                errors[row] = str(error)
        return photos, errors

    def _answers(
        self, texts: list[str], photos: list[bytes | None], top: int
    ) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """Return the labels of each head and the garments for texts and photos; "" and None stand for what is missing."""
        from beauty_models.intake import shards
        from beauty_models.retrieval import index

        if not texts:
            return []
        keys = ["" if photo is None else str(row) for row, photo in enumerate(photos)]
        kept = [(str(row), photo) for row, photo in enumerate(photos) if photo is not None]
        with TemporaryDirectory(prefix="beauty-") as folder:
            shards.write(Path(folder), "asked", kept)
            pictures = shards.Pictures(Path(folder), "asked")
            answer = self.stylist.predict(texts, keys, pictures, "")
        labels = [self._labels(answer.probabilities, row) for row in range(len(texts))]
        if self.garments.empty:
            return [(label, []) for label in labels]
        scores, places = index.search(self.index, answer.features, top)
        return [
            (label, self._described(scores[row], places[row])) for row, label in enumerate(labels)
        ]

    def _labels(self, probabilities: dict[str, Any], row: int) -> dict[str, Any]:
        """Return for each head the likeliest label and the probabilities of all."""
        told = {}
        for head in self.stylist.shape.heads:
            shares = probabilities[head["name"]][row].tolist()
            by_name = dict(zip(head["labels"], shares, strict=True))
            told[head["name"]] = {
                "label": max(by_name, key=by_name.__getitem__),
                "probabilities": {name: round(share, 4) for name, share in by_name.items()},
            }
        return told

    def _described(self, scores: Any, places: Any) -> list[dict[str, Any]]:
        """Return the garments at ``places``, with what is known of each and its score."""
        garments = self.garments.iloc[places].astype(object)
        described = []
        for garment, score in zip(garments.to_dict("records"), scores.tolist(), strict=True):
            known = {
                str(name).removeprefix("label."): value
                for name, value in garment.items()
                if not pd.isna(value)
            }
            described.append(known | {"score": round(score, 4)})
        return described


def _load_pyfunc(path: str) -> Served:
    """Return the stylist in the folder ``path``; the name is MLflow's."""
    return Served(Path(path))
