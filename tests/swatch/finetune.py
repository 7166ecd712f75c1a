"""Supervised fine-tuning: a classifier on the pretrained encoder."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import torch
from torch.nn.functional import cross_entropy

from beauty_models.families import Metrics
from beauty_models.swatch import Finetune
from beauty_models.swatch.model import inputs, load, save
from beauty_models.training.checkpoint import Checkpoint, fingerprint
from beauty_models.training.loop import train_steps
from beauty_models.training.optimization import Optimization


def finetune(*, data: Path, pretrained: Path, model: Path, params: Finetune) -> Metrics:
    """Train the classifier on ``data/train.parquet``, starting from ``pretrained``.

    Save it to ``model``.

    Returns:
        ``validation_accuracy``.
    """
    table = pd.read_parquet(data / "train.parquet")
    measured = inputs(table)
    labels = torch.tensor(table["label"].to_numpy())
    network = load(pretrained).train()
    learned = [*network.encoder.parameters(), *network.head.parameters()]
    groups = [{"params": learned, "lr": params.learning_rate}]
    optimization = Optimization(network, groups, params.steps, params)
    origin = fingerprint(__name__, params, data, pretrained)
    checkpoint = Checkpoint(model, origin, params.checkpoint_minutes)

    def loss(step: int) -> torch.Tensor:
        rows = torch.randint(len(measured), (params.batch,))
        return cross_entropy(network(measured[rows]), labels[rows])

    history = train_steps(optimization, loss, checkpoint, "finetune")
    network.eval()
    save(network, model, history)
    checkpoint.clear()
    validation = pd.read_parquet(data / "validation.parquet")
    predicted = network.probabilities(validation).argmax(1).numpy()
    return {"validation_accuracy": float((predicted == validation["label"]).mean())}
