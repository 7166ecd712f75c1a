"""Supervised fine-tuning: pairs of picture and caption pull two towers into one space; what is frozen is computed once."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
from beauty_models.training.batches import Batch
from beauty_models.training.bert import set_dropout
from beauty_models.training.checkpoint import Checkpoint, fingerprint
from beauty_models.training.optimization import Descent

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


@dataclass
class Run:
    """Where a training run stands: all that a checkpoint holds besides weights and optimizer."""

    epoch: int = 0
    batch: int = 0
    loss: float = 0.0
    best: float = -1.0
    waited: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


def _learn(dual: Dual, params: Finetune) -> list[dict[str, Any]]:
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
    """The loop over epochs and batches with its checkpoints; kept apart from `finetune` so that it can be resumed."""

    def __init__(self, part: Pairs, params: Finetune, checkpoint: Checkpoint) -> None:
        self.part, self.params, self.checkpoint, self.run = part, params, checkpoint, Run()
        self.clip = part.dual.clip
        once = -(-len(part.keys) // params.batch)
        self.per_epoch = once * max(1, -(-params.min_steps // max(1, once * params.epochs)))
        self.descent = Descent(
            self.clip, _learn(part.dual, params), self.per_epoch * params.epochs, params
        ).watched("finetune", checkpoint)
        self.mean, self.best = self.descent.weights(), self.descent.weights()

    def resume(self) -> bool:
        """Go on where the last checkpoint stands, if there is one for this very run."""
        state = self.checkpoint.load()
        if state is None:
            return False
        self.descent.resume(state)
        self.run = Run(**state["run"])
        self.mean, self.best = (
            {name: value.to(device()) for name, value in state[key].items()}
            for key in ("mean", "best")
        )
        progress.say(
            f"finetune: resuming in epoch {self.run.epoch + 1} after batch {self.run.batch} of {self.per_epoch}"
        )
        return True

    def save(self) -> None:
        """Save a checkpoint."""
        self.checkpoint.save(
            {"run": vars(self.run), "best": self.best, "mean": self.mean} | self.descent.state()
        )

    def batch(self, step: int) -> Batch:
        """Return the items of step ``step``: all of them in a new order, batch by batch."""
        once = -(-len(self.part.keys) // self.params.batch)
        order = np.random.default_rng((self.params.seed, step // once)).permutation(
            len(self.part.keys)
        )
        return np.array_split(order, once)[step % once]

    def step(self, step: int) -> float:
        """Learn from one batch; return its loss."""
        params, part = self.params, self.part
        items = self.batch(step)
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
        self.descent.step(value)
        with torch.no_grad():
            self.clip.logit_scale.clamp_(0, LARGEST_SCALE)
        self.descent.follow(self.mean, params.ema)
        return value

    def epoch(self, bar: progress.Bar) -> None:
        """Train the epoch of ``self.run`` from its batch on."""
        run = self.run
        self.mode(training=True)
        while run.batch < self.per_epoch:
            run.loss += self.step(run.epoch * self.per_epoch + run.batch)
            run.batch += 1
            bar.advance(
                1, f"epoch {run.epoch + 1}/{self.params.epochs}, loss {run.loss / run.batch:.3f}"
            )
            if self.checkpoint.due():
                self.save()

    def mode(self, training: bool) -> None:
        """Turn dropout on or off; batch norm keeps the statistics it came with."""
        self.clip.train(training)
        vision.hold_statistics(self.clip)
        if self.part.dual.is_bert:
            self.clip.text.transformer.set_attn_implementation(attention(training))

    def keep_best(self, validation: Pairs) -> None:
        """Score the running mean of the weights on the validation split, and keep it when it is the best so far."""
        run, now = self.run, self.descent.weights()
        self.mode(training=False)
        self.descent.put(self.mean)
        score = validation.score()
        self.descent.put(now)
        run.waited = 0 if score > run.best else run.waited + 1
        if score > run.best:
            run.best, self.best = score, {name: value.clone() for name, value in self.mean.items()}
        loss = run.loss / max(1, run.batch)
        run.history.append({"epoch": run.epoch, "loss": loss, "validation_mrr_at_10": score})
        progress.say(f"finetune: epoch {run.epoch}: loss {loss:.4f}, validation MRR@10 {score:.4f}")


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
        progress.say(
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
        progress.say(f"finetune: canonical correlation analysis with a penalty of {penalty:g}")
    trainer = Trainer(parts["train"], params, checkpoint)
    if not trainer.resume():
        trainer.keep_best(parts["validation"])
    run = trainer.run
    with progress.bar(
        "finetune", trainer.per_epoch * params.epochs, run.epoch * trainer.per_epoch + run.batch
    ) as bar:
        while run.epoch < params.epochs and run.waited < params.patience:
            trainer.epoch(bar)
            run.epoch += 1
            trainer.keep_best(parts["validation"])
            run.batch, run.loss = 0, 0.0
    trainer.descent.put(trainer.best)
    if (
        params.canonical and run.best == run.history[0]["validation_mrr_at_10"]
    ):  # no epoch beat the start, which may learn from both parts now
        both = Pairs(
            pd.concat([frames["train"], frames["validation"]], ignore_index=True),
            pictures,
            reader.dual,
            rules,
        )
        both.freeze(checkpoint.file.parent, "both")
        solve(reader.dual, prepare(both, params.own, params.palette), penalty)
    shown = gallery(reader, pd.concat(list(frames.values()), ignore_index=True), pictures)
    save(reader, model, shown, run.history, params.index)
    checkpoint.clear()
    return {
        "validation_mrr_at_10": run.best,
        "validation_mrr_at_10_before": run.history[0]["validation_mrr_at_10"],
        "epochs": run.epoch,
        "items": len(shown[0]),
    }
