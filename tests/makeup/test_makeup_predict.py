"""What a person asks of makeup, on a public-domain portrait: answers, files, and bad photos."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageDraw
from skimage.data import astronaut, coffee

from beauty_models.makeup import (
    WORDING,
    cosmetics,
    photos,
    safety,
    sample_portrait,
    serving,
    watermark,
)
from beauty_models.makeup import model as network
from beauty_models.makeup.predict import GENERATED, generated_png, predict
from beauty_models.makeup.serving import ANSWERS, COLUMNS, Served
from beauty_models.serving import batch

MODEL = Path("no-model-is-needed-for-shades")


def portrait(side: int = 320) -> NDArray[np.uint8]:
    """Return the face of the portrait, large."""
    face = Image.fromarray(astronaut()[:256, 96:352])
    return np.asarray(face.resize((side, side), Image.Resampling.LANCZOS))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "me.png"
    Image.fromarray(portrait()).save(file)
    return file


def ask(*arguments: object) -> dict[str, Any]:
    [answer] = predict(model=MODEL, arguments=[str(argument) for argument in arguments])
    # Whatever is answered is printed as JSON.
    json.dumps(answer, ensure_ascii=False, allow_nan=False)
    return answer


def read(file: str | Path) -> NDArray[np.uint8]:
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB"))


def test_shade_by_name_on_a_photo(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    answer = ask(
        *("--face", photo, "--lipstick", "枫叶红", "--finish", "gloss", "--blush", "peach"),
        *("--eyeshadow", "#8A5A33", "--foundation", "211,168,131", "--save", out),
    )
    assert answer["faces"] == 1 and answer["finish"] == "gloss"
    assert list(answer["parts"]) == ["foundation", "blush", "eyeshadow", "lipstick"]
    lips = answer["parts"]["lipstick"]
    assert lips["shade"] == "#A6392B" and lips["name"] == "maple red"
    x0, y0, x1, y1 = lips["box"]
    before, after = portrait(), read(answer["picture"])
    assert before.shape == after.shape
    reddened = after[y0:y1, x0:x1].astype(int) - before[y0:y1, x0:x1]
    assert (reddened[..., 0] - reddened[..., 1]).max() > 30
    # Outside of the face all bytes are the photo's.
    fx0, fy0, fx1, fy1 = (int(edge) for edge in answer["face"])
    outside = np.ones(before.shape[:2], bool)
    outside[fy0 - 30 : fy1 + 30, fx0 - 30 : fx1 + 30] = False
    assert outside.sum() > 10_000
    assert (before[outside] == after[outside]).all()
    strip = read(answer["strip"])
    assert strip.shape == (320, 2 * 320 + 8, 3)
    assert (strip[:, :320] == before).all()


def test_the_example_of_make_retrain_is_answered_without_a_face_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = ask(*WORDING.example)
    assert answer["photo"] == sample_portrait()
    assert list(answer["parts"]) == ["lipstick"] and answer["notes"] == []
    assert Path(answer["strip"]).is_file()
    assert Path(answer["strip"]).is_relative_to("build")  # nothing that git would take


def test_a_wide_profile_s_photo_is_the_same_photo_outside_of_the_lips(tmp_path: Path) -> None:
    """Of a profile that swaps red and green the file's own numbers stay, and the profile."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = range(132, 132 + 12 * int.from_bytes(profile[128:132], "big"), 12)
    at = {bytes(profile[i : i + 4]): i for i in tags}
    red, green = at[b"rXYZ"], at[b"gXYZ"]
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    stored = portrait()[..., [1, 0, 2]]  # seen through the profile it is the portrait
    file = tmp_path / "wide.png"
    Image.fromarray(np.ascontiguousarray(stored)).save(file, icc_profile=bytes(profile))
    answer = ask("--face", file, "--lipstick", "#B3123F", "--save", tmp_path / "out")
    with Image.open(answer["picture"]) as result:
        assert result.info["icc_profile"] == bytes(profile)
        after = np.asarray(result.convert("RGB"))
    changed = (after != stored).any(-1)
    assert 0 < changed.mean() < 0.1  # the lips, and not the whole photo


def test_nothing_is_kept_unless_asked_for(photo: Path, tmp_path: Path) -> None:
    answer = ask("--face", photo, "--lipstick", "plum")
    assert "picture" not in answer
    assert any("--save" in note for note in answer["notes"])
    assert [file.name for file in tmp_path.iterdir()] == ["me.png"]


def test_results_do_not_replace_each_other(photo: Path, tmp_path: Path) -> None:
    places = [ask("--face", photo, "--lipstick", "plum", "--save", tmp_path)["picture"]]
    places.append(ask("--face", photo, "--lipstick", "coral", "--save", tmp_path)["picture"])
    assert len(set(places)) == 2 and all(Path(place).exists() for place in places)


def test_match_names_the_nearest_shades_of_a_table(photo: Path, tmp_path: Path) -> None:
    own = ask("--match", photo)
    assert len(own["shades"]) == 5
    distances = [shade["delta_e"] for shade in own["shades"]]
    assert distances == sorted(distances)
    table = tmp_path / "shades.csv"
    table.write_text(f"name,hex,brand\nHers,{own['lips']},Aura\nNight,#101020,Aura\n")
    [first] = ask("--match", photo, "--shades", table, "--top", 1)["shades"]
    assert (first["name"], first["brand"]) == ("Hers", "Aura")
    assert first["delta_e"] < 1


def test_check_knows_generated_pictures_and_tells_photos_from_them(
    photo: Path, tmp_path: Path
) -> None:
    face = np.asarray(Image.fromarray(coffee()).resize((256, 256)))
    [content] = generated_png([face])
    file = tmp_path / "sampled.png"
    file.write_bytes(content)
    answer = ask("--check", file)
    assert answer["watermark"] and "generated" in answer["meaning"]
    assert answer["note"] == photos.GENERATED_TYPE
    # As others save it: the note is lost, the mark is not.
    saved = tmp_path / "saved.jpg"
    Image.fromarray(read(file)).save(saved, quality=80)
    answer = ask("--check", saved)
    assert answer["watermark"] and answer["note"] is None
    assert watermark.detect(read(saved)).payload == GENERATED
    answer = ask("--check", photo)
    assert not answer["watermark"] and answer["note"] is None


def test_foundation_carries_the_mark_and_every_result_the_note(tmp_path: Path) -> None:
    file = tmp_path / "large.png"
    Image.fromarray(portrait(640)).save(file)
    look = ("--foundation", "beige", "--lipstick", "rose", "--save", tmp_path)
    answer = ask("--face", file, *look)
    assert answer["watermark"]
    Image.fromarray(read(answer["picture"])).save(tmp_path / "again.jpg", quality=80)
    assert ask("--check", tmp_path / "again.jpg")["meaning"] == "shades were put on a photo"
    assert ask("--check", answer["picture"])["note"] == photos.SOURCE_TYPE
    # So little is made up that no mark fits; the answer does not claim one.
    small = ask("--face", file, "--lipstick", "rose", "--strength", 0.01)
    assert small["watermark"] == watermark.detect(portrait(640)).marked is False


def encoded_image(image: Image.Image, **settings: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, **settings)
    return stream.getvalue()


def test_orientation_place_and_profile_of_a_jpeg(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8  # the camera was on its side
    exif[0x8825] = {1: "N"}  # a place
    turned = Image.fromarray(portrait()).rotate(-90, expand=True)
    file = tmp_path / "phone.jpg"
    turned.save(file, quality=92, exif=exif)
    for kind, suffix in (("png", ".png"), ("same", ".jpg")):
        answer = ask(*("--face", file, "--lipstick", "plum", "--save", tmp_path, "--format", kind))
        assert Path(answer["picture"]).suffix == suffix
        with Image.open(answer["picture"]) as picture:
            assert not {0x0112, 0x8825} & set(picture.getexif())
        difference = np.abs(read(answer["picture"]).astype(int) - portrait())
        assert difference.mean() < 6  # upright
        assert ask("--check", answer["picture"])["note"] == photos.SOURCE_TYPE


def test_colors_of_another_profile_and_transparency_stay() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # The same profile under another name is one that is not known to be sRGB.
    other = profile.replace("sRGB".encode("utf-16-be"), "wide".encode("utf-16-be"))
    assert other != profile
    pixels = np.dstack([portrait(), np.tile(np.arange(320) % 256, (320, 1)).astype(np.uint8)])
    content = encoded_image(Image.fromarray(pixels), format="PNG", icc_profile=other)
    photo = photos.open_photo(content)
    assert photo.profile == other
    edited = photo.pixels.copy()
    edited[100:120, 90:110] = (180, 20, 60)
    encoded, suffix = photos.encode(photo, edited, "same")
    assert suffix == ".png"
    result = Image.open(io.BytesIO(encoded))
    assert result.mode == "RGBA" and result.info["icc_profile"] == other
    back = np.asarray(result)
    assert (back[..., 3] == pixels[..., 3]).all()
    same = np.ones((320, 320), bool)
    same[100:120, 90:110] = False
    assert (back[same] == pixels[same]).all()
    assert (back[100:120, 90:110] != pixels[100:120, 90:110]).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Image.fromarray(coffee()), "no face was found"),
        (lambda: Image.fromarray(portrait(40)), "pixels across, it needs 40"),
        (lambda: Image.new("RGB", (200, 200), "white"), "no face was found"),
        (lambda: Image.new("RGB", (8, 8)), "shorter side needs 16"),
    ],
)
def test_photos_without_a_usable_face_say_why(make: Any, message: str, tmp_path: Path) -> None:
    file = tmp_path / "odd.png"
    make().save(file)
    with pytest.raises(ValueError, match=message) as error:
        ask("--face", file, "--lipstick", "plum")
    assert "odd.png" in str(error.value)


def test_several_faces_are_told_and_one_can_be_chosen(tmp_path: Path) -> None:
    pair = Image.new("RGB", (620, 320), "gray")
    pair.paste(Image.fromarray(portrait(320)), (0, 0))
    pair.paste(Image.fromarray(portrait(240)), (350, 40))
    file = tmp_path / "two.png"
    pair.save(file)
    largest = ask("--face", file, "--lipstick", "plum")
    assert largest["faces"] == 2 and largest["face"][0] < 320
    assert any("2 faces" in note for note in largest["notes"])
    second = ask("--face", file, "--lipstick", "plum", "--which", 2)
    assert second["face"][0] > 320
    assert not any("2 faces" in note for note in second["notes"])
    with pytest.raises(ValueError, match="has 2 faces"):
        ask("--face", file, "--lipstick", "plum", "--which", 3)


def test_odd_photos_are_made_up_and_told(tmp_path: Path) -> None:
    grey = tmp_path / "grey.png"
    Image.fromarray(portrait()).convert("L").save(grey)
    assert any("grey" in note for note in ask("--face", grey, "--lipstick", "plum")["notes"])
    with pytest.raises(ValueError, match="does not show the color of lips"):
        ask("--match", grey)
    moving = tmp_path / "moving.gif"
    first = Image.fromarray(portrait()).convert("P")
    first.save(moving, save_all=True, append_images=[first.rotate(180)])
    notes = ask("--face", moving, "--lipstick", "plum")["notes"]
    assert any("2 pictures; the first one" in note for note in notes)
    cut = tmp_path / "cut.png"
    Image.fromarray(portrait()[:, 130:]).save(cut)
    try:
        notes = ask("--face", cut, "--lipstick", "plum")["notes"]
    except ValueError as error:
        assert "no face" in str(error)
    else:
        assert any("border" in note or "turned" in note for note in notes)


def test_drawing_that_passes_for_a_face_is_told(tmp_path: Path) -> None:
    drawing = Image.new("RGB", (400, 400), (250, 240, 230))
    pen = ImageDraw.Draw(drawing)
    pen.ellipse((80, 50, 320, 360), fill=(245, 205, 175))
    for left in (130, 220):
        pen.ellipse((left, 150, left + 50, 180), fill="white", outline="black")
        pen.ellipse((left + 17, 155, left + 33, 175), fill="black")
    pen.arc((150, 240, 250, 300), 20, 160, fill=(200, 40, 60), width=10)
    pen.line((200, 190, 190, 240), fill=(200, 160, 130), width=4)
    file = tmp_path / "drawing.png"
    drawing.save(file)
    notes = ask("--face", file, "--lipstick", "plum")["notes"]
    assert any("looks drawn" in note for note in notes)


def test_sunglasses_stay_and_what_has_no_place_is_told(tmp_path: Path) -> None:
    masked = Image.fromarray(portrait(640))
    pen = ImageDraw.Draw(masked)
    pen.rectangle((175, 200, 310, 270), fill=(10, 10, 10))
    pen.rectangle((345, 205, 480, 275), fill=(10, 10, 10))
    pen.line((310, 225, 345, 225), fill=(10, 10, 10), width=8)
    file = tmp_path / "sunglasses.png"
    masked.save(file)
    look = ("--lipstick", "plum", "--eyeshadow", "bronze")
    answer = ask("--face", file, *look, "--save", tmp_path)
    assert list(answer["parts"]) == ["lipstick"]
    assert any("glasses" in note for note in answer["notes"])
    assert any("no place for eyeshadow" in note for note in answer["notes"])
    behind = (slice(200, 270), slice(175, 310))
    assert (read(answer["picture"])[behind] == np.asarray(masked)[behind]).all()


def test_refused_photo_says_so(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safety, "THRESHOLD", 0.0)
    with pytest.raises(ValueError, match=r"me\.png: refused"):
        ask("--face", photo, "--lipstick", "plum")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "say what to put on"),
        (["--lipstick", "mapel red"], "maple red"),
        (["--lipstick", "300,0,0"], "0 to 255"),
        (["--lipstick", "plum", "--strength", "2"], "from 0 to 1"),
        (["--lipstick", "plum", "--which", "-1"], "the largest face is 1"),
        (["--lipstick", "plum", "--shades", "gone.csv"], "no such file"),
        (["--lipstick", "plum", "--check", "x.png"], "one of --face, --match and --check"),
    ],
)
def test_wrong_options_are_told(photo: Path, options: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ask("--face", photo, *options)


def test_look_of_a_reference_and_a_shade_over_it(photo: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    # Not trained, and so that it changes something: what is tested is the way there and back.
    transfer = network.TransferGenerator(
        network.Config(32, 8, "regions"), network.build_autoencoder(8, 4, 1, 2)
    )
    torch.nn.init.normal_(transfer.change.weight, std=0.3)
    folder = tmp_path / "transfer"
    folder.mkdir()
    network.save(transfer, network.NO_MATCH, folder)
    worn = tmp_path / "look.png"
    Image.fromarray(np.roll(portrait(), 1, axis=-1)).save(worn)
    asked = ["--face", str(photo), "--reference", str(worn), "--save", str(tmp_path)]
    [answer] = predict(model=folder, arguments=[*asked, "--lipstick", "plum"])
    assert list(answer["parts"]) == ["lips", "skin", "eyes", "lipstick"]
    assert answer["parts"]["lipstick"]["name"] == "plum"
    changed = (read(answer["picture"]) != portrait()).any(-1)
    assert changed.sum() > 1000
    x0, y0, x1, y1 = (int(edge) for edge in answer["face"])
    rows, columns = np.nonzero(changed)
    assert y0 - 30 < rows.min() and rows.max() < y1 + 30
    assert x0 - 30 < columns.min() and columns.max() < x1 + 30
    nobody = tmp_path / "coffee.png"
    Image.fromarray(coffee()).save(nobody)
    with pytest.raises(ValueError, match="reference: no face was found"):
        predict(model=folder, arguments=["--face", str(photo), "--reference", str(nobody)])
    grey = tmp_path / "grey.jpg"
    Image.fromarray(portrait()).convert("L").save(grey)
    with pytest.raises(ValueError, match="reference: the photo is in shades of grey"):
        predict(model=folder, arguments=["--face", str(photo), "--reference", str(grey)])


def test_table_of_wishes_keeps_every_row(photo: Path, tmp_path: Path) -> None:
    sent = "data:image/png;base64," + base64.b64encode(photo.read_bytes()).decode()
    frame = pd.DataFrame(
        {
            "face": [str(photo), str(tmp_path / "gone.png"), sent, str(photo), ""],
            "lipstick": ["plum", "plum", "", "no such shade", "plum"],
            "strength": ["0.5", "", "", "", ""],
        },
        index=[7, 3, 5, 1, 2],
    )
    answers = Served(MODEL).predict(frame, {"blush": "peach"})
    assert list(answers.columns) == [*ANSWERS, "error"]
    assert answers.index.tolist() == [7, 3, 5, 1, 2]
    assert list(answers.loc[7, "parts"]) == ["blush", "lipstick"]
    assert list(answers.loc[5, "parts"]) == ["blush"]
    assert answers.loc[[7, 5], "error"].isna().all()
    content = base64.b64decode(answers.loc[7, "picture"].partition(",")[2])
    assert read(io.BytesIO(content)).shape == (320, 320, 3)  # type: ignore[arg-type]
    assert "cannot be read" in answers.loc[3, "error"]
    assert "no such shade" in answers.loc[1, "error"]
    assert "names no photo" in answers.loc[2, "error"]


def test_folder_of_photos(photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    photo.rename(folder / "a.png")
    (folder / "b.txt").write_text("no picture")
    model = tmp_path / "model"
    model.mkdir()
    out, kept = tmp_path / "said.csv", tmp_path / "kept"
    arguments = ["--file", folder, "--out", out, "--lipstick", "枫叶红", "--save", kept]
    summary = batch.predict_file("makeup", model, [str(a) for a in arguments])
    assert (summary["rows"], summary["failed"]) == (2, 1)
    said = pd.read_csv(out).set_index("file")
    assert Path(said.loc["a.png", "prediction_picture"]).exists()
    assert "not a picture" in said.loc["b.txt", "prediction_error"]
    assert set(COLUMNS) >= {"face", "reference"}


def test_the_command_line_names_what_cosmetics_knows() -> None:
    assert serving.COSMETICS == cosmetics.PARTS
    assert set(serving.FINISHES) == set(cosmetics.FINISHES)
