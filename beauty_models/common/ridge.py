"""Projections of two towers that never met, in closed form: ridge regression of what is said on what is seen."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from beauty_models.common.pairs import Pairs, blocks

FLOOR = 0.02  # of deviations that are divided by, beside the largest


class Moments:
    """Sums over rows of features [n, width] and targets [n, d], from which means, covariances and regressions follow."""

    def __init__(self, width: int, dimension: int) -> None:
        self.count = 0
        self.sums, self.squares = torch.zeros(width, dtype=torch.float64), torch.zeros(width, width, dtype=torch.float64)
        self.products = torch.zeros(width, dimension, dtype=torch.float64)

    def add(self, features: torch.Tensor, targets: torch.Tensor) -> None:
        """Count more rows in."""
        features = features.double().cpu()
        self.count += len(features)
        self.sums += features.sum(0)
        self.squares += features.T @ features
        self.products += features.T @ targets

    def standard(self, targets: torch.Tensor, standardised: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the mean, the deviation, the correlations [width, width], and the covariances [width, d] with centred targets of that mean."""
        mean = self.sums / self.count
        deviation = (self.squares.diagonal() / self.count - mean**2).clamp(min=0).sqrt() + FLOOR
        deviation[standardised:] = 1.0
        correlation = (self.squares / self.count - torch.outer(mean, mean)) / torch.outer(deviation, deviation)
        return mean, deviation, correlation, (self.products / self.count - torch.outer(mean, targets)) / deviation[:, None]


def _turned(said: torch.Tensor, dimension: int) -> torch.Tensor:
    """Return the projection [width, dimension] of texts ``said`` [n, width]: without their common direction, half whitened.

    E5's cosines are all near 1, because one direction is in every text; it is taken out. The rest is turned to its principal
    axes, each divided by the root of its deviation, so that a colour word is not drowned by a long sentence (whitening: Su et
    al. 2021). The mean length becomes 1.
    """
    usual = functional.normalize(said.mean(0), dim=0)
    apart = torch.eye(len(usual), dtype=torch.float64) - torch.outer(usual, usual)
    axes, variances, _ = torch.linalg.svd(torch.cov((said @ apart).T))
    found = apart @ axes[:, :dimension] / (variances.sqrt() + FLOOR * variances[0].sqrt()).sqrt()[:dimension]
    scaled: torch.Tensor = found / (said @ found).norm(dim=1).mean()
    return scaled


@torch.no_grad()
def start_from_ridge(part: Pairs, penalty: float, own: int, palette: float) -> None:
    """Set the projections in closed form, from what the towers make of pictures and captions before any training.

    A picture's embedding is the ridge regression of its captions' features, `_turned`, on its own, standardised (Hoerl &
    Kennard 1970). The last ``own`` dimensions hold its principal components instead, where texts are zero: between a text and
    pictures they change nothing, between two pictures they keep what no caption says.
    """
    text, head = part.dual.clip.text, part.dual.clip.visual.head.proj
    said = torch.cat([part.means(rows) for rows in blocks(len(part.texts))]).double().cpu()
    shared = min(said.shape[1], head.out_features - own)
    turned = _turned(said, shared)
    weights = torch.tensor(part.pairs["weight"].tolist(), dtype=torch.float64)[:, None]
    target = torch.zeros(len(part.keys), shared, dtype=torch.float64)
    target.index_add_(0, torch.tensor(part.pairs["item"].tolist()), (said @ turned)[part.pairs["text"].tolist()] * weights)
    width, scale = head.in_features, palette * head.in_features**0.5
    colours = torch.zeros(len(part.keys), 0) if part.colours is None else part.colours * scale
    moments = Moments(width + colours.shape[1], shared)
    for rows in blocks(len(part.keys)):
        for view in range(part.rules.views):
            moments.add(torch.cat([part.features(rows, view=view).float().cpu(), colours[rows]], 1), target[rows])
    mean, deviation, correlation, together = moments.standard(target.mean(0), standardised=width)
    ridge = torch.linalg.solve(correlation + penalty * torch.eye(len(mean), dtype=torch.float64), together)
    axes, variances, _ = torch.linalg.svd(correlation[:width, :width])
    private = torch.zeros(len(mean), own, dtype=torch.float64)  # of the tower alone: light changes colours more than shapes
    private[:width] = axes[:, :own] * ((ridge * (correlation @ ridge)).sum() / variances[:own].sum().clamp(min=FLOOR)).sqrt()
    learned = torch.cat([ridge, private], 1) / deviation[:, None]
    used = learned.shape[1]
    for weight in (text.proj.weight, head.weight, head.bias):
        nn.init.zeros_(weight)
    text.proj.weight[:shared] = turned.T.to(text.proj.weight)
    head.weight[:used] = learned[:width].T.to(head.weight)
    if part.dual.palette is not None:
        part.dual.palette.weight[:used] = scale * learned[width:].T.to(head.weight)
    head.bias[:used] = (torch.cat([target.mean(0), torch.zeros(own, dtype=torch.float64)]) - mean @ learned).to(head.bias)
