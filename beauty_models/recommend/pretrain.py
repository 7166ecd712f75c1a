"""Unsupervised pretraining on the shop's own photos: two views of a picture find each other (SimCLR) and tell its colours.

A tower trained on ImageNet hardly tells colours apart: there a cup is a cup in every colour. A shop sells the colour. So each
picture is dyed in a random hue before its two views are taken, the same for both, and besides finding its partner each view
must say which colours are in it: the target needs no label, and no catalogue is too small for it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from beauty_models import progress
from beauty_models.backbones import vision
from beauty_models.device import device, precision
from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.intake.shards import Pictures, View
from beauty_models.recommend import Pretrain, openclip
from beauty_models.recommend.contrastive import alike, nt_xent
from beauty_models.recommend.model import build
from beauty_models.recommend.openclip import Dual
from beauty_models.training.augmentation import augmented, dyed
from beauty_models.training.batches import Batch
from beauty_models.training.checkpoint import Checkpoint, fingerprint
from beauty_models.training.loop import train_steps
from beauty_models.training.optimization import Optimization

HELD_OUT = 0.1  # share of the pictures on which the loss before and after is measured
MOST_HELD_OUT = 256
LEVELS = 4  # of red, green and blue in a palette
LEAST = 0.02  # share of a picture that has to have other colours than its border


def _one_after_the_other(
    first: View, second: View, image: Image.Image, position: int
) -> Image.Image:
    return second(first(image, position), position)


class Shown:
    """The pictures to learn from, and their product; pictures that no products name have one each."""

    def __init__(self, data: Path, dual: Dual, params: Pretrain) -> None:
        known = pd.read_parquet(data / "train.parquet", columns=["image", "product"])
        spare = pd.read_parquet(data / "unlabelled.parquet")["image"]
        self.keys = [*known["image"], *spare]
        self.products = torch.from_numpy(
            np.concatenate(
                [
                    pd.factorize(known["product"])[0],
                    known["product"].nunique() + np.arange(len(spare)),
                ]
            )
        )
        self.pictures, self.dual, self.params = Pictures(data, "train", "unlabelled"), dual, params

    def views(self, rows: Batch, step: int) -> torch.Tensor:
        """Return two views of each of the pictures ``rows``, uint8 [2n, 3, size, size]; they depend on the seed and ``step`` alone."""
        params, seed = self.params, self.params.seed
        keys, coat, found = [self.keys[row] for row in rows], dyed(seed, step, params.dye), []
        for side in (0, 1):
            taken = augmented(
                params.view, seed, 2 * step + side, scale=params.crop, colour=params.colour
            )
            found.append(
                self.pictures.tensor(keys, params.view, partial(_one_after_the_other, coat, taken))
            )
        return torch.cat(found)

    def loss(self, heads: nn.ModuleDict, rows: Batch, step: int) -> torch.Tensor:
        """Return the loss of the pictures ``rows``."""
        pictures = self.views(rows, step)
        with precision(self.params.precision):
            features = self.dual.trunk(self.dual.pixels(pictures)).float()
            one, other = heads["projector"](features).chunk(2)
            told = heads["palette"](features)
        same = alike(self.products[rows]).to(device())
        colours = functional.cross_entropy(told.float(), palettes(pictures).to(device()))
        return (
            nt_xent(one, other, self.params.temperature, same) + self.params.colour_weight * colours
        )


def palettes(pictures: torch.Tensor) -> torch.Tensor:
    """Return the share of each of 4 × 4 × 4 colours in uint8 pictures [n, 3, side, side], without the one at the border: [n, 64].

    A picture that shows next to nothing but that colour, such as a white shirt on white, keeps it.
    """
    levels = pictures.long() * LEVELS // 256
    places = (levels[:, 0] * LEVELS + levels[:, 1]) * LEVELS + levels[:, 2]
    edge = (
        torch.cat([places[:, 0], places[:, -1], places[:, :, 0], places[:, :, -1]], 1)
        .mode(1)
        .values
    )
    rows = torch.arange(len(places))[:, None] * LEVELS**3
    counts = (
        torch.bincount((places.flatten(1) + rows).flatten(), minlength=len(places) * LEVELS**3)
        .view(len(places), -1)
        .float()
    )
    shares = counts / counts.sum(1, keepdim=True)
    others = shares.scatter(1, edge[:, None], 0.0)
    return torch.where(
        others.sum(1, keepdim=True) > LEAST,
        others / others.sum(1, keepdim=True).clamp(min=LEAST),
        shares,
    )


def _split(products: torch.Tensor, seed: int) -> tuple[Batch, Batch]:
    """Return the pictures to learn from and those held out; a product is on one side only."""
    order = np.random.default_rng(seed).permutation(int(products.max()) + 1)
    place = np.argsort(order)[products.numpy()]
    ranked = np.argsort(place, kind="stable")
    count = min(MOST_HELD_OUT, max(2, round(len(ranked) * HELD_OUT)))
    last = place[ranked[count - 1]]
    return np.flatnonzero(place > last), np.flatnonzero(place <= last)


@torch.no_grad()
def _held_out_loss(shown: Shown, heads: nn.ModuleDict, rows: Batch) -> float:
    """Return the mean loss in nats, on the same views and batches every time."""
    shown.dual.clip.eval()
    heads.eval()
    parts = np.array_split(rows, -(-len(rows) // shown.params.batch))
    losses = [
        shown.loss(heads, part, -1 - number & 0xFFFF).item() * len(part)
        for number, part in enumerate(parts)
    ]
    return sum(losses) / len(rows)


def _train(
    shown: Shown, heads: nn.ModuleDict, rows: Batch, checkpoint: Checkpoint
) -> list[dict[str, float]]:
    """Train in place, from the last checkpoint on; return the mean training loss of each tenth of the run."""
    params, trunk = shown.params, shown.dual.clip.visual.trunk
    shown.dual.clip.requires_grad_(False)
    for part in vision.blocks(trunk)[params.frozen_blocks :]:
        part.requires_grad_(True)
    body = [p for p in trunk.parameters() if p.requires_grad]
    groups = [
        {"params": body, "lr": params.learning_rate},
        {"params": list(heads.parameters()), "lr": params.head_learning_rate},
    ]
    per_epoch = max(1, len(rows) // params.batch)
    network = nn.ModuleDict({"trunk": trunk, "heads": heads})
    shown.dual.clip.train()
    heads.train()
    vision.hold_statistics(trunk)

    def loss(step: int) -> torch.Tensor:
        order = np.random.default_rng((params.seed, step // per_epoch)).permutation(rows)
        return shown.loss(heads, np.array_split(order, per_epoch)[step % per_epoch], step)

    return train_steps(
        Optimization(network, groups, round(per_epoch * params.epochs), params),
        loss,
        checkpoint,
        "pretrain",
        clipped=body,
    )


@torch.no_grad()
def _go_back(trunk: nn.Module, before: dict[str, torch.Tensor], keep: float) -> None:
    """Leave ``keep`` of what was learned: the weights lie that far on the way from ``before`` (WiSE-FT)."""
    for name, value in trunk.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.lerp(before[name].to(value.device), value, keep))


def _dual(data: Path, params: Pretrain) -> Dual:
    if params.open_clip:
        return openclip.pretrained(params.open_clip)
    texts = sorted(
        {
            one["text"]
            for captions in pd.read_parquet(data / "train.parquet", columns=["captions"])[
                "captions"
            ]
            for one in captions
        }
    )
    return build(
        image=params.image,
        text=params.text,
        scratch=params.scratch.model_dump(),
        size=params.size,
        dimension=params.dimension,
        max_tokens=params.max_tokens,
        vocabulary=params.vocabulary,
        texts=texts,
    )


def pretrain(*, data: Path, pretrained: Path, params: Pretrain) -> Metrics:
    """Train the image tower on the pictures of ``train`` and ``unlabelled``; save the whole dual encoder to ``pretrained``.

    With ``epochs: 0`` the tower is saved as it is. The output has the layout of open_clip's ``local-dir:``.

    Returns:
        ``loss_before`` and ``loss_after`` (nats, on held-out pictures, whose products are in no batch), ``pictures``, ``parameters``.

    Raises:
        ValueError: there are too few pictures, the base cannot be loaded, or its image tower is not timm's and is to be trained.
    """
    dual = _dual(data, params)
    dual.clip.to(device())
    shown = Shown(data, dual, params)
    count = sum(p.numel() for p in dual.clip.parameters())
    progress.log_line(
        f"pretrain: {dual.card['base']}, {count:,} parameters, {len(shown.keys):,} pictures"
    )
    figures, history = {"loss_before": 0.0, "loss_after": 0.0}, []
    checkpoint = Checkpoint(
        pretrained, fingerprint(__name__, params, data), params.checkpoint_minutes
    )
    if params.epochs:
        if not dual.trainable:
            raise ValueError(
                "params.yaml: pretrain.epochs: only image towers of timm learn from pictures alone; set it to 0 for this dual encoder"
            )
        if len(shown.products.unique()) < 4:
            raise ValueError(
                f"{data / 'train.parquet'}: pictures of {len(shown.products.unique())} products; pretraining needs at least four"
            )
        rows, held_out = _split(shown.products, params.seed)
        trunk = dual.clip.visual.trunk
        torch.manual_seed(params.seed)
        width = dual.clip.visual.head.proj.in_features
        projector = nn.Sequential(
            nn.Linear(width, params.projector),
            nn.ReLU(),
            nn.Linear(params.projector, params.projector),
        )
        heads = nn.ModuleDict({"projector": projector, "palette": nn.Linear(width, LEVELS**3)}).to(
            device()
        )
        before = {name: value.clone() for name, value in trunk.state_dict().items()}
        figures["loss_before"] = _held_out_loss(shown, heads, held_out)
        history = _train(shown, heads, rows, checkpoint)
        figures["loss_after"] = _held_out_loss(shown, heads, held_out)
        _go_back(trunk, before, params.keep)
        progress.log_line(
            f"pretrain: loss {figures['loss_before']:.3f} → {figures['loss_after']:.3f} nats on {len(held_out)} held-out pictures"
        )
    with new_folder(pretrained) as folder:
        openclip.save(dual, folder)
        write_json(folder / "history.json", history)
    checkpoint.clear()
    return figures | {"pictures": len(shown.keys), "parameters": count}
