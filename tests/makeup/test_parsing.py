"""What each pixel of a face shows: parsed, or read from a mask of somebody else's numbers."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from portraits import REAL, astronaut, overlap, pasted, read

from beauty_models.intake.images import BadImageError
from beauty_models.makeup import delivered, parsing
from beauty_models.makeup.landmarks import Face, find_faces
from beauty_models.makeup.regions import Region

FACE_PARSING = "CelebAMask-HQ as face-parsing networks number it"
OWN_ORDER = "CelebAMask-HQ's own order"
MT = "the MT dataset"
# this project's number → the first number of each scheme that means it
NUMBERS = {
    FACE_PARSING: {1: 1, 2: 2, 3: 4, 4: 5, 5: 1, 6: 1, 7: 12, 8: 11, 9: 17, 10: 14, 11: 6},
    OWN_ORDER: {1: 1, 2: 6, 3: 4, 4: 5, 5: 1, 6: 1, 7: 11, 8: 10, 9: 13, 10: 17, 11: 3},
    MT: {1: 1, 2: 2, 3: 4, 4: 5, 5: 1, 6: 1, 7: 7, 8: 8, 9: 10, 10: 13, 11: 0},
}


def parsed(photo: NDArray[np.uint8]) -> tuple[Face, NDArray[np.uint8]]:
    face = find_faces(photo)[0]
    return face, parsing.parse(photo, face)


def renumbered(labels: NDArray[np.uint8], scheme: str) -> NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    for region, number in NUMBERS[scheme].items():
        table[region] = number
    return table[labels]


def png(pixels: NDArray[np.generic] | Image.Image, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(stream, kind)
    return stream.getvalue()


def test_the_astronauts_regions_lie_where_they_are_seen() -> None:
    _, labels = parsed(astronaut())
    assert labels.shape == (512, 512) and labels.dtype == np.uint8
    seen = {
        (120, 222): Region.SKIN,  # nose
        (95, 215): Region.SKIN,  # forehead
        (136, 190): Region.SKIN,  # cheek
        (151, 224): Region.LIPS,  # lower lip
        (143, 224): Region.MOUTH,  # teeth
        (102, 203): Region.LEFT_EYE,
        (104, 246): Region.RIGHT_EYE,
        (400, 100): Region.BACKGROUND,
        (20, 20): Region.BACKGROUND,
    }
    found = {place: Region(int(labels[place])) for place in seen}
    assert found == seen


@pytest.mark.parametrize("side", [1000, 160])
def test_the_regions_are_the_same_at_another_size(side: int) -> None:
    _, first = parsed(pasted(240, (240, 240), (0, 0)))
    _, second = parsed(pasted(side, (side, side), (0, 0)))
    second = cv2.resize(second, (240, 240), interpolation=cv2.INTER_NEAREST)
    assert overlap(first == Region.SKIN, second == Region.SKIN) > 0.9
    assert overlap(first == Region.LIPS, second == Region.LIPS) > 0.75
    assert overlap(first == Region.MOUTH, second == Region.MOUTH) > 0.6


def test_a_face_at_the_border_has_labels_of_the_photos_shape() -> None:
    photo = pasted(240, (200, 170), (-60, -60))
    face = find_faces(photo)[0]
    assert parsing.parse(photo, face).shape == (200, 170)


def test_a_forehead_that_the_border_cuts_is_skin_to_its_last_pixel() -> None:
    """Black beyond the border had an edge there, and edges above the brows are strands of hair."""
    portrait = pasted(720, (720, 720), (0, 0))
    face, _ = parsed(portrait)
    brows = face.points[parsing.LEFT_BROW + parsing.RIGHT_BROW]
    top = int(brows[:, 1].min())
    left, right = int(brows[:, 0].min()), int(brows[:, 0].max())
    # Skin in place of the astronaut's fringe.
    random = np.random.default_rng(0)
    skin = np.median(portrait[top : top + 8, left + 60 : right - 60], axis=(0, 1))
    noise = random.normal(0, 2, (top - 8, right - left, 1))
    portrait[: top - 8, left:right] = np.clip(skin + noise, 0, 255).astype(np.uint8)
    _, labels = parsed(np.ascontiguousarray(portrait[top - 40 :]))
    forehead = labels[:12, left + 30 : right - 30]
    assert (forehead == Region.SKIN).mean() > 0.95
    assert (forehead[0] == Region.SKIN).mean() > 0.95


def test_a_beard_and_a_fringe_are_no_skin() -> None:
    photo = astronaut().copy()
    face, before = parsed(photo)
    jaw = face.points[[172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397]]
    inner = face.points[[410, 322, 18, 92, 186]] + [0, 4]
    beard = parsing._filled(np.concatenate([jaw, inner]), photo.shape[:2], 1)
    photo[beard] = [45, 34, 28]
    after = parsing.parse(photo, face)
    assert (before[beard] == Region.SKIN).mean() > 0.7
    assert (after[beard] == Region.SKIN).mean() < 0.15
    assert (after[beard] == Region.HAIR).mean() > 0.6
    elsewhere = ~cv2.dilate(beard.astype(np.uint8), np.ones((9, 9))).astype(bool)
    changed = (before != after) & elsewhere & (before != Region.NECK)
    assert changed.sum() < 0.02 * (before == Region.SKIN).sum()


def with_frames(photo: NDArray[np.uint8], face: Face, thickness: int) -> NDArray[np.uint8]:
    """Return the photo with dark round glasses of ``thickness`` pixels; -1 fills the lenses."""
    drawn = photo.copy()
    color = (18, 18, 22)
    radius = round(0.21 * face.width)
    for eye in (face.left_eye, face.right_eye):
        cv2.circle(drawn, tuple(int(v) for v in eye + [0, 3]), radius, color, thickness)
    ends = [tuple(int(v) for v in eye) for eye in (face.left_eye, face.right_eye)]
    if thickness > 0:
        left = (ends[0][0] + radius, ends[0][1])
        right = (ends[1][0] - radius, ends[1][1])
        cv2.line(drawn, left, right, color, thickness)
    return drawn


def test_thick_frames_are_glasses_and_the_eyes_behind_them_stay() -> None:
    face, before = parsed(astronaut())
    after = parsing.parse(with_frames(astronaut(), face, 4), face)
    assert not (before == Region.GLASSES).any()
    frame = (with_frames(astronaut(), face, 4) != astronaut()).any(-1)
    assert (after[frame] == Region.GLASSES).mean() > 0.5
    assert (after == Region.LEFT_EYE).sum() > 0.9 * (before == Region.LEFT_EYE).sum()


def test_sunglasses_hide_the_eyes() -> None:
    face, _ = parsed(astronaut())
    after = parsing.parse(with_frames(astronaut(), face, -1), face)
    assert (after == Region.GLASSES).sum() > 300
    assert not np.isin(after, (Region.LEFT_EYE, Region.RIGHT_EYE)).any()


@pytest.mark.parametrize("scheme", list(NUMBERS))
@pytest.mark.parametrize("flip", [False, True])
def test_masks_of_other_numbers_are_recognized(scheme: str, flip: bool) -> None:
    _, labels = parsed(astronaut())
    if flip:
        labels = np.ascontiguousarray(labels[:, ::-1])
    mask = renumbered(labels, scheme)
    assert delivered.recognized([mask]) == delivered.SCHEMES[scheme]
    result = delivered.from_delivered(mask)
    for region in (Region.BROWS, Region.LIPS, Region.MOUTH, Region.HAIR, Region.NECK):
        np.testing.assert_array_equal(result == region, labels == region)
    # left is the picture's left, whatever the dataset calls so
    eyes = [np.nonzero(result == eye)[1].mean() for eye in (Region.LEFT_EYE, Region.RIGHT_EYE)]
    assert eyes[0] < eyes[1]
    sockets = np.isin(labels, (Region.LEFT_SHADOW, Region.RIGHT_SHADOW))
    added = np.isin(result, (Region.LEFT_SHADOW, Region.RIGHT_SHADOW))
    assert overlap(sockets, added) > 0.45


def test_own_masks_stay_as_they_are() -> None:
    _, labels = parsed(astronaut())
    np.testing.assert_array_equal(delivered.from_delivered(labels), labels)


def test_numbers_that_nobody_knows_are_told_with_the_remedy() -> None:
    _, labels = parsed(astronaut())
    strange = labels + np.uint8(40)
    with pytest.raises(ValueError, match=r"the numbers 40, 41.*ingest\.label_map") as raised:
        delivered.from_delivered(strange)
    assert "left_shadow" in str(raised.value)
    names = {int(region) + 40: region.name.lower() for region in Region}
    np.testing.assert_array_equal(delivered.from_delivered(strange, names), labels)
    with pytest.raises(ValueError, match="beard is none of the regions"):
        delivered.from_delivered(strange, {40: "beard"})
    with pytest.raises(ValueError, match="which mean nothing; expected are 0, 40"):
        delivered.from_delivered(strange, {0: "background", 40: "skin"})


def test_a_mask_that_two_schemes_explain_is_not_guessed() -> None:
    # brows, eyes, lips and skin with numbers that mean the same twice
    mask = np.zeros((100, 100), np.uint8)
    mask[10:95, 10:90] = 1
    mask[30:34, 25:40] = 2
    mask[30:34, 60:75] = 3
    mask[40:45, 25:40] = 4
    mask[40:45, 60:75] = 5
    mask[75:82, 40:60] = 12
    mask[82:85, 40:60] = 13
    assert delivered.recognized([mask]) == delivered.SCHEMES[FACE_PARSING]
    both = {"one": delivered.SCHEMES[FACE_PARSING], "other": delivered.SCHEMES[FACE_PARSING]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delivered, "SCHEMES", both)
        with pytest.raises(ValueError, match="could be those of one or other"):
            delivered.recognized([mask])


def test_files_of_masks_are_read_in_every_form() -> None:
    numbers = np.zeros((40, 60), np.uint8)
    numbers[10:20, 10:30] = 17
    palette = Image.fromarray(numbers, "P")
    palette.putpalette([value for color in range(256) for value in (color, 255 - color, 7)])
    forms = [
        png(numbers),
        png(palette),
        png(np.stack([numbers] * 3, -1)),
        png(numbers.astype(np.uint16)),
        png(numbers, "BMP"),
    ]
    for content in forms:
        np.testing.assert_array_equal(delivered.read_mask(content, (60, 40), 10_000), numbers)
    scaled = delivered.read_mask(png(numbers), (120, 80), 10_000)
    assert scaled.shape == (80, 120) and set(np.unique(scaled)) == {0, 17}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (png(np.zeros((40, 50), np.uint8)), "the mask has 50 × 40 pixels, the photo 60 × 40"),
        (png(np.full((40, 60), 300, np.uint16)), "numbers as large as 300"),
        (png(np.eye(60, dtype=np.uint8)[:40, :, None] * np.array([9, 0, 0], np.uint8)), "2 colors"),
        (png(np.zeros((40, 60), np.uint8), "JPEG"), "JPEG, which changes the numbers"),
        (png(np.zeros((400, 600), np.uint8)), "more than 10,000 pixels"),
        (png(np.zeros((40, 60), np.uint8))[:60], "broken or cut off"),
        (b"", "no picture"),
    ],
)
def test_files_that_are_no_masks_say_why(content: bytes, told: str) -> None:
    with pytest.raises(BadImageError, match=told):
        delivered.read_mask(content, (60, 40), 10_000)


@pytest.mark.skipif(not REAL.exists(), reason="the real faces are not here")
def test_real_faces_agree_with_their_delivered_masks() -> None:
    shares = []
    for file in sorted((REAL / "images").glob("*/*.png")):
        photo = read(file)
        _, labels = parsed(photo)
        content = (REAL / "masks" / file.parent.name / file.name).read_bytes()
        size = (photo.shape[1], photo.shape[0])
        truth = delivered.from_delivered(delivered.read_mask(content, size, 1_000_000))
        skins = [
            np.isin(one, (Region.SKIN, Region.LEFT_SHADOW, Region.RIGHT_SHADOW))
            for one in (labels, truth)
        ]
        lips = [np.isin(one, (Region.LIPS, Region.MOUTH)) for one in (labels, truth)]
        eyes = [np.isin(one, (Region.LEFT_EYE, Region.RIGHT_EYE)) for one in (labels, truth)]
        shares.append([overlap(*skins), overlap(*lips), overlap(*eyes)])
    assert len(shares) == 29
    assert (np.mean(shares, 0) > [0.85, 0.78, 0.70]).all()
