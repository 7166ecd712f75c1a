"""Projections of two towers that never met, in closed form: canonical correlation analysis of what is said and what is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from beauty_models.recommend.openclip import Dual
from beauty_models.recommend.pairs import Pairs, blocks
from beauty_models.training.finite import require_finite

FLOOR = 0.02  # of deviations that are divided by
OWN = 8.0  # variance of the pictures' own dimensions, beside that of those shared with texts (docs/decisions/2026-11-25-pictures.md)
POWER = 2  # of the canonical correlations by which dimensions are weighed: what texts and pictures hardly share hardly counts


class Moments:
    """Sums over pictures and their views, of features and targets [n, d], from which means, covariances and regressions follow."""

    def __init__(self, width: int, dimension: int) -> None:
        self.count = 0
        self.sums, self.squares = (
            torch.zeros(width, dtype=torch.float64),
            torch.zeros(width, width, dtype=torch.float64),
        )
        self.between = torch.zeros(
            width, width, dtype=torch.float64
        )  # of the mean over the views of a picture
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

    def standard(
        self, targets: torch.Tensor, standardised: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the mean, the deviation, the correlations [width, width], and the covariances [width, d] with centred targets of that mean."""
        mean = self.sums / self.count
        deviation = (self.squares.diagonal() / self.count - mean**2).clamp(min=0).sqrt() + FLOOR
        deviation[standardised:] = 1.0
        correlation = (self.squares / self.count - torch.outer(mean, mean)) / torch.outer(
            deviation, deviation
        )
        return (
            mean,
            deviation,
            correlation,
            (self.products / self.count - torch.outer(mean, targets)) / deviation[:, None],
        )

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
        white = _whitening(within, float(noise) if noise > 1e-9 else 1.0)
        found: torch.Tensor = (
            white
            @ torch.linalg.svd(white @ (between - torch.outer(mean, mean)) @ white)[0][
                :, :dimension
            ]
        )
        return found


def _whitening(covariance: torch.Tensor, penalty: float) -> torch.Tensor:
    """Return the inverse square root of ``covariance`` [d, d] with ``penalty`` added to its diagonal."""
    values, axes = torch.linalg.eigh(
        covariance + penalty * torch.eye(len(covariance), dtype=torch.float64)
    )
    found: torch.Tensor = (axes / values.sqrt()) @ axes.T
    return found


def canonical(
    seen: torch.Tensor, together: torch.Tensor, said: torch.Tensor, penalty: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the projections of pictures [width, k] and of texts [d, k], and their canonical correlations [k], falling.

    ``seen`` [width, width], ``together`` [width, d] and ``said`` [d, d] are covariances. Both sides are regularised (Vinod 1976):
    pictures by ``penalty``, texts by their mean variance, for there are more dimensions than products.
    """
    left, right = _whitening(seen, penalty), _whitening(said, float(said.diagonal().mean()))
    image, correlations, text = torch.linalg.svd(left @ together @ right, full_matrices=False)
    return left @ image, right @ text.T, correlations


@dataclass(frozen=True)
class Start:
    """What the closed form needs of a part, whatever the penalty."""

    moments: Moments  # of pictures, and of the mean over a picture's captions
    apart: torch.Tensor  # [d, d] takes the direction out that is in every text
    mean: torch.Tensor  # [d] of the captions
    said: torch.Tensor  # [d, d], covariance of the captions
    own: torch.Tensor  # [width of the image tower, own], the pictures' own dimensions
    length: float  # mean, of texts
    scale: float  # of the colours


@torch.no_grad()
def prepare(part: Pairs, own: int, palette: float) -> Start:
    """Return what `solve` needs of ``part``: moments of its captions, and of its pictures in all their views."""
    head = part.dual.clip.visual.head.proj
    texts = torch.cat([part.means(rows) for rows in blocks(len(part.texts))]).double().cpu()
    require_finite(texts, "finetune: the text tower's features of captions")
    usual = functional.normalize(
        texts.mean(0), dim=0
    )  # E5's cosines are all near 1, because one direction is in every text
    apart = torch.eye(len(usual), dtype=torch.float64) - torch.outer(usual, usual)
    told = (texts @ apart)[part.pairs["text"].tolist()]
    weights = torch.tensor(part.pairs["weight"].tolist(), dtype=torch.float64)[:, None]
    target = torch.zeros(len(part.keys), len(usual), dtype=torch.float64)
    target.index_add_(0, torch.tensor(part.pairs["item"].tolist()), told * weights)
    mean, width, scale = target.mean(0), head.in_features, palette * head.in_features**0.5
    said = ((told - mean) * weights).T @ (told - mean) / len(part.keys)
    colours = torch.zeros(len(part.keys), 0) if part.colours is None else part.colours * scale
    moments = Moments(width + colours.shape[1], len(usual))
    for rows in blocks(len(part.keys)):
        views = torch.stack(
            [part.features(rows, view=view).double().cpu() for view in range(part.rules.views)], 1
        )
        require_finite(views, "finetune: the image tower's features of pictures")
        moments.add(
            torch.cat([views, colours[rows, None].double().expand(-1, views.shape[1], -1)], 2),
            target[rows],
        )
    return Start(
        moments,
        apart,
        mean,
        said,
        moments.discriminant(width, own),
        float((texts @ apart).norm(dim=1).mean()),
        scale,
    )


@torch.no_grad()
def solve(dual: Dual, start: Start, penalty: float) -> None:
    """Set the projections of ``dual`` in closed form, from what the towers make of pictures and captions before any training.

    Texts and pictures meet in their canonical variates, those of pictures weighed by the correlation to the power `POWER`
    (Gong et al. 2014). The last dimensions hold `Moments.discriminant`, where texts are zero: between two pictures they keep
    what no caption says. Light changes colours more than shapes, so they are of the tower alone.
    """
    text, head = dual.clip.text, dual.clip.visual.head.proj
    width, own = head.in_features, start.own.shape[1]
    mean, deviation, seen, together = start.moments.standard(start.mean, standardised=width)
    image, said, correlations = canonical(seen, together, start.said, penalty)
    shared = min(len(correlations), head.out_features - own)
    image = image[:, :shared] * correlations[:shared] ** POWER
    image /= (image * (seen @ image)).sum().sqrt()  # to a mean square of 1
    covariance = (seen * torch.outer(deviation, deviation))[:width, :width]
    private = torch.zeros(len(mean), own, dtype=torch.float64)
    private[:width] = (
        start.own * (OWN / (start.own * (covariance @ start.own)).sum().clamp(min=1e-12)).sqrt()
    )
    learned = torch.cat([image / deviation[:, None], private], 1)
    require_finite(learned, f"finetune: the projections of canonical: {penalty:g}")
    for weight in (text.proj.weight, head.weight, head.bias):
        nn.init.zeros_(weight)
    text.proj.weight[:shared] = (start.apart @ said[:, :shared] / start.length).T.to(
        text.proj.weight
    )
    head.weight[: shared + own] = learned[:width].T.to(head.weight)
    if dual.palette is not None:
        dual.palette.weight[: shared + own] = start.scale * learned[width:].T.to(head.weight)
    head.bias[: shared + own] = (-mean @ learned).to(head.bias)


def best_penalty(validation: Pairs, start: Start, penalties: Sequence[float]) -> float:
    """Return which of ``penalties`` leads to the highest MRR@10 of ``validation``, both ways; the projections are left at some of them."""

    def quality(penalty: float) -> float:
        solve(validation.dual, start, penalty)
        return validation.score()

    return max(penalties, key=quality)
