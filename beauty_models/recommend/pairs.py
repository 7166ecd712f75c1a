"""Pairs of picture and caption as a dual encoder is fed with them; what is frozen of its towers is computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from beauty_models import progress
from beauty_models.device import device, precision
from beauty_models.intake.shards import Pictures
from beauty_models.recommend.openclip import Dual
from beauty_models.retrieval.features import colour_histogram
from beauty_models.training import bert
from beauty_models.training.augmentation import augmented
from beauty_models.training.batches import Batch, by_length
from beauty_models.training.finite import require_finite
from beauty_models.training.frozen_features import Activations

ROWS = 64  # pictures or texts at once where nothing is learned
BLOCK = 1000  # queries ranked at once


@dataclass(frozen=True)
class Rules:
    """How pairs are drawn and seen, and what of the towers is frozen."""

    seed: int
    weights: Mapping[str, float]  # kind of caption → how often it is drawn
    locked: bool  # the whole image tower
    views: int  # of each picture: the whole one, then augmented ones
    crop: tuple[float, float]
    colour: float
    frozen_layers: int  # of the text tower
    precision: str


def mrr(
    asked: torch.Tensor, gallery: torch.Tensor, rows: torch.Tensor, found: torch.Tensor
) -> float:
    """Return the mean reciprocal rank, 0 beyond 10, of the first right answer in the whole ``gallery`` [m, d] for ``asked`` [n, d].

    The pairs ``rows``, ``found`` say which rows of the gallery are right for which of ``asked``.
    """
    total = 0.0
    for start in range(0, len(asked), BLOCK):
        scores = asked[start : start + BLOCK] @ gallery.T
        mine = (rows >= start) & (rows < start + BLOCK)
        scores = scores.nan_to_num(nan=-torch.inf)
        right = torch.zeros_like(scores, dtype=torch.bool)
        right[rows[mine] - start, found[mine]] = True
        best = scores.masked_fill(~right, -torch.inf).amax(1, keepdim=True)
        ranks = 1 + ((scores >= best) & ~right).sum(1)  # a tie is no merit
        total += float(torch.where(ranks <= 10, 1 / ranks, 0.0).sum())
    return total / len(asked)


def colours(pictures: Pictures, keys: Sequence[str]) -> torch.Tensor:
    """Return the colour histograms [n, `features.COLOURS`] of the pictures ``keys``, seen whole."""
    return torch.from_numpy(np.stack([colour_histogram(pictures.image(key)) for key in keys]))


def blocks(count: int) -> list[Batch]:
    """Return the numbers from 0 to ``count``−1 in blocks of `ROWS`."""
    return np.split(np.arange(count), range(ROWS, count, ROWS))


class Pairs:
    """One split: its pictures, its distinct captions, which belong together, and what is frozen of them.

    Attributes:
        pairs: item, text (rows), kind, weight (of the caption among those of the item, adding up to 1).
        products: [items] the number of each item's product.
    """

    def __init__(self, items: pd.DataFrame, pictures: Pictures, dual: Dual, rules: Rules) -> None:
        self.pictures, self.dual, self.rules = pictures, dual, rules
        self.keys = items["image"].tolist()
        self.products = torch.from_numpy(pd.factorize(items["product"])[0])
        told = [
            (row, one["text"], one["kind"])
            for row, captions in enumerate(items["captions"])
            for one in captions
        ]
        self.texts = sorted({text for _, text, _ in told})
        place = {text: number for number, text in enumerate(self.texts)}
        self.pairs = pd.DataFrame(
            [(row, place[text], kind) for row, text, kind in told], columns=["item", "text", "kind"]
        )
        weight = self.pairs["kind"].map(rules.weights) / self.pairs.groupby(["item", "kind"])[
            "text"
        ].transform("size")
        weight += 1e-9  # an item that has only kinds of weight 0 still has captions
        self.pairs["weight"] = weight / weight.groupby(self.pairs["item"]).transform("sum")
        self._until = (
            self.pairs["item"] + self.pairs.groupby("item")["weight"].cumsum()
        ).to_numpy()  # a line with one unit per item
        self.tokens = [dual.tokens([text])[0] for text in self.texts]
        self.lengths = np.array([len(row) for row in self.tokens], np.int64)
        self.colours = colours(pictures, self.keys) if dual.palette is not None else None
        self._image: Activations | None = None
        self._text: Activations | None = None

    @property
    def _transformer(self) -> Any:
        return self.dual.clip.text.transformer

    @torch.no_grad()
    def freeze(self, folder: Path, name: str) -> None:
        """Compute once what the frozen parts of the towers make of every picture, in each of its views, and of every caption."""
        with precision(self.rules.precision):
            kind = torch.bfloat16 if torch.is_autocast_enabled(device().type) else torch.float32
            if self.rules.locked:
                width = self.dual.trunk(self.dual.pixels(self.seen(np.arange(1), 0))).shape[1]
                image = Activations(
                    folder / f"{name}.image.bin",
                    np.full(len(self.keys), self.rules.views, np.int64),
                    width,
                    kind,
                )
                with progress.bar(f"finetune: {name}, pictures once", len(self.keys)) as bar:
                    for rows in blocks(len(self.keys)):
                        views = [
                            self.dual.trunk(self.dual.pixels(self.seen(rows, view)))
                            for view in range(self.rules.views)
                        ]
                        image.write(rows, torch.stack(views, 1))
                        bar.advance(len(rows))
                self._image = image
            if self.rules.frozen_layers:
                text = Activations(
                    folder / f"{name}.text.bin",
                    self.lengths,
                    self._transformer.config.hidden_size,
                    kind,
                )
                with progress.bar(f"finetune: {name}, captions once", len(self.texts)) as bar:
                    for batch in by_length(self.lengths, ROWS):
                        hidden, mask = self._hidden(batch)
                        text.write(
                            batch,
                            bert.encode(
                                self._transformer, hidden, mask, 0, self.rules.frozen_layers
                            ),
                        )
                        bar.advance(len(batch))
                self._text = text

    def seen(self, rows: Batch, view: int, step: int = 0) -> torch.Tensor:
        """Return the pictures of items ``rows`` as uint8: view 0 shows them whole, the others cropped and in another light."""
        random = augmented(
            self.dual.size,
            self.rules.seed + view,
            step,
            scale=self.rules.crop,
            colour=self.rules.colour,
        )
        chosen = random if view else self.dual.view
        return self.pictures.tensor(
            [self.keys[row] for row in rows],
            self.dual.size,
            lambda image, place: chosen(image, int(rows[place])),
        )

    def features(self, rows: Batch, step: int | None = None, view: int = 0) -> torch.Tensor:
        """Return the features [n, width] of items ``rows`` before the projection, in the views of ``step``, or all in one ``view``.

        With a locked tower a step takes for each item one of the views that were computed once, else a view of its own.
        """
        with precision(self.rules.precision):
            if self._image is None:
                return self.dual.trunk(
                    self.dual.pixels(
                        self.seen(
                            rows, view if step is None else min(1, self.rules.views - 1), step or 0
                        )
                    )
                )
            kept, _ = self._image.read(rows)
            views = np.full(len(rows), view, np.int64)
            if step is not None:
                views = np.random.default_rng((self.rules.seed, step)).integers(
                    0, self.rules.views, len(self.keys)
                )[rows]
            return kept[torch.arange(len(rows)), torch.from_numpy(views)]

    def _hidden(self, rows: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the input [n, length, width] of the first text layer that is not frozen, and its mask."""
        if self._text:
            return self._text.read(rows)
        ids, mask = bert.pad(
            [self.tokens[row] for row in rows], self.dual.clip.text.config.pad_token_id
        )
        embedded: torch.Tensor = self._transformer.embeddings(input_ids=ids)
        return embedded, mask

    def means(self, rows: Batch) -> torch.Tensor:
        """Return the features [n, width] of captions ``rows`` before the projection of a BERT: the mean over their tokens."""
        with precision(self.rules.precision):
            hidden, mask = self._hidden(rows)
            return bert.mean(
                bert.encode(
                    self._transformer,
                    hidden,
                    mask,
                    self.rules.frozen_layers,
                    len(bert.layers(self._transformer)),
                ),
                mask,
            )

    def embed_images(self, rows: Batch, step: int | None = None) -> torch.Tensor:
        """Return the normalised embeddings [n, d] of items ``rows``, in the views of ``step``, or seen whole."""
        features = self.features(rows, step)
        with precision(self.rules.precision):
            projected = self.dual.head(features).float()
            if self.colours is not None and self.dual.palette is not None:
                projected = projected + self.dual.palette(self.colours[rows].to(device())).float()
            return functional.normalize(projected, dim=-1)

    def embed_texts(self, rows: Batch) -> torch.Tensor:
        """Return the normalised embeddings [n, d] of captions ``rows``."""
        with precision(self.rules.precision):
            if self.dual.is_bert:
                found = self.dual.clip.text.proj(self.means(rows))
            else:
                found = self.dual.clip.encode_text(
                    torch.stack([self.tokens[row] for row in rows]).to(device())
                )
            return functional.normalize(found.float(), dim=-1)

    def drawn(self, items: Batch, step: int) -> Batch:
        """Return a caption for each of ``items``, drawn by its weight; the draw depends on the seed and ``step`` alone."""
        point = (
            items + np.random.default_rng((self.rules.seed, step, 1)).random(len(self.keys))[items]
        )
        found: Batch = self.pairs["text"].to_numpy()[
            np.minimum(np.searchsorted(self._until, point), len(self.pairs) - 1)
        ]
        return found

    @torch.no_grad()
    def score(self) -> float:
        """Return the mean of MRR@10 from caption to picture and from picture to caption, everything in the part being the gallery."""
        images = torch.cat([self.embed_images(rows) for rows in blocks(len(self.keys))])
        texts = torch.zeros(len(self.texts), images.shape[1], device=images.device)
        for rows in by_length(self.lengths, ROWS):
            texts[rows] = self.embed_texts(rows)
        require_finite(images, "finetune: the embeddings of pictures")
        require_finite(texts, "finetune: the embeddings of captions")
        text, item = (
            torch.tensor(self.pairs[name].tolist(), device=images.device)
            for name in ("text", "item")
        )
        return (mrr(texts, images, text, item) + mrr(images, texts, item, text)) / 2
