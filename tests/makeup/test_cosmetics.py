"""Make-up on a drawn face and on a real one: where it goes, what it does, what it leaves alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from beauty_models.makeup.cosmetics import FINISHES, PARTS, Look, MadeUp, make_up, soft_mask
from beauty_models.makeup.regions import Region
from beauty_models.makeup.shades import Shade, find_shade, lab_of

LIGHT = (226, 186, 164)
DEEP = (92, 60, 44)
SIDE = 320


def drawn_face(skin: tuple[int, int, int]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a shaded face of one skin color with texture, and its exact label map."""
    labels = np.zeros((SIDE, SIDE), np.uint8)
    cv2.ellipse(labels, (160, 165), (100, 130), 0, 0, 360, int(Region.SKIN), -1)
    for x, eye, shadow in (
        (115, Region.LEFT_EYE, Region.LEFT_SHADOW),
        (205, Region.RIGHT_EYE, Region.RIGHT_SHADOW),
    ):
        cv2.ellipse(labels, (x, 125), (34, 22), 0, 0, 360, int(shadow), -1)
        cv2.ellipse(labels, (x, 130), (20, 8), 0, 0, 360, int(eye), -1)
        cv2.rectangle(labels, (x - 30, 94), (x + 30, 101), int(Region.BROWS), -1)
    cv2.ellipse(labels, (160, 235), (45, 20), 0, 0, 360, int(Region.LIPS), -1)
    cv2.ellipse(labels, (160, 235), (28, 5), 0, 0, 360, int(Region.MOUTH), -1)
    colors = np.zeros((12, 3), np.float32)
    colors[:] = (60, 90, 120)
    colors[[Region.SKIN, Region.LEFT_SHADOW, Region.RIGHT_SHADOW]] = skin
    colors[Region.LIPS] = np.array(skin) * (0.85, 0.62, 0.62)
    colors[[Region.LEFT_EYE, Region.RIGHT_EYE, Region.MOUTH]] = (235, 232, 226)
    colors[Region.BROWS] = (50, 38, 30)
    rng = np.random.default_rng(1)
    light = np.linspace(1.08, 0.8, SIDE)[None, :, None]
    texture = rng.normal(0, 3, (SIDE, SIDE, 1))
    photo = colors[labels] * light + texture
    return np.clip(photo, 0, 255).astype(np.uint8), labels


def put(photo: NDArray[np.uint8], labels: NDArray[np.uint8], **asked: object) -> MadeUp:
    chosen = {name: find_shade(str(v)) if name in PARTS else v for name, v in asked.items()}
    return make_up(photo, labels, Look(**chosen))  # type: ignore[arg-type]


def mean_lab(photo: NDArray[np.uint8], where: NDArray[np.bool_]) -> NDArray[np.float64]:
    return lab_of(photo[where]).mean(0)


@pytest.mark.parametrize("skin", [LIGHT, DEEP])
@pytest.mark.parametrize("finish", list(FINISHES))
def test_every_pixel_outside_is_as_it_was(skin: tuple[int, int, int], finish: str) -> None:
    photo, labels = drawn_face(skin)
    before = photo.copy()
    look = {"lipstick": "plum", "blush": "peach", "eyeshadow": "bronze", "foundation": "beige"}
    made = put(photo, labels, finish=finish, strength=1, **look)
    assert (photo == before).all()
    changed = (made.image != photo).any(-1)
    assert not changed[made.alpha == 0].any()
    untouched = [Region.BACKGROUND, Region.BROWS, Region.LEFT_EYE, Region.RIGHT_EYE, Region.MOUTH]
    assert not changed[np.isin(labels, untouched)].any()
    assert set(made.parts) == set(look)
    assert changed.sum() > 10_000


@pytest.mark.parametrize("skin", [LIGHT, DEEP])
@pytest.mark.parametrize("name", ["classic red", "fuchsia", "nude", "chocolate", "#2B3A67"])
def test_lips_get_the_hue_of_the_shade_and_are_never_grey(
    skin: tuple[int, int, int], name: str
) -> None:
    photo, labels = drawn_face(skin)
    made = put(photo, labels, lipstick=name, strength=1)
    core = made.parts["lipstick"] > 0.95
    got = mean_lab(made.image, core)
    shade = find_shade(name).lab
    turned = np.degrees(np.arctan2(got[2], got[1]) - np.arctan2(shade[2], shade[1]))
    assert abs((turned + 180) % 360 - 180) < 12
    assert np.hypot(*got[1:]) > 0.7 * np.hypot(*shade[1:])
    # On the way from one hue to another, too.
    half = mean_lab(put(photo, labels, lipstick=name, strength=0.5).image, core)
    assert np.hypot(*half[1:]) > 0.3 * min(np.hypot(*shade[1:]), 40)


def test_texture_and_light_stay() -> None:
    photo, labels = drawn_face(LIGHT)
    made = put(photo, labels, lipstick="classic red", strength=1)
    core = made.parts["lipstick"] > 0.95
    before = lab_of(photo[core])[:, 0]
    after = lab_of(made.image[core])[:, 0]
    assert np.corrcoef(before, after)[0, 1] > 0.9


def test_finishes_differ_in_light() -> None:
    photo, labels = drawn_face(LIGHT)
    lips = soft_mask(labels == Region.LIPS, 1) > 0.95
    lightness = {}
    for finish in FINISHES:
        made = put(photo, labels, lipstick="rose", finish=finish, strength=1)
        lightness[finish] = lab_of(made.image[lips])[:, 0]
    spread = {finish: np.ptp(np.percentile(v, [2, 99])) for finish, v in lightness.items()}
    assert spread["matte"] < spread["satin"] < spread["gloss"]
    assert lightness["gloss"].max() > lightness["satin"].max() + 5


def test_strength_goes_from_nothing_to_all() -> None:
    photo, labels = drawn_face(LIGHT)
    nothing = put(photo, labels, lipstick="plum", strength=0)
    assert (nothing.image == photo).all() and not nothing.alpha.any()
    steps = []
    for strength in (0.25, 0.5, 1.0):
        made = put(photo, labels, lipstick="plum", strength=strength)
        steps.append(np.abs(made.image.astype(int) - photo).sum())
    assert steps[0] < steps[1] < steps[2]


@pytest.mark.parametrize("skin", [LIGHT, DEEP])
@pytest.mark.parametrize("shade", ["porcelain", "beige", "espresso"])
def test_foundation_evens_skin_without_greying_it(skin: tuple[int, int, int], shade: str) -> None:
    photo, labels = drawn_face(skin)
    # a red patch
    spot = np.zeros(labels.shape, np.float32)
    cv2.circle(spot, (160, 190), 8, 1, -1)
    spot = cv2.GaussianBlur(spot, (0, 0), 3)[..., None]
    photo = np.clip(photo + spot * (30, -12, -12), 0, 255).astype(np.uint8)
    made = put(photo, labels, foundation=shade, strength=1)
    core = (made.parts["foundation"] > 0.95) & (labels == Region.SKIN)
    before, after = mean_lab(photo, core), mean_lab(made.image, core)
    assert np.hypot(*after[1:]) > 0.95 * np.hypot(*before[1:])
    # It goes towards the shade, and not further than make-up does.
    towards = find_shade(shade).lab[0] - before[0]
    assert 0 <= (after[0] - before[0]) * np.sign(towards) < 11
    patch = (spot[..., 0] > 0.5) & core
    around = core & (spot[..., 0] < 0.01)
    redness = [mean_lab(p, patch)[1] - mean_lab(p, around)[1] for p in (photo, made.image)]
    assert redness[1] < 0.8 * redness[0]


@pytest.mark.parametrize("skin", [LIGHT, DEEP])
def test_blush_lies_on_the_cheeks_and_has_no_edge(skin: tuple[int, int, int]) -> None:
    photo, labels = drawn_face(skin)
    made = put(photo, labels, blush="rosy pink", strength=1)
    alpha = made.parts["blush"]
    rows, columns = np.nonzero(alpha > 0.5 * alpha.max())
    assert rows.min() > 140 and rows.max() < 225
    assert not ((columns > 140) & (columns < 180)).any()
    assert (columns < 140).any() and (columns > 180).any()
    assert max(np.abs(np.diff(alpha, axis=0)).max(), np.abs(np.diff(alpha, axis=1)).max()) < 0.2
    full = alpha > 0.6 * alpha.max()
    assert mean_lab(made.image, full)[1] > mean_lab(photo, full)[1] + 3


def test_shadow_is_strongest_at_the_lashes() -> None:
    photo, labels = drawn_face(LIGHT)
    alpha = put(photo, labels, eyeshadow="midnight blue", strength=1).parts["eyeshadow"]
    above = alpha[:122, 115]
    places = np.nonzero(above)[0]
    assert above[places[-1]] > above[places[len(places) // 3]] > 0
    # Under the eye there is a hint of it at most.
    assert alpha[142:, 115].max() < 0.5 * above.max()


def test_soft_mask_is_zero_outside_and_smooth_inside() -> None:
    chosen = np.zeros((60, 60), bool)
    chosen[20:40, 10:50] = True
    soft = soft_mask(chosen, 2)
    assert not soft[~chosen].any()
    assert soft[30, 30] == pytest.approx(1, abs=1e-3)
    assert soft[20, 30] < 0.4


def test_a_face_without_eyes_in_sight_gets_lipstick_and_blush() -> None:
    photo, labels = drawn_face(LIGHT)
    eyes = [Region.LEFT_EYE, Region.RIGHT_EYE, Region.LEFT_SHADOW, Region.RIGHT_SHADOW]
    labels[np.isin(labels, eyes)] = Region.GLASSES
    made = put(photo, labels, lipstick="plum", eyeshadow="bronze", blush="peach")
    assert set(made.parts) == {"lipstick", "blush"}
    assert (made.image == photo).all(-1)[labels == Region.GLASSES].all()


def test_no_face_changes_nothing() -> None:
    photo = np.full((40, 50, 3), 120, np.uint8)
    made = put(photo, np.zeros((40, 50), np.uint8), lipstick="plum")
    assert (made.image == photo).all() and not made.parts


@pytest.mark.parametrize(("finish", "strength"), [("shiny", 1), ("matte", 1.1), ("matte", -0.1)])
def test_what_no_look_can_be_is_refused(finish: str, strength: float) -> None:
    with pytest.raises(ValueError, match=r"finish|strength"):
        Look(Shade("", (1, 2, 3)), finish=finish, strength=strength)  # type: ignore[arg-type]


def test_foundation_reaches_brows_and_lips_and_fades_at_the_jaw() -> None:
    """A wide edge around each of them was a pale rim, that is seen on fair skin first."""
    photo, labels = drawn_face(LIGHT)
    alpha = put(photo, labels, foundation="beige", strength=1).parts["foundation"]
    assert labels[103, 115] == Region.LEFT_SHADOW  # the second pixel below a brow
    assert alpha[103, 115] > 0.9
    lips = np.nonzero(labels[:, 160] == Region.LIPS)[0]
    assert alpha[lips[0] - 2, 160] > 0.9 and alpha[lips[-1] + 2, 160] > 0.9
    chin = np.nonzero(labels[:, 160] == Region.SKIN)[0][-1]
    # The face is all that is drawn: where it ended, its mask did not fade.
    assert alpha[chin - 1, 160] < 0.5
    assert alpha[165, np.nonzero(labels[165])[0][:2]].max() < 0.5
    assert (alpha[labels == Region.BROWS] == 0).all() and (alpha[labels == Region.LIPS] == 0).all()
