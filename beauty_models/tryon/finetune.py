"""Supervised fine-tuning: heads and fusions first, on features computed once; then the upper blocks of both networks."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import f1_score
from torch import nn

from beauty_models import progress
from beauty_models.backbones import vision
from beauty_models.device import attention, device, precision
from beauty_models.evaluation import bootstrap
from beauty_models.evaluation.calibration import temperature
from beauty_models.families import Metrics
from beauty_models.files import new_folder, read_json, write_json
from beauty_models.intake.shards import Pictures
from beauty_models.training import bert
from beauty_models.training.augmentation import augmented
from beauty_models.training.batches import Batch, class_balanced_sample
from beauty_models.training.bert import set_dropout
from beauty_models.training.checkpoint import Checkpoint, fingerprint
from beauty_models.training.finite import require_finite
from beauty_models.training.loop import EarlyStopping, Validation, finetuning_loop, train_head
from beauty_models.training.losses import class_weights, focal
from beauty_models.training.optimization import (
    EMA,
    Optimization,
    ParameterGroup,
    layer_decay_groups,
)
from beauty_models.training.splits import read_split
from beauty_models.tryon import Finetune
from beauty_models.tryon.fusion import FUSIONS, Places
from beauty_models.tryon.model import ALONE, MIXTURES, Shape, Stylist, save, write_gallery
from beauty_models.tryon.towers import Inputs, full_precision_above, load_networks

PARTS = ("train", "validation")
UNKNOWN = -1  # label of an example for a head that nobody told


class Part:
    """One split: its inputs, the product of each example (one without stands alone), and for each head the labels [n]."""

    def __init__(self, frame: pd.DataFrame, stylist: Stylist, pictures: Pictures) -> None:
        self.inputs = Inputs(
            stylist, frame["text"].tolist(), frame["image"].fillna("").tolist(), pictures
        )
        alone = pd.Series([f"\0{i}" for i in range(len(frame))], index=frame.index)
        self.products = frame["product"].where(frame["product"].notna(), alone).tolist()
        self.labels = {}
        for head in stylist.shape.heads:
            places = frame[f"label.{head['name']}"].map(
                {name: i for i, name in enumerate(head["labels"])}
            )
            self.labels[head["name"]] = torch.tensor(places.fillna(UNKNOWN).to_numpy(np.int64))

    def __len__(self) -> int:
        return len(self.inputs.keys)

    def batches(self, params: Finetune, epoch: int) -> list[Batch]:
        """Return an epoch's batches; with ``imbalance: resample`` rows are drawn so that all garment classes are equally frequent."""
        random = np.random.default_rng((params.seed, epoch))
        order = random.permutation(len(self))
        if params.imbalance == "resample":
            order = class_balanced_sample(next(iter(self.labels.values())), random)
        return [order[start : start + params.batch] for start in range(0, len(order), params.batch)]


def _loss(
    stylist: Stylist, part: Part, inputs: dict[str, Places], batch: Batch, params: Finetune
) -> torch.Tensor:
    """Return the mean over the branches of the loss of their heads; a branch learns from the rows that have its input."""
    everywhere = torch.stack([places.there for places in inputs.values()]).any(0)
    losses, drop = [], {"text": params.drop_text, "image": params.drop_image}
    for branch, logits in stylist.classify(stylist.features(inputs, drop)).items():
        usable = next(
            (inputs[name].there for name, alone in ALONE.items() if alone == branch), everywhere
        )
        for head, values in stylist.by_head(logits).items():
            labels = part.labels[head][batch].to(device())
            known = usable & (labels != UNKNOWN)
            if known.any():
                losses.append(
                    params.head_weights.get(head, 1.0)
                    * _entropy(values[known].float(), labels[known], part.labels[head], params)
                )
    return torch.stack(losses).sum() / len(stylist.branches) if losses else logits.sum() * 0


def _entropy(
    logits: torch.Tensor, labels: torch.Tensor, all_labels: torch.Tensor, params: Finetune
) -> torch.Tensor:
    if params.imbalance == "focal":
        return focal(logits, labels, params.focal_gamma)
    once = torch.arange(logits.shape[1])  # a label that no example has must not weigh infinitely
    weights = (
        class_weights(torch.cat([all_labels[all_labels != UNKNOWN], once])).to(device())
        if params.imbalance == "weights"
        else None
    )
    return nn.functional.cross_entropy(logits, labels, weights, label_smoothing=params.smoothing)


class Score(NamedTuple):
    """How good logits are for the garment's class."""

    loss: float  # mean cross-entropy after calibration: that every row counts makes it steadier than F1 on few rows
    macro_f1: float  # of the classes that have an example


def _entropies(stylist: Stylist, part: Part, logits: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy [labelled rows] of the garment's class for ``logits`` [n, labels of all heads], calibrated."""
    head = stylist.shape.heads[0]["name"]
    known = part.labels[head] != UNKNOWN
    require_finite(logits, "finetune: the logits of the validation split")
    if not known.any():
        return torch.empty(0)
    labels, said = part.labels[head][known], stylist.by_head(logits)[head][known]
    return nn.functional.cross_entropy(said / temperature(said, labels), labels, reduction="none")


def _score(stylist: Stylist, part: Part, logits: torch.Tensor) -> Score:
    """Return the score of ``logits`` [n, labels of all heads] on ``part``; chance where no row has a class."""
    head = stylist.shape.heads[0]["name"]
    known = part.labels[head] != UNKNOWN
    if not known.any():
        return Score(math.log(stylist.sizes[0]), 0.0)
    labels = part.labels[head][known]
    said = stylist.by_head(logits)[head][known].argmax(-1)
    occurring = labels.unique()
    f1 = f1_score(labels, said, labels=occurring, average="macro", zero_division=0)
    return Score(_entropies(stylist, part, logits).mean().item(), float(f1))


def _groups(stylist: Stylist, params: Finetune) -> list[ParameterGroup]:
    """Return the optimizer's groups: heads and fusions, then each block that may learn, every one slower than the one above it."""
    own = [p for name, p in stylist.named_parameters() if not name.startswith(("text.", "image."))]
    groups: list[ParameterGroup] = [{"params": own, "lr": params.head_learning_rate}]
    if stylist.image is not None:
        blocks = vision.blocks(stylist.image)[params.frozen_blocks :]
        groups += layer_decay_groups(blocks, params.learning_rate, params.block_decay)
    if stylist.text is not None:
        below = [] if params.frozen_layers else [stylist.text.embeddings]
        blocks = [*below, *bert.layers(stylist.text)[params.frozen_layers :]]
        groups += layer_decay_groups(blocks, params.text_learning_rate, params.block_decay)
    return [group for group in groups if group["params"]]


def _thaw(stylist: Stylist, params: Finetune) -> None:
    """Put ``stylist`` into training with the blocks that may learn; batch norms keep their statistics."""
    stylist.train()
    if stylist.image is not None:
        vision.freeze(stylist.image, params.frozen_blocks)
        vision.hold_statistics(stylist.image)
    if stylist.text is not None:
        stylist.text.requires_grad_(False)
        bert.layers(stylist.text)[params.frozen_layers :].requires_grad_(True)
        stylist.text.embeddings.requires_grad_(params.frozen_layers == 0)
        stylist.text.set_attn_implementation(attention(training=True))
        set_dropout(stylist.text, 0.0)


def _compute(stylist: Stylist, part: Part, folder: Path, params: Finetune, *, whole: bool) -> None:
    """Compute once what does not change in training: frozen layers and blocks or, with ``whole``, both networks."""
    layers = (
        len(bert.layers(stylist.text))
        if whole and stylist.text is not None
        else params.frozen_layers
    )
    blocks = (
        len(vision.blocks(stylist.image))
        if whole and stylist.image is not None
        else params.frozen_blocks
    )
    with precision(params.precision):
        part.inputs.compute(folder, layers, blocks)


def _train_heads(stylist: Stylist, part: Part, params: Finetune) -> None:
    """Train heads and fusions alone, on features of both networks that are computed once."""
    optimizer = torch.optim.AdamW(
        _groups(stylist, params)[:1], weight_decay=params.weight_decay, fused=True
    )

    def batches(epoch: int) -> list[Batch]:
        return part.batches(params, epoch)

    def loss(batch: Batch) -> torch.Tensor:
        return _loss(stylist, part, part.inputs.take(batch), batch, params)

    train_head(stylist, optimizer, len(part), batches, loss, params)


class Trainer:
    """What the training loop asks of this family: batches, a step, a validation score."""

    def __init__(
        self,
        stylist: Stylist,
        train: Part,
        validation: Part,
        params: Finetune,
        checkpoint: Checkpoint,
    ) -> None:
        self.stylist, self.train, self.validation = stylist, train, validation
        self.params = params
        self.products = _labelled_products(stylist, validation)
        per_epoch = -(-len(train) // params.batch)
        self.optimization = Optimization(
            stylist, _groups(stylist, params), per_epoch * params.epochs, params
        ).watched("finetune", checkpoint)
        self.ema = EMA(self.optimization)
        self.stopping = EarlyStopping(self.ema.copy, params.patience, self.replaces)
        self.loop = finetuning_loop(self, params.epochs, per_epoch, checkpoint, ema=self.ema)

    def begin_epoch(self, epoch: int) -> None:
        """Let the blocks learn that may."""
        _thaw(self.stylist, self.params)

    def batches(self, epoch: int) -> list[Batch]:
        """Return the batches of ``epoch``; the heads alone had the first orders."""
        return self.train.batches(self.params, self.params.head_epochs + epoch)

    def step(self, batch: Batch, step: int) -> float:
        """Learn from rows ``batch``; return their loss."""
        params = self.params
        view = augmented(
            params.view,
            params.seed,
            step,
            scale=params.augment.crop,
            colour=params.augment.colour,
            erase=params.augment.erase,
        )
        with precision(params.precision):
            inputs = self.train.inputs.take(batch, view, params.view)
            loss = _loss(self.stylist, self.train, inputs, batch, params)
        loss.backward()
        value = loss.item()
        self.optimization.step(value)
        self.ema.update(min(params.ema, (1 + step) / (10 + step)))
        return value

    def validate(self) -> Validation:
        """Return how good the mean weights are; the score is each labelled row's entropy."""
        with self.ema.applied():
            _, logits = self.stylist.ask(
                self.validation.inputs, len(self.validation), self.params.precision
            )
        served = logits[self.stylist.served]
        score = _score(self.stylist, self.validation, served)
        metrics = {"validation_loss": score.loss, "validation_macro_f1": score.macro_f1}
        return Validation(metrics, _entropies(self.stylist, self.validation, served))

    def replaces(self, entropies: torch.Tensor, kept: torch.Tensor) -> bool:
        """Return whether an epoch's weights replace the kept ones: unless those are surely better.

        The rate falls to nothing and the weights are means over many steps, so the last epoch is
        the best guess before anybody looks. The lowest of a few figures on some hundred rows is
        chosen by noise: with one seed of the starter it was the second epoch of five.
        """
        return not _surely_lower(kept, entropies, self.products)


def _labelled_products(stylist: Stylist, part: Part) -> list[str]:
    """Return the product of each row of ``part`` whose garment's class is known."""
    known = part.labels[stylist.shape.heads[0]["name"]] != UNKNOWN
    return [part.products[i] for i in known.nonzero().flatten().tolist()]


def _surely_lower(entropies: torch.Tensor, others: torch.Tensor, products: list[str]) -> bool:
    """Return whether the mean of ``entropies`` [rows] is below that of ``others`` beyond a 95 % paired bootstrap over ``products``."""
    if not products:
        return False
    low, _ = bootstrap.bootstrap(
        (others - entropies).numpy()[:, None],
        bootstrap.mean,
        groups=np.array(products),
        resamples=1000,
        confidence=0.95,
        seed=0,
    )
    return low > 0


def _serving(stylist: Stylist, validation: Part, logits: dict[str, torch.Tensor]) -> str:
    """Return which of the fusions and mixtures serves: the blend, unless another one is better beyond the interval.

    The best of six by their figures on a few hundred rows is chosen by noise, and a mean of many is rarely far from the best.
    So another one must have a lower cross-entropy at the lower end of a paired bootstrap over products of the validation split.
    """
    products = _labelled_products(stylist, validation)
    entropies = {
        name: _entropies(stylist, validation, logits[name]) for name in (*FUSIONS, *MIXTURES)
    }
    for name in sorted(entropies, key=lambda name: entropies[name].mean().item()):
        if _surely_lower(entropies[name], entropies["blend"], products):
            return name
    return "blend"


def _choose(stylist: Stylist, validation: Part, params: Finetune) -> Metrics:
    """Settle which branch serves and how its probabilities are calibrated; return the figures of each on the validation split."""
    _, logits = stylist.ask(validation.inputs, len(validation), params.precision)
    head = stylist.shape.heads[0]["name"]
    known = validation.labels[head] != UNKNOWN
    if stylist.fusions and params.fusion == "auto" and known.any():
        fusion = _serving(stylist, validation, logits)
        stylist.shape = replace(stylist.shape, fusion=fusion)
    scores = {name: _score(stylist, validation, values) for name, values in logits.items()}
    for head, values in stylist.by_head(logits[stylist.served]).items():
        labelled = validation.labels[head] != UNKNOWN
        stylist.temperatures[head] = (
            temperature(values[labelled], validation.labels[head][labelled])
            if labelled.any()
            else 1.0
        )
    served = scores[stylist.served]
    progress.log_line(
        f"finetune: {stylist.served} serves, validation macro-F1 {served.macro_f1:.4f}"
    )
    figures = {"validation_macro_f1": served.macro_f1, "validation_loss": served.loss}
    for name, score in scores.items():
        figures[f"validation_{name}_macro_f1"] = score.macro_f1
        figures[f"validation_{name}_loss"] = score.loss
    return figures


def _stylist(data: Path, pretrained: Path, params: Finetune) -> Stylist:
    made = read_json(pretrained / "pretrained.json")
    networks = load_networks(pretrained)
    if (text := networks[0]) is not None and params.frozen_layers > len(bert.layers(text)):
        raise ValueError(
            f"params.yaml: finetune.frozen_layers: {params.frozen_layers}, but the text network has {len(bert.layers(text))} layers"
        )
    fusion = "blend" if params.fusion == "auto" else params.fusion
    shape = Shape(
        read_json(data / "schema.json")["heads"],
        made["size"],
        made["max_tokens"],
        params.width,
        params.attention_heads,
        fusion,
    )
    return Stylist(shape, networks, params.dropout)


def _check_view(stylist: Stylist, params: Finetune) -> None:
    """Refuse a size of training's views that the image network does not take: some have one embedding for each place."""
    if stylist.image is None or params.view == stylist.size:
        return
    try:
        with torch.no_grad():
            stylist.look(torch.zeros(1, 3, params.view, params.view, dtype=torch.uint8))
    except ValueError as error:
        raise ValueError(
            f"params.yaml: finetune.view: {params.view}, but the image network takes no other size than "
            f"pretrain.size ({error}); set it to {stylist.size}"
        ) from None


def finetune(*, data: Path, pretrained: Path, model: Path, params: Finetune) -> Metrics:
    """Fine-tune the networks in ``pretrained`` on ``data/train.parquet``; save weights and gallery to ``model``.

    The last epoch's weights are kept unless those of an earlier one, 0 being heads and fusions alone, have a surely lower calibrated
    cross-entropy on ``data/validation.parquet``; ``patience`` such epochs end the training. The same split says whether anything but
    the blend serves (``fusion: auto``) and calibrates the probabilities.

    Returns:
        ``validation_macro_f1`` and ``validation_loss`` of what serves, and of each branch and mixture; ``epochs`` that were run,
        ``temperature``, ``garments``.

    Raises:
        ValueError: a split is empty, more layers are frozen than there are, or the network does not take the ``view``.
    """
    stylist = _stylist(data, pretrained, params).to(device())
    _check_view(stylist, params)
    checkpoint = Checkpoint(
        model, fingerprint(__name__, params, data, pretrained), params.checkpoint_minutes
    )
    pictures, parts = Pictures(data, *PARTS), {}
    for name in PARTS:
        frame = read_split(data, name, "labelled examples")
        parts[name] = Part(frame, stylist, pictures)
    state = checkpoint.load()
    if state is None:
        _compute(stylist, parts["train"], checkpoint.file.parent, params, whole=True)
        _train_heads(stylist, parts["train"], params)
    for part in parts.values():
        _compute(stylist, part, checkpoint.file.parent, params, whole=False)
    trainer = Trainer(stylist, parts["train"], parts["validation"], params, checkpoint)
    with full_precision_above(stylist.image, params.frozen_blocks):
        trainer.loop.run(state, validate_start=True)
    trainer.optimization.load_weights(trainer.stopping.weights)
    figures = _choose(stylist, parts["validation"], params)
    with new_folder(model) as place:
        save(stylist, place)
        write_json(place / "history.json", trainer.loop.history)
        garments = write_gallery(stylist, data, place, params.index.model_dump())
    checkpoint.clear()
    return {
        "epochs": trainer.loop.epoch,
        "garments": garments,
        "temperature": stylist.temperatures[stylist.shape.heads[0]["name"]],
    } | figures
