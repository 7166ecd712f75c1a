"""Unsupervised pretraining on the shop's own photos.

Two views of a picture find each other (SimCLR), and each tells its colors. A tower trained on
ImageNet hardly tells colors apart: there a cup is a cup in every color. A shop sells the color. So
each picture is dyed in a random hue before its two views are taken, the same for both, and besides
finding its partner each view must say which colors are in it: the target needs no label, and no
catalogue is too small for it.
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
from beauty_models.recommend.contrastive import false_negative_mask, nt_xent
from beauty_models.recommend.model import build_encoder
from beauty_models.recommend.openclip import DualEncoder
from beauty_models.training.augmentation import random_augmentation, random_hue_shift
from beauty_models.training.batches import Batch
from beauty_models.training.checkpoint import Checkpoint, fingerprint
from beauty_models.training.loop import train_steps
from beauty_models.training.optimization import Optimization

HELD_OUT = 0.1  # share of the pictures on which the loss before and after is measured
MAX_HELD_OUT = 256  # pictures
MIN_PRODUCTS = 4  # both sides of the split need products that are negatives of each other
LEVELS = 4  # of red, green and blue in the colors that a view tells
# Share of a picture that has to have other colors than its border; a white shirt on white has less.
MIN_OTHER_COLORS = 0.02


def _both_views(
    first: View,
    second: View,
    image: Image.Image,
    position: int,
) -> Image.Image:
    """Return ``image`` through one view after the other."""
    return second(first(image, position), position)


class PicturePairs:
    """The pictures to learn from, each in two views.

    Attributes:
        keys: [n] of the pictures.
        products: [n] the number of each picture's product; pictures that no product names have
            one each.
    """

    def __init__(
        self,
        data: Path,
        encoder: DualEncoder,
        params: Pretrain,
    ) -> None:
        labelled = pd.read_parquet(data / "train.parquet", columns=["image", "product"])
        unlabelled = pd.read_parquet(data / "unlabelled.parquet")["image"]
        self.keys = [*labelled["image"], *unlabelled]
        # photos of one product are never negatives of each other
        products, names = pd.factorize(labelled["product"])
        own_products = len(names) + np.arange(len(unlabelled))
        self.products = torch.from_numpy(np.concatenate([products, own_products]))
        self.pictures = Pictures(data, "train", "unlabelled")
        self.encoder = encoder
        self.params = params

    def views(self, rows: Batch, step: int) -> torch.Tensor:
        """Return two views of each of the pictures ``rows``, uint8 [2n, 3, size, size].

        They depend on the seed and ``step`` alone.
        """
        params = self.params
        keys = [self.keys[row] for row in rows]
        # the same hue for both views: it is what tells two dyed pictures apart
        hue_shift = random_hue_shift(params.seed, step, params.hue_shift_probability)
        # other crops and other light: what stays the same is the product
        views = []
        for side in (0, 1):
            crop = random_augmentation(
                params.view_size,
                params.seed,
                2 * step + side,
                crop_scale=params.random_resized_crop,
                color_jitter=params.color_jitter,
            )
            view = partial(_both_views, hue_shift, crop)
            views.append(self.pictures.tensor(keys, params.view_size, view))
        return torch.cat(views)

    def loss(
        self,
        heads: nn.ModuleDict,
        rows: Batch,
        step: int,
    ) -> torch.Tensor:
        """Return the loss of the pictures ``rows``, in nats."""
        pictures = self.views(rows, step)
        with precision(self.params.precision):
            features = self.encoder.trunk(self.encoder.pixels(pictures)).float()
            first, second = heads["projector"](features).chunk(2)
            predicted_colors = heads["color"](features)
        mask = false_negative_mask(self.products[rows]).to(device())
        contrastive = nt_xent(first, second, self.params.temperature, mask)
        target = color_shares(pictures).to(device())
        color_loss = functional.cross_entropy(predicted_colors.float(), target)
        return contrastive + self.params.color_prediction_weight * color_loss


def color_shares(pictures: torch.Tensor) -> torch.Tensor:
    """Return the share of each of 4 × 4 × 4 colors in uint8 pictures [n, 3, side, side]: [n, 64].

    The commonest color at the border, which is the backdrop, is left out. A picture that shows next
    to nothing but that color, such as a white shirt on white, keeps it.
    """
    bins = LEVELS**3
    levels = pictures.long() * LEVELS // 256
    red, green, blue = levels.unbind(1)
    colors = (red * LEVELS + green) * LEVELS + blue
    top = colors[:, 0]
    bottom = colors[:, -1]
    left = colors[:, :, 0]
    right = colors[:, :, -1]
    border = torch.cat([top, bottom, left, right], 1)
    backdrop = border.mode(1).values
    # one bincount for all pictures: each counts in bins of its own
    offsets = torch.arange(len(colors))[:, None] * bins
    numbered = (colors.flatten(1) + offsets).flatten()
    counts = torch.bincount(numbered, minlength=len(colors) * bins)
    counts = counts.view(len(colors), -1).float()
    shares = counts / counts.sum(1, keepdim=True)
    others = shares.scatter(1, backdrop[:, None], 0.0)
    shown = others.sum(1, keepdim=True)
    return torch.where(shown > MIN_OTHER_COLORS, others / shown.clamp(min=MIN_OTHER_COLORS), shares)


def _split(products: torch.Tensor, seed: int) -> tuple[Batch, Batch]:
    """Return the pictures to learn from and those held out; a product is on one side only."""
    order = np.random.default_rng(seed).permutation(int(products.max()) + 1)
    place = np.argsort(order)[products.numpy()]  # of each picture's product in that order
    ranked = np.argsort(place, kind="stable")
    count = min(MAX_HELD_OUT, max(2, round(len(ranked) * HELD_OUT)))
    last = place[ranked[count - 1]]
    return np.flatnonzero(place > last), np.flatnonzero(place <= last)


@torch.no_grad()
def _held_out_loss(
    pairs: PicturePairs,
    heads: nn.ModuleDict,
    rows: Batch,
) -> float:
    """Return the mean loss in nats, on the same views and batches every time."""
    pairs.encoder.clip.eval()
    heads.eval()
    batches = np.array_split(rows, -(-len(rows) // pairs.params.batch))
    total = 0.0
    for number, batch in enumerate(batches):
        # steps from 65,535 down: views that training hardly reaches, and numpy takes no negative
        step = -1 - number & 0xFFFF
        total += pairs.loss(heads, batch, step).item() * len(batch)
    return total / len(rows)


def _heads(encoder: DualEncoder, width: int) -> nn.ModuleDict:
    """Return what the losses are taken from; it is thrown away afterwards.

    A contrastive loss teaches to forget all that augmentation changes; behind a projector the
    features themselves forget less (Chen et al. 2020, section 4.2).
    """
    features = encoder.clip.visual.head.proj.in_features
    projector = nn.Sequential(
        nn.Linear(features, width),
        nn.ReLU(),
        nn.Linear(width, width),
    )
    color = nn.Linear(features, LEVELS**3)
    return nn.ModuleDict({"projector": projector, "color": color}).to(device())


def _train(
    pairs: PicturePairs,
    heads: nn.ModuleDict,
    rows: Batch,
    checkpoint: Checkpoint,
) -> list[dict[str, float]]:
    """Train in place, from the last checkpoint on; return the loss of each tenth of the run."""
    params = pairs.params
    trunk = pairs.encoder.clip.visual.trunk
    pairs.encoder.clip.requires_grad_(False)
    for block in vision.blocks(trunk)[params.frozen_blocks :]:
        block.requires_grad_(True)
    body = [weight for weight in trunk.parameters() if weight.requires_grad]
    groups = [
        {"params": body, "lr": params.learning_rate},
        {"params": list(heads.parameters()), "lr": params.head_learning_rate},
    ]
    steps_per_epoch = max(1, len(rows) // params.batch)
    steps = round(steps_per_epoch * params.epochs)
    network = nn.ModuleDict({"trunk": trunk, "heads": heads})
    pairs.encoder.clip.train()
    heads.train()
    # a shop's few photos would spoil the statistics that batch norm brought from ImageNet
    vision.hold_statistics(trunk)

    def loss(step: int) -> torch.Tensor:
        # from the step alone: a run that was killed draws the same batches again
        epoch, batch = divmod(step, steps_per_epoch)
        order = np.random.default_rng((params.seed, epoch)).permutation(rows)
        return pairs.loss(heads, np.array_split(order, steps_per_epoch)[batch], step)

    optimization = Optimization(network, groups, steps, params)
    # the heads start at random: cut together, the tower's gradients would shrink with theirs
    return train_steps(optimization, loss, checkpoint, "pretrain", clipped=body)


@torch.no_grad()
def _interpolate(
    trunk: nn.Module,
    before: dict[str, torch.Tensor],
    alpha: float,
) -> None:
    """Set the weights that lie ``alpha`` of the way from ``before`` (WiSE-FT)."""
    for name, value in trunk.state_dict().items():
        # batch norm counts its batches in an integer
        if value.is_floating_point():
            value.copy_(torch.lerp(before[name].to(value.device), value, alpha))


def _base_encoder(data: Path, params: Pretrain) -> DualEncoder:
    """Return the dual encoder before any training."""
    if params.open_clip:
        return openclip.load_pretrained(params.open_clip)
    captions = pd.read_parquet(data / "train.parquet", columns=["captions"])["captions"]
    texts = {caption["text"] for caption in captions.explode().dropna()}
    return build_encoder(
        image=params.image,
        text=params.text,
        scratch=params.scratch.model_dump(),
        size=params.size,
        dimension=params.dimension,
        max_tokens=params.max_tokens,
        vocabulary=params.vocabulary,
        texts=sorted(texts),
    )


def _train_image_tower(
    pairs: PicturePairs,
    data: Path,
    checkpoint: Checkpoint,
) -> tuple[Metrics, list[dict[str, float]]]:
    """Train the image tower in place; return the loss before and after, and the history."""
    params = pairs.params
    encoder = pairs.encoder
    if not encoder.is_timm:
        raise ValueError(
            "params.yaml: pretrain.epochs: only image towers of timm learn from pictures alone; "
            "set it to 0 for this dual encoder"
        )
    products = len(pairs.products.unique())
    if products < MIN_PRODUCTS:
        raise ValueError(
            f"{data / 'train.parquet'}: pictures of {products} products; "
            f"pretraining needs at least {MIN_PRODUCTS}"
        )
    rows, held_out = _split(pairs.products, params.seed)
    torch.manual_seed(params.seed)
    heads = _heads(encoder, params.projector)
    trunk = encoder.clip.visual.trunk
    # a copy: the state dict holds the weights themselves, which change in place
    weights_before = {name: value.clone() for name, value in trunk.state_dict().items()}
    before = _held_out_loss(pairs, heads, held_out)
    history = _train(pairs, heads, rows, checkpoint)
    after = _held_out_loss(pairs, heads, held_out)
    _interpolate(trunk, weights_before, params.wiseft_alpha)
    progress.log_line(
        f"pretrain: loss {before:.3f} → {after:.3f} nats on {len(held_out)} held-out pictures"
    )
    return {"loss_before": before, "loss_after": after}, history


def pretrain(
    *,
    data: Path,
    pretrained: Path,
    params: Pretrain,
) -> Metrics:
    """Train the image tower on the pictures of ``train`` and ``unlabelled``.

    The whole dual encoder is saved to ``pretrained``, in the layout of open_clip's ``local-dir:``.
    With ``epochs: 0`` the tower is saved as it is.

    Returns:
        ``loss_before`` and ``loss_after`` (nats, on held-out pictures, whose products are in no
        batch), ``pictures``, ``parameters``.

    Raises:
        ValueError: there are too few pictures, the base cannot be loaded, or its image tower is not
            timm's and is to be trained.
    """
    encoder = _base_encoder(data, params)
    encoder.clip.to(device())
    pairs = PicturePairs(data, encoder, params)
    parameters = sum(weight.numel() for weight in encoder.clip.parameters())
    pictures = len(pairs.keys)
    progress.log_line(
        f"pretrain: {encoder.card['base']}, {parameters:,} parameters, {pictures:,} pictures"
    )
    checkpoint = Checkpoint(
        pretrained, fingerprint(__name__, params, data), params.checkpoint_minutes
    )
    metrics: Metrics = {"loss_before": 0.0, "loss_after": 0.0}
    history: list[dict[str, float]] = []
    if params.epochs:
        metrics, history = _train_image_tower(pairs, data, checkpoint)
    with new_folder(pretrained) as folder:
        openclip.save(encoder, folder)
        write_json(folder / "history.json", history)
    checkpoint.clear()
    return metrics | {"pictures": pictures, "parameters": parameters}
