"""Supervised fine-tuning: pairs of picture and caption pull two towers into one space.

What is frozen is computed once.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from beauty_models import progress
from beauty_models.backbones import vision
from beauty_models.device import attention, device
from beauty_models.families import Metrics
from beauty_models.intake.shards import Pictures
from beauty_models.recommend import Finetune, openclip
from beauty_models.recommend.cca import (
    CCAStatistics,
    best_penalty,
    collect_statistics,
    fit_cca,
)
from beauty_models.recommend.contrastive import (
    clip_loss,
    false_negative_mask,
    grad_cache_backward,
    siglip_loss,
)
from beauty_models.recommend.model import Recommender, build_gallery, save
from beauty_models.recommend.openclip import DualEncoder
from beauty_models.recommend.pairs import ImageTextPairs, PairParams
from beauty_models.training.batches import Batch, passes_per_epoch, repeat_passes
from beauty_models.training.bert import set_dropout
from beauty_models.training.checkpoint import Checkpoint, fingerprint
from beauty_models.training.loop import EarlyStopping, Validation, finetuning_loop
from beauty_models.training.optimization import EMA, Optimization, ParameterGroup
from beauty_models.training.splits import read_split

# Of the logits; CLIP's temperature would else fall until training is unstable (Radford et al. 2021,
# section 2.5).
MAX_LOG_SCALE = math.log(100)
SIGLIP_BIAS = -10.0  # at the start: nearly all pairs are strangers (Zhai et al. 2023, section 3.2)
PROJECTIONS = (
    "visual.head.",
    "color_projection.",
    "visual.proj",
    "text.proj",
    "text_projection",
    "logit_scale",
    "logit_bias",
)
"""How names of weights begin that lead into the common space; the rest is a tower's."""


def _unfreeze(encoder: DualEncoder, params: Finetune) -> list[ParameterGroup]:
    """Let everything learn that is not frozen; return the optimizer's groups.

    They are the projections, then the towers.
    """
    clip = encoder.clip
    clip.requires_grad_(True)
    if params.locked:
        clip.visual.requires_grad_(False)
        # only a timm tower has a head; the projection of open_clip's own is a part of the tower
        getattr(clip.visual, "head", nn.Identity()).requires_grad_(True)
    elif params.frozen_blocks:
        for block in vision.blocks(clip.visual)[: params.frozen_blocks]:
            block.requires_grad_(False)
    if params.frozen_layers:
        clip.text.transformer.embeddings.requires_grad_(False)
        clip.text.transformer.encoder.layer[: params.frozen_layers].requires_grad_(False)
    projections: list[nn.Parameter] = []
    towers: list[nn.Parameter] = []
    # projections start at random or from a closed form, towers from pretraining: rates of their own
    for name, weight in clip.named_parameters():
        if weight.requires_grad:
            group = projections if name.startswith(PROJECTIONS) else towers
            group.append(weight)
    return [
        {"params": projections, "lr": params.head_learning_rate},
        {"params": towers, "lr": params.learning_rate},
    ]


class Trainer:
    """What the training loop asks of this family: batches, a step, a validation score."""

    def __init__(
        self,
        train: ImageTextPairs,
        validation: ImageTextPairs,
        params: Finetune,
        checkpoint: Checkpoint,
    ) -> None:
        self.train = train
        self.validation = validation
        self.params = params
        self.clip = train.encoder.clip
        self.batches_per_pass = -(-len(train.keys) // params.batch)
        self.passes = passes_per_epoch(self.batches_per_pass, params.epochs, params.min_steps)
        steps_per_epoch = self.passes * self.batches_per_pass
        self.optimization = Optimization(
            self.clip, _unfreeze(train.encoder, params), steps_per_epoch * params.epochs, params
        ).watched("finetune", checkpoint)
        self.ema = EMA(self.optimization)
        self.stopping = EarlyStopping(self.ema.copy, params.patience)
        self.loop = finetuning_loop(self, params.epochs, steps_per_epoch, checkpoint, ema=self.ema)

    def begin_epoch(self, epoch: int) -> None:
        """Turn dropout on."""
        self.set_mode(training=True)

    def batches(self, epoch: int) -> list[Batch]:
        """Return the batches of ``epoch``: all items in a new order, few ones repeatedly."""
        return repeat_passes(self.one_pass, self.passes, epoch)

    def one_pass(self, number: int) -> list[Batch]:
        """Return the batches of the pass of that number."""
        random = np.random.default_rng((self.params.seed, number))
        order = random.permutation(len(self.train.keys))
        return np.array_split(order, self.batches_per_pass)

    def step(self, items: Batch, step: int) -> float:
        """Learn from ``items``; return their loss."""
        captions = self.train.sample_captions(items, step)
        products = self.train.products[items]
        # another photo of the product, and the same caption elsewhere, are right answers, too
        mask = false_negative_mask(products, torch.from_numpy(captions)).to(device())
        size = self.params.grad_cache_chunk
        chunks = np.split(np.arange(len(items)), range(size, len(items), size))

        def loss(image: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
            scale = self.clip.logit_scale.exp()
            if self.params.loss == "siglip":
                return siglip_loss(image, text, scale, self.clip.logit_bias, mask)
            return clip_loss(image, text, scale, mask)

        def embed(rows: Batch) -> tuple[torch.Tensor, torch.Tensor]:
            images = self.train.embed_images(items[rows], step)
            return images, self.train.embed_texts(captions[rows])

        # dropout of its own for every chunk of every step, the same in a run that was resumed
        seed = self.params.seed * 1_000_003 + step * len(chunks)
        value = grad_cache_backward(embed, chunks, loss, seed)
        self.optimization.step(value)
        with torch.no_grad():
            self.clip.logit_scale.clamp_(0, MAX_LOG_SCALE)
        # after the clamp, so that the mean is of temperatures that were used
        self.ema.update(self.params.ema)
        return value

    def set_mode(self, training: bool) -> None:
        """Turn dropout on or off; batch norm keeps the statistics it came with."""
        self.clip.train(training)
        vision.hold_statistics(self.clip)
        if self.train.encoder.is_bert:
            # the fused kernel is fast forwards and, on a CPU, slow backwards
            self.clip.text.transformer.set_attn_implementation(attention(training))

    def validate(self) -> Validation:
        """Return the MRR@10, both ways, of the mean weights on the validation split."""
        self.set_mode(training=False)
        # the mean is what is saved, so it is what is judged
        with self.ema.applied():
            score = self.validation.retrieval_score()
        return Validation({"validation_mrr_at_10": score}, score)


def _check(encoder: DualEncoder, params: Finetune) -> None:
    """Raise ValueError where the params ask of the dual encoder what it is not built for."""
    if (params.frozen_layers or params.cca_penalties) and not encoder.is_bert:
        raise ValueError(
            "params.yaml: finetune.frozen_layers and finetune.cca_penalties need a text tower "
            "built like BERT; set them to 0 and [] here"
        )
    if params.frozen_layers:
        depth = len(encoder.clip.text.transformer.encoder.layer)
        if params.frozen_layers >= depth:
            raise ValueError(
                f"params.yaml: finetune.frozen_layers: {params.frozen_layers} of the text tower's "
                f"{depth} layers leave none to train"
            )
    if params.cca_penalties and params.image_only_dimensions >= encoder.dimension:
        raise ValueError(
            f"params.yaml: finetune.image_only_dimensions: {params.image_only_dimensions} of the "
            f"{encoder.dimension} dimensions (pretrain.dimension) leave none for texts"
        )


def _load_recommender(pretrained: Path, params: Finetune) -> Recommender:
    """Return the recommender to train; ValueError as `_check`."""
    encoder = openclip.load(pretrained)
    _check(encoder, params)
    if params.loss == "siglip" and encoder.clip.logit_bias is None:
        encoder.clip.logit_bias = nn.Parameter(torch.tensor(SIGLIP_BIAS))
        # without this line open_clip would not know the saved bias
        encoder.config["model_cfg"]["init_logit_bias"] = SIGLIP_BIAS
    # open_clip keeps the logarithm of the scale
    if params.temperature:
        nn.init.constant_(encoder.clip.logit_scale, math.log(1 / params.temperature))
    set_dropout(encoder.clip, params.dropout)
    if params.color_histogram_weight and encoder.color_projection is None:
        encoder.add_color_projection()
    encoder.clip.to(device())
    recommender = Recommender(encoder, params.image_share)
    recommender.clip.eval()
    return recommender


def _read_splits(data: Path) -> dict[str, pd.DataFrame]:
    """Return the items of each split; ValueError as `read_split`."""
    return {
        "train": read_split(data, "train", "products"),
        "validation": read_split(data, "validation", "products"),
        "test": pd.read_parquet(data / "test.parquet"),  # for the index only, and may be empty
    }


def _without_epochs_for_few(params: Finetune, products: int) -> Finetune:
    """Return ``params``, with no epochs where there are fewer ``products`` than they ask for."""
    if not params.epochs or products >= params.min_products:
        return params
    # with 45 products no contrastive epoch beat the closed form: docs/decisions/2026-11-25-pictures
    progress.log_line(
        f"finetune: no epochs, {products} products to train on are fewer than min_products "
        f"({params.min_products}); the closed-form start is all that so few can teach"
    )
    return params.model_copy(update={"epochs": 0})


class ClosedFormStart:
    """The canonical correlation analysis that the projections start from."""

    def __init__(
        self,
        train: ImageTextPairs,
        validation: ImageTextPairs,
        params: Finetune,
    ) -> None:
        self.encoder = train.encoder
        self.params = params
        statistics = self._statistics(train)
        self.penalty = best_penalty(validation, statistics, params.cca_penalties)
        fit_cca(self.encoder, statistics, self.penalty)
        progress.log_line(
            f"finetune: canonical correlation analysis with a penalty of {self.penalty:g}"
        )

    def _statistics(self, part: ImageTextPairs) -> CCAStatistics:
        return collect_statistics(
            part, self.params.image_only_dimensions, self.params.color_histogram_weight
        )

    def fit_again(self, part: ImageTextPairs) -> None:
        """Set the projections from ``part``, with the penalty that was chosen before."""
        fit_cca(self.encoder, self._statistics(part), self.penalty)


def finetune(
    *,
    data: Path,
    pretrained: Path,
    model: Path,
    params: Finetune,
) -> Metrics:
    """Fine-tune the dual encoder in ``pretrained`` on ``data/train.parquet``.

    The best epoch's weights, and the index of the items of all parts, are saved to ``model``. The
    best epoch is that of the highest MRR@10, both ways, on ``data/validation.parquet``; the start
    counts as epoch 0, and when it is the best, its closed form is solved again on train and
    validation together.

    Returns:
        ``validation_mrr_at_10`` and that of the start, ``epochs`` that were run, ``items`` of the
        index.

    Raises:
        ValueError: a split is empty, or the params do not fit the dual encoder.
    """
    recommender = _load_recommender(pretrained, params)
    frames = _read_splits(data)
    checkpoint = Checkpoint(
        model, fingerprint(__name__, params, data, pretrained), params.checkpoint_minutes
    )
    params = _without_epochs_for_few(params, frames["train"]["product"].nunique())
    pictures = Pictures(data, *frames)

    def pairs(name: str, items: pd.DataFrame) -> ImageTextPairs:
        part = ImageTextPairs(items, pictures, recommender.encoder, PairParams.from_section(params))
        part.cache_frozen_features(checkpoint.file.parent, name)
        return part

    # the closed form looks at frozen features as well: they are computed before it
    train = pairs("train", frames["train"])
    validation = pairs("validation", frames["validation"])
    start = ClosedFormStart(train, validation, params) if params.cca_penalties else None
    trainer = Trainer(train, validation, params, checkpoint)
    trainer.loop.run(checkpoint.load(), validate_start=True)
    # the best epoch's, which need not be the last one's
    trainer.optimization.load_weights(trainer.stopping.weights)
    if start is not None and trainer.stopping.epoch == 0:
        # no epoch beat the start, which may learn from both parts now
        both = pd.concat([frames["train"], frames["validation"]], ignore_index=True)
        start.fit_again(pairs("both", both))
    gallery = build_gallery(
        recommender, pd.concat(list(frames.values()), ignore_index=True), pictures
    )
    save(recommender, model, gallery, trainer.loop.history, params.index)
    # only now: killed before, the stage goes on from it
    checkpoint.clear()
    return {
        "validation_mrr_at_10": trainer.stopping.score,
        "validation_mrr_at_10_before": trainer.loop.history[0]["validation_mrr_at_10"],
        "epochs": trainer.loop.epoch,
        "items": len(gallery.table),
    }
