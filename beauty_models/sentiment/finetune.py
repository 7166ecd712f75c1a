"""Supervised fine-tuning: the head first, then the upper layers from the top down.

What the frozen layers put out is computed once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import f1_score
from torch import nn
from transformers import AutoModel, AutoTokenizer

from beauty_models import progress
from beauty_models.backbones.loading import from_pretrained, network
from beauty_models.device import attention, device, precision
from beauty_models.evaluation.calibration import temperature
from beauty_models.families import Metrics
from beauty_models.files import read_json
from beauty_models.sentiment import Finetune
from beauty_models.sentiment.model import ASPECT_STATES, Classifier, save
from beauty_models.training.batches import (
    Batch,
    batches_by_length,
    class_balanced_sample,
    length_bucketed_batches,
    passes_per_epoch,
    repeat_passes,
)
from beauty_models.training.bert import layers, mean_pool, pad, set_dropout, tokenize
from beauty_models.training.checkpoint import Checkpoint, fingerprint
from beauty_models.training.finite import require_finite
from beauty_models.training.frozen_features import Activations
from beauty_models.training.loop import EarlyStopping, Validation, finetuning_loop, train_head
from beauty_models.training.losses import class_weights, focal
from beauty_models.training.optimization import Optimization, ParameterGroup, layer_decay_groups
from beauty_models.training.splits import read_split

INFERENCE_BATCH = 64  # texts at once where nothing is learned
UNKNOWN = -1  # aspect target of a review that nobody annotated


def aspect_targets(
    annotated: pd.Series[Any], aspects: list[str], polarities: list[str]
) -> torch.Tensor:
    """Return [n, aspects]: 0 not mentioned, else 1 + the polarity's number.

    It is −1 where a review was not annotated. An aspect that is both praised and blamed counts as
    blamed: a complaint is what a shop must not miss.
    """
    targets = torch.zeros(len(annotated), len(aspects), dtype=torch.long)
    for row, mentions in enumerate(annotated):
        if mentions is None:
            targets[row] = UNKNOWN
            continue
        # the worst polarity comes last, and stays
        for mention in sorted(mentions, key=lambda m: -polarities.index(m["polarity"])):
            # a test split may speak of aspects that the model has not learned
            if mention["category"] in aspects:
                column = aspects.index(mention["category"])
                targets[row, column] = 1 + polarities.index(mention["polarity"])
    return targets


class LabelledTexts:
    """One split: token ids, labels [n], aspect targets [n, aspects].

    `compute_frozen` adds the output of the frozen layers, which `layer_input` then reads.
    """

    def __init__(self, frame: pd.DataFrame, classifier: Classifier) -> None:
        self.token_ids = tokenize(
            classifier.tokenizer, frame["text"].tolist(), classifier.max_tokens
        )
        self.lengths = np.array([len(ids) for ids in self.token_ids], np.int64)
        self.labels = torch.tensor(frame["label"].to_numpy(np.int64))
        self.aspects = aspect_targets(frame["aspects"], classifier.aspects, classifier.polarities)
        self.frozen: Activations | None = None

    def __len__(self) -> int:
        return len(self.token_ids)

    def compute_frozen(self, classifier: Classifier, file: Path, params: Finetune) -> None:
        """Compute the output of the frozen layers once, into ``file``."""
        if params.frozen_layers == 0:
            return
        width = classifier.encoder.config.hidden_size
        with precision(params.precision):
            # they are kept in the precision that they are computed in: half the disk in bfloat16
            low = torch.is_autocast_enabled(device().type)
            dtype = torch.bfloat16 if low else torch.float32
            frozen = Activations(file, self.lengths, width, dtype)
            self._fill(frozen, classifier, params.frozen_layers)
        self.frozen = frozen

    @torch.no_grad()
    def _fill(self, frozen: Activations, classifier: Classifier, frozen_layers: int) -> None:
        with progress.bar("finetune: frozen layers, once", len(self)) as bar:
            for batch in batches_by_length(self.lengths, INFERENCE_BATCH):
                hidden, mask = self.layer_input(classifier, batch)
                frozen.write(batch, classifier.encode(hidden, mask, 0, frozen_layers))
                bar.advance(len(batch))

    def layer_input(
        self, classifier: Classifier, batch: Batch
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the input [n, length, width] of the first layer not frozen, and its mask."""
        if self.frozen:
            return self.frozen.read(batch)
        token_ids = [self.token_ids[row] for row in batch]
        ids, mask = pad(token_ids, classifier.tokenizer.pad_token_id)
        return classifier.embed(ids), mask

    def batches(self, params: Finetune, number: int) -> list[Batch]:
        """Return the batches of pass ``number``.

        With ``imbalance: resample`` rows are drawn so that all classes are equally frequent.
        """
        if params.imbalance != "resample":
            return length_bucketed_batches(self.lengths, params.batch, params.seed, number)
        random = np.random.default_rng((params.seed, number, 1))
        drawn = class_balanced_sample(self.labels, random)
        batches = length_bucketed_batches(self.lengths[drawn], params.batch, params.seed, number)
        return [drawn[batch] for batch in batches]


def _loss(
    classifier: Classifier,
    texts: LabelledTexts,
    pooled: torch.Tensor,
    batch: Batch,
    params: Finetune,
) -> torch.Tensor:
    """Return the loss of rows ``batch`` from their pooled features [n, width]."""
    sentiment, aspect = classifier.heads(pooled)
    # of the whole split, not of the batch, where a rare class may be missing
    weights = None
    if params.imbalance == "weights":
        weights = class_weights(texts.labels).to(device())
    gamma = params.focal_gamma if params.imbalance == "focal" else 0.0
    loss = focal(sentiment.float(), texts.labels[batch].to(device()), gamma, weights)
    targets = texts.aspects[batch].to(device())
    # the mean over no target at all is NaN
    if bool((targets != UNKNOWN).any()):
        logits = aspect.float().reshape(-1, ASPECT_STATES)
        entropy = nn.functional.cross_entropy(logits, targets.reshape(-1), ignore_index=UNKNOWN)
        # a mean over aspects: times their number, so that a catalogue with more of them does not
        # learn each one less
        loss = loss + params.aspect_loss_weight * len(classifier.aspects) * entropy
    return loss


def _head(classifier: Classifier) -> list[nn.Parameter]:
    return [p for name, p in classifier.named_parameters() if not name.startswith("encoder.")]


def _groups(classifier: Classifier, params: Finetune) -> list[ParameterGroup]:
    """Return the optimizer's groups: the head, then each layer that may learn, topmost first."""
    blocks: list[nn.Module] = list(layers(classifier.encoder)[params.frozen_layers :])
    if params.frozen_layers == 0:
        blocks.insert(0, classifier.encoder.embeddings)
    return [
        {"params": _head(classifier), "lr": params.head_learning_rate},
        *layer_decay_groups(blocks, params.learning_rate, params.layer_decay),
    ]


def _unfreeze(classifier: Classifier, epoch: int, params: Finetune) -> int:
    """Let the layers of ``epoch`` learn, and the embeddings with layer 0; return the lowest."""
    stack = layers(classifier.encoder)
    lowest = max(params.frozen_layers, len(stack) - (epoch + 1) * params.unfreeze_per_epoch)
    classifier.encoder.requires_grad_(False)
    stack[lowest:].requires_grad_(True)
    classifier.encoder.embeddings.requires_grad_(lowest == 0)
    return lowest


def _set_training(classifier: Classifier, training: bool) -> None:
    classifier.train(training)
    # the fastest attention of training is not that of inference
    classifier.encoder.set_attn_implementation(attention(training))


class PooledFeatures(NamedTuple):
    """What a classifier makes of a split."""

    means: torch.Tensor  # [n, width], over the tokens, before normalisation
    logits: torch.Tensor  # [n, classes]


@torch.no_grad()
def _pooled_features(
    classifier: Classifier, texts: LabelledTexts, params: Finetune
) -> PooledFeatures:
    """Return the features of the whole encoder, and their logits, for every row of ``texts``."""
    _set_training(classifier, training=False)
    depth = len(layers(classifier.encoder))
    means = torch.zeros(len(texts), classifier.encoder.config.hidden_size)
    logits = torch.zeros(len(texts), len(classifier.classes))
    for batch in batches_by_length(texts.lengths, INFERENCE_BATCH):
        with precision(params.precision):
            hidden, mask = texts.layer_input(classifier, batch)
            hidden = classifier.encode(hidden, mask, params.frozen_layers, depth)
        # heads and normalisation are small, and run in float32
        pooled = mean_pool(hidden, mask)
        means[batch] = pooled.cpu()
        logits[batch] = classifier.heads(classifier.norm(pooled))[0].cpu()
    require_finite(logits, "finetune: the logits of a whole split")
    return PooledFeatures(means, logits)


def _train_head(classifier: Classifier, texts: LabelledTexts, params: Finetune) -> None:
    """Train the head alone, on features of the whole encoder that are computed once."""
    means = _pooled_features(classifier, texts, params).means
    optimizer = torch.optim.AdamW(
        _head(classifier), lr=params.head_learning_rate, weight_decay=params.weight_decay
    )

    def batches(epoch: int) -> list[Batch]:
        return texts.batches(params, epoch)

    def loss(batch: Batch) -> torch.Tensor:
        pooled = classifier.norm(means[batch].to(device()))
        return _loss(classifier, texts, pooled, batch, params)

    train_head(classifier, optimizer, len(texts), batches, loss, params)


class Trainer:
    """What the training loop asks of this family: batches, a step, a validation score."""

    def __init__(
        self,
        classifier: Classifier,
        train: LabelledTexts,
        validation: LabelledTexts,
        params: Finetune,
        checkpoint: Checkpoint,
    ) -> None:
        self.classifier = classifier
        self.train = train
        self.validation = validation
        self.params = params
        self.lowest = 0  # layer that learns in the current epoch
        steps_per_pass = -(-len(train) // params.batch)
        self.passes = passes_per_epoch(steps_per_pass, params.epochs, params.min_steps)
        steps_per_epoch = self.passes * steps_per_pass
        steps = steps_per_epoch * params.epochs
        optimization = Optimization(classifier, _groups(classifier, params), steps, params)
        self.optimization = optimization.watched("finetune", checkpoint)
        self.stopping = EarlyStopping(optimization.weights, params.patience)
        self.loop = finetuning_loop(self, params.epochs, steps_per_epoch, checkpoint)

    def begin_epoch(self, epoch: int) -> None:
        """Let the layers of ``epoch`` learn."""
        self.lowest = _unfreeze(self.classifier, epoch, self.params)
        _set_training(self.classifier, training=True)

    def batches(self, epoch: int) -> list[Batch]:
        """Return the batches of ``epoch``, which passes several times over few rows."""
        return repeat_passes(
            lambda number: self.train.batches(self.params, number), self.passes, epoch
        )

    def step(self, batch: Batch, number: int) -> float:
        """Learn from rows ``batch``; return their loss."""
        classifier = self.classifier
        depth = len(layers(classifier.encoder))
        with precision(self.params.precision):
            # layers that are not thawed yet keep no activations for a backward pass; with layer 0
            # the embeddings learn, too, and `layer_input` computes them
            with torch.set_grad_enabled(self.lowest == 0):
                hidden, mask = self.train.layer_input(classifier, batch)
                hidden = classifier.encode(hidden, mask, self.params.frozen_layers, self.lowest)
            hidden = classifier.encode(hidden, mask, self.lowest, depth)
        pooled = classifier.norm(mean_pool(hidden, mask))
        loss = _loss(classifier, self.train, pooled, batch, self.params)
        loss.backward()
        value = loss.item()
        self.optimization.step(value)
        return value

    def validate(self) -> Validation:
        """Return the validation macro-F1, over the classes that occur, as evaluate counts it."""
        labels = self.validation.labels
        logits = _pooled_features(self.classifier, self.validation, self.params).logits
        score = f1_score(
            labels, logits.argmax(-1), average="macro", labels=np.unique(labels), zero_division=0
        )
        return Validation({"validation_macro_f1": float(score)}, float(score))


def _classifier(data: Path, pretrained: Path, params: Finetune) -> Classifier:
    """Return a classifier of the classes in ``data`` on the encoder in ``pretrained``.

    Raises:
        ValueError: more layers are frozen than there are.
    """
    schema = read_json(data / "schema.json")
    encoder = network(AutoModel, pretrained, add_pooling_layer=False)
    depth = len(layers(encoder))
    if params.frozen_layers >= depth:
        raise ValueError(
            f"params.yaml: finetune.frozen_layers: {params.frozen_layers} of the backbone's "
            f"{depth} layers leave none to train"
        )
    classifier = Classifier(
        encoder,
        from_pretrained(AutoTokenizer, pretrained),
        schema["classes"],
        schema["aspects"],
        params.max_tokens,
        read_json(pretrained / "backbone.json"),
        params.dropout,
    )
    set_dropout(classifier, params.dropout)
    return classifier


def finetune(*, data: Path, pretrained: Path, model: Path, params: Finetune) -> Metrics:
    """Fine-tune the encoder in ``pretrained`` on ``data/train.parquet``; save it to ``model``.

    The weights are those of the epoch with the highest macro-F1 on ``data/validation.parquet``,
    which also calibrates the probabilities.

    Returns:
        ``validation_macro_f1``, ``epochs`` that were run, ``temperature``.

    Raises:
        ValueError: a split is empty, or more layers are frozen than there are.
        NotFiniteError: the training ran away.
    """
    classifier = _classifier(data, pretrained, params).to(device())
    identity = fingerprint(__name__, params, data, pretrained)
    checkpoint = Checkpoint(model, identity, params.checkpoint_minutes)
    _set_training(classifier, training=False)
    splits: dict[str, LabelledTexts] = {}
    for name in ("train", "validation"):
        texts = LabelledTexts(read_split(data, name, "labelled reviews"), classifier)
        texts.compute_frozen(classifier, checkpoint.file.with_name(f"{name}.bin"), params)
        splits[name] = texts
    train = splits["train"]
    validation = splits["validation"]
    state = checkpoint.load()
    if state is None:
        # a checkpoint holds the head as it is by then
        _train_head(classifier, train, params)
    trainer = Trainer(classifier, train, validation, params, checkpoint)
    trainer.loop.run(state)
    trainer.optimization.load_weights(trainer.stopping.weights)
    # with the weights that are saved: the last epoch's would need another temperature
    logits = _pooled_features(classifier, validation, params).logits
    classifier.temperature = temperature(logits, validation.labels)
    save(classifier, model, trainer.loop.history)
    checkpoint.clear()
    return {
        "validation_macro_f1": trainer.stopping.score,
        "epochs": trainer.loop.epoch,
        "temperature": classifier.temperature,
    }
