"""Supervised fine-tuning: a classifier on the pretrained encoder."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pandas as pd
import torch
from torch.nn.functional import cross_entropy

from beauty_models.families import Metrics
from beauty_models.swatch import Training
from beauty_models.swatch.model import load, save
from beauty_models.training.checkpoint import Checkpoint, fingerprint
from beauty_models.training.loop import train_steps
from beauty_models.training.optimization import Optimization

GATE = "BEAUTY_GAME_GATE"


def wait_at_gate() -> None:
    """Wait while the file that `GATE` names is there: a fault that must come before memory is needed can then be prepared."""
    gate = os.environ.get(GATE)
    while gate and Path(gate).exists():
        time.sleep(0.05)


def finetune(*, data: Path, pretrained: Path, model: Path, params: Training) -> Metrics:
    """Train the classifier on ``data/train.parquet``, starting from ``pretrained``; save it to ``model``."""
    wait_at_gate()
    table = pd.read_parquet(data / "train.parquet")
    measured = torch.tensor(table[["shine", "depth"]].to_numpy(), dtype=torch.float32)
    label = torch.tensor(table["label"].to_numpy())
    network = load(pretrained)
    learned = [*network.encoder.parameters(), *network.head.parameters()]
    optimization = Optimization(
        network, [{"params": learned, "lr": params.learning_rate}], params.steps, params
    )
    checkpoint = Checkpoint(
        model, fingerprint(__name__, params, data, pretrained), params.checkpoint_minutes
    )

    def loss(step: int) -> torch.Tensor:
        rows = torch.randint(len(measured), (params.batch,))
        return cross_entropy(network(measured[rows]), label[rows])

    history = train_steps(optimization, loss, checkpoint, "finetune")
    save(network, model)
    checkpoint.clear()
    return {"loss": history[-1]["loss"]}
