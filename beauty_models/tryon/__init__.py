"""tryon: which garment suits this text and this photo? It classifies and retrieves, draws nothing.

It is no virtual try-on in the field's sense: it does not draw a garment on a person. A BERT reads
what a shopper writes, an image network sees the photo, and three fusions of the two say which class
of garment is meant and find garments on sale that suit.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from beauty_models.families import Wording
from beauty_models.params import (
    Crop,
    Gate,
    Index,
    MaskedLMParams,
    Names,
    OptimizerParams,
    Pictures,
    Positive,
    Rate,
    Reading,
    Scratch,
    Section,
    Seed,
    Share,
    Split,
)

# What a table may hold besides the labels.
FIELDS = ("id", "product", "name", "text", "image", "attributes", "variations")


class Ingest(Section):
    """From tables and folders of pictures to labelled examples of a text, a picture or both."""

    seed: Seed
    reading: Reading
    # Field or head → the column names it may have; of `text` every one counts, of the others the
    # first that is there.
    columns: dict[str, Names]
    # What is learned: head → label → its values; {} takes them as they are.
    heads: Annotated[dict[str, dict[str, list[str]]], Field(min_length=1)]
    # A value of the first head that begins with this folder is a list of paths, as Magento exports
    # them. The last folder of the deepest one is the label, …
    category_root: str
    # … paths through these folders do not count.
    category_aside: list[str]
    # Pattern of the tables whose pictures are garments on sale; "" takes every picture.
    catalogue: str
    pictures: Pictures
    min_examples: Positive  # a label with fewer examples is not learned
    max_rejected: Share  # the stage fails when more of the rows than this are rejected
    limit: Annotated[int, Field(ge=0)]  # examples at most, the same ones every time; 0 takes all
    split: Split

    @model_validator(mode="after")
    def _columns_are_known(self) -> Self:
        strange = set(self.columns) ^ {*FIELDS, *self.heads}
        if strange:
            raise ValueError(
                f"columns must name {', '.join(FIELDS)} and the heads {', '.join(self.heads)}; "
                f"check {', '.join(sorted(strange))}"
            )
        return self


class ScratchImage(Section):
    """The vision transformer that `image: scratch` builds."""

    patch: Positive
    layers: Positive
    hidden: Annotated[int, Field(ge=8)]
    heads: Positive


class MaskedLanguageModel(MaskedLMParams):
    """Masked language modelling on the texts."""

    min_texts: Positive  # with fewer distinct texts the text network stays as it is


class Pretrain(OptimizerParams):
    """Without labels: masked pictures (SimMIM: Xie et al. 2022), and masked words."""

    RENAMED: ClassVar[dict[str, str]] = {
        "words": "masked_language_model",
        "keep": "wiseft_alpha",
        "crop": "random_resized_crop",
    }

    image: str  # hub id, folder, wheel:NAME or scratch
    text: str  # hub id, folder, wheel:NAME or scratch
    scratch: Scratch  # the BERT that `text: scratch` builds
    scratch_image: ScratchImage
    trim_vocabulary: bool  # keep only the tokens that the texts use (and every single character)
    size: Annotated[int, Field(ge=16)]  # pixels a side of what the image network sees
    max_tokens: Annotated[int, Field(ge=8, le=512)]
    masked_language_model: MaskedLanguageModel
    epochs: Annotated[float, Field(ge=0)]  # over the pictures; 0 leaves the image network as it is
    mask: Share  # share of a picture's patches that is hidden
    patch: Positive  # pixels a side of a hidden patch
    frozen_blocks: Annotated[int, Field(ge=0)]  # of the image network, the lowest
    # How much of what the image network learned is kept: 1 takes it whole, less goes back towards
    # the weights before (WiSE-FT: Wortsman et al. 2022).
    wiseft_alpha: Share
    batch: Positive
    learning_rate: Rate  # of the image network
    head_learning_rate: Rate  # of the layer that predicts the hidden pixels
    random_resized_crop: Crop  # least and largest share of a picture's area that is seen
    checkpoint_minutes: Rate


class Augment(Section):
    """What a photo may look like when it is seen again."""

    RENAMED: ClassVar[dict[str, str]] = {
        "crop": "random_resized_crop",
        "colour": "color_jitter",
        "erase": "random_erasing",
    }

    random_resized_crop: Crop  # least and largest share of its area
    # By which brightness, contrast and saturation may change; the hue never does: color is learned.
    color_jitter: Share
    random_erasing: Share  # how often a rectangle is blanked (Zhong et al. 2020)


class Finetune(OptimizerParams):
    """Heads and fusions first, on features computed once; then the upper blocks of both networks.

    Lower blocks learn more slowly.
    """

    RENAMED: ClassVar[dict[str, str]] = {
        "view": "view_size",
        "block_decay": "layer_decay",
        "smoothing": "label_smoothing",
    }

    # Which branch or mixture serves. auto: the blend, unless validation shows beyond the interval
    # that another one is better.
    fusion: Literal["auto", "concat", "gated", "cross", "ensemble", "late_average", "blend"]
    width: Annotated[int, Field(ge=8)]  # of the fused features
    attention_heads: Positive  # of the fusion by cross-attention
    drop_text: Share  # how often a text is hidden in training, so that a photo alone will do …
    drop_image: Share  # … and how often a photo
    # Of a head's loss; a head that is not listed has 1.
    head_weights: dict[str, Annotated[float, Field(ge=0)]]
    # Of the image network, the lowest; with all of them its output is computed once.
    frozen_blocks: Annotated[int, Field(ge=0)]
    # Of the text network, the lowest; their output is computed once. With 0 the embeddings learn.
    frozen_layers: Annotated[int, Field(ge=0)]
    head_epochs: Annotated[int, Field(ge=0)]  # epochs with only heads and fusions learning
    epochs: Annotated[int, Field(ge=0)]  # at most, after those
    # Training stops after so many epochs in a row that are surely worse on validation than an
    # earlier one.
    patience: Positive
    batch: Positive
    # Pixels a side of what training sees. Random crops show things larger than they are served, a
    # smaller view makes up for it (Touvron et al. 2019).
    view_size: Annotated[int, Field(ge=32)]
    learning_rate: Rate  # of the image network's top block
    text_learning_rate: Rate  # of the text network's top layer
    # Each block or layer learns at so many times the rate of the one above it.
    layer_decay: Annotated[float, Field(gt=0, le=1)]
    head_learning_rate: Rate
    dropout: Share
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]  # Szegedy et al. 2016
    imbalance: Literal["none", "weights", "resample", "focal"]
    focal_gamma: Annotated[float, Field(ge=0)]
    # Decay per step of the running mean of the weights that is kept; 0 is off.
    ema: Annotated[float, Field(ge=0, lt=1)]
    augment: Augment
    index: Index
    checkpoint_minutes: Rate


class Evaluate(Section):
    """The model and its baselines on the frozen test split."""

    RENAMED: ClassVar[dict[str, str]] = {"worst": "listed_errors"}

    seed: Seed
    bootstrap: Annotated[int, Field(ge=100)]  # resamples
    confidence: Annotated[float, Field(gt=0, lt=1)]
    listed_errors: Annotated[int, Field(ge=0)]  # errors shown in the report
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
