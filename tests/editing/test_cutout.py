"""Cut-outs against exact masks: straps, handles, shadows, white on white, and how sure they are."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from drawn_products import drawn, encoded
from PIL import Image

from beauty_models.editing import drawing
from beauty_models.editing.cutout import SURE, cutout
from beauty_models.editing.metrics import boundary_f, cutout_iou


@pytest.mark.parametrize("ground", ["white", "even", "gradient"])
@pytest.mark.parametrize("kind", drawing.KINDS)
def test_products_on_an_even_ground_are_cut_out_to_the_edge(kind: str, ground: str) -> None:
    scores = []
    for number in (2, 4, 9):
        photo = drawn(kind, ground, 192, number)
        found = cutout(photo.image)
        scores.append((cutout_iou(found.alpha, photo.mask), boundary_f(found.alpha, photo.mask)))
    iou, edges = np.mean(scores, 0)
    assert iou > 0.92 and edges > 0.85


def test_thin_straps_and_the_ground_in_a_handle_are_told_apart() -> None:
    photo = drawn("dress", "white", 256, 3)
    found = cutout(photo.image)
    rows = slice(20, 60)
    straps = photo.mask[rows] > 200
    assert straps.any()
    assert (found.alpha[rows][straps] > 200).mean() > 0.95
    bag = drawn("bag", "white", 256, 4)
    # What the handle encloses is ground: not connected to the ground outside.
    enclosed = np.zeros((256, 256), bool)
    for row in range(256):
        inside = np.flatnonzero(bag.mask[row] > 200)
        if inside.size:
            enclosed[row, inside[0] : inside[-1]] = True
    enclosed &= bag.mask == 0
    assert enclosed.sum() > 500
    assert (cutout(bag.image).alpha[enclosed] < 30).mean() > 0.95


def test_edges_are_soft_and_hold_no_color_of_the_ground() -> None:
    photo = drawn("lipstick", "even", 256, 9)
    found = cutout(photo.image)
    soft = (photo.mask > 60) & (photo.mask < 195)
    assert np.abs(found.alpha[soft].astype(int) - photo.mask[soft]).mean() < 40
    # On another ground the edge must not shine in the former one.
    ground = np.median(photo.image[:10].reshape(-1, 3), 0)
    kept = np.abs(photo.image[soft] - ground).mean()
    assert np.abs(found.colors[soft] - ground).mean() > 1.15 * kept


def jacket(ground: int = 255, cloth: int = 238) -> Any:
    """Return a white jacket with dark folds, and a head and trousers that are not white."""
    random = np.random.default_rng(1)
    photo = np.full((320, 256, 3), ground, np.uint8)
    photo[30:80, 110:150] = (190, 140, 120)
    body = random.normal(cloth, 1.5, (160, 120, 1)).clip(0, 250)
    photo[80:240, 70:190] = body.astype(np.uint8)
    photo[100:230, 100:102] = 200
    photo[240:320, 80:180] = (60, 60, 66)
    mask = np.zeros((320, 256), np.uint8)
    mask[30:80, 110:150] = mask[80:240, 70:190] = mask[240:, 80:180] = 255
    return photo, mask


def test_white_clothes_on_white_are_not_taken_for_ground_or_for_a_shadow() -> None:
    photo, mask = jacket()
    as_jpeg = np.asarray(Image.open(io.BytesIO(encoded(photo, "JPEG", quality=88))))
    found = cutout(as_jpeg)
    assert cutout_iou(found.alpha, mask) > 0.97
    # It says that much of the outline hardly differs.
    dark, _ = jacket(cloth=120)
    assert found.sure < cutout(dark).sure - 0.1


def test_a_soft_shadow_is_no_product() -> None:
    photo = np.full((256, 256, 3), 255.0)
    down, across = np.mgrid[0:256, 0:256]
    distance = np.hypot((across - 128) / 70, (down - 200) / 16)
    photo *= (1 - 0.3 * np.exp(-(distance**2)))[..., None]
    photo[60:200, 80:176] = (150, 40, 60)
    mask = np.zeros((256, 256), np.uint8)
    mask[60:200, 80:176] = 255
    found = cutout(np.rint(photo).astype(np.uint8))
    assert cutout_iou(found.alpha, mask) > 0.96


def test_a_busy_ground_is_told_and_nothing_at_all_is_no_product() -> None:
    sure = [cutout(drawn("bag", "texture", 128, number).image).sure for number in range(8)]
    assert np.mean(np.array(sure) < SURE) > 0.8
    unsure = cutout(drawn("bag", "texture", 128, 4).image)
    assert any("the cut-out is a guess" in note for note in unsure.notes)
    nothing = cutout(np.full((64, 64, 3), 255, np.uint8))
    assert nothing.sure == 0 and not nothing.alpha.any()
    assert nothing.notes == ["nothing stands out from the ground"]


def test_a_large_photo_is_cut_out_at_its_size_with_its_own_colors() -> None:
    small = drawn("bottle", "white", 256, 4)
    size = (2000, 2000)
    large = np.asarray(Image.fromarray(small.image).resize(size, Image.Resampling.BICUBIC))
    exact = np.asarray(Image.fromarray(small.mask).resize(size, Image.Resampling.BICUBIC))
    found = cutout(large)
    assert found.alpha.shape == (2000, 2000)
    assert cutout_iou(found.alpha, exact) > 0.97
    inside = found.alpha == 255
    assert (found.colors[inside] == large[inside]).all()
    assert any("enlarged" in note for note in found.notes)
