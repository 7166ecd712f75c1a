"""TMX and XLIFF: what is read of them, and that hostile XML opens nothing."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from beauty_models.translate.memories import is_memory, units

TMX = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4"><header srclang="en"/><body>
<tu tuid="a1"><prop type="x-kind">title</prop>
 <tuv xml:lang="en-US">
 <seg>Red <bpt i="1">&lt;b&gt;</bpt>lipstick<ept i="1">&lt;/b&gt;</ept></seg></tuv>
 <tuv xml:lang="zh_CN">
 <seg>红色<bpt i="1">&lt;b&gt;</bpt>口红<ept i="1">&lt;/b&gt;</ept></seg></tuv>
</tu>
<tu><tuv xml:lang="en"><seg>A <hi>fine</hi> cream</seg></tuv><tuv lang="de"><seg/></tuv></tu>
</body></tmx>"""
XLIFF_1 = """<?xml version="1.0"?>
<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2">
<file source-language="en" target-language="fr" datatype="plaintext" original="x"><body>
<trans-unit id="t1"><source>Add <g id="1">to</g> basket</source>
 <target state="translated">Ajouter <g id="1">au</g> panier</target>
 <alt-trans><source>Add</source><target>Ajoute</target></alt-trans></trans-unit>
<trans-unit id="t2"><source>Sold out</source>
 <target state="needs-translation">Sold out</target></trans-unit>
<trans-unit id="t3" translate="no"><source>SKU</source><target>SKU</target></trans-unit>
<trans-unit id="t4"><source>In stock</source></trans-unit>
</body></file></xliff>"""
XLIFF_2 = """<?xml version="1.0"?>
<xliff version="2.0" xmlns="urn:oasis:names:tc:xliff:document:2.0" srcLang="en" trgLang="ja">
<file id="f"><unit id="u"><segment id="s1">
<source>Gift <pc id="1">card</pc></source><target>ギフト<pc id="1">カード</pc></target></segment>
<segment id="s2" state="initial"><source>New</source><target>New</target></segment>
</unit></file></xliff>"""


def test_a_tmx_has_its_units_with_the_tags_of_the_original(tmp_path: Path) -> None:
    file = tmp_path / "shop.tmx"
    # Windows tools write UTF-16
    file.write_bytes(TMX.replace("UTF-8", "UTF-16").encode("utf-16"))
    first, second = units(file)
    assert (first.id, first.kind) == ("a1", "title")
    assert first.texts == [("en-US", "Red <b>lipstick</b>"), ("zh_CN", "红色<b>口红</b>")]
    assert second.texts == [("en", "A fine cream"), ("de", "")]
    packed = tmp_path / "shop.tmx.gz"
    packed.write_bytes(gzip.compress(TMX.encode()))
    assert is_memory(packed) and len(list(units(packed))) == 2


def test_xliff_of_both_versions_says_what_is_not_translated_yet(tmp_path: Path) -> None:
    (tmp_path / "a.xlf").write_text(XLIFF_1, encoding="utf-8")
    found = list(units(tmp_path / "a.xlf"))
    assert found[0].texts == [("en", "Add to basket"), ("fr", "Ajouter au panier")]
    assert [unit.fault for unit in found] == [
        "",
        "not translated yet: the file says state needs-translation",
        "the file says that it is not to be translated",
        "",
    ]
    assert found[3].texts == [("en", "In stock"), ("fr", "")]
    (tmp_path / "b.xliff").write_text(XLIFF_2, encoding="utf-8")
    found = list(units(tmp_path / "b.xliff"))
    assert found[0].texts == [("en", "Gift card"), ("ja", "ギフトカード")]
    assert found[0].id == "u/s1" and "initial" in found[1].fault


def laughs(depth: int) -> str:
    entities = ['<!ENTITY l0 "ha">']
    for number in range(1, depth):
        entities.append(f'<!ENTITY l{number} "{f"&l{number - 1};" * 10}">')
    return TMX.replace('SYSTEM "tmx14.dtd"', f"[{''.join(entities)}]").replace(
        "A <hi>", f"&l{depth - 1};<hi>"
    )


@pytest.mark.parametrize(
    "content",
    [
        laughs(10),
        TMX.replace('SYSTEM "tmx14.dtd"', '[<!ENTITY x SYSTEM "SECRET">]').replace("fine", "&x;"),
        TMX.replace('SYSTEM "tmx14.dtd"', '[<!ENTITY % x SYSTEM "SECRET"> %x;]'),
    ],
    ids=["billion laughs", "external entity", "external parameter entity"],
)
def test_entities_are_refused_and_nothing_is_opened(content: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret", encoding="utf-8")
    file = tmp_path / "bad.tmx"
    file.write_text(content.replace("SECRET", secret.as_uri()), encoding="utf-8")
    with pytest.raises(ValueError, match=r"bad\.tmx: the XML declares entities"):
        list(units(file))


@pytest.mark.parametrize(
    "content", ["", "<tmx><body><tu>", "\x00\x01", "<tmx encoding='x'>&unknown;</tmx>"]
)
def test_broken_xml_is_told(content: str, tmp_path: Path) -> None:
    file = tmp_path / "broken.xlf"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"broken\.xlf: broken XML"):
        list(units(file))
