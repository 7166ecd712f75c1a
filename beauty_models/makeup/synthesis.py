"""How real the generator's faces are, and whether it only remembers those that it has seen.

The Fréchet distance here is not the FID of papers: it is taken on EfficientNet-lite0's features,
reduced by PCA, so that some hundred faces are enough; its numbers compare with each other only.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from beauty_models.backbones import efficientnet
from beauty_models.evaluation.frechet import pca, reduced_distance
from beauty_models.families import Metrics

Matrix = NDArray[np.float64]

COMPONENTS = 64  # of the pixels, for the Gaussian sampler
SMALL = 16  # pixels a side in which nearest neighbours are looked for
NAME = "effnet_frechet_distance"


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

    def distance(pictures: torch.Tensor) -> float:
        return reduced_distance(_features(pictures), of_test, fewest)

    return {
        NAME: distance(samples[:count]),
        f"pca_gaussian/{NAME}": distance(gaussian_samples(train, count, seed)),
        "effnet_frechet_floor": distance(train[torch.from_numpy(chosen)]),
        "memorized": memorized(samples, train),
        "memorized_floor": memorized(test, train),
    }


def _features(pictures: torch.Tensor) -> Matrix:
    return efficientnet.features(pictures).astype(np.float64)
