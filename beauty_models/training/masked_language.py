"""Masked language modelling: which tokens are hidden, and the loss of guessing them.

Devlin et al. 2019; whole words: Cui et al. 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from beauty_models.backbones.text import Backbone
from beauty_models.device import attention, device, precision
from beauty_models.intake.text import words
from beauty_models.params import MaskedLMParams
from beauty_models.training.batches import Batch, batches_by_length, length_bucketed_batches
from beauty_models.training.bert import TOKENS, pad, set_dropout
from beauty_models.training.checkpoint import Checkpoint
from beauty_models.training.loop import train_steps
from beauty_models.training.optimization import Optimization, seed_step

NEVER_MASKED = -1  # word number of special tokens


@dataclass(frozen=True)
class Example:
    """One text: its token ids and, for each token, the number of the word it belongs to."""

    ids: torch.Tensor
    words: torch.Tensor


def _word_numbers(text: str) -> list[int]:
    """Return, for each character, the number of its word; white space counts to the word before."""
    numbers: list[int] = []
    for number, word in enumerate(words(text)):
        start = text.index(word, len(numbers))
        gap = start - len(numbers)
        numbers += [max(0, number - 1)] * gap
        numbers += [number] * len(word)
    last = numbers[-1] if numbers else 0
    rest = len(text) - len(numbers)
    return numbers + [last] * rest


def _token_words(
    offsets: list[tuple[int, int]], special: list[int], word_numbers: list[int]
) -> list[int]:
    """Return the word number of each token.

    Args:
        offsets: where each token begins and ends in its text.
        special: 1 for tokens that the tokenizer added.
        word_numbers: of the characters; empty where every token is a word of its own.
    """
    numbers = []
    for token, ((_, end), added) in enumerate(zip(offsets, special, strict=True)):
        if added:
            numbers.append(NEVER_MASKED)
        elif word_numbers and end:
            # the last character: a piece may begin with the white space before its word
            numbers.append(word_numbers[end - 1])
        else:
            numbers.append(token)
    return numbers


def examples(
    backbone: Backbone, texts: list[str], max_tokens: int, whole_words: bool
) -> list[Example]:
    """Return ``texts`` as token ids cut to ``max_tokens``.

    Without ``whole_words`` every token is a word of its own.
    """
    encoded = backbone.tokenizer(
        texts,
        truncation=True,
        max_length=max_tokens,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
    )
    rows = zip(
        texts,
        encoded["input_ids"],
        encoded["offset_mapping"],
        encoded["special_tokens_mask"],
        strict=True,
    )
    tokenized = []
    for text, ids, offsets, special in rows:
        word_numbers = _word_numbers(text) if whole_words else []
        numbers = _token_words(offsets, special, word_numbers)
        tokenized.append(Example(torch.tensor(ids), torch.tensor(numbers)))
    return tokenized


def mask_words(
    ids: torch.Tensor, numbers: torch.Tensor, share: float, mask_id: int, vocabulary: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Hide ``share`` of the words of each row.

    80 % of them by the mask token, 10 % by random tokens, and 10 % are left (Devlin et al. 2019).

    Args:
        ids: token ids [n, length].
        numbers: the word of each token [n, length]; negative where a token must stay.

    Returns:
        The changed ids and the boolean places [n, length] that are to be predicted.
    """
    # drawn per word, and read by all of its tokens: they are hidden together and in one way
    hidden_draw = torch.rand(len(ids), int(numbers.max()) + 1)
    way_draw = torch.rand_like(hidden_draw)
    words_of_tokens = numbers.clamp(min=0)
    chosen = (hidden_draw.gather(1, words_of_tokens) < share) & (numbers >= 0)
    way = way_draw.gather(1, words_of_tokens)
    masked = chosen & (way < 0.8)
    replaced = chosen & (way >= 0.8) & (way < 0.9)
    changed = torch.where(masked, mask_id, ids)
    random = torch.randint_like(ids, vocabulary)
    return torch.where(replaced, random, changed), chosen


def masked_loss(backbone: Backbone, rows: list[Example], share: float) -> tuple[torch.Tensor, int]:
    """Return the summed cross-entropy of the hidden tokens, and their number."""
    model = backbone.model
    tokenizer = backbone.tokenizer
    token_ids = [row.ids for row in rows]
    numbers = pad_sequence(
        [row.words for row in rows], batch_first=True, padding_value=NEVER_MASKED
    )
    ids = pad_sequence(token_ids, batch_first=True, padding_value=tokenizer.pad_token_id)
    changed, chosen = mask_words(
        ids, numbers, share, tokenizer.mask_token_id, model.config.vocab_size
    )
    _, mask = pad(token_ids)
    hidden = model.base_model(input_ids=changed.to(device()), attention_mask=mask).last_hidden_state
    # BERT's head is `cls`, RoBERTa's `lm_head`
    head = model.cls if hasattr(model, "cls") else model.lm_head
    # at the hidden places only: the head is as wide as the vocabulary
    logits = head(hidden[chosen.to(device())])
    loss = nn.functional.cross_entropy(logits.float(), ids[chosen].to(device()), reduction="sum")
    return loss, int(chosen.sum())


@torch.inference_mode()
def held_out_loss(backbone: Backbone, rows: list[Example], params: MaskedLMParams) -> float:
    """Return the mean cross-entropy in nats per hidden token, on the same masks every time."""
    backbone.model.eval()
    backbone.model.set_attn_implementation(attention(training=False))
    total = 0.0
    count = 0
    lengths = np.array([len(row.ids) for row in rows])
    with precision(params.precision):
        for step, batch in enumerate(batches_by_length(lengths, TOKENS // int(lengths.max()))):
            # training's steps count from 0 upwards, so these draws are no step's
            seed_step(params.seed, -1 - step)
            loss, hidden = masked_loss(backbone, [rows[i] for i in batch], params.mask)
            total += loss.item()
            count += hidden
    return total / max(count, 1)


def train(
    backbone: Backbone, rows: list[Example], params: MaskedLMParams, checkpoint: Checkpoint
) -> list[dict[str, float]]:
    """Train in place, from the last checkpoint on.

    Returns:
        ``step`` and mean ``loss`` of each tenth of the run.
    """
    model = backbone.model
    lengths = np.array([len(row.ids) for row in rows])
    per_epoch = -(-len(rows) // params.batch)
    body = list(model.base_model.parameters())
    in_body = {id(p) for p in body}
    # The head begins untrained and needs a rate of its own: 3e-4 for both ended at 7.08 nats, that
    # of word frequencies, and ruined the body; 2e-3 and 1e-4 came to 5.68 (docs/results.md). Its
    # output layer is the embedding itself, which is in the body.
    head = [p for p in model.parameters() if id(p) not in in_body]
    groups = [
        {"params": body, "lr": params.learning_rate},
        {"params": head, "lr": params.head_learning_rate},
    ]
    model.train()
    model.set_attn_implementation(attention(training=True))
    set_dropout(model, params.dropout)

    # of the current epoch: sorting all rows anew in every step would be slow
    @lru_cache(1)
    def epoch_batches(epoch: int) -> list[Batch]:
        return length_bucketed_batches(lengths, params.batch, params.seed, epoch)

    def loss(step: int) -> torch.Tensor | None:
        batch = epoch_batches(step // per_epoch)[step % per_epoch]
        with precision(params.precision):
            total, hidden = masked_loss(backbone, [rows[i] for i in batch], params.mask)
        # a few short texts may have no word that is hidden
        return total / hidden if hidden else None

    steps = round(per_epoch * params.epochs)
    optimization = Optimization(model, groups, steps, params)
    return train_steps(optimization, loss, checkpoint, "pretrain")
