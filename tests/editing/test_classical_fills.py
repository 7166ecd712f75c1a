"""Fills that learn nothing, and the window that moves along a hole in a large photo."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from skimage.data import astronaut

from beauty_models.editing.crop import inpaint_large
from beauty_models.editing.fills import FILLS

SIDE = 64


def photo(height: int = 96, width: int = 80) -> Any:
    return astronaut()[100 : 100 + height, 150 : 150 + width].copy()


def error(filled: Any, truth: Any, hole: Any) -> float:
    difference = filled[hole].astype(float) - truth[hole]
    return float(np.sqrt(np.square(difference).mean()))


@pytest.mark.parametrize("name", FILLS)
def test_a_fill_changes_the_hole_only_and_never_looks_into_it(name: str) -> None:
    image = photo()
    hole = np.zeros(image.shape[:2], bool)
    hole[20:50, 0:30] = True
    hole[80, 60] = True
    filled = FILLS[name](image, hole)
    assert filled.dtype == np.uint8
    assert (filled[~hole] == image[~hole]).all()
    other = image.copy()
    other[hole] = 255 - other[hole]
    assert (FILLS[name](other, hole)[hole] == filled[hole]).all()
    unchanged = FILLS[name](image, np.zeros_like(hole))
    assert (unchanged == image).all()


@pytest.mark.parametrize("name", FILLS)
def test_what_cannot_be_filled_is_refused(name: str) -> None:
    image = photo()
    with pytest.raises(ValueError, match="covers the whole photo"):
        FILLS[name](image, np.ones(image.shape[:2], bool))
    with pytest.raises(ValueError, match="they need one size"):
        FILLS[name](image, np.ones((5, 5), bool))


def test_each_fill_does_what_it_is_for() -> None:
    down, across = np.mgrid[0:SIDE, 0:SIDE]
    hole = np.zeros((SIDE, SIDE), bool)
    hole[24:40, 24:40] = True
    slope = np.repeat((40 + 2 * down + across)[..., None], 3, 2).astype(np.uint8)
    errors = {name: error(fill(slope, hole), slope, hole) for name, fill in FILLS.items()}
    # The edge's colors continue over a slope, its mean does not.
    assert errors["telea"] < 0.6 * errors["mean_fill"]
    assert errors["navier_stokes"] < 0.6 * errors["mean_fill"]
    checks = np.where((down // 4 + across // 4) % 2, 220, 30)[..., None]
    checks = np.repeat(checks, 3, 2).astype(np.uint8)
    errors = {name: error(fill(checks, hole), checks, hole) for name, fill in FILLS.items()}
    # Only patches know of a pattern.
    assert errors["patch"] < 0.5 * min(value for name, value in errors.items() if name != "patch")


class Filler:
    """A filler that paints red, and notes how much it was shown."""

    def __init__(self) -> None:
        self.shares: list[float] = []

    def __call__(self, images: Any, gaps: Any) -> Any:
        assert images.shape[1:] == (SIDE, SIDE, 3) and gaps.shape[1:] == (SIDE, SIDE)
        self.shares.append(float(gaps.mean()))
        return np.where(gaps[..., None], np.uint8([250, 0, 0]), 255 - images)


@pytest.mark.parametrize(
    ("shape", "box", "scale"),
    [
        ((512, 512), (250, 253, 10, 500), 1.0),  # a scratch
        ((512, 400), (0, 30, 0, 30), 1.0),  # a corner
        ((40, 300), (10, 30, 250, 300), 0.9),  # lower than the window
        ((30, 20), (5, 20, 5, 15), 1.0),  # smaller than it
        ((512, 512), (100, 400, 100, 400), 0.12),  # wider than it sees
    ],
)
def test_a_hole_in_a_photo_of_any_size_is_filled_and_nothing_else(
    shape: tuple[int, int], box: tuple[int, int, int, int], scale: float
) -> None:
    image = np.resize(astronaut(), (*shape, 3))
    hole = np.zeros(shape, bool)
    hole[box[0] : box[1], box[2] : box[3]] = True
    filler = Filler()
    filled = inpaint_large(image, hole, filler, SIDE)
    assert (filled.image[~hole] == image[~hole]).all()
    # Where it was seen smaller, what is around the hole comes in at its edge.
    inner = hole.copy()
    inner[:, :-1] &= hole[:, 1:]
    red = filled.image[hole][:, 0]
    assert (red > 200).mean() > 0.9
    assert filled.scale == pytest.approx(scale, abs=0.1)
    # There is something to fill it from in every window.
    assert max(filler.shares) < 0.8


def test_a_hole_that_is_nothing_or_all_is_refused() -> None:
    image = photo()
    nothing = np.zeros(image.shape[:2], bool)
    with pytest.raises(ValueError, match="the hole is empty"):
        inpaint_large(image, nothing, Filler(), SIDE)
    with pytest.raises(ValueError, match="covers the whole photo"):
        inpaint_large(image, ~nothing, Filler(), SIDE)
    with pytest.raises(ValueError, match="they need one size"):
        inpaint_large(image, nothing[:5], Filler(), SIDE)
