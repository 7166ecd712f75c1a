"""The Fréchet distance of two sets of pictures, on features that the caller computes.

It is not the FID of papers, which is taken on one certain network: what measures by it names its
own extractor, and its numbers compare with each other only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

DIMENSIONS = 48  # of the features, at most; a covariance needs many more rows than it has columns


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


def reduced_distance(features: Matrix, reference: Matrix, count: int) -> float:
    """Return the Fréchet distance of ``features`` from ``reference``, both reduced by PCA.

    The axes are those of ``reference``; of few rows (``count`` of the smallest set that is
    compared) there are few, so that some hundred pictures are enough.
    """
    dimensions = min(DIMENSIONS, max(2, count // 3))
    mean, axes, _ = pca(reference, dimensions)
    return frechet_distance((features - mean) @ axes.T, (reference - mean) @ axes.T)
