"""Losses for imbalanced classes, and the temperature that makes probabilities mean what they say."""

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


def temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the temperature in [0.5, 20] that minimises the log loss of logits [n, classes] (Guo et al. 2017, section 4.2).

    The log loss is convex in 1/T, so a ternary search over log T finds its minimum. Rows without a single error ask for
    T → 0; no small validation split justifies that much certainty, hence the lower bound.
    """
    low, high = -0.693, 3.0
    for _ in range(60):
        third = (high - low) / 3
        left, right = (
            functional.cross_entropy(logits / torch.tensor(t).exp(), labels).item()
            for t in (low + third, high - third)
        )
        low, high = (low, high - third) if left <= right else (low + third, high)
    return float(torch.tensor((low + high) / 2).exp())
