"""Public sets in their own layouts: what they say comes through, and what is wrong is told.

All of them are drawn here (`public_layouts`), with values that are known.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import public_layouts as layouts
import pytest
from PIL import Image
from toys import train_tryon, tryon_params

from beauty_models import params
from beauty_models.files import read_json
from beauty_models.intake import crops, public_sets
from beauty_models.intake.images import Files
from beauty_models.intake.pictures import decode
from beauty_models.intake.public_sets.masks import box_of
from beauty_models.intake.shards import Pictures
from beauty_models.makeup import starter
from beauty_models.makeup.data import ingest as ingest_makeup
from beauty_models.makeup.regions import Region
from beauty_models.params import Split
from beauty_models.recommend.data import ingest as ingest_recommend
from beauty_models.tryon import Ingest
from beauty_models.tryon.data import ingest as ingest_tryon
from beauty_models.tryon.evaluate import evaluate
from tasks.registry.lineage import warnings
from tasks.sources.manifest import stated_license

ROOT = Path(__file__).parents[2]
TRYON: Ingest = params.load("tryon", ROOT / "params.yaml").ingest
EASY = TRYON.model_copy(update={"min_examples": 1, "max_rejected": 1.0})
MAKEUP = params.load("makeup", ROOT / "params.yaml").ingest
PARTS = ("train", "validation", "test")

Tell = pytest.CaptureFixture[str]


def command(family: str, raw: Path, data: Path, code: int = 0) -> str:
    """Run ingest as a person does; return what it says, and its account, whose table is folded."""
    places = ("--raw", raw, "--data", data, "--params", ROOT / "params.yaml")
    done = subprocess.run(
        [sys.executable, "-m", "beauty_models", "ingest", family, *map(str, places)],
        cwd=raw.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    account = data / "account.json"
    content = account.read_text(encoding="utf-8") if account.exists() else ""
    return done.stdout + done.stderr + content


def told(data: Path) -> list[str]:
    """Return what the account says was left aside and taken for granted."""
    content = read_json(data / "account.json")
    lines = []
    for row in content["aside"]:
        lines.append(f"{row['count']} {row['what']}: {row['reason']}")
    for row in content["guessed"]:
        lines.append(f"{row['subject']}: {row['taken']}")
    return lines


def examples(data: Path) -> pd.DataFrame:
    """Return the examples of all parts, with the part that each is in."""
    frames = []
    for part in PARTS:
        frames.append(pd.read_parquet(data / f"{part}.parquet").assign(part=part))
    return pd.concat(frames, ignore_index=True)


def read(raw: Path, family: str = "tryon", by_group: bool = False) -> public_sets.Reading:
    found = public_sets.recognize(raw)
    assert found is not None
    return public_sets.read(found, Files(raw), family, by_group)


def with_line(files: layouts.Files, name: str, change: Callable[[str], str]) -> layouts.Files:
    content = files[name]
    assert isinstance(content, str)
    return {**files, name: change(content)}


def test_deepfashion_through_the_command(tmp_path: Path) -> None:
    raw = layouts.put(tmp_path / "whatever", layouts.deepfashion(8, 6))
    command("tryon", raw, tmp_path / "data")
    said = told(tmp_path / "data")
    assert "layout: DeepFashion, category and attribute prediction" in said
    assert any("of 6 of 6 folders there are photos in several parts" in line for line in said)
    found = examples(tmp_path / "data")
    # Its own parts: of each folder the last photo is tested on, the one before is validation.
    for example in found.itertuples():
        number = int(example.id[-12:-4])
        assert example.part == {8: "test", 7: "validation"}.get(number, "train")
    assert set(found["label.class"]) == {"tee", "dress"}
    dress = found[found["id"].str.contains("Floral_Midi_Dress")]
    assert set(dress["label.class"]) == {"dress"}
    assert set(dress["name"]) == {f"Floral Midi Dress {n}" for n in (1, 3, 5)}
    schema = read_json(tmp_path / "data/schema.json")
    assert "non-commercial" in schema["license"] and schema["commercial_use"] is False


def test_deepfashion_attributes_are_those_that_are_known(tmp_path: Path) -> None:
    reading = read(layouts.put(tmp_path, layouts.deepfashion()))
    first, second = reading.garments[:2]
    # -1 is not, 0 is not known: only 1 is said.
    assert first.attributes == {"fabric": "knit"}
    assert second.attributes == {"fabric": "knit", "part": "v-neck"}
    assert reading.garments[4].attributes == {"texture": "abstract floral"}
    assert tuple(first.box or ()) == (10, 20, 50, 70)


def test_deepfashion_faults_are_told_line_by_line(tmp_path: Path) -> None:
    files = dict(layouts.deepfashion())
    names = [name for name in files if name.endswith(".jpg")]
    del files[names[0]]  # a partial delivery
    labels, boxes = "Anno_coarse/list_category_img.txt", "Anno_coarse/list_bbox.txt"
    listed = [name.removeprefix("Img/") for name in names]
    files = dict(
        with_line(files, labels, lambda t: t.replace(f"{listed[1]}    2", f"{listed[1]} 4"))
    )
    files = dict(
        with_line(
            files, boxes, lambda t: t.replace(f"{listed[2]} 010 020 050", f"{listed[2]} 9 9 9")
        )
    )
    partition = "Eval/list_eval_partition.txt"
    files = dict(with_line(files, partition, lambda t: t.replace(f"{listed[3]}   test\n", "")))
    attributes = "Anno_coarse/list_attr_img.txt"
    files = dict(
        with_line(files, attributes, lambda t: t.replace(f"{listed[5]}  1", f"{listed[5]}  2"))
    )
    reading = read(layouts.put(tmp_path, files))
    assert [garment.reason for garment in reading.garments[:4]] == [
        f"no picture file {listed[0]}",
        "category 4: list_category_cloth.txt numbers 1 to 3",
        "the box (9, 9, 9, 70) is not x1 y1 x2 y2",
        "in no part by list_eval_partition.txt",
    ]
    assert reading.garments[5].reason.startswith("list_attr_img.txt has not 3 times -1, 0 or 1")
    assert any("says 24 rows and has 23" in note for note in reading.notes)
    # Below two lines, from 1: what an editor shows.
    assert reading.garments[0].row == 3
    ingest_tryon(raw=tmp_path, data=tmp_path / "../data", params=EASY)
    bad = layouts.rejected(tmp_path / "../data")
    assert len(bad) == 5 and f"no picture file {listed[0]}" in set(bad["reason"])


def test_categories_counted_from_zero_stop(tmp_path: Path) -> None:
    labels = "Anno_coarse/list_category_img.txt"
    files = with_line(layouts.deepfashion(), labels, lambda t: t.replace(".jpg    2", ".jpg    0"))
    with pytest.raises(ValueError, match="DeepFashion counts from 1"):
        read(layouts.put(tmp_path, files))


def test_without_a_partition_folders_are_split_whole(tmp_path: Path) -> None:
    raw = layouts.put(tmp_path / "raw", layouts.deepfashion(4, 30, with_parts=False))
    ingest_tryon(raw=raw, data=tmp_path / "data", params=EASY)
    assert any("its own parts are not known" in line for line in told(tmp_path / "data"))
    found = examples(tmp_path / "data")
    assert set(found.groupby("product")["part"].nunique()) == {1}
    assert found["product"].nunique() == 30


def test_a_box_cuts_the_garment_out(tmp_path: Path) -> None:
    files = dict(layouts.deepfashion(4, 6))
    for number, name in enumerate(sorted(name for name in files if name.endswith(".jpg"))):
        files[name] = layouts.tell_tale(number, 60, 80, (10, 20, 50, 70), number % 4)
    raw = layouts.put(tmp_path / "raw", files)
    # They are all alike, so nothing may count as a copy.
    rules = EASY.pictures.model_copy(update={"min_side": 40})
    data = tmp_path / "data"
    found = public_sets.recognize(raw)
    assert found is not None
    garments = public_sets.read(found, Files(raw), "tryon", False).garments
    paths = [Files(raw).raw / crops.named(g.picture, g.box) for g in garments]
    data.mkdir()
    decoded = decode(paths, data, rules)
    assert not decoded.faults
    shown = np.asarray(Pictures(data, "all").image(decoded.keys[paths[0]]))
    assert shown.shape == (50, 40, 3)
    assert (
        np.ptp(shown.reshape(-1, 3).astype(int), axis=0).max() <= 4
    )  # one color, as a JPEG has it


def test_inshop_keeps_items_whole_and_its_own_parts(tmp_path: Path) -> None:
    raw = layouts.put(tmp_path / "raw", layouts.inshop(40))
    command("tryon", raw, tmp_path / "data")
    found = examples(tmp_path / "data")
    items = found["product"].str[-8:].astype(int)
    # Query and gallery are tested on.
    assert set(found["part"][items > 30]) == {"test"}
    assert "test" not in set(found["part"][items <= 30])
    assert set(found.groupby("product")["part"].nunique()) == {1}
    first = found[items == 1].iloc[0]
    assert first["label.class"] == "dresses" and first["label.color"] == "navy"
    assert first["text"] == "A soft piece that goes with everything. Made of cloth number 1."


def test_inshop_without_boxes_is_known_by_its_parts(tmp_path: Path) -> None:
    files = {name: text for name, text in layouts.inshop().items() if "Anno" not in name}
    reading = read(layouts.put(tmp_path, files))
    assert len(reading.garments) == 16 and {garment.box for garment in reading.garments} == {None}
    assert [garment.part for garment in reading.garments[-4:]] == ["test"] * 4
    assert not any(garment.reason for garment in reading.garments)
    assert any("no words but the categories" in note for note in reading.notes)


def test_a_leak_in_the_delivered_parts_is_mended_and_told(tmp_path: Path, capsys: Tell) -> None:
    files = with_line(
        layouts.inshop(),
        "Eval/list_eval_partition.txt",
        lambda text: text.replace("id_00000008  gallery", "id_00000008  train"),
    )
    reading = read(layouts.put(tmp_path, files))
    assert {garment.part for garment in reading.garments if garment.group == "id_00000008"} == {
        "test"
    }
    assert "a leak in its own split: 1 of 8 groups" in capsys.readouterr().out


def test_a_color_in_words_is_no_variants(tmp_path: Path, capsys: Tell) -> None:
    files = dict(layouts.inshop())
    name = "img/WOMEN/Dresses/id_00000001/02_2_front.jpg"
    files[f"Img/{name.replace('02_2', '01_2')}"] = files.pop(f"Img/{name}")
    for place in ("Anno/list_bbox_inshop.txt", "Eval/list_eval_partition.txt"):
        files = dict(
            with_line(files, place, lambda t: t.replace(name, name.replace("02_2", "01_2")))
        )
    colors = {g.group: g.color for g in read(layouts.put(tmp_path, files)).garments}
    assert colors["id_00000001"] == "" and colors["id_00000002"] == "Olive"
    assert "1 items are shown in several variants" in capsys.readouterr().out


def test_two_sets_in_one_folder_stop(tmp_path: Path) -> None:
    layouts.put(tmp_path / "a", layouts.deepfashion())
    layouts.put(tmp_path / "b", layouts.inshop())
    with pytest.raises(ValueError, match="holds 2 public sets.*give the folder of one"):
        public_sets.recognize(tmp_path)


def test_terms_are_known_and_the_users_word_goes_before_them(tmp_path: Path) -> None:
    layouts.put(tmp_path, layouts.inshop())
    known = stated_license("", tmp_path)
    assert "non-commercial" in known["license"] and known["commercial_use"] is False
    lineage: Any = {"data_license": known, "backbone_licenses": {}}
    assert warnings(lineage) == [
        f"The data may not be used commercially ({known['license']})."
    ]  # in the model card and the registry
    agreed = stated_license("by our agreement of May", tmp_path)
    assert agreed == {"license": "by our agreement of May", "commercial_use": None}
    layouts.put(tmp_path, {"LICENSE.json": '{"license": "ours", "commercial_use": true}'})
    assert stated_license("", tmp_path) == {"license": "ours", "commercial_use": True}


@pytest.mark.parametrize("ending", ["zip", "gztar"])
@pytest.mark.parametrize(
    "name", ["deepfashion", "inshop", "deepfashion2", "imaterialist2018", "imaterialist2019", "MT"]
)
def test_terms_of_a_set_in_an_archive_are_known(tmp_path: Path, name: str, ending: str) -> None:
    unpacked = tmp_path / "unpacked"
    if name == "MT":
        layouts.makeup_transfer(unpacked)
        # Known by its masks alone.
        for file in unpacked.rglob("*_test.txt"):
            file.unlink()
    else:
        layouts.put(unpacked, getattr(layouts, name)())
    raw = tmp_path / "raw"
    raw.mkdir()
    shutil.make_archive(str(raw / "set"), ending, unpacked)
    stated = stated_license("", raw)
    assert stated == stated_license("", unpacked) and stated["license"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    # The next look at the same files does not read the archive again, and says the same.
    (raw / "set.zip").write_bytes(b"")
    assert stated_license("", raw, stated) == stated
    assert stated_license("", raw, {"license": "of before", "commercial_use": None}) == {
        "license": "",
        "commercial_use": None,
    }


def test_other_folders_are_no_public_set(tmp_path: Path) -> None:
    layouts.put(tmp_path, {"list_category_img.txt": "x", "dress/1.jpg": layouts.picture(1)})
    assert public_sets.recognize(tmp_path) is None


def shown(data: Path, example: pd.Series) -> np.ndarray:
    """Return the picture of an example, float [height, width, 3]."""
    return np.asarray(Pictures(data, str(example["part"])).image(str(example["image"])), float)


def color_of(pixels: np.ndarray) -> int:
    """Return which of `layouts.COLORS` a picture is nearest to in hue."""
    mean = pixels.reshape(-1, 3).mean(0)
    colors = np.array(layouts.COLORS, float)
    cosines = colors @ mean / np.linalg.norm(colors, axis=1) / np.linalg.norm(mean)
    return int(cosines.argmax())


def test_deepfashion2_through_the_command(tmp_path: Path) -> None:
    raw = layouts.put(tmp_path / "raw", layouts.deepfashion2(24))
    command("tryon", raw, tmp_path / "data")
    said = told(tmp_path / "data")
    assert any("its validation part is the test part here" in line for line in said)
    assert "1 pictures: no annotation names them" in said
    found = examples(tmp_path / "data")
    assert len(found) == 96 and set(found["label.class"]) == {"short sleeve top", "skirt"}
    assert (found["part"] == "test").sum() == 48
    # Both garments of a photo, and the photos of a pair, are on one side.
    assert set(found.groupby("product")["part"].nunique()) == {1}
    assert set(found.groupby("product").size()) == {4}
    for _, example in found.iterrows():
        pixels = shown(tmp_path / "data", example)
        number = int(str(example["id"]).partition(":")[0])
        is_top = example["label.class"] == "short sleeve top"
        assert pixels.shape[:2] == ((40, 50) if is_top else (36, 80))
        assert color_of(pixels) == (number if is_top else number + 1) % 4
        assert example["offered"] == (number % 2 == 0)  # a shop's photo, not a shopper's


def deepfashion2_with(
    item: dict[str, object], photo: str = "train/annos/000001.json"
) -> layouts.Files:
    files = dict(layouts.deepfashion2())
    content = json.loads(files[photo])
    content["item1"] = {key: v for key, v in (content["item1"] | item).items() if v is not None}
    return {**files, photo: json.dumps(content)}


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"category_id": 0, "category_name": None}, "category_id 0 is none of 1 to 13"),
        ({"category_id": 14}, "category_id 14 is none of 1 to 13"),
        (
            {"category_id": 2},
            "category_id 2 is long sleeve top, category_name says 'short sleeve top'",
        ),
        ({"bounding_box": [60, 45, 10, 5]}, "bounding_box [60, 45, 10, 5] is not x1 y1 x2 y2"),
        ({"bounding_box": [1, 2, 3]}, "bounding_box [1, 2, 3] is not x1 y1 x2 y2"),
        (
            {"bounding_box": [70, 50, 90, 80]},
            "its polygons lie outside of bounding_box (70, 50, 90, 80): (10, 5, 60, 45)",
        ),
        ({"bounding_box": None, "segmentation": [[]]}, "neither bounding_box nor polygons"),
    ],
)
def test_deepfashion2_faults_are_told(tmp_path: Path, item: dict[str, object], reason: str) -> None:
    garments = read(layouts.put(tmp_path, deepfashion2_with(item))).garments
    assert [garment.reason for garment in garments if garment.reason] == [reason]


def test_a_box_that_lacks_is_that_of_all_polygons(tmp_path: Path) -> None:
    parts = [[12, 5, 30, 5, 30, 20], [], [40, 30, 58.4, 30, 58.4, 44.6]]
    files = deepfashion2_with({"bounding_box": None, "segmentation": parts})
    assert read(layouts.put(tmp_path, files)).garments[0].box == (12, 5, 58, 45)


def test_a_photo_of_another_part_is_no_substitute(tmp_path: Path) -> None:
    files = dict(layouts.deepfashion2())
    del files["train/image/000003.jpg"]  # validation has one of this name
    files["train/annos/000004.json"] = '{"source": "shop", "pair_id": 2'
    files["train/annos/000005.json"] = '{"source": "shop", "pair_id": 3}'
    reasons = {g.file: g.reason for g in read(layouts.put(tmp_path, files)).garments if g.reason}
    assert reasons == {
        "train/annos/000003.json": "no picture file train/image/000003.jpg",
        "train/annos/000004.json": "not valid JSON: cut off or damaged",
        "train/annos/000005.json": "no garment in it",
    }


def test_a_photo_that_exif_turns_is_not_cut(tmp_path: Path) -> None:
    files = dict(layouts.deepfashion2(24))
    turned = Image.Exif()
    turned[0x0112] = 6
    stream = io.BytesIO()
    Image.open(io.BytesIO(files["train/image/000001.jpg"])).save(stream, "JPEG", exif=turned)
    files["train/image/000001.jpg"] = stream.getvalue()
    raw = layouts.put(tmp_path / "raw", files)
    ingest_tryon(raw=raw, data=tmp_path / "data", params=EASY)
    bad = layouts.rejected(tmp_path / "data")
    assert len(bad) == 2 and bad["reason"].str.contains("its EXIF turns the picture").all()


def test_runs_count_from_one_and_go_down_the_columns() -> None:
    # 4 rows, 3 columns: pixel 5 is the top of the second column.
    assert box_of("1 3", 4, 3) == ((0, 0, 1, 3), "")
    assert box_of("5 1", 4, 3) == ((1, 0, 2, 1), "")
    assert box_of("4 2", 4, 3) == ((0, 0, 2, 4), "")  # from the last row on to the next column
    assert box_of("6 2 10 2", 4, 3) == ((1, 1, 3, 3), "")
    assert box_of("12 1", 4, 3) == ((2, 3, 3, 4), "")


@pytest.mark.parametrize("seed", range(20))
def test_a_masks_box_is_that_of_its_pixels(seed: int) -> None:
    random = np.random.default_rng(seed)
    mask = np.zeros((17, 23), bool)
    for _ in range(random.integers(1, 4)):
        y, x = random.integers(0, 17), random.integers(0, 23)
        mask[y : y + random.integers(1, 9), x : x + random.integers(1, 9)] = True
    rows, columns = np.nonzero(mask)
    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert box_of(layouts.runs(mask), 17, 23) == (box, "")


@pytest.mark.parametrize(
    ("runs", "fault"),
    [
        ("", "the mask is not pairs of start and length"),
        ("1 2 3", "the mask is not pairs of start and length"),
        ("1 -2", "the mask is not pairs of start and length"),
        ("0 2", "the mask has a run of 2 from 0; pixels count from 1"),
        ("12 2", "the mask goes beyond the 4 × 3 pixels of its picture"),
    ],
)
def test_runs_that_mean_nothing_are_told(runs: str, fault: str) -> None:
    assert box_of(runs, 4, 3) == (None, fault)


@pytest.mark.parametrize("year", [2019, 2020])
def test_imaterialist_2019_through_the_command(tmp_path: Path, year: int) -> None:
    raw = layouts.put(tmp_path / "raw", layouts.imaterialist2019(40, year))
    command("tryon", raw, tmp_path / "data")
    said = told(tmp_path / "data")
    assert "40 masks: parts of garments, such as sleeves" in said
    assert "public set: it has no parts of its own: split by ingest.split" in said
    found = examples(tmp_path / "data")
    assert set(found["label.class"]) == {"shirt, blouse", "skirt"} and len(found) == 80
    assert set(found.groupby("product")["part"].nunique()) == {1}
    for _, example in found.iterrows():
        pixels = shown(tmp_path / "data", example)
        number = int(str(example["product"]).removesuffix(".jpg"), 16)
        is_top = example["label.class"] != "skirt"
        assert pixels.shape[:2] == ((40, 50) if is_top else (36, 80))
        assert color_of(pixels) == (number if is_top else number + 1) % 4


def test_imaterialist_2019_faults_are_told(tmp_path: Path) -> None:
    files = dict(layouts.imaterialist2019(6))
    photos = sorted(name for name in files if name.startswith("train/"))
    del files[photos[0]]
    files[photos[1]] = layouts.picture(1, 60, 45)  # the same shape, half as large
    table = str(files["train.csv"]).splitlines()
    table[7] = table[7].replace(",0_2", ",77_2")
    table[8] = table[8].replace(",8_2_12", ",8_2_99")
    files["train.csv"] = "\n".join(table)
    garments = read(layouts.put(tmp_path, files)).garments
    name = photos[0]
    assert [garment.reason for garment in garments[:6]] == [
        f"no picture file {name.removeprefix('train/')}",
        f"no picture file {name.removeprefix('train/')}",
        *["the mask is of 120 × 90 pixels, its picture has 60 × 45"] * 2,
        "category 77 is not in label_descriptions.json",
        "attribute 99 is not in label_descriptions.json",
    ]
    assert garments[6].attributes == {"textile pattern": "plaid"}
    assert garments[7].attributes == {"textile pattern": "plaid", "length": "mini (length)"}


def test_a_mask_of_very_many_runs_is_read(tmp_path: Path) -> None:
    files = dict(layouts.imaterialist2019(1))
    header, first, *_ = str(files["train.csv"]).splitlines()
    name, _, rest = first.split(",", 2)
    files["train.csv"] = f"{header}\n{name},{'95 2 ' * 40_000},{rest}\n"
    [garment] = read(layouts.put(tmp_path, files)).garments
    # In 90 rows pixel 95 is the fifth of the second column.
    assert (garment.reason, garment.box) == ("", (1, 4, 2, 6))


def test_numbers_without_names_stop(tmp_path: Path) -> None:
    files = dict(layouts.imaterialist2019(2))
    del files["label_descriptions.json"]
    with pytest.raises(ValueError, match="put label_descriptions.json, which names them, beside"):
        read(layouts.put(tmp_path / "2019", files))
    files = dict(layouts.imaterialist2018(2, 2))
    del files["label_map_228.csv"]
    with pytest.raises(ValueError, match="labelId, labelName, taskName"):
        read(layouts.put(tmp_path / "2018", files))


@pytest.mark.parametrize("names", ["kaggle", "github"])
def test_imaterialist_2018_through_the_command(tmp_path: Path, names: str) -> None:
    raw = layouts.put(tmp_path / "raw", layouts.imaterialist2018(names=names))
    command("tryon", raw, tmp_path / "data")
    assert "3 photos: they have no labels" in told(tmp_path / "data")
    found = examples(tmp_path / "data")
    assert len(found) == 44 and (found["part"] == "test").sum() == 12
    for _, example in found.iterrows():
        number = int(str(example["id"]).rpartition(":")[2])
        expected = ("dress", "red") if number % 2 else ("jeans", "blue")
        assert (example["label.class"], example["label.color"]) == expected
        # The numbers begin at 1 in each part: a photo of its own part, by its pixels.
        part = "validation" if example["part"] == "test" else "train"
        whole = np.asarray(Image.open(raw / f"{part}/{number}.jpg").convert("RGB"), float)
        assert np.abs(shown(tmp_path / "data", example) - whole).mean() < 6


def test_imaterialist_2018_is_never_downloaded(tmp_path: Path) -> None:
    files = layouts.imaterialist2018(4, 2)
    addresses = {name: text for name, text in files.items() if not name.endswith(".jpg")}
    with pytest.raises(ValueError, match="none of the photos is there.*as <imageId>.jpg"):
        read(layouts.put(tmp_path / "none", addresses))
    some = {name: text for name, text in files.items() if name != "train/3.jpg"}
    reasons = [g.reason for g in read(layouts.put(tmp_path / "some", some)).garments if g.reason]
    # validation has a 3.jpg, too, where it has so many; here it has two.
    assert reasons == ["no picture file 3.jpg in a folder for train"]


def test_a_photo_of_several_categories_has_no_class(tmp_path: Path) -> None:
    files = with_line(
        layouts.imaterialist2018(),
        "train.json",
        lambda text: text.replace(
            '["1", "3", "5"], "imageId": "1"}', '["1", "2", "3"], "imageId": "1"}'
        ),
    )
    raw = layouts.put(tmp_path / "raw", files)
    ingest_tryon(raw=raw, data=tmp_path / "data", params=EASY)
    assert "1 photos: of several categories, or of none" in told(tmp_path / "data")
    assert len(examples(tmp_path / "data")) == 43


def test_furniture_of_the_same_year_is_no_fashion(tmp_path: Path) -> None:
    photos = [{"url": ["https://shop.example/1"], "image_id": 1}]
    content = {"images": photos, "annotations": [{"image_id": 1, "label_id": 5}]}
    layouts.put(tmp_path, {"train.json": json.dumps(content), "train/1.jpg": layouts.picture(1)})
    assert public_sets.recognize(tmp_path) is None


def items(data: Path) -> pd.DataFrame:
    """Return recommend's items of all parts with their captions as one text."""
    found = examples(data)
    captions = []
    for of_item in found["captions"]:
        captions.append(" | ".join(caption["text"] for caption in of_item))
    return found.assign(said=captions)


def test_inshop_for_recommend_through_the_command(tmp_path: Path) -> None:
    raw = layouts.put(tmp_path / "raw", layouts.inshop(40))
    command("recommend", raw, tmp_path / "data")
    found = items(tmp_path / "data")
    assert len(found) == 80 and found["product"].nunique() == 40
    numbers = found["product"].str[-8:].astype(int)
    assert set(found["part"][numbers > 30]) == {"test"}
    assert set(found["part"][numbers <= 30]) == {"train", "validation"}
    first = found[numbers == 1].iloc[0]
    assert (first["category"], first["color"]) == ("Dresses", "Navy")
    assert "Made of cloth number 1." in first["said"]
    schema = read_json(tmp_path / "data/schema.json")
    assert "non-commercial" in schema["license"] and schema["commercial_use"] is False


def test_deepfashion_for_recommend_has_whole_names(tmp_path: Path) -> None:
    raw = layouts.put(tmp_path / "raw", layouts.deepfashion(4, 30))
    command("recommend", raw, tmp_path / "data")
    # A name is what is searched with: its photos are in one part, whatever was delivered.
    said = told(tmp_path / "data")
    assert any("a leak in its own split: 30 of 30 groups" in line for line in said)
    found = items(tmp_path / "data")
    assert set(found.groupby("product")["part"].nunique()) == {1}
    dress = found[found["product"] == "Floral_Midi_Dress_1"].iloc[0]
    assert "Floral Midi Dress 1" in dress["said"] and "abstract floral" in dress["said"]


def test_imaterialist_2018_for_recommend(tmp_path: Path) -> None:
    raw = layouts.put(tmp_path / "raw", layouts.imaterialist2018())
    command("recommend", raw, tmp_path / "data")
    found = items(tmp_path / "data")
    assert len(found) == 44 and (found["part"] == "test").sum() == 12
    assert set(found["name"]) == {"red cotton dress", "blue jeans"}
    jeans = found[found["name"] == "blue jeans"].iloc[0]
    assert "sleeveless" in jeans["said"] and jeans["color"] == "blue"


def test_a_set_without_words_is_not_for_recommend(tmp_path: Path) -> None:
    raw = layouts.put(tmp_path / "raw", layouts.deepfashion2(2))
    said = command("recommend", raw, tmp_path / "data", code=1)
    said = " ".join(said.split())
    assert "DeepFashion2; it serves tryon, not recommend" in said and "Traceback" not in said


def test_photos_that_are_still_packed_are_told(tmp_path: Path, capsys: Tell) -> None:
    files = {name: text for name, text in layouts.inshop().items() if not name.endswith(".jpg")}
    read(layouts.put(tmp_path, {**files, "Img/img.zip": b"PK"}), "recommend", by_group=True)
    assert "16 pictures are not there; are they still in Img/img.zip?" in capsys.readouterr().out


def faces(data: Path) -> pd.DataFrame:
    return examples(data).sort_values("path", ignore_index=True)


def test_makeup_transfer_through_the_command(tmp_path: Path) -> None:
    raw = layouts.makeup_transfer(tmp_path / "raw")
    command("makeup", raw, tmp_path / "data")
    said = told(tmp_path / "data")
    assert {"layout: Makeup Transfer (MT)", "mask numbers: the MT dataset"} <= set(said)
    found = faces(tmp_path / "data")
    assert len(found) == 38
    numbers = found["path"].str[-9:-6].astype(int)
    # Some of the others show a face so like one of these that they count as the same person.
    assert set(found["part"][numbers < 6]) == {"test"}
    assert set(found["part"][numbers >= 6]) >= {"train", "validation"}
    assert found["made_up"].tolist() == ["non-makeup" not in path for path in found["path"]]
    lips = np.asarray(Image.open(io.BytesIO(found["regions"][0]))) == Region.LIPS
    assert lips.any()  # both of its numbers, 7 and 9
    schema = read_json(tmp_path / "data/schema.json")
    assert schema["split"].startswith("its own test part") and schema["counts"]["masks"] == 38
    assert "non-commercial" in schema["license"] and schema["commercial_use"] is False


def test_makeup_transfers_leaks_and_strange_names_are_told(tmp_path: Path) -> None:
    raw = layouts.makeup_transfer(tmp_path / "raw")
    people = ["path,person"]
    for number in sorted(set(range(20)) - {12}):
        people += [f"images/non-makeup/{number:03}-0.png,p{number}"]
        people += [f"images/makeup/{number:03}-1.png,p{number}"]
    layouts.put(raw, {"people.csv": "\n".join(people)})
    # Of the first person the bare photo is not listed; one name is no photo's.
    bare = (raw / "non-makeup_test.txt").read_text().replace("000-0.png", "900-0.png")
    layouts.put(raw, {"non-makeup_test.txt": bare})
    ingest_makeup(raw=raw, data=tmp_path / "data", params=MAKEUP)
    assert any("1 photos of people of its test part" in line for line in told(tmp_path / "data"))
    tested = faces(tmp_path / "data").query("part == 'test'")["path"]
    assert len(tested) == 12 and "images/non-makeup/000-0.png" in set(tested)
    bad = layouts.rejected(tmp_path / "data")
    assert bad[["file", "row", "text"]].to_numpy().tolist() == [
        ["non-makeup_test.txt", 1, "900-0.png"]
    ]


def test_one_list_alone_is_no_test_part(tmp_path: Path) -> None:
    raw = layouts.makeup_transfer(tmp_path / "raw")
    (raw / "makeup_test.txt").unlink()
    ingest_makeup(raw=raw, data=tmp_path / "data", params=MAKEUP)
    said = told(tmp_path / "data")
    assert any("no makeup_test.txt: its own test part is not known" in line for line in said)


def test_makeup_transfer_is_known_by_its_masks_or_lists(tmp_path: Path) -> None:
    raw = layouts.makeup_transfer(tmp_path / "raw")
    for kind in ("makeup", "non-makeup"):
        (raw / f"{kind}_test.txt").unlink()
    assert public_sets.recognize(raw) is not None
    # The drawn faces have this project's numbers, in folders of the same names.
    starter.toy(raw=tmp_path / "drawn")
    (tmp_path / "drawn/masks").rename(tmp_path / "drawn/segs")
    assert public_sets.recognize(tmp_path / "drawn") is None


def test_a_mask_of_another_shape_is_rejected(tmp_path: Path) -> None:
    raw = layouts.makeup_transfer(tmp_path / "raw")
    for name in ("makeup/010-1.png", "makeup/011-1.png"):
        mask = Image.open(raw / "segs" / name)
        size = (192, 192) if name.startswith("makeup/010") else (192, 96)
        mask.resize(size, Image.Resampling.NEAREST).save(raw / "segs" / name)
    ingest_makeup(raw=raw, data=tmp_path / "data", params=MAKEUP)
    bad = layouts.rejected(tmp_path / "data")
    # One that is merely larger is scaled.
    assert bad["file"].tolist() == ["images/makeup/011-1.png"]
    assert "it needs the same shape" in bad["reason"][0]


def test_what_is_evaluated_on_has_no_parts(tmp_path: Path) -> None:
    raw = layouts.put(tmp_path / "raw", layouts.inshop(8))
    all_test = Split(train=0.0, validation=0.0, test=1.0)
    settings = params.load("recommend", ROOT / "params.yaml").ingest
    settings = settings.model_copy(update={"split": all_test})
    ingest_recommend(raw=raw, data=tmp_path / "data", params=settings)
    assert set(examples(tmp_path / "data")["part"]) == {"test"}


def test_a_toy_model_is_trained_on_it_to_the_end(tmp_path: Path) -> None:
    raw = layouts.put(tmp_path / "raw", layouts.deepfashion(10, 12))
    settings = tryon_params(ingest={"min_examples": 4})
    model = train_tryon(tmp_path, settings, raw)
    report = tmp_path / "report"
    figures = evaluate(data=tmp_path / "data", model=model, report=report, params=settings.evaluate)
    # Its names say what they are: 12 photos of the set's own test part.
    assert figures["n"] == 12 and figures["macro_f1"] > 0.9
