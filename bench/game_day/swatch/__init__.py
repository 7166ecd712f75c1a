"""swatch: which finish has this lipstick swatch? The smallest family that becomes champion, for the game of faults.

Its two measured numbers tell matt from glossy only together (an exclusive or), so a linear baseline is at chance and a
small network is not: the gate passes on every processor, and a whole run takes seconds.
"""

from __future__ import annotations

from beauty_models.families import Wording
from beauty_models.params import Gate, Positive, Precision, Rate, Section, Share, Split


class Ingest(Section):
    """From the measured table to split shards."""

    seed: int
    split: Split


class Training(Section):
    """A short gradient descent with a checkpoint after every step, so that a kill meets one often."""

    seed: int
    hidden: Positive
    steps: Positive
    batch: Positive
    learning_rate: Rate
    warmup: Share
    weight_decay: float
    precision: Precision
    checkpoint_minutes: float


class Evaluate(Section):
    """Bootstrap intervals on the frozen test split."""

    seed: int
    bootstrap: Positive
    confidence: Share


class Params(Section):
    """The family's block of params.yaml."""

    source: str
    license: str
    ingest: Ingest
    pretrain: Training
    finetune: Training
    evaluate: Evaluate
    gate: Gate


WORDING = Wording(
    figure="accuracy",
    sentence="of {of} swatches it tells the finish of {right}",
    headlines={
        "ingest": {"n": "rows", "rejected": "rejected"},
        "pretrain": {"loss": "loss"},
        "finetune": {"loss": "loss"},
        "evaluate": {"score": "accuracy", "n": "n"},
    },
    names={"majority": "always the commonest finish", "logistic_regression": "logistic regression"},
    example=("--shine", "0.9", "--depth", "0.1"),
)
