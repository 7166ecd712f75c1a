"""Which fill serves a hole: validation's, or another one that is nearer to what lies beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from beauty_models.editing import filling
from beauty_models.editing.fills import FILLS
from beauty_models.editing.model import of_each

SIDE = 160


class Editor:
    side = 64

    def __init__(self, served: str) -> None:
        self.served = dict.fromkeys(("box", "stroke", "object"), served)

    def fills(self) -> dict[str, Any]:
        return {name: of_each(fill) for name, fill in FILLS.items()}


def hole() -> Any:
    hole = np.zeros((SIDE, SIDE), bool)
    hole[70:90, 60:84] = True
    return hole


def checked() -> Any:
    down, across = np.mgrid[0:SIDE, 0:SIDE]
    checks = np.where((down // 4 + across // 4) % 2, 220, 30)[..., None]
    return np.repeat(checks, 3, 2).astype(np.uint8)


def test_where_the_photo_shows_a_pattern_the_fill_that_continues_it_serves() -> None:
    photo = checked()
    editor: Any = Editor("mean_fill")
    choice = filling.choose(photo, hole(), editor, "box")
    assert choice.name == "patch"
    assert "4 places beside the hole" in choice.note and "than mean_fill" in choice.note
    filled = filling.fill(photo, hole(), choice.name, editor)
    assert (filled.image[~hole()] == photo[~hole()]).all()
    usual = filling.fill(photo, hole(), "mean_fill", editor)
    errors = [np.abs(one.image.astype(int) - photo)[hole()].mean() for one in (filled, usual)]
    assert errors[0] < 0.5 * errors[1]


def test_what_the_hole_hides_decides_nothing() -> None:
    photo = checked()
    painted = photo.copy()
    painted[hole()] = np.random.default_rng(1).integers(0, 256, (20 * 24, 3))
    editor: Any = Editor("telea")
    assert filling.choose(photo, hole(), editor, "box") == filling.choose(
        painted, hole(), editor, "box"
    )


@pytest.mark.parametrize("kind", ["flat", "full"])
def test_without_a_place_that_tells_anything_validation_decides(kind: str) -> None:
    photo = np.full((SIDE, SIDE, 3), 240, np.uint8)
    gap = hole()
    if kind == "full":
        photo = checked()
        gap[4:-4, 4:-4] = True
    editor: Any = Editor("mean_fill")
    choice = filling.choose(photo, gap, editor, "box")
    assert choice.name == "mean_fill" and "the best on validation" in choice.note


@pytest.mark.parametrize(("error", "serves"), [(0.85, "telea"), (0.7, "patch")])
def test_another_fill_serves_where_it_is_clearly_better(
    error: float, serves: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = {"telea": 1.0, "patch": error, "navier_stokes": 2.0}
    monkeypatch.setattr(filling, "_error", lambda photo, hole, trials, name, model: errors[name])
    editor: Any = Editor("telea")
    assert filling.choose(checked(), hole(), editor, "box").name == serves
