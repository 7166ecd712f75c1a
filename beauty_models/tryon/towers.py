"""A text and an image network side by side, and what they make of many examples.

Either of the two may be missing. What does not change in training, the output of frozen layers and
blocks, is computed once and kept on the disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from beauty_models import progress
from beauty_models.backbones import vision as vision_backbones
from beauty_models.backbones.loading import from_pretrained, network
from beauty_models.backbones.vision import VisionBackbone
from beauty_models.device import device
from beauty_models.files import read_json, write_json
from beauty_models.intake.shards import Pictures, View
from beauty_models.training import bert
from beauty_models.training.augmentation import center_crop
from beauty_models.training.batches import Batch, batches_by_length
from beauty_models.training.frozen_features import Activations
from beauty_models.tryon.fusion import TokenFeatures

INPUTS = ("text", "image")
ROWS = 32  # per batch where nothing is learned

Card = dict[str, Any]
"""What the registry must know of a backbone: base, license, commercial_use."""


def _width(model: PreTrainedModel) -> int:
    """Return how many features ``model`` has for each token."""
    if hasattr(model.config, "hidden_size"):
        return int(model.config.hidden_size)
    return int(model.timm_model.num_features)  # timm's configuration does not say


class Networks(NamedTuple):
    """What the towers are made of; None for an input that the data do not have."""

    text: PreTrainedModel | None
    tokenizer: PreTrainedTokenizerFast | None
    vision: VisionBackbone | None
    cards: dict[str, Card]  # by input


class Towers(nn.Module):
    """The two networks. ``size`` is in pixels a side."""

    def __init__(
        self,
        text: PreTrainedModel | None,
        tokenizer: PreTrainedTokenizerFast | None,
        vision: VisionBackbone | None,
        cards: dict[str, Card],
        size: int,
        max_tokens: int,
    ) -> None:
        super().__init__()
        # `text` and `image` are the names of the weights, too: a saved model depends on them.
        self.text = text
        self.image = vision.model if vision else None
        self.tokenizer = tokenizer
        self.vision = vision
        self.cards = cards
        self.size = size
        self.max_tokens = max_tokens
        self.widths = {}
        if text is not None:
            self.widths["text"] = _width(text)
        if vision is not None:
            self.widths["image"] = _width(vision.model)

    def tokenize(self, texts: Sequence[str]) -> list[torch.Tensor]:
        """Return the token ids of each text."""
        return bert.tokenize(self.tokenizer, texts, self.max_tokens) if self.tokenizer else []

    def text_features(
        self, token_ids: Sequence[torch.Tensor], layers: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the output [n, length, width] of the text network's first ``layers``, its mask."""
        assert self.text is not None and self.tokenizer is not None
        ids, mask = bert.pad(token_ids, self.tokenizer.pad_token_id)
        embeddings = self.text.embeddings(input_ids=ids)
        return bert.encode(self.text, embeddings, mask, 0, layers), mask

    def image_features(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the features [n, places, width] of uint8 ``pictures`` [n, 3, size, size]."""
        assert self.vision is not None
        return vision_backbones.spatial_features(self.vision.model, self.vision.pixels(pictures))

    def image_features_flip_tta(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the mean of the features of the pictures and of their mirror images.

        Test-time augmentation by a flip; the mirror image's places are flipped back before.
        """
        # A garment is the same in a mirror: training sees both sides at random, serving the mean of
        # both. The views that were compared: docs/decisions/2026-11-25-tryon.md.
        plain = self.image_features(pictures)
        mirrored = self.image_features(pictures.flip(-1))
        side = round(plain.shape[1] ** 0.5)
        flipped_back = mirrored.unflatten(1, (side, side)).flip(2).flatten(1, 2)
        mean: torch.Tensor = (plain + flipped_back) / 2
        return mean

    def absent_input(self, name: str, count: int) -> TokenFeatures:
        """Return ``count`` inputs of the kind ``name`` that are not there."""
        absent = torch.zeros(count, dtype=torch.bool, device=device())
        # One token that counts as real: the mean over none would be NaN.
        values = torch.zeros(count, 1, self.widths[name], device=device())
        return TokenFeatures(values, ~absent[:, None], absent)

    def save_networks(self, folder: Path) -> None:
        """Write the networks to ``text`` and ``image`` in ``folder``, and their cards beside.

        transformers reads the networks.
        """
        if self.text is not None and self.tokenizer is not None:
            self.text.save_pretrained(folder / "text")
            self.tokenizer.save_pretrained(folder / "text")
        if self.vision is not None:
            vision_backbones.save(self.vision, folder / "image")
        for name, card in self.cards.items():
            write_json(folder / f"{name}.json", card)


def load_networks(folder: Path) -> Networks:
    """Return what `Towers.save_networks` wrote to ``folder``."""
    text = tokenizer = vision = None
    cards = {}
    # `ingest` found no texts, or no pictures: then there is no folder, and the model does without.
    if (folder / "text").exists():
        text = network(AutoModel, folder / "text", add_pooling_layer=False)
        tokenizer = from_pretrained(AutoTokenizer, folder / "text")
    if (folder / "image").exists():
        vision = vision_backbones.load(str(folder / "image"))
    for name in INPUTS:
        if (folder / name).exists():
            cards[name] = read_json(folder / f"{name}.json")
    return Networks(text, tokenizer, vision, cards)


class Inputs:
    """Examples as the networks see them.

    ``present`` tells of each input which examples [n] have it; "" stands for a text or a picture
    that is not there.
    """

    def __init__(
        self, towers: Towers, texts: Sequence[str], keys: Sequence[str], pictures: Pictures
    ) -> None:
        self.towers = towers
        self.pictures = pictures
        self.keys = list(keys)
        self.present = {
            "text": torch.tensor([bool(text) for text in texts]),
            "image": torch.tensor([bool(key) for key in keys]),
        }
        self.token_ids = towers.tokenize(texts)
        # What `compute_frozen` computed; None where the networks are asked each time.
        self.frozen_text: Activations | None = None
        self.frozen_layers = 0  # of the text network, whose output `frozen_text` holds
        self.frozen_image: Activations | None = None

    def compute_frozen(self, folder: Path, layers: int, blocks: int) -> None:
        """Compute once what does not change while training.

        That is the output of the lowest ``layers`` of the text network, and, when ``blocks`` are
        all of the image network's, of that.
        """
        towers = self.towers.eval()
        if towers.text is not None:
            self.frozen_text = None
            if layers:
                self.frozen_text = self._compute_text(folder / "words.bin", layers)
            self.frozen_layers = layers
        if towers.image is not None:
            all_frozen = blocks >= len(vision_backbones.blocks(towers.image))
            # While a block learns, training sees random views, so that the frozen blocks below have
            # other inputs each time. Only when all are frozen is the middle of a picture enough.
            if not all_frozen:
                self.frozen_image = None
            elif self.frozen_image is None:
                self.frozen_image = self._compute_image(folder / "patches.bin")

    @torch.no_grad()
    def _compute_text(self, file: Path, layers: int) -> Activations:
        lengths = np.array([len(ids) for ids in self.token_ids], np.int64)
        activations = Activations(file, lengths, self.towers.widths["text"], torch.float32)
        with progress.bar("texts, once", len(lengths)) as bar:
            for batch in batches_by_length(lengths, ROWS):
                token_ids = [self.token_ids[i] for i in batch]
                values, _ = self.towers.text_features(token_ids, layers)
                activations.write(batch, values)
                bar.advance(len(batch))
        return activations

    @torch.no_grad()
    def _compute_image(self, file: Path) -> Activations:
        size = self.towers.size
        black = torch.zeros(1, 3, size, size, dtype=torch.uint8)
        places = self.towers.image_features(black).shape[1]
        # A row without a picture takes one place, which is never looked at.
        present = self.present["image"].numpy()
        lengths = np.where(present, places, 1).astype(np.int64)
        # bfloat16 takes half the disk: EfficientNet-lite0 makes 49 × 1,280 numbers of a picture of
        # 224 pixels.
        activations = Activations(file, lengths, self.towers.widths["image"], torch.bfloat16)
        rows = np.flatnonzero(present)
        with progress.bar("pictures, once", len(rows)) as bar:
            for start in range(0, len(rows), ROWS):
                batch = rows[start : start + ROWS]
                pictures = self._pictures(batch, None)
                activations.write(batch, self.towers.image_features_flip_tta(pictures))
                bar.advance(len(batch))
        return activations

    def _pictures(self, batch: Batch, view: View | None, size: int | None = None) -> torch.Tensor:
        """Return the pictures of rows ``batch`` as uint8 [n, 3, size, size].

        Without a ``view`` their middle; black where there is none.
        """
        size = size or self.towers.size
        pictures = torch.zeros(len(batch), 3, size, size, dtype=torch.uint8)
        keys = [self.keys[i] for i in batch if self.keys[i]]
        pictures[self.present["image"][batch]] = self.pictures.tensor(
            keys, size, view or center_crop(size)
        )
        return pictures

    def encode_batch(
        self, batch: Batch, view: View | None = None, size: int | None = None
    ) -> dict[str, TokenFeatures]:
        """Return what the networks make of rows ``batch``, by input.

        Args:
            batch: numbers of rows.
            view: how pictures are seen; without one, their middle and its mirror image.
            size: pixels a side of the ``view``.
        """
        encoded = {}
        if self.towers.text is not None:
            encoded["text"] = self._encode_text(batch)
        if self.towers.image is not None:
            encoded["image"] = self._encode_image(batch, view, size)
        return encoded

    def _encode_text(self, batch: Batch) -> TokenFeatures:
        text = self.towers.text
        present = self.present["text"][batch]
        if text is None or not present.any():
            return self.towers.absent_input("text", len(batch))
        if self.frozen_text:
            hidden, mask = self.frozen_text.read(batch)
        else:
            token_ids = [self.token_ids[i] for i in batch]
            hidden, mask = self.towers.text_features(token_ids, 0)
        layers = len(bert.layers(text))
        values = bert.encode(text, hidden, mask, self.frozen_layers, layers)
        # Under autocast the networks return bfloat16; heads and fusions are small and precise.
        return TokenFeatures(values.float(), mask, present.to(device()))

    def _encode_image(self, batch: Batch, view: View | None, size: int | None) -> TokenFeatures:
        present = self.present["image"][batch]
        if not present.any():
            return self.towers.absent_input("image", len(batch))
        if self.frozen_image:
            values, mask = self.frozen_image.read(batch)
            return TokenFeatures(values.float(), mask, present.to(device()))
        pictures = self._pictures(batch, view, size)
        towers = self.towers
        encode = towers.image_features if view else towers.image_features_flip_tta
        values = encode(pictures)
        every_place = torch.ones(values.shape[:2], dtype=torch.bool, device=device())
        return TokenFeatures(values, every_place, present.to(device()))


@contextmanager
def full_precision_above(model: PreTrainedModel | None, lowest: int) -> Iterator[None]:
    """Train the blocks of an image network from ``lowest`` on in float32 where that is faster.

    While the block runs they ignore autocast in every forward pass that gradients will go back
    through; the blocks below, and passes without gradients, do as autocast says. On a CPU bfloat16
    makes convolutions two to three times as fast forward, but depthwise ones four times as slow
    backward.
    """
    if model is None or not _is_faster_in_full_precision(model, lowest):
        yield
        return
    # Hooks, because the library calls the blocks and offers no place between them. A list of
    # modules is never called, so the hook is on the first module within that is.
    lowest_block = vision_backbones.blocks(model)[lowest]
    first = next(
        module for module in lowest_block.modules() if not isinstance(module, nn.ModuleList)
    )
    before: list[bool] = []  # whether autocast was on, pushed here and popped behind

    def autocast_off(_: nn.Module, values: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        if not torch.is_grad_enabled():
            return values
        before.append(torch.is_autocast_enabled("cpu"))
        torch.set_autocast_enabled("cpu", False)
        return tuple(value.float() for value in values)

    def autocast_back(_: nn.Module, values: Any, result: Any) -> None:
        if before:
            torch.set_autocast_enabled("cpu", before.pop())

    hooks = [
        first.register_forward_pre_hook(autocast_off),
        model.register_forward_hook(autocast_back),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _is_faster_in_full_precision(model: PreTrainedModel, lowest: int) -> bool:
    """Return whether training the blocks from ``lowest`` on means depthwise convolutions on a CPU.

    Of 32 photos the learning blocks of EfficientNet-lite0 took 0.29 s backward in float32 and
    1.15 s in bfloat16, on a CPU with AVX-512 BF16.
    """
    learning = vision_backbones.blocks(model)[lowest:]
    if device().type != "cpu" or not learning:
        return False
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    return any(convolution.groups > 1 for convolution in convolutions)
