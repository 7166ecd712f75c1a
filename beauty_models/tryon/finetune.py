"""Supervised fine-tuning: heads and fusions first, then the upper blocks of both networks.

The heads learn on features that are computed once.
"""

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
from beauty_models.training.augmentation import random_augmentation
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
from beauty_models.tryon.fusion import FUSIONS, TokenFeatures
from beauty_models.tryon.heads import label_column
from beauty_models.tryon.model import (
    ALONE,
    MIXTURES,
    NETWORKS,
    ByBranch,
    Config,
    FusionClassifier,
    save,
    write_gallery,
)
from beauty_models.tryon.towers import Inputs, full_precision_above, load_networks

PARTS = ("train", "validation")
UNKNOWN = -1  # label of an example for a head that nobody told
CONFIDENCE = 0.95  # of the intervals by which epochs and fusions are compared
RESAMPLES = 1000  # of their bootstrap


class Split:
    """One split: its inputs, and for each head the labels [n].

    ``products`` has the product of each example; one without a product stands alone.
    """

    def __init__(
        self, frame: pd.DataFrame, classifier: FusionClassifier, pictures: Pictures
    ) -> None:
        texts = frame["text"].tolist()
        keys = frame["image"].fillna("").tolist()
        self.inputs = Inputs(classifier, texts, keys, pictures)
        # Names that no product has: ingest takes NUL out of every table.
        names = [f"\0{i}" for i in range(len(frame))]
        alone = pd.Series(names, index=frame.index)
        products = frame["product"]
        self.products = products.where(products.notna(), alone).tolist()
        self.labels = {}
        for head in classifier.config.heads:
            positions = {name: i for i, name in enumerate(head["labels"])}
            labels = frame[label_column(head["name"])].map(positions).fillna(UNKNOWN)
            self.labels[head["name"]] = torch.tensor(labels.to_numpy(np.int64))
        self.class_labels = self.labels[classifier.config.heads[0]["name"]]
        self.has_class = self.class_labels != UNKNOWN

    def __len__(self) -> int:
        return len(self.inputs.keys)

    def batches(self, params: Finetune, epoch: int) -> list[Batch]:
        """Return an epoch's batches.

        With ``imbalance: resample`` rows are drawn so that all garment classes are as frequent.
        """
        random = np.random.default_rng((params.seed, epoch))
        order = random.permutation(len(self))
        # As many rows as before, so that the number of steps stays.
        if params.imbalance == "resample":
            order = class_balanced_sample(self.class_labels, random)
        starts = range(0, len(order), params.batch)
        return [order[start : start + params.batch] for start in starts]

    def labelled_products(self) -> list[str]:
        """Return the product of each row whose garment's class is known."""
        rows = self.has_class.nonzero().flatten().tolist()
        return [self.products[i] for i in rows]


def _loss(
    classifier: FusionClassifier,
    split: Split,
    inputs: dict[str, TokenFeatures],
    batch: Batch,
    params: Finetune,
) -> torch.Tensor:
    """Return the mean over the branches of the loss of their heads.

    A branch learns from the rows that have its input.
    """
    drop = {"text": params.drop_text, "image": params.drop_image}
    logits = classifier.classify(classifier.features(inputs, drop))
    present = {ALONE[name]: tokens.present for name, tokens in inputs.items()}
    any_present = torch.stack(list(present.values())).any(0)
    # All branches learn in each step, so that they can be compared in the end.
    losses = []
    for branch, branch_logits in logits.items():
        usable = present.get(branch, any_present)
        for head, head_logits in classifier.by_head(branch_logits).items():
            labels = split.labels[head][batch].to(device())
            known = usable & (labels != UNKNOWN)
            # A small batch may have no label of a rare head: the mean over none would be NaN.
            if not known.any():
                continue
            weight = params.head_weights.get(head, 1.0)
            loss = _cross_entropy(
                head_logits[known].float(), labels[known], split.labels[head], params
            )
            losses.append(weight * loss)
    if not losses:
        # Nothing is labelled in this batch. A zero that hangs on the weights lets backward() run.
        return branch_logits.sum() * 0
    return torch.stack(losses).sum() / len(classifier.branches)


def _cross_entropy(
    logits: torch.Tensor, labels: torch.Tensor, all_labels: torch.Tensor, params: Finetune
) -> torch.Tensor:
    """Return the loss of ``logits`` [n, labels], as ``params.imbalance`` says.

    ``all_labels`` are those of the whole split, by whose frequency classes are weighted.
    """
    if params.imbalance == "focal":
        return focal(logits, labels, params.focal_gamma)
    weights = None
    if params.imbalance == "weights":
        # Each label once more: one that no example has must not weigh infinitely.
        once = torch.arange(logits.shape[1])
        known = all_labels[all_labels != UNKNOWN]
        weights = class_weights(torch.cat([known, once])).to(device())
    return nn.functional.cross_entropy(
        logits, labels, weights, label_smoothing=params.label_smoothing
    )


class Score(NamedTuple):
    """How good logits are for the garment's class."""

    # Mean cross-entropy after calibration: that every row counts makes it steadier than F1 on few
    # rows.
    loss: float
    macro_f1: float  # of the classes that have an example


def _class_logits(classifier: FusionClassifier, split: Split, logits: torch.Tensor) -> torch.Tensor:
    """Return of ``logits`` [n, labels of all heads] those of the class, of rows that have one."""
    head = classifier.config.heads[0]["name"]
    return classifier.by_head(logits)[head][split.has_class]


def _row_losses(classifier: FusionClassifier, split: Split, logits: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy [labelled rows] of the garment's class, calibrated."""
    # Before the temperature is fitted, which would end anywhere.
    require_finite(logits, "finetune: the logits of the validation split")
    if not split.has_class.any():
        return torch.empty(0)
    labels = split.class_labels[split.has_class]
    class_logits = _class_logits(classifier, split, logits)
    calibrated = class_logits / temperature(class_logits, labels)
    return nn.functional.cross_entropy(calibrated, labels, reduction="none")


def _score(classifier: FusionClassifier, split: Split, logits: torch.Tensor) -> Score:
    """Return the score of ``logits`` [n, labels of all heads]; chance where no row has a class."""
    if not split.has_class.any():
        return Score(math.log(classifier.label_counts[0]), 0.0)
    labels = split.class_labels[split.has_class]
    predicted = _class_logits(classifier, split, logits).argmax(-1)
    macro_f1 = f1_score(labels, predicted, labels=labels.unique(), average="macro", zero_division=0)
    row_losses = _row_losses(classifier, split, logits)
    return Score(row_losses.mean().item(), float(macro_f1))


def _parameter_groups(classifier: FusionClassifier, params: Finetune) -> list[ParameterGroup]:
    """Return the optimizer's groups: heads and fusions, then each block that may learn.

    Every block learns more slowly than the one above it.
    """
    heads = []
    for name, parameter in classifier.named_parameters():
        if not name.startswith(NETWORKS):
            heads.append(parameter)
    groups: list[ParameterGroup] = [{"params": heads, "lr": params.head_learning_rate}]
    if classifier.image is not None:
        blocks = vision.blocks(classifier.image)[params.frozen_blocks :]
        groups += layer_decay_groups(blocks, params.learning_rate, params.layer_decay)
    if classifier.text is not None:
        below = [] if params.frozen_layers else [classifier.text.embeddings]
        # A frozen layer's input does not change, so with any the embeddings are frozen, too.
        layers = [*below, *bert.layers(classifier.text)[params.frozen_layers :]]
        groups += layer_decay_groups(layers, params.text_learning_rate, params.layer_decay)
    return [group for group in groups if group["params"]]


def _unfreeze(classifier: FusionClassifier, params: Finetune) -> None:
    """Put ``classifier`` into training with the blocks that may learn."""
    # Each epoch anew: validation put the network into eval mode.
    classifier.train()
    if classifier.image is not None:
        vision.freeze(classifier.image, params.frozen_blocks)
        vision.hold_statistics(classifier.image)
    if classifier.text is not None:
        classifier.text.requires_grad_(False)
        bert.layers(classifier.text)[params.frozen_layers :].requires_grad_(True)
        classifier.text.embeddings.requires_grad_(params.frozen_layers == 0)
        classifier.text.set_attn_implementation(attention(training=True))
        # `dropout` is that of the heads alone.
        set_dropout(classifier.text, 0.0)


def _compute_frozen(split: Split, folder: Path, params: Finetune) -> None:
    """Compute once what does not change while the upper blocks learn."""
    with precision(params.precision):
        split.inputs.compute_frozen(folder, params.frozen_layers, params.frozen_blocks)


def _compute_all(
    classifier: FusionClassifier, split: Split, folder: Path, params: Finetune
) -> None:
    """Compute once what does not change while the heads alone learn: both networks."""
    layers = params.frozen_layers
    blocks = params.frozen_blocks
    if classifier.text is not None:
        layers = len(bert.layers(classifier.text))
    if classifier.image is not None:
        blocks = len(vision.blocks(classifier.image))
    with precision(params.precision):
        split.inputs.compute_frozen(folder, layers, blocks)


def _train_heads(classifier: FusionClassifier, split: Split, params: Finetune) -> None:
    """Train heads and fusions alone, on features of both networks that are computed once."""
    heads = _parameter_groups(classifier, params)[:1]
    optimizer = torch.optim.AdamW(heads, weight_decay=params.weight_decay, fused=True)

    def batches(epoch: int) -> list[Batch]:
        return split.batches(params, epoch)

    def loss(batch: Batch) -> torch.Tensor:
        return _loss(classifier, split, split.inputs.encode_batch(batch), batch, params)

    train_head(classifier, optimizer, len(split), batches, loss, params)


class Trainer:
    """What the training loop asks of this family: batches, a step, a validation score."""

    def __init__(
        self,
        classifier: FusionClassifier,
        train: Split,
        validation: Split,
        params: Finetune,
        checkpoint: Checkpoint,
    ) -> None:
        self.classifier = classifier
        self.train = train
        self.validation = validation
        self.params = params
        self.products = validation.labelled_products()
        per_epoch = -(-len(train) // params.batch)
        self.optimization = Optimization(
            classifier, _parameter_groups(classifier, params), per_epoch * params.epochs, params
        ).watched("finetune", checkpoint)
        self.ema = EMA(self.optimization)
        self.stopping = EarlyStopping(self.ema.copy, params.patience, self.replaces)
        self.loop = finetuning_loop(self, params.epochs, per_epoch, checkpoint, ema=self.ema)

    def begin_epoch(self, epoch: int) -> None:
        """Let the blocks learn that may."""
        _unfreeze(self.classifier, self.params)

    def batches(self, epoch: int) -> list[Batch]:
        """Return the batches of ``epoch``; the heads alone had the first orders."""
        return self.train.batches(self.params, self.params.head_epochs + epoch)

    def step(self, batch: Batch, step: int) -> float:
        """Learn from rows ``batch``; return their loss."""
        params = self.params
        view = random_augmentation(
            params.view_size,
            params.seed,
            step,
            crop_scale=params.augment.random_resized_crop,
            color_jitter=params.augment.color_jitter,
            erasing_probability=params.augment.random_erasing,
        )
        with precision(params.precision):
            inputs = self.train.inputs.encode_batch(batch, view, params.view_size)
            loss = _loss(self.classifier, self.train, inputs, batch, params)
        loss.backward()
        value = loss.item()
        self.optimization.step(value)
        # A decay that grows with the steps: else the first weights would count for long.
        self.ema.update(min(params.ema, (1 + step) / (10 + step)))
        return value

    def validate(self) -> Validation:
        """Return how good the mean weights are; the score is each labelled row's cross-entropy."""
        # With the weights that would be kept, not those that the last step left.
        with self.ema.applied():
            _, logits = self.classifier.infer(
                self.validation.inputs, len(self.validation), self.params.precision
            )
        served = logits[self.classifier.served]
        score = _score(self.classifier, self.validation, served)
        metrics = {"validation_loss": score.loss, "validation_macro_f1": score.macro_f1}
        return Validation(metrics, _row_losses(self.classifier, self.validation, served))

    def replaces(self, losses: torch.Tensor, kept: torch.Tensor) -> bool:
        """Return whether an epoch's weights replace the kept ones: unless those are surely better.

        The rate falls to nothing and the weights are means over many steps, so the last epoch is
        the best guess before anybody looks. The lowest of a few figures on some hundred rows is
        chosen by noise: with one seed of the starter it was the second epoch of five.
        """
        return not _surely_lower(kept, losses, self.products)


def _surely_lower(losses: torch.Tensor, others: torch.Tensor, products: list[str]) -> bool:
    """Return whether the mean of ``losses`` [rows] is surely below that of ``others``.

    Surely is beyond a paired bootstrap over ``products``, one for each row.
    """
    if not products:
        return False
    low, _ = bootstrap.bootstrap(
        (others - losses).numpy()[:, None],
        bootstrap.mean,
        groups=np.array(products),
        resamples=RESAMPLES,
        confidence=CONFIDENCE,
        seed=0,
    )
    return low > 0


def _best_fusion(classifier: FusionClassifier, validation: Split, logits: ByBranch) -> str:
    """Return which of the fusions and mixtures serves.

    It is the blend, unless another one has a surely lower cross-entropy on the validation split.
    """
    # The best of six by their figures on a few hundred rows is chosen by noise, and a mean of many
    # is rarely far from the best (docs/decisions/2026-11-26-starter.md).
    products = validation.labelled_products()
    losses = {}
    for name in (*FUSIONS, *MIXTURES):
        losses[name] = _row_losses(classifier, validation, logits[name])
    by_loss = sorted(losses, key=lambda name: losses[name].mean().item())
    for name in by_loss:
        if _surely_lower(losses[name], losses["blend"], products):
            return name
    return "blend"


def _calibrate(classifier: FusionClassifier, validation: Split, logits: torch.Tensor) -> None:
    """Set the temperature of each head by the ``logits`` [n, labels of all heads] that serve."""
    for head, head_logits in classifier.by_head(logits).items():
        labels = validation.labels[head]
        known = labels != UNKNOWN
        classifier.temperatures[head] = 1.0
        if known.any():
            classifier.temperatures[head] = temperature(head_logits[known], labels[known])


def _choose(classifier: FusionClassifier, validation: Split, params: Finetune) -> Metrics:
    """Settle which branch serves and how its probabilities are calibrated.

    Returns:
        Macro-F1 and loss of each branch and mixture on the validation split.
    """
    # On validation: what the test part had a say in it could not judge.
    _, logits = classifier.infer(validation.inputs, len(validation), params.precision)
    if classifier.fusions and params.fusion == "auto" and validation.has_class.any():
        fusion = _best_fusion(classifier, validation, logits)
        classifier.config = replace(classifier.config, fusion=fusion)
    scores = {}
    for name, values in logits.items():
        scores[name] = _score(classifier, validation, values)
    _calibrate(classifier, validation, logits[classifier.served])
    served = scores[classifier.served]
    progress.log_line(
        f"finetune: {classifier.served} serves, validation macro-F1 {served.macro_f1:.4f}"
    )
    metrics = {"validation_macro_f1": served.macro_f1, "validation_loss": served.loss}
    for name, score in scores.items():
        metrics[f"validation_{name}_macro_f1"] = score.macro_f1
        metrics[f"validation_{name}_loss"] = score.loss
    return metrics


def _build(data: Path, pretrained: Path, params: Finetune) -> FusionClassifier:
    """Return the untrained classifier on the networks in ``pretrained``."""
    settings = read_json(pretrained / "pretrained.json")
    networks = load_networks(pretrained)
    if networks.text is not None:
        layers = len(bert.layers(networks.text))
        if params.frozen_layers > layers:
            raise ValueError(
                f"params.yaml: finetune.frozen_layers: {params.frozen_layers}, but the text "
                f"network has {layers} layers"
            )
    config = Config(
        heads=read_json(data / "schema.json")["heads"],
        size=settings["size"],
        max_tokens=settings["max_tokens"],
        width=params.width,
        attention_heads=params.attention_heads,
        fusion="blend" if params.fusion == "auto" else params.fusion,
    )
    return FusionClassifier(config, networks, params.dropout)


def _check_view_size(classifier: FusionClassifier, params: Finetune) -> None:
    """Refuse a size of training's views that the image network does not take."""
    size = params.view_size
    if classifier.image is None or size == classifier.size:
        return
    # Some networks have one embedding for each place; transformers tells only when they are run.
    try:
        with torch.no_grad():
            classifier.image_features(torch.zeros(1, 3, size, size, dtype=torch.uint8))
    except ValueError as error:
        raise ValueError(
            f"params.yaml: finetune.view_size: {size}, but the image network takes no other size "
            f"than pretrain.size ({error}); set it to {classifier.size}"
        ) from None


def _read_splits(data: Path, classifier: FusionClassifier) -> tuple[Split, Split]:
    """Return the train and the validation split of ``data``."""
    pictures = Pictures(data, *PARTS)
    splits = []
    for name in PARTS:
        frame = read_split(data, name, "labelled examples")
        splits.append(Split(frame, classifier, pictures))
    train, validation = splits
    return train, validation


def finetune(*, data: Path, pretrained: Path, model: Path, params: Finetune) -> Metrics:
    """Fine-tune the networks in ``pretrained`` on ``data/train.parquet``; save to ``model``.

    The last epoch's weights are kept unless those of an earlier one, 0 being heads and fusions
    alone, have a surely lower calibrated cross-entropy on ``data/validation.parquet``; ``patience``
    such epochs end the training. The same split says whether anything but the blend serves
    (``fusion: auto``) and calibrates the probabilities. The folder holds the gallery, too.

    Returns:
        ``validation_macro_f1`` and ``validation_loss`` of what serves, and of each branch and
        mixture; ``epochs`` that were run, ``temperature``, ``garments``.

    Raises:
        ValueError: a split is empty, more layers are frozen than there are, or the network does not
            take the ``view_size``.
    """
    classifier = _build(data, pretrained, params).to(device())
    _check_view_size(classifier, params)
    identity = fingerprint(__name__, params, data, pretrained)
    checkpoint = Checkpoint(model, identity, params.checkpoint_minutes)
    train, validation = _read_splits(data, classifier)
    folder = checkpoint.file.parent
    state = checkpoint.load()
    # A checkpoint was taken behind this phase, and holds the heads as it left them.
    if state is None:
        # The middle of each picture, without augmentation: so each epoch costs seconds.
        _compute_all(classifier, train, folder, params)
        _train_heads(classifier, train, params)
    for split in (train, validation):
        _compute_frozen(split, folder, params)
    trainer = Trainer(classifier, train, validation, params, checkpoint)
    with full_precision_above(classifier.image, params.frozen_blocks):
        trainer.loop.run(state, validate_start=True)
    # The loop leaves those of its last step; kept are means over many.
    trainer.optimization.load_weights(trainer.stopping.weights)
    metrics = _choose(classifier, validation, params)
    with new_folder(model) as folder:
        save(classifier, folder)
        write_json(folder / "history.json", trainer.loop.history)
        garments = write_gallery(classifier, data, folder, params.index.model_dump())
    checkpoint.clear()
    class_head = classifier.config.heads[0]["name"]
    return {
        "epochs": trainer.loop.epoch,
        "garments": garments,
        "temperature": classifier.temperatures[class_head],
        **metrics,
    }
