"""ingest of product photos: whose masks, whose products, and what is rejected with which reason."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from drawn_products import drawn, encoded

from beauty_models.editing import Ingest
from beauty_models.editing.data import ingest
from beauty_models.editing.dataset import Photos
from beauty_models.editing.metrics import cutout_iou
from beauty_models.editing.starter import toy
from beauty_models.files import read_json
from beauty_models.intake import account

PARAMS: dict[str, Any] = {
    "seed": 0,
    "reading": account.AUTO.model_dump(),
    "columns": {
        "image": ["image"],
        "id": ["sku"],
        "product": ["product"],
        "variations": ["variations"],
        "mask": ["mask"],
    },
    "photos": {"max_pixels": 1_000_000, "min_side": 32, "side": 64},
    "max_rejected": 1.0,
    "limit": 0,
    "split": {"train": 1.0, "validation": 0.0, "test": 0.0},
}


def put(raw: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_bytes(content)
    return raw


def run(tmp_path: Path, files: Mapping[str, bytes], **changed: Any) -> tuple[Path, Any]:
    """Return the data folder and the rows of its train part by the photo's path."""
    data = tmp_path / "data"
    params = Ingest.model_validate(PARAMS | changed)
    ingest(raw=put(tmp_path / "raw", files), data=data, params=params)
    rows = pd.read_parquet(data / "train.parquet").set_index("path")
    return data, rows


def reasons(data: Path) -> dict[str, str]:
    rejected = pd.read_parquet(data / "rejected.parquet")
    return dict(zip(rejected["file"], rejected["reason"], strict=True))


def test_masks_are_given_by_a_table_a_folder_a_name_or_transparency_else_found(
    tmp_path: Path,
) -> None:
    photos = {kind: drawn(kind) for kind in ("bottle", "jar", "bag", "dress", "lipstick", "hoodie")}
    layer = np.dstack([photos["dress"].image, photos["dress"].mask])
    busy = drawn("bag", "texture", number=4)
    files = {
        "photos/bottle.png": encoded(photos["bottle"].image),
        "cut/b.png": encoded(photos["bottle"].mask),
        "photos/table.csv": b"sku,image,mask\nB1,photos/bottle.png,cut/b.png\n",
        "images/jar.jpg": encoded(photos["jar"].image, "JPEG", quality=95),
        "masks/jar.png": encoded(photos["jar"].mask),
        "bag.png": encoded(photos["bag"].image),
        "bag_mask.png": encoded(photos["bag"].mask),
        "dress.png": encoded(layer),
        "hoodie.png": encoded(photos["hoodie"].image),
        "busy.png": encoded(busy.image),
        "masks/nobody.png": encoded(photos["jar"].mask),
    }
    data, rows = run(tmp_path, files)
    assert rows["mask_from"].to_dict() == {
        "photos/bottle.png": "given",
        "images/jar.jpg": "given",
        "bag.png": "given",
        "dress.png": "given",
        "hoodie.png": "found",
        "busy.png": "none",
    }
    kept = Photos.load(data, "train", 64)
    for path, mask, image in zip(kept.paths, kept.masks, kept.images, strict=True):
        assert image.shape == (64, 64, 3)
        kind = Path(path).stem
        if kind == "busy":
            assert not mask.any()
            continue
        small = Photos.load(data, "train", 128).masks[kept.paths.index(path)]
        assert cutout_iou(small, photos[kind].mask) > 0.93, path
    aside = read_json(data / "account.json")["aside"]
    assert [row["reason"] for row in aside] == ["no photo has their name"]
    assert reasons(data) == {}


def test_bad_files_are_kept_with_their_reasons_and_the_rest_goes_on(tmp_path: Path) -> None:
    good = drawn("jar")
    white = np.full((128, 128), 255, np.uint8)
    files = {
        "good.png": encoded(good.image),
        "broken.jpg": encoded(good.image, "JPEG")[:400],
        "text.png": b"no picture",
        "small.png": encoded(good.image[:20]),
        "large.png": encoded(np.zeros((1001, 1000, 3), np.uint8)),
        "inverted.png": encoded(drawn("bag").image),
        "inverted_mask.png": encoded(255 - drawn("bag").mask),
        "blank.png": encoded(drawn("dress").image),
        "blank_mask.png": encoded(white),
        "other.png": encoded(drawn("hoodie").image),
        "other_mask.png": encoded(white[:60]),
        "table.csv": b"sku,image\nA,gone.jpg\nB,good.png\nC,\n",
    }
    data, rows = run(tmp_path, files)
    assert list(rows.index) == ["good.png"]
    told = reasons(data)
    expected = {
        "broken.jpg": "broken or cut off",
        "text.png": "not a picture",
        "small.png": "its shorter side needs 32",
        "large.png": "more than 1,000,000 are not read (ingest.photos.max_pixels)",
        "inverted.png": "seems to be inverted",
        "blank.png": "white throughout",
        "other.png": "it needs the same shape",
        "table.csv": "no picture file gone.jpg",
    }
    assert told.keys() == expected.keys()
    for file, words in expected.items():
        assert words in told[file], told[file]
    counts = {row["what"]: row for row in read_json(data / "account.json")["counts"]}
    assert counts["photos"]["read"] == 8 and counts["photos"]["kept"] == 1
    assert counts["rows"]["read"] == 3 and counts["rows"]["kept"] == 1
    with pytest.raises(ValueError, match="max_rejected allows 20%"):
        run(tmp_path, files, max_rejected=0.2)


def test_no_product_is_in_two_parts_whoever_says_that_it_is_one(tmp_path: Path) -> None:
    """A table, variants that a product lists, and photos that are one but for their colors."""
    rows = ["sku,product,image,variations"]
    files = {}
    for number in range(24):
        kind = ("bottle", "bag", "dress")[number % 3]
        files[f"t{number}.png"] = encoded(drawn(kind, number=number).image)
        rows.append(f"T{number},family {number // 4},t{number}.png,")
    files["v1.png"] = encoded(drawn("hoodie", number=50).image)
    files["v2.png"] = encoded(drawn("jar", number=51).image)
    rows.append('V,,v1.png,"sku=V-1,size=S|sku=V-2,size=M"')
    rows.append("V-2,,v2.png,")
    look = drawn("hoodie", "gradient", number=60).image
    files["red.png"] = encoded(look)
    files["blue.png"] = encoded(look[..., ::-1])
    files["same.png"] = encoded(look)
    files["table.csv"] = "\n".join(rows).encode()
    split = {"train": 0.4, "validation": 0.3, "test": 0.3}
    data, train = run(tmp_path, files, split=split)
    parts = [pd.read_parquet(data / f"{part}.parquet") for part in ("validation", "test")]
    frames = [train.reset_index(), *parts]
    products = [set(frame["product"]) for frame in frames]
    assert not products[0] & products[1] and not products[0] & products[2]
    assert not products[1] & products[2]
    whole = pd.concat(frames).set_index("path")["product"]
    for number in range(24):
        assert whole[f"t{number}.png"] == whole[f"t{number // 4 * 4}.png"]
    assert whole["v1.png"] == whole["v2.png"]
    assert whole["red.png"] == whole["blue.png"]
    # The very same picture is there once.
    assert ("same.png" in whole) != ("red.png" in whole)
    assert len(whole) == len(files) - 2


def test_the_same_delivery_gives_the_same_bytes_and_a_limit_takes_a_sample(tmp_path: Path) -> None:
    raw = tmp_path / "toy"
    toy(raw=raw)
    digests = []
    for name in ("one", "two"):
        ingest(raw=raw, data=tmp_path / name, params=Ingest.model_validate(PARAMS))
        content = hashlib.sha256()
        for file in sorted((tmp_path / name).iterdir()):
            content.update(file.name.encode() + file.read_bytes())
        digests.append(content.hexdigest())
    assert digests[0] == digests[1]
    schema = read_json(tmp_path / "one/schema.json")
    assert schema["license"] == "CC0-1.0" and schema["commercial_use"] is True
    limited = Ingest.model_validate(PARAMS | {"limit": 10})
    figures = ingest(raw=raw, data=tmp_path / "limited", params=limited)
    assert figures["kept"] == 10 and figures["masks_given"] == 10


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no photo in it"):
        run(tmp_path, {"notes.csv": b"a,b\n1,2\n"})
