"""What a person asks of editing: what changes, what must not, and what is told of bad input."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from drawn_products import drawn, encoded
from PIL import Image, ImageCms

from beauty_models.editing import edits, serving
from beauty_models.editing.fills import FILLS
from beauty_models.editing.model import of_each
from beauty_models.editing.predict import SHEET, predict
from beauty_models.editing.recolour import oklab
from beauty_models.serving import photos

NO_MODEL = Path("no-model-is-needed")
SIDE = 128


class Editor:
    """A model that paints in one color, and serves a classical fill for boxes."""

    side = 64
    served = {"box": "telea", "stroke": "inpainter", "object": "patch"}  # noqa: RUF012

    def fills(self) -> dict[str, Any]:
        def painted(images: Any, holes: Any) -> Any:
            return np.where(holes[..., None], np.uint8([10, 200, 30]), images)

        return {name: of_each(fill) for name, fill in FILLS.items()} | {"inpainter": painted}


@pytest.fixture(autouse=True)
def editor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving.Served, "editor", lambda self: Editor())


def ask(*arguments: object) -> dict[str, Any]:
    [answer] = predict(model=NO_MODEL, arguments=[str(argument) for argument in arguments])
    # Whatever is answered is printed as JSON.
    json.dumps(answer, ensure_ascii=False, allow_nan=False)
    return answer


def read(file: str | Path) -> Any:
    with Image.open(file) as picture:
        return np.asarray(picture)


def put(file: Path, content: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else encoded(content))
    return file


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    return put(tmp_path / "bag.png", drawn("bag", "white", SIDE, 4).image)


def test_a_cut_out_is_the_product_on_nothing(bag: Path, tmp_path: Path) -> None:
    answer = ask("cutout", bag, "--save", tmp_path / "out")
    exact = drawn("bag", "white", SIDE, 4)
    layer = read(answer["picture"])
    assert layer.shape == (SIDE, SIDE, 4)
    assert np.abs(layer[..., 3].astype(int) - exact.mask).mean() < 4
    inside = (exact.mask == 255) & (layer[..., 3] == 255)
    assert (layer[inside][:, :3] == exact.image[inside]).mean() > 0.9
    assert answer["sure"] > 0.7
    again = ask("cutout", bag, "--save", tmp_path / "out")
    assert again["picture"] != answer["picture"]  # what is there is never replaced
    unkept = ask("cutout", bag)
    assert "picture" not in unkept and "was not kept" in unkept["notes"][-1]


def test_sample_is_a_photo_that_anybody_has(tmp_path: Path) -> None:
    answer = ask("cutout", "sample", "--save", tmp_path)
    assert answer["sure"] > 0.9 and read(answer["picture"]).shape == (512, 512, 4)


@pytest.mark.parametrize("action", ["remove", "inpaint"])
def test_what_is_filled_is_the_hole_and_who_filled_it_is_told(
    action: str, bag: Path, tmp_path: Path
) -> None:
    before = read(bag)
    hole = np.zeros((SIDE, SIDE), np.uint8)
    if action == "remove":
        hole[70:90, 40:60] = 255
        answer = ask("remove", bag, "--box", "40,70,20,20", "--save", tmp_path / "out")
        assert answer["filled_by"] == "telea"
    else:
        cv2.line(hole, (5, 20), (120, 110), 255, 3)
        mask = put(tmp_path / "scratch.png", hole)
        answer = ask("inpaint", bag, "--mask", mask, "--save", tmp_path / "out")
        assert answer["filled_by"] == "inpainter"
    assert any("the best on validation" in note for note in answer["notes"])
    after = read(answer["picture"])
    inside = hole > 0
    assert (after[~inside] == before[~inside]).all()
    assert (after[inside] != before[inside]).any()
    if action == "inpaint":
        assert (after[inside] == (10, 200, 30)).all()
    note = photos.source_type_of(Path(answer["picture"]).read_bytes())
    assert note == (photos.SOURCE_TYPE if action == "inpaint" else photos.ENHANCED_TYPE)


def folded(ratio: float = 1.0) -> tuple[Any, Any]:
    """Return red cloth with folds and a blue print on white, and which pixels are the print."""
    photo = np.full((SIDE, SIDE, 3), 255.0)
    across = np.arange(SIDE)
    folds = 0.8 + 0.2 * np.sin(across / 5)
    photo[20:110, 20:108] = np.array([190, 40, 50]) * folds[None, 20:108, None] * ratio
    is_print = np.zeros((SIDE, SIDE), bool)
    is_print[50:70, 50:70] = True
    photo[is_print] = (30, 60, 200)
    return np.rint(photo).astype(np.uint8), is_print


@pytest.mark.parametrize("color", ["#1f8a4c", "#f2d43c", "#202024", "200,30,160", "white"])
def test_recolored_cloth_keeps_its_folds_and_its_print(color: str, tmp_path: Path) -> None:
    before, is_print = folded()
    file = put(tmp_path / "cloth.png", before)
    answer = ask("recolour", file, "--to", color, "--save", tmp_path / "out")
    after = read(answer["picture"])
    ground = np.ones((SIDE, SIDE), bool)
    ground[16:114, 16:112] = False
    assert (after[ground] == before[ground]).all()
    inner = np.zeros_like(is_print)
    inner[53:67, 53:67] = True
    assert (after[inner] == before[inner]).all()
    cloth = np.zeros_like(is_print)
    cloth[24:106, 24:104] = True
    cloth[46:74, 46:74] = False
    old = oklab(before)[cloth]
    new = oklab(after)[cloth]
    # The folds are where they were: as dark beside as light as before.
    assert np.corrcoef(old[:, 0], new[:, 0])[0, 1] > 0.9
    assert new[:, 0].std() > 0.2 * old[:, 0].std()
    wanted = oklab(np.array(edits._color_or_none(color), np.uint8))
    assert np.linalg.norm(np.median(new, 0) - wanted) < 0.1
    assert 0.8 < answer["recolored"] < 1


def test_a_mask_says_what_is_recolored(tmp_path: Path) -> None:
    before, _ = folded()
    file = put(tmp_path / "cloth.png", before)
    left = np.zeros((SIDE, SIDE), np.uint8)
    left[20:110, 20 : SIDE // 2] = 255
    mask = put(tmp_path / "left.png", left)
    options = ("--to", "#1f8a4c", "--mask", mask, "--save", tmp_path / "out")
    after = read(ask("recolour", file, *options)["picture"])
    assert (after[:, 65:] == before[:, 65:]).all()
    assert (after[30, 30] != before[30, 30]).any()
    inverted = put(tmp_path / "inverted.png", 255 - left)
    options = (*options[:2], "--mask", inverted, *options[4:])
    with pytest.raises(ValueError, match="seems to be inverted"):
        ask("recolour", file, *options)
    assert (read(ask("recolour", file, *options, "--invert")["picture"]) == after).all()


def test_a_product_is_put_on_a_color_or_a_photo_with_a_shadow(bag: Path, tmp_path: Path) -> None:
    save = ("--save", tmp_path / "out")
    plain = read(ask("compose", bag, "--background", "#2040a0", *save)["picture"])
    exact = drawn("bag", "white", SIDE, 4)
    assert (plain[exact.mask == 0] == (0x20, 0x40, 0xA0)).all(-1).mean() > 0.95
    inside = exact.mask == 255
    assert (plain[inside] == exact.image[inside]).mean() > 0.9
    backdrop = np.full((300, 200, 3), 180, np.uint8)
    ground = put(tmp_path / "ground.png", backdrop)
    placed = ("compose", bag, "--background", ground, "--place", "bottom", *save)
    standing = read(ask(*placed)["picture"])
    assert standing.shape == (300, 200, 3)
    rows = np.flatnonzero((standing != 180).any((1, 2)))
    assert 270 < rows[-1] < 290 and rows[0] > 60
    shaded = read(ask(*placed, "--shadow")["picture"])
    darker = shaded.astype(int).sum(2) < standing.astype(int).sum(2)
    assert darker.sum() > 200
    # It falls on the ground only, and mostly at the foot.
    assert (np.flatnonzero(darker.any(1)) > 200).mean() > 0.6
    assert (shaded[:60] == 180).all()


def hole_mask(fill: int = 0) -> Any:
    mask = np.full((SIDE, SIDE), fill, np.uint8)
    mask[76:96, 50:70] = 255 - fill  # in the bag
    return mask


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((SIDE, SIDE), np.uint8), "black throughout"),
        (np.full((SIDE, SIDE), 255, np.uint8), "white throughout"),
        (hole_mask(255), "seems to be inverted: 98% of it is white"),
        (hole_mask()[:50], "the mask has 128 × 50 pixels, the photo 128 × 128"),
        (hole_mask() // 4, "lighter than middle grey"),
        (b"no picture", "the mask is no picture"),
        (encoded(hole_mask())[:90], "broken or cut off"),
    ],
)
def test_a_mask_that_can_only_be_a_mistake_is_told(
    mask: Any, message: str, bag: Path, tmp_path: Path
) -> None:
    file = put(tmp_path / "mask.png", mask)
    with pytest.raises(ValueError, match=message):
        ask("inpaint", bag, "--mask", file)


@pytest.mark.parametrize(
    ("mask", "note"),
    [
        (hole_mask() // 255, "0 and 1"),
        (hole_mask()[::2, ::2], "was scaled"),
        (cv2.GaussianBlur(hole_mask(), (0, 0), 6), "of the mask is grey"),
        (hole_mask().astype(np.uint16) * 257, ""),
        (np.dstack([np.full((SIDE, SIDE, 3), 90, np.uint8), hole_mask()]), ""),
    ],
)
def test_odd_masks_are_read_and_what_was_taken_is_told(
    mask: Any, note: str, bag: Path, tmp_path: Path
) -> None:
    file = put(tmp_path / "mask.png", mask)
    answer = ask("inpaint", bag, "--mask", file, "--save", tmp_path / "out")
    assert note in " ".join(answer["notes"])
    changed = (read(answer["picture"]) != read(bag)).any(2)
    assert changed[78:94, 52:68].any() and not changed[:64].any()


def test_an_inverted_mask_can_be_turned(bag: Path, tmp_path: Path) -> None:
    file = put(tmp_path / "mask.png", hole_mask(255))
    answer = ask("inpaint", bag, "--mask", file, "--invert", "--save", tmp_path / "out")
    changed = (read(answer["picture"]) != read(bag)).any(2)
    assert changed[78:94, 52:68].any() and not changed[:70].any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compose", "BAG", "--background", "a beach at night"), "this model reads no text"),
        (("compose", "BAG", "--background", "beach.jpg"), "there is no such file"),
        (("compose", "BAG"), "compose needs --background"),
        (("cutout", "BAG", "--box", "1,1,2,2"), "--box is for remove, not for cutout"),
        (("recolour", "BAG", "--to", "#12"), "not a color"),
        (("remove", "BAG", "--box", "1,2,3"), "four whole numbers"),
        (("remove", "BAG", "--box", "100,100,60,10"), "reaches out of the photo"),
        (("remove", "BAG", "--box", "0,0,128,128"), "is the whole photo"),
        (("remove", "BAG", "--box", "5,5,0,9"), "at least 1"),
        (("cutout", "gone.png"), "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_to_do(
    arguments: tuple[str, ...], message: str, bag: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        ask(*[bag if word == "BAG" else word for word in arguments])


def sixteen_bits(pixels: Any) -> Image.Image:
    return Image.fromarray(pixels.mean(2).astype(np.uint16) * 257)


@pytest.mark.parametrize(
    ("kind", "make", "note"),
    [
        ("TIFF", lambda pixels: Image.fromarray(pixels).convert("CMYK"), "CMYK"),
        ("PNG", sixteen_bits, "more than 8 bits"),
        ("PNG", lambda pixels: np.dstack([pixels, drawn("bag", "white", SIDE, 4).mask]), "its own"),
    ],
)
def test_photos_of_other_kinds_are_cut_out_too(
    kind: str, make: Callable[[Any], Any], note: str, tmp_path: Path
) -> None:
    exact = drawn("bag", "white", SIDE, 4)
    file = put(tmp_path / "photo.img", encoded(make(exact.image), kind))
    answer = ask("cutout", file, "--save", tmp_path / "out")
    assert note in " ".join(answer["notes"])
    alpha = read(answer["picture"])[..., 3].astype(int)
    assert np.abs(alpha - exact.mask).mean() < 6


def test_too_many_pixels_are_refused_unread_and_ten_thousand_wide_is_done(tmp_path: Path) -> None:
    wide = np.full((200, 10_000, 3), 255, np.uint8)
    wide[50:150, 3000:7000] = (40, 60, 120)
    answer = ask("cutout", put(tmp_path / "wide.png", wide), "--save", tmp_path / "out")
    assert (read(answer["picture"])[100, 3100:6900, 3] == 255).all()
    huge = Image.new("1", (20_000, 20_000))
    with pytest.raises(ValueError, match="and is not read"):
        ask("cutout", put(tmp_path / "huge.png", encoded(huge)))


def test_a_busy_ground_is_told(tmp_path: Path) -> None:
    file = put(tmp_path / "busy.png", drawn("bag", "texture", SIDE, 4).image)
    answer = ask("cutout", file)
    assert answer["sure"] < 0.5 and any("is a guess" in note for note in answer["notes"])


def test_a_turned_photo_in_another_profile_comes_back_upright_in_its_own_colors(
    tmp_path: Path,
) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # The same profile under another name is one that is not known to be sRGB.
    other = profile.replace("sRGB".encode("utf-16-be"), "wide".encode("utf-16-be"))
    pixels = drawn("bag", "white", SIDE, 4).image[:100]
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side
    file = put(tmp_path / "turned.png", encoded(pixels, icc_profile=other, exif=exif))
    answer = ask("remove", file, "--box", "10,20,8,8", "--save", tmp_path / "out")
    with Image.open(answer["picture"]) as result:
        assert result.info["icc_profile"] == other
        after = np.asarray(result)
    upright = np.rot90(pixels, -1)
    same = np.ones(upright.shape[:2], bool)
    same[20:28, 10:18] = False
    assert (after[same] == upright[same]).all()


def test_a_folder_becomes_a_folder_with_a_contact_sheet_and_its_faults_told(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "photos"
    for name in ("a.png", "sub/b.png", "c.png"):
        put(folder / name, drawn("bag", "white", SIDE, 4).image)
        put(tmp_path / "masks" / name, hole_mask())
    put(folder / "broken.png", b"no picture")
    put(folder / "d.png", drawn("jar", "white", SIDE, 4).image)  # without a mask
    arguments = ["inpaint", folder, "--mask", tmp_path / "masks", "--save", tmp_path / "out"]
    answers = predict(model=NO_MODEL, arguments=[str(argument) for argument in arguments])
    told = {answer["photo"]: answer for answer in answers}
    assert set(told) == {"a.png", "sub/b.png", "c.png", "broken.png", "d.png"}
    assert "no mask for it" in told["broken.png"]["error"]
    assert "it needs the photo's name" in told["d.png"]["error"]
    assert Path(told["sub/b.png"]["picture"]) == tmp_path / "out/sub/b.png"
    sheet = read(tmp_path / "out" / SHEET)
    assert sheet.shape[0] > 180 and sheet.shape[1] > 3 * 360
    cut = ["cutout", str(folder), "--save", str(tmp_path / "cut")]
    errors = [a["photo"] for a in predict(model=NO_MODEL, arguments=cut) if "error" in a]
    assert errors == ["broken.png"]
    with pytest.raises(ValueError, match="--save FOLDER says where"):
        ask("cutout", folder)
    with pytest.raises(ValueError, match="is the folder of the photos"):
        ask("cutout", folder, "--save", folder)


def test_tables_are_answered_and_bad_rows_say_why(bag: Path) -> None:
    address = f"data:image/png;base64,{base64.b64encode(bag.read_bytes()).decode()}"
    frame = pd.DataFrame(
        {
            "image": [str(bag), address, "", str(bag), str(bag)],
            "do": ["", "recolour", "cutout", "paint", "remove"],
            "to": ["", "#22aa55", "", "", ""],
            "box": ["", "", "", "", "5,5,9,9"],
        },
        index=[7, 8, 9, 10, 11],
    )
    answers = serving.Served(NO_MODEL).predict(frame)
    assert list(answers.index) == [7, 8, 9, 10, 11]
    assert answers["error"][[7, 8, 11]].isna().all()
    assert "names no photo" in answers["error"][9]
    assert "it is one of cutout" in answers["error"][10]
    assert answers["filled_by"][11] == "telea"
    picture = base64.b64decode(answers["picture"][7].partition(",")[2])
    assert Image.open(io.BytesIO(picture)).mode == "RGBA"


def worn_garment(garment: tuple[int, int, int], trousers: tuple[int, int, int]) -> Any:
    """Return somebody in a jacket and trousers before white: face, jacket, hands, trousers."""
    photo = np.full((256, 192, 3), 255, np.uint8)
    skin = (214, 162, 134)
    cv2.ellipse(photo, (96, 34), (22, 28), 0, 0, 360, skin, -1)
    photo[64:160, 56:136] = garment
    # Folds, lighter and darker than the cloth.
    for column in range(60, 132, 12):
        photo[70:156, column : column + 4] = np.clip(np.array(garment) * 0.92, 0, 255)
    photo[160:200, 60:132] = trousers
    photo[128:150, 44:56] = skin
    return photo


def recolored(photo: Any, tmp_path: Path) -> tuple[Any, dict[str, Any]]:
    answer = ask(
        "recolour", put(tmp_path / "worn.png", photo), "--to", "#2255AA", "--save", tmp_path / "out"
    )
    return read(answer["picture"]), answer


def test_a_white_jacket_is_recolored_and_grey_trousers_are_not(tmp_path: Path) -> None:
    photo = worn_garment((228, 226, 227), (162, 162, 162))
    after, answer = recolored(photo, tmp_path)
    jacket = np.s_[80:140, 64:128]
    trousers = np.s_[170:195, 64:128]
    assert (np.abs(after[jacket].astype(int) - photo[jacket]).max(-1) > 40).all()
    assert (after[trousers] == photo[trousers]).all()
    assert (after[20:50, 84:108] == photo[20:50, 84:108]).all(), "the face"
    assert after[100, 62].sum() < after[100, 70].sum(), "folds stay darker"
    assert not any("near that of skin" in note for note in answer["notes"])


def test_an_orange_jacket_leaves_face_and_hands_and_the_risk_is_told(tmp_path: Path) -> None:
    photo = worn_garment((219, 147, 71), (60, 58, 62))
    after, answer = recolored(photo, tmp_path)
    jacket = np.s_[80:120, 64:128]
    assert (after[jacket][..., 2] > after[jacket][..., 0]).all(), "orange has become blue"
    for skin in (np.s_[20:50, 84:108], np.s_[132:146, 46:52]):
        assert np.abs(after[skin].astype(int) - photo[skin]).mean() < 8
    assert any("near that of skin" in note for note in answer["notes"])
