"""Inpainting in the latents of a Stable Diffusion network, to which adapters are fitted.

The base is a folder or hub id of diffusers' `StableDiffusionInpaintPipeline` (Rombach et al. 2022):
its network sees noisy latents, the hole, and the latents of the photo without it. Its weights stay;
low-rank adapters of its attention learn (Hu et al. 2022), by peft.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d

from beauty_models.backbones.licenses import stated_license
from beauty_models.backbones.loading import from_pretrained
from beauty_models.device import device, precision
from beauty_models.editing import DiffusionFinetune
from beauty_models.editing.diffusion import (
    FILLED,
    FIXED_NOISE,
    HOW,
    Scheduler,
    Unet,
    denoise,
    min_snr_weights,
    sampler_of,
)
from beauty_models.editing.inpainter import Holes, Images, fill_in_batches
from beauty_models.files import read_json, write_json
from beauty_models.training.finite import require_finite

Pipeline = Any  # diffusers' `StableDiffusionInpaintPipeline`

SEEN = 9  # channels of an inpainting network: noisy latents, the hole, what is around it
ADAPTED = ["to_q", "to_k", "to_v", "to_out.0"]  # layers of each attention
GAMMA = 5.0  # of Min-SNR
AT_ONCE = 4  # photos where nothing is learned: those of 512 pixels take gigabytes


class LatentDiffusion:
    """A Stable Diffusion inpainting network with its autoencoder, for photos of one size."""

    def __init__(
        self,
        pipeline: Pipeline,
        size: int,
        prompt: str,
        sampler: str,
        steps: int,
        autocast: str = "auto",
    ) -> None:
        # The autoencoder halves the side between any two of its scales.
        factor = 2 ** (len(pipeline.vae.config.block_out_channels) - 1)
        if size % factor:
            raise ValueError(
                f"pretrain.size: {size} is no multiple of {factor}, by which this base shrinks"
            )
        if pipeline.unet.config.in_channels != SEEN:
            raise ValueError(
                f"finetune.diffusion.base sees {pipeline.unet.config.in_channels} channels and not "
                f"{SEEN}: it is no inpainting network; take one that is"
            )
        self.factor = factor
        self.pipeline = pipeline.to(device())
        for part in (pipeline.vae, pipeline.text_encoder, pipeline.unet):
            part.requires_grad_(False)
            part.eval()
        self.size = size
        self.prompt = prompt
        self.sampler = sampler
        self.steps = steps
        self.autocast = autocast
        with torch.no_grad():
            # All photos are told alike, so that the text is read once.
            self.told, _ = pipeline.encode_prompt(prompt, device(), 1, False)

    @property
    def unet(self) -> Unet:
        """The network that learns."""
        return self.pipeline.unet

    @property
    def scheduler(self) -> Scheduler:
        """The schedule that the base was trained with."""
        return self.pipeline.scheduler

    def add_adapters(self, rank: int) -> None:
        """Put adapters that learn, and change nothing yet, on every attention."""
        from peft import LoraConfig  # two seconds, for nothing where the base is ours

        adapters = LoraConfig(r=rank, lora_alpha=rank, target_modules=ADAPTED)
        self.unet.add_adapter(adapters)

    @torch.no_grad()
    def _latents(self, pictures: Tensor, *, by_chance: bool) -> Tensor:
        vae = self.pipeline.vae
        distribution = vae.encode(pictures).latent_dist
        latents = distribution.sample() if by_chance else distribution.mode()
        scaled: Tensor = latents * vae.config.scaling_factor
        return scaled

    def _shown(self, pictures: Tensor, holes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the hole at the latents' size, and the latents of what is around it."""
        around = self._latents(pictures * (1 - holes), by_chance=False)
        # A latent is unknown where any of its pixels is.
        small = adaptive_max_pool2d(holes, around.shape[-2:])
        return small, around

    def _predict(self, noisy: Tensor, steps: Tensor, *, shown: tuple[Tensor, ...]) -> Tensor:
        told = self.told.expand(len(noisy), -1, -1)
        inputs = torch.cat([noisy, *shown], 1)
        with precision(self.autocast):
            prediction: Tensor = self.unet(inputs, steps, encoder_hidden_states=told).sample
        return prediction.float()

    def loss(self, pictures: Tensor, holes: Tensor) -> Tensor:
        """Return the weighted squared error of what is predicted, in latents.

        Args:
            pictures: -1 to 1 [n, 3, size, size].
            holes: 0 or 1 [n, 1, size, size].
        """
        latents = self._latents(pictures, by_chance=True)
        scheduler = self.scheduler
        # On the CPU, so that a seed gives the same noise on every device.
        steps = torch.randint(scheduler.config.num_train_timesteps, (len(pictures),))
        noise = torch.randn(latents.shape).to(latents)
        on_device = steps.to(latents.device)
        noisy = scheduler.add_noise(latents, noise, on_device)
        prediction = self._predict(noisy, on_device, shown=self._shown(pictures, holes))
        target = noise
        if scheduler.config.prediction_type == "v_prediction":
            target = scheduler.get_velocity(latents, noise, on_device)
        errors = (prediction - target).square().mean((1, 2, 3))
        weights = min_snr_weights(scheduler, steps, GAMMA).to(errors)
        return (weights * errors).mean()

    @torch.no_grad()
    def fill(self, images: Images, holes: Holes, steps: int | None = None) -> Images:
        """Return ``images`` [n, size, size, 3] with ``holes`` filled; all else keeps its bytes.

        ``steps`` takes the place of `steps`.

        Raises:
            NotFiniteError: the weights are spoiled.
        """
        sampler = sampler_of(self.sampler, self.scheduler)
        generator = torch.Generator().manual_seed(FIXED_NOISE)
        vae = self.pipeline.vae

        shape = (1, vae.config.latent_channels, *(self.size // self.factor,) * 2)
        noise = torch.randn(shape, generator=generator).to(device())

        def draw(pictures: Tensor, hole: Tensor) -> Tensor:
            begun = noise.expand(len(pictures), -1, -1, -1)
            predict = partial(self._predict, shown=self._shown(pictures, hole))
            latents = denoise(predict, sampler, begun, steps or self.steps)
            drawn: Tensor = vae.decode(latents / vae.config.scaling_factor).sample
            return drawn

        return fill_in_batches(images, holes, AT_ONCE, draw, FILLED)


def _opened(place: str | Path) -> Pipeline:
    """Return the pipeline at ``place``, a folder or hub id; ValueError where it cannot be loaded.

    Without its safety checker, which looks at whole pictures and not at what was filled in.
    """
    return from_pretrained(
        diffusers.StableDiffusionInpaintPipeline,
        place,
        safety_checker=None,
        requires_safety_checker=False,
        use_safetensors=True,
    )


def load_base(params: DiffusionFinetune, size: int) -> LatentDiffusion:
    """Return the base that ``params`` names with adapters that learn; ValueError as `_opened`."""
    model = LatentDiffusion(
        _opened(params.base),
        size,
        params.prompt,
        params.sampler,
        params.sampling_steps,
        params.precision,
    )
    model.add_adapters(params.lora)
    return model


def save(model: LatentDiffusion, base: str, folder: Path) -> None:
    """Write a folder that `StableDiffusionInpaintPipeline.from_pretrained` opens.

    The adapters become a part of the weights, and lie beside them in ``lora`` by themselves.
    """
    model.unet.save_lora_adapter(folder / "lora", safe_serialization=True)
    model.unet.fuse_lora()
    model.unet.unload_lora()
    model.pipeline.save_pretrained(folder, safe_serialization=True)
    how = {"sampler": model.sampler, "steps": model.steps, "size": model.size}
    write_json(folder / HOW, how | {"prompt": model.prompt})
    license_, commercial = stated_license(base)
    card = {"base": base, "license": license_, "commercial_use": commercial}
    write_json(folder / "backbone.json", card)


def load(folder: Path, autocast: str = "auto") -> LatentDiffusion:
    """Return the model that `save` wrote to ``folder``; ValueError where there is none."""
    how = read_json(folder / HOW)
    pipeline = _opened(folder)
    for name, value in pipeline.unet.state_dict().items():
        require_finite(value, f"{folder}: the weights {name}")
    return LatentDiffusion(
        pipeline, how["size"], how["prompt"], how["sampler"], how["steps"], autocast
    )
