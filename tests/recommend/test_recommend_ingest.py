"""recommend's ingest on shop exports, clean, dirty and hostile.

What becomes an item, what is rejected and why.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from beauty_models import params
from beauty_models.intake import products, synthetic
from beauty_models.intake.shards import Pictures
from beauty_models.params import Split
from beauty_models.recommend import Ingest
from beauty_models.recommend.captions import sentences
from beauty_models.recommend.data import ingest

PARAMS: Ingest = params.load("recommend", Path(__file__).parents[2] / "params.yaml").ingest
KINDS, COLOURS = list(synthetic.KINDS), list(synthetic.COLORS)
ALL_TEST = {"train": 0.0, "validation": 0.0, "test": 1.0}
Files = dict[str, str | bytes]


def picture(
    number: int, colour: str | None = None, background: str = "white", **save: Any
) -> bytes:
    """Return a picture that no other number has; another ``colour`` makes it a recolour."""
    colour = colour or COLOURS[number // len(KINDS) % len(COLOURS)]
    image = synthetic.product(
        KINDS[number % len(KINDS)], colour, "plain", size=96, seed=number, background=background
    )
    stream = io.BytesIO()
    image.save(stream, **({"format": "PNG"} | save))
    return stream.getvalue()


def table(
    rows: Sequence[Sequence[object]], header: str = "sku,name,description,color,image"
) -> str:
    return "\n".join([header, *(",".join(f'"{cell}"' for cell in row) for row in rows)]) + "\n"


def shop(count: int) -> tuple[list[list[str]], Files]:
    """Return the rows of a plain shop, one product each, and their pictures."""
    rows = [
        [
            f"S{i:02}",
            f"Model {i} shirt",
            f"<b>Soft</b> number {i}.<br>&bull; Washable at {i} degrees",
            "Green",
            f"s{i}.png",
        ]
        for i in range(count)
    ]
    return rows, {f"img/s{i}.png": picture(i) for i in range(count)}


def run(
    folder: Path, files: Files, **changes: Any
) -> tuple[dict[str, float], dict[str, pd.DataFrame]]:
    """Ingest ``files``; return the metrics and the frames by part."""
    for name, content in files.items():
        (folder / "raw" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "raw" / name).write_bytes(
            content.encode() if isinstance(content, str) else content
        )
    if "split" in changes:
        changes["split"] = Split(**changes["split"])
    figures = ingest(
        raw=folder / "raw", data=folder / "data", params=PARAMS.model_copy(update=changes)
    )
    return figures, {
        file.name.removesuffix(".parquet"): pd.read_parquet(file)
        for file in (folder / "data").glob("*.parquet")
    }


def items(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([frames[part] for part in ("train", "validation", "test")]).set_index(
        "product", drop=False
    )


def texts(item: pd.Series[Any], kind: str = "") -> list[str]:
    return [caption["text"] for caption in item["captions"] if kind in ("", caption["kind"])]


def test_plain_shop_table(tmp_path: Path) -> None:
    rows, pictures = shop(40)
    figures, frames = run(
        tmp_path, {"shop.csv": table(rows), **pictures, "img/spare.png": picture(50)}
    )
    found = items(frames)
    assert sorted(found.index) == [row[0] for row in rows] and figures["rejected"] == 0
    assert texts(found.loc["S07"]) == [
        "Model 7 shirt",
        "Model 7 shirt Green",
        "Soft number 7.",
        "Washable at 7 degrees",
    ]
    for part in ("train", "validation", "test"):
        stored = Pictures(tmp_path / "data", part)
        assert len(frames[part]) and all(key in stored for key in frames[part]["image"])
        assert frames[part]["key"].is_monotonic_increasing and frames[part]["key"].is_unique
    assert len(frames["unlabelled"]) == 1 and frames["unlabelled"]["image"][0] in Pictures(
        tmp_path / "data", "unlabelled"
    )
    assert not list((tmp_path / "data").glob("all.*"))


def magento_export() -> Files:
    """A hoodie in two sizes and two colors, as Magento exports it: variants, then their parent."""
    header = (
        "sku,product_type,categories,name,description,price,base_image,"
        "additional_attributes,configurable_variations"
    )
    description = (
        "You will love the warm &amp; soft one.<br />&bull; Light green heathered hoodie."
        "<br />&bull; Machine wash."
    )
    path = "Default Category/Women/Tops/Hoodies,Default Category/Collections/New"
    parent = [
        "WH01",
        "configurable",
        path,
        "Mona Hoodie&trade;",
        description,
        "57",
        "/w/green.jpg",
        "material=Wool|Spandex,pattern=Solid,sale=No",
        "|".join(
            f"sku=WH01-{size}-{colour},size={size},color={colour}"
            for colour in ("Green", "Red")
            for size in "SM"
        ),
    ]
    rows = [
        [
            f"WH01-{size}-{colour}",
            "simple",
            path,
            f"Mona Hoodie-{size}-{colour}",
            description,
            "57",
            f"/w/{colour.lower()}.jpg",
            f"size={size},color={colour}",
            "",
        ]
        for colour in ("Green", "Red")
        for size in "SM"
    ]
    pictures: Files = {
        "images/w/green.jpg": picture(2, "green", format="JPEG"),
        "images/w/red.jpg": picture(2, "red", format="JPEG"),
    }
    return {"products.csv": table([*rows, parent], header), **pictures}


def test_magento_export_without_map(tmp_path: Path) -> None:
    links: Files = {
        "related.csv": "sku,linked_sku\nWH01,WH01-S-Red\n",
        "crosssell.csv": "sku,linked_sku\n",
    }
    _, frames = run(tmp_path, {**magento_export(), **links}, split=ALL_TEST)
    green, red = items(frames).sort_values("color").itertuples()
    assert green.product == red.product == "WH01" and green.price == 57.0
    assert list(green.skus) == ["WH01-M-Green", "WH01-S-Green"]
    assert list(red.skus) == ["WH01-M-Red", "WH01-S-Red"]
    assert (green.category, green.material) == ("Hoodies", "Wool, Spandex")
    assert dict(green.attributes)["pattern"] == "Solid"
    assert "size" not in dict(green.attributes)  # the sizes of an item do not agree on it
    told = [caption["text"] for caption in red.captions]
    assert {
        "Mona Hoodie",
        "Mona Hoodie Red",
        "red wool hoodies",
        "You will love the warm & soft one.",
        "Machine wash.",
    } <= set(told)
    # written for the green one: the red one is none
    of_green = "Light green heathered hoodie."
    assert of_green not in told
    assert of_green in [caption["text"] for caption in green.captions]
    assert frames["test.relations"].empty  # a product does not go with itself
    assert {caption["language"] for caption in red.captions} == {"en"}


def test_chinese_columns_beside_english_ones(tmp_path: Path) -> None:
    header = "sku,name,name_zh,color,color_zh,material,material_zh,category,category_zh,image"
    rows = [
        [
            f"S{i}",
            f"Luna shirt {i}",
            f"露娜衬衫{i}号",
            "Green",
            "绿色",
            "Wool",
            "羊毛",
            "Shirts",
            "衬衫",
            f"s{i}.png",
        ]
        for i in range(3)
    ]
    _, frames = run(
        tmp_path,
        {"a.csv": table(rows, header), **{f"s{i}.png": picture(i) for i in range(3)}},
        split=ALL_TEST,
    )
    told = [(c["kind"], c["language"], c["text"]) for c in items(frames).loc["S1"]["captions"]]
    assert (
        ("name", "zh", "绿色露娜衬衫1号") in told
        and ("attributes", "zh", "绿色羊毛衬衫") in told
        and ("category", "zh", "衬衫") in told
    )
    assert (
        "attributes",
        "und",
        "green wool shirts",
    ) in told  # nothing in this shop gives English away


@pytest.mark.parametrize(
    ("words", "joined"), [("柔软的针织上衣可以机洗", True), ("Nice shirt", False)]
)
def test_a_feed_in_another_language_adds_its_texts_to_the_same_products(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, joined: bool
) -> None:
    """Meta has a file for each language, with equal ids; of one language they contradict."""
    rows, pictures = shop(12)
    others = [[sku, f"{words} {sku}", words, color, image] for sku, _, _, color, image in rows]
    files = {"feed_en.csv": table(rows), "feed_other.csv": table(others), **pictures}
    if not joined:
        with pytest.raises(ValueError, match=r"feed_en\.csv, row 2 has this SKU, too"):
            run(tmp_path, files)
        return
    _, frames = run(tmp_path, files)
    assert "zh and en; 12 SKUs" in " ".join(capsys.readouterr().out.split())
    found = items(frames)
    assert len(found) == 12
    for _, item in found.iterrows():
        names = texts(item, "name")
        assert any(name.startswith("Model ") for name in names)
        assert any(name.startswith(words) for name in names)


@pytest.mark.parametrize(
    ("row", "content", "why"),
    [
        (["B1", "Bad shirt", "", "", ""], b"", "no picture is named"),
        (["B1", "Bad shirt", "", "", "gone.png"], b"", "no picture file gone.png"),
        (["B1", "", "", "Green", "bad.png"], picture(90), "neither a name nor a description"),
        (["B1", "®", "", "Green", "bad.png"], picture(90), "neither a name nor a description"),
        (["B1", "<p>&nbsp;</p>", "", "", "bad.png"], picture(90), "neither a name nor a descr"),
        (["", "Bad shirt", "", "", "bad.png"], picture(90), "no SKU"),
        (["S03", "Bad shirt", "", "", "bad.png"], picture(90), "shop.csv, row 5 has this SKU, too"),
        (["B1", "Bad shirt", "", "", "bad.png"], picture(90)[:500], "broken or cut off"),
        (["B1", "Bad shirt", "", "", "bad.png"], b"<svg/>", "not a picture"),
        (["B1", "Bad shirt", "", "", "bad.png"], b"", "no picture file bad.png|empty file"),
        (
            ["B1", "Bad shirt", "", "", "bad.png"],
            picture(4),
            r"its picture is that of S04|its picture is that of B1",
        ),
        (["B1", "Bad shirt", "", "", "../../etc/passwd"], b"", "no picture file"),
    ],
)
def test_a_bad_row_is_rejected_alone(
    tmp_path: Path, row: list[str], content: bytes, why: str
) -> None:
    rows, pictures = shop(30)
    files = {"shop.csv": table([*rows, row]), **pictures} | (
        {"img/bad.png": content} if content else {}
    )
    figures, frames = run(tmp_path, files)
    assert figures["rejected"] >= 1 and frames["rejected"]["reason"].str.contains(why).any(), (
        frames["rejected"]
    )
    assert (
        set(frames["rejected"]["file"]) <= {"shop.csv"}
        and frames["rejected"]["row"].isin([32, 6]).all()
    )
    assert len(items(frames)) == 30 or "its picture" in why


def test_hostile_and_odd_pictures(tmp_path: Path) -> None:
    rows, pictures = shop(20)

    def saved(image: Image.Image, **options: Any) -> bytes:
        stream = io.BytesIO()
        image.save(stream, **options)
        return stream.getvalue()

    pixels = [Image.open(io.BytesIO(picture(60 + i))) for i in range(6)]
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = Image.fromarray(np.asarray(pixels[2].convert("L"), np.uint16) * 257)
    odd: Files = {
        "cmyk.jpg": saved(pixels[0].convert("CMYK"), format="JPEG"),
        "deep.png": saved(deep, format="PNG"),
        "turned.jpg": saved(pixels[3].crop((0, 0, 96, 60)), format="JPEG", exif=exif),
        "moving.gif": saved(pixels[4], format="GIF", save_all=True, append_images=[pixels[5]]),
    }
    bomb = saved(Image.new("1", (30_000, 30_000)), format="PNG")
    more = [[name, f"Odd {name}", "", "", name] for name in [*odd, "bomb.png", "tiny.png"]]
    files = {
        "shop.csv": table(rows + more),
        **pictures,
        **odd,
        "bomb.png": bomb,
        "tiny.png": saved(Image.new("RGB", (8, 8)), format="PNG"),
    }
    _, frames = run(tmp_path, files, split=ALL_TEST, max_rejected=0.5)
    found = items(frames)
    assert set(odd) <= set(found.index) and {"bomb.png", "tiny.png"} & set(found.index) == set()
    reasons = dict(
        zip(
            frames["rejected"]["text"].str.split().str[0], frames["rejected"]["reason"], strict=True
        )
    )
    assert "max_pixels" in reasons["bomb.png"] and "8 × 8" in reasons["tiny.png"]
    stored = Pictures(tmp_path / "data", "test")
    assert all(stored.image(key).mode == "RGB" for key in found["image"])
    assert stored.image(found.loc["turned.jpg", "image"]).size == (60, 96)


def test_a_copy_is_one_item_and_a_recolour_is_not(tmp_path: Path) -> None:
    header = "sku,item_group_id,name,color,image"
    rows = [
        ["A-1", "A", "Shirt", "Red", "a.png"],
        ["A-2", "A", "Shirt", "Red", "b.jpg"],
        ["A-3", "A", "Shirt", "Blue", "c.png"],
    ]
    again = io.BytesIO()
    Image.open(io.BytesIO(picture(3, "red", "room"))).save(again, "JPEG", quality=80)
    files: Files = {
        "a.png": picture(3, "red", "room"),
        "b.jpg": again.getvalue(),
        "c.png": picture(3, "blue", "room"),
        "p.csv": table(rows, header),
    }
    _, frames = run(tmp_path, files, split=ALL_TEST)
    assert sorted(map(list, items(frames)["skus"])) == [["A-1", "A-2"], ["A-3"]]


def test_relations_histories_and_queries(tmp_path: Path) -> None:
    rows, pictures = shop(12)
    others = {
        "upsell.csv": "sku,linked_sku\nS01,S02\nS01,S02\nS03,nowhere\n",
        "orders.csv": "shopper,sku,date\n1,S05,2024-02-01\n1,S01,2024-01-01\n2,S03,\n",
        "searches.csv": "query,sku\n绿色衬衫,S04\ngreen shirt,S04\n",
    }
    _, frames = run(
        tmp_path, {"shop.csv": table(rows), **pictures, **others}, split=ALL_TEST, max_rejected=0.4
    )
    assert frames["test.relations"].values.tolist() == [["upsell", "S01", "S02"]]
    assert {row.shopper: list(row.products) for row in frames["test.histories"].itertuples()} == {
        "1": ["S01", "S05"],
        "2": ["S03"],
    }
    assert set(frames["test.queries"]["query"]) == {"绿色衬衫", "green shirt"} and set(
        frames["test.queries"]["product"]
    ) == {"S04"}
    assert (
        "nowhere" in frames["rejected"]["reason"][0]
        and frames["rejected"]["file"][0] == "upsell.csv"
    )


def test_too_many_rejected_rows_fail_and_can_be_looked_at(tmp_path: Path) -> None:
    rows, pictures = shop(20)
    bad = [[f"B{i}", "Bad", "", "", "gone.png"] for i in range(10)]
    with pytest.raises(
        ValueError, match=r"33% of the rows(.|\n)*10 times: no picture file gone.png"
    ):
        run(tmp_path, {"shop.csv": table(rows + bad), **pictures})
    assert (
        len(pd.read_parquet(tmp_path / "data.rejected.parquet")) == 10
        and not (tmp_path / "data").exists()
    )


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"a.csv": "sku,colour\n1,red\n"},
            r"a.csv has the columns sku, colour; .*--map sku=COLUMN",
        ),
        ({"a.png": picture(1)}, "no table of products"),
        ({"a.csv": "sku,name,image\n1,Shirt,gone.png\n"}, "100% of the rows"),
    ],
)
def test_deliveries_that_are_no_catalogue(tmp_path: Path, files: Files, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(tmp_path, files)
    assert not (tmp_path / "data").exists()


def test_the_same_files_give_the_same_bytes_and_the_split_stays(tmp_path: Path) -> None:
    rows, pictures = shop(40)
    hashes, parts = [], []
    for name, some in {
        "1": rows,
        "2": rows,
        "more": [*rows[::-1], *[[f"N{i}", f"New {i}", "", "", f"n{i}.png"] for i in range(10)]],
    }.items():
        _, frames = run(
            tmp_path / name,
            {
                "shop.csv": table(some),
                **pictures,
                **{f"img/n{i}.png": picture(70 + i) for i in range(10)},
            },
        )
        hashes.append(
            {
                p.name: hashlib.sha256(p.read_bytes()).hexdigest()
                for p in (tmp_path / name / "data").iterdir()
            }
        )
        parts.append(
            {key: part for part in ("train", "validation", "test") for key in frames[part]["key"]}
        )
    assert hashes[0] == hashes[1] and {key: parts[2][key] for key in parts[0]} == parts[0]
    assert json.loads((tmp_path / "1/data/schema.json").read_text())["rows"]["test"] == list(
        parts[0].values()
    ).count("test")


def test_attribute_lists() -> None:
    assert products.attributes("climate=Hot,Cold|Mild,pattern=Solid") == {
        "climate": "Hot,Cold, Mild",
        "pattern": "Solid",
    }
    assert products.attributes('{"Fit": "loose", "x": ""}') == {"fit": "loose"}
    assert (
        products.category("Apparel &gt; Women > Dresses") == "Dresses"
        and products.category("连衣裙") == "连衣裙"
    )
    assert sentences("<script>alert('a long one')</script>面料柔软。很好看的卫衣") == [
        "面料柔软。",
        "很好看的卫衣",
    ]
