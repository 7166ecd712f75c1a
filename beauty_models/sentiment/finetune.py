"""Supervised fine-tuning: the head first, then the upper layers from the top down; frozen layers are computed once."""

from __future__ import annotations

from dataclasses import dataclass, field
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
from beauty_models.training.batches import Batch, batches, by_length
from beauty_models.training.bert import layers, mean, pad, set_dropout, tokenize
from beauty_models.training.checkpoint import Checkpoint, fingerprint
from beauty_models.training.finite import require_finite
from beauty_models.training.frozen_features import Activations
from beauty_models.training.losses import class_weights, focal
from beauty_models.training.optimization import Descent, Watch, seed_step

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
        weight = class_weights(self.labels)[self.labels].double().numpy()
        drawn = np.random.default_rng((params.seed, epoch, 1)).choice(
            len(weight), len(weight), p=weight / weight.sum()
        )
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
            loss = loss + params.aspect_weight * len(classifier.aspects) * entropy
        return loss


@dataclass
class Run:
    """Where a training run stands: all that a checkpoint holds besides weights and optimizer."""

    epoch: int = 0
    batch: int = 0
    loss: float = 0.0
    best: float = -1.0
    waited: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


def _head(classifier: Classifier) -> list[nn.Parameter]:
    return [p for name, p in classifier.named_parameters() if not name.startswith("encoder.")]


def _groups(classifier: Classifier, params: Finetune) -> list[dict[str, Any]]:
    """Return the optimizer's groups: the head, then each layer that may learn, every one slower than the one above it."""
    found: list[dict[str, Any]] = [{"params": _head(classifier), "lr": params.head_learning_rate}]
    rate = params.learning_rate
    for layer in reversed(layers(classifier.encoder)[params.frozen_layers :]):
        found.append({"params": list(layer.parameters()), "lr": rate})
        rate *= params.layer_decay
    if params.frozen_layers == 0:
        found.append({"params": list(classifier.encoder.embeddings.parameters()), "lr": rate})
    return found


def _thaw(classifier: Classifier, epoch: int, params: Finetune) -> int:
    """Let the layers of ``epoch`` learn, and the embeddings with layer 0; return the lowest of them."""
    stack = layers(classifier.encoder)
    lowest = max(params.frozen_layers, len(stack) - (epoch + 1) * params.unfreeze)
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
    per_epoch = -(-len(part.rows) // params.batch)
    watch = Watch(
        "finetune: the head alone",
        params.head_epochs * per_epoch,
        [params.head_learning_rate],
        params.precision,
    )
    classifier.train()
    for epoch in range(params.head_epochs):
        for number, batch in enumerate(part.batches(params, epoch)):
            seed_step(params.seed + 1, epoch * len(part.rows) + number)
            loss = part.loss(classifier, classifier.norm(means[batch].to(device())), batch, params)
            watch.loss(epoch * per_epoch + number, loss.item())
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    watch.weights(watch.steps - 1, dict(classifier.named_parameters()))


class Trainer:
    """The loop over epochs and batches with its checkpoints; kept apart from `finetune` so that it can be resumed."""

    def __init__(
        self, classifier: Classifier, part: Part, params: Finetune, checkpoint: Checkpoint
    ) -> None:
        self.classifier, self.part, self.params, self.checkpoint, self.run = (
            classifier,
            part,
            params,
            checkpoint,
            Run(),
        )
        once = -(-len(part.rows) // params.batch)
        self.passes = max(1, -(-params.min_steps // (once * params.epochs)))
        self.per_epoch = self.passes * once
        self.descent = Descent(
            classifier, _groups(classifier, params), self.per_epoch * params.epochs, params
        ).watched("finetune", checkpoint)
        self.best: dict[str, torch.Tensor] = {}

    def resume(self) -> bool:
        """Go on where the last checkpoint stands, if there is one for this very run."""
        state = self.checkpoint.load()
        if state is None:
            return False
        self.descent.resume(state)
        self.run, self.best = Run(**state["run"]), state["best"]
        progress.say(
            f"finetune: resuming in epoch {self.run.epoch + 1} after batch {self.run.batch} of {self.per_epoch}"
        )
        return True

    def save(self) -> None:
        """Save a checkpoint."""
        self.checkpoint.save({"run": vars(self.run), "best": self.best} | self.descent.state())

    def epoch(self, bar: progress.Bar) -> None:
        """Train the epoch of ``self.run`` from its batch on."""
        classifier, params, run = self.classifier, self.params, self.run
        lowest = _thaw(classifier, run.epoch, params)
        _mode(classifier, training=True)
        depth = len(layers(classifier.encoder))
        order = [
            batch
            for i in range(self.passes)
            for batch in self.part.batches(params, run.epoch * self.passes + i)
        ]
        while run.batch < len(order):
            batch = order[run.batch]
            seed_step(params.seed, run.epoch * len(order) + run.batch)
            with precision(params.precision):
                with torch.set_grad_enabled(lowest == 0):
                    hidden, mask = self.part.hidden(classifier, batch)
                    hidden = classifier.encode(hidden, mask, params.frozen_layers, lowest)
                hidden = classifier.encode(hidden, mask, lowest, depth)
            loss = self.part.loss(classifier, classifier.norm(mean(hidden, mask)), batch, params)
            loss.backward()
            value = loss.item()
            self.descent.step(value)
            run.batch, run.loss = run.batch + 1, run.loss + value
            bar.advance(
                1, f"epoch {run.epoch + 1}/{params.epochs}, loss {run.loss / run.batch:.3f}"
            )
            if self.checkpoint.due():
                self.save()

    def close_epoch(self, validation: Part) -> None:
        """Score the validation split, keep the best weights, and turn to the next epoch."""
        run = self.run
        score = float(
            f1_score(
                validation.labels,
                _pooled(self.classifier, validation, self.params)[1].argmax(-1),
                average="macro",
                labels=np.unique(validation.labels),  # as the evaluation counts it
                zero_division=0,
            )
        )
        run.history.append(
            {
                "epoch": run.epoch + 1,
                "loss": run.loss / self.per_epoch,
                "validation_macro_f1": score,
            }
        )
        progress.say(
            f"finetune: epoch {run.epoch + 1}: loss {run.loss / self.per_epoch:.4f}, validation macro-F1 {score:.4f}"
        )
        run.waited = 0 if score > run.best else run.waited + 1
        if score > run.best:
            run.best, self.best = score, self.descent.weights()
        run.epoch, run.batch, run.loss = run.epoch + 1, 0, 0.0


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
        frame = pd.read_parquet(data / f"{name}.parquet")
        if frame.empty:
            raise ValueError(
                f"{data / f'{name}.parquet'}: no rows; deliver more labelled reviews or enlarge ingest.split.{name}"
            )
        parts[name] = Part(frame, classifier)
        parts[name].freeze(classifier, checkpoint.file.with_name(f"{name}.bin"), params)
    trainer = Trainer(classifier, parts["train"], params, checkpoint)
    if not trainer.resume():
        _train_head(classifier, parts["train"], params)
    run = trainer.run
    with progress.bar(
        "finetune", trainer.per_epoch * params.epochs, run.epoch * trainer.per_epoch + run.batch
    ) as bar:
        while run.epoch < params.epochs and run.waited < params.patience:
            trainer.epoch(bar)
            trainer.close_epoch(parts["validation"])
    trainer.descent.put(trainer.best)
    classifier.temperature = temperature(
        _pooled(classifier, parts["validation"], params)[1], parts["validation"].labels
    )
    save(classifier, model, run.history)
    checkpoint.clear()
    return {
        "validation_macro_f1": run.best,
        "epochs": run.epoch,
        "temperature": classifier.temperature,
    }
