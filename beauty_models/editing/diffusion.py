"""The diffusion model of product photos, and how it fills holes; diffusers' UNet and schedulers.

Without a condition it draws photos out of noise (Ho et al. 2020). To fill holes it sees seven
channels, as Stable Diffusion's inpainting network does: the noisy photo, the hole, and the photo
with its hole filled smoothly.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from beauty_models.device import device, precision
from beauty_models.editing.inpainter import (
    ROWS,
    Holes,
    Images,
    as_bytes,
    fill_in_batches,
    pull_push,
)
from beauty_models.files import read_json, write_json
from beauty_models.training.finite import require_finite

# diffusers' classes, the bases of which mypy does not see.
Unet = Any
Scheduler = Any

NOISE_STEPS = 1000  # that noise is added in
COLORS = 3
SEEN = 7  # channels of a network that fills holes
NORM_GROUPS = 8
HOW = "fill.json"  # sampler and number of steps, beside what diffusers saves
FILLED = "what the diffusion model fills in"
FIXED_NOISE = 20  # seed: the same photo is always filled alike, alone or among others


def build_unet(size: int, channels: list[int], layers: int) -> Unet:
    """Return an untrained network that predicts noise or velocity, with attention at the smallest.

    Raises:
        ValueError: the photos cannot be halved that often, or channels are no multiple of 8.
    """
    cell = 2 ** (len(channels) - 1)
    if size % cell:
        raise ValueError(
            f"photos of {size} pixels cannot be halved {len(channels) - 1} times; set "
            f"pretrain.size to a multiple of {cell}, or fewer pretrain.diffusion.channels"
        )
    if any(width % NORM_GROUPS for width in channels):
        raise ValueError(f"pretrain.diffusion.channels: {channels}: take multiples of 8")
    # Attention over 64 places costs next to nothing; at the photo's own size it would cost most.
    plain = len(channels) - 1
    network: Unet = diffusers.UNet2DModel
    return network(
        sample_size=size,
        in_channels=COLORS,
        out_channels=COLORS,
        block_out_channels=tuple(channels),
        layers_per_block=layers,
        norm_num_groups=NORM_GROUPS,
        down_block_types=("DownBlock2D",) * plain + ("AttnDownBlock2D",),
        up_block_types=("AttnUpBlock2D",) + ("UpBlock2D",) * plain,
    )


def build_scheduler(prediction: str, zero_terminal_snr: bool) -> Scheduler:
    """Return DDIM's schedule of noise (Song et al. 2021)."""
    scheduler: Scheduler = diffusers.DDIMScheduler
    return scheduler(
        num_train_timesteps=NOISE_STEPS,
        prediction_type=prediction,
        rescale_betas_zero_snr=zero_terminal_snr,
        # Sampling begins at the last step; `leading` would leave it out (Lin et al. 2024).
        timestep_spacing="trailing",
    )


def min_snr_weights(scheduler: Scheduler, steps: Tensor, gamma: float) -> Tensor:
    """Return the weight of each of ``steps`` [n] in the loss: Min-SNR (Hang et al. 2023).

    Without it what is learned from little noise drowns the rest. 1 everywhere where ``gamma`` is 0.
    """
    if gamma == 0:
        return torch.ones(len(steps))
    kept: Tensor = scheduler.alphas_cumprod[steps]
    snr = kept / (1 - kept)
    # The paper's weights are of the error in the photo; that of velocity or noise has more of it.
    of_prediction = snr + 1 if scheduler.config.prediction_type == "v_prediction" else snr
    weights: Tensor = snr.clamp(max=gamma) / of_prediction
    return weights


def denoising_loss(
    unet: Unet,
    scheduler: Scheduler,
    pictures: Tensor,
    holes: Tensor | None,
    gamma: float,
    autocast: str,
) -> Tensor:
    """Return the weighted squared error of what ``unet`` predicts, at noise levels by chance.

    Args:
        unet: of three channels, or of seven with ``holes``.
        scheduler: as `build_scheduler` returns it.
        pictures: -1 to 1 [n, 3, size, size].
        holes: 0 or 1 [n, 1, size, size]; the error is that in the holes. None: all of the picture.
        gamma: of `min_snr_weights`.
        autocast: auto, float32 or bfloat16.
    """
    # On the CPU, so that a seed gives the same noise on every device.
    steps = torch.randint(NOISE_STEPS, (len(pictures),))
    noise = torch.randn(pictures.shape).to(pictures)
    on_device = steps.to(pictures.device)
    noisy = scheduler.add_noise(pictures, noise, on_device)
    inputs = noisy if holes is None else seen(noisy, pictures, holes)
    with precision(autocast):
        prediction = unet(inputs, on_device).sample
    target = noise
    if scheduler.config.prediction_type == "v_prediction":
        target = scheduler.get_velocity(pictures, noise, on_device)
    squares = (prediction.float() - target).square().mean(1)
    if holes is None:
        errors = squares.mean((1, 2))
    else:
        inside = holes[:, 0]
        errors = (squares * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1)
    weights = min_snr_weights(scheduler, steps, gamma).to(errors)
    loss: Tensor = (weights * errors).mean()
    return loss


def seen(noisy: Tensor, pictures: Tensor, holes: Tensor) -> Tensor:
    """Return what a network that fills holes sees [n, 7, size, size].

    A smooth fill stands in the hole, where Stable Diffusion has nothing: it tells the colors.
    """
    return torch.cat([noisy, holes, pull_push(pictures, holes)], 1)


def with_condition(unet: Unet) -> Unet:
    """Return a copy of an unconditional ``unet`` that sees seven channels.

    The new channels have no weight at first, so that it begins with what it has learned.
    """
    config = dict(unet.config)
    config["in_channels"] = SEEN
    network: Unet = diffusers.UNet2DModel
    conditioned = network.from_config(config)
    weights = dict(unet.state_dict())
    first = weights["conv_in.weight"]
    wider = torch.zeros_like(conditioned.conv_in.weight)
    wider[:, :COLORS] = first.to(wider)
    weights["conv_in.weight"] = wider
    conditioned.load_state_dict(weights)
    return conditioned


def sampler_of(name: str, scheduler: Scheduler) -> Scheduler:
    """Return the sampler called ``name``: ddim or dpm-solver++ (Lu et al. 2022), order 2."""
    if name == "ddim":
        chosen: Scheduler = diffusers.DDIMScheduler
    else:
        chosen = diffusers.DPMSolverMultistepScheduler
    config = {key: value for key, value in scheduler.config.items() if not key.startswith("_")}
    # What only DDIM knows; diffusers would print a warning for each.
    if name != "ddim":
        for key in ("clip_sample", "clip_sample_range", "set_alpha_to_one"):
            config.pop(key, None)
    return chosen.from_config(config)


Predict = Callable[[Tensor, Tensor], Tensor]
"""(noisy pictures, noise step) → noise or velocity, whichever the schedule says."""


@torch.no_grad()
def denoise(predict: Predict, sampler: Scheduler, noise: Tensor, steps: int) -> Tensor:
    """Return what ``noise`` [n, channels, h, w] becomes in ``steps`` steps."""
    with warnings.catch_warnings():
        # diffusers' DPM-Solver hands tensors to numpy in a way that numpy will not take for ever.
        warnings.simplefilter("ignore", DeprecationWarning)
        sampler.set_timesteps(steps, device=noise.device)
    pictures: Tensor = noise * sampler.init_noise_sigma
    for step in sampler.timesteps:
        prediction = predict(sampler.scale_model_input(pictures, step), step)
        pictures = sampler.step(prediction.float(), step, pictures).prev_sample
    return pictures


class Diffusion:
    """A trained network that fills holes by sampling."""

    def __init__(
        self, unet: Unet, scheduler: Scheduler, sampler: str, steps: int, autocast: str = "auto"
    ) -> None:
        self.unet = unet.to(device()).eval()
        self.scheduler = scheduler
        self.sampler = sampler  # ddim or dpm-solver++
        self.steps = steps
        self.autocast = autocast

    @property
    def size(self) -> int:
        """Pixels a side of the photos."""
        return int(self.unet.config.sample_size)

    def _predict(self, noisy: Tensor, step: Tensor, *, pictures: Tensor, holes: Tensor) -> Tensor:
        prediction: Tensor = self.unet(seen(noisy, pictures, holes), step).sample
        return prediction

    @torch.no_grad()
    def fill(self, images: Images, holes: Holes, steps: int | None = None) -> Images:
        """Return ``images`` [n, size, size, 3] with ``holes`` filled; all else keeps its bytes.

        ``steps`` takes the place of `steps`.

        Raises:
            NotFiniteError: the weights are spoiled.
        """
        sampler = sampler_of(self.sampler, self.scheduler)
        generator = torch.Generator().manual_seed(FIXED_NOISE)
        noise = torch.randn((1, COLORS, self.size, self.size), generator=generator).to(device())

        def draw(pictures: Tensor, hole: Tensor) -> Tensor:
            begun = noise.expand(len(pictures), -1, -1, -1)
            predict = partial(self._predict, pictures=pictures, holes=hole)
            with precision(self.autocast):
                return denoise(predict, sampler, begun, steps or self.steps)

        return fill_in_batches(images, holes, ROWS, draw, FILLED)


@torch.no_grad()
def sample(
    unet: Unet, scheduler: Scheduler, steps: int, count: int, seed: int, autocast: str
) -> Images:
    """Return ``count`` photos that an unconditional ``unet`` draws [count, size, size, 3]."""
    size = int(unet.config.sample_size)
    sampler = sampler_of("dpm-solver++", scheduler)
    unet = unet.to(device()).eval()
    generator = torch.Generator().manual_seed(seed)
    drawn = []
    for start in range(0, count, ROWS):
        rows = min(ROWS, count - start)
        noise = torch.randn((rows, COLORS, size, size), generator=generator).to(device())
        with precision(autocast):
            pictures = denoise(lambda noisy, step: unet(noisy, step).sample, sampler, noise, steps)
        drawn.append(as_bytes(require_finite(pictures, "what the diffusion model draws")))
    return np.concatenate(drawn)


def save_pipeline(unet: Unet, scheduler: Scheduler, folder: Path) -> None:
    """Write a folder that `diffusers.DDIMPipeline.from_pretrained` opens; safetensors only.

    A network of seven channels has no pipeline of diffusers that would call it; there the pipeline
    holds network and schedule.
    """
    pipeline: Any = diffusers.DDIMPipeline
    pipeline(unet=unet, scheduler=scheduler).save_pretrained(folder, safe_serialization=True)


def load_pipeline(folder: Path) -> tuple[Unet, Scheduler]:
    """Return network and schedule out of a folder that `save_pipeline` wrote.

    Raises:
        ValueError: there is none, it is damaged, or its weights are not finite.
    """
    network: Unet = diffusers.UNet2DModel
    scheduler: Scheduler = diffusers.DDIMScheduler
    # Not by `from_pretrained`, which would look on the hub for a folder that is not there.
    try:
        unet = network.from_config(read_json(folder / "unet/config.json"))
        unet.load_state_dict(load_file(folder / "unet/diffusion_pytorch_model.safetensors"))
        schedule = scheduler.from_config(read_json(folder / "scheduler/scheduler_config.json"))
    except (OSError, RuntimeError, TypeError, ValueError, SafetensorError) as error:
        raise ValueError(f"{folder}: no saved diffusion model: {error}") from error
    for name, value in unet.state_dict().items():
        require_finite(value, f"{folder}: the weights {name}")
    return unet, schedule


def save(filler: Diffusion, folder: Path) -> None:
    """Write ``filler`` to ``folder``, as `save_pipeline` does, and how it samples."""
    save_pipeline(filler.unet, filler.scheduler, folder)
    write_json(folder / HOW, {"sampler": filler.sampler, "steps": filler.steps})


def load(folder: Path, autocast: str = "auto") -> Diffusion:
    """Return the diffusion model that `save` wrote to ``folder``; ValueError as `load_pipeline`."""
    unet, scheduler = load_pipeline(folder)
    how = read_json(folder / HOW)
    return Diffusion(unet, scheduler, how["sampler"], how["steps"], autocast)


def parameters(network: nn.Module) -> int:
    """Return how many weights a network has."""
    return sum(parameter.numel() for parameter in network.parameters())
