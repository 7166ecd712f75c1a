"""The drawn faces: the same every time, label maps that fit, skins over the whole range."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from beauty_models.files import read_json
from beauty_models.makeup import regions, starter
from beauty_models.makeup.drawing.canvas import linear, srgb
from beauty_models.makeup.drawing.people import BARE, Look, Person, Scene
from beauty_models.makeup.drawing.portrait import draw
from beauty_models.makeup.regions import MADE_UP, Region
from tests.makeup import drawn

ALWAYS = {Region.BACKGROUND, Region.SKIN, Region.LIPS, Region.NECK, Region.BROWS}
EYES = {Region.LEFT_EYE, Region.RIGHT_EYE, Region.LEFT_SHADOW, Region.RIGHT_SHADOW}


def somebody(number: int = 3) -> tuple[Person, Scene]:
    random = np.random.default_rng(number)
    person = starter.person(random, 0.7)
    person = dataclasses.replace(person, beard=0.0, glasses="")
    scene = dataclasses.replace(starter.scene(random), mouth=0.0, noise=0.0)
    return person, scene


def test_toy_is_always_the_same_and_says_who_is_seen(tmp_path: Path) -> None:
    files = []
    for name in "ab":
        starter.toy(raw=tmp_path / name)
        found = [file for file in (tmp_path / name).rglob("*") if file.is_file()]
        files.append({str(f.relative_to(tmp_path / name)): f.read_bytes() for f in found})
    assert files[0] == files[1]
    assert len(files[0]) == 2 * 40 + 20 + 3
    assert read_json(tmp_path / "a/LICENSE.json")["license"] == "Apache-2.0"
    faces = drawn.faces(tmp_path / "a")
    assert faces.images.shape == (40, 3, 32, 32)
    assert len(faces.bare) == len(faces.made_up) == 20
    assert faces.frame.groupby("person")["made_up"].nunique().eq(2).all()


def test_a_result_is_the_bare_photo_in_the_look_of_somebody_else(tmp_path: Path) -> None:
    starter.toy(raw=tmp_path)
    faces = drawn.faces(tmp_path)
    results = drawn.results(tmp_path, faces)
    persons = faces.frame["person"].to_numpy()
    assert (persons[results.bare] != persons[results.reference]).all()
    assert set(results.bare.tolist()) == set(faces.bare.tolist())
    changed = 0
    for bare, result in zip(results.bare, results.images, strict=True):
        differs = (result.int() - faces.images[bare].int()).abs().amax(0) > 12
        made_up = torch.zeros_like(differs)
        for part in MADE_UP:
            made_up |= regions.mask(faces.regions[bare], part)
        # Pixels at an edge are of both sides, so a few beside the parts change, too.
        assert differs[made_up].float().mean() > 4 * differs[~made_up].float().mean()
        changed += bool(differs[made_up].any())
    assert changed == len(results)


def test_skins_run_from_very_light_to_dark() -> None:
    angles = []
    for share in np.linspace(0, 1, 12):
        random = np.random.default_rng(5)
        person = starter.person(random, share)
        portrait = draw(person, BARE, starter.scene(random), 48)
        angles.append(drawn.tone_angle(portrait.image, portrait.regions))
    assert max(angles) > 50
    assert min(angles) < -35
    assert np.corrcoef(angles, range(12))[0, 1] > 0.95


def test_every_region_of_a_face_is_there_and_left_is_left() -> None:
    person, scene = somebody()
    regions = draw(person, BARE, dataclasses.replace(scene, yaw=0.0, roll=0.0), 96).regions
    assert set(np.unique(regions)) >= ALWAYS | EYES
    columns = {region: np.nonzero(regions == region)[1].mean() for region in EYES}
    assert columns[Region.LEFT_EYE] < columns[Region.RIGHT_EYE]
    assert columns[Region.LEFT_SHADOW] < columns[Region.RIGHT_SHADOW]
    rows = {region: np.nonzero(regions == region)[0].mean() for region in (*EYES, *ALWAYS)}
    assert rows[Region.BROWS] < rows[Region.LEFT_EYE] < rows[Region.LIPS] < rows[Region.NECK]


def test_an_open_mouth_a_beard_and_glasses_are_in_the_label_map() -> None:
    person, scene = somebody()
    person = dataclasses.replace(person, beard=1.0, glasses="round")
    opened = dataclasses.replace(scene, mouth=0.15, smile=0.6)
    regions = draw(person, BARE, opened, 96).regions
    assert {Region.MOUTH, Region.GLASSES} <= set(np.unique(regions))
    lips = np.nonzero(regions == Region.LIPS)[0].max()
    assert (regions[lips + 2 : lips + 8] == Region.HAIR).any()


@pytest.mark.parametrize(
    ("look", "changed"),
    [
        (Look(lips=0.9), {Region.LIPS}),
        (Look(shadows=0.9), {Region.LEFT_SHADOW, Region.RIGHT_SHADOW}),
        (Look(blush=0.9), {Region.SKIN}),
    ],
)
def test_a_look_changes_its_own_region(look: Look, changed: set[Region]) -> None:
    person, scene = somebody()
    bare = draw(person, BARE, scene, 96)
    worn = draw(person, look, scene, 96)
    assert (bare.regions == worn.regions).all()
    moved = np.abs(worn.image.astype(int) - bare.image).max(-1)
    own = np.isin(bare.regions, [int(region) for region in changed])
    assert moved[own].mean() > 2
    # The pixels at an edge belong to two regions, so a few beside it change a little.
    strong = moved > 12
    assert strong.any()
    assert (strong & own).sum() > 0.85 * strong.sum()


def test_lipstick_is_the_color_that_the_look_says() -> None:
    person, scene = somebody()
    scene = dataclasses.replace(scene, warmth=0.0, exposure=1.0, ambient=1.0)
    red = Look(lipstick=(40.0, 55.0, 30.0), lips=1.0)
    portrait = draw(person, red, scene, 96)
    lab = np.median(rgb2lab(portrait.image[portrait.regions == Region.LIPS][None])[0], axis=0)
    hue = np.degrees(np.arctan2(lab[2], lab[1]))
    assert hue == pytest.approx(np.degrees(np.arctan2(30, 55)), abs=8)


def test_colors_are_those_of_scikit_image() -> None:
    for color in [(30.0, 20.0, 10.0), (70.0, -10.0, 30.0), (55.0, 35.0, -20.0)]:
        shown = srgb(linear(color)).reshape(3)
        assert rgb2lab(shown[None, None])[0, 0] == pytest.approx(color, abs=0.6)
