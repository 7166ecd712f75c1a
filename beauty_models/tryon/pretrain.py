"""Unsupervised pretraining on what the shop has: masked pictures and masked words."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from beauty_models import progress
from beauty_models.backbones import text as text_backbones
from beauty_models.backbones import vision as vision_backbones
from beauty_models.backbones.text import Backbone
from beauty_models.backbones.vision import VisionBackbone
from beauty_models.backbones.vocabulary import trim
from beauty_models.device import device, precision
from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.intake.shards import Pictures
from beauty_models.training import masked_language
from beauty_models.training.augmentation import center_crop, random_augmentation
from beauty_models.training.checkpoint import Checkpoint, fingerprint
from beauty_models.training.loop import train_steps
from beauty_models.training.optimization import Optimization, seed_step
from beauty_models.training.splits import hold_out
from beauty_models.tryon import Pretrain
from beauty_models.tryon.towers import ROWS, full_precision_above

HELD_OUT = 0.05  # share of pictures and of texts on which the loss before and after is measured
PARTS = ("train", "unlabelled")

History = list[dict[str, float]]


class Loss(NamedTuple):
    """What a network was worth on the held-out examples, before and after."""

    before: float
    after: float


class PretrainedImage(NamedTuple):
    """What `_pretrain_image` made."""

    backbone: VisionBackbone
    loss: Loss  # mean absolute error of hidden pixels, in standard deviations
    history: History


class PretrainedText(NamedTuple):
    """What `_pretrain_text` made."""

    backbone: Backbone
    loss: Loss  # nats per hidden word piece
    history: History


def hide(pictures: torch.Tensor, share: float, patch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Make ``share`` of the patches grey, the same number in every picture (Xie et al. 2022).

    Args:
        pictures: normalized, [n, 3, side, side].
        share: of the patches that is hidden.
        patch: pixels a side of a patch.

    Returns:
        The covered pictures, and the mask [n, 1, side, side] of what is hidden.
    """
    n, _, side, _ = pictures.shape
    cells = -(-side // patch)
    # Ranks of random numbers: exactly so many cells of each picture have a low one.
    rank = torch.rand(n, cells * cells).argsort(-1)
    hidden = rank < round(share * cells * cells)
    grid = hidden.view(n, 1, cells, cells).to(pictures.device)
    # Each cell becomes a square of pixels; the last ones stand out where the patch does not divide
    # the side.
    mask = grid.repeat_interleave(patch, 2).repeat_interleave(patch, 3)
    mask = mask[..., :side, :side]
    return pictures.masked_fill(mask, 0.0), mask


class PixelReconstruction(nn.Module):
    """An image network and one layer that predicts the pixels of each of its places (SimMIM)."""

    def __init__(self, vision: VisionBackbone, side: int) -> None:
        super().__init__()
        self.vision = vision
        self.network = vision.model
        self.side = side
        with torch.no_grad():
            black = torch.zeros(1, 3, side, side, device=device())
            features = vision_backbones.spatial_features(vision.model, black)
        _, places, width = features.shape
        self.across = round(places**0.5)
        self.stride = -(-side // self.across)
        self.predictor = nn.Linear(width, 3 * self.stride**2)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the predicted pixels for normalized ``pixels``, both [n, 3, side, side]."""
        features = vision_backbones.spatial_features(self.network, pixels)
        tiles = self.predictor(features).transpose(1, 2)
        rows_and_columns = tiles.unflatten(2, (self.across, self.across))
        pictures = nn.functional.pixel_shuffle(rows_and_columns, self.stride)
        # A stride that does not divide the side was rounded up.
        predicted: torch.Tensor = pictures[..., : self.side, : self.side]
        return predicted

    def loss(self, pictures: torch.Tensor, params: Pretrain) -> torch.Tensor:
        """Return the mean absolute error of the hidden pixels of uint8 ``pictures`` [n, 3, …].

        It is in standard deviations (SimMIM, eq. 1).
        """
        # Of the hidden ones only: copying what is seen teaches nothing.
        pixels = self.vision.pixels(pictures)
        covered, mask = hide(pixels, params.mask, params.patch)
        error = (self(covered).float() - pixels).abs()
        mean_error: torch.Tensor = error[mask.expand_as(pixels)].mean()
        return mean_error


@torch.no_grad()
def _held_out_loss(
    model: PixelReconstruction, pictures: Pictures, keys: list[str], params: Pretrain
) -> float:
    """Return the mean loss on the middle of each picture."""
    model.eval()
    view = center_crop(params.size)
    total = 0.0
    for start in range(0, len(keys), ROWS):
        # The same patches are hidden before and after; steps of the training count from 0.
        seed_step(params.seed, -1 - start)
        batch = keys[start : start + ROWS]
        with precision(params.precision):
            loss = model.loss(pictures.tensor(batch, params.size, view), params)
        total += loss.item() * len(batch)
    return total / len(keys)


def _train(
    model: PixelReconstruction,
    pictures: Pictures,
    keys: list[str],
    params: Pretrain,
    checkpoint: Checkpoint,
) -> History:
    """Train in place, from the last checkpoint on.

    Returns:
        The mean training loss of each tenth of the run.
    """
    per_epoch = -(-len(keys) // params.batch)
    vision_backbones.freeze(model.network, params.frozen_blocks)
    learning = [p for p in model.network.parameters() if p.requires_grad]
    groups = [
        {"params": learning, "lr": params.learning_rate},
        {"params": list(model.predictor.parameters()), "lr": params.head_learning_rate},
    ]
    model.train()
    vision_backbones.hold_statistics(model.network)

    def loss(step: int) -> torch.Tensor:
        epoch, batch = divmod(step, per_epoch)
        # Drawn anew in each step, from the epoch alone: a resumed run needs no state of it.
        order = np.random.default_rng((params.seed, epoch)).permutation(len(keys))
        start = batch * params.batch
        rows = order[start : start + params.batch]
        # Without a change of colors: the network is to predict them.
        view = random_augmentation(
            params.size, params.seed, step, crop_scale=params.random_resized_crop, color_jitter=0.0
        )
        with precision(params.precision):
            seen = pictures.tensor([keys[i] for i in rows], params.size, view)
            return model.loss(seen, params)

    steps = round(per_epoch * params.epochs)
    with full_precision_above(model.network, params.frozen_blocks):
        optimization = Optimization(model, groups, steps, params)
        return train_steps(optimization, loss, checkpoint, "pretrain: pictures")


def _interpolate(model: nn.Module, former: dict[str, torch.Tensor], alpha: float) -> None:
    """Move the weights of ``model`` back towards ``former``; ``alpha`` 1 leaves them as they are.

    WiSE-FT (Wortsman et al. 2022): between both lie weights that have learned the new and kept more
    of the old.
    """
    learned = model.state_dict()
    for name, value in former.items():
        # Counters of batch norms are whole numbers, and stay those of before.
        if value.is_floating_point():
            value = torch.lerp(value, learned[name], alpha)
        learned[name] = value
    model.load_state_dict(learned)


def _pretrain_image(
    pictures: Pictures, keys: list[str], params: Pretrain, checkpoint: Checkpoint
) -> PretrainedImage:
    """Return the image network trained on masked pictures."""
    if params.image == "scratch":
        vision = vision_backbones.scratch(size=params.size, **params.scratch_image.model_dump())
    else:
        vision = vision_backbones.load(params.image)
    size = f"{vision.model.num_parameters():,} parameters"
    progress.log_line(f"pretrain: {params.image}, {size}, {len(keys):,} pictures")
    train_keys, held_out = hold_out(keys, HELD_OUT, params.seed)
    model = PixelReconstruction(vision, params.size).to(device())
    former = copy.deepcopy(vision.model.state_dict())
    before = _held_out_loss(model, pictures, held_out, params)
    history = _train(model, pictures, train_keys, params, checkpoint)
    after = _held_out_loss(model, pictures, held_out, params)
    _interpolate(vision.model, former, params.wiseft_alpha)
    return PretrainedImage(vision, Loss(before, after), history)


def _text_backbone(texts: list[str], params: Pretrain) -> Backbone:
    if params.text == "scratch":
        return text_backbones.scratch(
            texts, max_tokens=params.max_tokens, **params.scratch.model_dump()
        )
    backbone = text_backbones.load(params.text)
    return trim(backbone, texts) if params.trim_vocabulary else backbone


def _pretrain_text(texts: list[str], params: Pretrain, checkpoint: Checkpoint) -> PretrainedText:
    """Return the text network trained on masked words."""
    backbone = _text_backbone(texts, params)
    backbone.model.to(device())
    parameters = backbone.model.num_parameters()
    size = f"{parameters:,} parameters, {len(backbone.tokenizer):,} tokens"
    progress.log_line(f"pretrain: {params.text}, {size}, {len(texts):,} texts")
    settings = params.masked_language_model
    # Fewer texts than `min_texts` would not even train the head, which wheels do not bring along.
    if settings.epochs == 0 or len(texts) < settings.min_texts:
        return PretrainedText(backbone, Loss(0.0, 0.0), [])
    train_texts, held_out_texts = hold_out(texts, HELD_OUT, params.seed)
    train = masked_language.examples(backbone, train_texts, params.max_tokens, whole_words=True)
    held_out = masked_language.examples(
        backbone, held_out_texts, params.max_tokens, whole_words=True
    )
    before = masked_language.held_out_loss(backbone, held_out, settings)
    history = masked_language.train(backbone, train, settings, checkpoint)
    after = masked_language.held_out_loss(backbone, held_out, settings)
    return PretrainedText(backbone, Loss(before, after), history)


def _save(
    folder: Path, image: PretrainedImage | None, text: PretrainedText | None, params: Pretrain
) -> None:
    """Write what was pretrained into ``folder``, as `towers.load_networks` reads it."""
    if image:
        vision_backbones.save(image.backbone, folder / "image")
        write_json(folder / "image.json", image.backbone.card())
    if text:
        text.backbone.model.save_pretrained(folder / "text")
        text.backbone.tokenizer.save_pretrained(folder / "text")
        write_json(folder / "text.json", text.backbone.card())
    settings = {"size": params.size, "max_tokens": params.max_tokens}
    write_json(folder / "pretrained.json", settings)
    history = {
        "pictures": image.history if image else [],
        "words": text.history if text else [],
    }
    write_json(folder / "history.json", history)


def pretrain(*, data: Path, pretrained: Path, params: Pretrain) -> Metrics:
    """Train the image and the text network on ``data`` without labels; save to ``pretrained``.

    They learn from the train and the unlabelled part. A network for which there is nothing, no
    picture or no text, is left out. With ``epochs: 0`` one is saved as it came.

    Returns:
        ``loss_before`` and ``loss_after`` on held-out pictures and texts, the sum of
        ``image_loss…`` (mean absolute error of hidden pixels, in standard deviations) and
        ``text_loss…`` (nats per hidden word piece); ``pictures``, ``texts``.

    Raises:
        ValueError: there is neither a picture nor a text, or a backbone cannot be loaded.
    """
    files = [data / f"{part}.parquet" for part in PARTS]
    inputs = [pd.read_parquet(file, columns=["text", "image"]) for file in files]
    frame = pd.concat(inputs)
    # Each picture and each text once: variants of a product share theirs.
    keys = sorted(set(frame["image"].dropna()))
    texts = sorted(set(frame["text"]) - {""})
    # One is held out, so one alone leaves none to learn from.
    if len(keys) < 2 and len(texts) < 2:
        raise ValueError(
            f"{data}: {len(keys)} pictures and {len(texts)} texts to learn from; "
            "pretraining needs two at least"
        )
    identity = fingerprint(__name__, params, *files)
    image_checkpoint = Checkpoint(pretrained, identity, params.checkpoint_minutes)
    text_checkpoint = Checkpoint(pretrained, identity, params.checkpoint_minutes)
    # In one folder, which is cleared when both are done: a run that is killed in the second network
    # does not train the first one again.
    text_checkpoint.file = image_checkpoint.file.with_name("words.pt")
    image = None
    text = None
    if len(keys) > 1:
        image = _pretrain_image(Pictures(data, *PARTS), keys, params, image_checkpoint)
    if len(texts) > 1:
        text = _pretrain_text(texts, params, text_checkpoint)
    with new_folder(pretrained) as folder:
        _save(folder, image, text, params)
    image_checkpoint.clear()
    image_loss = image.loss if image else Loss(0.0, 0.0)
    text_loss = text.loss if text else Loss(0.0, 0.0)
    progress.log_line(
        f"pretrain: pictures {image_loss.before:.3f} → {image_loss.after:.3f}, "
        f"words {text_loss.before:.3f} → {text_loss.after:.3f}, held out"
    )
    return {
        "loss_before": image_loss.before + text_loss.before,
        "loss_after": image_loss.after + text_loss.after,
        "image_loss_before": image_loss.before,
        "image_loss_after": image_loss.after,
        "text_loss_before": text_loss.before,
        "text_loss_after": text_loss.after,
        "pictures": len(keys),
        "texts": len(texts),
    }
