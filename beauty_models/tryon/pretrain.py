"""Unsupervised pretraining on what the shop has: hidden patches of pictures are painted in, hidden words of texts guessed."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from beauty_models import progress
from beauty_models.backbones import text as text_backbones
from beauty_models.backbones import vision
from beauty_models.backbones.text import Backbone
from beauty_models.backbones.vision import Vision
from beauty_models.backbones.vocabulary import trim
from beauty_models.device import device, precision
from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.intake.shards import Pictures
from beauty_models.training import masked_language
from beauty_models.training.augmentation import augmented, centre
from beauty_models.training.checkpoint import Checkpoint, fingerprint
from beauty_models.training.loop import train_steps
from beauty_models.training.optimization import Optimization, seed_step
from beauty_models.training.splits import hold_out
from beauty_models.tryon import Pretrain
from beauty_models.tryon.towers import ROWS, full_precision_above

HELD_OUT = (
    0.05  # share of the pictures, and of the texts, on which the loss before and after is measured
)
PARTS = ("train", "unlabelled")


class Loss(NamedTuple):
    """What a network was worth before and after."""

    before: float
    after: float


def hide(pictures: torch.Tensor, share: float, patch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Make ``share`` of the patches of normalised ``pictures`` [n, 3, side, side] grey; return them and where [n, 1, side, side].

    The mask is drawn on squares of ``patch`` pixels; the same number of them is hidden in every picture (Xie et al. 2022).
    """
    n, _, side, _ = pictures.shape
    cells = -(-side // patch)
    order = torch.rand(n, cells * cells).argsort(-1)
    hidden = (order < round(share * cells * cells)).view(n, 1, cells, cells).to(pictures.device)
    where = hidden.repeat_interleave(patch, 2).repeat_interleave(patch, 3)[..., :side, :side]
    return pictures.masked_fill(where, 0.0), where


class Painter(nn.Module):
    """An image network and the one layer that paints the pixels of each of its places."""

    def __init__(self, eye: Vision, side: int) -> None:
        super().__init__()
        self.eye, self.network, self.side = eye, eye.model, side
        with torch.no_grad():
            places = vision.grid(eye.model, torch.zeros(1, 3, side, side, device=device()))
        self.across = round(places.shape[1] ** 0.5)
        self.stride = -(-side // self.across)
        self.paint = nn.Linear(places.shape[2], 3 * self.stride**2)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the painted pictures [n, 3, side, side] for normalised ``pixels`` of the same shape."""
        tiles = (
            self.paint(vision.grid(self.network, pixels))
            .transpose(1, 2)
            .unflatten(2, (self.across, self.across))
        )
        painted: torch.Tensor = nn.functional.pixel_shuffle(tiles, self.stride)[
            ..., : self.side, : self.side
        ]
        return painted

    def loss(self, pictures: torch.Tensor, params: Pretrain) -> torch.Tensor:
        """Return the mean absolute error of the hidden pixels of uint8 ``pictures``, in standard deviations (SimMIM, eq. 1)."""
        pixels = self.eye.pixels(pictures)
        covered, where = hide(pixels, params.mask, params.patch)
        error: torch.Tensor = (self(covered).float() - pixels).abs()[where.expand_as(pixels)].mean()
        return error


@torch.no_grad()
def _held_out_loss(
    painter: Painter, pictures: Pictures, keys: list[str], params: Pretrain
) -> float:
    """Return the mean loss of the middle of each picture, with the same patches hidden every time."""
    painter.eval()
    losses = []
    for start in range(0, len(keys), ROWS):
        seed_step(params.seed, -1 - start)
        with precision(params.precision):
            some = keys[start : start + ROWS]
            losses.append(
                painter.loss(pictures.tensor(some, params.size, centre(params.size)), params).item()
                * len(some)
            )
    return sum(losses) / len(keys)


def _train(
    painter: Painter, pictures: Pictures, keys: list[str], params: Pretrain, checkpoint: Checkpoint
) -> list[dict[str, float]]:
    """Train in place, from the last checkpoint on; return the mean training loss of each tenth of the run."""
    per_epoch = -(-len(keys) // params.batch)
    vision.freeze(painter.network, params.frozen_blocks)
    groups = [
        {
            "params": [p for p in painter.network.parameters() if p.requires_grad],
            "lr": params.learning_rate,
        },
        {"params": list(painter.paint.parameters()), "lr": params.head_learning_rate},
    ]
    painter.train()
    vision.hold_statistics(painter.network)

    def loss(step: int) -> torch.Tensor:
        order = np.random.default_rng((params.seed, step // per_epoch)).permutation(len(keys))
        at = step % per_epoch * params.batch
        view = augmented(params.size, params.seed, step, scale=params.crop, colour=0.0)
        with precision(params.precision):
            return painter.loss(
                pictures.tensor(
                    [keys[i] for i in order[at : at + params.batch]], params.size, view
                ),
                params,
            )

    with full_precision_above(painter.network, params.frozen_blocks):
        return train_steps(
            Optimization(painter, groups, round(per_epoch * params.epochs), params),
            loss,
            checkpoint,
            "pretrain: pictures",
        )


def _see(
    pictures: Pictures, keys: list[str], params: Pretrain, checkpoint: Checkpoint
) -> tuple[Vision, Loss, list[dict[str, float]]]:
    """Return the image network trained on masked pictures, with ``keep`` of what it learned, its loss, and the history."""
    eye = (
        vision.scratch(size=params.size, **params.scratch_image.model_dump())
        if params.image == "scratch"
        else vision.load(params.image)
    )
    progress.log_line(
        f"pretrain: {params.image}, {eye.model.num_parameters():,} parameters, {len(keys):,} pictures"
    )
    learn, out = hold_out(keys, HELD_OUT, params.seed)
    painter = Painter(eye, params.size).to(device())
    former = {name: value.clone() for name, value in eye.model.state_dict().items()}
    before = _held_out_loss(painter, pictures, out, params)
    history = _train(painter, pictures, learn, params, checkpoint)
    after = _held_out_loss(painter, pictures, out, params)
    learned = eye.model.state_dict()
    eye.model.load_state_dict(
        {
            name: torch.lerp(value, learned[name], params.keep)
            if value.is_floating_point()
            else value
            for name, value in former.items()
        }
    )
    return eye, Loss(before, after), history


def _hear(
    texts: list[str], params: Pretrain, checkpoint: Checkpoint
) -> tuple[Backbone, Loss, list[dict[str, float]]]:
    """Return the text network trained on masked words, its loss in nats per hidden word piece, and the history."""
    if params.text == "scratch":
        backbone = text_backbones.scratch(
            texts, max_tokens=params.max_tokens, **params.scratch.model_dump()
        )
    else:
        backbone = text_backbones.load(params.text)
        backbone = trim(backbone, texts) if params.trim_vocabulary else backbone
    backbone.model.to(device())
    progress.log_line(
        f"pretrain: {params.text}, {backbone.model.num_parameters():,} parameters, {len(backbone.tokenizer):,} tokens, {len(texts):,} texts"
    )
    if params.words.epochs == 0 or len(texts) < params.words.min_texts:
        return backbone, Loss(0.0, 0.0), []
    learn, out = (
        masked_language.examples(backbone, some, params.max_tokens, whole_words=True)
        for some in hold_out(texts, HELD_OUT, params.seed)
    )
    before = masked_language.held_out_loss(backbone, out, params.words)
    history = masked_language.train(backbone, learn, params.words, checkpoint)
    return (
        backbone,
        Loss(before, masked_language.held_out_loss(backbone, out, params.words)),
        history,
    )


def pretrain(*, data: Path, pretrained: Path, params: Pretrain) -> Metrics:
    """Train the image and the text network on ``data``'s train and unlabelled parts without labels; save them to ``pretrained``.

    A network for which there is nothing, no picture or no text, is left out. With ``epochs: 0`` one is saved as it came.

    Returns:
        ``loss_before`` and ``loss_after`` on held-out pictures and texts, the sum of ``image_loss…`` (mean absolute error of
        hidden pixels, in standard deviations) and ``text_loss…`` (nats per hidden word piece); ``pictures``, ``texts``.

    Raises:
        ValueError: there is neither a picture nor a text, or a backbone cannot be loaded.
    """
    frame = pd.concat(
        [pd.read_parquet(data / f"{part}.parquet", columns=["text", "image"]) for part in PARTS]
    )
    keys, texts = sorted(set(frame["image"].dropna())), sorted(set(frame["text"]) - {""})
    if len(keys) < 2 and len(texts) < 2:
        raise ValueError(
            f"{data}: {len(keys)} pictures and {len(texts)} texts to learn from; pretraining needs two at least"
        )
    identity = fingerprint(__name__, params, *(data / f"{part}.parquet" for part in PARTS))
    checkpoint, words = (
        Checkpoint(pretrained, identity, params.checkpoint_minutes) for _ in range(2)
    )
    words.file = words.file.with_name("words.pt")
    nothing = Loss(0.0, 0.0)
    eye, seen, painted = (
        _see(Pictures(data, *PARTS), keys, params, checkpoint)
        if len(keys) > 1
        else (None, nothing, [])
    )
    ear, heard, guessed = _hear(texts, params, words) if len(texts) > 1 else (None, nothing, [])
    with new_folder(pretrained) as folder:
        if eye:
            vision.save(eye, folder / "image")
            write_json(folder / "image.json", eye.card())
        if ear:
            ear.model.save_pretrained(folder / "text")
            ear.tokenizer.save_pretrained(folder / "text")
            write_json(folder / "text.json", ear.card())
        write_json(
            folder / "pretrained.json", {"size": params.size, "max_tokens": params.max_tokens}
        )
        write_json(folder / "history.json", {"pictures": painted, "words": guessed})
    checkpoint.clear()
    progress.log_line(
        f"pretrain: pictures {seen.before:.3f} → {seen.after:.3f}, words {heard.before:.3f} → {heard.after:.3f}, held out"
    )
    return {
        "loss_before": seen.before + heard.before,
        "loss_after": seen.after + heard.after,
        "image_loss_before": seen.before,
        "image_loss_after": seen.after,
        "text_loss_before": heard.before,
        "text_loss_after": heard.after,
        "pictures": len(keys),
        "texts": len(texts),
    }
