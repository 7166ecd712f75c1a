"""Unsupervised pretraining on product photos: the inpainter's autoencoder, a diffusion model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from beauty_models import progress
from beauty_models.device import device, precision
from beauty_models.editing import Diffusion, Inpainter, Pretrain
from beauty_models.editing.dataset import Photos
from beauty_models.editing.diffusion import (
    Scheduler,
    Unet,
    build_scheduler,
    build_unet,
    denoising_loss,
    parameters,
    save_pipeline,
)
from beauty_models.editing.examples import hidden_patches, mirrored, read_photos
from beauty_models.editing.inpainter import (
    ROWS,
    InpaintingNetwork,
    Shape,
    hole_maps,
    normalized,
    save,
)
from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.training.checkpoint import Checkpoint, fingerprint
from beauty_models.training.loop import Loop, train_steps
from beauty_models.training.optimization import EMA, Optimization, seed_step
from beauty_models.training.splits import hold_out

HELD_OUT = 0.1  # share of the photos on which the loss before and after is measured
NOISES = 4  # with which the diffusion model's loss on a held-out photo is measured


def _hidden_error(network: InpaintingNetwork, pictures: Tensor, holes: Tensor) -> Tensor:
    """Return the mean absolute error in what is hidden; pixels are -1 to 1."""
    filled = network(pictures, holes).float()
    error = (filled - pictures).abs().mean(1, keepdim=True)
    total: Tensor = (error * holes).sum() / holes.sum().clamp(min=1)
    return total


@torch.no_grad()
def _held_out_error(network: InpaintingNetwork, photos: np.ndarray, params: Inpainter) -> float:
    """Return the error on ``photos`` [n, side, side, 3], with the same patches hidden each time."""
    network.eval()
    random = np.random.default_rng(params.seed)
    holes = hidden_patches(len(photos), photos.shape[1], params.hidden, random)
    total = 0.0
    for start in range(0, len(photos), ROWS):
        rows = slice(start, start + ROWS)
        with precision(params.precision):
            error = _hidden_error(network, normalized(photos[rows]), hole_maps(holes[rows]))
        total += error.item() * len(photos[rows])
    return total / len(photos)


def _pretrain_inpainter(
    photos: Photos, params: Pretrain, checkpoint: Checkpoint
) -> tuple[InpaintingNetwork, Metrics, list[dict[str, float]]]:
    """Return the autoencoder, its held-out error before and after, and its history.

    Without steps there is neither error nor history.
    """
    section = params.inpainter
    shape = Shape(params.size, section.channels, section.levels, section.blocks)
    network = InpaintingNetwork(shape).to(device())
    if section.steps == 0:
        progress.log_line("pretrain: the inpainter is left as it begins, for its steps are 0")
        return network, {}, []
    rows, held_out_rows = hold_out(range(len(photos)), HELD_OUT, section.seed)
    held_out = photos.images[held_out_rows]
    progress.log_line(
        f"pretrain: inpainter, {parameters(network):,} parameters, {len(rows):,} photos"
    )
    before = _held_out_error(network, held_out, section)
    group = {"params": list(network.parameters()), "lr": section.learning_rate}
    optimization = Optimization(network, [group], section.steps, section)
    network.train()

    def loss(step: int) -> Tensor:
        random = np.random.default_rng((section.seed, step))
        chosen = np.asarray(rows)[random.integers(len(rows), size=section.batch)]
        (images,) = mirrored(random, photos.images[chosen])
        holes = hidden_patches(section.batch, params.size, section.hidden, random)
        with precision(section.precision):
            return _hidden_error(network, normalized(images), hole_maps(holes))

    history = train_steps(optimization, loss, checkpoint, "pretrain: inpainter")
    after = _held_out_error(network, held_out, section)
    progress.log_line(f"pretrain: hidden patches {before:.4f} → {after:.4f}, held out")
    return network, {"loss_before": before, "loss_after": after}, history


@torch.no_grad()
def _held_out_noise(unet: Unet, scheduler: Scheduler, photos: Tensor, params: Diffusion) -> float:
    """Return the denoising loss on ``photos``, with the same noises each time."""
    unet.eval()
    total = 0.0
    for number in range(NOISES):
        # Steps of the training count from 0.
        seed_step(params.seed, -1 - number)
        loss = denoising_loss(unet, scheduler, photos, None, params.min_snr_gamma, params.precision)
        total += loss.item()
    return total / NOISES


def _pretrain_diffusion(
    photos: Photos, params: Pretrain, checkpoint: Checkpoint
) -> tuple[Unet, Scheduler, Metrics, list[dict[str, float]]]:
    """Return the mean weights, the schedule, the held-out loss before and after, the history."""
    section = params.diffusion
    unet = build_unet(params.size, section.channels, section.layers).to(device())
    scheduler = build_scheduler(section.prediction, section.zero_terminal_snr)
    rows, held_out_rows = hold_out(range(len(photos)), HELD_OUT, section.seed)
    held_out = normalized(photos.images[held_out_rows][:ROWS])
    progress.log_line(f"pretrain: diffusion, {parameters(unet):,} parameters")
    before = _held_out_noise(unet, scheduler, held_out, section)
    group = {"params": list(unet.parameters()), "lr": section.learning_rate}
    optimization = Optimization(unet, [group], section.steps, section)
    optimization.watched("pretrain: diffusion", checkpoint)
    ema = EMA(optimization)

    def step(images: Any, number: int) -> float:
        unet.train()
        loss = denoising_loss(
            unet, scheduler, normalized(images), None, section.min_snr_gamma, section.precision
        )
        loss.backward()
        value = loss.item()
        optimization.step(value)
        # A decay that grows with the steps: else the first weights would count for long.
        ema.update(min(section.ema, (1 + number) / (10 + number)))
        return value

    def batches(epoch: int) -> list[Any]:
        random = np.random.default_rng((section.seed, epoch))
        drawn = []
        for _ in range(per_epoch):
            chosen = np.asarray(rows)[random.integers(len(rows), size=section.batch)]
            drawn += mirrored(random, photos.images[chosen])
        return drawn

    # Rows of the history at every tenth of the run, where it can be cut so.
    epochs = math.gcd(section.steps, 10)
    per_epoch = section.steps // epochs
    loop = Loop(
        title="pretrain: diffusion",
        epochs=epochs,
        steps_per_epoch=per_epoch,
        seed=section.seed,
        batches=batches,
        step=step,
        checkpoint=checkpoint,
        stateful={"optimization": optimization, "ema": ema},
    )
    loop.run(checkpoint.load())
    optimization.load_weights(ema.weights)
    after = _held_out_noise(unet, scheduler, held_out, section)
    progress.log_line(f"pretrain: noise {before:.4f} → {after:.4f}, held out")
    figures = {"diffusion_loss_before": before, "diffusion_loss_after": after}
    return unet, scheduler, figures, loop.history


def pretrain(*, data: Path, pretrained: Path, params: Pretrain) -> Metrics:
    """Train both networks on ``data/train.parquet`` without masks; save to ``pretrained``.

    The inpainter learns what lies under hidden patches, the diffusion model to draw photos.
    ``pretrained/diffusion`` opens with diffusers' `DDIMPipeline`; with ``diffusion.steps: 0`` there
    is none. With ``inpainter.steps: 0`` its network is saved as it begins, and has no losses.

    Returns:
        ``loss_before`` and ``loss_after``: mean absolute error of hidden patches of held-out
        photos; ``diffusion_loss_before`` and ``diffusion_loss_after``; ``photos``.

    Raises:
        ValueError: there are fewer than two photos, or a network does not fit their size.
    """
    file = data / "train.parquet"
    identity = fingerprint(__name__, params, file)
    checkpoint = Checkpoint(pretrained, identity, params.checkpoint_minutes)
    # In one folder, which is cleared when both are done: a run that is killed in the second
    # training does not repeat the first.
    second = Checkpoint(pretrained, identity, params.checkpoint_minutes)
    second.file = checkpoint.file.with_name("diffusion.pt")
    photos = read_photos(data, "train", params.size)
    # One is held out, so one alone leaves none to learn from.
    if len(photos) < 2:
        raise ValueError(f"{file}: one photo; pretraining needs two at least")
    torch.manual_seed(params.seed)
    network, figures, history = _pretrain_inpainter(photos, params, checkpoint)
    histories = {"inpainter": history}
    diffusion = None
    if params.diffusion.steps > 0:
        # Its first weights do not depend on how many numbers the first training drew.
        torch.manual_seed(params.diffusion.seed)
        unet, scheduler, noise, history = _pretrain_diffusion(photos, params, second)
        diffusion = (unet, scheduler)
        figures |= noise
        histories["diffusion"] = history
    with new_folder(pretrained) as folder:
        save(network, folder)
        if diffusion is not None:
            save_pipeline(*diffusion, folder / "diffusion")
        write_json(folder / "history.json", histories)
    checkpoint.clear()
    return figures | {"photos": len(photos)}
