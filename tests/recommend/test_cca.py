"""The closed forms of shared and of own dimensions, against scipy's generalised eigenvectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import eigh

from beauty_models.recommend.cca import FeatureMoments, canonical_correlation


def test_canonical_variates_are_those_of_the_generalised_eigenproblem() -> None:
    random = np.random.default_rng(1)
    shared = random.normal(size=(200, 2))
    seen, said = (
        shared @ random.normal(size=(2, width)) + random.normal(size=(200, width))
        for width in (7, 5)
    )
    seen, said = seen - seen.mean(0), said - said.mean(0)
    covariances = [a.T @ b / 200 for a, b in ((seen, seen), (seen, said), (said, said))]
    image, text, correlations = canonical_correlation(
        *(torch.from_numpy(one) for one in covariances), 0.4
    )
    xx, xy, yy = covariances
    both = np.block([[np.zeros((7, 7)), xy], [xy.T, np.zeros((5, 5))]])
    scale = np.block(
        [
            [xx + 0.4 * np.eye(7), np.zeros((7, 5))],
            [np.zeros((5, 7)), yy + yy.trace() / 5 * np.eye(5)],
        ]
    )
    values, vectors = eigh(both, scale)
    np.testing.assert_allclose(correlations.numpy(), values[::-1][:5], atol=1e-9)
    for k in range(2):
        theirs, ours = vectors[:, -1 - k], np.concatenate([image[:, k].numpy(), text[:, k].numpy()])
        assert abs(theirs @ ours) == pytest.approx(np.linalg.norm(theirs) * np.linalg.norm(ours))


def test_own_dimensions_are_those_that_views_of_a_picture_share() -> None:
    random, pictures, views = np.random.default_rng(0), 40, 6
    signal, noise = random.normal(size=(pictures, 1)), random.normal(size=(pictures, views))
    features = np.stack(
        [signal.repeat(views, 1) + 0.1 * random.normal(size=noise.shape), 2 * noise], 2
    )  # the second differs between views only
    moments = FeatureMoments(2, 1)
    for rows in np.split(np.arange(pictures), 4):
        moments.add(
            torch.from_numpy(features[rows]), torch.zeros(len(rows), 1, dtype=torch.float64)
        )
    means = features.mean(1)
    within = np.cov((features - means[:, None]).reshape(-1, 2).T, ddof=0)
    theirs = eigh(np.cov(means.T, ddof=0), within + within.trace() / 2 * np.eye(2))[1][:, -1]
    ours = moments.discriminant(2, 1)[:, 0].numpy()
    assert abs(ours @ theirs) == pytest.approx(np.linalg.norm(ours) * np.linalg.norm(theirs))
    assert abs(np.corrcoef(means @ ours, signal[:, 0])[0, 1]) > 0.95
    alone = FeatureMoments(2, 1)
    alone.add(torch.from_numpy(features[:, :1]), torch.zeros(pictures, 1, dtype=torch.float64))
    assert (
        abs(alone.discriminant(2, 1)[1, 0]) > 0.9
    )  # one view a picture: where pictures differ most
