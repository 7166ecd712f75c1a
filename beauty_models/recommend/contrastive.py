"""Contrastive losses over pairs, some of which are no negatives of each other.

Beside the losses: the gradient cache, which gives their gradients for batches of any size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

Loss = Callable[..., torch.Tensor]
"""(embeddings [n, width], …) → scalar."""


def false_negative_mask(groups: torch.Tensor, *more: torch.Tensor) -> torch.Tensor:
    """Return [n, n], true where two rows are no negatives of each other.

    They share a group [n] in any of the given groupings; each row does with itself.
    """
    mask = groups[:, None] == groups[None, :]
    for grouping in more:
        mask = mask | (grouping[:, None] == grouping[None, :])
    return mask


def _without_diagonal(mask: torch.Tensor) -> torch.Tensor:
    return mask & ~torch.eye(len(mask), dtype=torch.bool, device=mask.device)


def clip_loss(
    image: torch.Tensor,
    text: torch.Tensor,
    scale: torch.Tensor,
    mask: torch.Tensor,
) -> torch.Tensor:
    """Return the mean cross-entropy of finding each row's partner, both ways.

    Radford et al. 2021, figure 3.

    Args:
        image, text: normalised embeddings [n, width]; row i of one belongs to row i of the other.
        scale: the factor on the cosines, 1 / temperature.
        mask: [n, n] of `false_negative_mask`; these pairs are left out of the denominator.
    """
    logits = scale * image @ text.T
    logits = logits.masked_fill(_without_diagonal(mask), -torch.inf)
    # row i's partner is in column i
    target = torch.arange(len(logits), device=logits.device)
    find_text = functional.cross_entropy(logits, target)
    find_image = functional.cross_entropy(logits.T, target)
    return (find_text + find_image) / 2


def siglip_loss(
    image: torch.Tensor,
    text: torch.Tensor,
    scale: torch.Tensor,
    bias: torch.Tensor,
    mask: torch.Tensor,
) -> torch.Tensor:
    """Return the sum over pairs, per row, of the log loss of telling partners from strangers.

    Zhai et al. 2023, algorithm 1. Arguments as for `clip_loss`; ``bias`` is added to the logits,
    pairs of ``mask`` are left out.
    """
    logits = scale * image @ text.T + bias
    sign = 2 * torch.eye(len(logits), device=logits.device) - 1  # 1 for partners, −1 for strangers
    log_likelihood = functional.logsigmoid(sign * logits)
    return -log_likelihood.masked_fill(_without_diagonal(mask), 0.0).sum() / len(logits)


def nt_xent(
    first: torch.Tensor,
    second: torch.Tensor,
    temperature: float,
    mask: torch.Tensor,
) -> torch.Tensor:
    """Return the normalised temperature-scaled cross-entropy of two views.

    Chen et al. 2020, equation 1.

    Args:
        first, second: embeddings [n, width] of two views of n pictures, not normalised.
        mask: [n, n] of `false_negative_mask`; neither view of such a picture is a negative.
    """
    n = len(first)
    views = functional.normalize(torch.cat([first, second]).float(), dim=-1)
    rows = torch.arange(2 * n, device=views.device)
    partner = rows.roll(n)
    # a view and itself are in the mask, too; the one of its group that must be found is its partner
    excluded = mask.repeat(2, 2)
    excluded[rows, partner] = False
    logits = (views @ views.T / temperature).masked_fill(excluded, -torch.inf)
    return functional.cross_entropy(logits, partner)


def grad_cache_backward(
    encode: Callable[[Any], tuple[torch.Tensor, ...]],
    chunks: Sequence[Any],
    loss: Loss,
    seed: int,
) -> float:
    """Add the gradient of the loss over all ``chunks``, with memory for one; return the loss.

    Gradient caching (Gao et al. 2021): all chunks are embedded without a graph, the loss gives the
    gradient of each embedding, then each chunk is embedded again and its part of that gradient goes
    through it. The sum is the gradient of the whole batch.

    Args:
        encode: chunk → embeddings, each [rows, width].
        loss: the embeddings of all chunks, joined → scalar; it may have parameters of its own.
        seed: of the first chunk's dropout; the next chunks have the numbers after it.
    """

    def embed(chunk: int) -> tuple[torch.Tensor, ...]:
        # both passes over a chunk must drop the same units, or the cached gradient is another's
        torch.manual_seed(seed + chunk)
        return encode(chunks[chunk])

    # one chunk fits: its graph can stay, and nothing is embedded twice
    if len(chunks) == 1:
        value = loss(*embed(0))
        value.backward()
        return value.item()
    with torch.no_grad():
        embedded = [embed(chunk) for chunk in range(len(chunks))]
    by_tower = list(zip(*embedded, strict=True))
    joined = [torch.cat(parts).requires_grad_() for parts in by_tower]
    value = loss(*joined)
    value.backward()
    gradients = []
    for tensor, parts in zip(joined, by_tower, strict=True):
        assert tensor.grad is not None
        gradients.append(tensor.grad.split([len(part) for part in parts]))
    for chunk in range(len(chunks)):
        outputs = []
        output_gradients = []
        for tensor, gradient in zip(embed(chunk), gradients, strict=True):
            if tensor.requires_grad:  # a tower of which nothing learns has no graph
                outputs.append(tensor)
                output_gradients.append(gradient[chunk])
        torch.autograd.backward(outputs, output_gradients)
    return value.item()
