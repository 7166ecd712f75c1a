"""Projections of two towers that never met, in closed form: ridge regression of what is said on what is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from beauty_models.common.openclip import Dual
from beauty_models.common.pairs import Pairs, blocks

FLOOR = 0.02  # of deviations that are divided by, beside the largest
OWN = 3.0  # variance of the pictures' own dimensions, beside that of those shared with texts


class Moments:
    """Sums over pictures and their views, of features and targets [n, d], from which means, covariances and regressions follow."""

    def __init__(self, width: int, dimension: int) -> None:
        self.count = 0
        self.sums, self.squares = torch.zeros(width, dtype=torch.float64), torch.zeros(width, width, dtype=torch.float64)
        self.between = torch.zeros(width, width, dtype=torch.float64)  # of the mean over the views of a picture
        self.products = torch.zeros(width, dimension, dtype=torch.float64)

    def add(self, features: torch.Tensor, targets: torch.Tensor) -> None:
        """Count more pictures in: ``features`` [n, views, width], ``targets`` [n, d]."""
        n, views, width = features.shape
        rows, means = features.reshape(-1, width), features.mean(1)
        self.count += n * views
        self.sums += rows.sum(0)
        self.squares += rows.T @ rows
        self.between += views * means.T @ means
        self.products += views * means.T @ targets

    def standard(self, targets: torch.Tensor, standardised: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the mean, the deviation, the correlations [width, width], and the covariances [width, d] with centred targets of that mean."""
        mean = self.sums / self.count
        deviation = (self.squares.diagonal() / self.count - mean**2).clamp(min=0).sqrt() + FLOOR
        deviation[standardised:] = 1.0
        correlation = (self.squares / self.count - torch.outer(mean, mean)) / torch.outer(deviation, deviation)
        return mean, deviation, correlation, (self.products / self.count - torch.outer(mean, targets)) / deviation[:, None]

    def discriminant(self, width: int, dimension: int) -> torch.Tensor:
        """Return the projection [width, dimension] of the first ``width`` features in which pictures differ most beside their own views.

        Linear discriminant analysis with a picture as a class: the covariance within a picture, shrunk half way to a multiple of
        the identity, is whitened (WCCN: Hatch et al. 2006), and the principal axes of the pictures' means follow. With one view
        a picture, they are principal components.
        """
        mean = (self.sums / self.count)[:width]
        between = (self.between / self.count)[:width, :width]
        within = (self.squares / self.count)[:width, :width] - between
        noise = within.diagonal().mean()
        values, axes = torch.linalg.eigh(within + (noise if noise > 1e-9 else 1.0) * torch.eye(width, dtype=torch.float64))
        white = (axes / values.sqrt()) @ axes.T
        found: torch.Tensor = white @ torch.linalg.svd(white @ (between - torch.outer(mean, mean)) @ white)[0][:, :dimension]
        return found


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


@dataclass(frozen=True)
class Start:
    """What the closed form needs of a part, whatever the penalty: the texts' projection, the moments of pictures, the mean target."""

    turned: torch.Tensor  # [width of texts, shared]
    moments: Moments
    target: torch.Tensor  # [shared]
    own: torch.Tensor  # [width of the image tower, own]
    scale: float  # of the colours


@torch.no_grad()
def prepare(part: Pairs, own: int, palette: float) -> Start:
    """Return what `solve` needs of ``part``: its texts turned, and the moments of its pictures in all their views."""
    head = part.dual.clip.visual.head.proj
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
        views = torch.stack([part.features(rows, view=view).double().cpu() for view in range(part.rules.views)], 1)
        moments.add(torch.cat([views, colours[rows, None].double().expand(-1, views.shape[1], -1)], 2), target[rows])
    return Start(turned, moments, target.mean(0), moments.discriminant(width, own), scale)


@torch.no_grad()
def solve(dual: Dual, start: Start, penalty: float) -> None:
    """Set the projections of ``dual`` in closed form, from what the towers make of pictures and captions before any training.

    A picture's embedding is the ridge regression of its captions' features, `_turned`, on its own, standardised (Hoerl &
    Kennard 1970). The last dimensions hold `Moments.discriminant` instead, where texts are zero: between two pictures they
    keep what no caption says. Light changes colours more than shapes, so they are of the tower alone.
    """
    text, head = dual.clip.text, dual.clip.visual.head.proj
    width, (shared, own) = head.in_features, (len(start.target), start.own.shape[1])
    mean, deviation, correlation, together = start.moments.standard(start.target, standardised=width)
    ridge = torch.linalg.solve(correlation + penalty * torch.eye(len(mean), dtype=torch.float64), together)
    covariance = (correlation * torch.outer(deviation, deviation))[:width, :width]
    variance = (start.own * (covariance @ start.own)).sum().clamp(min=1e-12)
    private = torch.zeros(len(mean), own, dtype=torch.float64)
    private[:width] = start.own * (OWN * (ridge * (correlation @ ridge)).sum() / variance).sqrt()
    learned = torch.cat([ridge / deviation[:, None], private], 1)
    for weight in (text.proj.weight, head.weight, head.bias):
        nn.init.zeros_(weight)
    text.proj.weight[:shared] = start.turned.T.to(text.proj.weight)
    head.weight[: shared + own] = learned[:width].T.to(head.weight)
    if dual.palette is not None:
        dual.palette.weight[: shared + own] = start.scale * learned[width:].T.to(head.weight)
    head.bias[: shared + own] = (torch.cat([start.target, torch.zeros(own, dtype=torch.float64)]) - mean @ learned).to(head.bias)


def best_penalty(train: Pairs, validation: Pairs, start: Start, penalties: Sequence[float]) -> float:
    """Return which of ``penalties`` leads to the highest MRR@10 of ``validation``, both ways; the projections are left at some of them."""
    def quality(penalty: float) -> float:
        solve(train.dual, start, penalty)
        return validation.score()

    return max(penalties, key=quality)
