"""Shades: colors, names in tables of every kind, what is nearest, what is ambiguous."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000

from beauty_models.makeup.palette import PALETTE
from beauty_models.makeup.shades import find_shade, lab_of, own, parse_color, read_table

ENGLISH = """\
brand,product,shade_text,r,g,b
Lumen,Velvet,Dolce Vita,205,114,121
Lumen,Velvet,Ruby,170,20,40
Aura,Balm,Ruby,150,10,60
Aura,Balm,Out of stock: Fig,90,40,50
Aura,Balm,Broken,300,0,0
"""
CHINESE = {
    "brands": [
        {
            "name": "圣罗兰",
            "series": [
                {
                    "name": "纯口红",
                    "lipsticks": [
                        {"color": "#C01830", "id": "1", "name": "正宫红"},
                        {"color": "#A6402C", "id": "416", "name": "枫叶红"},
                    ],
                }
            ],
        }
    ]
}
NAMES = [{"hex": shade.hex, "name": f"{shade.chinese}口红的颜色"} for shade in PALETTE]


@pytest.mark.parametrize(
    ("text", "rgb"),
    [
        ("#B3123F", (179, 18, 63)),
        ("#b3123f", (179, 18, 63)),
        ("＃Ｂ3123Ｆ", (179, 18, 63)),
        ("#f80", (255, 136, 0)),
        ("179,18,63", (179, 18, 63)),
        (" rgb(179, 18, 63) ", (179, 18, 63)),
        ("ruby", None),
        ("#12345", None),
    ],
)
def test_color(text: str, rgb: tuple[int, int, int] | None) -> None:
    assert parse_color(text) == rgb


def test_number_above_255_is_told() -> None:
    with pytest.raises(ValueError, match="0 to 255"):
        parse_color("256,0,0")


def test_own_shades_are_found_by_either_name_and_none_is_ambiguous() -> None:
    for shade in PALETTE:
        assert find_shade(shade.english).hex == shade.hex
        assert find_shade(shade.chinese).hex == shade.hex
    assert find_shade("枫叶红").name == "maple red"
    assert find_shade("  Classic_RED ").name == "classic red"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_json_of_brands_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "shades.json"
    # The encoding of a few Chinese letters would be a guess: a real table has hundreds.
    brands = [*CHINESE["brands"], {"name": "颜色说明", "series": NAMES}]
    file.write_bytes(json.dumps({"brands": brands}, ensure_ascii=False).encode(encoding))
    table = read_table(file)
    shade = find_shade("枫叶红", table)
    # The table comes before our own shade of that name.
    assert (shade.hex, shade.brand, shade.product) == ("#A6402C", "圣罗兰", "纯口红")
    assert find_shade("416", table) == shade
    assert find_shade("圣罗兰 枫叶红", table) == shade


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_table_of_three_columns(tmp_path: Path, delimiter: str) -> None:
    file = tmp_path / ("shades.tsv" if delimiter == "\t" else "shades.csv")
    file.write_text(ENGLISH.replace(",", delimiter), encoding="utf-8")
    table = read_table(file)
    assert find_shade("dolce vita", table).rgb == (205, 114, 121)
    assert find_shade("Fig", table).rgb == (90, 40, 50)
    # A row without a color is no shade, and is told with its place.
    assert len(table.shades) == 4
    assert len(table.rejected) == 1 and "0 to 255" in table.rejected[0]


def test_flat_json_objects(tmp_path: Path) -> None:
    file = tmp_path / "shades.json"
    file.write_text('{"Ruby": "#AA1428"}')
    assert find_shade("ruby", read_table(file)).hex == "#AA1428"
    file.write_text('[{"shade": "Ruby", "rgb": [170, 20, 40]}, {"shade": "Void"}]')
    table = read_table(file)
    assert find_shade("ruby", table).hex == "#AA1428"
    assert table.rejected == ["shade 2: no color as hex or r,g,b"]


def test_name_of_two_colors_is_told_with_all(tmp_path: Path) -> None:
    file = tmp_path / "shades.csv"
    file.write_text(ENGLISH)
    table = read_table(file)
    with pytest.raises(ValueError, match="2 different colors") as error:
        find_shade("Ruby", table)
    assert "#AA1428 Lumen Velvet Ruby" in str(error.value)
    assert "#960A3C Aura Balm Ruby" in str(error.value)
    assert find_shade("aura ruby", table).hex == "#960A3C"
    assert find_shade("Aura Balm Ruby", table).hex == "#960A3C"


def test_unknown_name_suggests_near_ones(tmp_path: Path) -> None:
    file = tmp_path / "shades.csv"
    file.write_text(ENGLISH)
    with pytest.raises(ValueError, match="'Dolce Vita'"):
        find_shade("dolce vitta", read_table(file))
    with pytest.raises(ValueError, match="maple red"):
        find_shade("maple")
    with pytest.raises(ValueError, match="give a name, #RRGGBB or r,g,b"):
        find_shade("xyzzy")


def test_table_without_colors_says_what_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "shades.csv"
    file.write_text("name,price\nRuby,3\n")
    with pytest.raises(ValueError, match="no column for a color.*it has name, price"):
        read_table(file)
    with pytest.raises(ValueError, match="no such file"):
        read_table(tmp_path / "gone.csv")


def test_nearest_is_least_by_ciede2000() -> None:
    table = own()
    asked = lab_of(np.array([[179, 18, 63], [120, 90, 70]], np.uint8))
    for color, near in zip(asked, table.nearest(asked, 3), strict=True):
        every = [float(deltaE_ciede2000(color, shade.lab)) for shade in table.shades]
        assert [found.distance for found in near] == pytest.approx(sorted(every)[:3])
    exact = table.nearest(find_shade("plum").lab[None], 1)[0][0]
    assert exact.shade.name == "plum" and exact.distance == pytest.approx(0, abs=1e-6)
