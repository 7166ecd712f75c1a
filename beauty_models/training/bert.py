"""What training and prediction do with a BERT: tokens, padded batches, its layers, mean pooling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from beauty_models.device import device
from beauty_models.training.batches import Batch, Lengths

TOKENS = 8192  # per batch where nothing is learned


def pad(rows: Sequence[torch.Tensor], value: float = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``rows`` (each [length, …]) as one tensor [n, longest, …] on the device, and a mask.

    The mask [n, longest] is true where a place is real.
    """
    lengths = torch.tensor([len(row) for row in rows])
    places = torch.arange(int(lengths.max()))
    mask = places[None, :] < lengths[:, None]
    padded = nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=value)
    return padded.to(device(), non_blocking=True), mask.to(device(), non_blocking=True)


def tokenize(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], max_tokens: int
) -> list[torch.Tensor]:
    """Return the token ids of each text, cut to ``max_tokens`` by leaving out its middle.

    Openings and verdicts matter most (head and tail: Sun et al. 2019, "How to fine-tune BERT").
    """
    if not len(texts):  # a tokenizer refuses an empty list
        return []
    head = max_tokens * 2 // 3
    rows = []
    # verbose would warn of each text that is longer than the encoder takes; it is cut below
    for ids in tokenizer(list(texts), verbose=False)["input_ids"]:
        if len(ids) > max_tokens:
            ids = ids[:head] + ids[head - max_tokens :]
        rows.append(torch.tensor(ids))
    return rows


def max_positions(encoder: PreTrainedModel) -> int:
    """Return how many tokens the encoder can read at once: it has no position beyond."""
    table: Any = encoder.embeddings.position_embeddings
    # RoBERTa's positions begin behind that of the padding
    first = 0 if table.padding_idx is None else table.padding_idx + 1
    positions: int = table.num_embeddings
    return positions - first


def batches_by_tokens(lengths: Lengths, tokens: int) -> Iterator[Batch]:
    """Yield all rows once, longest first, as many at a time as have ``tokens`` tokens when padded.

    A batch has one row at least.
    """
    order = np.argsort(-lengths, kind="stable")
    while len(order):
        # a batch is as wide as its first row, the longest
        size = max(1, tokens // max(1, int(lengths[order[0]])))
        yield order[:size]
        order = order[size:]


def layers(encoder: PreTrainedModel) -> nn.ModuleList:
    """Return the encoder's layers, lowest first.

    Raises:
        ValueError: it is not built like BERT (BERT, RoBERTa, XLM-R, MacBERT and ELECTRA are).
    """
    stack = getattr(getattr(encoder, "encoder", None), "layer", None)
    if not isinstance(stack, nn.ModuleList):
        raise ValueError(
            f"base: {type(encoder).__name__} is not built like BERT; "
            "take BERT, RoBERTa, XLM-R, MacBERT or ELECTRA"
        )
    return stack


def encode(
    encoder: PreTrainedModel, hidden: torch.Tensor, mask: torch.Tensor, start: int, stop: int
) -> torch.Tensor:
    """Return the output of layers ``start`` to ``stop``−1 for ``hidden`` [n, length, width].

    ``hidden`` is the input of layer ``start``; ``mask`` [n, length] is true where a token is real.
    """
    # added to the scores of attention: 0, or what a softmax makes 0. The smallest finite number,
    # because −inf gives NaN in a row that is all padding
    smallest = torch.finfo(hidden.dtype).min
    bias = torch.zeros(mask.shape, dtype=hidden.dtype, device=hidden.device)
    bias = bias.masked_fill(~mask, smallest)[:, None, None, :]
    for layer in layers(encoder)[start:stop]:
        hidden = layer(hidden, bias)
    return hidden


def mean_pool(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mean over the real tokens of ``hidden`` [n, length, width]: [n, width], float32.

    As sentence encoders pool (Reimers & Gurevych 2019), and better than the first token's state.
    """
    weights = mask.unsqueeze(-1).float()
    return (hidden.float() * weights).sum(1) / weights.sum(1)


def set_dropout(model: nn.Module, share: float) -> None:
    """Set every dropout of ``model`` to ``share``; attention's own goes off."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout):
            # attention's dropout forbids the fused kernels and gains nothing here
            module.p = 0.0 if name.endswith("self.dropout") else share
