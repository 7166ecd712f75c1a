"""swatch: does this lipstick swatch look matt or glossy? The smallest family, to be copied.

Its two measured numbers tell matt from glossy only together (an exclusive or), so that a linear
baseline is at chance and a small network is not: the gate passes on every processor, and a whole
run takes seconds.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from beauty_models.families import Wording
from beauty_models.params import Gate, OptimizerParams, Positive, Rate, Section, Seed, Split


class Ingest(Section):
    """From the measured table to split shards."""

    seed: Seed
    split: Split


class Training(OptimizerParams):
    """What pretraining and fine-tuning share, besides the optimizer's settings."""

    steps: Positive
    batch: Positive
    learning_rate: Rate
    checkpoint_minutes: Rate


class Pretrain(Training):
    """A denoising autoencoder on measurements without labels (Vincent et al. 2008)."""

    hidden: Positive
    noise: Annotated[float, Field(ge=0)]  # standard deviation of what is added


class Finetune(Training):
    """A classifier on the pretrained encoder."""


class Evaluate(Section):
    """The model and its baselines on the frozen test split."""

    seed: Seed
    bootstrap: Annotated[int, Field(ge=100)]  # resamples
    confidence: Annotated[float, Field(gt=0, lt=1)]


class Params(Section):
    """The block families.swatch of params.yaml."""

    source: str
    license: str
    ingest: Ingest
    pretrain: Pretrain
    finetune: Finetune
    evaluate: Evaluate
    gate: Gate


CLASSES = ["glossy", "matt"]
MEASURED = ["shine", "depth"]

WORDING = Wording(
    figure="accuracy",
    sentence="of {of} swatches it tells the finish of {right}",
    headlines={
        "finetune": {"score": "validation_accuracy"},
        "evaluate": {"score": "accuracy"},
    },
    names={"logistic_regression": "logistic regression"},
    example=("--shine", "0.9", "--depth", "0.1"),
)
