"""The closed form of the pictures' own dimensions, against scipy's generalised eigenvectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import eigh

from beauty_models.common.ridge import Moments


def test_own_dimensions_are_those_that_views_of_a_picture_share() -> None:
    random, pictures, views = np.random.default_rng(0), 40, 6
    signal, noise = random.normal(size=(pictures, 1)), random.normal(size=(pictures, views))
    features = np.stack([signal.repeat(views, 1) + 0.1 * random.normal(size=noise.shape), 2 * noise], 2)  # the second differs between views only
    moments = Moments(2, 1)
    for rows in np.split(np.arange(pictures), 4):
        moments.add(torch.from_numpy(features[rows]), torch.zeros(len(rows), 1, dtype=torch.float64))
    means = features.mean(1)
    within = np.cov((features - means[:, None]).reshape(-1, 2).T, ddof=0)
    theirs = eigh(np.cov(means.T, ddof=0), within + within.trace() / 2 * np.eye(2))[1][:, -1]
    ours = moments.discriminant(2, 1)[:, 0].numpy()
    assert abs(ours @ theirs) == pytest.approx(np.linalg.norm(ours) * np.linalg.norm(theirs))
    assert abs(np.corrcoef(means @ ours, signal[:, 0])[0, 1]) > 0.95
    alone = Moments(2, 1)
    alone.add(torch.from_numpy(features[:, :1]), torch.zeros(pictures, 1, dtype=torch.float64))
    assert abs(alone.discriminant(2, 1)[1, 0]) > 0.9  # one view a picture: where pictures differ most
