"""The check of photos that are not safe for work: the published network, and what it refuses."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from skimage.data import astronaut, coffee

from beauty_models.makeup import safety


@pytest.mark.parametrize("photo", [astronaut(), coffee()])
def test_ordinary_photos_pass(photo: np.ndarray) -> None:
    assert safety.check(photo) < 0.1


def test_input_is_blue_green_red_less_the_mean() -> None:
    photo = np.zeros((50, 70, 3), np.uint8)
    photo[:] = (250, 100, 10)
    seen = safety._network_input(photo)
    assert seen.shape == (1, 224, 224, 3)
    assert seen[0, 5, 5] == pytest.approx([10 - 104, 100 - 117, 250 - 123])


def test_refusal_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    # No such photo belongs into a repository: the limit is lowered below an ordinary one's.
    monkeypatch.setattr(safety, "THRESHOLD", 0.001)
    with pytest.raises(safety.RefusedPhotoError, match="not safe for work"):
        safety.check(astronaut())


def test_another_file_in_the_wheel_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    safety._session.cache_clear()
    wheel = tmp_path / "wheel.whl"
    monkeypatch.setattr(safety, "WHEEL", wheel)
    with pytest.raises(ValueError, match="make install"):
        safety.check(astronaut())
    with zipfile.ZipFile(wheel, "w") as opened:
        opened.writestr(safety.MEMBER, b"another network")
    with pytest.raises(ValueError, match="SHA-256"):
        safety.check(astronaut())
    safety._session.cache_clear()
