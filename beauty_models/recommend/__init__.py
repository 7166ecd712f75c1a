"""recommend: which products go with this picture or this sentence? A CLIP of a shop's own photos and texts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

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


class Columns(Section):
    """For each field the column names it may have in a file; capitals do not count.

    The first one that is there is taken. Of name, description, category, color and material all are: a table may have them
    in several languages, such as name and name_zh.
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


class Ingest(Section):
    """From product tables and picture files to items with captions, split by product."""

    seed: Seed
    columns: Columns
    pictures: Pictures
    sentences: Annotated[
        int, Field(ge=0)
    ]  # of a description, each becomes a caption; the rest is left out
    max_characters: Annotated[int, Field(ge=10)]  # of a caption
    max_rejected: Share  # the stage fails when more of the rows than this are rejected
    limit: Annotated[int, Field(ge=0)]  # products at most, the same ones every time; 0 takes all
    split: Split


class Pretrain(Section):
    """Learning on the pictures alone: finding the other view (SimCLR: Chen et al. 2020) and telling colours; only upper blocks learn."""

    seed: Seed
    open_clip: str  # NAME/TAG, hf-hub:OWNER/NAME or local-dir:FOLDER of a whole dual encoder; "" builds one of the two towers below
    image: str  # wheel:efficientnet-lite0, or timm:NAME for an untrained tower
    text: str  # hub id, folder, wheel:NAME or scratch
    scratch: Scratch
    size: Annotated[
        int, Field(ge=16)
    ]  # pixels, of the square the image tower of the two towers sees
    dimension: Annotated[int, Field(ge=2)]  # of the space the two towers share
    max_tokens: Annotated[int, Field(ge=8, le=512)]
    vocabulary: Annotated[
        int, Field(ge=0)
    ]  # the text tower keeps its most frequent tokens, this many, and those of the texts; 0 keeps all
    epochs: Annotated[float, Field(ge=0)]  # 0 leaves the image tower as it is
    batch: Annotated[int, Field(ge=2)]  # pictures; each is seen in two views
    frozen_blocks: Annotated[
        int, Field(ge=0)
    ]  # the lowest blocks of the image tower stay as they are
    learning_rate: Rate  # of the tower
    head_learning_rate: Rate  # of what the losses are taken from and that is thrown away
    warmup: Share  # share of the steps
    weight_decay: Annotated[float, Field(ge=0)]
    temperature: Rate
    projector: Positive  # width of the network behind the tower that the loss is taken from and that is thrown away
    crop: Crop  # least and largest share of the picture's area in a view
    colour: Share  # by which brightness, contrast and saturation differ between the views; the hue never does
    dye: (
        Share  # of the pictures that get another hue before their views are taken, the same in both
    )
    colour_weight: Annotated[
        float, Field(ge=0)
    ]  # of telling a view's colours, beside finding the other view
    view: Annotated[
        int, Field(ge=16)
    ]  # pixels of a view; fewer than `size` is faster, where the tower takes any size
    keep: Share  # of what was learned: 1 takes it whole, less goes back towards the weights before (WiSE-FT: Wortsman et al. 2022)
    precision: Precision
    checkpoint_minutes: Rate


class Captions(Section):
    """How often each kind of caption is drawn, in proportion to the others; the name comes with the colour or without."""

    name: Annotated[float, Field(ge=0)]
    description: Annotated[float, Field(ge=0)]
    attributes: Annotated[float, Field(ge=0)]
    category: Annotated[float, Field(ge=0)]


class Finetune(Section):
    """Both towers learn one space from pairs of picture and caption (CLIP: Radford et al. 2021; SigLIP: Zhai et al. 2023)."""

    seed: Seed
    locked: bool  # the image tower stays as it is and is computed once (LiT: Zhai et al. 2022); its projection learns
    frozen_blocks: Annotated[
        int, Field(ge=0)
    ]  # when it is not locked: the lowest blocks of the image tower that stay as they are
    views: (
        Positive  # of each picture, computed once when locked: the whole one, then augmented ones
    )
    crop: Crop
    colour: Share
    frozen_layers: Annotated[
        int, Field(ge=0)
    ]  # the lowest layers of the text tower stay as they are; their output is computed once
    canonical: list[
        Rate
    ]  # the projections start from a canonical correlation analysis with the best of these penalties; [] from chance
    own: Annotated[
        int, Field(ge=0)
    ]  # dimensions that only pictures use at that start: what no caption says
    palette: Annotated[
        float, Field(ge=0)
    ]  # weight of a picture's colours beside the tower's features at that start; 0 leaves colours to the tower
    captions: Captions
    loss: Literal["clip", "siglip"]
    temperature: Annotated[
        float, Field(ge=0)
    ]  # at the start, it is learned; 0 takes that of the dual encoder
    epochs: Annotated[int, Field(ge=0)]  # at most; 0 stops after the ridge regression
    min_products: Annotated[int, Field(ge=0)]  # with fewer to train on there are no epochs
    min_steps: Annotated[
        int, Field(ge=0)
    ]  # of all epochs; an epoch passes several times over data too small for that
    patience: Positive  # epochs without better retrieval on the validation split before it stops
    batch: Annotated[int, Field(ge=2)]
    chunk: Positive  # pairs that go through the towers at once; a larger batch is cut into chunks (GradCache: Gao et al. 2021)
    learning_rate: Rate  # of the towers
    head_learning_rate: Rate  # of the projections and the temperature
    warmup: Share
    weight_decay: Annotated[float, Field(ge=0)]
    dropout: Share
    ema: Annotated[
        float, Field(ge=0, lt=1)
    ]  # decay per step of the running mean of the weights that is kept; 0 is off
    image_share: Share  # of the picture in a product's embedding, the rest is its text's
    index: Index
    precision: Precision
    checkpoint_minutes: Rate


class Evaluate(Section):
    """The model and its baselines on the frozen test split."""

    seed: Seed
    bootstrap: Annotated[int, Field(ge=100)]  # resamples
    confidence: Annotated[float, Field(gt=0, lt=1)]
    board: Annotated[int, Field(ge=0)]  # queries on each retrieval board
    shown: Positive  # results of each query on a board


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
