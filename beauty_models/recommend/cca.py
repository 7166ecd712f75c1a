"""Projections of two towers that never met, in closed form: canonical correlation analysis.

It finds the directions in which captions and pictures vary together (Hotelling 1936). What was
tried before it, with numbers: docs/decisions/2026-11-25-pictures.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from beauty_models.recommend.openclip import DualEncoder
from beauty_models.recommend.pairs import ImageTextPairs, row_blocks
from beauty_models.training.finite import require_finite

MIN_DEVIATION = 0.02  # added to deviations that are divided by: a dead feature stays small
# Variance of the image-only dimensions, that of the shared ones being 1. Distorted photo → photo
# had MRR@10 0.941 with 3 and 0.948 with 8; text → photo lost 0.002.
IMAGE_ONLY_VARIANCE = 8.0
# Dimensions are weighed by their canonical correlation to this power (Gong et al. 2014): what texts
# and pictures hardly share hardly counts. Text → photo had MRR@10 0.527 with 1 and a penalty of 3,
# 0.555 with 2 and 10.
CORRELATION_POWER = 2


class StandardMoments(NamedTuple):
    """Moments of features and targets; features from ``standardised`` on are only centred."""

    mean: torch.Tensor  # [width]
    deviation: torch.Tensor  # [width]
    correlation: torch.Tensor  # [width, width]
    cross_covariance: torch.Tensor  # [width, d], of features with targets


class FeatureMoments:
    """Sums over pictures and their views, of features and targets [n, d].

    Means, covariances and the discriminant follow from them. They are kept in float64: a covariance
    is a small difference of large sums.
    """

    def __init__(self, width: int, dimension: int) -> None:
        self.count = 0
        self.sums = torch.zeros(width, dtype=torch.float64)
        self.squares = torch.zeros(width, width, dtype=torch.float64)
        # of the mean over the views of a picture
        self.between = torch.zeros(width, width, dtype=torch.float64)
        self.products = torch.zeros(width, dimension, dtype=torch.float64)

    def add(self, features: torch.Tensor, targets: torch.Tensor) -> None:
        """Count more pictures in: ``features`` [n, views, width], ``targets`` [n, d]."""
        n, views, width = features.shape
        rows = features.reshape(-1, width)
        means = features.mean(1)
        # `between` is weighted by the views, so that it is a part of `squares`
        self.count += n * views
        self.sums += rows.sum(0)
        self.squares += rows.T @ rows
        self.between += views * means.T @ means
        self.products += views * means.T @ targets

    def standard(self, target_mean: torch.Tensor, standardised: int) -> StandardMoments:
        """Return the moments with the first ``standardised`` features divided by their deviation.

        Args:
            target_mean: [d] is taken off the targets.
        """
        mean = self.sums / self.count
        variance = (self.squares.diagonal() / self.count - mean**2).clamp(min=0)
        deviation = variance.sqrt() + MIN_DEVIATION
        deviation[standardised:] = 1.0
        covariance = self.squares / self.count - torch.outer(mean, mean)
        correlation = covariance / torch.outer(deviation, deviation)
        cross = self.products / self.count - torch.outer(mean, target_mean)
        return StandardMoments(mean, deviation, correlation, cross / deviation[:, None])

    def discriminant(self, width: int, dimension: int) -> torch.Tensor:
        """Return a projection [width, dimension] of the first ``width`` features.

        Its directions are those in which pictures differ most beside their own views: linear
        discriminant analysis with a picture as a class. The covariance within a picture, shrunk
        half way to a multiple of the identity, is whitened (WCCN: Hatch et al. 2006), and the
        principal axes of the pictures' means follow. With one view a picture, they are principal
        components.
        """
        mean = (self.sums / self.count)[:width]
        between = (self.between / self.count)[:width, :width]
        within = (self.squares / self.count)[:width, :width] - between
        noise = within.diagonal().mean()
        # one view a picture: nothing varies within it, and whitening by zero would give infinity
        penalty = float(noise) if noise > 1e-9 else 1.0
        whitening = _whitening(within, penalty)
        centred = between - torch.outer(mean, mean)
        axes = torch.linalg.svd(whitening @ centred @ whitening)[0]
        projection: torch.Tensor = whitening @ axes[:, :dimension]
        return projection


def _whitening(covariance: torch.Tensor, penalty: float) -> torch.Tensor:
    """Return the inverse square root of ``covariance`` [d, d] + ``penalty`` × identity."""
    identity = torch.eye(len(covariance), dtype=torch.float64)
    values, axes = torch.linalg.eigh(covariance + penalty * identity)
    inverse_root: torch.Tensor = (axes / values.sqrt()) @ axes.T
    return inverse_root


class CanonicalVariates(NamedTuple):
    """The directions in which two sides vary together."""

    image: torch.Tensor  # [width, k] projects pictures
    text: torch.Tensor  # [d, k] projects texts
    correlations: torch.Tensor  # [k], falling


def canonical_correlation(
    image_covariance: torch.Tensor,
    cross_covariance: torch.Tensor,
    text_covariance: torch.Tensor,
    penalty: float,
) -> CanonicalVariates:
    """Return the canonical variates of pictures and texts, k of them, the strongest first.

    Both sides are regularised (Vinod 1976), for there are more dimensions than products: pictures
    by ``penalty``, texts by their mean variance.

    Args:
        image_covariance: [width, width].
        cross_covariance: [width, d].
        text_covariance: [d, d].
    """
    left = _whitening(image_covariance, penalty)
    right = _whitening(text_covariance, float(text_covariance.diagonal().mean()))
    whitened = left @ cross_covariance @ right
    image, correlations, text = torch.linalg.svd(whitened, full_matrices=False)
    return CanonicalVariates(left @ image, right @ text.T, correlations)


@dataclass(frozen=True)
class CCAStatistics:
    """What the closed form needs of a part, whatever the penalty.

    ``width`` is that of the image tower, ``d`` that of the text tower.
    """

    moments: FeatureMoments  # of pictures, and of the mean over a picture's captions
    without_common_direction: torch.Tensor  # [d, d] takes out what is in every text
    caption_mean: torch.Tensor  # [d]
    caption_covariance: torch.Tensor  # [d, d]
    image_only: torch.Tensor  # [width, image-only dimensions], their projection
    mean_text_norm: float
    color_scale: float  # the factor on color histograms


def _caption_targets(
    part: ImageTextPairs, texts: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return what pictures are to be mapped to, from the features ``texts`` of captions.

    Returns:
        [pictures, d] the weighted mean over each picture's captions; their mean [d]; the
        covariance [d, d] of captions around it.
    """
    captions = texts[part.pairs["text"].tolist()]
    weights = torch.tensor(part.pairs["weight"].tolist(), dtype=torch.float64)[:, None]
    targets = torch.zeros(len(part.keys), texts.shape[1], dtype=torch.float64)
    targets.index_add_(0, torch.tensor(part.pairs["item"].tolist()), captions * weights)
    mean = targets.mean(0)
    centred = captions - mean
    covariance = (centred * weights).T @ centred / len(part.keys)
    return targets, mean, covariance


@torch.no_grad()
def collect_statistics(
    part: ImageTextPairs,
    image_only_dimensions: int,
    color_histogram_weight: float,
) -> CCAStatistics:
    """Return what `fit_cca` needs of ``part``: of its captions, and its pictures in all views."""
    width = part.encoder.clip.visual.head.proj.in_features
    blocks = [part.text_features(rows) for rows in row_blocks(len(part.texts))]
    texts = torch.cat(blocks).double().cpu()
    require_finite(texts, "finetune: the text tower's features of captions")
    # E5's cosines are all near 1, because one direction is in every text
    common = functional.normalize(texts.mean(0), dim=0)
    identity = torch.eye(len(common), dtype=torch.float64)
    without_common = identity - torch.outer(common, common)
    targets, mean, covariance = _caption_targets(part, texts @ without_common)

    # a histogram has length 1, the standardised features a mean square length of `width`:
    # with a weight of 1 both count alike
    scale = color_histogram_weight * width**0.5
    colors = torch.zeros(len(part.keys), 0)
    if part.colors is not None:
        colors = part.colors * scale
    moments = FeatureMoments(width + colors.shape[1], len(common))
    for rows in row_blocks(len(part.keys)):
        views = [
            part.image_features(rows, view=view).double().cpu() for view in range(part.params.views)
        ]
        features = torch.stack(views, 1)
        require_finite(features, "finetune: the image tower's features of pictures")
        views_per_photo = features.shape[1]
        same_in_all_views = colors[rows, None].double().expand(-1, views_per_photo, -1)
        moments.add(torch.cat([features, same_in_all_views], 2), targets[rows])
    return CCAStatistics(
        moments,
        without_common,
        mean,
        covariance,
        moments.discriminant(width, image_only_dimensions),
        float((texts @ without_common).norm(dim=1).mean()),
        scale,
    )


@torch.no_grad()
def fit_cca(
    encoder: DualEncoder,
    statistics: CCAStatistics,
    penalty: float,
) -> None:
    """Set the projections of ``encoder`` in closed form.

    Texts and pictures meet in their canonical variates. The last dimensions hold
    `FeatureMoments.discriminant`, where texts are zero: between two pictures they keep what no
    caption says. Light changes colors more than shapes, so they are of the tower alone.
    """
    text = encoder.clip.text
    head = encoder.clip.visual.head.proj
    width = head.in_features
    image_only = statistics.image_only
    moments = statistics.moments.standard(statistics.caption_mean, standardised=width)
    variates = canonical_correlation(
        moments.correlation, moments.cross_covariance, statistics.caption_covariance, penalty
    )
    shared = min(len(variates.correlations), head.out_features - image_only.shape[1])
    used = shared + image_only.shape[1]

    importance = variates.correlations[:shared] ** CORRELATION_POWER
    image = variates.image[:, :shared] * importance
    image /= (image * (moments.correlation @ image)).sum().sqrt()  # to a mean square of 1
    deviation = moments.deviation
    covariance = (moments.correlation * torch.outer(deviation, deviation))[:width, :width]
    variance = (image_only * (covariance @ image_only)).sum().clamp(min=1e-12)
    padded = torch.zeros(len(deviation), image_only.shape[1], dtype=torch.float64)
    padded[:width] = image_only * (IMAGE_ONLY_VARIANCE / variance).sqrt()
    projection = torch.cat([image / deviation[:, None], padded], 1)
    require_finite(projection, f"finetune: the projections of cca_penalties: {penalty:g}")

    for weight in (text.proj.weight, head.weight, head.bias):
        nn.init.zeros_(weight)
    from_text = statistics.without_common_direction @ variates.text[:, :shared]
    from_text = from_text / statistics.mean_text_norm
    text.proj.weight[:shared] = from_text.T.to(text.proj.weight)
    head.weight[:used] = projection[:width].T.to(head.weight)
    if encoder.color_projection is not None:
        # scaled in float32: rounded in another order, the starter would be another model
        from_colors = projection[width:].T.to(head.weight)
        encoder.color_projection.weight[:used] = statistics.color_scale * from_colors
    head.bias[:used] = (-moments.mean @ projection).to(head.bias)


def best_penalty(
    validation: ImageTextPairs,
    statistics: CCAStatistics,
    penalties: Sequence[float],
) -> float:
    """Return which of ``penalties`` leads to the highest MRR@10 of ``validation``, both ways.

    The projections are left as the last of ``penalties`` sets them.
    """

    def quality(penalty: float) -> float:
        fit_cca(validation.encoder, statistics, penalty)
        return validation.retrieval_score()

    return max(penalties, key=quality)
