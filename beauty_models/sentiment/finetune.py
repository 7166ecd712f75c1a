"""Supervised fine-tuning: the head first, then the upper layers from the top down; frozen layers are computed once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
from beauty_models.sentiment.model import STATES, Classifier, save
from beauty_models.training.batches import (
    Batch,
    batches,
    by_length,
    class_balanced_sample,
    passes_per_epoch,
    repeat_passes,
)
from beauty_models.training.bert import layers, mean, pad, set_dropout, tokenize
from beauty_models.training.checkpoint import Checkpoint, fingerprint
from beauty_models.training.finite import require_finite
from beauty_models.training.frozen_features import Activations
from beauty_models.training.loop import EarlyStopping, Validation, finetuning_loop, train_head
from beauty_models.training.losses import class_weights, focal
from beauty_models.training.optimization import (
    Optimization,
    ParameterGroup,
    layer_decay_groups,
)
from beauty_models.training.splits import read_split

ROWS = 64  # per batch where nothing is learned
UNKNOWN = -1  # aspect target of a review that nobody annotated


def aspect_targets(
    annotated: pd.Series[Any], aspects: list[str], polarities: list[str]
) -> torch.Tensor:
    """Return [n, aspects]: 0 not mentioned, else 1 + the polarity's number, −1 where a review was not annotated.

    An aspect that is both praised and blamed counts as blamed: a complaint is what a shop must not miss.
    """
    targets = torch.zeros(len(annotated), len(aspects), dtype=torch.long)
    for row, mentions in enumerate(annotated):
        if mentions is None:
            targets[row] = UNKNOWN
            continue
        for mention in sorted(mentions, key=lambda m: -polarities.index(m["polarity"])):
            if mention["category"] in aspects:
                targets[row, aspects.index(mention["category"])] = 1 + polarities.index(
                    mention["polarity"]
                )
    return targets


class Part:
    """One split: token rows, labels [n], aspect targets [n, aspects] and, once computed, the output of the frozen layers."""

    def __init__(self, frame: pd.DataFrame, classifier: Classifier) -> None:
        self.rows = tokenize(classifier.tokenizer, frame["text"].tolist(), classifier.max_tokens)
        self.lengths = np.array([len(row) for row in self.rows], np.int64)
        self.labels = torch.tensor(frame["label"].to_numpy(np.int64))
        self.aspects = aspect_targets(frame["aspects"], classifier.aspects, classifier.polarities)
        self.frozen: Activations | None = None

    def freeze(self, classifier: Classifier, file: Path, params: Finetune) -> None:
        """Compute the output of the frozen layers once; `hidden` then reads it."""
        if params.frozen_layers == 0:
            return
        with precision(params.precision):
            low = torch.is_autocast_enabled(device().type)
        kept = Activations(
            file,
            self.lengths,
            classifier.encoder.config.hidden_size,
            torch.bfloat16 if low else torch.float32,
        )
        with (
            torch.no_grad(),
            progress.bar("finetune: frozen layers, once", len(self.rows)) as bar,
            precision(params.precision),
        ):
            for batch in by_length(self.lengths, ROWS):
                hidden, mask = self.hidden(classifier, batch)
                kept.write(batch, classifier.encode(hidden, mask, 0, params.frozen_layers))
                bar.advance(len(batch))
        self.frozen = kept

    def hidden(self, classifier: Classifier, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the input [n, length, width] of the first layer that is not frozen, and its mask."""
        if self.frozen:
            return self.frozen.read(batch)
        ids, mask = pad([self.rows[i] for i in batch], classifier.tokenizer.pad_token_id)
        return classifier.embed(ids), mask

    def batches(self, params: Finetune, epoch: int) -> list[Batch]:
        """Return an epoch's batches; with ``imbalance: resample`` rows are drawn so that all classes are equally frequent."""
        if params.imbalance != "resample":
            return batches(self.lengths, params.batch, params.seed, epoch)
        drawn = class_balanced_sample(self.labels, np.random.default_rng((params.seed, epoch, 1)))
        return [
            drawn[batch] for batch in batches(self.lengths[drawn], params.batch, params.seed, epoch)
        ]

    def loss(
        self, classifier: Classifier, pooled: torch.Tensor, batch: Batch, params: Finetune
    ) -> torch.Tensor:
        """Return the loss of rows ``batch`` from their pooled features [n, width]."""
        sentiment, aspect = classifier.heads(pooled)
        weights = class_weights(self.labels).to(device()) if params.imbalance == "weights" else None
        loss = focal(
            sentiment.float(),
            self.labels[batch].to(device()),
            params.focal_gamma if params.imbalance == "focal" else 0.0,
            weights,
        )
        targets = self.aspects[batch].to(device())
        if bool((targets != UNKNOWN).any()):
            entropy = nn.functional.cross_entropy(
                aspect.float().reshape(-1, STATES), targets.reshape(-1), ignore_index=UNKNOWN
            )
            loss = loss + params.aspect_loss_weight * len(classifier.aspects) * entropy
        return loss


def _head(classifier: Classifier) -> list[nn.Parameter]:
    return [p for name, p in classifier.named_parameters() if not name.startswith("encoder.")]


def _groups(classifier: Classifier, params: Finetune) -> list[ParameterGroup]:
    """Return the optimizer's groups: the head, then each layer that may learn, every one slower than the one above it."""
    below = [] if params.frozen_layers else [classifier.encoder.embeddings]
    blocks = [*below, *layers(classifier.encoder)[params.frozen_layers :]]
    return [
        {"params": _head(classifier), "lr": params.head_learning_rate},
        *layer_decay_groups(blocks, params.learning_rate, params.layer_decay),
    ]


def _thaw(classifier: Classifier, epoch: int, params: Finetune) -> int:
    """Let the layers of ``epoch`` learn, and the embeddings with layer 0; return the lowest of them."""
    stack = layers(classifier.encoder)
    lowest = max(params.frozen_layers, len(stack) - (epoch + 1) * params.unfreeze_per_epoch)
    classifier.encoder.requires_grad_(False)
    stack[lowest:].requires_grad_(True)
    classifier.encoder.embeddings.requires_grad_(lowest == 0)
    return lowest


def _mode(classifier: Classifier, training: bool) -> None:
    classifier.train(training)
    classifier.encoder.set_attn_implementation(attention(training))


@torch.no_grad()
def _pooled(
    classifier: Classifier, part: Part, params: Finetune
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return, for every row, the mean over the tokens before its normalisation [n, width] and the logits of the classes."""
    _mode(classifier, training=False)
    means = torch.zeros(len(part.rows), classifier.encoder.config.hidden_size)
    logits = torch.zeros(len(part.rows), len(classifier.classes))
    for batch in by_length(part.lengths, ROWS):
        with precision(params.precision):
            hidden, mask = part.hidden(classifier, batch)
            hidden = classifier.encode(
                hidden, mask, params.frozen_layers, len(layers(classifier.encoder))
            )
        pooled = mean(hidden, mask)
        means[batch], logits[batch] = (
            pooled.cpu(),
            classifier.heads(classifier.norm(pooled))[0].cpu(),
        )
    return means, require_finite(logits, "finetune: the logits of a whole split")


def _train_head(classifier: Classifier, part: Part, params: Finetune) -> None:
    """Train the head alone, on features of the whole encoder that are computed once."""
    means, _ = _pooled(classifier, part, params)
    optimizer = torch.optim.AdamW(
        _head(classifier), lr=params.head_learning_rate, weight_decay=params.weight_decay
    )

    def batches_of(epoch: int) -> list[Batch]:
        return part.batches(params, epoch)

    def loss(batch: Batch) -> torch.Tensor:
        pooled = classifier.norm(means[batch].to(device()))
        return part.loss(classifier, pooled, batch, params)

    train_head(classifier, optimizer, len(part.rows), batches_of, loss, params)


class Trainer:
    """What the training loop asks of this family: batches, a step, a validation score."""

    def __init__(
        self,
        classifier: Classifier,
        train: Part,
        validation: Part,
        params: Finetune,
        checkpoint: Checkpoint,
    ) -> None:
        self.classifier, self.train, self.validation = classifier, train, validation
        self.params = params
        self.lowest = 0  # layer that learns in the current epoch
        once = -(-len(train.rows) // params.batch)
        self.passes = passes_per_epoch(once, params.epochs, params.min_steps)
        per_epoch = self.passes * once
        self.optimization = Optimization(
            classifier, _groups(classifier, params), per_epoch * params.epochs, params
        ).watched("finetune", checkpoint)
        self.stopping = EarlyStopping(self.optimization.weights, params.patience)
        self.loop = finetuning_loop(self, params.epochs, per_epoch, checkpoint)

    def begin_epoch(self, epoch: int) -> None:
        """Let the layers of ``epoch`` learn."""
        self.lowest = _thaw(self.classifier, epoch, self.params)
        _mode(self.classifier, training=True)

    def batches(self, epoch: int) -> list[Batch]:
        """Return the batches of ``epoch``, which passes several times over few rows."""
        return repeat_passes(
            lambda number: self.train.batches(self.params, number), self.passes, epoch
        )

    def step(self, batch: Batch, number: int) -> float:
        """Learn from rows ``batch``; return their loss."""
        classifier, params = self.classifier, self.params
        with precision(params.precision):
            with torch.set_grad_enabled(self.lowest == 0):
                hidden, mask = self.train.hidden(classifier, batch)
                hidden = classifier.encode(hidden, mask, params.frozen_layers, self.lowest)
            depth = len(layers(classifier.encoder))
            hidden = classifier.encode(hidden, mask, self.lowest, depth)
        loss = self.train.loss(classifier, classifier.norm(mean(hidden, mask)), batch, params)
        loss.backward()
        value = loss.item()
        self.optimization.step(value)
        return value

    def validate(self) -> Validation:
        """Return the validation macro-F1, over the classes that occur, as evaluate counts it."""
        labels = self.validation.labels
        predicted = _pooled(self.classifier, self.validation, self.params)[1].argmax(-1)
        score = float(
            f1_score(labels, predicted, average="macro", labels=np.unique(labels), zero_division=0)
        )
        return Validation({"validation_macro_f1": score}, score)


def _classifier(data: Path, pretrained: Path, params: Finetune) -> Classifier:
    schema = read_json(data / "schema.json")
    encoder = network(AutoModel, pretrained, add_pooling_layer=False)
    depth = len(layers(encoder))
    if params.frozen_layers >= depth:
        raise ValueError(
            f"params.yaml: finetune.frozen_layers: {params.frozen_layers} of the backbone's {depth} layers leave none to train"
        )
    return Classifier(
        encoder,
        from_pretrained(AutoTokenizer, pretrained),
        schema["classes"],
        schema["aspects"],
        params.max_tokens,
        read_json(pretrained / "backbone.json"),
        params.dropout,
    )


def finetune(*, data: Path, pretrained: Path, model: Path, params: Finetune) -> Metrics:
    """Fine-tune the encoder in ``pretrained`` on ``data/train.parquet``; save the best epoch's weights to ``model``.

    The best epoch is that of the highest macro-F1 on ``data/validation.parquet``, which also calibrates the probabilities.

    Returns:
        ``validation_macro_f1``, ``epochs`` that were run, ``temperature``.

    Raises:
        ValueError: a split is empty, or more layers are frozen than there are.
    """
    classifier = _classifier(data, pretrained, params).to(device())
    set_dropout(classifier, params.dropout)
    parts = {}
    checkpoint = Checkpoint(
        model, fingerprint(__name__, params, data, pretrained), params.checkpoint_minutes
    )
    _mode(classifier, training=False)
    for name in ("train", "validation"):
        frame = read_split(data, name, "labelled reviews")
        parts[name] = Part(frame, classifier)
        parts[name].freeze(classifier, checkpoint.file.with_name(f"{name}.bin"), params)
    state = checkpoint.load()
    if state is None:
        _train_head(classifier, parts["train"], params)
    trainer = Trainer(classifier, parts["train"], parts["validation"], params, checkpoint)
    trainer.loop.run(state)
    trainer.optimization.load_weights(trainer.stopping.weights)
    classifier.temperature = temperature(
        _pooled(classifier, parts["validation"], params)[1], parts["validation"].labels
    )
    save(classifier, model, trainer.loop.history)
    checkpoint.clear()
    return {
        "validation_macro_f1": trainer.stopping.score,
        "epochs": trainer.loop.epoch,
        "temperature": classifier.temperature,
    }
