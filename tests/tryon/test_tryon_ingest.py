"""tryon's ingest on folders and tables, clean, dirty and hostile.

What is kept, what is rejected and why, and who is in which part.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from beauty_models import params
from beauty_models.files import read_json
from beauty_models.intake.shards import Pictures
from beauty_models.params import Split
from beauty_models.tryon import Ingest
from beauty_models.tryon.data import ingest

PARAMS: Ingest = params.load("tryon", Path(__file__).parents[2] / "params.yaml").ingest
EASY = PARAMS.model_copy(update={"min_examples": 1, "catalogue": "", "max_rejected": 1.0})
PARTS = ("train", "validation", "test", "unlabelled")
NO_TEST = Split(train=0.5, validation=0.5, test=0)


def picture(seed: int, side: int = 48) -> Image.Image:
    """Return a picture that resembles no other: coarse coloured noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)


def jpeg(image: Image.Image, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, options.pop("format", "JPEG"), **options)
    return stream.getvalue()


def put(raw: Path, files: dict[str, bytes | str]) -> Path:
    for name, content in files.items():
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return raw


def run(
    folder: Path, files: dict[str, bytes | str], settings: Ingest = EASY
) -> tuple[dict[str, float], dict[str, pd.DataFrame]]:
    figures = ingest(raw=put(folder / "raw", files), data=folder / "data", params=settings)
    return figures, {
        name: pd.read_parquet(folder / "data" / f"{name}.parquet") for name in (*PARTS, "rejected")
    }


def photos(folder: str, classes: dict[str, int], start: int = 0) -> dict[str, bytes | str]:
    names = [f"{folder}{name}/{i}.jpg" for name, count in classes.items() for i in range(count)]
    return {name: jpeg(picture(start + seed)) for seed, name in enumerate(names)}


def labels(frames: Iterable[pd.DataFrame]) -> set[str]:
    return set(pd.concat(frames)["label.class"].dropna())


def test_folders_are_classes_and_a_delivered_split_stands(tmp_path: Path) -> None:
    files = photos("train/", {"hat": 30, "Dress": 30}) | photos(
        "validation/", {"hat": 5, "Dress": 4}, 100
    )
    _, found = run(tmp_path, files)
    assert set(found["test"]["id"]) == {name for name in files if name.startswith("validation")}
    assert len(found["train"]) + len(found["validation"]) == 60 and len(found["validation"]) >= 2
    assert read_json(tmp_path / "data/schema.json")["heads"] == [
        {"name": "class", "labels": ["dress", "hat"]}
    ]
    both = files | photos("test/", {"hat": 3}, 200)
    _, found = run(tmp_path / "both", both)
    assert {name: len(found[name]) for name in PARTS} == {
        "train": 60,
        "validation": 9,
        "test": 3,
        "unlabelled": 0,
    }


def test_undelivered_split_is_by_hash_and_stays_when_pictures_are_added(tmp_path: Path) -> None:
    few, more = photos("", {"hat": 30, "dress": 30}), photos("", {"shoes": 20}, 500)
    _, first = run(tmp_path / "a", few)
    _, second = run(tmp_path / "b", few | more)
    for part in PARTS[:3]:
        assert len(first[part]) and set(first[part]["key"]) <= set(second[part]["key"])


def test_pictures_as_they_come(tmp_path: Path) -> None:
    wide = picture(1).resize((80, 40))
    turned = Image.Exif()
    turned[0x0112] = 6
    deep = Image.fromarray((np.asarray(picture(2).convert("L"), np.uint16) * 257).astype(np.uint16))
    small = jpeg(Image.new("RGB", (8, 8)), format="PNG")
    head = small[12:16] + (30_000).to_bytes(4, "big") * 2 + small[24:29]
    bomb = small[:12] + head + zlib.crc32(head).to_bytes(4, "big") + small[33:]
    good = {
        "hat/cmyk.jpg": jpeg(picture(0).convert("CMYK")),
        "hat/turned.jpg": jpeg(wide, exif=turned),
        "dress/deep.png": jpeg(deep, format="PNG"),
        "dress/moving.gif": jpeg(
            picture(3), format="GIF", save_all=True, append_images=[picture(4)]
        ),
    }
    bad = {
        "hat/cut.jpg": jpeg(picture(5))[:300],
        "hat/none.jpg": b"",
        "hat/text.jpg": b"hello",
        "hat/bomb.png": bomb,
        "hat/tiny.jpg": jpeg(picture(6, 8)),
    }
    figures, found = run(
        tmp_path,
        good | bad,
        EASY.model_copy(update={"split": Split(train=0, validation=0, test=1)}),
    )
    assert (
        set(found["test"]["id"]) == set(good)
        and set(found["rejected"]["file"]) == set(bad)
        and figures["rejected"] == len(bad)
    )
    reasons = found["rejected"].set_index("file")["reason"]
    assert (
        "more than" in reasons["hat/bomb.png"]
        and "empty" in reasons["hat/none.jpg"]
        and "8 × 8" in reasons["hat/tiny.jpg"]
    )
    shards, keys = Pictures(tmp_path / "data", "test"), found["test"].set_index("id")["image"]
    assert shards.image(keys["hat/turned.jpg"]).size == (40, 80)
    assert 60 < np.asarray(shards.image(keys["dress/deep.png"])).mean() < 200


def test_a_copy_goes_and_a_recolour_stays(tmp_path: Path) -> None:
    photo = picture(1, 96)
    red, green, blue = photo.split()
    files = photos("train/", {"hat": 10, "dress": 10}, 50) | {
        "validation/hat/one.jpg": jpeg(photo),
        "train/dress/copy.jpg": jpeg(photo.resize((64, 64)), quality=70),
        "train/hat/recoloured.jpg": jpeg(Image.merge("RGB", (blue, red, green))),
    }
    figures, found = run(tmp_path, files)
    assert found["rejected"][["file", "reason"]].to_numpy().tolist() == [
        ["train/dress/copy.jpg", "the picture repeats validation/hat/one.jpg"]
    ]
    assert figures["repeats"] == 1 and "train/hat/recoloured.jpg" in set(
        pd.concat([found["train"], found["validation"]])["id"]
    )


SHOP = "sku,categories,name,description,base_image,additional_attributes,configurable_variations\n"


def test_shop_export(tmp_path: Path) -> None:
    rows, files = [], dict[str, bytes | str]()
    for n in range(12):
        path = "Women/Tops/Tees" if n % 2 else "Men/Bottoms/Long/Pants"
        collection = "Default Category/Collections/New/Very/Deep/One"
        folders = f'"Default Category/{path},{collection},Default Category"'
        for colour, shift in (("Red", 0), ("Blue", 100)):
            files[f"images/w/p{n}-{colour}.jpg"] = jpeg(picture(n + shift))
            for size in "SM":
                attributes = f'"size={size},color={colour}"'
                rows.append(
                    f"P{n}-{size}-{colour},{folders},Thing {n}-{size},x,"
                    f"/w/p{n}-{colour}.jpg,{attributes},"
                )
        listed = "|".join(
            f"sku=P{n}-{size}-{colour},size={size},color={colour}"
            for size in "SM"
            for colour in ("Red", "Blue")
        )
        rows.append(
            f'P{n},{folders},Thing {n},"<b>Soft</b> &amp; warm {n}",'
            f'/w/p{n}-Red.jpg,"new=Yes","{listed}"'
        )
    files["products.csv"] = SHOP + "\n".join(rows) + "\n"
    files["related.csv"] = "sku,linked_sku\nP1,P2\n"
    figures, found = run(tmp_path, files)
    kept = pd.concat([found[part] for part in PARTS[:3]])
    assert (
        len(kept) == 24 and figures["duplicates"] == 36
    )  # sizes share a photo; the parent's own row knows no colour
    assert set(kept["label.class"]) == {"tees", "pants"} and kept[
        "label.color"
    ].value_counts().to_dict() == {"red": 12, "blue": 12}
    assert (
        set(kept["text"]) == {f"Thing {n} Soft & warm {n}" for n in range(12)}
        and kept["offered"].all()
    )
    assert all(len(group) == 2 for _, group in kept.groupby("product"))
    for one in PARTS[:3]:
        for other in PARTS[:3]:
            assert one == other or not set(found[one]["product"]) & set(found[other]["product"])


POSTS = "id,product,text,photo,class,color,fit\n"


def test_rows_that_lack_something(tmp_path: Path) -> None:
    good = "".join(
        f"g{i},p{i},word {i},g{i}.jpg,{('hat', 'dress')[i % 2]},red,\n" for i in range(40)
    )
    posts = (
        POSTS
        + good
        + (
            "a,pa,only words,,hat,,runs small\n"
            "b,pb,the photo is gone,gone.jpg,hat,,偏大\n"
            "c,pc,,gone.jpg,hat,,\nd,pd,,,hat,,\n"
            "e,pe,an odd size,,hat,,enormous\nf,pf,rare thing,,cape,,\ng,,nobody said what,,,,\n"
        )
    )
    files = {f"g{i}.jpg": jpeg(picture(i)) for i in range(40)} | {
        "posts.csv": posts,
        "loose.jpg": jpeg(picture(99)),
    }
    settings = EASY.model_copy(update={"min_examples": 3, "catalogue": "catalogue*"})
    figures, found = run(tmp_path, files, settings)
    kept = pd.concat([found[part] for part in PARTS[:3]]).set_index("id")
    assert (
        kept["label.fit"].isna().all() and figures["rare"] == 3
    )  # one example of a label is too few to learn it from
    assert (
        pd.isna(kept.loc["posts:b", "image"])
        and kept.loc["posts:b", "text"] == "the photo is gone"
        and not kept["offered"].any()
    )
    reasons = {row.row: row.reason for row in found["rejected"].itertuples()}
    assert [reasons[44], reasons[45]] == [
        "no text and no picture, the picture gone.jpg is not there",
        "no text and no picture",
    ]
    assert (
        "fit 'enormous' is none of" in reasons[46]
        and "too few examples of 'cape'" in reasons[47]
        and len(reasons) == 4
    )
    assert set(found["unlabelled"]["id"]) == {"posts:g", "loose.jpg"} and figures["unlabelled"] == 2


def test_unlabelled_rows_of_a_held_out_product_do_not_serve_pretraining(tmp_path: Path) -> None:
    rows = POSTS + "".join(
        f"l{i},p{i},labelled {i},,{('hat', 'dress')[i % 2]},,\nu{i},p{i},unlabelled {i},,,,\n"
        for i in range(60)
    )
    _, found = run(tmp_path, {"posts.csv": rows})
    assert set(found["unlabelled"]["product"]) == set(found["train"]["product"]) and len(
        found["test"]
    )


def test_torn_labels_and_one_class_are_refused(tmp_path: Path) -> None:
    torn = "x1,p,same words,,hat,,\nx2,q,Same words!,,dress,,\n"
    rows = (
        POSTS
        + torn
        + "".join(f"l{i},p{i},labelled {i},,{('hat', 'dress')[i % 2]},,\n" for i in range(40))
    )
    _, found = run(tmp_path, {"posts.csv": rows})
    assert (
        found["rejected"]["reason"].tolist()
        == ["the same picture and text have a different class elsewhere"] * 2
    )
    with pytest.raises(ValueError, match="a classifier needs two"):
        run(tmp_path / "one", photos("", {"hat": 40}))
    with pytest.raises(ValueError, match="nothing in it has a label"):
        run(tmp_path / "none", {"a.jpg": jpeg(picture(1)), "b.jpg": jpeg(picture(2))})
    with pytest.raises(ValueError, match="add up to 0.9"):
        run(
            tmp_path / "shares",
            {},
            EASY.model_copy(update={"split": Split(train=0.5, validation=0.2, test=0.2)}),
        )


def test_too_many_rejected_stop_the_stage_and_are_told(tmp_path: Path) -> None:
    files = photos("", {"hat": 10, "dress": 10}) | {f"hat/bad{i}.jpg": b"no" for i in range(10)}
    with pytest.raises(
        ValueError, match=r"33% of the rows are rejected.*\n  1 times: hat/bad0.jpg: not a picture"
    ):
        run(tmp_path, files, EASY.model_copy(update={"max_rejected": 0.2}))
    assert (
        len(pd.read_parquet(tmp_path / "data.rejected.parquet")) == 10
        and not (tmp_path / "data").exists()
    )


def test_heads_must_have_columns() -> None:
    block = PARAMS.model_dump()
    with pytest.raises(ValueError, match="check sleeve"):
        Ingest.model_validate(block | {"heads": {**block["heads"], "sleeve": {}}})
