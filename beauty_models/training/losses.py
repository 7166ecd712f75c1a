"""Losses for imbalanced classes."""

from __future__ import annotations

import torch
from torch.nn import functional


def class_weights(labels: torch.Tensor) -> torch.Tensor:
    """Return a weight per class, n / (classes × count); 0 for a class without rows.

    With it every class weighs the same in a sum over the rows.
    """
    counts = torch.bincount(labels).float()
    # `where` computes both sides: clamped, so that neither divides by 0
    balanced = len(labels) / (len(counts) * counts.clamp(min=1))
    return torch.where(counts > 0, balanced, 0.0)


def focal(
    logits: torch.Tensor, labels: torch.Tensor, gamma: float, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the mean focal loss (Lin et al. 2017, eq. 4) of logits [n, classes].

    ``gamma`` 0 is the cross-entropy.
    """
    entropy = functional.cross_entropy(logits, labels, reduction="none")
    # exp(−entropy) is the probability of the right class: sure rows count less
    loss = (1 - torch.exp(-entropy)) ** gamma * entropy
    if weights is None:
        return loss.mean()
    scale = weights[labels]
    # a weighted mean, as torch's cross_entropy has it: the weights do not change the step's length
    return (scale * loss).sum() / scale.sum()
