"""A text network's vocabulary, cut down to the tokens that the texts at hand use."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from beauty_models.backbones.text import Backbone

SPECIAL_TOKENS = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")


def _is_character(piece: str) -> bool:
    """Return whether ``piece`` has one character, besides WordPiece's ## or Unigram's ▁."""
    return len(piece.removeprefix("##").lstrip("▁")) <= 1


def _renumber(part: Any, new_id: dict[int, int]) -> Any:
    """Return the post-processor's JSON with its special token ids renumbered.

    They stand in two forms: templates have lists ``ids``, BERT's processor has [token, id].
    """
    if isinstance(part, dict):
        renumbered = {}
        for key, value in part.items():
            if key == "ids":
                renumbered[key] = [new_id[i] for i in value]
            else:
                renumbered[key] = _renumber(value, new_id)
        return renumbered
    if not isinstance(part, list):
        return part
    if [type(item) for item in part] == [str, int]:
        token, old_id = part
        return [token, new_id[old_id]]
    return [_renumber(value, new_id) for value in part]


def _pieces(vocabulary: Any, kind: str) -> list[str]:
    """Return the pieces of a tokenizer's JSON in the order of their ids."""
    if kind == "Unigram":
        return [piece for piece, _ in vocabulary]
    return sorted(vocabulary, key=vocabulary.get)


def _trimmed_spec(spec: dict[str, Any], pieces: list[str], kept: list[int]) -> dict[str, Any]:
    """Return ``spec``, a tokenizer's JSON, with only the ids ``kept``, renumbered."""
    new_id = {old: new for new, old in enumerate(kept)}
    model = spec["model"]
    if model["type"] == "Unigram":
        model["vocab"] = [model["vocab"][i] for i in kept]
        model["unk_id"] = new_id[model["unk_id"]]
    else:
        model["vocab"] = {pieces[i]: new_id[i] for i in kept}
    for token in spec["added_tokens"]:
        token["id"] = new_id[token["id"]]
    spec["post_processor"] = _renumber(spec["post_processor"], new_id)
    return spec


def _tokenizer(spec: dict[str, Any], original: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """Return the tokenizer of ``spec`` with the special tokens of ``original``."""
    special = {}
    for name in SPECIAL_TOKENS:
        token = getattr(original, f"{name}_token")
        if token:
            special[f"{name}_token"] = token
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(spec)),
        model_max_length=original.model_max_length,
        **special,
    )


def trim(backbone: Backbone, texts: list[str]) -> Backbone:
    """Return ``backbone`` with only the tokens that ``texts`` use, characters and special tokens.

    The result gives the same outputs on ``texts``; in other texts a word whose piece is gone is
    spelled in smaller pieces. A multilingual vocabulary is most of a small model: 96 of
    multilingual-e5-small's 118 million parameters.

    Raises:
        ValueError: the tokenizer is neither WordPiece nor Unigram.
    """
    tokenizer = backbone.tokenizer
    spec = json.loads(tokenizer.backend_tokenizer.to_str())
    kind = spec["model"]["type"]
    # BPE spells a word by merges, each of which needs its parts: a missing piece breaks the chain.
    if kind not in ("Unigram", "WordPiece"):
        raise ValueError(
            f"trim_vocabulary: {backbone.base} has a {kind} tokenizer, only WordPiece and Unigram "
            "can be trimmed; set it to false"
        )
    pieces = _pieces(spec["model"]["vocab"], kind)
    used = set(chain.from_iterable(tokenizer(texts, verbose=False)["input_ids"]))
    special = {token["id"] for token in spec["added_tokens"]}
    special.add(tokenizer.unk_token_id)
    # Single characters stay, so that any word can still be spelled.
    characters = {i for i, piece in enumerate(pieces) if _is_character(piece)}
    kept = sorted(used | special | characters)
    trimmed = _tokenizer(_trimmed_spec(spec, pieces, kept), tokenizer)
    model = _select_rows(backbone.model, kept, trimmed.pad_token_id)
    return replace(backbone, model=model, tokenizer=trimmed)


def _select_rows(model: PreTrainedModel, kept: list[int], padding: int) -> PreTrainedModel:
    """Return ``model`` with the rows ``kept`` of its input and output embeddings."""
    rows = torch.tensor(kept)
    embedding = model.get_input_embeddings().weight.data[rows]
    decoder_bias = model.get_output_embeddings().bias
    bias = decoder_bias.data[rows] if decoder_bias is not None else None
    # Resizing keeps the first rows, whichever they are; the right ones are written over them. The
    # decoder's weights are tied to the input embeddings and follow, its bias is its own.
    model.resize_token_embeddings(len(kept))
    model.config.pad_token_id = padding
    model.get_input_embeddings().padding_idx = padding
    model.get_input_embeddings().weight.data.copy_(embedding)
    if bias is not None:
        model.get_output_embeddings().bias.data.copy_(bias)
    return model
