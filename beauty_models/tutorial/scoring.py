"""How many bits a language model needs for each of some texts, boundaries read, end predicted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from beauty_models import progress
from beauty_models.device import attention, device, precision
from beauty_models.params import Precision
from beauty_models.training.finite import require_finite
from beauty_models.tutorial.model import LanguageModel
from beauty_models.tutorial.packing import document_mask

WINDOW = 1024  # tokens read at once, at most: attention's costs grow with their square
TOKENS = 4096  # of a batch


def _windows(ids: Sequence[int], window: int) -> list[tuple[list[int], int]]:
    """Return ``ids`` in windows, with the place from which each one's targets are scored.

    Windows overlap by half, so that all but the first tokens have half a window before them.
    """
    windows = []
    start = 0
    scored = 0  # targets, the tokens from place 1 on
    while scored < len(ids) - 1:
        piece = list(ids[start : start + window + 1])
        windows.append((piece, scored - start))
        scored = start + len(piece) - 1
        start += window // 2
    return windows


@torch.inference_mode()
def text_bits(
    language_model: LanguageModel, texts: Sequence[str], title: str, wanted: Precision = "float32"
) -> NDArray[np.float64]:
    """Return the information content of each text, in bits.

    ``title`` is that of the bar.

    Raises:
        NotFiniteError: the network's weights are no numbers.
    """
    language_model.network.eval()
    language_model.network.set_attn_implementation(attention(training=False))
    window = min(language_model.context, WINDOW)
    boundary = language_model.boundary
    pieces = []
    for number, ids in enumerate(language_model.encode_all(texts)):
        for piece, first in _windows([boundary, *ids, boundary], window):
            pieces.append((number, piece, first))
    # longest first: batches have little padding
    pieces.sort(key=lambda piece: -len(piece[1]))
    bits = np.zeros(len(texts))
    with progress.bar(title, len(pieces)) as bar, precision(wanted):
        while pieces:
            size = max(1, TOKENS // len(pieces[0][1]))
            batch, pieces = pieces[:size], pieces[size:]
            nats = _batch_nats(language_model, [(piece, first) for _, piece, first in batch])
            for (number, _, _), value in zip(batch, nats.tolist(), strict=True):
                bits[number] += value / math.log(2)
            bar.advance(len(batch))
    require_finite(torch.from_numpy(bits), f"{title}: the bits of the articles")
    return bits


def _batch_nats(
    language_model: LanguageModel, batch: Sequence[tuple[list[int], int]]
) -> torch.Tensor:
    """Return the summed cross-entropy of each (ids, place of the first target scored)."""
    width = max(len(ids) for ids, _ in batch) - 1
    inputs = torch.zeros(len(batch), width, dtype=torch.long)
    targets = torch.zeros(len(batch), width, dtype=torch.long)
    documents = torch.full((len(batch), width), -1)
    scored = torch.zeros(len(batch), width, dtype=torch.bool)
    for row, (ids, first) in enumerate(batch):
        length = len(ids) - 1
        inputs[row, :length] = torch.tensor(ids[:-1])
        targets[row, :length] = torch.tensor(ids[1:])
        documents[row, :length] = 0
        scored[row, first:length] = True
    positions = torch.arange(width).expand(len(batch), width).to(device())
    mask = document_mask(documents.to(device()))
    hidden = language_model.hidden(inputs.to(device()), mask, positions)
    # by row: the logits of a whole batch over a large vocabulary would take gigabytes
    sums = []
    for row in range(len(batch)):
        logits = language_model.head(hidden[row, scored[row].to(device())]).float()
        wanted = targets[row, scored[row]].to(device())
        sums.append(nn.functional.cross_entropy(logits, wanted, reduction="sum").cpu())
    return torch.stack(sums)
