"""What has one hue: grey, sepia and cyanotype, also as JPEG; what has not: faces of all tones."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from beauty_models.makeup import alignment, starter
from beauty_models.makeup.drawing.people import BARE
from beauty_models.makeup.drawing.portrait import Portrait, draw
from beauty_models.makeup.monochrome import is_monochrome
from beauty_models.makeup.regions import Region

Pixels = NDArray[np.uint8]

TONES = (0.0, 0.15, 0.5, 0.85, 1.0)  # the darkest skin to the lightest one


def bare(tone: float) -> Portrait:
    """Return somebody without make-up, 256 pixels a side."""
    random = np.random.default_rng((31, int(100 * tone)))
    person = starter.person(random, tone)
    return draw(person, BARE, starter.scene(random), 256)


def has_one_hue(portrait: Portrait, image: Pixels, side: int = 96) -> bool:
    aligned = alignment.from_label_map(portrait.regions)
    crop = aligned.crop(image, side)
    return is_monochrome(crop, aligned.crop_regions(portrait.regions, side))


def grey(image: Pixels) -> NDArray[np.float64]:
    return np.asarray(Image.fromarray(image).convert("L"), np.float64)[..., None]


def toned(image: Pixels, dark: tuple[int, int, int], bright: tuple[int, int, int]) -> Pixels:
    share = grey(image) / 255
    return np.rint(np.array(dark) * (1 - share) + np.array(bright) * share).astype(np.uint8)


def sepia(image: Pixels) -> Pixels:
    return toned(image, (20, 10, 0), (255, 240, 205))


def cyanotype(image: Pixels) -> Pixels:
    return toned(image, (0, 30, 80), (235, 245, 250))


def in_grey(image: Pixels) -> Pixels:
    return toned(image, (0, 0, 0), (255, 255, 255))


def jpeg(image: Pixels, quality: int) -> Pixels:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream).convert("RGB"))


@pytest.mark.parametrize("tone", TONES)
@pytest.mark.parametrize("quality", [75, 95])
def test_skin_of_any_tone_is_in_color(tone: float, quality: int) -> None:
    portrait = bare(tone)
    assert not has_one_hue(portrait, jpeg(portrait.image, quality))
    # A lamp's light is no tint: hues differ under it as they did.
    lamp = np.array([1.0, 0.75, 0.5])
    warm = np.rint(portrait.image * lamp).astype(np.uint8)
    assert not has_one_hue(portrait, jpeg(warm, quality))


@pytest.mark.parametrize("tone", TONES)
@pytest.mark.parametrize("quality", [75, 95])
@pytest.mark.parametrize("change", [in_grey, sepia, cyanotype])
def test_one_hue_is_seen_through_jpeg(
    change: Callable[[Pixels], Pixels], tone: float, quality: int
) -> None:
    portrait = bare(tone)
    assert has_one_hue(portrait, jpeg(change(portrait.image), quality))


def test_a_drawing_in_few_colors_is_in_color() -> None:
    portrait = bare(0.5)
    colors = np.full((len(Region), 3), (240, 190, 60), np.uint8)
    colors[Region.LIPS] = (40, 250, 60)
    assert not has_one_hue(portrait, colors[portrait.regions])


def test_without_a_face_nothing_has_a_hue() -> None:
    picture = np.full((32, 32, 3), (200, 20, 20), np.uint8)
    assert is_monochrome(picture, np.zeros((32, 32), np.uint8))
