"""Losses for imbalanced classes."""

from __future__ import annotations

import torch
from torch.nn import functional


def class_weights(labels: torch.Tensor) -> torch.Tensor:
    """Return a weight per class, n / (classes × count), so that every class weighs the same; 0 for a class without rows."""
    counts = torch.bincount(labels).float()
    return torch.where(counts > 0, len(labels) / (len(counts) * counts.clamp(min=1)), 0.0)


def focal(
    logits: torch.Tensor, labels: torch.Tensor, gamma: float, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the mean focal loss (Lin et al. 2017, eq. 4) of logits [n, classes]; ``gamma`` 0 is the cross-entropy."""
    entropy = functional.cross_entropy(logits, labels, reduction="none")
    loss = (1 - torch.exp(-entropy)) ** gamma * entropy
    if weights is None:
        return loss.mean()
    scale = weights[labels]
    return (scale * loss).sum() / scale.sum()
