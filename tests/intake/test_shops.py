"""Exports of shop systems: a row per variant, all pictures, the main one first."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from known import workbook

from beauty_models.intake import products, shops, tables
from beauty_models.intake.images import Files
from beauty_models.recommend.product_pictures import find_pictures
from beauty_models.recommend.rows import Row

SHOPIFY = """\
Handle,Title,Body (HTML),Type,Option1 Name,Option1 Value,Option2 Name,Option2 Value,\
Variant SKU,Variant Price,Image Src,Image Position,Variant Image
hoodie,Gaia Hoodie,<p>Soft.</p>,Hoodies,Size,S,Color,red,H-S-R,19.90,https://x/b.jpg?v=1,2,
hoodie,,,,,M,,red,H-M-R,21.90,https://x/a.jpg?v=1,1,
hoodie,,,,,M,,blue,,21.90,,,https://x/blue.jpg
hoodie,,,,,,,,,,https://x/c.jpg?v=1,3,
belt,Dune Belt,,Belts,Title,Default Title,,,BELT,9.00,https://x/d.jpg,1,
"""


def frame(text: str, tmp_path: Path) -> pd.DataFrame:
    file = tmp_path / "export.csv"
    file.write_text(text)
    return shops.unified(tables.read(file).rows)


def test_shopify_s_further_rows_are_variants_or_pictures(tmp_path: Path) -> None:
    rows = frame(SHOPIFY, tmp_path)
    assert rows["sku"].tolist() == ["H-S-R", "H-M-R", "hoodie/M/blue", "BELT"]
    assert rows["parent"].tolist() == ["hoodie"] * 3 + ["belt"]
    assert set(rows["title"].iloc[:3]) == {"Gaia Hoodie"}
    assert set(rows["body (html)"].iloc[:3]) == {"<p>Soft.</p>"}
    assert rows["price"].tolist() == ["19.90", "21.90", "21.90", "9.00"]
    assert rows["category"].tolist() == ["Hoodies"] * 3 + ["Belts"]
    # In the order of their positions; a variant shows its own first.
    pictures = ["https://x/a.jpg?v=1", "https://x/b.jpg?v=1", "https://x/c.jpg?v=1"]
    assert rows["image"].iloc[0].split("\n") == pictures
    assert rows["image"].iloc[2].split("\n") == ["https://x/blue.jpg", *pictures]
    options = [products.attributes(cell) for cell in rows["attributes"]]
    assert options[2] == {"size": "M", "color": "blue"} and options[3] == {}
    # A reader finds each row in the file.
    assert rows.index.tolist() == [2, 3, 4, 6]


def test_woocommerce_s_line_ends_are_line_ends(tmp_path: Path) -> None:
    text = "ID,SKU,Name,Description,Regular price,Images\n1,W,Scarf,Soft.\\nWarm.,9,a.jpg\n"
    assert frame(text, tmp_path)["Description"].tolist() == ["Soft.\nWarm."]
    # In no other table is a backslash touched.
    text = "SKU,Name,Description\nW,Scarf,C:\\new\n"
    assert frame(text, tmp_path)["Description"].tolist() == ["C:\\new"]


@pytest.mark.parametrize(
    ("cell", "names", "missing"),
    [
        ("a.jpg", ["a.jpg"], []),
        ("https://x/a.jpg, https://x/b.jpg", ["a.jpg", "b.jpg"], []),
        ("a.jpg,b.jpg", ["a.jpg", "b.jpg"], []),
        ("b.jpg|a.jpg;b.jpg", ["b.jpg", "a.jpg"], []),
        ('["a.jpg", "b.jpg"]', ["a.jpg", "b.jpg"], []),
        ("https://x/a.jpg?v=1\nhttps://x/gone.jpg", ["a.jpg"], ["https://x/gone.jpg"]),
        ("https://cdn/w_200,h_200/a.jpg", ["a.jpg"], []),
        ("front, back.jpg", ["front, back.jpg"], []),
        ("gone.jpg", [], ["gone.jpg"]),
    ],
)
def test_a_cell_may_name_several_pictures(
    tmp_path: Path, cell: str, names: list[str], missing: list[str]
) -> None:
    for name in ("a.jpg", "b.jpg", "front, back.jpg"):
        (tmp_path / name).write_bytes(b"x")
    found, lost = Files(tmp_path).find_all(cell)
    assert [path.name for path in found] == names
    assert lost == missing


def test_the_longest_category_path_says_most() -> None:
    assert products.category("Clothing, Clothing > Tops") == "Tops"
    assert products.category("Default Category/Sale,Default Category/Women/Tops") == "Tops"
    assert products.clean("Caf&amp;eacute; <b>noir</b>") == "Café noir"


def test_an_address_may_end_in_a_fragment(tmp_path: Path) -> None:
    for name in ("a.jpg", "no#1.jpg"):
        (tmp_path / name).write_bytes(b"")
    files = Files(tmp_path)
    assert files.find("https://shop/a.jpg#main") == tmp_path / "a.jpg"
    assert files.find("https://shop/no#1.jpg") == tmp_path / "no#1.jpg"
    assert files.find("no#2.jpg") is None


def test_a_main_picture_that_is_not_there_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "back.jpg").write_bytes(b"")
    (tmp_path / "front.jpg").write_bytes(b"")
    whole = Row("shop.csv", 2, {"sku": "A", "image": "front.jpg, back.jpg"}, product="A")
    find_pictures([whole], Files(tmp_path))
    assert "stands for it" not in capsys.readouterr().out
    lost = Row("shop.csv", 3, {"sku": "B", "image": "gone.jpg, back.jpg"}, product="B")
    assert find_pictures([lost], Files(tmp_path))[0].picture == tmp_path / "back.jpg"
    assert "the next picture of the product stands for it" in capsys.readouterr().out


@pytest.mark.parametrize(
    "head",
    [
        [["TemplateType=fptcustom", "Version=2021"], ["Seller SKU", "Product Name", "Image"]],
        [["settings=attributeRow=3&dataRow=5"], ["Seller SKU", "Product Name", "Image"]],
    ],
)
def test_the_template_of_a_workbook_is_read(tmp_path: Path, head: list[list[str]]) -> None:
    names = ["item_sku", "item_name", "main_image_url"]
    rows = [*head, names, ["A", "Belt", "a.png"], ["B", "Shirt", "b.png"]]
    if "dataRow=5" in head[0][0]:
        rows.insert(3, ["ABC123", "Example", ""])
    # Amazon's own sheets are longer than many a shop's.
    valid = [["Field", "Value"], *[["Color", str(number)] for number in range(40)]]
    sheets = {"Instructions": [["Read this."]], "Valid Values": valid, "Template": rows}
    table = tables.read(workbook(tmp_path / "template.xlsx", sheets))
    assert list(shops.unified(table.rows)["sku"]) == ["A", "B"]
    assert list(shops.unified(table.rows)["image"]) == ["a.png", "b.png"]
