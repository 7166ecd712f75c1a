"""ingest of parallel texts: layouts, what is rejected and why, a split that shares no sentence."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from beauty_models import params
from beauty_models.params import Split
from beauty_models.translate import Ingest, starter
from beauty_models.translate.data import ingest
from beauty_models.translate.glossary import Glossary
from beauty_models.translate.grouping import groups, key
from beauty_models.translate.locales import Locales
from beauty_models.translate.starter import toy

PARAMS: Ingest = params.load("translate", Path(__file__).parents[2] / "params.yaml").ingest
ALL_TRAIN = {"train": 1.0, "validation": 0.0, "test": 0.0}
Frames = dict[str, pd.DataFrame]


def run(folder: Path, files: dict[str, str | bytes], **changes: Any) -> tuple[Frames, list[str]]:
    """Ingest ``files``; return the frames by name, and the reasons of what was rejected."""
    raw = folder / "raw"
    for name, content in files.items():
        file = raw / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    changes = {"split": ALL_TRAIN, "max_rejected": 1.0, **changes}
    changes["split"] = Split(**changes["split"])
    ingest(raw=raw, data=folder / "data", params=PARAMS.model_copy(update=changes))
    frames = {file.stem: pd.read_parquet(file) for file in (folder / "data").glob("*.parquet")}
    return frames, frames["rejected"]["reason"].tolist()


def table(*rows: str) -> str:
    return "\n".join(row.replace(" | ", "\t") for row in rows) + "\n"


GOOD = ("en | zh-CN | de", "Red lipstick | 红色口红 | Roter Lippenstift")


def test_a_wide_table_has_a_unit_a_row_and_each_text_kind_its_own(tmp_path: Path) -> None:
    products = table(
        "sku | title_en | title_ja | description (en) | description (ja) | price",
        "A1 | Red lipstick | 赤いリップスティック | It stays all day. | 一日中落ちません。 | 5",
    )
    frames, reasons = run(tmp_path, {"shop.tsv": products})
    rows = frames["train"].set_index("kind")
    assert rows.loc["title", "ja"] == "赤いリップスティック"
    assert rows.loc["description", "en"] == "It stays all day."
    assert rows["id"].tolist() == ["shop:A1:title", "shop:A1:description"] and not reasons


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "English,简体中文\nRed lipstick,红色口红\n"),
        ("a.en-zh.tsv", "source\ttarget\nRed lipstick\t红色口红\n"),
        (
            "a.csv",
            "source_lang,target_lang,source,target\nen-US,zh_CN,Red lipstick,红色口红\n",
        ),
        ("a.jsonl", '{"en": "Red lipstick", "zh-Hans": "红色口红"}\n'),
        ("a.jsonl", '{"translation": {"en": "Red lipstick", "zh": "红色口红"}}\n'),
        (
            "a.tmx",
            '<tmx><body><tu><tuv xml:lang="EN"><seg>Red lipstick</seg></tuv>'
            '<tuv xml:lang="zh-Hans-CN"><seg>红色口红</seg></tuv></tu></body></tmx>',
        ),
    ],
)
def test_the_same_pair_in_every_layout(name: str, content: str, tmp_path: Path) -> None:
    frames, reasons = run(tmp_path, {name: content})
    assert frames["train"][["en", "zh-CN"]].to_numpy().tolist() == [["Red lipstick", "红色口红"]]
    assert not reasons
    assert set(frames["monolingual"].itertuples(index=False, name=None)) == {
        ("en", "Red lipstick"),
        ("zh-CN", "红色口红"),
    }


def test_a_table_that_says_no_language_stops_and_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"a\.csv: which language is in which column\? It has a, b"
    ):
        run(tmp_path, {"a.csv": "a,b\nRed lipstick,红色口红\n", "b.tsv": table(*GOOD)})


def test_two_columns_of_one_language_stop(tmp_path: Path) -> None:
    both = "en,zh-HK,zh-TW\nRed lipstick,紅色口紅,紅色唇膏\n"
    with pytest.raises(ValueError, match="the columns zh-HK and zh-TW are both zh-TW; take one"):
        run(tmp_path, {"a.csv": both})


BAD = [
    (
        "Matte соlour lipstick | 哑光口红 | Matter Lippenstift",
        "en: letters of two scripts in one word (соlour)",
    ),
    ("أحمر شفاه غير لامع | 哑光口红 | Matter Lippenstift", "en: written in Arabic"),
    ("Matte lipstick | マットなリップスティック | Matter Lippenstift", "zh-CN: written in kana"),
    ("Matte lipstick | 霧面紅色唇膏專櫃 | Matter Lippenstift", "zh-CN: in traditional characters"),
    (
        f"{'lipstick ' * 12_000} | 哑光口红 | Matter Lippenstift",
        "en: 107999 characters, a text has 1000",
    ),
    ("Matte lipstick | \u200b\ufeff | Matter Lippenstift", "zh-CN: empty"),
    ("Matte lip\ue000stick | 哑光口红 | Matter Lippenstift", "en: characters that are lost"),
    (
        "Wash at 40 degrees please | 请用30度水洗 | Bei 30 Grad waschen",
        "en: misaligned: the number 40 is in no other language",
    ),
    (
        "Red | 这款口红颜色鲜艳持久不掉色适合日常使用也适合晚宴场合佩戴非常好看 | "
        "Ein roter Lippenstift für jeden Tag und für den Abend, der lange hält und nicht abfärbt",
        "en: misaligned: ",
    ),
    (
        "This dress is made of soft cotton and is perfect for the summer days and the beach | "
        "这款连衣裙采用柔软的棉质面料制成，非常适合夏日和海滩 | "
        "This dress is made of soft cotton and is perfect for summer days at the beach",
        "de: in the language en",
    ),
]


@pytest.mark.parametrize(("row", "reason"), BAD, ids=[reason[:30] for _, reason in BAD])
def test_a_bad_text_is_rejected_with_its_reason_and_the_rest_stays(
    row: str, reason: str, tmp_path: Path
) -> None:
    frames, reasons = run(tmp_path, {"a.tsv": table(*GOOD, row)})
    assert len(reasons) == 1 and reasons[0].startswith(reason)
    assert len(frames["train"]) == 2
    assert frames["train"].loc[1].isna().sum() == 1


@pytest.mark.parametrize(
    "row",
    [
        "10,000 dollars | 10 000美元 | 10.000 Dollar",
        "128-bit RC4 | RC4 128位 | RC4 128 Bit",
        "IEEE 802.3af | IEEE 802 3af | IEEE 802.3af",
        "Version 7.0 | 版本 7 | Version 7,0",
        "2-piece set | 两件套 | Zweiteiliges Set",
        "Alto Valle del Río Negro | Alto Valle del Río Negro | Alto Valle del Río Negro",
        "XXL | 特大号 | XXL",
        "Temperature 5 °C, μ-law | 温度5 °C μ律 | Temperatur 5 °C, μ-law",
        "Adidas | Adidas | Adidas",
        "S | 小号 | S",
    ],
)
def test_what_only_looks_wrong_stays(row: str, tmp_path: Path) -> None:
    frames, reasons = run(tmp_path, {"a.tsv": table(*GOOD, row)})
    assert reasons == [] and len(frames["train"]) == 2


def test_what_nobody_sees_is_left_out_and_what_is_meant_stays(tmp_path: Path) -> None:
    row = (
        "\ufeffNa\u0308gel\u200b \u202e💅🏽 👩\u200d🔬 \x07top | "
        "指甲\x00油\u00a0新 | Nagel\u00adlack"
    )
    frames, reasons = run(tmp_path, {"a.tsv": "\ufeff" + table(*GOOD, row)})
    said = frames["train"].loc[1]
    assert said["en"] == "Nägel 💅🏽 👩\u200d🔬 top"
    assert (said["zh-CN"], said["de"], reasons) == ("指甲油 新", "Nagellack", [])
    told = json.loads((tmp_path / "data/account.json").read_text(encoding="utf-8"))
    taken = {row["taken"] for row in told["guessed"]}
    assert "zero-width characters are left out of texts" in taken


def test_a_pair_loses_both_sides_and_says_why(tmp_path: Path) -> None:
    pairs = "source\ttarget\nRed lipstick\t红色口红\nGift card\t\nSize 38\t尺码 42\n"
    frames, reasons = run(tmp_path, {"a.en-zh.tsv": pairs})
    assert len(frames["train"]) == 1
    assert sorted(reasons) == [
        "en: its other side is not taken: zh-CN, empty",
        "en: misaligned: the number 38 is in no other language",
        "zh-CN: empty",
        "zh-CN: misaligned: the number 42 is in no other language",
    ]


FRENCH = [
    "Une crème douce pour les mains sèches et abîmées",
    "Le parfum des fleurs fraîches du jardin au matin",
    "Un rouge à lèvres qui tient toute la journée",
    "Cette robe en coton est idéale pour les vacances",
    "Des chaussures confortables pour marcher toute la journée",
    "Un sac à main élégant avec une poche intérieure",
    "Une écharpe chaude pour les jours froids de l'hiver",
    "Le shampooing nourrit les cheveux secs en profondeur",
    "Ce pantalon se lave en machine à basse température",
]
ENGLISH = [
    "A gentle cream for dry and damaged hands",
    "The scent of fresh garden flowers in the morning",
    "A lipstick that lasts all day long",
    "This cotton dress is ideal for the holidays",
    "Comfortable shoes for walking all day long",
    "An elegant handbag with an inside pocket",
    "A warm scarf for the cold days of winter",
    "The shampoo nourishes dry hair deeply",
    "These trousers can be machine washed at low temperature",
]


def test_a_column_that_holds_another_language_than_it_says(tmp_path: Path) -> None:
    rows = ["en | es | fr"]
    for english, french in zip(ENGLISH, FRENCH, strict=True):
        rows.append(f"{english} | {french} | {french.lower()}.")
    frames, reasons = run(tmp_path, {"a.tsv": table(*rows)})
    assert set(reasons) == {"es: the column says es and holds fr (100% of its texts)"}
    assert "es" not in frames["train"] and len(frames["train"]) == len(ENGLISH)


def test_a_column_of_the_other_chinese_goes_as_a_whole(tmp_path: Path) -> None:
    pairs = [("Sunglasses", "太陽眼鏡"), ("Silk scarf", "絲質圍巾"), ("Bracelet", "手鍊鍊子銀")]
    pairs += [("Headwear", "帽子"), ("Silver ring", "銀戒環飾"), ("Watch strap", "手錶錶帶鋼")]
    rows = ["en | zh-CN | de", *(f"{english} | {chinese} | Ding" for english, chinese in pairs)]
    frames, reasons = run(tmp_path, {"a.tsv": table(*rows)})
    # of 帽子 alone nobody could tell
    assert len(reasons) == len(pairs) and "zh-CN" not in frames["train"]
    told = "zh-CN: the column says zh-CN and holds traditional Chinese (100% of its texts)"
    assert told in reasons


def test_texts_alone_are_learned_from_unless_the_test_part_says_them(tmp_path: Path) -> None:
    texts = (
        "language,text\nen,Blue eyeliner 3 g\nen,Sunscreen spray\n"
        "de,Blauer Eyeliner 5 g\n,新款口红上市\n"
    )
    pairs = table("en | de", "Blue eyeliner 2 g | Blauer Eyeliner 2 g")
    only_test = {"train": 0.0, "validation": 0.0, "test": 1.0}
    frames, reasons = run(tmp_path, {"mono.csv": texts, "a.tsv": pairs}, split=only_test)
    # the number does not make it another text: the model sees none
    assert frames["monolingual"].to_numpy().tolist() == [
        ["en", "Sunscreen spray"],
        ["zh-CN", "新款口红上市"],
    ]
    assert not reasons and len(frames["test"]) == 1


def test_units_that_share_a_text_in_any_language_stay_together() -> None:
    named = groups(
        [
            {"en": "a", "de": "b"},
            {"en": "c", "de": "b"},
            {"fr": "c", "es": "d"},
            {"en": "e", "de": "f"},
        ]
    )
    assert named[0] == named[1] == named[2] != named[3]
    brands = Glossary.of(["Veloria", "Kamiro"])
    assert key("Veloria serum, 30 ml", brands) == key("Kamiro Serum 50 ml", brands)
    assert key("30", brands) != key("50", brands)


def test_no_part_says_what_another_part_says(tmp_path: Path) -> None:
    toy(raw=tmp_path / "raw")
    shares = Split(train=0.6, validation=0.2, test=0.2)
    settings = PARAMS.model_copy(update={"split": shares})
    for name in ("one", "two"):
        ingest(raw=tmp_path / "raw", data=tmp_path / name, params=settings)
    files = sorted(file.name for file in (tmp_path / "one").iterdir())
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    glossary = Glossary.read(tmp_path / "one")
    said = {}
    for part in ("train", "validation", "test"):
        texts = pd.read_parquet(tmp_path / "one" / f"{part}.parquet").drop(columns=["id", "kind"])
        said[part] = {key(text, glossary) for text in texts.stack().dropna()}
    mono = pd.read_parquet(tmp_path / "one/monolingual.parquet")
    said["monolingual"] = {key(text, glossary) for text in mono["text"]}
    assert min(map(len, said.values())) > 20
    assert not said["test"] & (said["train"] | said["validation"] | said["monolingual"])
    assert not said["validation"] & (said["train"] | said["monolingual"])


def test_the_toy_has_the_dirt_of_real_deliveries(tmp_path: Path) -> None:
    toy(raw=tmp_path / "raw")
    figures = ingest(raw=tmp_path / "raw", data=tmp_path / "data", params=PARAMS)
    reasons = pd.read_parquet(tmp_path / "data/rejected.parquet")["reason"]
    assert figures["rejected"] == 5 and figures["duplicates"] == 6
    assert "ja: in simplified Chinese characters" in reasons.tolist()


def test_a_glossary_is_kept_beside_the_data_and_is_no_text(tmp_path: Path) -> None:
    terms = table("en | de", "lip gloss | Lipgloss", "Veloria | Veloria")
    files = {"a.tsv": table(*GOOD), "glossary.tsv": terms, "brands.csv": "brand\nKamiro\n"}
    frames, _ = run(tmp_path, files)
    glossary = Glossary.read(tmp_path / "data")
    entries = {entry.text: dict(entry.translations) for entry in glossary.terms}
    both = {"en": "lip gloss", "de": "Lipgloss"}
    assert entries == {"Kamiro": {}, "lip gloss": both, "Lipgloss": both, "Veloria": {}}
    assert len(frames["train"]) == 1


def test_a_hostile_file_is_rejected_and_ends_nothing(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE tmx [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><tmx><body>&b;</body></tmx>'
    frames, reasons = run(tmp_path, {"a.tsv": table(*GOOD), "bad.tmx": bomb})
    assert len(frames["train"]) == 1
    assert len(reasons) == 1 and reasons[0].startswith("the XML declares entities")


def test_too_much_that_is_wrong_stops_and_names_the_first(tmp_path: Path) -> None:
    row = "Red lipstick | Roter Lippenstift für jeden Tag und Abend | 红色口红"
    with pytest.raises(ValueError, match=r"first in a\.tsv, row 2"):
        run(tmp_path, {"a.tsv": table("en | zh-CN | de", row)}, max_rejected=0.2)


def test_a_limit_takes_the_same_units_in_any_order(tmp_path: Path) -> None:
    rows = [f"Lipstick {name} | Lippenstift {name}" for name in ("red", "blue", "pink", "grey")]
    kept = []
    for place, ordered in enumerate((rows, rows[::-1])):
        frames, _ = run(tmp_path / str(place), {"a.tsv": table("en | de", *ordered)}, limit=2)
        kept.append(set(frames["train"]["en"]))
    assert kept[0] == kept[1] and len(kept[0]) == 2


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("zh_CN", "zh-CN"),
        ("ZH-hant", "zh-TW"),
        ("fr_BE", "fr"),
        ("Deutsch", "de"),
        ("zh-XX", ""),
        ("price", ""),
        ("frozen", ""),
    ],
)
def test_languages_by_all_their_names(name: str, tag: str) -> None:
    assert Locales(PARAMS.languages).tag(name) == tag


def test_a_column_that_only_ends_like_a_language_is_none() -> None:
    locales = Locales(PARAMS.languages)
    assert locales.columns(["sku", "made_in_de", "ship_to"]) == []
    found = locales.columns(["name_en", "Name (zh-CN)", "name.de", "en"])
    assert [(item.language, item.stem) for item in found] == [
        ("en", ""),
        ("en", "name"),
        ("zh-CN", "name"),
        ("de", "name"),
    ]


def lost_cell(languages: tuple[str, ...], tag: str, first: int) -> list[str]:
    """Return a table of 240 rows in which ``tag`` lost the cell of row ``first``: all move up."""
    rows = starter._framed(random.Random(1), 240)
    said = {language: [row.texts[language] for row in rows] for language in languages}
    said[tag] = [*said[tag][:first], *said[tag][first + 1 :], said[tag][0]]
    return [" | ".join(languages), *map(" | ".join, zip(*said.values(), strict=True))]


def test_a_column_that_lost_a_cell_is_rejected_from_there_on(tmp_path: Path) -> None:
    rows = lost_cell(("en", "fr", "es"), "fr", 120)
    frames, reasons = run(tmp_path, {"a.tsv": table(*rows)}, max_length_ratio=99.0)
    told = "fr: misaligned: its lengths are those of the row 1 above, a cell is lost"
    assert set(reasons) == {told} and 110 <= len(reasons) <= 180
    assert frames["train"]["en"].notna().all() and frames["train"]["es"].notna().all()
    aligned = lost_cell(("en", "fr", "es"), "fr", 239)
    _, reasons = run(tmp_path / "aligned", {"a.tsv": table(*aligned)}, max_length_ratio=99.0)
    # the last row alone has another's text
    assert reasons == ["fr: misaligned: the number 12800 is in no other language"]


def test_of_two_columns_nobody_knows_which_lost_a_cell(tmp_path: Path) -> None:
    rows = lost_cell(("en", "fr"), "en", 0)
    with pytest.raises(ValueError, match="misaligned: its lengths are those of the row 1 below"):
        run(tmp_path, {"a.tsv": table(*rows)}, max_length_ratio=99.0, max_rejected=0.2)
