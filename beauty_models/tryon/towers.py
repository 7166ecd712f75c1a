"""A text and an image network side by side, either of which may be missing, and what they make of many examples.

What does not change in training, the output of frozen layers and blocks, is computed once and kept on the disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from beauty_models import progress
from beauty_models.backbones import vision
from beauty_models.backbones.loading import from_pretrained, network
from beauty_models.backbones.vision import Vision
from beauty_models.device import device
from beauty_models.files import read_json, write_json
from beauty_models.intake.shards import Pictures, View
from beauty_models.training import bert
from beauty_models.training.augmentation import centre
from beauty_models.training.batches import Batch, by_length
from beauty_models.training.frozen_features import Activations
from beauty_models.tryon.fusion import Places

NAMES = ("text", "image")
ROWS = 32  # per batch where nothing is learned


def _width(model: PreTrainedModel) -> int:
    """Return how many features ``model`` has for each place."""
    return int(
        model.config.hidden_size
        if hasattr(model.config, "hidden_size")
        else model.timm_model.num_features
    )


class Towers(nn.Module):
    """The two networks. ``cards`` has what the registry must know of each; ``size`` is in pixels a side."""

    def __init__(
        self,
        text: PreTrainedModel | None,
        tokenizer: PreTrainedTokenizerFast | None,
        eye: Vision | None,
        cards: dict[str, dict[str, Any]],
        size: int,
        max_tokens: int,
    ) -> None:
        super().__init__()
        self.text, self.image = text, eye.model if eye else None
        self.tokenizer, self.eye, self.cards, self.size, self.max_tokens = (
            tokenizer,
            eye,
            cards,
            size,
            max_tokens,
        )
        self.widths = {
            name: _width(model)
            for name, model in (("text", self.text), ("image", self.image))
            if model is not None
        }

    def tokens(self, texts: Sequence[str]) -> list[torch.Tensor]:
        """Return the token ids of each text."""
        return bert.tokenize(self.tokenizer, texts, self.max_tokens) if self.tokenizer else []

    def read(self, rows: Sequence[torch.Tensor], stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the output [n, length, width] of the text network's first ``stop`` layers for token ids, and its mask."""
        assert self.text is not None and self.tokenizer is not None
        ids, mask = bert.pad(rows, self.tokenizer.pad_token_id)
        return bert.encode(self.text, self.text.embeddings(input_ids=ids), mask, 0, stop), mask

    def look(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the features by place [n, places, width] of uint8 ``pictures`` [n, 3, size, size]."""
        assert self.eye is not None
        return vision.grid(self.eye.model, self.eye.pixels(pictures))

    def look_twice(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the mean of the features of the pictures and, place by place, of their mirror images."""
        plain, mirrored = self.look(pictures), self.look(pictures.flip(-1))
        side = round(plain.shape[1] ** 0.5)
        mean: torch.Tensor = (plain + mirrored.unflatten(1, (side, side)).flip(2).flatten(1, 2)) / 2
        return mean

    def blank(self, name: str, count: int) -> Places:
        """Return ``count`` inputs of the kind ``name`` that are not there."""
        nothing = torch.zeros(count, dtype=torch.bool, device=device())
        return Places(
            torch.zeros(count, 1, self.widths[name], device=device()), ~nothing[:, None], nothing
        )

    def save_networks(self, folder: Path) -> None:
        """Write the networks to ``text`` and ``image`` in ``folder``, as transformers reads them, and their cards beside."""
        if self.text is not None and self.tokenizer is not None:
            self.text.save_pretrained(folder / "text")
            self.tokenizer.save_pretrained(folder / "text")
        if self.eye is not None:
            vision.save(self.eye, folder / "image")
        for name, card in self.cards.items():
            write_json(folder / f"{name}.json", card)


Networks = tuple[
    PreTrainedModel | None, PreTrainedTokenizerFast | None, Vision | None, dict[str, dict[str, Any]]
]


def load_networks(folder: Path) -> Networks:
    """Return text network, tokenizer, image network and the cards that `Towers.save_networks` wrote; None for what is not there."""
    text = (
        network(AutoModel, folder / "text", add_pooling_layer=False)
        if (folder / "text").exists()
        else None
    )
    tokenizer = from_pretrained(AutoTokenizer, folder / "text") if text is not None else None
    image = vision.load(str(folder / "image")) if (folder / "image").exists() else None
    return (
        text,
        tokenizer,
        image,
        {name: read_json(folder / f"{name}.json") for name in NAMES if (folder / name).exists()},
    )


class Inputs:
    """Examples as the networks see them; ``there`` [n] tells which have a text and which a picture ("" stands for none)."""

    def __init__(
        self, towers: Towers, texts: Sequence[str], keys: Sequence[str], pictures: Pictures
    ) -> None:
        self.towers, self.pictures, self.keys = towers, pictures, list(keys)
        self.there = {
            "text": torch.tensor([bool(text) for text in texts]),
            "image": torch.tensor([bool(key) for key in keys]),
        }
        self.rows = towers.tokens(texts)
        self.words: Activations | None = None
        self.patches: Activations | None = None
        self.depth = 0  # of the text network's layers that `words` holds the output of

    def compute(self, folder: Path, layers: int, blocks: int) -> None:
        """Compute once the output of the lowest text ``layers`` and, when ``blocks`` are all of the image network's, of that."""
        towers = self.towers.eval()
        if towers.text is not None:
            self.words, self.depth = (
                self._words(folder / "words.bin", layers) if layers else None,
                layers,
            )
        if towers.image is not None:
            still = blocks >= len(vision.blocks(towers.image))
            self.patches = (
                (self.patches or self._patches(folder / "patches.bin")) if still else None
            )

    @torch.no_grad()
    def _words(self, file: Path, layers: int) -> Activations:
        lengths = np.array([len(row) for row in self.rows], np.int64)
        kept = Activations(file, lengths, self.towers.widths["text"], torch.float32)
        with progress.bar("texts, once", len(lengths)) as bar:
            for batch in by_length(lengths, ROWS):
                kept.write(batch, self.towers.read([self.rows[i] for i in batch], layers)[0])
                bar.advance(len(batch))
        return kept

    @torch.no_grad()
    def _patches(self, file: Path) -> Activations:
        shown = np.flatnonzero(self.there["image"])
        places = self.towers.look(
            torch.zeros(1, 3, self.towers.size, self.towers.size, dtype=torch.uint8)
        ).shape[1]
        kept = Activations(
            file,
            np.where(self.there["image"], places, 1).astype(np.int64),
            self.towers.widths["image"],
            torch.bfloat16,
        )
        with progress.bar("pictures, once", len(shown)) as bar:
            for start in range(0, len(shown), ROWS):
                batch = shown[start : start + ROWS]
                kept.write(batch, self.towers.look_twice(self._seen(batch, None)))
                bar.advance(len(batch))
        return kept

    def _seen(self, batch: Batch, view: View | None, size: int | None = None) -> torch.Tensor:
        """Return the pictures of rows ``batch`` as uint8 [n, 3, size, size], black where none is there; the middle without a ``view``."""
        size = size or self.towers.size
        seen = torch.zeros(len(batch), 3, size, size, dtype=torch.uint8)
        seen[self.there["image"][batch]] = self.pictures.tensor(
            [self.keys[i] for i in batch if self.keys[i]], size, view or centre(size)
        )
        return seen

    def take(
        self, batch: Batch, view: View | None = None, size: int | None = None
    ) -> dict[str, Places]:
        """Return what the networks make of rows ``batch``; pictures as ``view``, ``size`` pixels a side, shows them.

        Without a view: the middle of the picture and its mirror image.
        """
        return {
            name: self._text(batch) if name == "text" else self._image(batch, view, size)
            for name in self.towers.widths
        }

    def _text(self, batch: Batch) -> Places:
        there, text = self.there["text"][batch], self.towers.text
        if not there.any() or text is None:
            return self.towers.blank("text", len(batch))
        hidden, mask = (
            self.words.read(batch)
            if self.words
            else self.towers.read([self.rows[i] for i in batch], 0)
        )
        return Places(
            bert.encode(text, hidden, mask, self.depth, len(bert.layers(text))).float(),
            mask,
            there.to(device()),
        )

    def _image(self, batch: Batch, view: View | None, size: int | None) -> Places:
        there = self.there["image"][batch]
        if not there.any():
            return self.towers.blank("image", len(batch))
        if self.patches:
            values, mask = self.patches.read(batch)
            return Places(values.float(), mask, there.to(device()))
        seen = self._seen(batch, view, size)
        values = self.towers.look(seen) if view else self.towers.look_twice(seen)
        return Places(
            values,
            torch.ones(values.shape[:2], dtype=torch.bool, device=device()),
            there.to(device()),
        )


@contextmanager
def full_precision_above(model: PreTrainedModel | None, lowest: int) -> Iterator[None]:
    """Train the blocks of an image network from ``lowest`` on in float32 where that is faster.

    While the block runs they ignore autocast in every forward pass that gradients will go back
    through; the blocks below, and passes without gradients, do as autocast says. On a CPU bfloat16
    makes convolutions two to three times as fast forward, but depthwise ones four times as slow
    backward.
    """
    found = vision.blocks(model)[lowest:] if model is not None else []
    depthwise = model is not None and any(
        isinstance(part, nn.Conv2d) and part.groups > 1 for part in model.modules()
    )
    if not found or not depthwise or device().type != "cpu":
        yield
        return
    first = next(part for part in found[0].modules() if not isinstance(part, nn.ModuleList))
    before: list[bool] = []

    def rise(_: nn.Module, values: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        if not torch.is_grad_enabled():
            return values
        before.append(torch.is_autocast_enabled("cpu"))
        torch.set_autocast_enabled("cpu", False)
        return tuple(value.float() for value in values)

    def fall(_: nn.Module, values: Any, result: Any) -> None:
        if before:
            torch.set_autocast_enabled("cpu", before.pop())

    hooks = [first.register_forward_pre_hook(rise), model.register_forward_hook(fall)]  # type: ignore[union-attr]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
