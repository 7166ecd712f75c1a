"""Contrastive losses over pairs, some of which are no negatives of each other, and their gradients for batches of any size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

Loss = Callable[..., torch.Tensor]
"""(embeddings [n, width], …) → scalar."""


def alike(groups: torch.Tensor, *more: torch.Tensor) -> torch.Tensor:
    """Return [n, n], true where two rows share a group [n] in any of the given groupings: they are no negatives of each other."""
    same = groups[:, None] == groups[None, :]
    for grouping in more:
        same = same | (grouping[:, None] == grouping[None, :])
    return same


def _others(same: torch.Tensor) -> torch.Tensor:
    return same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)


def clip_loss(
    image: torch.Tensor, text: torch.Tensor, scale: torch.Tensor, same: torch.Tensor
) -> torch.Tensor:
    """Return the mean cross-entropy of finding each row's partner, both ways (Radford et al. 2021, figure 3).

    Args:
        image, text: normalised embeddings [n, width]; row i of one belongs to row i of the other.
        scale: the factor on the cosines, 1 / temperature.
        same: [n, n] of `alike`; these pairs are left out of the denominator.
    """
    logits = (scale * image @ text.T).masked_fill(_others(same), -torch.inf)
    target = torch.arange(len(logits), device=logits.device)
    return (
        functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)
    ) / 2


def siglip_loss(
    image: torch.Tensor,
    text: torch.Tensor,
    scale: torch.Tensor,
    bias: torch.Tensor,
    same: torch.Tensor,
) -> torch.Tensor:
    """Return the sum over pairs, per row, of the log loss of telling partners from strangers (Zhai et al. 2023, algorithm 1).

    Arguments as for `clip_loss`; ``bias`` is added to the logits, pairs of ``same`` are left out.
    """
    logits = scale * image @ text.T + bias
    sign = 2 * torch.eye(len(logits), device=logits.device) - 1
    return -(functional.logsigmoid(sign * logits).masked_fill(_others(same), 0.0)).sum() / len(
        logits
    )


def nt_xent(
    one: torch.Tensor, other: torch.Tensor, temperature: float, same: torch.Tensor
) -> torch.Tensor:
    """Return the normalised temperature-scaled cross-entropy of two views (Chen et al. 2020, eq. 1).

    Args:
        one, other: embeddings [n, width] of two views of n pictures, not normalised.
        same: [n, n] of `alike`; neither view of such a picture is a negative.
    """
    n = len(one)
    views = functional.normalize(torch.cat([one, other]).float(), dim=-1)
    forbidden = same.repeat(2, 2)
    partner = torch.arange(2 * n, device=views.device).roll(n)
    forbidden[torch.arange(2 * n, device=views.device), partner] = False
    return functional.cross_entropy(
        (views @ views.T / temperature).masked_fill(forbidden, -torch.inf), partner
    )


def backward_in_chunks(
    encode: Callable[[Any], tuple[torch.Tensor, ...]], chunks: Sequence[Any], loss: Loss, seed: int
) -> float:
    """Add the gradient of the loss over all ``chunks`` to the parameters' gradients, with memory for one; return the loss.

    Gradient caching (Gao et al. 2021): all chunks are embedded without a graph, the loss gives the gradient of each
    embedding, then each chunk is embedded again and its part of that gradient goes through it. The sum is the gradient of
    the whole batch. Dropout repeats itself, because every chunk has its seed.

    Args:
        encode: chunk → embeddings, each [rows, width].
        loss: the embeddings of all chunks, joined → scalar; it may have parameters of its own.
    """

    def embed(place: int) -> tuple[torch.Tensor, ...]:
        torch.manual_seed(seed + place)
        return encode(chunks[place])

    if len(chunks) == 1:
        value = loss(*embed(0))
        value.backward()
        return value.item()
    with torch.no_grad():
        parts = [embed(place) for place in range(len(chunks))]
    joined = [torch.cat(part).requires_grad_() for part in zip(*parts, strict=True)]
    value = loss(*joined)
    value.backward()
    gradients = [
        tensor.grad.split([len(part) for part in sizes])
        for tensor, sizes in zip(joined, zip(*parts, strict=True), strict=True)
        if tensor.grad is not None
    ]
    for place in range(len(chunks)):
        learned = [
            (tensor, gradient[place])
            for tensor, gradient in zip(embed(place), gradients, strict=True)
            if tensor.requires_grad
        ]
        torch.autograd.backward(
            [tensor for tensor, _ in learned], [gradient for _, gradient in learned]
        )
    return value.item()
