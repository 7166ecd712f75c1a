"""Documents packed into rows of one length, in which no token reads another document.

Short articles padded to one length would waste most of a step; cut from one long stream they would
read what has nothing to do with them (document masking: Zhao et al. 2024, "Analysing the impact of
sequence composition on language model pre-training").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from beauty_models.device import device
from beauty_models.tutorial.model import LanguageModel

IGNORED = -100  # target of a token that is not to be predicted; what torch's loss leaves out


class Document(NamedTuple):
    """Tokens that belong together, boundaries included."""

    ids: list[int]
    first_target: int = 1  # ids from this place on are predicted; those before are only read


class Packed(NamedTuple):
    """Documents in ``n`` rows of one length, on the CPU."""

    ids: torch.Tensor  # [n, length]
    targets: torch.Tensor  # [n, length], the token that follows, or `IGNORED`
    documents: torch.Tensor  # [n, length], number of the document within its row, −1 for padding
    positions: torch.Tensor  # [n, length], within the document


def _pieces(documents: Sequence[Document], length: int) -> list[tuple[list[int], list[int]]]:
    """Return inputs and targets of each document, cut into pieces of at most ``length``."""
    pieces = []
    for document in documents:
        inputs = document.ids[:-1]
        targets = list(document.ids[1:])
        for place in range(document.first_target - 1):
            targets[place] = IGNORED
        for start in range(0, len(inputs), length):
            pieces.append((inputs[start : start + length], targets[start : start + length]))
    return pieces


def pack(documents: Sequence[Document], length: int) -> Packed:
    """Return ``documents`` in rows of ``length`` tokens, as few as first-fit decreasing needs.

    A document longer than a row goes on in another one, without what came before.
    """
    pieces = _pieces(documents, length)
    rows: list[list[int]] = []  # numbers of pieces
    room: list[int] = []
    # sorted is stable: the same documents always give the same rows
    for number in sorted(range(len(pieces)), key=lambda n: -len(pieces[n][0])):
        size = len(pieces[number][0])
        row = next((r for r, free in enumerate(room) if free >= size), None)
        if row is None:
            rows.append([])
            room.append(length)
            row = len(rows) - 1
        rows[row].append(number)
        room[row] -= size
    packed = Packed(
        torch.zeros(len(rows), length, dtype=torch.long),
        torch.full((len(rows), length), IGNORED),
        torch.full((len(rows), length), -1),
        torch.zeros(len(rows), length, dtype=torch.long),
    )
    for row, numbers in enumerate(rows):
        start = 0
        for document, number in enumerate(numbers):
            inputs, targets = pieces[number]
            place = slice(start, start + len(inputs))
            packed.ids[row, place] = torch.tensor(inputs)
            packed.targets[row, place] = torch.tensor(targets)
            packed.documents[row, place] = document
            packed.positions[row, place] = torch.arange(len(inputs))
            start += len(inputs)
    return packed


def first_rows(packed: Packed, tokens: int) -> Packed:
    """Return the first rows of ``packed`` that have ``tokens`` together, one at least; 0 takes all.

    The rows are mixed: `pack` sorts documents by their length, and long ones are no sample.
    """
    if not tokens:
        return packed
    order = torch.randperm(len(packed.ids), generator=torch.Generator().manual_seed(0))
    sizes = (packed.documents[order] >= 0).sum(1).cumsum(0)
    count = 1 + int((sizes < tokens).sum())
    return Packed(*(part[order[:count]] for part in packed))


def document_mask(documents: torch.Tensor) -> torch.Tensor:
    """Return [n, 1, length, length]: true where a token (third axis) may read another (fourth).

    It reads itself and what stands before it in its own document; padding reads itself alone, for
    a softmax over nothing is NaN.
    """
    length = documents.shape[1]
    same = documents[:, :, None] == documents[:, None, :]
    causal = torch.ones(length, length, dtype=torch.bool, device=documents.device).tril()
    itself = torch.eye(length, dtype=torch.bool, device=documents.device)
    padding = (documents < 0)[:, :, None]
    return torch.where(padding, itself, same & causal)[:, None]


def loss_sum(
    language_model: LanguageModel, packed: Packed, rows: Sequence[int]
) -> tuple[torch.Tensor, int]:
    """Return the summed cross-entropy, in nats, of the targets of ``rows``, and their number."""
    chosen = torch.as_tensor(rows)
    ids, targets, documents, positions = (part[chosen].to(device()) for part in packed)
    hidden = language_model.hidden(ids, document_mask(documents), positions)
    predicted = targets != IGNORED
    # the head is as wide as the vocabulary: only where something is to be predicted
    logits = language_model.head(hidden[predicted])
    loss = nn.functional.cross_entropy(logits.float(), targets[predicted], reduction="sum")
    return loss, int(predicted.sum())


def article_documents(language_model: LanguageModel, texts: Sequence[str]) -> list[Document]:
    """Return each of ``texts`` as a document between two boundaries, all of it predicted."""
    boundary = language_model.boundary
    return [Document([boundary, *ids, boundary]) for ids in language_model.encode_all(texts)]
