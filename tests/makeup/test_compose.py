"""A change goes back into the photo where it belongs, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut

from beauty_models.makeup import alignment, compose

SIDE = 64


def aligned(scale: float, angle: float) -> alignment.Alignment:
    """Return the alignment of a face in the middle of a 512 pixel photo, turned by degrees."""
    turn = np.radians(angle)
    across = np.array([np.cos(turn), np.sin(turn)]) * scale
    down = np.array([-np.sin(turn), np.cos(turn)]) * scale
    center = np.array([250.0, 240.0])
    return alignment.from_points(center - across, center + across, center + 2.2 * down)


@pytest.mark.parametrize("scale", [8, 40, 90])
@pytest.mark.parametrize("angle", [0, 25, -160])
def test_pixels_of_mask_zero_keep_their_bytes(scale: float, angle: float) -> None:
    photo = astronaut()
    rng = np.random.default_rng(3)
    mask = np.zeros(photo.shape[:2], np.float32)
    mask[180:330, 150:340] = rng.random((150, 190), np.float32) * (rng.random((150, 190)) > 0.3)
    delta = rng.normal(0, 0.5, (SIDE, SIDE, 3)).astype(np.float32)
    before = photo.copy()
    composed = compose.apply(photo, aligned(scale, angle), delta, mask)
    assert (photo == before).all()
    assert (composed[mask == 0] == photo[mask == 0]).all()
    assert (composed != photo).any()


@pytest.mark.parametrize("scale", [12, 40, 100])
def test_change_lands_on_the_place_that_it_was_computed_for(scale: float) -> None:
    photo = np.full((512, 512, 3), 100, np.uint8)
    face = aligned(scale, 20)
    delta = np.zeros((SIDE, SIDE, 3), np.float32)
    # the square's point (0.7, 0.3), wide enough for any scale
    delta[16:22, 42:48] = 0.4
    composed = compose.apply(photo, face, delta, np.ones((512, 512), np.float32))
    weight = (composed[..., 0].astype(float) - 100).clip(0)
    rows, columns = np.indices(weight.shape)
    found = np.array([(columns * weight).sum(), (rows * weight).sum(), weight.sum()])
    x, y = found[:2] / found[2]
    place = face.matrix @ np.array([x, y, 1.0])
    assert place == pytest.approx([45 / SIDE, 19 / SIDE], abs=0.02)


def test_whole_change_where_the_mask_is_full() -> None:
    photo = np.full((512, 512, 3), 100, np.uint8)
    delta = np.full((SIDE, SIDE, 3), 0.2, np.float32)
    mask = np.zeros((512, 512), np.float32)
    mask[220:260, 230:270] = 1
    mask[220:260, 270:280] = 0.5
    composed = compose.apply(photo, aligned(40, 0), delta, mask)
    assert set(composed[225:255, 235:265].ravel().tolist()) <= {125, 126}
    assert set(composed[225:255, 272:278].ravel().tolist()) <= {112, 113}


def test_box_of_nothing_is_none() -> None:
    empty: NDArray[np.float32] = np.zeros((20, 30), np.float32)
    assert compose.box_of(empty) is None
    empty[4:7, 9:11] = 1e-6
    assert compose.box_of(empty) == (slice(4, 7), slice(9, 11))
    photo = np.zeros((20, 30, 3), np.uint8)
    delta = np.ones((SIDE, SIDE, 3), np.float32)
    nothing = np.zeros((20, 30), np.float32)
    assert (compose.apply(photo, aligned(8, 0), delta, nothing) == photo).all()
