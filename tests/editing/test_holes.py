"""Holes: their shares, that a seed decides them, and what those that people draw are like."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from beauty_models.editing import holes
from beauty_models.editing.holes import KINDS, draw, kind_of


@pytest.fixture(scope="module")
def masks() -> Any:
    """Return outlines of a bottle, of a thin strap, and none at all."""
    masks = np.zeros((90, 64, 64), np.uint8)
    masks[0::3, 20:60, 24:40] = 255
    masks[0::3, 8:20, 29:35] = 255
    masks[1::3, 4:60, 31:32] = 255
    return masks


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", [32, 64])
def test_holes_leave_most_of_a_photo_and_a_seed_decides_them(
    kind: str, side: int, masks: Any
) -> None:
    masks = masks[:, :: 64 // side, :: 64 // side]
    drawn = draw(kind, np.random.default_rng(3), masks)
    assert drawn.shape == masks.shape and drawn.dtype == bool
    shares = drawn.mean((1, 2))
    assert shares.min() >= holes.SMALLEST and shares.max() <= holes.LARGEST
    assert shares.std() > 0.05  # small ones and large ones
    assert len(np.unique(drawn.reshape(len(drawn), -1), axis=0)) > 0.8 * len(drawn)
    assert (draw(kind, np.random.default_rng(3), masks) == drawn).all()
    assert (draw(kind, np.random.default_rng(4), masks) != drawn).any()


def test_an_object_has_the_outline_of_a_product_and_no_thread_stands_in_for_one(masks: Any) -> None:
    drawn = draw("object", np.random.default_rng(1), masks)
    # The bottle's neck is narrower than its body, in every size.
    for hole in drawn:
        rows = np.flatnonzero(hole.any(1))
        widths = hole.sum(1)[rows]
        assert 0 < widths[: len(rows) // 6].mean() < 0.7 * widths[-len(rows) // 4 :].mean()


def test_where_no_product_is_known_an_ellipse_is_cut() -> None:
    drawn = draw("object", np.random.default_rng(1), np.zeros((5, 64, 64), np.uint8))
    assert drawn.any((1, 2)).all()


def test_the_kind_of_a_hole_is_told_by_its_shape(masks: Any) -> None:
    random = np.random.default_rng(5)
    told = {kind: [kind_of(hole) for hole in draw(kind, random, masks)] for kind in KINDS}
    assert set(told["box"]) == {"box"}
    assert told["object"].count("object") > 0.9 * len(masks)
    # Strokes that cross are blots as often as lines.
    assert told["stroke"].count("box") == 0
    scratch = np.zeros((512, 512), bool)
    scratch[250:253, 30:480] = True
    assert kind_of(scratch) == "stroke"
