"""editing: cut products out of photos, fill holes, put them on other grounds, recolor them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from beauty_models.families import Wording
from beauty_models.params import (
    Gate,
    Names,
    OptimizerParams,
    Positive,
    Precision,
    Rate,
    Reading,
    Section,
    Seed,
    Share,
    Split,
)

Count = Annotated[int, Field(ge=0)]
Weight = Annotated[float, Field(ge=0)]

PRETRAINED = "pretrained"
"""In place of a base: the network that `pretrain` trained."""


class Columns(Section):
    """Field of a catalogue's table → accepted column names; the first one found counts."""

    image: Names
    id: Names  # of a row, by which a product lists its variants
    product: Names
    variations: Names  # the variants that a product lists
    mask: Names


class Photos(Section):
    """Which photos are taken, and how they are kept."""

    max_pixels: Positive  # width × height; larger ones are refused unread
    min_side: Positive  # pixels; smaller ones are rejected
    side: Positive  # pixels a side of the square photo as it is kept


class Ingest(Section):
    """From product photos to squares of one size with their foreground masks."""

    seed: Seed
    reading: Reading
    columns: Columns
    photos: Photos
    max_rejected: Share
    limit: Count  # photos at most; 0 takes all
    split: Split  # by product


class Inpainter(OptimizerParams):
    """A gated U-Net, pretrained as a masked autoencoder (Pathak et al. 2016; He et al. 2022)."""

    channels: Positive  # at half of the photo's side, where the network begins
    levels: Positive  # times that the side is halved after that; channels double up to four times
    blocks: Positive  # residual blocks at the smallest side
    hidden: Share  # of the photo's patches, that are to be told from the others
    steps: Count  # 0 leaves the network untrained
    batch: Positive
    learning_rate: Rate


class Diffusion(OptimizerParams):
    """Unconditional diffusion (Ho et al. 2020) with diffusers' `UNet2DModel`."""

    channels: Annotated[list[Positive], Field(min_length=1)]  # of each scale, the largest first
    layers: Positive  # residual blocks at each scale
    prediction: Literal["epsilon", "v_prediction"]
    zero_terminal_snr: bool  # the last step is noise and nothing else (Lin et al. 2024)
    min_snr_gamma: Weight  # cap of the loss' weights (Hang et al. 2023); 0 weighs all noises alike
    steps: Count  # 0 leaves the diffusion model out
    batch: Positive
    learning_rate: Rate
    ema: Share

    @model_validator(mode="after")
    def _terminal_noise_needs_v(self) -> Self:
        if self.zero_terminal_snr and self.prediction == "epsilon":
            raise ValueError(
                "zero_terminal_snr needs prediction: v_prediction; out of noise alone the noise "
                "says nothing of the photo"
            )
        return self


class Pretrain(Section):
    """Unsupervised: the inpainter's autoencoder, and the diffusion model of product photos."""

    seed: Seed  # of the first weights
    size: Positive  # pixels a side of the photos
    inpainter: Inpainter
    diffusion: Diffusion
    checkpoint_minutes: Rate


class InpainterFinetune(OptimizerParams):
    """Filling holes: boxes, strokes and outlines of products."""

    ssim_weight: Weight  # of 1 − SSIM beside the absolute error
    epochs: Positive
    steps: Positive  # of an epoch
    patience: Positive  # epochs
    batch: Positive
    learning_rate: Rate
    ema: Share


class DiffusionFinetune(OptimizerParams):
    """The diffusion model learns to see what is around a hole, or a large one gets adapters."""

    # `pretrained`, or a folder or hub id of a StableDiffusionInpaintPipeline
    base: Annotated[str, Field(min_length=1)]
    lora: Positive  # rank of the adapters (Hu et al. 2022) of a base that is not ours
    prompt: str  # what such a base is told that photos show
    epochs: Positive
    steps: Positive  # of an epoch
    patience: Positive
    batch: Positive
    learning_rate: Rate
    ema: Share
    sampler: Literal["ddim", "dpm-solver++"]
    sampling_steps: Positive


class Finetune(Section):
    """Mask-conditioned inpainting of both networks, and which of all fills serves."""

    seed: Seed  # of the validation holes, too
    inpainter: InpainterFinetune
    diffusion: DiffusionFinetune
    validation_photos: Positive  # at most, by which the one that serves is chosen
    checkpoint_minutes: Rate


class Evaluate(Section):
    """The model and the classical fills on the frozen test split."""

    seed: Seed
    photos: Count  # of the test split at most; 0 takes all
    bootstrap: Annotated[int, Field(ge=100)]  # resamples
    confidence: Annotated[float, Field(gt=0, lt=1)]
    sampling_steps: list[Positive]  # of the diffusion model, whose quality the report compares
    sampled: Positive  # photos for that comparison
    drawn: (
        Positive  # photos that are drawn out of nothing, and by which Fréchet distances are taken
    )
    examples: Positive  # strips on the page
    precision: Precision


class Params(Section):
    """The block families.editing of params.yaml."""

    source: str
    license: str
    ingest: Ingest
    pretrain: Pretrain
    finetune: Finetune
    evaluate: Evaluate
    gate: Gate


WORDING = Wording(
    figure="filled_well",
    sentence="of {of} holes it fills {right} with an error of 25 levels of 255 or less",
    headlines={
        "finetune": {"score": "validation_psnr_hole"},
        "evaluate": {"score": "psnr_hole"},
    },
    names={
        "mean_fill": "the mean color of the photo",
        "telea": "fast marching (Telea, OpenCV)",
        "navier_stokes": "Navier-Stokes (OpenCV)",
        "patch": "patches from elsewhere in the photo",
        "inpainter": "the feed-forward network alone",
        "diffusion": "the diffusion model alone",
    },
    ablations=frozenset({"inpainter", "diffusion"}),
    example=("--save", "build/edited", "cutout", "sample"),
    picture="board.png",
)
