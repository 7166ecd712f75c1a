"""The network: an open_clip dual encoder, what embeds a catalogue with it, and the saved folder.

A saved model is a folder in the layout of open_clip's ``local-dir:`` (see `recommend.openclip`)
with ``recommender.json``, ``gallery.parquet`` (the items and small pictures of them) and
``products.faiss`` (their embeddings, row by row).
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

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
from beauty_models.recommend.openclip import DualEncoder
from beauty_models.recommend.pairs import INFERENCE_BATCH, color_histograms
from beauty_models.retrieval import index
from beauty_models.training.finite import require_finite

RECENCY_DECAY = 0.8  # weight of a purchase beside that of the next one
THUMBNAIL = 160  # pixels, the longer side of the gallery's pictures
# sharp enough for a board of 112 pixels, and a few kilobytes an item
THUMBNAIL_QUALITY = 85  # of a JPEG, 0 to 100
GALLERY_COLUMNS = [
    "key",
    "product",
    "skus",
    "name",
    "category",
    "color",
    "material",
    "price",
    "attributes",
]
Floats = NDArray[np.float32]


def normalize(vectors: NDArray[Any]) -> Floats:
    """Return ``vectors`` [n, d] with length 1; zero stays zero."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    # a row of zeros is "nothing was asked", see `serving`
    return np.asarray(vectors / np.maximum(norms, 1e-12), np.float32)


def recency_weights(length: int) -> NDArray[np.float64]:
    """Return the weights [length] of a shopper's products, the latest last.

    Each counts `RECENCY_DECAY` of the next.
    """
    return np.asarray(RECENCY_DECAY ** np.arange(length - 1, -1, -1))


class Recommender:
    """Pictures and texts → one space.

    ``image_share`` of a product's embedding is its picture's, the rest its text's.
    """

    def __init__(self, encoder: DualEncoder, image_share: float) -> None:
        self.encoder = encoder
        self.image_share = image_share

    @property
    def clip(self) -> Any:
        """The open_clip model."""
        return self.encoder.clip

    @property
    def card(self) -> dict[str, Any]:
        """What the model stands on, with its licence."""
        return self.encoder.card

    def _encode_images(self, pictures: Pictures, keys: Sequence[str]) -> torch.Tensor:
        # the same views and colors as in `pairs`, or training and serving would differ
        encoder = self.encoder
        batch = pictures.tensor(keys, encoder.size, encoder.inference_view)
        embeddings: torch.Tensor = self.clip.encode_image(encoder.pixels(batch)).float()
        if encoder.color_projection is not None:
            colors = color_histograms(pictures, keys).to(device())
            embeddings = embeddings + encoder.color_projection(colors).float()
        return embeddings

    @torch.inference_mode()
    def embed_images(
        self,
        pictures: Pictures,
        keys: Sequence[str],
        title: str = "",
    ) -> Floats:
        """Return the normalised embeddings [n, d] of the pictures ``keys``.

        ``title`` shows a bar.
        """
        self.clip.eval().to(device())
        embeddings = np.zeros((len(keys), self.encoder.dimension), np.float32)
        with progress.bar(title, len(keys)) if title else nullcontext() as bar, precision("auto"):
            for start in range(0, len(keys), INFERENCE_BATCH):
                batch = keys[start : start + INFERENCE_BATCH]
                encoded = self._encode_images(pictures, batch)
                embeddings[start : start + INFERENCE_BATCH] = encoded.cpu().numpy()
                if bar:
                    bar.advance(len(batch))
        # a NaN would rank as if it were nearest to nothing, and nobody would hear of it
        require_finite(torch.from_numpy(embeddings), "the embeddings of pictures")
        return normalize(embeddings)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str], title: str = "") -> Floats:
        """Return the normalised embeddings [n, d] of ``texts``; ``title`` shows a bar."""
        self.clip.eval().to(device())
        embeddings = np.zeros((len(texts), self.encoder.dimension), np.float32)
        # texts of like length go through the tower together: little is spent on padding
        order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
        with progress.bar(title, len(texts)) if title else nullcontext() as bar, precision("auto"):
            for start in range(0, len(order), INFERENCE_BATCH):
                rows = order[start : start + INFERENCE_BATCH]
                tokens = self.encoder.tokens([texts[row] for row in rows])
                encoded = self.clip.encode_text(tokens.to(device()))
                embeddings[rows] = encoded.float().cpu().numpy()
                if bar:
                    bar.advance(len(rows))
        require_finite(torch.from_numpy(embeddings), "the embeddings of texts")
        return normalize(embeddings)

    def embed_items(
        self,
        items: pd.DataFrame,
        pictures: Pictures,
        title: str = "",
    ) -> tuple[Floats, Floats]:
        """Return the embeddings [n, d] of the pictures of ``items`` and of their captions.

        Those of captions are the mean over an item's captions.
        """
        captions = [[caption["text"] for caption in row] for row in items["captions"]]
        # many items share a caption, which is embedded once
        texts = sorted(set().union(*captions))
        embedded = self.embed_texts(texts, f"{title} texts" if title else "")
        row_of = {text: row for row, text in enumerate(texts)}
        means = []
        for item_captions in captions:
            rows = [row_of[text] for text in item_captions]
            means.append(embedded[rows].mean(0))
        keys = items["image"].tolist()
        images = self.embed_images(pictures, keys, f"{title} pictures" if title else "")
        return images, normalize(np.stack(means))

    def fuse(self, image: NDArray[Any], text: NDArray[Any]) -> Floats:
        """Return product embeddings [n, d] from those of pictures and texts: a weighted mean.

        As in Marqo's multimodal combination fields.
        """
        return normalize(self.image_share * image + (1 - self.image_share) * text)


class Gallery(NamedTuple):
    """What can be recommended, row by row."""

    table: pd.DataFrame  # `GALLERY_COLUMNS` and thumbnail, the bytes of a JPEG
    embeddings: Floats  # [n, d], of products


def build_gallery(
    recommender: Recommender,
    items: pd.DataFrame,
    pictures: Pictures,
) -> Gallery:
    """Return the gallery of ``items``."""

    def thumbnail(key: str) -> bytes:
        image = pictures.image(key)
        small = ImageOps.contain(image, (THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
        return encode(small, THUMBNAIL_QUALITY)

    # of all parts: the test products can be recommended, too
    image, text = recommender.embed_items(items, pictures, "finetune: gallery,")
    thumbnails = [thumbnail(key) for key in items["image"]]
    table = items[GALLERY_COLUMNS].assign(thumbnail=thumbnails).reset_index(drop=True)
    return Gallery(table, recommender.fuse(image, text))


def save(
    recommender: Recommender,
    folder: Path,
    gallery: Gallery,
    history: list[dict[str, float]],
    params: Index,
) -> None:
    """Write ``recommender``, ``gallery`` with its faiss index, and the ``history`` of the training.

    All of it is written, or nothing.

    Raises:
        OSError: the disk is full; what was in ``folder`` before is untouched.
    """
    with new_folder(folder) as temporary:
        openclip.save(recommender.encoder, temporary)
        write_json(temporary / "recommender.json", {"image_share": recommender.image_share})
        write_json(temporary / "history.json", history)
        gallery.table.to_parquet(temporary / "gallery.parquet", index=False)
        # in the order of the table: a row of one is a row of the other
        built = index.build(gallery.embeddings, **params.model_dump())
        index.write(built, temporary / "products.faiss")


def load(folder: Path) -> Recommender:
    """Return the recommender saved in ``folder``.

    Raises:
        ValueError: the folder is not a saved recommender.
    """
    # JSON and safetensors: nothing in the folder is run
    saved = read_json(folder / "recommender.json")
    return Recommender(openclip.load(folder), saved["image_share"])


def build_encoder(
    *,
    image: str,
    text: str,
    scratch: Mapping[str, int],
    size: int,
    dimension: int,
    max_tokens: int,
    vocabulary: int,
    texts: Sequence[str],
) -> DualEncoder:
    """Return the dual encoder of two towers that `Pretrain` describes.

    The text tower keeps the tokens that ``texts`` use, and its ``vocabulary`` most frequent ones.

    Raises:
        ValueError: a base cannot be loaded.
    """
    if text == "scratch":
        backbone = text_backbones.scratch(texts, max_tokens=max_tokens, **scratch)
    else:
        backbone = text_backbones.load(text)
        if vocabulary:
            # a tokenizer's ids fall with frequency; ▁ and ## mark where its pieces join
            frequent = range(min(vocabulary, len(backbone.tokenizer)))
            pieces = backbone.tokenizer.convert_ids_to_tokens(frequent)
            words = [piece.replace("▁", " ").removeprefix("##") for piece in pieces]
            backbone = trim(backbone, [*texts, *words])
    encoder = openclip.from_towers(
        image, backbone, size=size, dimension=dimension, max_tokens=max_tokens
    )
    # `untuned` builds the same towers again from what the card says
    encoder.card["towers"] = {
        "image": image,
        "text": text,
        "scratch": dict(scratch),
        "size": size,
        "dimension": dimension,
        "max_tokens": max_tokens,
    }
    return encoder


def untuned(card: dict[str, Any]) -> Recommender:
    """Return what the recommender with this ``card`` was before any training.

    That is the pretrained dual encoder, or two towers as they came. Two towers that never met share
    no space. Their features stand side by side in the first dimensions of one: pictures compare
    with pictures and texts with texts as well as they can, pictures with texts by chance.

    Raises:
        ValueError: the base cannot be loaded.
    """
    if "towers" not in card:
        return Recommender(openclip.load_pretrained(card["base"]), 1.0)
    # the whole vocabulary: what was trimmed away in training is here for new texts
    encoder = build_encoder(**card["towers"], texts=[string.printable], vocabulary=0)
    openclip.set_identity_projections(encoder)
    return Recommender(encoder, 1.0)
