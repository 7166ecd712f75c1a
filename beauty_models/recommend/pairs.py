"""Pairs of picture and caption as a dual encoder is fed with them.

What is frozen of its towers is computed once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from beauty_models import progress
from beauty_models.device import device, precision
from beauty_models.intake.shards import Pictures
from beauty_models.recommend import Finetune
from beauty_models.recommend.openclip import DualEncoder
from beauty_models.retrieval.features import color_histogram
from beauty_models.training import bert
from beauty_models.training.augmentation import random_augmentation
from beauty_models.training.batches import Batch, batches_by_length
from beauty_models.training.finite import require_finite
from beauty_models.training.frozen_features import Activations

INFERENCE_BATCH = 64  # pictures or texts at once where nothing is learned
RANKED_AT_ONCE = 1000  # queries
MRR_CUTOFF = 10


@dataclass(frozen=True)
class PairParams:
    """How pairs are drawn and seen, and what of the towers is frozen."""

    seed: int
    caption_weights: Mapping[str, float]  # kind of caption → how often it is drawn
    locked: bool  # the whole image tower
    views: int  # of each picture: the whole one, then augmented ones
    random_resized_crop: tuple[float, float]
    color_jitter: float
    frozen_layers: int  # of the text tower
    precision: str

    @classmethod
    def from_section(cls, section: Finetune) -> Self:
        """Return what a block ``finetune`` of params.yaml says of pairs."""
        return cls(
            section.seed,
            section.captions.model_dump(),
            section.locked,
            section.views,
            section.random_resized_crop,
            section.color_jitter,
            section.frozen_layers,
            section.precision,
        )


def mean_reciprocal_rank(
    queries: torch.Tensor,
    gallery: torch.Tensor,
    query: torch.Tensor,
    relevant: torch.Tensor,
) -> float:
    """Return the mean over ``queries`` [n, d] of 1 / rank of the first right answer, 0 beyond 10.

    The whole ``gallery`` [m, d] is ranked.

    Args:
        query, relevant: pairs of rows; row ``relevant`` of the gallery is right for row ``query``.
    """
    total = 0.0
    for start in range(0, len(queries), RANKED_AT_ONCE):
        scores = queries[start : start + RANKED_AT_ONCE] @ gallery.T
        # NaN compares as false with everything: it would rank first
        scores = scores.nan_to_num(nan=-torch.inf)
        in_block = (query >= start) & (query < start + RANKED_AT_ONCE)
        right = torch.zeros_like(scores, dtype=torch.bool)
        right[query[in_block] - start, relevant[in_block]] = True
        best = scores.masked_fill(~right, -torch.inf).amax(1, keepdim=True)
        # A tie counts against the model: zero embeddings once had an MRR@10 of 1.
        ranks = 1 + ((scores >= best) & ~right).sum(1)
        total += float(torch.where(ranks <= MRR_CUTOFF, 1 / ranks, 0.0).sum())
    return total / len(queries)


def color_histograms(pictures: Pictures, keys: Sequence[str]) -> torch.Tensor:
    """Return the color histograms [n, `features.COLORS`] of the pictures ``keys``, seen whole."""
    histograms = [color_histogram(pictures.image(key)) for key in keys]
    return torch.from_numpy(np.stack(histograms))


def row_blocks(count: int) -> list[Batch]:
    """Return the numbers from 0 to ``count``−1 in blocks of `INFERENCE_BATCH`."""
    return np.split(np.arange(count), range(INFERENCE_BATCH, count, INFERENCE_BATCH))


def _caption_pairs(
    items: pd.DataFrame, caption_weights: Mapping[str, float]
) -> tuple[list[str], pd.DataFrame]:
    """Return the distinct captions of ``items``, sorted, and the table `ImageTextPairs.pairs`."""
    # a row for each caption, with the number of its item as index
    captions = items["captions"].reset_index(drop=True).explode().dropna()
    kinds = [caption["kind"] for caption in captions]
    text, texts = pd.factorize(
        np.array([caption["text"] for caption in captions], object), sort=True
    )
    pairs = pd.DataFrame({"item": captions.index, "text": text, "kind": kinds})
    # a kind has its weight however many captions of it an item has
    captions_of_kind = pairs.groupby(["item", "kind"])["text"].transform("size")
    weight = pairs["kind"].map(caption_weights) / captions_of_kind
    weight += 1e-9  # an item that has only kinds of weight 0 still has captions
    pairs["weight"] = weight / weight.groupby(pairs["item"]).transform("sum")
    return texts.tolist(), pairs


class ImageTextPairs:
    """One split: its pictures, its distinct captions, which belong together, and frozen features.

    Attributes:
        keys: [items] the picture of each item.
        texts: [texts] the distinct captions.
        pairs: item, text (rows), kind, weight (of the caption among those of the item, adding up
            to 1).
        products: [items] the number of each item's product.
        colors: [items, `features.COLORS`] color histograms, where the encoder takes them.
    """

    def __init__(
        self,
        items: pd.DataFrame,
        pictures: Pictures,
        encoder: DualEncoder,
        params: PairParams,
    ) -> None:
        self.pictures = pictures
        self.encoder = encoder
        self.params = params
        self.keys: list[str] = items["image"].tolist()
        self.products = torch.from_numpy(pd.factorize(items["product"])[0])
        self.texts, self.pairs = _caption_pairs(items, params.caption_weights)
        # Cumulative weights of all captions in the order of items: item i's go from i to i + 1.
        cumulative = self.pairs.groupby("item")["weight"].cumsum()
        self._cumulative_weights = (self.pairs["item"] + cumulative).to_numpy()
        # one by one: each keeps its own length, and batches are padded to their longest
        self.tokens = [encoder.tokens([text])[0] for text in self.texts]
        self.lengths = np.array([len(row) for row in self.tokens], np.int64)
        self.colors: torch.Tensor | None = None
        if encoder.color_projection is not None:
            self.colors = color_histograms(pictures, self.keys)
        self._image_cache: Activations | None = None
        self._text_cache: Activations | None = None

    @property
    def _transformer(self) -> Any:
        return self.encoder.clip.text.transformer

    @torch.no_grad()
    def cache_frozen_features(self, folder: Path, name: str) -> None:
        """Compute once what the frozen parts of the towers make of pictures and captions.

        Every picture is computed in each of its views.

        Args:
            folder: where the features are kept while this process runs.
            name: of the split, for files and messages.
        """
        # kept in the precision of the step that reads them: half the disk where it is bfloat16
        with precision(self.params.precision):
            half = torch.is_autocast_enabled(device().type)
            dtype = torch.bfloat16 if half else torch.float32
            if self.params.locked:
                self._image_cache = self._cached_images(folder, name, dtype)
            if self.params.frozen_layers:
                self._text_cache = self._cached_texts(folder, name, dtype)

    def _cached_images(
        self,
        folder: Path,
        name: str,
        dtype: torch.dtype,
    ) -> Activations:
        views = self.params.views
        first = self._trunk_features(np.arange(1), view=0)
        counts = np.full(len(self.keys), views, np.int64)
        cache = Activations(folder / f"{name}.image.bin", counts, first.shape[1], dtype)
        with progress.bar(f"finetune: {name}, pictures once", len(self.keys)) as bar:
            for rows in row_blocks(len(self.keys)):
                features = [self._trunk_features(rows, view) for view in range(views)]
                cache.write(rows, torch.stack(features, 1))
                bar.advance(len(rows))
        return cache

    def _cached_texts(
        self,
        folder: Path,
        name: str,
        dtype: torch.dtype,
    ) -> Activations:
        width = self._transformer.config.hidden_size
        cache = Activations(folder / f"{name}.text.bin", self.lengths, width, dtype)
        with progress.bar(f"finetune: {name}, captions once", len(self.texts)) as bar:
            for rows in batches_by_length(self.lengths, INFERENCE_BATCH):
                embedded, mask = self._embedded_tokens(rows)
                frozen = bert.encode(
                    self._transformer, embedded, mask, 0, self.params.frozen_layers
                )
                cache.write(rows, frozen)
                bar.advance(len(rows))
        return cache

    def image_batch(
        self,
        rows: Batch,
        view: int,
        step: int = 0,
    ) -> torch.Tensor:
        """Return the pictures of items ``rows``, uint8 [n, 3, size, size].

        View 0 shows them whole, the others cropped and in another light.
        """
        size = self.encoder.size
        chosen = self.encoder.inference_view
        if view:
            chosen = random_augmentation(
                size,
                self.params.seed + view,
                step,
                crop_scale=self.params.random_resized_crop,
                color_jitter=self.params.color_jitter,
            )
        keys = [self.keys[row] for row in rows]
        # augmentation is seeded by the item, not by its place in the batch
        return self.pictures.tensor(
            keys, size, lambda image, place: chosen(image, int(rows[place]))
        )

    def _trunk_features(
        self,
        rows: Batch,
        view: int,
        step: int = 0,
    ) -> torch.Tensor:
        pixels = self.encoder.pixels(self.image_batch(rows, view, step))
        return self.encoder.trunk(pixels)

    def image_features(
        self,
        rows: Batch,
        step: int | None = None,
        view: int = 0,
    ) -> torch.Tensor:
        """Return the features [n, width] of items ``rows`` before the projection.

        They are in the views of ``step``, or all in one ``view``. With a locked tower a step takes
        for each item one of the views that were computed once, else a view of its own.
        """
        with precision(self.params.precision):
            if self._image_cache is None:
                if step is None:
                    return self._trunk_features(rows, view)
                return self._trunk_features(rows, min(1, self.params.views - 1), step)
            features, _ = self._image_cache.read(rows)
            views = np.full(len(rows), view, np.int64)
            if step is not None:
                # drawn for all items, so that an item's view does not depend on its batch
                random = np.random.default_rng((self.params.seed, step))
                views = random.integers(0, self.params.views, len(self.keys))[rows]
            return features[torch.arange(len(rows)), torch.from_numpy(views)]

    def _embedded_tokens(self, rows: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the input [n, length, width] of the first layer that learns, and its mask."""
        if self._text_cache is not None:
            return self._text_cache.read(rows)
        tokens = [self.tokens[row] for row in rows]
        ids, mask = bert.pad(tokens, self.encoder.clip.text.config.pad_token_id)
        embedded: torch.Tensor = self._transformer.embeddings(input_ids=ids)
        return embedded, mask

    def text_features(self, rows: Batch) -> torch.Tensor:
        """Return a BERT's features [n, width] of captions ``rows`` before the projection.

        They are the mean over the caption's tokens.
        """
        with precision(self.params.precision):
            embedded, mask = self._embedded_tokens(rows)
            layers = len(bert.layers(self._transformer))
            hidden = bert.encode(
                self._transformer, embedded, mask, self.params.frozen_layers, layers
            )
            return bert.mean_pool(hidden, mask)

    def embed_images(self, rows: Batch, step: int | None = None) -> torch.Tensor:
        """Return the normalised embeddings [n, d] of items ``rows``.

        The pictures are in the views of ``step``, or seen whole.
        """
        features = self.image_features(rows, step)
        with precision(self.params.precision):
            projected = self.encoder.head(features).float()
            if self.colors is not None and self.encoder.color_projection is not None:
                colors = self.colors[rows].to(device())
                projected = projected + self.encoder.color_projection(colors).float()
            return functional.normalize(projected, dim=-1)

    def embed_texts(self, rows: Batch) -> torch.Tensor:
        """Return the normalised embeddings [n, d] of captions ``rows``."""
        with precision(self.params.precision):
            if self.encoder.is_bert:
                projected = self.encoder.clip.text.proj(self.text_features(rows))
            else:
                tokens = torch.stack([self.tokens[row] for row in rows])
                projected = self.encoder.clip.encode_text(tokens.to(device()))
            return functional.normalize(projected.float(), dim=-1)

    def sample_captions(self, items: Batch, step: int) -> Batch:
        """Return a caption for each of ``items``, drawn by its weight.

        The draw depends on the seed and ``step`` alone.
        """
        random = np.random.default_rng((self.params.seed, step, 1))
        # inverse transform sampling: where a uniform number falls among the cumulative weights
        points = items + random.random(len(self.keys))[items]
        place = np.searchsorted(self._cumulative_weights, points)
        # rounding may leave the last weight a little below the last item's end
        place = np.minimum(place, len(self.pairs) - 1)
        captions: Batch = self.pairs["text"].to_numpy()[place]
        return captions

    @torch.no_grad()
    def retrieval_score(self) -> float:
        """Return the mean of MRR@10 from caption to picture and from picture to caption.

        The gallery is everything in the split.
        """
        blocks = [self.embed_images(rows) for rows in row_blocks(len(self.keys))]
        images = torch.cat(blocks)
        texts = torch.zeros(len(self.texts), images.shape[1], device=images.device)
        for rows in batches_by_length(self.lengths, INFERENCE_BATCH):
            texts[rows] = self.embed_texts(rows)
        require_finite(images, "finetune: the embeddings of pictures")
        require_finite(texts, "finetune: the embeddings of captions")
        # a caption of several items is right with any of them
        text = torch.tensor(self.pairs["text"].tolist(), device=images.device)
        item = torch.tensor(self.pairs["item"].tolist(), device=images.device)
        find_image = mean_reciprocal_rank(texts, images, text, item)
        find_text = mean_reciprocal_rank(images, texts, item, text)
        return (find_image + find_text) / 2
