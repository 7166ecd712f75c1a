"""A face goes to its square and back to where it was."""

from __future__ import annotations

import numpy as np
import pytest
from portraits import astronaut, pasted

from beauty_models.makeup import alignment, warping
from beauty_models.makeup.landmarks import find_faces
from beauty_models.makeup.parsing import parse
from beauty_models.makeup.regions import Region


def smooth(shape: tuple[int, int]) -> np.ndarray:
    """Return a picture without fine detail, float32."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return np.stack([np.sin(rows / 40), np.cos(columns / 50), (rows + columns) / 800], -1)


@pytest.mark.parametrize("angle", [-30, 0, 25])
def test_eyes_and_mouth_come_to_their_places(angle: float) -> None:
    (face,) = find_faces(pasted(240, (300, 400), (30, 100), angle))
    aligned = alignment.from_landmarks(face)
    points = np.array([face.left_eye, face.right_eye, face.mouth])
    placed = warping.moved(points, aligned.matrix)
    expected = [alignment.LEFT_EYE, alignment.RIGHT_EYE, alignment.MOUTH]
    assert np.abs(placed - expected).max() < 0.03
    # upright, and all of the face inside
    assert abs(placed[0, 1] - placed[1, 1]) < 0.02
    inside = warping.moved(face.points.astype(float), aligned.matrix)
    assert inside.min() > 0 and inside.max() < 1


def test_a_turn_of_the_photo_changes_nothing_of_the_square() -> None:
    crops = []
    for angle in (0, 30):
        photo = pasted(480, (600, 600), (60, 60), angle)
        crops.append(alignment.from_landmarks(find_faces(photo)[0]).crop(photo, 96))
    middle = (slice(24, 80), slice(24, 72))
    difference = np.abs(crops[0][middle].astype(float) - crops[1][middle]).mean()
    assert difference < 8  # of 255; a shift by 3 pixels makes 17


@pytest.mark.parametrize("angle", [0.0, 0.4, -1.2])
def test_there_and_back_is_the_same_picture(angle: float) -> None:
    photo = smooth((400, 500))
    across = 60 * np.array([np.cos(angle), np.sin(angle)])
    down = 130 * np.array([-np.sin(angle), np.cos(angle)])
    center = np.array([250.0, 160.0])
    aligned = alignment.from_points(center - across / 2, center + across / 2, center + down / 2)
    back = aligned.to_photo(aligned.crop(photo, 512), photo.shape)
    covered = aligned.to_photo(np.ones((512, 512), np.float32), photo.shape) > 0.999
    assert covered.sum() > 20_000
    assert np.abs(back - photo)[covered].max() < 0.01


def test_the_matrix_back_is_the_exact_inverse() -> None:
    aligned = alignment.from_points(
        np.array([103.0, 80]), np.array([161.0, 95]), np.array([120.0, 150])
    )
    points = np.random.default_rng(0).uniform(0, 300, (50, 2))
    for side in (64, 1024):
        matrix = aligned.pixels(side)
        there = warping.moved(points, matrix)
        np.testing.assert_allclose(warping.moved(there, warping.inverse(matrix)), points, atol=1e-9)


def test_the_window_is_all_that_a_square_covers() -> None:
    aligned = alignment.from_points(
        np.array([90.0, 40]), np.array([150.0, 60]), np.array([110.0, 120])
    )
    shape = (260, 300)
    photo = aligned.to_photo(np.ones((64, 64), np.float32), shape)
    rows, columns = aligned.window(shape)
    outside = photo.copy()
    outside[rows, columns] = 0
    assert photo.any() and not outside.any()
    np.testing.assert_array_equal(
        photo[rows, columns], aligned.to_window(np.ones((64, 64), np.float32), shape)
    )


def test_a_face_beside_the_photo_has_an_empty_window() -> None:
    aligned = alignment.from_points(
        np.array([900.0, 40]), np.array([960.0, 40]), np.array([930.0, 100])
    )
    assert not aligned.to_photo(np.ones((8, 8), np.float32), (100, 100)).any()


def test_shrinking_a_lot_does_not_alias() -> None:
    # stripes of one pixel: sampled without antialiasing they become wide stripes of full contrast
    photo = np.zeros((2000, 2000, 3), np.uint8)
    photo[:, ::2] = 255
    aligned = alignment.from_points(
        np.array([750.0, 800]), np.array([1270.0, 803]), np.array([1010.0, 1380])
    )
    crop = aligned.crop(photo, 64)[8:56, 8:56]
    assert crop.std() < 6 and abs(crop.mean() - 127.5) < 3


def test_a_label_map_keeps_its_numbers() -> None:
    photo = astronaut()
    face = find_faces(photo)[0]
    labels = parse(photo, face)
    crop = alignment.from_landmarks(face).crop_regions(labels, 200)
    assert set(np.unique(crop)) <= set(np.unique(labels))
    assert (crop == Region.LIPS).any() and (crop == Region.LEFT_EYE).any()


def test_a_mask_aligns_as_landmarks_do() -> None:
    photo = astronaut()
    face = find_faces(photo)[0]
    by_mask = alignment.from_label_map(parse(photo, face))
    by_points = alignment.from_landmarks(face)
    corners = np.array([[180.0, 80], [270, 80], [225, 170]])
    moved = [warping.moved(corners, one.matrix) for one in (by_mask, by_points)]
    assert np.abs(moved[0] - moved[1]).max() < 0.03


def test_a_mask_without_eyes_says_so() -> None:
    labels = np.zeros((50, 50), np.uint8)
    labels[30:34, 20:30] = Region.LIPS
    with pytest.raises(ValueError, match="no left_eye to align"):
        alignment.from_label_map(labels)
    with pytest.raises(ValueError, match="too close"):
        alignment.from_points(np.zeros(2), np.ones(2), np.array([0.0, 9]))
