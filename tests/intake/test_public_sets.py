"""Public sets in their own layouts: what they say comes through, and what is wrong is told.

All of them are drawn here (`public_layouts`), with values that are known.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import public_layouts as layouts
import pytest

from beauty_models import params
from beauty_models.files import read_json
from beauty_models.intake import public_sets
from beauty_models.intake.images import Files
from beauty_models.intake.shards import Pictures
from beauty_models.tryon import Ingest
from beauty_models.tryon.data import ingest as ingest_tryon
from tasks.sources.manifest import stated_license

ROOT = Path(__file__).parents[2]
TRYON: Ingest = params.load("tryon", ROOT / "params.yaml").ingest
EASY = TRYON.model_copy(update={"min_examples": 1, "max_rejected": 1.0})
PARTS = ("train", "validation", "test")

Tell = pytest.CaptureFixture[str]


def command(family: str, raw: Path, data: Path, code: int = 0) -> str:
    """Run ingest as a person does; return what it says."""
    places = ("--raw", raw, "--data", data, "--params", ROOT / "params.yaml")
    done = subprocess.run(
        [sys.executable, "-m", "beauty_models", "ingest", family, *map(str, places)],
        cwd=raw.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


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
    said = command("tryon", raw, tmp_path / "data")
    assert "DeepFashion" in said and "6 of 6 folders" in said
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


def test_without_a_partition_folders_are_split_whole(tmp_path: Path, capsys: Tell) -> None:
    raw = layouts.put(tmp_path / "raw", layouts.deepfashion(4, 30, with_parts=False))
    ingest_tryon(raw=raw, data=tmp_path / "data", params=EASY)
    assert "its own parts are not known" in capsys.readouterr().out
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
    from beauty_models.intake import crops
    from beauty_models.intake.pictures import decode

    garments = public_sets.read(found, Files(raw), "tryon", False).garments
    paths = [Files(raw).raw / crops.named(g.picture, g.box) for g in garments]
    data.mkdir()
    decoded = decode(Files(raw), paths, data, rules)
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
    agreed = stated_license("by our agreement of May", tmp_path)
    assert agreed == {"license": "by our agreement of May", "commercial_use": None}
    layouts.put(tmp_path, {"LICENSE.json": '{"license": "ours", "commercial_use": true}'})
    assert stated_license("", tmp_path) == {"license": "ours", "commercial_use": True}


def test_other_folders_are_no_public_set(tmp_path: Path) -> None:
    layouts.put(tmp_path, {"list_category_img.txt": "x", "dress/1.jpg": layouts.picture(1)})
    assert public_sets.recognize(tmp_path) is None
