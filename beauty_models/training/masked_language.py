"""Masked language modelling (Devlin et al. 2019; whole words: Cui et al. 2021): which tokens are hidden, and the loss of guessing them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import nn

from beauty_models.backbones.text import Backbone
from beauty_models.device import attention, device, precision
from beauty_models.intake.text import words
from beauty_models.params import Precision
from beauty_models.training.batches import Batch, batches, by_length
from beauty_models.training.bert import TOKENS, pad, set_dropout
from beauty_models.training.checkpoint import Checkpoint
from beauty_models.training.loop import train_steps
from beauty_models.training.optimization import Optimization, OptimizerParams, seed_step

IGNORED = -1  # word number of special tokens: never masked


class MaskedLMParams(OptimizerParams, Protocol):
    """The numbers of a masked-language-model training, as a section of params.yaml holds them."""

    mask: float
    epochs: float
    batch: int
    learning_rate: float
    head_learning_rate: float
    dropout: float
    precision: Precision


@dataclass(frozen=True)
class Example:
    """One text: its token ids and, for each token, the number of the word it belongs to."""

    ids: torch.Tensor
    words: torch.Tensor


def _word_of_characters(text: str) -> list[int]:
    """Return, for each character, the number of its word; white space counts to the word before it."""
    numbers: list[int] = []
    for number, word in enumerate(words(text)):
        end = text.index(word, len(numbers)) + len(word)
        numbers += [max(0, number - 1)] * (end - len(word) - len(numbers)) + [number] * len(word)
    return numbers + [numbers[-1] if numbers else 0] * (len(text) - len(numbers))


def examples(
    backbone: Backbone, texts: list[str], max_tokens: int, whole_words: bool
) -> list[Example]:
    """Return ``texts`` as token ids cut to ``max_tokens``; without ``whole_words`` every token is a word of its own."""
    found: list[Example] = []
    encoded = backbone.tokenizer(
        texts,
        truncation=True,
        max_length=max_tokens,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
    )
    for text, ids, offsets, special in zip(
        texts,
        encoded["input_ids"],
        encoded["offset_mapping"],
        encoded["special_tokens_mask"],
        strict=True,
    ):
        place = _word_of_characters(text) if whole_words else []
        tokens = enumerate(zip(offsets, special, strict=True))
        numbers = [
            IGNORED if hidden else place[end - 1] if place and end else i
            for i, ((_, end), hidden) in tokens
        ]
        found.append(Example(torch.tensor(ids), torch.tensor(numbers)))
    return found


def mask_words(
    ids: torch.Tensor, numbers: torch.Tensor, share: float, mask_id: int, vocabulary: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Hide ``share`` of the words of each row: 80 % by the mask token, 10 % by random tokens, 10 % left (Devlin et al. 2019).

    Args:
        ids: token ids [n, length].
        numbers: the word of each token [n, length]; negative where a token must stay.

    Returns:
        The changed ids and the boolean places [n, length] that are to be predicted.
    """
    fate = torch.rand(len(ids), int(numbers.max()) + 1)
    kind = torch.rand_like(fate)
    real = numbers >= 0
    at = numbers.clamp(min=0)
    chosen = (fate.gather(1, at) < share) & real
    kind = kind.gather(1, at)
    changed = torch.where(chosen & (kind < 0.8), mask_id, ids)
    random = torch.randint_like(ids, vocabulary)
    return torch.where(chosen & (kind >= 0.8) & (kind < 0.9), random, changed), chosen


def masked_loss(backbone: Backbone, rows: list[Example], share: float) -> tuple[torch.Tensor, int]:
    """Return the summed cross-entropy of the hidden tokens and their number; logits are computed at those places only."""
    model, tokenizer = backbone.model, backbone.tokenizer
    numbers = nn.utils.rnn.pad_sequence(
        [row.words for row in rows], batch_first=True, padding_value=IGNORED
    )
    ids = nn.utils.rnn.pad_sequence(
        [row.ids for row in rows], batch_first=True, padding_value=tokenizer.pad_token_id
    )
    changed, chosen = mask_words(
        ids, numbers, share, tokenizer.mask_token_id, model.config.vocab_size
    )
    _, mask = pad([row.ids for row in rows])
    hidden = model.base_model(input_ids=changed.to(device()), attention_mask=mask).last_hidden_state
    head = model.cls if hasattr(model, "cls") else model.lm_head
    logits = head(hidden[chosen.to(device())])
    return nn.functional.cross_entropy(
        logits.float(), ids[chosen].to(device()), reduction="sum"
    ), int(chosen.sum())


@torch.inference_mode()
def held_out_loss(backbone: Backbone, rows: list[Example], params: MaskedLMParams) -> float:
    """Return the mean cross-entropy in nats per hidden token, on the same masks every time."""
    backbone.model.eval()
    backbone.model.set_attn_implementation(attention(training=False))
    total, count = 0.0, 0
    lengths = np.array([len(row.ids) for row in rows])
    with precision(params.precision):
        for step, batch in enumerate(by_length(lengths, TOKENS // int(lengths.max()))):
            seed_step(params.seed, -1 - step)
            loss, hidden = masked_loss(backbone, [rows[i] for i in batch], params.mask)
            total, count = total + loss.item(), count + hidden
    return total / max(count, 1)


def train(
    backbone: Backbone, rows: list[Example], params: MaskedLMParams, checkpoint: Checkpoint
) -> list[dict[str, float]]:
    """Train in place, from the last checkpoint on; return the mean training loss of each tenth of the run."""
    model = backbone.model
    lengths = np.array([len(row.ids) for row in rows])
    per_epoch = -(-len(rows) // params.batch)
    body = list(model.base_model.parameters())
    known = {id(p) for p in body}
    groups = [
        {"params": body, "lr": params.learning_rate},
        {
            "params": [p for p in model.parameters() if id(p) not in known],
            "lr": params.head_learning_rate,
        },
    ]
    model.train()
    model.set_attn_implementation(attention(training=True))
    set_dropout(model, params.dropout)

    @lru_cache(1)
    def order(epoch: int) -> list[Batch]:
        return batches(lengths, params.batch, params.seed, epoch)

    def loss(step: int) -> torch.Tensor | None:
        with precision(params.precision):
            total, hidden = masked_loss(
                backbone, [rows[i] for i in order(step // per_epoch)[step % per_epoch]], params.mask
            )
        return total / hidden if hidden else None

    return train_steps(
        Optimization(model, groups, round(per_epoch * params.epochs), params),
        loss,
        checkpoint,
        "pretrain",
    )
