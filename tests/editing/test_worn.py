"""White clothes on a white ground: the shape of who wears them tells what color cannot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from drawn_products import drawn
from numpy.typing import NDArray
from skimage import data

from beauty_models.backbones import mediapipe
from beauty_models.editing import worn
from beauty_models.editing.cutout import SURE, cutout


class Photo(NamedTuple):
    """A portrait before white."""

    image: NDArray[np.uint8]
    suit: NDArray[np.bool_]  # what is worn, all but white


@pytest.fixture(scope="module")
def photo() -> Photo:
    """Put Eileen Collins before white, with all that is below her chin all but white as well."""
    portrait = data.astronaut()
    person = worn.person(portrait) > 0.5
    suit = person.copy()
    suit[:210] = False
    image = np.full_like(portrait, 255)
    image[person] = portrait[person]
    # A studio's light leaves a tenth of what the suit was darker than white.
    grey = portrait.mean(2)[suit][:, None]
    image[suit] = np.rint(255 - 0.1 * (255 - grey))
    return Photo(image, suit)


@pytest.fixture
def forgotten() -> Iterator[None]:
    for moment in ("before", "after"):
        mediapipe._model.cache_clear()
        mediapipe._interpreters.__dict__.clear()
        if moment == "before":
            yield


def test_a_white_suit_on_white_is_cut_out_with_who_wears_it(photo: Photo) -> None:
    found = cutout(photo.image)
    assert (found.alpha[photo.suit] >= 128).mean() > 0.9
    assert (found.alpha[:200, :100] == 0).all()
    # Nobody could see its edge: that is told, and no mask to learn from.
    assert found.sure < SURE
    assert any("told by the shape of who wears it" in note for note in found.notes)


def test_without_the_network_it_is_lost_and_that_is_told(
    photo: Photo, forgotten: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(mediapipe, "WHEEL", tmp_path / "gone.whl")
    found = cutout(photo.image)
    assert (found.alpha[photo.suit] >= 128).mean() < 0.75
    assert any("people are not looked for" in note for note in found.notes)


@pytest.mark.parametrize("kind", ["bag", "bottle", "jar", "dress"])
def test_products_without_a_person_are_cut_out_as_before(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = drawn(kind, "white", 128, 4).image
    found = cutout(image).alpha
    monkeypatch.setattr(worn, "COVERED", 2.0)  # of nothing: nobody is seen
    assert (found != cutout(image).alpha).mean() < 0.002
