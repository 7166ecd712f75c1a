"""Faces from a trained generator, and how it is saved: safetensors and a JSON file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from beauty_models.device import device
from beauty_models.files import read_json, write_json
from beauty_models.makeup.dataset import as_bytes
from beauty_models.makeup.gan.networks import Config, Generator
from beauty_models.training.finite import require_finite

AT_ONCE = 64  # faces that are drawn together


@torch.inference_mode()
def draw(generator: Generator, n: int, seed: int) -> torch.Tensor:
    """Return ``n`` faces, uint8 [n, 3, size, size], that ``seed`` alone decides."""
    # On the CPU, so that a seed gives the same faces on every device.
    random = torch.Generator().manual_seed(seed)
    style = generator.config.style
    batches = []
    for start in range(0, n, AT_ONCE):
        count = min(AT_ONCE, n - start)
        z = torch.randn(count, style, generator=random).to(device())
        faces = generator(z, random)
        batches.append(as_bytes(faces).cpu())
    return torch.cat(batches)


def save(generator: Generator, folder: Path) -> None:
    """Write ``generator`` into the new folder ``folder``."""
    folder.mkdir()
    weights = {}
    for name, value in generator.state_dict().items():
        weights[name] = value.cpu().contiguous()
    save_file(weights, folder / "model.safetensors")
    write_json(folder / "config.json", asdict(generator.config))


def load(folder: Path) -> Generator:
    """Return the generator of faces saved in ``folder``.

    Raises:
        ValueError: there is none, as ``pretrain.gan.steps`` may have been 0; or its weights are not
            finite.
    """
    config = Config(**read_json(folder / "config.json"))
    generator = Generator(config)
    file = folder / "model.safetensors"
    weights = load_file(file)
    # A face of NaN would be a black picture that nobody wonders at.
    for name, value in weights.items():
        require_finite(value, f"{file}: the weights {name}")
    generator.load_state_dict(weights)
    return generator.to(device()).eval()


def sample(folder: Path, n: int, seed: int) -> np.ndarray:
    """Return ``n`` faces that nobody has, uint8 [n, size, size, 3].

    ``folder`` is what `pretrain` or `finetune` wrote; the same ``seed`` gives the same faces.
    """
    generator = load(folder / "generator")
    pictures = draw(generator, n, seed)
    return pictures.permute(0, 2, 3, 1).contiguous().numpy()
