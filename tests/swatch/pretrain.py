"""Unsupervised pretraining: the encoder learns to take noise away, without labels."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import torch

from beauty_models.families import Metrics
from beauty_models.swatch import Pretrain
from beauty_models.swatch.model import SwatchNet, inputs, save
from beauty_models.training.checkpoint import Checkpoint, fingerprint
from beauty_models.training.loop import train_steps
from beauty_models.training.optimization import Optimization


@torch.no_grad()
def _reconstruction_error(network: SwatchNet, measured: torch.Tensor) -> float:
    return float((network.reconstruct(measured) - measured).square().mean())


def pretrain(*, data: Path, pretrained: Path, params: Pretrain) -> Metrics:
    """Train the autoencoder on ``data/train.parquet``; save it to ``pretrained``.

    Returns:
        ``loss_before`` and ``loss_after``: the mean squared error of validation's measurements.
    """
    measured = inputs(pd.read_parquet(data / "train.parquet"))
    held_out = inputs(pd.read_parquet(data / "validation.parquet"))
    network = SwatchNet(params.hidden)
    learned = [*network.encoder.parameters(), *network.decoder.parameters()]
    groups = [{"params": learned, "lr": params.learning_rate}]
    optimization = Optimization(network, groups, params.steps, params)
    # What a checkpoint was made from is its fingerprint: another one is not resumed but begun anew.
    origin = fingerprint(__name__, params, data)
    checkpoint = Checkpoint(pretrained, origin, params.checkpoint_minutes)

    def loss(step: int) -> torch.Tensor:
        rows = measured[torch.randint(len(measured), (params.batch,))]
        noisy = rows + params.noise * torch.randn_like(rows)
        return (network.reconstruct(noisy) - rows).square().mean()

    loss_before = _reconstruction_error(network, held_out)
    history = train_steps(optimization, loss, checkpoint, "pretrain")
    save(network, pretrained, history)
    checkpoint.clear()
    return {"loss_before": loss_before, "loss_after": _reconstruction_error(network, held_out)}
