"""How real the generator's faces are, and whether it only remembers those that it has seen.

The Fréchet distance here is not the FID of papers: it is taken on EfficientNet-lite0's features,
reduced by PCA, so that some hundred faces are enough; its numbers compare with each other only.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from beauty_models.families import Metrics
from beauty_models.makeup import metrics

Matrix = NDArray[np.float64]

DIMENSIONS = 48  # of the features, at most; a covariance needs many more faces than it has columns
COMPONENTS = 64  # of the pixels, for the Gaussian sampler
SMALL = 16  # pixels a side in which nearest neighbours are looked for
NAME = "effnet_frechet_distance"


def pca(rows: Matrix, components: int) -> tuple[Matrix, Matrix, Matrix]:
    """Return mean [width], axes [components, width] and deviations [components] of ``rows``."""
    mean = rows.mean(0)
    _, singular, axes = np.linalg.svd(rows - mean, full_matrices=False)
    n, width = rows.shape
    # n rows differ in n - 1 directions.
    count = min(components, n - 1, width)
    deviations = singular[:count] / np.sqrt(max(1, n - 1))
    return mean, axes[:count], deviations


def frechet_distance(first: Matrix, second: Matrix) -> float:
    """Return the squared Fréchet distance of two Gaussians that are fitted to rows [n, width]."""
    apart = first.mean(0) - second.mean(0)
    covariance = np.atleast_2d(np.cov(first.T))
    other = np.atleast_2d(np.cov(second.T))
    # The trace of the product's square root is the sum of the roots of its eigenvalues, which are
    # real and not negative, but for rounding.
    values = np.linalg.eigvals(covariance @ other).real
    root = np.sqrt(np.clip(values, 0, None)).sum()
    spread = np.trace(covariance) + np.trace(other)
    return float(apart @ apart + spread - 2 * root)


def gaussian_samples(images: torch.Tensor, count: int, seed: int) -> torch.Tensor:
    """Return ``count`` faces of a Gaussian over the principal components of ``images``.

    They are uint8 [count, 3, side, side], the simplest generator there is: eigenfaces at random.
    """
    rows = images.flatten(1).numpy().astype(np.float64)
    mean, axes, deviations = pca(rows, COMPONENTS)
    random = np.random.default_rng(seed)
    z = random.standard_normal((count, len(axes)))
    values = mean + (z * deviations) @ axes
    pixels = np.clip(np.round(values), 0, 255)
    faces = torch.from_numpy(pixels.astype(np.uint8))
    return faces.reshape(count, *images.shape[1:])


def _small(images: torch.Tensor) -> Matrix:
    size = (SMALL, SMALL)
    small = torch.nn.functional.interpolate(images.float(), size, mode="area")
    return np.asarray(small.flatten(1).numpy(), np.float64)


def memorized(samples: torch.Tensor, train: torch.Tensor) -> float:
    """Return the share of ``samples`` that are nearer to a training face than its own neighbour is.

    Authenticity (Alaa et al. 2022): a copy is nearer to the face that it copies than any other
    training face. Distances are those of pixels.
    """
    known = _small(train)
    drawn = _small(samples)
    between = _distances(known, known)
    np.fill_diagonal(between, np.inf)  # nobody is their own neighbour
    own = between.min(1)
    to_known = _distances(drawn, known)
    nearest = to_known.argmin(1)
    copies = to_known.min(1) < own[nearest]
    return float(copies.mean())


def _distances(first: Matrix, second: Matrix) -> Matrix:
    # The binomial formula: differences of all pairs at once would take gigabytes.
    lengths = (first**2).sum(1)
    other_lengths = (second**2).sum(1)
    products = first @ second.T
    squares = lengths[:, None] + other_lengths[None] - 2 * products
    return np.asarray(np.sqrt(np.clip(squares, 0, None)))


def generator_figures(
    samples: torch.Tensor, train: torch.Tensor, test: torch.Tensor, seed: int
) -> Metrics:
    """Return the generator's figures beside those of a Gaussian and of real faces.

    All pictures are uint8 [n, 3, side, side]. ``effnet_frechet_distance`` is that of ``samples``
    from ``test``, smaller is better; ``pca_gaussian/…`` that of `gaussian_samples`;
    ``effnet_frechet_floor`` that of training faces, below which no generator comes but by chance.
    ``memorized`` is the share of `memorized`, ``memorized_floor`` that of test faces.
    """
    # The distance of few pictures is larger than that of many: all three have the same number.
    random = np.random.default_rng(seed)
    count = min(len(samples), len(train))
    chosen = random.permutation(len(train))[:count]
    of_test = _features(test)
    fewest = min(count, len(test))
    dimensions = min(DIMENSIONS, max(2, fewest // 3))
    mean, axes, _ = pca(of_test, dimensions)

    def distance(pictures: torch.Tensor) -> float:
        reduced = (_features(pictures) - mean) @ axes.T
        return frechet_distance(reduced, (of_test - mean) @ axes.T)

    return {
        NAME: distance(samples[:count]),
        f"pca_gaussian/{NAME}": distance(gaussian_samples(train, count, seed)),
        "effnet_frechet_floor": distance(train[torch.from_numpy(chosen)]),
        "memorized": memorized(samples, train),
        "memorized_floor": memorized(test, train),
    }


def _features(pictures: torch.Tensor) -> Matrix:
    return metrics.features(pictures).astype(np.float64)
