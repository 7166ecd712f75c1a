"""A text network's vocabulary, cut down to the tokens that the texts at hand use."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from beauty_models.backbones.text import Backbone


def _kept(vocabulary: list[str], used: set[int], special: set[int]) -> list[int]:
    short = (
        i for i, piece in enumerate(vocabulary) if len(piece.removeprefix("##").lstrip("▁")) <= 1
    )
    return sorted(used | special | set(short))


def _renumber(part: Any, new: dict[int, int]) -> Any:
    """Return the post-processor's JSON with its special token ids renumbered (templates: `ids`; BERT's: [token, id])."""
    if isinstance(part, dict):
        return {
            key: [new[i] for i in value] if key == "ids" else _renumber(value, new)
            for key, value in part.items()
        }
    if (
        isinstance(part, list)
        and len(part) == 2
        and isinstance(part[0], str)
        and isinstance(part[1], int)
    ):
        return [part[0], new[part[1]]]
    return [_renumber(value, new) for value in part] if isinstance(part, list) else part


def trim(backbone: Backbone, texts: list[str]) -> Backbone:
    """Return ``backbone`` with only the tokens that ``texts`` use, single characters and special tokens.

    The result gives the same outputs on ``texts``; in other texts a word whose piece is gone is spelled in smaller pieces.
    A multilingual vocabulary is most of a small model: 96 of multilingual-e5-small's 118 million parameters.

    Raises:
        ValueError: the tokenizer is neither WordPiece nor Unigram.
    """
    tokenizer = backbone.tokenizer
    spec = json.loads(tokenizer.backend_tokenizer.to_str())
    kind = spec["model"]["type"]
    if kind not in ("Unigram", "WordPiece"):
        raise ValueError(
            f"trim_vocabulary: {backbone.base} has a {kind} tokenizer, only WordPiece and Unigram can be trimmed; set it to false"
        )
    vocabulary = spec["model"]["vocab"]
    pieces = (
        [p for p, _ in vocabulary] if kind == "Unigram" else sorted(vocabulary, key=vocabulary.get)
    )
    used = {i for ids in tokenizer(texts, verbose=False)["input_ids"] for i in ids}
    special = {token["id"] for token in spec["added_tokens"]} | {tokenizer.unk_token_id}
    kept = _kept(pieces, used, special)
    new = {old: i for i, old in enumerate(kept)}
    spec["model"]["vocab"] = (
        [vocabulary[i] for i in kept] if kind == "Unigram" else {pieces[i]: new[i] for i in kept}
    )
    if kind == "Unigram":
        spec["model"]["unk_id"] = new[spec["model"]["unk_id"]]
    for token in spec["added_tokens"]:
        token["id"] = new[token["id"]]
    spec["post_processor"] = _renumber(spec["post_processor"], new)
    names = {
        f"{name}_token": getattr(tokenizer, f"{name}_token")
        for name in ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
    }
    trimmed = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(spec)),
        model_max_length=tokenizer.model_max_length,
        **{key: value for key, value in names.items() if value},
    )
    return replace(
        backbone, model=_select_rows(backbone.model, kept, trimmed.pad_token_id), tokenizer=trimmed
    )


def _select_rows(model: PreTrainedModel, kept: list[int], padding: int) -> PreTrainedModel:
    rows = torch.tensor(kept)
    embedding, decoder = (
        model.get_input_embeddings().weight.data[rows],
        model.get_output_embeddings().bias,
    )
    bias = decoder.data[rows] if decoder is not None else None
    model.resize_token_embeddings(len(kept))
    model.config.pad_token_id = model.get_input_embeddings().padding_idx = padding
    model.get_input_embeddings().weight.data.copy_(embedding)
    if bias is not None:
        model.get_output_embeddings().bias.data.copy_(bias)
    return model
