"""recommend: which products go with this picture or this sentence?

A CLIP of a shop's own photos and texts.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from beauty_models.families import Wording
from beauty_models.params import (
    Crop,
    Gate,
    Index,
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

Count = Annotated[int, Field(ge=0)]
Weight = Annotated[float, Field(ge=0)]  # beside other weights; 0 leaves the thing out
Pixels = Annotated[int, Field(ge=16)]


class Columns(Section):
    """For each field the column names it may have in a file; capitals do not count.

    The first one that is there is taken. Of name, description, category, color and material all
    are: a table may have them in several languages, such as name and name_zh.
    """

    sku: Names
    parent: Names
    name: Names
    description: Names
    category: Names
    color: Names
    material: Names
    price: Names
    image: Names
    attributes: Names
    variations: Names
    linked: Names
    shopper: Names
    date: Names
    query: Names


class ReadingOfShops(Reading):
    """As `Reading`, and how prices are read."""

    # What 1,299 and 1.299 mean: decimal_point says 1299 and 1.299, decimal_comma 1.299 and 1299
    prices: Literal["auto", "decimal_point", "decimal_comma"]


class Ingest(Section):
    """From product tables and picture files to items with captions, split by product."""

    seed: Seed
    reading: ReadingOfShops
    columns: Columns
    pictures: Pictures
    sentences: Count  # of a description, each becomes a caption; the rest is left out
    max_characters: Annotated[int, Field(ge=10)]  # of a caption
    max_rejected: Share  # the stage fails when more of the rows than this are rejected
    limit: Count  # products at most, the same ones every time; 0 takes all
    split: Split


class Pretrain(OptimizerParams):
    """Learning on the pictures alone: finding the other view (SimCLR: Chen et al. 2020) and colors.

    Only the upper blocks of the image tower learn.
    """

    RENAMED: ClassVar[dict[str, str]] = {
        "crop": "random_resized_crop",
        "colour": "color_jitter",
        "dye": "hue_shift_probability",
        "colour_weight": "color_prediction_weight",
        "view": "view_size",
        "keep": "wiseft_alpha",
    }

    # of a whole dual encoder: NAME/TAG, hf-hub:OWNER/NAME or local-dir:FOLDER;
    # "" builds one of the two towers below
    open_clip: str
    image: str  # wheel:efficientnet-lite0, or timm:NAME for an untrained tower
    text: str  # hub id, folder, wheel:NAME or scratch
    scratch: Scratch
    size: Pixels  # a side of the square that the image tower of the two towers sees
    dimension: Annotated[int, Field(ge=2)]  # of the space the two towers share
    max_tokens: Annotated[int, Field(ge=8, le=512)]
    # the text tower keeps its most frequent tokens, this many, and those of the texts; 0 keeps all
    vocabulary: Count
    epochs: Annotated[float, Field(ge=0)]  # 0 leaves the image tower as it is
    batch: Annotated[int, Field(ge=2)]  # pictures; each is seen in two views
    frozen_blocks: Count  # the lowest blocks of the image tower stay as they are
    learning_rate: Rate  # of the tower
    head_learning_rate: Rate  # of the two heads that the losses need and that are thrown away
    temperature: Rate
    projector: Positive  # width of the head that the contrastive loss is taken from
    random_resized_crop: Crop  # least and largest share of the picture's area in a view
    # by which brightness, contrast and saturation differ between the views; the hue never does
    color_jitter: Share
    # of the pictures that get another hue before their views are taken, the same in both
    hue_shift_probability: Share
    color_prediction_weight: Weight  # of telling a view's colors, beside finding the other view
    # a side of a view; fewer than `size` is faster, where the tower takes any size
    view_size: Pixels
    # how much of what was learned stays: 1 takes it whole, less goes back towards the weights
    # before (WiSE-FT: Wortsman et al. 2022)
    wiseft_alpha: Share
    checkpoint_minutes: Rate


class Captions(Section):
    """How often each kind of caption is drawn, in proportion to the others.

    A name comes with the color or without.
    """

    name: Weight
    description: Weight
    attributes: Weight
    category: Weight


class Finetune(OptimizerParams):
    """Both towers learn one space from pairs of picture and caption.

    CLIP: Radford et al. 2021; SigLIP: Zhai et al. 2023.
    """

    RENAMED: ClassVar[dict[str, str]] = {
        "crop": "random_resized_crop",
        "colour": "color_jitter",
        "canonical": "cca_penalties",
        "own": "image_only_dimensions",
        "palette": "color_histogram_weight",
        "chunk": "grad_cache_chunk",
    }

    # the image tower stays as it is and is computed once (LiT: Zhai et al. 2022);
    # its projection learns
    locked: bool
    frozen_blocks: Count  # when it is not locked: its lowest blocks that stay as they are
    views: Positive  # of each picture, computed once when locked: the whole one, then augmented
    random_resized_crop: Crop
    color_jitter: Share
    # the lowest layers of the text tower stay as they are; their output is computed once
    frozen_layers: Count
    # the projections start from a canonical correlation analysis with the best of these penalties;
    # [] from chance
    cca_penalties: list[Rate]
    image_only_dimensions: Count  # at that start only pictures use them: for what no caption says
    # of a picture's color histogram beside the tower's features at that start;
    # 0 leaves colors to the tower
    color_histogram_weight: Weight
    captions: Captions
    loss: Literal["clip", "siglip"]
    temperature: Weight  # at the start, it is learned; 0 takes that of the dual encoder
    epochs: Count  # at most; 0 stops after the closed-form start
    min_products: Count  # with fewer to train on there are no epochs
    min_steps: Count  # of all epochs; an epoch passes several times over data too small for that
    patience: Positive  # epochs without better retrieval on the validation split before it stops
    batch: Annotated[int, Field(ge=2)]
    # pairs that go through the towers at once; a larger batch is cut into chunks
    # (GradCache: Gao et al. 2021)
    grad_cache_chunk: Positive
    learning_rate: Rate  # of the towers
    head_learning_rate: Rate  # of the projections and the temperature
    dropout: Share
    # decay per step of the running mean of the weights that is kept; 0 is off
    ema: Annotated[float, Field(ge=0, lt=1)]
    image_share: Share  # of the picture in a product's embedding, the rest is its text's
    index: Index
    checkpoint_minutes: Rate


class Evaluate(Section):
    """The model and its baselines on the frozen test split."""

    RENAMED: ClassVar[dict[str, str]] = {"board": "board_queries", "shown": "results_per_query"}

    seed: Seed
    bootstrap: Annotated[int, Field(ge=100)]  # resamples
    confidence: Annotated[float, Field(gt=0, lt=1)]
    board_queries: Count  # lines of the retrieval board
    results_per_query: Positive  # photos on each line


class Params(Section):
    """The block families.recommend of params.yaml."""

    source: str  # starter, toy, a file, a folder, a glob or s3://bucket/prefix
    license: str  # of the source, for the model card; "" takes what the source says of itself
    ingest: Ingest
    pretrain: Pretrain
    finetune: Finetune
    evaluate: Evaluate
    gate: Gate


WORDING = Wording(
    figure="text_image_recall_at_1",
    sentence="for {right} of {of} sentences it puts a right photo first",
    headlines={
        "ingest": {"n": "items"},
        "finetune": {"score": "validation_mrr_at_10"},
        "evaluate": {"score": "text_image_mrr_at_10"},
    },
    names={
        "text_image_recall_at_5": "recall@5, a photo for a sentence",
        "text_image_mrr_at_10": "MRR@10, a photo for a sentence",
        "colour_histogram": "colours alone",
        "hog": "outlines (HOG)",
        "popularity": "what sells best",
        "random": "a random order",
        "ridge": "ridge regression on frozen features",
        "tfidf": "the nearest product's text (TF-IDF)",
        "untuned": "the network before fine-tuning",
    },
    example=("--text", "red dress"),
    picture="board.png",
)
