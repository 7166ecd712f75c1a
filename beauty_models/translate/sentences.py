"""Sentence embeddings across languages: a pretrained encoder, and a projection learned on twins.

The encoder stays as it is: to tune it takes minutes that a linear map on its vectors does not need
(docs/decisions/2026-11-28-translate-matching.md). ``AutoModel`` and ``AutoTokenizer`` open a saved
folder; ``projection.safetensors`` lies beside the encoder's files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import cross_entropy, normalize
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from beauty_models import device as devices
from beauty_models import progress
from beauty_models.backbones import text
from beauty_models.backbones.loading import from_pretrained, network
from beauty_models.backbones.vocabulary import trim
from beauty_models.files import read_json, write_json
from beauty_models.training.batches import Lengths
from beauty_models.training.bert import batches_by_tokens, mean_pool, pad, tokenize
from beauty_models.training.finite import require_finite
from beauty_models.translate import Matching

Floats = NDArray[np.float32]
SETTINGS = "sentences.json"
PROJECTION = "projection.safetensors"
CARD = "backbone.json"
PREFIX = "query: "  # the E5 models were trained with it on both sides (Wang et al. 2022)
TOKENS = 4096  # of a batch, padding included


@dataclass
class SentenceEncoder:
    """An encoder whose mean states, projected, are alike where texts say the same."""

    encoder: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    projection: nn.Linear
    card: dict[str, Any]  # what the encoder is, and its licence
    prefix: str  # that stands before every text
    max_tokens: int  # read of a text; the middle of a longer one is left out

    @classmethod
    def load(cls, folder: Path) -> SentenceEncoder:
        """Return the encoder saved in ``folder``.

        Raises:
            ValueError: the folder is not a saved sentence encoder.
        """
        settings = read_json(folder / SETTINGS)
        encoder = network(AutoModel, folder, add_pooling_layer=False)
        projection = _identity(encoder.config.hidden_size)
        projection.load_state_dict(load_file(folder / PROJECTION))
        tokenizer = from_pretrained(AutoTokenizer, folder, use_fast=True)
        card = read_json(folder / CARD)
        return cls(
            encoder.to(devices.device()),
            tokenizer,
            projection,
            card,
            settings["prefix"],
            settings["max_tokens"],
        )

    def save(self, folder: Path) -> None:
        """Write everything into ``folder``."""
        self.encoder.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        save_file(self.projection.state_dict(), folder / PROJECTION)
        write_json(folder / CARD, self.card)
        write_json(folder / SETTINGS, {"prefix": self.prefix, "max_tokens": self.max_tokens})

    @torch.inference_mode()
    def states(self, texts: Sequence[str], title: str = "") -> torch.Tensor:
        """Return the encoder's mean states [n, width] of ``texts``, of unit length, float32.

        ``title`` is that of a progress bar; none is shown without.
        """
        rows = tokenize(self.tokenizer, [self.prefix + text for text in texts], self.max_tokens)
        encoder: Any = self.encoder.eval()
        encoder.set_attn_implementation(devices.attention(training=False))
        means = torch.zeros(len(rows), encoder.config.hidden_size)
        lengths: Lengths = np.array([len(row) for row in rows], np.int64)
        with progress.bar(title, len(rows)) as bar:
            for batch in batches_by_tokens(lengths, TOKENS):
                ids, mask = pad([rows[row] for row in batch], self.tokenizer.pad_token_id)
                hidden = encoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state
                means[batch] = mean_pool(hidden, mask).cpu()
                bar.advance(len(batch))
        return normalize(means, dim=-1)

    def embed(self, texts: Sequence[str], title: str = "") -> Floats:
        """Return embeddings [n, width] of unit length: alike where texts say the same."""
        states = self.states(texts, title)
        # small and precise, whatever the encoder runs in
        with torch.inference_mode(), devices.precision("float32"):
            vectors: Floats = normalize(self.projection(states), dim=-1).numpy()
        return vectors


def _identity(width: int) -> nn.Linear:
    """Return a projection that changes nothing yet."""
    projection = nn.Linear(width, width)
    with torch.no_grad():
        projection.weight.copy_(torch.eye(width))
        projection.bias.zero_()
    return projection


def info_nce(
    ours: torch.Tensor, theirs: torch.Tensor, alike: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Return the symmetric InfoNCE (van den Oord et al. 2018) of twins.

    Args:
        ours: vectors [n, width] of unit length.
        theirs: those of the twins.
        alike: where [n, n] two pairs share a text and are no negatives of each other.
        temperature: of the softmax.
    """
    logits = (ours @ theirs.T / temperature).masked_fill(alike, -torch.inf)
    labels = torch.arange(len(logits))
    return (cross_entropy(logits, labels) + cross_entropy(logits.T, labels)) / 2


def learn_projection(
    ours: torch.Tensor, theirs: torch.Tensor, numbers: torch.Tensor, params: Matching, seed: int
) -> nn.Linear:
    """Return a projection under which the states of twins are nearest to each other.

    It begins as the identity on centred states: all states of an encoder share a large part that
    tells nothing apart (Mu & Viswanath 2018).

    Args:
        ours: states [n, width].
        theirs: those of their twins.
        numbers: of the two texts [n, 2]: equal where the texts are.
        params: how it learns.
        seed: of the order of the pairs.
    """
    projection = _identity(ours.shape[1])
    with torch.no_grad():
        projection.bias.copy_(-torch.cat([ours, theirs]).mean(0))
    optimizer = torch.optim.AdamW(
        projection.parameters(), lr=params.learning_rate, weight_decay=params.weight_decay
    )
    generator = torch.Generator().manual_seed(seed)
    order = [
        batch
        for _ in range(params.epochs)
        for batch in torch.randperm(len(ours), generator=generator).split(params.batch)
    ]
    with devices.precision("float32"):
        for batch in order:
            same = (numbers[batch, None] == numbers[None, batch]).any(-1)
            same.fill_diagonal_(False)
            loss = info_nce(
                normalize(projection(ours[batch]), dim=-1),
                normalize(projection(theirs[batch]), dim=-1),
                same,
                params.temperature,
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    require_finite(projection.weight, "finetune: the projection of the embeddings")
    return projection.requires_grad_(False)


def drawn_twins(
    units: pd.DataFrame, languages: Sequence[str], count: int, seed: int
) -> list[tuple[str, str]]:
    """Return a pair of texts, in two languages drawn for it, of ``count`` units at most."""
    random = np.random.default_rng(seed)
    twins = []
    table = units[list(languages)].to_numpy(object)
    for row in random.permutation(len(table)):
        said = [text for text in table[row] if isinstance(text, str) and text]
        if len(said) > 1:
            first, second = random.choice(len(said), 2, replace=False)
            twins.append((said[first], said[second]))
        if len(twins) == count:
            break
    return twins


def learn(
    units: pd.DataFrame, languages: Sequence[str], params: Matching, seed: int
) -> SentenceEncoder:
    """Return the encoder that ``params`` name, with a projection learned on ``units``.

    Raises:
        ValueError: the encoder is not there, or no unit is said in two languages.
    """
    twins = drawn_twins(units, languages, params.units, seed)
    if len(twins) < 2:
        raise ValueError("matching: no two units are said in two languages; deliver more units")
    backbone = text.load(params.base)
    if params.trim_vocabulary:
        texts = [text for name in languages for text in units[name] if isinstance(text, str)]
        backbone = trim(backbone, texts)
    encoder: Any = backbone.model.base_model
    learned = SentenceEncoder(
        encoder.to(devices.device()),
        backbone.tokenizer,
        _identity(encoder.config.hidden_size),
        backbone.card(),
        PREFIX if "e5" in params.base.casefold() else "",
        params.max_tokens,
    )
    flat = [text for twin in twins for text in twin]
    with devices.precision(params.precision):
        states = learned.states(flat, "finetune: embeddings").clone()
    number_of: dict[str, int] = {}
    numbers = torch.tensor([number_of.setdefault(text, len(number_of)) for text in flat])
    learned.projection = learn_projection(
        states[0::2], states[1::2], numbers.reshape(-1, 2), params, seed
    )
    return learned
