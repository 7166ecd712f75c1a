"""Unsupervised pretraining on faces: a denoising autoencoder, and a generator of faces."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch

from beauty_models import progress
from beauty_models.device import device, precision
from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.makeup import Autoencoder, Pretrain
from beauty_models.makeup.dataset import as_bytes, normalized, read_faces
from beauty_models.makeup.gan import sampling, training
from beauty_models.makeup.gan.augmentation import random_mirror
from beauty_models.makeup.gan.balance import HealthyCheckpoint
from beauty_models.makeup.model import ROWS, TinyAutoencoder, build_autoencoder
from beauty_models.makeup.sheets import SampleSheets, grid
from beauty_models.training.checkpoint import Checkpoint, fingerprint
from beauty_models.training.loop import train_steps
from beauty_models.training.optimization import Optimization, seed_step
from beauty_models.training.splits import hold_out

HELD_OUT = 0.05  # share of the faces on which the loss before and after is measured
PARTS = ("train", "unlabelled")
SHOWN = 8  # held-out faces on the sheet: noisy and as they come back


class PretrainedAutoencoder(NamedTuple):
    """What `_pretrain_autoencoder` made."""

    network: TinyAutoencoder
    loss_before: float  # mean absolute error of held-out faces, in pixels -1 to 1
    loss_after: float
    history: list[dict[str, float]]
    sheet: SampleSheets


def _reconstruct(network: TinyAutoencoder, pictures: torch.Tensor) -> torch.Tensor:
    # Not `network(...)`: it rounds the latents to bytes, and no gradient goes through.
    latents = network.encode(pictures).latents
    reconstruction: torch.Tensor = network.decode(latents).sample
    return reconstruction


def _noisy(pictures: torch.Tensor, deviation: float) -> torch.Tensor:
    # On the CPU, so that a seed gives the same noise on every device.
    noise = torch.randn(pictures.shape).to(pictures)
    return pictures + deviation * noise


@torch.no_grad()
def _held_out_loss(network: TinyAutoencoder, faces: torch.Tensor, params: Autoencoder) -> float:
    """Return the mean absolute error with which noisy ``faces``, uint8, come back."""
    network.eval()
    total = 0.0
    for start in range(0, len(faces), ROWS):
        # The same noise before and after; steps of the training count from 0.
        seed_step(params.seed, -1 - start)
        pictures = normalized(faces[start : start + ROWS])
        with precision(params.precision):
            reconstruction = _reconstruct(network, _noisy(pictures, params.noise)).float()
        error = (reconstruction - pictures).abs().mean()
        total += error.item() * len(pictures)
    return total / len(faces)


@torch.no_grad()
def _sheet(
    network: TinyAutoencoder, faces: torch.Tensor, params: Autoencoder, output: Path
) -> SampleSheets:
    """Return the sheet of some held-out faces: as they are, with noise, as they come back."""
    seed_step(params.seed, -1)
    pictures = normalized(faces[:SHOWN])
    noisy = _noisy(pictures, params.noise)
    with precision(params.precision):
        reconstruction = _reconstruct(network, noisy).float()
    sheets = SampleSheets(output, "pretrain: autoencoder", "faces")
    rows = torch.cat([pictures, noisy, reconstruction])
    in_bytes = as_bytes(rows).cpu()
    sheets.add(grid(in_bytes, columns=len(pictures)))
    return sheets


def _pretrain_autoencoder(
    faces: torch.Tensor, params: Autoencoder, checkpoint: Checkpoint
) -> PretrainedAutoencoder:
    """Return the autoencoder trained on ``faces``, uint8 [n, 3, size, size]."""
    network = build_autoencoder(
        params.channels, params.latent_channels, params.blocks, params.downsamplings
    ).to(device())
    order, held_out_rows = hold_out(range(len(faces)), HELD_OUT, params.seed)
    train = faces[order].to(device())
    held_out = faces[held_out_rows].to(device())
    weights = sum(p.numel() for p in network.parameters())
    what = f"{weights:,} parameters, {len(faces):,} faces"
    progress.log_line(f"pretrain: autoencoder, {what}")
    before = _held_out_loss(network, held_out, params)
    group = {"params": list(network.parameters()), "lr": params.learning_rate}
    optimization = Optimization(network, [group], params.steps, params)
    network.train()

    def loss(step: int) -> torch.Tensor:
        rows = torch.randint(len(train), (params.batch,)).to(device())
        pictures = random_mirror(normalized(train[rows]))
        with precision(params.precision):
            reconstruction = _reconstruct(network, _noisy(pictures, params.noise))
        return (reconstruction.float() - pictures).abs().mean()

    history = train_steps(optimization, loss, checkpoint, "pretrain: autoencoder")
    after = _held_out_loss(network, held_out, params)
    sheet = _sheet(network, held_out, params, checkpoint.output)
    return PretrainedAutoencoder(network, before, after, history, sheet)


def _faces(data: Path, size: int) -> torch.Tensor:
    """Return the faces of all parts that are learned from, uint8 [n, 3, size, size]."""
    # The frame of an empty part has no shard to read.
    parts = [read_faces(data, part, size).images for part in PARTS]
    faces = torch.cat(parts)
    # One is held out, so one alone leaves none to learn from.
    if len(faces) < 2:
        raise ValueError(
            f"{data}: {len(faces)} faces to learn from; pretraining needs two at least"
        )
    return faces


def pretrain(*, data: Path, pretrained: Path, params: Pretrain) -> Metrics:
    """Train autoencoder and generator on ``data`` without labels; save to ``pretrained``.

    They learn from the train and the unlabelled part. ``pretrained/autoencoder`` opens with
    diffusers' `AutoencoderTiny`; ``pretrained/samples`` has a sheet of each tenth of the
    generator's run. With ``gan.steps: 0`` there is no generator.

    Returns:
        ``loss_before`` and ``loss_after``: mean absolute error of held-out faces with the noise
        taken away; ``faces``.

    Raises:
        ValueError: there are fewer than two faces, or the generator's training collapsed.
    """
    files = [data / f"{part}.parquet" for part in PARTS]
    identity = fingerprint(__name__, params, *files)
    checkpoint = Checkpoint(pretrained, identity, params.checkpoint_minutes)
    generator_checkpoint = HealthyCheckpoint(pretrained, identity, params.checkpoint_minutes)
    # In one folder, which is cleared when both are done: a run that is killed in the generator does
    # not train the autoencoder again.
    generator_checkpoint.file = checkpoint.file.with_name("generator.pt")
    faces = _faces(data, params.size)
    halvings = params.autoencoder.downsamplings
    side = params.size >> halvings
    if side == 0 or side << halvings != params.size:
        raise ValueError(
            f"params.yaml: pretrain.size: {params.size} cannot be halved "
            f"{params.autoencoder.downsamplings} times (pretrain.autoencoder.downsamplings)"
        )
    autoencoder = _pretrain_autoencoder(faces, params.autoencoder, checkpoint)
    trainer = None
    if params.gan.steps > 0:
        if params.gan.size != params.size:
            faces = _faces(data, params.gan.size)
        # Its first weights do not depend on how many numbers the autoencoder's training drew, and
        # that it may have been resumed.
        torch.manual_seed(params.gan.seed)
        trainer = training.train(faces, params.gan, generator_checkpoint)
    with new_folder(pretrained) as folder:
        autoencoder.network.save_pretrained(folder / "autoencoder")
        autoencoder.sheet.write(folder / "reconstructions")
        history = {"autoencoder": autoencoder.history, "generator": []}
        if trainer is not None:
            sampling.save(trainer.generator, folder / "generator")
            trainer.sheets.write(folder / "samples")
            history["generator"] = trainer.loop.history
        write_json(folder / "history.json", history)
        write_json(folder / "pretrained.json", {"size": params.size})
    checkpoint.clear()
    progress.log_line(
        f"pretrain: faces {autoencoder.loss_before:.3f} → {autoencoder.loss_after:.3f}, held out"
    )
    return {
        "loss_before": autoencoder.loss_before,
        "loss_after": autoencoder.loss_after,
        "faces": len(faces),
    }
