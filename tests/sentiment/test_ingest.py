"""ingest on clean, dirty and hostile files.

What is kept, what is rejected and why, and that the split stays as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beauty_models import params
from beauty_models.intake import tables, text, values
from beauty_models.params import Split
from beauty_models.sentiment import Columns, Ingest
from beauty_models.sentiment.data import ingest
from beauty_models.sentiment.fields import ANNOTATION, REVIEW
from beauty_models.sentiment.near_duplicates import near_duplicates, shingles

PARAMS: Ingest = params.load("sentiment", Path(__file__).parents[2] / "params.yaml").ingest
Reviews = list[tuple[str, str]]
ALL_TEST = {"train": 0.0, "validation": 0.0, "test": 1.0}


def test_every_field_has_its_column_names() -> None:
    """A field without any would be empty in every row, and nobody would hear of it."""
    assert {*REVIEW, *ANNOTATION} == set(Columns.model_fields)


def some(count: int, salt: str = "") -> Reviews:
    """Return reviews that have nothing in common, every second one positive."""
    digests = [hashlib.sha256(f"{salt}{i}".encode()).digest() for i in range(count)]
    return [
        ("".join(chr(0x4E00 + byte * 7) for byte in digest[:20]), ["negative", "positive"][i % 2])
        for i, digest in enumerate(digests)
    ]


def table(reviews: Sequence[Sequence[str]], header: str = "text,label") -> str:
    return "\n".join([header, *(",".join(row) for row in reviews)]) + "\n"


def put(raw: Path, files: dict[str, str | bytes]) -> Path:
    raw.mkdir(exist_ok=True)
    for name, content in files.items():
        (raw / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return raw


def run(
    folder: Path, files: dict[str, str | bytes], **changes: Any
) -> tuple[dict[str, float], dict[str, pd.DataFrame]]:
    """Ingest ``files``; return the metrics and the frames by part."""
    if "split" in changes:
        changes["split"] = Split(**changes["split"])
    data = folder / "data"
    figures = ingest(
        raw=put(folder / "raw", files), data=data, params=PARAMS.model_copy(update=changes)
    )
    return figures, {file.stem: pd.read_parquet(file) for file in data.glob("*.parquet")}


def account_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "data/account.json").read_text())
    return content


def everything(frames: dict[str, pd.DataFrame]) -> set[str]:
    return {review for part in ("train", "validation", "test") for review in frames[part]["text"]}


def reason(frames: dict[str, pd.DataFrame]) -> str:
    assert len(frames["rejected"]) == 1, frames["rejected"]
    return str(frames["rejected"]["reason"].iloc[0])


def test_every_review_is_in_one_part_with_its_label(tmp_path: Path) -> None:
    reviews = some(200)
    figures, frames = run(tmp_path, {"a.csv": table(reviews)})
    classes = json.loads((tmp_path / "data/schema.json").read_text())["classes"]
    got = [
        (row.text, classes[row.label])
        for part in ("train", "validation", "test")
        for row in frames[part].itertuples()
    ]
    assert sorted(got) == sorted(reviews)
    assert set(frames["unlabelled"]["text"]) == set(frames["train"]["text"])
    assert 0.6 < figures["train"] / 200 < 0.8 and 0.1 < figures["test"] / 200 < 0.3


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8-sig", "utf-16", "utf-16-le", "big5"])
def test_other_encodings_are_read_and_told(tmp_path: Path, encoding: str) -> None:
    line = (
        "這個產品非常好用，質量很不錯"
        if encoding == "big5"
        else "这个产品非常好用，质量很不错，价格也便宜"
    )
    reviews = [
        (f"{line}{n * 7919}", "正面" if n % 2 else "负面" if encoding != "big5" else "neg")
        for n in range(60)
    ]
    _, frames = run(
        tmp_path,
        {
            "a.csv": table(
                [(t.replace(",", "，"), "pos" if s == "正面" else "neg") for t, s in reviews]
            ).encode(encoding)
        },
    )
    assert (
        everything(frames) <= {text.normalize(t) for t, _ in reviews}
        and len(everything(frames)) > 20
    )
    subjects = [guess["subject"] for guess in account_of(tmp_path)["guessed"]]
    assert subjects == ([] if encoding == "utf-8-sig" else ["encoding"])


def test_mojibake_and_stray_bytes(tmp_path: Path) -> None:
    reviews = some(60)
    broken = table(
        [("很好，超值，非常满意".encode().decode("latin-1"), "1")]
        + [("\ufeff\0" + t, s) for t, s in reviews]
    ).encode()
    _, frames = run(tmp_path, {"a.csv": broken + b"\xe5\xbe\xff\xfe bad bytes,1\n"})
    assert everything(frames) == {t for t, _ in reviews} | {"很好,超值,非常满意"}
    assert "bytes that do not fit" in reason(frames) and frames["rejected"]["row"].iloc[0] == 63


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("a,b,1", "3 cells where the header has 2"),
        ("only text", "1 cells where the header has 2"),
        ('"never closed,1', "a quote that is not closed"),
        ("x" * 10_000_000 + ",1", "characters, a row has"),
        ('"' + "line\n" * 400_000 + '",1', "characters, a row has"),
        ("x" * 30_000 + ",1", "text longer than 20000"),
        (",1", "no text"),
        ("<br>&nbsp;,1", "no text"),
        ("好,1", "shorter than 2"),
        ("fine text,7", "label '7' is none of"),
    ],
)
def test_a_bad_row_is_rejected_alone(tmp_path: Path, line: str, why: str) -> None:
    reviews = some(60)
    _, frames = run(tmp_path, {"a.csv": table([*reviews[:30], (line,), *reviews[30:]])})
    assert why in reason(frames) and frames["rejected"].loc[0, ["file", "row"]].tolist() == [
        "a.csv",
        32,
    ]
    assert len(frames["rejected"]["text"].iloc[0]) <= 200
    assert everything(frames) == {t for t, _ in reviews}


def test_a_quote_that_is_not_closed_takes_no_other_row_along(tmp_path: Path) -> None:
    put(tmp_path, {"a.csv": 'text,label\n"open,1\nb,0\n"closed",1\n5" wide,0\n"last,1\nd,0\n'})
    table = tables.read(tmp_path / "a.csv")
    assert table.rows["text"].to_dict() == {
        3: "b",
        4: "closed",
        5: '5" wide',
        7: "d",
    } and table.rejected["row"].tolist() == [2, 6]


def test_quoted_newlines_delimiters_and_formats(tmp_path: Path) -> None:
    a, b, c, d = (some(40, salt) for salt in "abcd")
    quoted = 'text,label\r\n"first line\r\nsecond, ""line""",1\r\n' + "".join(
        f"{t},{s}\r\n" for t, s in a
    )
    lines = "".join(
        json.dumps({"review": t, "stars": 5.0 if s == "positive" else 1}) + "\n" for t, s in c
    )
    put(tmp_path / "raw", {})
    pq.write_table(
        pa.table({"CONTENT": [t for t, _ in d], "Label": [float(s == "positive") for _, s in d]}),
        tmp_path / "raw/d.parquet",
    )
    files = {
        "a.csv": quoted,
        "b.tsv": table(b).replace(",", "\t"),
        "c.jsonl": lines + '{"review": "cut o',
        "readme.md": "# x",
        "manifest.json": "{}",
    }
    figures, frames = run(tmp_path, files, near_duplicate_similarity=1.0)
    assert everything(frames) == {t for t, _ in a + b + c + d} | {'first line second, "line"'}
    assert figures["share.positive"] == pytest.approx(81 / 161)
    assert "not valid JSON" in reason(frames) and frames["rejected"]["row"].iloc[0] == 41


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    for name, content, message in [
        ("a.csv", b"", "a.csv: the file is empty"),
        ("a.csv", b"text,label\n", "no rows below the header"),
        ("a.csv", b"text,text\na,b\n", "column text is there twice"),
        ("a.parquet", b"PAR1 no", "a.parquet: not a Parquet file"),
        ("a.csv", b"words,label\na,1\n", "a.csv has the columns words, label; .*--map text=COLUMN"),
        ("a.csv", b"text,mark\ngood one,1\n", "no review has a label.* has the columns text, mark"),
        ("a.png", b"x", "no .csv"),
    ]:
        folder = tmp_path / message[:20].replace("/", "")
        folder.mkdir()
        with pytest.raises(ValueError, match=message):
            run(folder, {name: content})
        assert not (folder / "data").exists()


def test_other_column_names_by_parameter(tmp_path: Path) -> None:
    reviews = some(60)
    columns = PARAMS.columns.model_copy(update={"text": ["words"]})
    _, frames = run(tmp_path, {"a.csv": table(reviews, "WORDS,label")}, columns=columns)
    assert everything(frames) == {t for t, _ in reviews}


def test_too_many_rejected_rows_fail_and_can_be_looked_at(tmp_path: Path) -> None:
    bad = table([*some(50), *[(f"text {i}", "7") for i in range(20)]])
    with pytest.raises(
        ValueError,
        match=r"29% of the rows(.|\n)*20 times: label '7' is none of(.|\n)*a.csv, row 52",
    ):
        run(tmp_path, {"a.csv": bad})
    assert (
        len(pd.read_parquet(tmp_path / "data.rejected.parquet")) == 20
        and not (tmp_path / "data").exists()
    )
    run(tmp_path, {"a.csv": bad}, max_rejected=0.5)
    assert not (tmp_path / "data.rejected.parquet").exists()


def test_one_class_and_bad_shares(tmp_path: Path) -> None:
    positive = {"a.csv": table([(t, "1") for t, _ in some(60)])}
    with pytest.raises(ValueError, match="all reviews to train on are positive"):
        run(tmp_path, positive)
    with pytest.raises(ValueError, match="add up to 0.9"):
        run(tmp_path, positive, split={"train": 0.5, "validation": 0.2, "test": 0.2})
    figures, _ = run(tmp_path, positive, split=ALL_TEST)
    assert figures["test"] == 60 and figures["to_pretrain_on"] == 0


def test_duplicates_and_contradictions(tmp_path: Path) -> None:
    reviews = some(60)
    again = [(f" {t}！ ", s) for t, s in reviews[:10]]
    torn = [("同一句话", "1"), ("同一句话。", "0")]
    figures, frames = run(tmp_path, {"a.csv": table([*reviews, *again, *torn])})
    assert everything(frames) == {t for t, _ in reviews} | (
        everything(frames) & {text.normalize(t) for t, _ in again}
    )
    assert (
        len(everything(frames)) == 60
        and figures["duplicates"] == 10
        and figures["contradictions"] == 2
    )
    assert set(frames["rejected"]["reason"]) == {"the same text has different labels"}


def test_no_text_of_one_part_nearly_repeats_one_of_another(tmp_path: Path) -> None:
    base = [(t * 4, s) for t, s in some(80)]
    nearly = [(t[:-1] + "尾", "" if i % 3 else s) for i, (t, s) in enumerate(base)]
    figures, frames = run(
        tmp_path, {"a.csv": table(base), "b.csv": table(nearly)}, near_duplicate_similarity=0.8
    )
    assert figures["near_duplicates"] == 80
    texts = [*frames["validation"]["text"], *frames["test"]["text"], *frames["unlabelled"]["text"]]
    assert set(near_duplicates(texts, 0.8)) == {-1}


def test_the_split_stays_when_data_is_added(tmp_path: Path) -> None:
    def parts(folder: Path, files: dict[str, str | bytes]) -> dict[str, str]:
        folder.mkdir()
        _, frames = run(folder, files)
        return {t: part for part in ("train", "validation", "test") for t in frames[part]["text"]}

    rows = [(t, s, f"p{i % 40}") for i, (t, s) in enumerate(some(200))]
    more = [(t, s, f"p{i % 70}") for i, (t, s) in enumerate(some(300, "more"))]
    before = parts(tmp_path / "1", {"m.csv": table(rows, "text,label,product")})
    after = parts(
        tmp_path / "2",
        {
            "a.csv": table(more, "text,label,product"),
            "z.csv": table(rows[::-1], "text,label,product"),
        },
    )
    assert len(after) == 500 and {t: after[t] for t in before} == before
    assert (
        len({(product, after[t]) for t, _, product in rows + more}) == 70
    )  # a product is in one part only


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    hashes = []
    for name in "12":
        (tmp_path / name).mkdir()
        run(
            tmp_path / name,
            {"a.csv": table(some(80)), "b.csv": table([*some(30, "b"), ("x", "1")])},
        )
        hashes.append(
            {
                p.name: hashlib.sha256(p.read_bytes()).hexdigest()
                for p in (tmp_path / name / "data").iterdir()
            }
        )
    assert hashes[0] == hashes[1] and len(hashes[0]) == 7


def test_limit_keeps_the_same_texts(tmp_path: Path) -> None:
    few, more = (
        everything(run(tmp_path, {"a.csv": table(some(200))}, limit=limit)[1])
        for limit in (50, 100)
    )
    assert len(few) == 50 and len(more) == 100 and few < more


def test_ratings_dates_and_unlabelled_texts(tmp_path: Path) -> None:
    rows = [
        (t, str(i % 5 + 1), "2024-03-05" if i % 2 else "no date")
        for i, (t, _) in enumerate(some(100))
    ]
    figures, frames = run(
        tmp_path, {"a.csv": table([*rows, ("odd one", "many", "")], "text,stars,date")}
    )
    assert figures["train"] + figures["validation"] + figures[
        "test"
    ] == 80 and "rating 'many' is not a number" in reason(frames)
    # "without a label" are those that have none, not the texts to pretrain on, of which most have
    assert figures["without_label"] == 20 and figures["kept"] == 100
    assert figures["to_pretrain_on"] == figures["train"] + 20 == len(frames["unlabelled"])
    assert {t for t, stars, _ in rows if stars == "3"} == set(frames["unlabelled"]["text"]) - set(
        frames["train"]["text"]
    )
    assert (
        set(frames["train"]["date"].dropna()) == {pd.Timestamp("2024-03-05")}
        and frames["train"]["date"].isna().any()
    )
    cells = ["1709596800", "1709596800000", "2024-03-05T00:00:00Z", "x"]
    assert values.dates(cells).tolist() == [datetime(2024, 3, 5)] * 3 + [None]


def test_ratings_in_words_stars_and_halves_have_their_class(tmp_path: Path) -> None:
    praise = ["5 stars", "4,5", "4.5", "★★★★☆", "9/10", "90 %", "five stars"]
    praise += ["4½", "5分", "5つ星のうち4.0", "4,0 von 5 Sternen"]
    blame = ["1 star", "1,5", "★☆☆☆☆", "2/10", "0.5", "one star", "2 out of 5"]
    blame += ["1 1/2", "5つ星のうち1.0"]
    between = ["3", "2.5", "3,5", "★★★☆☆", "5/10", "three stars"]
    cells = [*praise, *blame, *between] * 4
    rows = [(text, cells[i]) for i, (text, _) in enumerate(some(len(cells)))]
    # Semicolons: 4,5 is one cell.
    lines = ["text;stars", *(f"{text};{cell}" for text, cell in rows)]
    _, frames = run(tmp_path, {"a.csv": "\n".join(lines)})
    found = pd.concat([frames[part] for part in ("train", "validation", "test")])
    label_of = dict(zip(found["text"], found["label"], strict=True))
    for review, cell in rows:
        expected = 1 if cell in praise else 0 if cell in blame else None
        assert label_of.get(review) == expected, cell
    told = {row["taken"]: row["evidence"] for row in account_of(tmp_path)["guessed"]}
    assert told["10 is 5 stars"] == "12 ratings say so"
    assert told["100 is 5 stars"] == "4 ratings say so"


@pytest.mark.parametrize("flags", [("0", "1"), ("-1", "1"), ("-1", "0", "1")])
def test_flags_in_a_rating_column_are_no_stars(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """1 of 0 and 1 is praise, and would be one star of five."""
    rows = [(text, flags[i % len(flags)]) for i, (text, _) in enumerate(some(60))]
    with pytest.raises(
        ValueError, match=r"a\.csv: its 60 ratings go from -?\d to 1: they are no stars of 5"
    ) as stopped:
        run(tmp_path, {"a.csv": table(rows, "text,stars")})
    assert f"ratings.negative=[{flags[0]}]" in str(stopped.value)
    meant = {"negative": [float(flags[0])], "positive": [1.0]}
    _, frames = run(tmp_path, {"a.csv": table(rows, "text,stars")}, ratings=meant)
    label_of = dict(rows)
    for part in ("train", "validation", "test"):
        for review, label in zip(frames[part]["text"], frames[part]["label"], strict=True):
            assert label == (label_of[review] == "1")


def test_a_rating_between_nought_and_one_is_not_rounded(tmp_path: Path) -> None:
    rows = [(text, ("0", "0.2", "1")[i % 3]) for i, (text, _) in enumerate(some(90))]
    meant = {"negative": [0.0], "positive": [1.0]}
    figures, _ = run(tmp_path, {"a.csv": table(rows, "text,stars")}, ratings=meant)
    assert figures["without_label"] == 30


def test_the_scale_is_told_file_by_file(tmp_path: Path) -> None:
    """Few ratings of ten among many stars of five: 4 of 10 would be praise."""
    stars = [(text, str(i % 5 + 1)) for i, (text, _) in enumerate(some(600))]
    tens = [(text, str(i % 10 + 1)) for i, (text, _) in enumerate(some(10, "other"))]
    files = {"a.csv": table(stars, "text,stars"), "b.csv": table(tens, "text,stars")}
    with pytest.raises(ValueError, match=r"b\.csv: 5 of 10 ratings are above 5, up to 10"):
        run(tmp_path, files)


def test_aspects_are_joined_by_id(tmp_path: Path) -> None:
    texts = [t for t, _ in some(60)]
    annotated = table([(str(i), t) for i, t in enumerate(texts)], "id,text")
    notes = [(str(i), "价格", "负面" if i % 2 else "正面", "_", "贵") for i in range(50)] + [
        ("0", "物流", "中性", "快递", "慢"),
        ("99", "物流", "正面", "", ""),
    ]
    other = table(some(20, "other"))
    files = {
        "a.csv": annotated,
        "n.csv": table(notes, "id,Categories,Polarities,AspectTerms,OpinionTerms"),
        "o.csv": other,
    }
    figures, frames = run(tmp_path, files, split=ALL_TEST)
    found = frames["test"].set_index("text")["aspects"]
    assert [a["category"] for a in found[texts[0]]] == ["价格", "物流"] and found[texts[1]][0][
        "polarity"
    ] == "negative"
    assert all(found[t] is None for t, _ in some(20, "other")) and figures["test"] == 70
    assert frames["test"].set_index("text")["label"][texts[:2]].tolist() == [1, 0]
    assert reason(frames) == "no review has this id"


def test_a_list_of_texts_is_their_text(tmp_path: Path) -> None:
    put(tmp_path / "raw", {})
    reviews = some(40)
    lists = [["Lovely.", text] for text, _ in reviews]
    lists[7] = ['He said "no" to it.']
    stars = [5 if label == "positive" else 1 for _, label in reviews]
    pq.write_table(pa.table({"review": lists, "stars": stars}), tmp_path / "raw/a.parquet")
    _, frames = run(tmp_path, {}, near_duplicate_similarity=1.0)
    expected = {f"Lovely. {text}" for text, _ in reviews[:7] + reviews[8:]}
    assert everything(frames) == expected | {'He said "no" to it.'}


def test_empty_list_of_aspects_for_a_review_that_has_none(tmp_path: Path) -> None:
    rows = [(str(i), t, s) for i, (t, s) in enumerate(some(10))]
    files: dict[str, str | bytes] = {
        "a.csv": table(rows, "id,text,label"),
        "n.csv": table([("0", "价格", "正面")], "id,aspect,polarity"),
    }
    _, frames = run(tmp_path, files, split=ALL_TEST)
    assert sorted(map(len, frames["test"]["aspects"])) == [0] * 9 + [1]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("abc ", max_size=12), max_size=14), st.floats(0.2, 1))
def test_near_duplicates_are_exact(texts: list[str], threshold: float) -> None:
    sets = [set(shingles(t).tolist()) for t in texts]
    kept: list[int] = []
    for index, answer in enumerate(near_duplicates(texts, threshold)):
        alike = [
            k
            for k in kept
            if len(sets[k] & sets[index]) / len(sets[k] | sets[index]) >= threshold - 1e-9
        ]
        assert answer == (alike[0] if alike else -1)
        kept += [] if alike else [index]


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_words_cover_the_text(given_text: str) -> None:
    clean = text.normalize(given_text)
    assert text.normalize(clean) == clean or "&" in clean or "<" in clean
    assert "".join(text.words(clean)) == "".join(clean.split())


def test_languages_and_words() -> None:
    expected = {
        "这个口红很好看": "zh",
        "この口紅はとても良い": "ja",
        "정말 좋아요": "ko",
        "I love this lipstick": "en",
        "très bon produit": "und",
        "123": "und",
    }
    assert {t: text.language(t) for t in expected} == expected
    assert text.words("这款口红不拔干, I don't care") == [
        "这",
        "款",
        "口红",
        "不拔",
        "干",
        ",",
        "I",
        "don't",
        "care",
    ]


def test_stars_under_an_unknown_name_are_proposed_as_ratings(tmp_path: Path) -> None:
    stars = ["1,0", "2,0", "4,0", "5,0"]
    lines = [f"Nummer {i} gefällt mir sehr;{stars[i % 4]}" for i in range(40)]
    with pytest.raises(ValueError, match="--map text=Bewertungstext,rating=Sterne"):
        run(tmp_path, {"a.csv": "\n".join(["Bewertungstext;Sterne", *lines])})
