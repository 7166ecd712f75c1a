"""Unsupervised pretraining: the encoder learns to remove noise from measurements without labels."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import torch

from beauty_models.families import Metrics
from beauty_models.swatch import Training
from beauty_models.swatch.model import SwatchNet, save
from beauty_models.training.checkpoint import Checkpoint, fingerprint
from beauty_models.training.loop import train_steps
from beauty_models.training.optimization import Optimization

NOISE = 0.1


def pretrain(*, data: Path, pretrained: Path, params: Training) -> Metrics:
    """Train the autoencoder on ``data/train.parquet``; save it to ``pretrained``."""
    table = pd.read_parquet(data / "train.parquet")
    measured = torch.tensor(table[["shine", "depth"]].to_numpy(), dtype=torch.float32)
    network = SwatchNet(params.hidden)
    learned = [*network.encoder.parameters(), *network.decoder.parameters()]
    optimization = Optimization(
        network, [{"params": learned, "lr": params.learning_rate}], params.steps, params
    )
    checkpoint = Checkpoint(
        pretrained, fingerprint(__name__, params, data), params.checkpoint_minutes
    )

    def loss(step: int) -> torch.Tensor:
        rows = measured[torch.randint(len(measured), (params.batch,))]
        return (network.reconstruct(rows + NOISE * torch.randn_like(rows)) - rows).square().mean()

    history = train_steps(optimization, loss, checkpoint, "pretrain")
    save(network, pretrained)
    checkpoint.clear()
    return {"loss": history[-1]["loss"]}
