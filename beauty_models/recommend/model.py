"""The network: an open_clip dual encoder, what embeds a catalogue with it, and the saved folder with its index.

A saved model is a folder in the layout of open_clip's ``local-dir:`` (see `recommend.openclip`) with ``recommender.json``,
``gallery.parquet`` (the items and small pictures of them) and ``products.faiss`` (their embeddings, row by row).
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from beauty_models import progress
from beauty_models.backbones import text as text_backbones
from beauty_models.backbones.vocabulary import trim
from beauty_models.device import device, precision
from beauty_models.files import new_folder, read_json, write_json
from beauty_models.intake.images import encode
from beauty_models.intake.shards import Pictures
from beauty_models.params import Index
from beauty_models.recommend import openclip
from beauty_models.recommend.openclip import Dual
from beauty_models.recommend.pairs import colours
from beauty_models.retrieval import index
from beauty_models.training.finite import require_finite

ROWS = 64  # pictures or texts at once where nothing is learned
RECENCY = 0.8  # weight of a purchase beside that of the next one
THUMBNAIL = 160  # pixels, the longer side of the gallery's pictures
SHOWN = [
    "key",
    "product",
    "skus",
    "name",
    "category",
    "color",
    "material",
    "price",
    "attributes",
]  # columns of the gallery
Floats = NDArray[np.float32]


def normalise(vectors: NDArray[Any]) -> Floats:
    """Return ``vectors`` [n, d] with length 1; zero stays zero."""
    return np.asarray(
        vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12), np.float32
    )


def recency(length: int) -> NDArray[np.float64]:
    """Return the weights of a shopper's products, the latest last: each counts `RECENCY` of the next."""
    return np.asarray(RECENCY ** np.arange(length - 1, -1, -1))


class Recommender:
    """Pictures and texts → one space. ``image_share`` of a product's embedding is its picture's, the rest its text's."""

    def __init__(self, dual: Dual, image_share: float) -> None:
        self.dual, self.image_share = dual, image_share

    @property
    def clip(self) -> Any:
        """The open_clip model."""
        return self.dual.clip

    @property
    def card(self) -> dict[str, Any]:
        """What the model stands on, with its licence."""
        return self.dual.card

    @torch.inference_mode()
    def embed_images(self, pictures: Pictures, keys: Sequence[str], title: str = "") -> Floats:
        """Return the normalised embeddings [n, d] of the pictures ``keys``; ``title`` shows a bar."""
        self.clip.eval().to(device())
        found = np.zeros((len(keys), self.dual.dimension), np.float32)
        with progress.bar(title, len(keys)) if title else nullcontext() as bar, precision("auto"):
            for start in range(0, len(keys), ROWS):
                some = keys[start : start + ROWS]
                seen = self.clip.encode_image(
                    self.dual.pixels(pictures.tensor(some, self.dual.size, self.dual.view))
                ).float()
                if self.dual.palette is not None:
                    seen = seen + self.dual.palette(colours(pictures, some).to(device())).float()
                found[start : start + ROWS] = seen.cpu().numpy()
                if bar:
                    bar.advance(len(some))
        require_finite(torch.from_numpy(found), "the embeddings of pictures")
        return normalise(found)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str], title: str = "") -> Floats:
        """Return the normalised embeddings [n, d] of ``texts``; those of like length go through the tower together."""
        self.clip.eval().to(device())
        found = np.zeros((len(texts), self.dual.dimension), np.float32)
        order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
        with progress.bar(title, len(texts)) if title else nullcontext() as bar, precision("auto"):
            for start in range(0, len(order), ROWS):
                some = order[start : start + ROWS]
                found[some] = (
                    self.clip.encode_text(
                        self.dual.tokens([texts[row] for row in some]).to(device())
                    )
                    .float()
                    .cpu()
                    .numpy()
                )
                if bar:
                    bar.advance(len(some))
        require_finite(torch.from_numpy(found), "the embeddings of texts")
        return normalise(found)

    def embed_items(
        self, items: pd.DataFrame, pictures: Pictures, title: str = ""
    ) -> tuple[Floats, Floats]:
        """Return the embeddings [n, d] of the pictures of ``items`` and of their captions (the mean over an item's captions)."""
        texts = sorted({caption["text"] for captions in items["captions"] for caption in captions})
        place = {text: row for row, text in enumerate(texts)}
        embedded = self.embed_texts(texts, f"{title} texts" if title else "")
        means = [
            embedded[[place[caption["text"]] for caption in captions]].mean(0)
            for captions in items["captions"]
        ]
        return self.embed_images(
            pictures, items["image"].tolist(), f"{title} pictures" if title else ""
        ), normalise(np.stack(means))

    def fuse(self, image: NDArray[Any], text: NDArray[Any]) -> Floats:
        """Return product embeddings [n, d] from those of pictures and texts (Marqo's weighted mean)."""
        return normalise(self.image_share * image + (1 - self.image_share) * text)


def gallery(
    recommender: Recommender, items: pd.DataFrame, pictures: Pictures
) -> tuple[pd.DataFrame, Floats]:
    """Return the table of what can be recommended, with a thumbnail each, and the product embeddings [n, d]."""

    def small(key: str) -> bytes:
        return encode(
            ImageOps.contain(pictures.image(key), (THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS),
            85,
        )

    image, text = recommender.embed_items(items, pictures, "finetune: gallery,")
    table = (
        items[SHOWN].assign(thumbnail=[small(key) for key in items["image"]]).reset_index(drop=True)
    )
    return table, recommender.fuse(image, text)


def save(
    recommender: Recommender,
    folder: Path,
    shown: tuple[pd.DataFrame, Floats],
    history: list[dict[str, float]],
    rules: Index,
) -> None:
    """Write ``recommender``, what `gallery` made, its faiss index and the ``history`` of the training, whole or not at all.

    Raises:
        OSError: the disk is full; what was in ``folder`` before is untouched.
    """
    table, embeddings = shown
    with new_folder(folder) as temporary:
        openclip.save(recommender.dual, temporary)
        write_json(temporary / "recommender.json", {"image_share": recommender.image_share})
        write_json(temporary / "history.json", history)
        table.to_parquet(temporary / "gallery.parquet", index=False)
        index.write(index.build(embeddings, **rules.model_dump()), temporary / "products.faiss")


def load(folder: Path) -> Recommender:
    """Return the recommender saved in ``folder``.

    Raises:
        ValueError: the folder is not a saved recommender.
    """
    stated = read_json(folder / "recommender.json")
    return Recommender(openclip.load(folder), stated["image_share"])


def build(
    *,
    image: str,
    text: str,
    scratch: Mapping[str, int],
    size: int,
    dimension: int,
    max_tokens: int,
    vocabulary: int,
    texts: Sequence[str],
) -> Dual:
    """Return the dual encoder of two towers that `Pretrain` describes; the text tower keeps the tokens that ``texts`` use.

    Raises:
        ValueError: a base cannot be loaded.
    """
    if text == "scratch":
        backbone = text_backbones.scratch(texts, max_tokens=max_tokens, **scratch)
    else:
        backbone = text_backbones.load(text)
        if vocabulary:
            frequent = backbone.tokenizer.convert_ids_to_tokens(
                range(min(vocabulary, len(backbone.tokenizer)))
            )
            backbone = trim(
                backbone,
                [*texts, *(piece.replace("▁", " ").removeprefix("##") for piece in frequent)],
            )
    dual = openclip.towers(image, backbone, size=size, dimension=dimension, max_tokens=max_tokens)
    towers = {
        "image": image,
        "text": text,
        "scratch": dict(scratch),
        "size": size,
        "dimension": dimension,
        "max_tokens": max_tokens,
    }
    dual.card |= {"towers": towers}
    return dual


def untuned(card: dict[str, Any]) -> Recommender:
    """Return what the recommender with this ``card`` was before any training: the pretrained dual encoder, or two towers as they came.

    Two towers that never met share no space. Their features stand side by side in the first dimensions of one: pictures
    compare with pictures and texts with texts as well as they can, pictures with texts by chance.

    Raises:
        ValueError: the base cannot be loaded.
    """
    if "towers" not in card:
        return Recommender(openclip.pretrained(card["base"]), 1.0)
    dual = build(**card["towers"], texts=[string.printable], vocabulary=0)
    openclip.side_by_side(dual)
    return Recommender(dual, 1.0)
