"""Supervised fine-tuning: pairs of picture and caption pull two towers into one space; what is frozen is computed once."""

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
from beauty_models.recommend.cca import best_penalty, prepare, solve
from beauty_models.recommend.contrastive import alike, backward_in_chunks, clip_loss, siglip_loss
from beauty_models.recommend.model import Recommender, gallery, save
from beauty_models.recommend.openclip import Dual
from beauty_models.recommend.pairs import Pairs, Rules
from beauty_models.training.batches import Batch, passes_per_epoch, repeat_passes
from beauty_models.training.bert import set_dropout
from beauty_models.training.checkpoint import Checkpoint, fingerprint
from beauty_models.training.loop import EarlyStopping, Validation, finetuning_loop
from beauty_models.training.optimization import EMA, Optimization, ParameterGroup

LARGEST_SCALE = math.log(100)  # of the logits (Radford et al. 2021, section 2.5)
HEADS = (
    "visual.head.",
    "palette.",
    "visual.proj",
    "text.proj",
    "text_projection",
    "logit_scale",
    "logit_bias",
)  # names of what projects
BIAS = -10.0  # of SigLIP's logits at the start


def _learn(dual: Dual, params: Finetune) -> list[ParameterGroup]:
    """Let everything learn that is not frozen; return the optimizer's groups: the projections, then the towers."""
    clip = dual.clip
    clip.requires_grad_(True)
    if params.locked:
        clip.visual.requires_grad_(False)
        getattr(clip.visual, "head", nn.Identity()).requires_grad_(True)
    elif params.frozen_blocks:
        for part in vision.blocks(clip.visual)[: params.frozen_blocks]:
            part.requires_grad_(False)
    if params.frozen_layers:
        clip.text.transformer.embeddings.requires_grad_(False)
        clip.text.transformer.encoder.layer[: params.frozen_layers].requires_grad_(False)
    named = [(name, p) for name, p in clip.named_parameters() if p.requires_grad]
    return [
        {
            "params": [p for name, p in named if name.startswith(HEADS)],
            "lr": params.head_learning_rate,
        },
        {
            "params": [p for name, p in named if not name.startswith(HEADS)],
            "lr": params.learning_rate,
        },
    ]


class Trainer:
    """What the training loop asks of this family: batches, a step, a validation score."""

    def __init__(
        self, part: Pairs, validation: Pairs, params: Finetune, checkpoint: Checkpoint
    ) -> None:
        self.part, self.validation, self.params = part, validation, params
        self.clip = part.dual.clip
        self.once = -(-len(part.keys) // params.batch)
        self.passes = passes_per_epoch(self.once, params.epochs, params.min_steps)
        per_epoch = self.passes * self.once
        self.optimization = Optimization(
            self.clip, _learn(part.dual, params), per_epoch * params.epochs, params
        ).watched("finetune", checkpoint)
        self.ema = EMA(self.optimization)
        self.stopping = EarlyStopping(self.ema.copy, params.patience)
        self.loop = finetuning_loop(self, params.epochs, per_epoch, checkpoint, ema=self.ema)

    def begin_epoch(self, epoch: int) -> None:
        """Turn dropout on."""
        self.mode(training=True)

    def batches(self, epoch: int) -> list[Batch]:
        """Return the batches of ``epoch``: all items in a new order, few ones repeatedly."""
        return repeat_passes(self.one_pass, self.passes, epoch)

    def one_pass(self, number: int) -> list[Batch]:
        """Return the batches of the pass of that number."""
        random = np.random.default_rng((self.params.seed, number))
        return np.array_split(random.permutation(len(self.part.keys)), self.once)

    def step(self, items: Batch, step: int) -> float:
        """Learn from ``items``; return their loss."""
        params, part = self.params, self.part
        texts = part.drawn(items, step)
        same = alike(part.products[items], torch.from_numpy(texts)).to(device())
        chunks = [
            np.arange(start, min(start + params.chunk, len(items)))
            for start in range(0, len(items), params.chunk)
        ]

        def loss(image: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
            scale = self.clip.logit_scale.exp()
            return (
                siglip_loss(image, text, scale, self.clip.logit_bias, same)
                if params.loss == "siglip"
                else clip_loss(image, text, scale, same)
            )

        def embed(rows: Batch) -> tuple[torch.Tensor, torch.Tensor]:
            return part.embed_images(items[rows], step), part.embed_texts(texts[rows])

        value = backward_in_chunks(
            embed, chunks, loss, params.seed * 1_000_003 + step * len(chunks)
        )
        self.optimization.step(value)
        with torch.no_grad():
            self.clip.logit_scale.clamp_(0, LARGEST_SCALE)
        self.ema.update(params.ema)
        return value

    def mode(self, training: bool) -> None:
        """Turn dropout on or off; batch norm keeps the statistics it came with."""
        self.clip.train(training)
        vision.hold_statistics(self.clip)
        if self.part.dual.is_bert:
            self.clip.text.transformer.set_attn_implementation(attention(training))

    def validate(self) -> Validation:
        """Return the MRR@10, both ways, of the mean weights on the validation split."""
        self.mode(training=False)
        with self.ema.applied():
            score = self.validation.score()
        return Validation({"validation_mrr_at_10": score}, score)


def _reader(pretrained: Path, params: Finetune) -> Recommender:
    """Return the recommender to train.

    Raises:
        ValueError: the params ask of the dual encoder what it is not built for.
    """
    dual = openclip.load(pretrained)
    if (params.frozen_layers or params.canonical) and not dual.is_bert:
        raise ValueError(
            "params.yaml: finetune.frozen_layers and finetune.canonical need a text tower built like BERT; set them to 0 and [] here"
        )
    if params.frozen_layers and params.frozen_layers >= (
        depth := len(dual.clip.text.transformer.encoder.layer)
    ):
        raise ValueError(
            f"params.yaml: finetune.frozen_layers: {params.frozen_layers} of the text tower's {depth} layers leave none to train"
        )
    if params.canonical and params.own >= (dimension := dual.config["model_cfg"]["embed_dim"]):
        raise ValueError(
            f"params.yaml: finetune.own: {params.own} of the {dimension} dimensions (pretrain.dimension) leave none for texts"
        )
    if params.loss == "siglip" and dual.clip.logit_bias is None:
        dual.clip.logit_bias = nn.Parameter(torch.tensor(BIAS))
        dual.config["model_cfg"]["init_logit_bias"] = BIAS
    if params.temperature:
        nn.init.constant_(dual.clip.logit_scale, math.log(1 / params.temperature))
    set_dropout(dual.clip, params.dropout)
    if params.palette and dual.palette is None:
        dual.add_palette()
    dual.clip.to(device())
    return Recommender(dual, params.image_share)


def finetune(*, data: Path, pretrained: Path, model: Path, params: Finetune) -> Metrics:
    """Fine-tune the dual encoder in ``pretrained`` on ``data/train.parquet``; save the best epoch's weights, and the index, to ``model``.

    The best epoch is that of the highest MRR@10, both ways, on ``data/validation.parquet``; the start counts as epoch 0, and when
    it is the best, its closed form is solved again on train and validation together. The index holds the items of all parts.

    Returns:
        ``validation_mrr_at_10`` and that of the start, ``epochs`` that were run, ``items`` of the index.

    Raises:
        ValueError: a split is empty, or the params do not fit the dual encoder.
    """
    reader = _reader(pretrained, params)
    checkpoint = Checkpoint(
        model, fingerprint(__name__, params, data, pretrained), params.checkpoint_minutes
    )
    frames = {
        name: pd.read_parquet(data / f"{name}.parquet") for name in ("train", "validation", "test")
    }
    products = frames["train"]["product"].nunique()
    if params.epochs and products < params.min_products:
        progress.log_line(
            f"finetune: no epochs, {products} products to train on are fewer than min_products ({params.min_products}); "
            "the closed-form start is all that so few can teach"
        )
        params = params.model_copy(update={"epochs": 0})
    pictures, parts = Pictures(data, *frames), {}
    rules = Rules(
        params.seed,
        params.captions.model_dump(),
        params.locked,
        params.views,
        params.crop,
        params.colour,
        params.frozen_layers,
        params.precision,
    )
    reader.clip.eval()
    for name in ("train", "validation"):
        if frames[name].empty:
            raise ValueError(
                f"{data / f'{name}.parquet'}: no rows; deliver more products or enlarge ingest.split.{name}"
            )
        parts[name] = Pairs(frames[name], pictures, reader.dual, rules)
        parts[name].freeze(checkpoint.file.parent, name)
    if params.canonical:
        start = prepare(parts["train"], params.own, params.palette)
        penalty = best_penalty(parts["validation"], start, params.canonical)
        solve(reader.dual, start, penalty)
        progress.log_line(f"finetune: canonical correlation analysis with a penalty of {penalty:g}")
    trainer = Trainer(parts["train"], parts["validation"], params, checkpoint)
    trainer.loop.run(checkpoint.load(), validate_start=True)
    trainer.optimization.load_weights(trainer.stopping.weights)
    if params.canonical and trainer.stopping.epoch == 0:
        # no epoch beat the start, which may learn from both parts now
        both = Pairs(
            pd.concat([frames["train"], frames["validation"]], ignore_index=True),
            pictures,
            reader.dual,
            rules,
        )
        both.freeze(checkpoint.file.parent, "both")
        solve(reader.dual, prepare(both, params.own, params.palette), penalty)
    shown = gallery(reader, pd.concat(list(frames.values()), ignore_index=True), pictures)
    save(reader, model, shown, trainer.loop.history, params.index)
    checkpoint.clear()
    return {
        "validation_mrr_at_10": trainer.stopping.score,
        "validation_mrr_at_10_before": trainer.loop.history[0]["validation_mrr_at_10"],
        "epochs": trainer.loop.epoch,
        "items": len(shown[0]),
    }
