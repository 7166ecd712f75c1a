"""What a saved model says to a text, a photo or both: the garment, its attributes, what decided, and garments on sale that suit."""

from __future__ import annotations

import argparse
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
from beauty_models.tryon.model import Answer, Stylist, load

PHOTO = "photo"  # its key while it is asked about
SIDE = 512  # pixels of the shorter side of a photo as it is looked at
CLEAR = 0.02  # a word is told when the answer is this much less likely without it
COLUMNS = 5  # garments in a row of the board


def recommended(answer: NDArray[np.float32], model: Path, count: int) -> pd.DataFrame:
    """Return the ``count`` garments on sale that are nearest to the features ``answer`` [1, width], with their ``score``, best first."""
    if not (model / "gallery.parquet").exists():
        return pd.DataFrame(columns=["id", "score", "thumbnail"])
    scores, rows = index.search(index.read(model / "gallery.faiss"), answer, count)
    gallery: pd.DataFrame = pd.read_parquet(model / "gallery.parquet").iloc[rows[0]]
    return gallery.assign(score=scores[0]).reset_index(drop=True)


def _labels(stylist: Stylist, answer: Answer) -> dict[str, dict[str, Any]]:
    """Return for each head the likeliest label and the probabilities of all."""
    found = {}
    for head in stylist.shape.heads:
        shares = answer.probabilities[head["name"]][0]
        found[head["name"]] = {
            "label": head["labels"][int(shares.argmax())],
            "probabilities": {
                name: round(float(p), 4) for name, p in zip(head["labels"], shares, strict=True)
            },
        }
    return found


def _reasons(reasons: Reasons) -> dict[str, Any]:
    """Return what decided: words with their effect, strongest first, and where in the photo its weight lies, as shares of its middle square."""
    strong = sorted(
        (one for one in reasons.words if abs(one[1]) >= CLEAR), key=lambda one: -abs(one[1])
    )
    told: dict[str, Any] = {
        "words": [{"word": word, "effect": round(effect, 4)} for word, effect in strong]
    }
    if reasons.heat is not None and reasons.heat.sum() > 0:
        side = (np.arange(len(reasons.heat)) + 0.5) / len(reasons.heat)
        weight = reasons.heat / reasons.heat.sum()
        told["photo"] = {
            "across": round(float(weight.sum(0) @ side), 3),
            "down": round(float(weight.sum(1) @ side), 3),
        }
    return told | {
        f"{name}_alone": {"label": label, "probability": round(share, 4)}
        for name, (label, share) in reasons.alone.items()
    }


def _board(file: Path, photo: Image.Image | None, reasons: Reasons, garments: pd.DataFrame) -> None:
    """Draw what decided and, below, the garments."""
    # matplotlib: a second that no other answer needs
    from beauty_models.tryon.board import Shown, explained, save_png, stacked, strip

    shown = [
        Shown(
            Image.open(io.BytesIO(row["thumbnail"])),
            [row["name"] or row["id"], f"{row['score']:.2f}"],
        )
        for row in garments.to_dict("records")
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    save_png(
        stacked([explained(photo, reasons, ""), *([strip(shown, COLUMNS)] if shown else [])]), file
    )


def predict(*, model: Path, arguments: Sequence[str]) -> dict[str, Any]:
    """Return the answer to ``--text T``, ``--image FILE`` or both; ``--top N`` garments, ``--board FILE.png`` draws it.

    Returns:
        ``answer`` (head → label and probabilities), ``because`` (words, place in the photo, what each input says alone),
        ``garments`` (id, product, name, labels, score).

    Raises:
        ValueError: neither text nor photo is given, the model cannot use what is given, or the photo cannot be read.
    """
    parser = argparse.ArgumentParser(
        prog="beauty predict tryon",
        description="Garment, attributes and garments on sale for a text and a photo.",
    )
    parser.add_argument("--text", default="", help="what the shopper writes")
    parser.add_argument("--image", help="the shopper's photo")
    parser.add_argument("--top", type=int, default=10, help="garments on sale, at most")
    parser.add_argument(
        "--board",
        type=Path,
        help="a PNG file with what decided, drawn on the photo, and the garments",
    )
    options = parser.parse_args(arguments)
    text = normalize(options.text)
    photo = images.shrink(picture(options.image), SIDE) if options.image else None
    if not text and photo is None:
        raise ValueError("give --text, --image or both")
    stylist = load(model)
    given = [name for name, there in (("text", text), ("image", photo)) if there]
    if not set(given) & set(stylist.widths):
        raise ValueError(
            f"this model has learned from {' and '.join(stylist.widths)} only: give --{next(iter(stylist.widths))}"
        )
    with tempfile.TemporaryDirectory(prefix="beauty-") as folder:
        shards.write(Path(folder), PHOTO, [(PHOTO, images.encode(photo, 95))] if photo else [])
        pictures, key = shards.Pictures(Path(folder), PHOTO), PHOTO if photo else ""
        answer, reasons = (
            stylist.predict([text], [key], pictures, ""),
            explain(stylist, text, key, pictures),
        )
        garments = recommended(answer.features, model, options.top)
    if options.board:
        _board(options.board, photo, reasons, garments)
    columns = [name for name in garments.columns if name not in ("key", "text", "thumbnail")]
    rows = garments[columns].rename(columns=lambda name: name.removeprefix("label.")).astype(object)
    return {
        "answer": _labels(stylist, answer),
        "because": _reasons(reasons),
        "garments": [
            {
                name: round(value, 4) if name == "score" else value
                for name, value in row.items()
                if value is not None and value == value
            }
            for row in rows.to_dict("records")
        ],
    }
