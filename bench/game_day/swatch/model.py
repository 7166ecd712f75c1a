"""The network: an encoder shared by a denoising autoencoder (pretraining) and a classifier (fine-tuning)."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from beauty_models.files import new_folder, write_json

INPUTS = 2
CLASSES = 2


class SwatchNet(nn.Module):
    """Two measurements [batch, 2] → class logits [batch, 2], or their reconstruction [batch, 2]."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.encoder = nn.Sequential(
            nn.Linear(INPUTS, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )
        self.decoder = nn.Linear(hidden, INPUTS)
        self.head = nn.Linear(hidden, CLASSES)

    def forward(self, measured: torch.Tensor) -> torch.Tensor:
        """Return the class logits of ``measured``."""
        return self.head(self.encoder(measured))

    def reconstruct(self, measured: torch.Tensor) -> torch.Tensor:
        """Return ``measured`` as the autoencoder gives it back."""
        return self.decoder(self.encoder(measured))


def save(network: SwatchNet, folder: Path) -> None:
    """Write weights and configuration to ``folder``, whole or not at all."""
    with new_folder(folder) as new:
        save_file(network.state_dict(), new / "model.safetensors")
        write_json(new / "config.json", {"hidden": network.hidden})


def load(folder: Path) -> SwatchNet:
    """Return the network saved in ``folder``."""
    from beauty_models.files import read_json

    network = SwatchNet(read_json(folder / "config.json")["hidden"])
    network.load_state_dict(load_file(folder / "model.safetensors"))
    return network
