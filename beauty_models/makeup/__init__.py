"""makeup: put the make-up of one face, or a shade by its name, on another face."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from beauty_models.families import Wording
from beauty_models.params import (
    Gate,
    OptimizerParams,
    Positive,
    Rate,
    Reading,
    Section,
    Seed,
    Share,
    Split,
)

# A folder of one of these names, as `folder_word` returns them, says how its faces are. Of several
# in a path the deepest one counts.
MADE_UP_FOLDERS = ("makeup", "madeup", "withmakeup", "化妆", "带妆")
BARE_FOLDERS = ("nonmakeup", "nomakeup", "withoutmakeup", "bare", "barefaces", "素颜")


def folder_word(name: str) -> str:
    """Return a folder's name without capitals, spaces and dashes: Non_Makeup is nonmakeup."""
    return re.sub("[-_ ]", "", name.casefold())


Weight = Annotated[float, Field(ge=0)]


class Photos(Section):
    """Which photos are taken, and how faces are kept."""

    max_pixels: Positive  # width × height; larger ones are refused unread
    min_face: Positive  # pixels between the eyes times two, about a face's width; smaller is told
    side: Positive  # pixels a side of the aligned face as it is kept


class Ingest(Section):
    """From photos of faces to aligned faces with their regions."""

    seed: Seed
    reading: Reading
    photos: Photos
    # number in a delivered mask → name of a region in lower case; `auto` finds CelebAMask-HQ's
    # and this project's own by their numbers
    label_map: Literal["auto"] | dict[int, str]
    max_rejected: Share
    split: Split  # by person
    # looks that are rendered on each bare face and another one, where no transfers.csv is delivered
    rendered_looks: Annotated[int, Field(ge=0)]


class Autoencoder(OptimizerParams):
    """A denoising autoencoder on all faces (Vincent et al. 2008); diffusers' `AutoencoderTiny`."""

    channels: Positive
    latent_channels: Positive
    blocks: Positive  # residual blocks at each scale
    downsamplings: Positive  # each halves the side
    noise: Weight  # standard deviation of what is added, of pixels -1 to 1
    steps: Positive
    batch: Positive
    learning_rate: Rate


class Gan(Section):
    """A StyleGAN2-style generator of faces (Karras et al. 2020), so that looks can be sampled."""

    seed: Seed
    steps: Annotated[int, Field(ge=0)]  # 0 leaves the generator out
    size: Positive  # pixels a side, a power of two
    style: Positive  # width of the mapping network and of the styles
    channels: Positive  # at the largest maps; they double down to four times as many
    batch: Positive
    learning_rate: Rate
    discriminator_learning_rate: Rate
    r1: Weight  # weight of the gradient penalty (Mescheder et al. 2018)
    r1_interval: Positive  # steps between two penalties: lazy regularization
    augment: list[Literal["color", "translation", "cutout"]]  # DiffAugment (Zhao et al. 2020)
    ema: Share
    samples: Positive  # pictures on a sample sheet
    precision: Literal["auto", "float32", "bfloat16"]


class Pretrain(Section):
    """Unsupervised: the autoencoder that the transfer is built on, and the generator of faces."""

    seed: Seed  # of the first weights
    size: Positive  # pixels a side of the faces
    autoencoder: Autoencoder
    gan: Gan
    checkpoint_minutes: Rate


class Losses(Section):
    """Weights of the terms that the transfer learns by."""

    lips: Weight  # distance to the result, or to a histogram-matched target, in each part of a look
    skin: Weight
    eyes: Weight
    adversarial: Weight
    identity: Weight  # distance in the pretrained encoder's features
    smoothness: Weight  # total variation of what is changed


class Finetune(OptimizerParams):
    """Transfer: a bare face and a reference look become a made-up face."""

    correspondence: Literal["regions", "attention"]
    style: Positive  # width of a part's style code
    losses: Losses
    epochs: Positive
    patience: Positive
    pairs: Positive  # pairs of a bare face and a look that an epoch has
    truth_share: Share  # of the pairs, that are such whose result is known, if any are
    batch: Positive
    learning_rate: Rate
    discriminator_learning_rate: Rate
    ema: Share
    checkpoint_minutes: Rate


class Evaluate(Section):
    """The model and its baselines on the frozen test split."""

    seed: Seed
    pairs: Positive  # references that each bare face is made up with
    bootstrap: Annotated[int, Field(ge=100)]  # resamples
    confidence: Annotated[float, Field(gt=0, lt=1)]
    examples: Positive  # strips on the page


class Params(Section):
    """The block families.makeup of params.yaml."""

    source: str
    license: str
    ingest: Ingest
    pretrain: Pretrain
    finetune: Finetune
    evaluate: Evaluate
    gate: Gate


SAMPLE = "sample"  # what `--face` calls a portrait that anybody has


def sample_portrait() -> str:
    """Return where a portrait lies that anybody has: Eileen Collins', NASA's, public domain.

    It comes with scikit-image.
    """
    package = importlib.util.find_spec("skimage")  # a look, not an import, which takes a second
    assert package is not None and package.origin is not None
    return str(Path(package.origin).with_name("data") / "astronaut.png")


WORDING = Wording(
    figure="looks_better",
    sentence="of {of} looks on somebody else it brings {right} nearer than the bare face is",
    headlines={
        "finetune": {"score": "validation_loss"},
        "evaluate": {"score": "look_error"},
    },
    names={
        "copy": "the bare face as it is",
        "mean_std": "mean and deviation of the colors (Reinhard)",
        "histogram_matching": "histogram matching, region by region",
    },
    smaller_is_better=True,
    example=("--face", SAMPLE, "--lipstick", "#B3123F", "--save", "build/tried"),
    picture="board.png",
)
