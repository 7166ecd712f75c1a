"""Tables as programs export them: the same values come out, whatever the dialect.

What could mean two things is refused or told, never guessed.
"""

from __future__ import annotations

import gzip
import json
import zipfile
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from known import REVIEWS, workbook

from beauty_models.intake import columns, packed, tables

ENCODED = [
    ("fr", "cp1252"),
    ("fr", "mac_roman"),
    ("de", "cp1252"),
    ("de", "cp850"),
    ("pl", "cp1250"),
    ("pl", "cp852"),
    ("pl", "mac_latin2"),
    ("tr", "cp1254"),
    ("tr", "cp857"),
    ("tr", "mac_turkish"),
    ("el", "cp1253"),
    ("el", "cp737"),
    ("el", "mac_greek"),
    ("ru", "cp1251"),
    ("ru", "koi8_r"),
    ("ru", "iso8859_5"),
    ("th", "cp874"),
    ("zh", "gb18030"),
    ("zh", "utf_16_le"),
    ("ja", "cp932"),
    ("ja", "euc_jp"),
    ("ko", "cp949"),
]


def written(folder: Path, name: str, content: bytes | str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def test_letters_tell_the_encoding_and_a_wrong_one_is_never_taken(tmp_path: Path) -> None:
    for language, encoding in ENCODED:
        lines = [f"{text};{stars}" for stars, text in enumerate(REVIEWS[language], 1)]
        content = "\n".join(["text;stars", *lines * 3]).encode(encoding)
        rows = tables.read(written(tmp_path, "a.csv", content)).rows
        assert rows["text"].tolist() == REVIEWS[language] * 3, encoding


@pytest.mark.parametrize("language", ["fr", "de"])
def test_accents_that_begin_late_among_english_are_heard(tmp_path: Path, language: str) -> None:
    """After 200,000 bytes of ASCII, and in few words: neither the head nor the whole says much."""
    english = ["lasts all day, love the shade;5"] * 8_000
    begin = "not what I hoped for, "
    late = [f"{begin}{text};1" for text in REVIEWS[language]]
    content = "\n".join(["text;stars", *english, *late]).encode("cp1252")
    rows = tables.read(written(tmp_path, "a.csv", content)).rows
    assert [text.removeprefix(begin) for text in rows["text"].iloc[-4:]] == REVIEWS[language]


@pytest.mark.parametrize("encoding", ["cp1252", "mac_roman"])
@pytest.mark.parametrize(
    "signs", ["It’s so soft – I love it", "“perfect” fit", "I paid £30 for this", "Spandex™ is it"]
)
def test_signs_in_english_tell_the_encoding(tmp_path: Path, encoding: str, signs: str) -> None:
    """What Word puts into a review: with a letter in its place it is no English."""
    reviews = [f"the shirt number {number} is very nice and it fits" for number in range(40)]
    reviews[7] += f". {signs}, and the quality is good"
    content = "\n".join(["text", *reviews]).encode(encoding)
    assert tables.read(written(tmp_path, "a.csv", content)).rows["text"].tolist() == reviews


def test_a_letter_where_english_has_a_sign_is_not_taken_for_one(tmp_path: Path) -> None:
    """The í of a Mac is the apostrophe of Windows: pa’s."""
    reviews = [f"el vestido {number} es de mi país y está aquí" for number in range(20)]
    content = "\n".join(["text", *reviews]).encode("mac_roman")
    with pytest.raises(ValueError, match="it may be mac-roman .* as well as cp1252"):
        tables.read(written(tmp_path, "a.csv", content))


def test_two_encodings_that_fit_equally_stop_the_reading(tmp_path: Path) -> None:
    # Two words are no evidence: every encoding makes letters of these bytes.
    content = "text,stars\nNaïve café,5\n".encode("mac_roman")
    with pytest.raises(ValueError, match=r"it may be \S+ .* as well as \S+ .*save it as UTF-8$"):
        tables.read(written(tmp_path, "a.csv", content))


def test_a_stray_quote_swallows_no_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"text number {number}\t{number % 5 + 1}" for number in range(40)]
    lines[3] = '"best buy of the year\t5'
    lines[12] = 'a screen of 7"\t4'
    table = tables.read(written(tmp_path, "a.tsv", "\n".join(["text\tstars", *lines])))
    assert len(table.rows) == 40 and table.rejected.empty
    assert table.rows["text"].iloc[3] == '"best buy of the year'
    assert table.rows["text"].iloc[12] == 'a screen of 7"'
    assert "a.tsv: quotes read as a quotation mark" in capsys.readouterr().out


def test_a_stray_quote_between_commas_is_told_by_a_file_without_quotes(tmp_path: Path) -> None:
    lines = [f"{number},text number {number},5" for number in range(20)]
    lines[3] = '3,"best buy of the year,5'
    lines[12] = '12,a screen of 7",4'
    content = "\n".join(["id,text,stars", *lines])
    table = tables.read(written(tmp_path, "a.csv", content))
    assert table.rows["id"].tolist() == [str(number) for number in range(20)]
    # A shop that quotes its descriptions: a line of one may have a row's number of commas.
    content = 'id,text,stars\n1,"one, two",5\n2,"a,\nb,c,\nd,e",4\n3,"x",1\n'
    rows = tables.read(written(tmp_path, "b.csv", content)).rows
    assert rows["text"].tolist() == ["one, two", "a,\nb,c,\nd,e", "x"]


def test_texts_of_several_lines_stay_whole(tmp_path: Path) -> None:
    for delimiter, name in ((",", "a.csv"), ("\t", "a.tsv"), (";", "b.csv")):
        text = f"first line\nsecond, with a comma{delimiter}and a mark\nthird"
        content = f'stars{delimiter}text\n5{delimiter}"{text}"\n1{delimiter}"no"\n'
        rows = tables.read(written(tmp_path, name, content)).rows
        assert rows["text"].tolist() == [text, "no"], name


def test_excel_s_separator_line_and_unicode_text_are_read(tmp_path: Path) -> None:
    told = tables.read(written(tmp_path, "a.csv", "sep=;\ntext;stars\nnice, really;5\n")).rows
    assert told.to_dict("list") == {"text": ["nice, really"], "stars": ["5"]}
    file = written(tmp_path, "b.txt", "text\tstars\n很好\t5\n".encode("utf-16"))
    assert tables.is_table(file)
    assert tables.read(file).rows["text"].tolist() == ["很好"]
    # A letter, or a list of names, is no table.
    assert not tables.is_table(written(tmp_path, "c.txt", "Dear customer,\nthank you\n"))


def test_packed_tables_are_read_and_bombs_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"text,stars\nnice,5\n"
    file = written(tmp_path, "reviews.csv.gz", gzip.compress(content))
    assert tables.is_table(file)
    assert tables.read(file).rows["stars"].tolist() == ["5"]
    with pa.output_stream(str(tmp_path / "r.jsonl.zst"), compression="zstd") as stream:
        stream.write(b'{"text": "nice"}\n')
    assert tables.read(tmp_path / "r.jsonl.zst").rows["text"].tolist() == ["nice"]
    with pytest.raises(ValueError, match=r"broken\.csv\.gz: cannot be unpacked"):
        tables.read(written(tmp_path, "broken.csv.gz", gzip.compress(content)[:-12]))
    monkeypatch.setattr(packed, "LARGEST", 1000)
    with pytest.raises(ValueError, match="more than 1,000 bytes; deliver it in parts"):
        tables.read(written(tmp_path, "bomb.csv.gz", gzip.compress(b"0" * 10_000)))


def test_workbooks_are_read_as_people_fill_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    march: list[list[object]] = [
        ["Reviews of March"],
        [],
        ["sku", "text", "stars"],
        ["001", "nice, really", 5],
        [],
        ["002", "broken", 1.5],
        ["003", None, 4],
    ]
    sheets = {"March": march, "Notes": [["call Ana"]]}
    rows = tables.read(workbook(tmp_path / "reviews.xlsx", sheets)).rows
    assert rows.to_dict("list") == {
        "sku": ["001", "002", "003"],
        "text": ["nice, really", "broken", ""],
        "stars": ["5", "1.5", "4"],
    }
    assert rows.index.tolist() == [4, 6, 7]  # as Excel numbers them
    assert (
        "reviews.xlsx: Notes: left aside, other columns than the sheet March"
        in capsys.readouterr().out
    )
    with pytest.raises(ValueError, match=r"b\.xlsx: not a workbook that can be read"):
        tables.read(written(tmp_path, "b.xlsx", b"PK\3\4 but no archive"))


def test_sheets_of_the_same_columns_are_one_table(tmp_path: Path) -> None:
    sheets: dict[str, list[list[object]]] = {
        "Info": [["Read me"], ["made by Ana"]],
        "March": [["text", "stars"], ["nice", 5], ["soft", 4]],
        "April": [["Reviews of April"], [], ["text", "stars"], ["broken", 1]],
    }
    rows = tables.read(workbook(tmp_path / "reviews.xlsx", sheets)).rows
    assert rows["text"].tolist() == ["nice", "soft", "broken"]
    assert rows["stars"].tolist() == ["5", "4", "1"]
    assert rows.index.is_unique  # by which people know a row without an id


def test_a_title_above_the_header_is_left_out(tmp_path: Path) -> None:
    reviews = [f"text {number},{number % 5 + 1}" for number in range(8)]
    for title in (["Reviews of May", ""], ["Shop: Ana", "Made: today", ",,"]):
        lines = [*title, "text,stars", *reviews]
        rows = tables.read(written(tmp_path, "a.csv", "\n".join(lines))).rows
        assert list(rows) == ["text", "stars"] and len(rows) == 8
    # Texts with a comma in each are a column, not a table of two.
    texts = [f"nice {number}, really" for number in range(8)]
    rows = tables.read(written(tmp_path, "b.csv", "\n".join(["text", *texts]))).rows
    assert rows["text"].tolist() == texts


def test_tables_of_hive_are_cut_at_its_delimiter(tmp_path: Path) -> None:
    rows = tables.read(written(tmp_path, "a.csv", "text\x01stars\nnice, soft\x015\n")).rows
    assert rows.to_dict("list") == {"text": ["nice, soft"], "stars": ["5"]}


def test_an_archive_with_one_table_is_that_table(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "one.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export/reviews.csv", "text,stars\nnice,5\n")
        archive.writestr("__MACOSX/export/._reviews.csv", "x")
    assert tables.is_table(tmp_path / "one.zip")
    assert tables.read(tmp_path / "one.zip").rows["text"].tolist() == ["nice"]
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", "text\nnice\n")
        archive.writestr("b.csv", "text\nbad\n")
    assert not tables.is_table(tmp_path / "two.zip")


def test_parquet_of_other_programs_gives_texts_and_numbers(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": pa.array(["很好".encode(), None, b"\xff\xfe"], pa.binary()),
            "stars": pa.array([Decimal("5.00"), Decimal("4.50"), None], pa.decimal128(4, 2)),
            "author": [{"name": "Li", "age": 30}, {"name": "Wu", "age": 41}, None],
            "tags": [["new", "red"], [], None],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    read = tables.read(tmp_path / "a.parquet")
    assert read.rows["text"].tolist() == ["很好", ""]
    assert read.rows["stars"].tolist() == ["5", "4.5"]
    assert read.rows["author.name"].tolist() == ["Li", "Wu"]
    assert json.loads(read.rows["tags"].iloc[0]) == ["new", "red"]
    # Bytes that are no text cost their own row.
    assert read.rejected["row"].tolist() == [3]


def test_objects_within_objects_are_columns(tmp_path: Path) -> None:
    lines = [
        {"id": 1, "review": {"text": "lovely", "stars": 5, "by": {"name": "Ana"}}},
        {"id": 2, "review": {"text": "broken", "stars": 1}},
    ]
    content = "\n".join(map(json.dumps, lines))
    rows = tables.read(written(tmp_path, "a.jsonl", content)).rows
    assert rows["review.text"].tolist() == ["lovely", "broken"]
    assert rows["review.by.name"].tolist() == ["Ana", ""]
    # The rating does not stand in the text, and both are known by their last names.
    known = {"text": ["text", "review"], "rating": ["rating", "stars"]}
    assert columns.pick(list(rows.columns), known) == {
        "text": "review.text",
        "rating": "review.stars",
    }
    # Two columns of one last name: nobody knows which is meant.
    assert columns.pick(["review.text", "reply.text"], known) == {}


@pytest.mark.parametrize("indent", [None, 2])
def test_json_that_wraps_its_rows_or_is_indented_is_read(
    tmp_path: Path, indent: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    reviews = [{"text": "lovely", "stars": 5}, {"text": "broken", "stars": 1}]
    for value in (reviews, {"page": 1, "tags": ["new"], "reviews": reviews}):
        file = written(tmp_path, "a.json", json.dumps(value, indent=indent))
        assert tables.read(file).rows.to_dict("list") == {
            "text": ["lovely", "broken"],
            "stars": ["5", "1"],
        }
    assert "a.json: rows read as those of 'reviews'" in capsys.readouterr().out
    one = written(tmp_path, "b.json", json.dumps(reviews[0], indent=indent))
    assert tables.read(one).rows["text"].tolist() == ["lovely"]
    two = written(tmp_path, "c.json", json.dumps({"a": reviews, "b": reviews}, indent=indent))
    with pytest.raises(ValueError, match="a, b are lists of rows; save the one that is meant"):
        tables.read(two)


def test_folders_of_hive_are_columns(tmp_path: Path) -> None:
    place = "reviews/rating=5/shop=K%C3%B6ln/part-0.parquet"
    written(tmp_path, place, b"")
    pq.write_table(pa.table({"text": ["nice"]}), tmp_path / place)
    rows = tables.read(tmp_path / place, tmp_path).rows
    assert rows.to_dict("list") == {"text": ["nice"], "rating": ["5"], "shop": ["Köln"]}
    # Above the delivery a folder's name says nothing of it.
    assert list(tables.read(tmp_path / place, (tmp_path / place).parent).rows) == ["text"]
