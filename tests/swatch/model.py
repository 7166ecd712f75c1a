"""The network: one encoder for a denoising autoencoder (pretraining) and for a classifier."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from beauty_models.files import new_folder, read_json, write_json
from beauty_models.swatch import CLASSES, MEASURED
from beauty_models.training.finite import require_finite


class SwatchNet(nn.Module):
    """Measurements [batch, 2] → logits of the classes [batch, 2], or the measurements again."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.encoder = nn.Sequential(
            nn.Linear(len(MEASURED), hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )
        self.decoder = nn.Linear(hidden, len(MEASURED))
        self.head = nn.Linear(hidden, len(CLASSES))

    def forward(self, measured: torch.Tensor) -> torch.Tensor:
        """Return the logits of the classes."""
        logits: torch.Tensor = self.head(self.encoder(measured))
        return logits

    def reconstruct(self, measured: torch.Tensor) -> torch.Tensor:
        """Return ``measured`` as the autoencoder gives it back."""
        reconstruction: torch.Tensor = self.decoder(self.encoder(measured))
        return reconstruction

    @torch.inference_mode()
    def probabilities(self, frame: pd.DataFrame) -> torch.Tensor:
        """Return the probabilities of the classes [n, 2] for the rows of ``frame``.

        Raises:
            ValueError: the network holds NaN: its greatest class would be the first one, and nobody
                would hear of it.
        """
        probabilities: torch.Tensor = self(inputs(frame)).softmax(-1)
        require_finite(probabilities, "swatch: the probabilities")
        return probabilities


def inputs(frame: pd.DataFrame) -> torch.Tensor:
    """Return the measured columns of ``frame`` as [n, 2], float32."""
    return torch.tensor(frame[MEASURED].to_numpy("float32"))


def save(network: SwatchNet, folder: Path, history: list[dict[str, float]]) -> None:
    """Write weights, shape and the training's ``history`` to ``folder``, whole or not at all."""
    with new_folder(folder) as temporary:
        save_file(network.state_dict(), temporary / "model.safetensors")
        write_json(temporary / "config.json", {"hidden": network.hidden})
        write_json(temporary / "history.json", history)


def load(folder: Path) -> SwatchNet:
    """Return the network saved in ``folder``."""
    network = SwatchNet(read_json(folder / "config.json")["hidden"])
    network.load_state_dict(load_file(folder / "model.safetensors"))
    return network.eval()
