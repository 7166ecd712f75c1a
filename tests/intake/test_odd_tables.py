"""Faults of the readers that drawn tables and the fuzzer found, each as small as it can be."""

from __future__ import annotations

import datetime
import io
import json
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from known import SENTENCES

from beauty_models.intake import packed, tables
from beauty_models.intake.records import cell_text, texts_of


def read(tmp_path: Path, name: str, content: bytes | str) -> tables.Table:
    file = tmp_path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return tables.read(file)


def parquet(tmp_path: Path, column: pa.Array) -> tables.Table:
    pq.write_table(pa.table({"a": column}), tmp_path / "a.parquet")
    return tables.read(tmp_path / "a.parquet")


def test_backslashes_before_quotes_are_those_of_a_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["id,text,stars", r'1,"she said \"hi\", ok",5', r'2,"C:\\new",4', r"3,\N,2"]
    rows = read(tmp_path, "a.csv", "\n".join(lines)).rows
    assert rows["text"].tolist() == ['she said "hi", ok', r"C:\new", ""]
    assert "a backslash stands before what is text" in capsys.readouterr().out
    # PostgreSQL's COPY: a line end is a letter.
    copied = read(tmp_path, "a.tsv", "id\ttext\n1\ttwo\\nlines \\\\n\n2\t\\N\n").rows
    assert copied["text"].tolist() == ["two\nlines \\n", ""]
    # No escapes: quotes are doubled, and a folder's name ends with a backslash.
    lines = ["id,text", '1,"C:\\"', '2,"he said ""no"""', "3,C:\\new"]
    rows = read(tmp_path, "b.csv", "\n".join(lines)).rows
    assert rows["text"].tolist() == ["C:\\", 'he said "no"', "C:\\new"]


def test_a_backslash_that_may_be_text_costs_its_row(tmp_path: Path) -> None:
    table = read(tmp_path, "a.csv", 'id,text\n1,a \\"\n2,nice\n')
    assert table.rows["text"].tolist() == ["nice"]
    assert "a backslash before a quotation mark" in table.rejected["reason"].iloc[0]
    # Other quotes say that backslashes mean nothing here.
    table = read(tmp_path, "a.csv", 'id,text\n1,a \\"\n2,a screen of 7"\n')
    assert table.rows["text"].tolist() == ['a \\"', 'a screen of 7"']


def test_quotes_that_do_not_go_around_a_cell_are_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = read(tmp_path, "a.csv", 'text,stars\n"Great" they said,5\n"a, b" c,4\n')
    assert table.rows["text"].tolist() == ['"Great" they said']
    assert "does not go around a whole cell" in table.rejected["reason"].iloc[0]
    assert "first in line 2" in capsys.readouterr().out


def test_numbers_tell_rows_from_a_text_of_several_lines(tmp_path: Path) -> None:
    lines = ["id,text,stars", '1,"ok, nice",5', *(f"{n},good,4" for n in range(2, 9))]
    lines += ['9,"best buy,5', "10,fine,4", '11,a screen of 7",3', "12,good,4"]
    table = read(tmp_path, "a.csv", "\n".join(lines))
    assert len(table.rows) == 12 and table.rejected.empty
    assert table.rows["text"].iloc[8] == '"best buy'


def test_words_for_nothing_are_empty_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = read(tmp_path, "a.csv", "text,brand\nnice,NULL\nnull and void,N/A\nnone,none\n").rows
    assert rows["brand"].tolist() == ["", "", "none"]
    assert rows["text"].tolist() == ["nice", "null and void", "none"]
    assert "NULL says that nothing is there" in capsys.readouterr().out


def test_json_that_says_a_key_twice_costs_its_row(tmp_path: Path) -> None:
    lines = ['{"text": "a", "text": "b"}', '{"a": {"b": 1}, "a.b": 2}', '{"text": "c"}']
    table = read(tmp_path, "a.jsonl", "\n".join(lines))
    assert table.rows["text"].tolist() == ["c"]
    assert table.rejected["reason"].tolist() == [
        "the key 'text' stands twice",
        "the key 'a.b' stands twice",
    ]


def test_json_of_columns_is_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = read(tmp_path, "a.json", json.dumps({"text": ["a", "b"], "stars": [5, 1]})).rows
    assert rows.to_dict("list") == {"text": ["a", "b"], "stars": ["5", "1"]}
    assert "text, stars have 2 values each" in capsys.readouterr().out


def test_json_that_is_cut_off_is_no_single_bad_row(tmp_path: Path) -> None:
    whole = json.dumps([{"text": "nice"}] * 50)
    with pytest.raises(ValueError, match=r"a\.json: not valid JSON: cut off or damaged"):
        read(tmp_path, "a.json", whole[:-30])


def test_json_nested_beyond_reason_is_refused(tmp_path: Path) -> None:
    deep = '{"a":' * 500 + "1" + "}" * 500
    table = read(tmp_path, "a.jsonl", f'{{"text": "x"}}\n{deep}\n')
    assert len(table.rows) == len(table.rejected) == 1


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        (pa.array([4.1, None, 3], pa.float32()), ["4.1", "", "3"]),
        (pa.array([4.1], pa.float16()), ["4.1"]),
        (pa.array([datetime.time(3, 4)], pa.time64("us")), ["03:04:00"]),
        (pa.array([datetime.timedelta(days=3)], pa.duration("us")), ["3 days, 0:00:00"]),
        (pa.array([[datetime.time(3, 4)]]), ['["03:04:00"]']),
    ],
)
def test_odd_types_of_parquet_are_texts(tmp_path: Path, column: pa.Array, cells: list[str]) -> None:
    assert parquet(tmp_path, column).rows["a"].tolist() == cells


@pytest.mark.parametrize(
    "column",
    [
        pa.array([0, -(10**9)], pa.date32()),
        pa.array([0, 10**18], pa.timestamp("us")),
        pa.Array.from_buffers(
            pa.string(),
            2,
            [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"x\xff")],
        ),
    ],
)
def test_values_that_no_text_can_say_cost_their_row(tmp_path: Path, column: pa.Array) -> None:
    table = parquet(tmp_path, column)
    assert len(table.rows) == 1
    assert table.rejected["reason"].tolist() == ["the value of 'a' is damaged or out of range"]


def test_damaged_archives_are_refused_in_words(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", "text,stars\n" + "nice,5\n" * 50)
    whole = stream.getvalue()
    for place in range(len(whole)):
        file = tmp_path / "a.zip"
        file.write_bytes(whole[:place] + b"\xff" + whole[place + 1 :])
        try:
            rows = tables.read(file).rows if tables.is_table(file) else None
        except ValueError as error:
            assert str(file) in str(error)
        else:
            assert rows is None or set(rows["text"]) == {"nice"}


def test_a_file_without_a_name_in_an_archive_is_none(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.csv", "text\nnice\n")
        archive.writestr("b", "")
    # The name's length, in the archive's list.
    content = stream.getvalue()
    place = content.rindex(b"PK\1\2") + 28
    (tmp_path / "a.zip").write_bytes(content[:place] + b"\0\0" + content[place + 2 :])
    tables.is_table(tmp_path / "a.zip")


def test_a_part_of_an_archive_is_refused_in_words(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.csv", "text\nnice\n")
    content = stream.getvalue()
    end = content.rindex(b"PK\5\6")
    # The note of a large archive that has four parts.
    note = b"PK\6\7" + (1).to_bytes(4, "little") + bytes(8) + (4).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(content[:end] + note + content[end:])
    assert not tables.is_table(tmp_path / "a.zip")
    with pytest.raises(ValueError, match=r"a\.zip: a damaged archive"):
        packed.refuse_bomb(tmp_path / "a.zip")


def test_names_of_columns_that_are_lost_stop(tmp_path: Path) -> None:
    good = "très bien,5\n".encode() * 30
    with pytest.raises(ValueError, match=r"a\.csv: characters of the columns' names are lost"):
        read(tmp_path, "a.csv", b"text,st\xff\n" + good)
    with pytest.raises(ValueError, match="names are lost"):
        read(tmp_path, "a.jsonl", '{"te\\ud800xt": "nice"}')


@pytest.mark.parametrize(
    ("language", "encoding"),
    [
        *(("ru", "utf_16_le"), ("ru", "utf_16_be"), ("th", "utf_32_le"), ("uk", "koi8_u")),
        *(("ru", "iso8859_5"), ("tr", "cp857"), ("pl", "mac_latin2"), ("el", "cp737")),
        *(("he", "cp862"), ("ja", "iso2022_jp"), ("ko", "iso2022_kr"), ("zh", "hz")),
    ],
)
def test_encodings_that_were_read_as_others(tmp_path: Path, language: str, encoding: str) -> None:
    """Twelve that gave other letters, or ASCII without the letters, and not a word."""
    lines = [f"{text}\t5" for text in SENTENCES[language] * 3]
    content = "\n".join(["text\tstars", *lines]).encode(encoding)
    assert read(tmp_path, "a.tsv", content).rows["text"].tolist() == SENTENCES[language] * 3


def test_what_looks_like_an_escape_among_other_letters_is_text(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.csv", "text,stars\n很好 ~{QUI+~} 。,5\n").rows
    assert rows["text"].tolist() == ["很好 ~{QUI+~} 。"]


def test_the_euro_tells_encodings_that_differ_in_it(tmp_path: Path) -> None:
    texts = ["Für 12 € super, schöne Farbe", "Größe fällt klein aus, 30 € weg", "Süßer Duft, 5 €"]
    for encoding in ("cp1252", "iso8859_15", "cp858"):
        content = "\n".join(["text;stars", *(f"{text};5" for text in texts)]).encode(encoding)
        assert read(tmp_path, "a.csv", content).rows["text"].tolist() == texts, encoding


def test_one_word_alone_is_no_evidence(tmp_path: Path) -> None:
    for word in ("Naïve café", "naïve", "Škoda"):
        with pytest.raises(ValueError, match="save it as UTF-8"):
            read(tmp_path, "a.csv", f"text,stars\n{word},5\n".encode("cp1252"))


def test_parquet_with_a_name_that_is_no_text_is_refused_in_words(tmp_path: Path) -> None:
    pq.write_table(pa.table({"stars": [5]}), tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes().replace(b"stars", b"\x93tars")
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.parquet: not a Parquet file that can be read"):
        tables.read(tmp_path / "a.parquet")


def test_a_cell_that_holds_a_list_is_its_texts() -> None:
    assert cell_text(["red"]) == "red" and cell_text(("a.jpg",)) == "a.jpg"
    several = cell_text(["Soft cotton.", 'He said "no".'])
    assert texts_of(several) == ["Soft cotton.", 'He said "no".']
    assert texts_of(cell_text([])) == []  # "[]" would be a caption
    for other in ["plain", '["open', "[1, 2]", '["a", 1]', ""]:
        assert texts_of(other) == [other]
