"""What training and prediction do with a BERT: tokens in padded batches, its layers one after the other, the mean of its outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from beauty_models.device import device
from beauty_models.training.batches import Batch

TOKENS = 8192  # per batch where nothing is learned


def pad(rows: Sequence[torch.Tensor], value: float = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``rows`` (each [length, …]) as one tensor [n, longest, …] on the device, and the mask [n, longest] of what is real."""
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(int(lengths.max()))[None, :] < lengths[:, None]
    padded = nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=value)
    return padded.to(device(), non_blocking=True), mask.to(device(), non_blocking=True)


def tokenize(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], max_tokens: int
) -> list[torch.Tensor]:
    """Return the token ids of each text, cut to ``max_tokens`` by leaving out its middle (openings and verdicts matter most)."""
    rows = tokenizer(list(texts), verbose=False)["input_ids"] if len(texts) else []
    head = max_tokens * 2 // 3
    return [
        torch.tensor(ids if len(ids) <= max_tokens else ids[:head] + ids[head - max_tokens :])
        for ids in rows
    ]


def longest_input(encoder: PreTrainedModel) -> int:
    """Return how many tokens the encoder can read at once: it has no position beyond."""
    table: Any = encoder.embeddings.position_embeddings
    first = 0 if table.padding_idx is None else table.padding_idx + 1  # RoBERTa counts from there
    positions: int = table.num_embeddings
    return positions - first


def within(lengths: np.ndarray[tuple[int], np.dtype[np.int64]], tokens: int) -> Iterator[Batch]:
    """Yield all rows once, longest first, as many at a time as have ``tokens`` tokens when padded (one at least)."""
    order = np.argsort(-lengths, kind="stable")
    while len(order):
        size = max(1, tokens // max(1, int(lengths[order[0]])))
        yield order[:size]
        order = order[size:]


def layers(encoder: PreTrainedModel) -> nn.ModuleList:
    """Return the encoder's layers, lowest first.

    Raises:
        ValueError: it is not built like BERT (BERT, RoBERTa, XLM-R, MacBERT and ELECTRA are).
    """
    found = getattr(getattr(encoder, "encoder", None), "layer", None)
    if not isinstance(found, nn.ModuleList):
        raise ValueError(
            f"base: {type(encoder).__name__} is not built like BERT; take BERT, RoBERTa, XLM-R, MacBERT or ELECTRA"
        )
    return found


def encode(
    encoder: PreTrainedModel, hidden: torch.Tensor, mask: torch.Tensor, start: int, stop: int
) -> torch.Tensor:
    """Return the output of layers ``start`` to ``stop``−1 for ``hidden`` [n, length, width], the input of layer ``start``."""
    shown = torch.zeros(mask.shape, dtype=hidden.dtype, device=hidden.device).masked_fill(
        ~mask, torch.finfo(hidden.dtype).min
    )
    for layer in layers(encoder)[start:stop]:
        hidden = layer(hidden, shown[:, None, None, :])
    return hidden


def mean(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mean over the real tokens of ``hidden`` [n, length, width]: [n, width], float32."""
    weights = mask.unsqueeze(-1).float()
    return (hidden.float() * weights).sum(1) / weights.sum(1)


def set_dropout(model: nn.Module, share: float) -> None:
    """Set every dropout of ``model``; attention's own goes off (it forbids the fused kernels and gains nothing here)."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0 if name.endswith("self.dropout") else share
