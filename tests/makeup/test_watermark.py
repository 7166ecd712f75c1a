"""The watermark: there after JPEG, invisible, not seen where none is."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from beauty_models.makeup import watermark

PAYLOAD = 0xB3A7_0001


def jpeg(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream).convert("RGB"))


def photo(name: str, side: int) -> NDArray[np.uint8]:
    image = Image.fromarray(getattr(data, name)()).convert("RGB")
    return np.asarray(image.resize((side, side + 5), Image.Resampling.LANCZOS))


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
@pytest.mark.parametrize("side", [256, 500])
@pytest.mark.parametrize("quality", [95, 80])
def test_mark_and_payload_survive_jpeg(name: str, side: int, quality: int) -> None:
    reading = watermark.detect(jpeg(watermark.embed(photo(name, side), PAYLOAD), quality))
    assert reading.marked
    assert reading.payload == PAYLOAD
    assert reading.chance < 1e-20


@pytest.mark.parametrize("side", [128, 160])
def test_small_pictures_are_known_by_the_mark_alone(side: int) -> None:
    assert watermark.detect(jpeg(watermark.embed(photo("astronaut", side), PAYLOAD), 80)).marked


def test_nobody_sees_it() -> None:
    picture = photo("astronaut", 400)
    change = watermark.embed(picture, PAYLOAD).astype(int) - picture
    assert np.abs(change).max() <= 4
    assert 10 * np.log10(255**2 / (change**2).mean()) > 48


def test_unmarked_pictures_are_not_said_to_be_marked() -> None:
    flat = [np.full((300, 300, 3), level, np.uint8) for level in (0, 128, 255)]
    stripes = np.zeros((320, 320, 3), np.uint8)
    stripes[:, ::2] = 255
    tiles = np.kron(np.indices((40, 40)).sum(0) % 2, np.ones((8, 8)))[..., None] * [255, 255, 255]
    noise = np.random.default_rng(0).integers(0, 256, (400, 300, 3)).astype(np.uint8)
    photos = [photo(name, 300) for name in ("astronaut", "coffee", "chelsea", "rocket")]
    for picture in (*flat, stripes, tiles.astype(np.uint8), noise, *photos):
        for seen in (picture, jpeg(picture, 80)):
            reading = watermark.detect(seen)
            assert not reading.marked
            assert reading.chance > 1e-4


def test_chance_is_an_upper_bound_of_false_positives() -> None:
    rng = np.random.default_rng(5)
    base = photo("coffee", 256).astype(int)
    chances = []
    for _ in range(60):
        moved = base + rng.integers(-9, 10, base.shape)
        chances.append(watermark.detect(np.clip(moved, 0, 255).astype(np.uint8)).chance)
    # Of 60 unmarked pictures about 60 p at most have a chance below p.
    assert sum(chance < 0.05 for chance in chances) <= 8


def test_only_blocks_within_the_given_pixels_change_and_are_found() -> None:
    picture = photo("astronaut", 512)
    where = np.zeros(picture.shape[:2], bool)
    where[101:380, 203:400] = True
    marked = watermark.embed(picture, 7, where)
    assert (marked[~where] == picture[~where]).all()
    reading = watermark.detect(jpeg(marked, 80))
    assert reading.marked
    assert reading.payload == 7
    assert reading.box is not None
    x0, y0, x1, y1 = reading.box
    inside = where[y0:y1, x0:x1]
    assert inside.mean() > 0.8


def test_nothing_fits_into_a_picture_below_one_block() -> None:
    tiny = np.full((7, 30, 3), 9, np.uint8)
    assert (watermark.embed(tiny, 1) == tiny).all()
    assert not watermark.detect(tiny).marked
