"""tryon: which garment suits this text and this photo? A BERT and an image network, fused."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from beauty_models.families import Wording
from beauty_models.params import (
    Crop,
    Gate,
    Index,
    Names,
    Pictures,
    Positive,
    Precision,
    Rate,
    Scratch,
    Section,
    Seed,
    Share,
    Split,
)

FIELDS = (
    "id",
    "product",
    "name",
    "text",
    "image",
    "attributes",
    "variations",
)  # what a table may hold besides the labels


class Ingest(Section):
    """From tables and folders of pictures to labelled examples of a text, a picture or both."""

    seed: Seed
    columns: dict[
        str, Names
    ]  # field or head → the column names it may have; of `text` every one counts, else the first that is there
    heads: Annotated[
        dict[str, dict[str, list[str]]], Field(min_length=1)
    ]  # what is learned: head → label → its values; {} takes them as they are
    category_root: str  # a value of the first head that begins with this folder is a list of paths, as Magento exports them …
    category_aside: list[
        str
    ]  # … of which those through these folders do not count; the last folder of the deepest other one is the label
    catalogue: (
        str  # pattern of the tables whose pictures are garments on sale; "" takes every picture
    )
    pictures: Pictures
    min_examples: Positive  # a label with fewer examples is not learned
    max_rejected: Share  # the stage fails when more of the rows than this are rejected
    limit: Annotated[int, Field(ge=0)]  # examples at most, the same ones every time; 0 takes all
    split: Split

    @model_validator(mode="after")
    def _columns_are_known(self) -> Self:
        if strange := set(self.columns) ^ {*FIELDS, *self.heads}:
            raise ValueError(
                f"columns must name {', '.join(FIELDS)} and the heads {', '.join(self.heads)}; check {', '.join(sorted(strange))}"
            )
        return self


class ScratchImage(Section):
    """The vision transformer that `image: scratch` builds."""

    patch: Positive
    layers: Positive
    hidden: Annotated[int, Field(ge=8)]
    heads: Positive


class Words(Section):
    """Masked language modelling on the texts (Devlin et al. 2019; whole words: Cui et al. 2021)."""

    seed: Seed
    mask: Share  # share of the words that is hidden
    epochs: Annotated[float, Field(ge=0)]  # 0 leaves the text network as it is
    min_texts: Positive  # with fewer distinct texts it stays as it is, too
    batch: Positive
    learning_rate: Rate  # of the body
    head_learning_rate: Rate  # of the language-model head, which wheel: and scratch begin untrained
    warmup: Share
    weight_decay: Annotated[float, Field(ge=0)]
    dropout: Share
    precision: Precision


class Pretrain(Section):
    """Without labels: masked pictures (SimMIM: Xie et al. 2022), and masked words."""

    seed: Seed
    image: str  # hub id, folder, wheel:NAME or scratch
    text: str  # hub id, folder, wheel:NAME or scratch
    scratch: Scratch
    scratch_image: ScratchImage
    trim_vocabulary: bool  # keep only the tokens that the texts use (and every single character)
    size: Annotated[int, Field(ge=16)]  # pixels a side of what the image network sees
    max_tokens: Annotated[int, Field(ge=8, le=512)]
    words: Words
    epochs: Annotated[float, Field(ge=0)]  # over the pictures; 0 leaves the image network as it is
    mask: Share  # share of a picture's patches that is hidden
    patch: Positive  # pixels a side of a hidden patch
    frozen_blocks: Annotated[int, Field(ge=0)]  # of the image network, the lowest
    keep: Share  # of what the image network learned: 1 takes it whole, less goes back towards the weights before (WiSE-FT: Wortsman et al. 2022)
    batch: Positive
    learning_rate: Rate  # of the image network
    head_learning_rate: Rate  # of the layer that predicts the hidden pixels
    warmup: Share
    weight_decay: Annotated[float, Field(ge=0)]
    crop: Crop  # least and largest share of a picture's area that is seen
    precision: Precision
    checkpoint_minutes: Rate


class Augment(Section):
    """What a photo may look like when it is seen again."""

    crop: Crop  # least and largest share of its area
    colour: Share  # by which brightness, contrast and saturation may change; the hue never does
    erase: Share  # how often a rectangle is blanked (Zhong et al. 2020)


class Finetune(Section):
    """Heads and fusions first, on features computed once; then the upper blocks of both networks, lower ones slower."""

    seed: Seed
    # Which branch or mixture serves; auto: the blend, unless validation shows beyond the interval that another one is better.
    fusion: Literal["auto", "concat", "gated", "cross", "ensemble", "late_average", "blend"]
    width: Annotated[int, Field(ge=8)]  # of the fused features
    attention_heads: Positive  # of the fusion by cross-attention
    drop_text: Share  # how often a text is hidden in training, so that a photo alone will do …
    drop_image: Share  # … and how often a photo
    head_weights: dict[
        str, Annotated[float, Field(ge=0)]
    ]  # of a head's loss; a head that is not listed has 1
    frozen_blocks: Annotated[
        int, Field(ge=0)
    ]  # of the image network, the lowest; with all of them its output is computed once
    frozen_layers: Annotated[
        int, Field(ge=0)
    ]  # of the text network, the lowest; their output is computed once; with 0 the embeddings learn, too
    head_epochs: Annotated[int, Field(ge=0)]  # epochs with only heads and fusions learning
    epochs: Annotated[int, Field(ge=0)]  # at most, after those
    patience: Positive  # epochs in a row after which an earlier one is surely better on validation, and it stops
    batch: Positive
    # Pixels a side of what training sees; random crops show things larger than they are served, a smaller view makes up for it.
    view: Annotated[int, Field(ge=32)]
    learning_rate: Rate  # of the image network's top block
    text_learning_rate: Rate  # of the text network's top layer
    block_decay: Annotated[
        float, Field(gt=0, le=1)
    ]  # each block or layer below learns this much slower
    head_learning_rate: Rate
    warmup: Share
    weight_decay: Annotated[float, Field(ge=0)]
    dropout: Share
    smoothing: Annotated[float, Field(ge=0, lt=1)]  # of the labels (Szegedy et al. 2016)
    imbalance: Literal["none", "weights", "resample", "focal"]
    focal_gamma: Annotated[float, Field(ge=0)]
    ema: Annotated[
        float, Field(ge=0, lt=1)
    ]  # decay per step of the running mean of the weights that is kept; 0 is off
    augment: Augment
    index: Index
    precision: Precision
    checkpoint_minutes: Rate


class Evaluate(Section):
    """The model and its baselines on the frozen test split."""

    seed: Seed
    bootstrap: Annotated[int, Field(ge=100)]  # resamples
    confidence: Annotated[float, Field(gt=0, lt=1)]
    worst: Annotated[int, Field(ge=0)]  # errors shown in the report
    examples: Annotated[int, Field(ge=0)]  # predictions explained in the report


class Params(Section):
    """The block families.tryon of params.yaml."""

    source: str  # starter, toy, a file, a folder, a glob or s3://bucket/prefix
    license: str  # of the source, for the model card; "" takes what the source says of itself
    ingest: Ingest
    pretrain: Pretrain
    finetune: Finetune
    evaluate: Evaluate
    gate: Gate


ABLATIONS = frozenset(
    [
        *("text_only", "image_only", "without_text", "without_image"),
        *("late_average", "concat", "gated", "cross", "ensemble", "blend"),
    ]
)
"""What evaluate compares the model with that is a part of itself, and so no baseline."""

WORDING = Wording(
    figure="accuracy",
    sentence="of {of} garments it names {right} right",
    headlines={
        "finetune": {"score": "validation_macro_f1"},
        "evaluate": {"score": "macro_f1"},
    },
    names={
        "frozen_logreg": "frozen networks + logistic regression",
        "hog_logreg": "outlines and colours (HOG + logistic regression)",
    },
    example=("--text", "red dress, runs small"),
    picture="confusion.png",
    ablations=ABLATIONS,
)
