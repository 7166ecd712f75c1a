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


def pca(rows: Matrix, components: int) -> tuple[Matrix, Matrix, Matrix]:
    """Return mean [width], axes [components, width] and deviations [components] of ``rows``."""
    mean = rows.mean(0)
    _, singular, axes = np.linalg.svd(rows - mean, full_matrices=False)
    count = min(components, len(rows) - 1, rows.shape[1])
    deviations = singular[:count] / np.sqrt(max(1, len(rows) - 1))
    return mean, axes[:count], deviations


def frechet_distance(first: Matrix, second: Matrix) -> float:
    """Return the squared Fréchet distance of two Gaussians that are fitted to rows [n, width]."""
    apart = first.mean(0) - second.mean(0)
    covariance = np.atleast_2d(np.cov(first.T))
    other = np.atleast_2d(np.cov(second.T))
    # The eigenvalues of a product of covariances are real and not negative, but for rounding.
    values = np.linalg.eigvals(covariance @ other).real
    root = np.sqrt(np.clip(values, 0, None)).sum()
    return float(apart @ apart + np.trace(covariance) + np.trace(other) - 2 * root)


def gaussian_samples(images: torch.Tensor, count: int, seed: int) -> torch.Tensor:
    """Return ``count`` faces of a Gaussian over the principal components of ``images``.

    They are uint8 [count, 3, side, side], the simplest generator there is: eigenfaces at random.
    """
    rows = images.flatten(1).numpy().astype(np.float64)
    mean, axes, deviations = pca(rows, COMPONENTS)
    random = np.random.default_rng(seed)
    drawn = random.standard_normal((count, len(axes))) * deviations
    pixels = np.clip(np.round(mean + drawn @ axes), 0, 255).astype(np.uint8)
    return torch.from_numpy(pixels).reshape(count, *images.shape[1:])


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
    np.fill_diagonal(between, np.inf)
    own = between.min(1)
    to_known = _distances(drawn, known)
    nearest = to_known.argmin(1)
    return float((to_known.min(1) < own[nearest]).mean())


def _distances(first: Matrix, second: Matrix) -> Matrix:
    squares = (first**2).sum(1)[:, None] + (second**2).sum(1)[None] - 2 * first @ second.T
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
    chosen = torch.from_numpy(random.permutation(len(train))[:count])
    pictures = {
        "generator": samples[:count],
        "gaussian": gaussian_samples(train, count, seed),
        "train": train[chosen],
        "test": test,
    }
    features = {name: metrics.features(some).astype(np.float64) for name, some in pictures.items()}
    dimensions = min(DIMENSIONS, max(2, min(count, len(test)) // 3))
    mean, axes, _ = pca(features["test"], dimensions)
    reduced = {name: (rows - mean) @ axes.T for name, rows in features.items()}
    name = "effnet_frechet_distance"
    return {
        name: frechet_distance(reduced["generator"], reduced["test"]),
        f"pca_gaussian/{name}": frechet_distance(reduced["gaussian"], reduced["test"]),
        "effnet_frechet_floor": frechet_distance(reduced["train"], reduced["test"]),
        "memorized": memorized(samples, train),
        "memorized_floor": memorized(test, train),
    }
