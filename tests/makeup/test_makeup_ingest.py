"""ingest of faces: what is taken, what is rejected and why, and who is in which part."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image
from portraits import HEAD, astronaut, pasted
from skimage import data as pictures
from test_parsing import with_frames

from beauty_models.files import read_json
from beauty_models.intake import account
from beauty_models.makeup import Ingest
from beauty_models.makeup.data import ingest
from beauty_models.makeup.dataset import COLUMNS, read_faces
from beauty_models.makeup.landmarks import find_faces
from beauty_models.makeup.parsing import parse
from beauty_models.makeup.regions import Region
from beauty_models.makeup.tones import tone_group, typology_angle

PARTS = ("train", "validation", "test", "unlabelled")
PARAMS = Ingest.model_validate(
    {
        "seed": 0,
        "photos": {"max_pixels": 20_000_000, "min_face": 40, "side": 96},
        "label_map": "auto",
        "reading": account.AUTO.model_dump(),
        "max_rejected": 1.0,
        "rendered_looks": 0,
        "split": {"train": 1.0, "validation": 0.0, "test": 0.0},
    }
)
THIRDS = {"train": 0.4, "validation": 0.3, "test": 0.3}


def encoded(pixels: NDArray[np.uint8], kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def tinted(number: int, angle: float = 0) -> NDArray[np.uint8]:
    """Return a portrait that resembles no other one: other light, other turn."""
    random = np.random.default_rng(number)
    photo = pasted(240, (300, 320), (30, 40), angle).astype(float)
    # gradients of light, which the perceptual hash sees
    light = cv2.resize(random.uniform(0.55, 1.3, (4, 4, 3)), (320, 300))
    return np.clip(photo * light, 0, 255).astype(np.uint8)


def base() -> dict[str, bytes]:
    """Return the least that ingest takes: a made-up and a bare face."""
    return {
        "makeup/one.png": encoded(tinted(1)),
        "non-makeup/two.png": encoded(tinted(2)),
    }


def put(raw: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_bytes(content)
    return raw


def run(
    folder: Path, files: Mapping[str, bytes], **changed: Any
) -> tuple[dict[str, float], dict[str, pd.DataFrame], dict[str, Any]]:
    """Return figures, the frames of all parts and of the rejected, and schema.json."""
    settings = Ingest.model_validate(PARAMS.model_dump() | changed)
    figures = ingest(raw=put(folder / "raw", files), data=folder / "data", params=settings)
    frames = {}
    for name in (*PARTS, "rejected"):
        frames[name] = pd.read_parquet(folder / "data" / f"{name}.parquet")
    return figures, frames, read_json(folder / "data" / "schema.json")


def reasons(frames: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    return dict(zip(frames["rejected"]["file"], frames["rejected"]["reason"], strict=True))


def test_folders_of_any_spelling_say_who_is_made_up(tmp_path: Path) -> None:
    folders = ["MakeUp/a", "Non_Makeup", "x/NON-MAKEUP/y", "bare", "素颜", "with makeup", "other"]
    files = {}
    for number, folder in enumerate(folders):
        files[f"{folder}/{number}.png"] = encoded(tinted(number))
    figures, frames, _ = run(tmp_path, files)
    assert list(frames["train"].columns) == COLUMNS
    made_up = dict(zip(frames["train"]["path"], frames["train"]["made_up"], strict=True))
    assert made_up == {
        "MakeUp/a/0.png": True,
        "Non_Makeup/1.png": False,
        "bare/3.png": False,
        "with makeup/5.png": True,
        "x/NON-MAKEUP/y/2.png": False,
        "素颜/4.png": False,
    }
    assert frames["unlabelled"]["path"].tolist() == ["other/6.png"]
    assert frames["unlabelled"]["made_up"].isna().all()
    assert figures["n"] == 7 and figures["rejected"] == 0
    assert figures["train_made_up"] == 2 and figures["train_bare"] == 4


def test_faces_are_upright_and_their_regions_lie_on_them(tmp_path: Path) -> None:
    files = base() | {"makeup/turned.png": encoded(tinted(3, 30))}
    run(tmp_path, files)
    faces = read_faces(tmp_path / "data", "train", 96)
    assert faces.images.shape == (3, 3, 96, 96)
    for regions in faces.regions.numpy():
        eyes = []
        for eye in (Region.LEFT_EYE, Region.RIGHT_EYE):
            rows, columns = np.nonzero(regions == eye)
            eyes.append((columns.mean() / 96, rows.mean() / 96))
        assert np.abs(np.array(eyes) - [(0.37, 0.40), (0.63, 0.40)]).max() < 0.04
        assert (regions == Region.LIPS).sum() > 30


def test_photos_without_a_usable_face_are_told_why(tmp_path: Path) -> None:
    face = find_faces(astronaut())[0]
    grey = cv2.cvtColor(astronaut(), cv2.COLOR_RGB2GRAY)
    sepia = np.clip(grey[..., None] * np.array([1.0, 0.85, 0.65]), 0, 255).astype(np.uint8)
    files = base() | {
        "makeup/cat.png": encoded(np.asarray(pictures.chelsea(), np.uint8)),
        "makeup/cut.png": encoded(np.ascontiguousarray(astronaut()[:200, 222:420])),
        "makeup/small.png": encoded(pasted(90, (300, 300), (100, 100))),
        "makeup/grey.png": encoded(np.stack([grey] * 3, -1)),
        "makeup/sepia.png": encoded(sepia),
        "makeup/sepia_jpeg.jpg": encoded(sepia, "JPEG", quality=75),
        "makeup/dark.png": encoded(with_frames(astronaut(), face, -1)),
        "makeup/broken.png": encoded(astronaut())[:9000],
        "makeup/empty.png": b"",
        "makeup/text.png": b"hello",
        "makeup/tiny.png": encoded(astronaut()[:30, :30].copy()),
    }
    figures, frames, _ = run(tmp_path, files)
    told = reasons(frames)
    expected = {
        "cat": "no face is found",
        "cut": "cut by the border|no face is found",
        "small": "pixels wide, 40 are needed",
        "grey": "shades of grey",
        "sepia": "of one color",
        "sepia_jpeg": "of one color",
        "dark": "behind sunglasses",
        "broken": "broken or cut off",
        "empty": "empty file",
        "text": "not a picture",
        "tiny": r"30 × 30 pixels.*ingest\.photos\.min_face",
    }
    reason_of = {Path(file).stem: reason for file, reason in told.items()}
    assert reason_of.keys() == expected.keys()
    assert len(told) == figures["rejected"] == len(expected)
    for name, pattern in expected.items():
        assert pd.Series([reason_of[name]]).str.contains(pattern).all(), (name, told)
    assert figures["photos"] == figures["n"] + figures["rejected"]


def test_what_was_decided_is_told(tmp_path: Path) -> None:
    crowd = np.full((300, 620, 3), 128, np.uint8)
    crowd[:, :320] = tinted(4)
    crowd[60:220, 400:560] = pasted(160, (160, 160), (0, 0))
    moving = [Image.fromarray(tinted(6)), Image.fromarray(tinted(7))]
    stream = io.BytesIO()
    moving[0].save(stream, "WEBP", save_all=True, append_images=moving[1:], lossless=True)
    files = base() | {"makeup/crowd.png": encoded(crowd), "makeup/moving.webp": stream.getvalue()}
    figures, _, schema = run(tmp_path, files)
    assert figures["n"] == 4
    assert schema["decisions"] == {
        "several faces: the largest is taken": 1,
        "an animation: its first picture is taken": 1,
    }
    printed = (tmp_path / "data/account.json").read_text(encoding="utf-8")
    assert "several faces: the largest is taken" in printed
    assert "no people.csv says who is who" in printed


def test_the_photo_is_turned_as_its_exif_says(tmp_path: Path) -> None:
    lying = np.ascontiguousarray(np.rot90(tinted(8)))
    exif = Image.Exif()
    exif[0x0112] = 6
    files = base() | {"makeup/phone.jpg": encoded(lying, "JPEG", exif=exif.tobytes(), quality=95)}
    figures, _, _ = run(tmp_path, files)
    assert figures["n"] == 3


def test_people_of_the_table_stay_in_one_part(tmp_path: Path) -> None:
    files = {}
    for number in range(24):
        kind = "makeup" if number % 2 else "non-makeup"
        files[f"{kind}/p{number // 2}_{number}.png"] = encoded(tinted(number))
    rows = [f"p{person}_*,Person {person}" for person in range(12)]
    files["people.csv"] = "\n".join(["path,person", *rows, "gone.png,Nobody"]).encode()
    _, frames, schema = run(tmp_path, files, split=THIRDS)
    part_of: dict[str, set[str]] = {}
    for part in PARTS[:3]:
        for person in frames[part]["person"]:
            part_of.setdefault(person, set()).add(part)
    assert len(part_of) == 12 and all(len(parts) == 1 for parts in part_of.values())
    assert reasons(frames) == {"people.csv": "path names no photo"}
    assert "people.csv" in schema["people"]
    # frozen: more photos change nothing for those that are there
    files["makeup/more.png"] = encoded(tinted(90))
    files["non-makeup/more2.png"] = encoded(tinted(91))
    if "hash of the person" in schema["split"]:
        _, later, _ = run(tmp_path / "later", files, split=THIRDS)
        for part in PARTS[:3]:
            assert set(frames[part]["path"]) <= set(later[part]["path"])


def test_few_photos_are_split_so_that_every_part_has_both_looks(tmp_path: Path) -> None:
    files = {}
    for number in range(8):
        kind = "makeup" if number % 2 else "bare"
        files[f"{kind}/{number}.png"] = encoded(tinted(number))
    figures, _, schema = run(tmp_path, files, split={"train": 0.6, "validation": 0.2, "test": 0.2})
    for part in PARTS[:3]:
        assert figures[f"{part}_made_up"] > 0 and figures[f"{part}_bare"] > 0
    assert schema["split"].startswith("split by")


def test_a_photo_is_taken_once_and_contradictions_not_at_all(tmp_path: Path) -> None:
    files = base() | {
        "other/copy.png": encoded(tinted(1)),
        "makeup/both.png": encoded(tinted(5)),
        "bare/both.png": encoded(tinted(5)),
    }
    _, frames, _ = run(tmp_path, files)
    told = reasons(frames)
    assert told["other/copy.png"] == "the same photo as makeup/one.png"
    assert "one for bare faces" in told["makeup/both.png"] and told["bare/both.png"]


def drawn() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a drawing that no detector takes for a face, lips on a plain skin, and its mask."""
    photo = astronaut()[HEAD]
    face = find_faces(photo)[0]
    labels = parse(np.ascontiguousarray(photo), face)
    colors = np.full((12, 3), [240, 190, 60], np.uint8)
    colors[Region.BACKGROUND] = [200, 220, 240]
    colors[Region.LIPS] = [40, 250, 60]
    return colors[labels], labels


def test_a_drawing_is_taken_with_a_mask_only(tmp_path: Path) -> None:
    picture, mask = drawn()
    assert find_faces(picture) == []
    files = base() | {
        "makeup/drawn.png": encoded(picture),
        "masks/makeup/drawn.png": encoded(mask),
        "bare/drawn.png": encoded(picture[:, ::-1].copy()),
    }
    figures, frames, schema = run(tmp_path, files)
    assert reasons(frames) == {"bare/drawn.png": "no face is found"}
    assert figures["masks"] == 1
    assert schema["decisions"] == {"no face is found: aligned by the mask, as a drawing is": 1}
    faces = read_faces(tmp_path / "data", "train", 96)
    row = faces.frame["path"].tolist().index("makeup/drawn.png")
    lips = np.nonzero(faces.regions[row].numpy() == Region.LIPS)
    assert lips[0].mean() / 96 == pytest.approx(0.70, abs=0.04)


@pytest.mark.parametrize(
    "place", ["masks/makeup/{}.png", "makeup/masks/{}.png", "SegS/makeup/{}.png", "seg/{}.png"]
)
def test_masks_are_found_beside_their_photos(place: str, tmp_path: Path) -> None:
    _, mask = drawn()
    forehead = np.zeros(mask.shape, bool)
    forehead[:92] = mask[:92] == Region.SKIN
    mask[forehead] = Region.HAIR
    photo = np.ascontiguousarray(astronaut()[HEAD])
    files = base() | {"makeup/face.png": encoded(photo), place.format("face"): encoded(mask)}
    figures, _, _ = run(tmp_path, files)
    assert figures["masks"] == 1 and figures["masks_without_photo"] == 0
    faces = read_faces(tmp_path / "data", "train", 96)
    row = faces.frame["path"].tolist().index("makeup/face.png")
    regions = faces.regions[row].numpy()
    # the delivered mask wins over what would have been parsed
    assert not (regions[:28] == Region.SKIN).any() and (regions[50:] == Region.SKIN).any()


def test_masks_that_do_not_fit_are_told(tmp_path: Path) -> None:
    photo = np.ascontiguousarray(astronaut()[HEAD])
    _, mask = drawn()
    files = base()
    masks = {
        "good": encoded(mask),
        "half": encoded(mask[::2, ::2].copy()),
        "shape": encoded(mask[:200].copy()),
        "moved": encoded(np.roll(mask, 70, 1)),
        "jpeg": encoded(mask, "JPEG"),
        "lipless": encoded(np.where(mask >= Region.LIPS, Region.SKIN, mask).astype(np.uint8)),
        "odd": encoded(np.where(mask == Region.NECK, 99, mask).astype(np.uint8)),
    }
    for number, (name, content) in enumerate(masks.items()):
        light = np.clip(photo * (1 - 0.04 * number), 0, 255).astype(np.uint8)
        files[f"makeup/{name}.png"] = encoded(light)
        files[f"masks/makeup/{name}.png"] = content
    figures, frames, schema = run(tmp_path, files)
    told = {Path(file).stem: reason for file, reason in reasons(frames).items()}
    assert set(told) == {"shape", "moved", "jpeg", "lipless", "odd"}
    assert "the mask has 240 × 200 pixels, the photo 240 × 240" in told["shape"]
    assert "does not lie on the face" in told["moved"]
    assert "JPEG" in told["jpeg"] and "no lips" in told["lipless"]
    assert "the numbers 99" in told["odd"] and "ingest.label_map" in told["odd"]
    assert schema["decisions"]["its mask has another size: scaled to the photo's"] == 1
    assert figures["masks"] == 2


def test_masks_of_unknown_numbers_stop_with_the_remedy(tmp_path: Path) -> None:
    photo = np.ascontiguousarray(astronaut()[HEAD])
    _, mask = drawn()
    files = base() | {
        "makeup/face.png": encoded(photo),
        "masks/makeup/face.png": encoded(mask + np.uint8(100)),
    }
    with pytest.raises(ValueError, match=r"numbers 100, 101.*ingest\.label_map"):
        run(tmp_path, files)
    names = {int(region) + 100: region.name.lower() for region in Region}
    figures, _, _ = run(tmp_path / "named", files, label_map=names)
    assert figures["masks"] == 1


def test_unlabelled_photos_alone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="put photos into folders called makeup and non-makeup"):
        run(tmp_path, {"faces/one.png": encoded(tinted(1)), "faces/two.png": encoded(tinted(2))})


def test_too_many_rejected_photos_stop_the_stage(tmp_path: Path) -> None:
    files = base() | {f"makeup/{number}.png": b"no picture" for number in range(5)}
    with pytest.raises(ValueError, match=r"71% of the rows are rejected.*\n.*5 times: not a pic"):
        run(tmp_path, files, max_rejected=0.5)


def test_the_same_photos_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        run(tmp_path / name, base())
    first = sorted((tmp_path / "first/data").iterdir())
    second = sorted((tmp_path / "second/data").iterdir())
    assert [file.name for file in first] == [file.name for file in second]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_skin_tones_are_grouped_by_their_angle() -> None:
    light = typology_angle(np.array([75.0, 8.0, 14.0]))
    dark = typology_angle(np.array([30.0, 12.0, 16.0]))
    assert light == pytest.approx(60.8, abs=0.1) and tone_group(light) == "very light"
    assert dark == pytest.approx(-51.3, abs=0.1) and tone_group(dark) == "dark"
    assert [tone_group(angle) for angle in (45, 30, 15, 0)] == [
        "light",
        "intermediate",
        "tan",
        "brown",
    ]
