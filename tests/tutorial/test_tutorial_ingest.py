"""ingest of articles: what is kept, what is rejected and why, that the split stays as it is."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from beauty_models import params
from beauty_models.params import Split
from beauty_models.tutorial import Ingest
from beauty_models.tutorial.articles import is_binary, read_front_matter, split_front_matter
from beauty_models.tutorial.data import ingest
from beauty_models.tutorial.duplicates import shared_across_parts
from beauty_models.tutorial.near_articles import earlier_copies, shingles
from beauty_models.tutorial.starter import starter, toy
from beauty_models.tutorial.structure import from_row

PARAMS: Ingest = params.load("tutorial", Path(__file__).parents[2] / "params.yaml").ingest
ALL_TRAIN = {"train": 1.0, "validation": 0.0, "test": 0.0}
WORDS = [
    "violet",
    "amber",
    "copper",
    "linen",
    "marble",
    "harbour",
    "lantern",
    "meadow",
    "orchard",
    "pebble",
    "ribbon",
    "saffron",
]


def essay(number: int) -> str:
    """Return an English text that has nothing in common with that of another number."""
    digest = hashlib.sha256(str(number).encode()).digest()
    names = " ".join(WORDS[byte % 12] + str(byte) for byte in digest[:12])
    return f"This is what the {names} have to do with it, and that is the whole of the story."


def how_to(number: int = 0, front: str = "") -> str:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return (
        f"{front}# A look called {digest[:8]}\n\nIt is for the days of {digest[8:20]}.\n\n"
        f"1. Apply foundation {digest[20:26]} with a damp sponge.\n"
        f"2. Blend cream blush {digest[26:32]} over the cheeks.\n"
        f"3. Brush mascara {digest[32:38]} through the lashes.\n\n"
        "That is all there is to it, and you have time for the bus.\n"
    )


def run(
    folder: Path, files: dict[str, str | bytes], **changes: Any
) -> tuple[dict[str, float], dict[str, pd.DataFrame]]:
    """Ingest ``files`` beside one how-to; return the metrics and the frames by part."""
    raw = folder / "raw"
    for name, content in {"base.md": how_to(), **files}.items():
        file = raw / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    changes = {"split": ALL_TRAIN, "max_rejected": 1.0, **changes}
    changes["split"] = Split(**changes["split"])
    data = folder / "data"
    figures = ingest(raw=raw, data=data, params=PARAMS.model_copy(update=changes))
    return figures, {file.stem: pd.read_parquet(file) for file in data.glob("*.parquet")}


def told(folder: Path) -> dict[str, Any]:
    """Return the account of what `run` ingested."""
    content: dict[str, Any] = json.loads((folder / "data/account.json").read_text(encoding="utf-8"))
    return content


def row(frames: dict[str, pd.DataFrame], name: str) -> Any:
    rows = frames["train"]
    found = rows[rows["id"] == name]
    assert len(found) == 1, list(rows["id"])
    return found.iloc[0]


def reason(frames: dict[str, pd.DataFrame]) -> str:
    assert len(frames["rejected"]) == 1, frames["rejected"]
    return str(frames["rejected"]["reason"].iloc[0])


def test_an_article_becomes_a_row_with_its_how_to(tmp_path: Path) -> None:
    front = "---\ntitle: My Look\nlook: natural\nproducts: [foundation, blush]\n---\n"
    _, frames = run(tmp_path, {"en/a.md": how_to(1, front), "b.md": essay(1)})
    found = row(frames, "en/a")
    tutorial = from_row(found.to_dict())
    assert tutorial.title == "My Look" and tutorial.look == "natural" and found["language"] == "en"
    assert tutorial.products == ("foundation", "blush") and len(tutorial.steps) == 3
    assert tutorial.steps[0].startswith("Apply foundation") and found["tutorial"]
    assert found["text"].startswith("# My Look\n") and "1. Apply foundation" in found["text"]
    plain = row(frames, "b")
    assert not plain["tutorial"] and list(plain["steps"]) == []


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "the file is empty"),
        (b" \n\n ", "the file is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40, "binary data"),
        (bytes(range(256)) * 400, "binary data"),
        (b"Only three words.", "shorter than 80 characters"),
        (b"word and " * 115_000, "an article has"),
        (b"---\ntitle: Nothing below\n---\n", "no text"),
        (b"<html><script>var a = 'text'.repeat(100)</script></html>", "no text beside markup"),
        ("这一行是好的\n".encode() * 30 + b"caf\xe9 \xff\xfe\xfd", "characters are lost"),
    ],
)
def test_what_is_no_article_is_rejected_with_its_reason(
    tmp_path: Path, content: bytes, why: str
) -> None:
    name = "bad.html" if content.startswith(b"<html") else "bad.md"
    _, frames = run(tmp_path, {name: content})
    assert why in reason(frames) and frames["rejected"]["file"].iloc[0] == name
    assert len(frames["train"]) == 1


def test_an_article_in_two_languages_and_one_in_another(tmp_path: Path) -> None:
    chinese = "先洗脸擦干，再薄薄涂一层面霜，等它吸收，然后用手指把粉底从中间往外推开。" * 3
    german = (
        "Ein roter Lippenstift hält länger, wenn man die Lippen vorher mit einem weichen Tuch "
        "abtupft und danach eine dünne Schicht Puder aufträgt, bevor die zweite Schicht folgt."
    )
    _, frames = run(tmp_path, {"two.md": f"{essay(2)} {essay(3)}\n\n{chinese}", "de.md": german})
    reasons = dict(zip(frames["rejected"]["file"], frames["rejected"]["reason"], strict=True))
    assert reasons["two.md"].startswith("in two languages, ") and "en " in reasons["two.md"]
    assert reasons["de.md"] == "in the language de, ingest.languages has zh, en"


def test_a_language_that_is_stated_wrongly_is_told(tmp_path: Path) -> None:
    figures, frames = run(tmp_path, {"a.md": f"---\nlanguage: zh\n---\n{essay(4)}"})
    assert row(frames, "a")["language"] == "en" and figures["language_differs"] == 1
    [contradicted] = told(tmp_path)["contradicted"]
    assert contradicted["disagree"] == 1 and contradicted["of"] == 2
    assert contradicted["example"] == "a.md says zh, its text is en"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "utf-16", "utf-16-le"])
def test_other_encodings(tmp_path: Path, encoding: str) -> None:
    text = (
        "---\ntitle: 通勤妆\n---\n\n上班前十分钟，站在窗边就能画完的一张脸，不用很多工具。\n\n"
        "1. 用湿海绵把粉底液从脸中间往外拍开，鼻翼少一点。\n2. 遮瑕膏点在眼下，停十秒再轻轻拍匀。\n"
        "3. 最后涂一层润唇膏，抿一抿就能出门。\n"
    )
    _, frames = run(tmp_path, {"zh.md": text.encode(encoding)})
    found = row(frames, "zh")
    assert found["title"] == "通勤妆" and found["language"] == "zh"
    # full-width punctuation is what is learned to be written
    assert found["steps"][2] == "最后涂一层润唇膏，抿一抿就能出门。"


def test_scripts_menus_and_markup_are_no_text(tmp_path: Path) -> None:
    page = (
        "<html><head><title>A calm look | Some Blog</title><style>p {color: red}</style></head>"
        "<body><nav><a href='/'>Home of menus</a></nav><article><h1>A calm look</h1>"
        f"<p>{essay(5)}</p><script>track('visitor', 1 < 2)</script>"
        "<ol><li>Apply primer with the <b>fingers</b>.<li>Press powder on the nose."
        "<li>Comb gel through the brows.</ol><img src='https://t.example/pixel.gif'></article>"
        "<footer>Imprint of the blog</footer></body></html>"
    )
    _, frames = run(tmp_path, {"page.html": page})
    found = row(frames, "page")
    assert found["title"] == "A calm look"
    assert list(found["steps"]) == [
        "Apply primer with the fingers.",
        "Press powder on the nose.",
        "Comb gel through the brows.",
    ]
    for word in ("track", "menus", "Imprint", "color", "pixel", "<"):
        assert word not in found["text"]
    # a page saved under another name
    _, frames = run(tmp_path / "other", {"saved.txt": page})
    assert list(row(frames, "saved")["steps"]) == list(found["steps"])


@pytest.mark.parametrize(
    "front",
    [
        "title: a: b: c\n  - [unclosed",
        "title: My Look\n\tlook: natural",
        "title: " + "[" * 5000,
        "title: &a [x, x]\nb: [*a, *a, *a]\n: :",
    ],
)
def test_front_matter_that_is_no_yaml_is_told_and_kept_out(tmp_path: Path, front: str) -> None:
    figures, frames = run(tmp_path, {"a.md": f"---\n{front}\n---\n{essay(6)}"})
    assert figures["broken_front_matter"] == 1
    [guessed] = told(tmp_path)["guessed"]
    assert guessed["subject"] == "front matter" and guessed["files"] == ["a.md"]
    assert essay(6) in row(frames, "a")["text"] and "unclosed" not in row(frames, "a")["text"]


def test_front_matter() -> None:
    matter, rest = split_front_matter("\ufeff---\r\nTitle: A\r\nskin: dry\r\n---\r\nText")
    assert rest == "Text"
    assert read_front_matter(matter, PARAMS.columns) == ({"title": "A", "skin_type": "dry"}, True)
    # a rule above a text, and one below it, are no front matter
    ruled = "---\nOnly a paragraph between two rules\n---\nMore"
    assert split_front_matter(ruled) == ("", ruled)
    toml, _ = split_front_matter('+++\ntitle = "B"\ntools = ["brush"]\n+++\nText')
    assert read_front_matter(toml, PARAMS.columns) == ({"title": "B", "tools": ["brush"]}, True)


def test_control_characters_leave_no_trace(tmp_path: Path) -> None:
    dirty = essay(7).replace(" ", "\u200b \x07", 3).replace("story", "st\u202eo\x00ry\ue000")
    _, frames = run(tmp_path, {"a.md": "\ufeff" + dirty})
    assert row(frames, "a")["text"].strip() == essay(7)


def test_utf_16_is_no_binary_data() -> None:
    assert not is_binary("Plain text".encode("utf-16-le") * 50)
    assert is_binary(b"\x00\x01\x02" * 100)


def test_json_lines_with_a_broken_one(tmp_path: Path) -> None:
    rows = [
        json.dumps({"id": "x1", "title": "T", "body": how_to(8), "tools": ["sponge", "brush"]}),
        '{"id": "x2", "body": "cut o',
        json.dumps({"id": "x3", "body": f"<p>{essay(9)}</p><script>bad()</script>"}),
        json.dumps({"id": "x4", "body": ""}),
    ]
    _, frames = run(tmp_path, {"posts.jsonl": "\n".join(rows)})
    assert list(row(frames, "posts:x1")["tools"]) == ["sponge", "brush"]
    assert row(frames, "posts:x3")["text"].strip() == essay(9)
    rejected = frames["rejected"].set_index("row")["reason"]
    assert "not valid JSON" in rejected[2] and rejected[4] == "no text"


def test_a_table_without_a_text_is_told(tmp_path: Path) -> None:
    _, frames = run(tmp_path, {"a.csv": "id,stars\n1,5\n"})
    assert "the columns are id, stars" in reason(frames) and "--map text=COLUMN" in reason(frames)


def test_nothing_to_read_and_nothing_to_learn(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "photo.jpg").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"no \.md"):
        ingest(raw=raw, data=tmp_path / "data", params=PARAMS)
    (raw / "a.md").write_text(essay(1))
    only_train = PARAMS.model_copy(update={"split": Split(**ALL_TRAIN)})
    with pytest.raises(ValueError, match="is a how-to with at least 3 ordered steps"):
        ingest(raw=raw, data=tmp_path / "data", params=only_train)
    assert not (tmp_path / "data").exists()


def test_too_many_rejected_articles_stop_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="50% of the rows are rejected"):
        run(tmp_path, {"a.md": "short"}, max_rejected=0.2)


def test_equal_and_nearly_equal_articles_stay_once_in_the_earlier_part(tmp_path: Path) -> None:
    split = {"train": 0.5, "validation": 0.0, "test": 0.5}
    articles = {f"{number}.md": how_to(number) for number in range(40)}
    alone, first = run(tmp_path / "a", articles, split=split)
    # a sentence more gives another hash, so that a copy may fall into another part
    copies = {f"copy{n}.md": how_to(n) + f"\nMore of it, {n}.\n" for n in range(40)}
    figures, frames = run(tmp_path / "b", articles | copies, split=split)
    assert figures["near_duplicates"] == 40 and figures["kept"] == alone["kept"]
    tested = {text[:40] for text in frames["test"]["text"]}
    assert not tested & {text[:40] for text in frames["train"]["text"]}
    # what was tested on before is never learned from
    assert {text[:40] for text in first["test"]["text"]} <= tested


def test_passages_shared_across_parts() -> None:
    passage = " ".join(f"word{number}" for number in range(40))
    others = [" ".join(f"{letter}{number}" for number in range(40)) for letter in "abc"]
    texts = [f"{passage} {others[0]}", f"{others[1]} {passage}", others[2]]
    assert shared_across_parts(texts, ["test", "train", "train"]) == [False, True, False]
    assert shared_across_parts(texts, ["train", "train", "train"]) == [False, False, False]


def test_the_same_files_give_the_same_bytes_and_new_ones_move_nothing(tmp_path: Path) -> None:
    split = {"train": 0.5, "validation": 0.2, "test": 0.3}
    articles = {f"{number}.md": how_to(number) for number in range(30)}
    run(tmp_path / "a", articles, split=split)
    run(tmp_path / "b", articles, split=split)
    for file in (tmp_path / "a/data").iterdir():
        assert file.read_bytes() == (tmp_path / "b/data" / file.name).read_bytes(), file.name
    _, grown = run(tmp_path / "c", articles | {"new.md": how_to(99)}, split=split)
    for part in ("train", "validation", "test"):
        before = set(pd.read_parquet(tmp_path / f"a/data/{part}.parquet")["id"])
        assert before <= set(grown[part]["id"])


def test_the_data_folder_says_where_it_is_from(tmp_path: Path) -> None:
    licence = json.dumps({"license": "CC-BY-4.0", "commercial_use": True, "source": "blog"})
    run(tmp_path, {"LICENSE.json": licence, "b.md": essay(1)})
    schema = json.loads((tmp_path / "data/schema.json").read_text())
    assert schema["license"] == "CC-BY-4.0" and schema["tutorials"]["train"] == 1
    page = (tmp_path / "data/quality.md").read_text()
    assert "| articles | 2 |" in page and "A look called" in page


def test_starter_and_toy_are_read_whole(tmp_path: Path) -> None:
    starter(raw=tmp_path / "starter")
    figures = ingest(raw=tmp_path / "starter", data=tmp_path / "a", params=PARAMS)
    assert figures["rejected"] == 0 and figures["language_zh"] >= 90
    assert figures["tutorials"] >= 0.95 * _stated_looks(tmp_path / "starter")
    toy(raw=tmp_path / "toy")
    small = PARAMS.model_copy(update={"min_characters": 20, "near_duplicate_similarity": 1.0})
    figures = ingest(raw=tmp_path / "toy", data=tmp_path / "b", params=small)
    assert figures["tutorials"] == 108 and figures["duplicates"] == 1 and figures["rejected"] == 1


def _stated_looks(raw: Path) -> int:
    return sum("\nlook:" in file.read_text(encoding="utf-8") for file in raw.rglob("*.md"))


@pytest.mark.parametrize("threshold", [0.5, 0.8, 1.0])
def test_near_articles_are_those_that_comparing_all_pairs_finds(threshold: float) -> None:
    texts = []
    for number in range(60):
        words = essay(number // 6).split()
        # one word in 30, 15, 10 ... is another one: pairs on both sides of every threshold
        texts.append(
            " ".join(w if at % 30 >= number % 6 else f"x{number}" for at, w in enumerate(words))
        )
    expected: list[int] = []
    for index, text in enumerate(texts):
        alike = [
            earlier
            for earlier in range(index)
            if expected[earlier] < 0
            and len(shingles(text) & shingles(texts[earlier]))
            >= threshold * len(shingles(text) | shingles(texts[earlier])) - 1e-9
        ]
        expected.append(alike[0] if alike else -1)
    assert earlier_copies(texts, threshold) == expected
    assert threshold == 1.0 or {-1} < set(expected)


def test_an_archive_of_articles_is_read_as_its_folder(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    with zipfile.ZipFile(raw / "blog.zip", "w") as archive:
        for number in range(3):
            archive.writestr(f"{number}.md", how_to(number))
    small = PARAMS.model_copy(update={"split": Split.model_validate(ALL_TRAIN)})
    figures = ingest(raw=raw, data=tmp_path / "data", params=small)
    assert figures["kept"] == 3
    assert set(pd.read_parquet(tmp_path / "data/train.parquet")["id"]) == {
        f"blog/{number}" for number in range(3)
    }


def test_the_account_says_which_columns_of_a_table_are_not_read(tmp_path: Path) -> None:
    rows = [{"headline": "x", "body": how_to(n), "stars": "5"} for n in range(3)]
    lines = "\n".join(json.dumps(row) for row in rows)
    figures, _ = run(tmp_path, {"posts.jsonl": lines, "cover.png": b"\x89PNG"})
    aside = {item["what"]: item["places"] for item in told(tmp_path)["aside"]}
    assert aside == {"columns": {"posts.jsonl: stars": 1}, "files": {"cover.png": 1}}
    [counts] = told(tmp_path)["counts"]
    assert (
        counts["read"] == 4 and counts["kept"] == figures["kept"] == 4 - figures["near_duplicates"]
    )
