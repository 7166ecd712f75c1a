"""Faces are found at all sizes and turns, and nothing else is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from portraits import REAL, astronaut, pasted, read
from skimage import data

from beauty_models.backbones import mediapipe
from beauty_models.makeup import landmarks
from beauty_models.makeup.landmarks import find_faces


def test_the_astronaut_has_one_face_and_the_badge_on_her_suit_has_none() -> None:
    (face,) = find_faces(astronaut())
    assert face.points.shape == (468, 2) and face.depth.shape == (468,)
    corners = face.points[[61, 291]]
    # corners of the mouth as a person sees them
    assert np.abs(corners - [[201, 139], [246, 141]]).max() < 4
    x0, y0, x1, y1 = face.box
    assert 170 < x0 < 185 and 260 < x1 < 280 and 60 < y0 < 80 and 165 < y1 < 185
    assert abs(face.turn) < 10 and abs(face.roll) < 6 and 80 < face.width < 95


@pytest.mark.parametrize("angle", [-40, -20, 0, 20, 40])
def test_a_turned_face_is_found_and_its_turn_is_told(angle: float) -> None:
    upright = find_faces(pasted(240, (300, 400), (30, 100)))[0]
    (face,) = find_faces(pasted(240, (300, 400), (30, 100), angle))
    # OpenCV turns counterclockwise
    assert face.roll - upright.roll == pytest.approx(-angle, abs=4)
    assert face.width == pytest.approx(upright.width, rel=0.06)


@pytest.mark.parametrize("side", [1200, 480, 240, 150])
def test_a_face_is_found_at_every_size(side: int) -> None:
    (face,) = find_faces(pasted(side, (1300, 1500), (40, 200)))
    assert face.width == pytest.approx(86.3 * side / 240, rel=0.1)
    center = np.array(face.box).reshape(2, 2).mean(0)
    expected = np.array([125.1, 122.5]) * side / 240 + [200, 40]
    assert np.abs(center - expected).max() < 0.06 * side


def test_a_face_of_40_pixels_is_found_in_a_photo_of_4000() -> None:
    photo = pasted(112, (2600, 4000), (1700, 3100))
    (face,) = find_faces(photo)
    assert 36 < face.width < 44
    assert 3100 < face.box[0] < 3212 and 1700 < face.box[1] < 1812


def test_the_largest_of_several_faces_comes_first() -> None:
    photo = pasted(240, (480, 900), (20, 40))
    photo[100:260, 560:720] = pasted(160, (160, 160), (0, 0))
    first, second = find_faces(photo)
    assert first.box[0] < 400 < second.box[0]
    assert first.width > second.width


def test_a_face_is_found_once_though_windows_overlap() -> None:
    photo = pasted(240, (1600, 1600), (700, 700))
    assert len(find_faces(photo)) == 1


@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket"])
def test_what_is_no_face_has_none(name: str) -> None:
    assert find_faces(getattr(data, name)()) == []


def test_a_tiny_or_narrow_photo_has_no_face_and_no_error() -> None:
    assert find_faces(np.zeros((1, 1, 3), np.uint8)) == []
    assert find_faces(np.zeros((3, 900, 3), np.uint8)) == []


def test_threads_find_the_same() -> None:
    expected = find_faces(astronaut())[0].points
    results: list[np.ndarray] = []

    def find() -> None:
        results.append(find_faces(astronaut())[0].points)

    threads = [threading.Thread(target=find) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    for points in results:
        np.testing.assert_array_equal(points, expected)


def forget() -> None:
    mediapipe._model.cache_clear()
    mediapipe._interpreters.__dict__.clear()


@pytest.fixture
def fresh_models() -> Iterator[None]:
    forget()
    yield
    forget()


def test_without_the_models_it_says_what_to_do(
    fresh_models: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mediapipe, "WHEEL", tmp_path / "gone.whl")
    with pytest.raises(landmarks.FaceModelError, match=r"gone\.whl: not there; `make install`"):
        find_faces(astronaut())
    (tmp_path / "gone.whl").write_bytes(b"PK no wheel")
    with pytest.raises(landmarks.FaceModelError, match="cannot be found without their models"):
        find_faces(astronaut())


def test_other_models_are_refused(fresh_models: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mediapipe.SHA256, mediapipe.FACE_MESH, "0" * 64)
    with pytest.raises(landmarks.FaceModelError, match="not the file that was published"):
        find_faces(astronaut())


@pytest.mark.skipif(not REAL.exists(), reason="the real faces are not here")
def test_all_real_faces_are_found_whole_and_at_a_fifth() -> None:
    import cv2

    files = sorted((REAL / "images").glob("*/*.png"))
    missed = []
    for file in files:
        photo = read(file)
        small = np.full_like(photo, 128)
        fifth = cv2.resize(photo, None, fx=0.2, fy=0.2, interpolation=cv2.INTER_AREA)
        small[100 : 100 + len(fifth), 200 : 200 + len(fifth)] = fifth
        if len(find_faces(photo)) != 1 or len(find_faces(small)) != 1:
            missed.append(file.name)
    assert len(files) == 29 and not missed
