"""What a saved model says to a text, a photo or both.

It names the garment and its attributes, tells what decided, and finds garments on sale that suit.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from beauty_models.intake import images, shards
from beauty_models.intake.text import normalize
from beauty_models.retrieval import index
from beauty_models.serving.frames import picture
from beauty_models.tryon.attribution import Reasons, explain
from beauty_models.tryon.heads import Head
from beauty_models.tryon.model import FusionClassifier, load
from beauty_models.tryon.serving import parser

PHOTO = "photo"  # its key while it is asked about
SIDE = 512  # pixels of the shorter side of a photo as it is looked at
LEAST_EFFECT = 0.02  # a word is named when the answer is this much less likely without it
COLUMNS = 5  # garments in a row of the board


def nearest_garments(features: NDArray[np.float32], model: Path, count: int) -> pd.DataFrame:
    """Return the ``count`` garments on sale that are nearest to ``features`` [1, width].

    Best first, with their ``score``, the cosine.
    """
    # Data without garments on sale make a model without a gallery.
    if not (model / "gallery.parquet").exists():
        return pd.DataFrame(columns=["id", "score", "thumbnail"])
    # The index has the garments in the order of the table.
    garments = index.read(model / "gallery.faiss")
    scores, rows = index.search(garments, features, count)
    gallery = pd.read_parquet(model / "gallery.parquet")
    found: pd.DataFrame = gallery.iloc[rows[0]]
    return found.assign(score=scores[0]).reset_index(drop=True)


def label_answer(head: Head, probabilities: NDArray[np.float32]) -> dict[str, Any]:
    """Return the likeliest label of ``head`` and the ``probabilities`` [labels] of all."""
    labels = head["labels"]
    rounded = {}
    for name, probability in zip(labels, probabilities.tolist(), strict=True):
        rounded[name] = round(probability, 4)
    best = labels[int(probabilities.argmax())]
    return {"label": best, "probabilities": rounded}


def _reasons_answer(reasons: Reasons) -> dict[str, Any]:
    """Return what decided: words with their effect, strongest first, and where in the photo.

    Of the photo it is the center of the heat map, as shares of the square middle.
    """
    strong = [(word, effect) for word, effect in reasons.words if abs(effect) >= LEAST_EFFECT]
    # By size: a word that speaks against the answer may decide more than one that speaks for it.
    strong.sort(key=lambda pair: -abs(pair[1]))
    named = [{"word": word, "effect": round(effect, 4)} for word, effect in strong]
    answer: dict[str, Any] = {"words": named}
    # A heat map of zeros, where nothing in the photo speaks for the answer, has no center.
    if reasons.heat is not None and reasons.heat.sum() > 0:
        side = len(reasons.heat)
        middles = (np.arange(side) + 0.5) / side
        weight = reasons.heat / reasons.heat.sum()
        answer["photo"] = {
            "across": round(float(weight.sum(0) @ middles), 3),
            "down": round(float(weight.sum(1) @ middles), 3),
        }
    for name, (label, probability) in reasons.alone.items():
        answer[f"{name}_alone"] = {"label": label, "probability": round(probability, 4)}
    return answer


def _garment_answers(garments: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what is known of each of ``garments``, under the names of the heads."""
    # The key and the picture are ours, and the text is long.
    columns = [name for name in garments.columns if name not in ("key", "text", "thumbnail")]
    rows = garments[columns].rename(columns=lambda name: name.removeprefix("label."))
    answers = []
    for row in rows.astype(object).to_dict("records"):
        # JSON has no NaN: what is not known of a garment is left out.
        known = {str(name): value for name, value in row.items() if not pd.isna(value)}
        known["score"] = round(known["score"], 4)
        answers.append(known)
    return answers


def _draw_board(
    file: Path, photo: Image.Image | None, reasons: Reasons, garments: pd.DataFrame
) -> None:
    """Draw what decided and, below, the garments."""
    # Here, for it imports matplotlib: a second that no other answer needs.
    from beauty_models.tryon.board import Tile, contact_sheet, explanation, save_png, stack

    tiles = []
    for garment in garments.to_dict("records"):
        thumbnail = Image.open(io.BytesIO(garment["thumbnail"]))
        name = garment["name"] or garment["id"]
        score = f"{garment['score']:.2f}"
        tiles.append(Tile(thumbnail, [name, score]))
    panels = [explanation(photo, reasons, "")]
    if tiles:
        panels.append(contact_sheet(tiles, COLUMNS))
    file.parent.mkdir(parents=True, exist_ok=True)
    save_png(stack(panels), file)


def _load_for(model: Path, given: set[str]) -> FusionClassifier:
    """Return the classifier in the folder ``model``, which must use one of the inputs ``given``."""
    classifier = load(model)
    if not given & set(classifier.widths):
        raise ValueError(
            f"this model has learned from {' and '.join(classifier.widths)} only: "
            f"give --{next(iter(classifier.widths))}"
        )
    return classifier


def predict(*, model: Path, arguments: Sequence[str]) -> dict[str, Any]:
    """Return the answer to ``--text T``, ``--image FILE`` or both.

    ``--top N`` says how many garments, ``--board FILE.png`` draws the answer.

    Returns:
        ``answer`` (head → label and probabilities), ``because`` (words, place in the photo, what
        each input says alone), ``garments`` (id, product, name, labels, score).

    Raises:
        ValueError: neither text nor photo is given, the model cannot use what is given, or the
            photo cannot be read.
    """
    options = parser().parse_args(arguments)
    text = normalize(options.text)
    given = set()
    photo = None
    if text:
        given.add("text")
    if options.image:
        photo = images.shrink(picture(options.image), SIDE)
        given.add("image")
    if not given:
        raise ValueError("give --text, --image or both")
    classifier = _load_for(model, given)
    key = PHOTO if photo else ""
    with tempfile.TemporaryDirectory(prefix="beauty-") as folder:
        # The photo takes the way of those that the model has learned from: JPEG, in a shard.
        encoded = [(PHOTO, images.encode(photo, 95))] if photo else []
        shards.write(Path(folder), PHOTO, encoded)
        pictures = shards.Pictures(Path(folder), PHOTO)
        predictions = classifier.predict([text], [key], pictures, "")
        reasons = explain(classifier, text, key, pictures)
        garments = nearest_garments(predictions.features, model, options.top)
    if options.board:
        _draw_board(options.board, photo, reasons, garments)
    answer = {}
    for head in classifier.config.heads:
        name = head["name"]
        answer[name] = label_answer(head, predictions.probabilities[name][0])
    return {
        "answer": answer,
        "because": _reasons_answer(reasons),
        "garments": _garment_answers(garments),
    }
