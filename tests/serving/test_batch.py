"""A whole file answered: its columns as they were, answers beside them, resumed after a kill."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mini import wait_for

from beauty_models.intake import tables
from beauty_models.serving import answers, batch, json_items
from beauty_models.serving.readers import open_source

ROOT = Path(__file__).parents[2]
HERE = str(Path(__file__).parent)


class Lengths:
    """A model that says how long a text is, and refuses an empty one."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        self.asked.append(len(frame))
        texts = ["" if pd.isna(cell) else str(cell) for cell in frame["text"]]
        rows = [
            [len(text) or None, {"n": len(text)}, None if text else "no text"] for text in texts
        ]
        return pd.DataFrame(rows, columns=["length", "all", "error"], dtype=object)


def answer(
    place: Path, out: Path, served: Any = None, names: tuple[str, ...] = ("length", "all")
) -> dict[str, Any]:
    source = open_source(place, out)
    columns = {} if place.is_dir() else {"text": "text"}
    predictor = answers.RowPredictor(served or Lengths(), names, columns, {}, place)
    identity = {"input": batch.digest(place)}
    summary = answers.answer_file(predictor, source, out, prefix="prediction_", identity=identity)
    return dict(summary)


def test_csv_keeps_every_cell_as_it_was(tmp_path: Path) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(
        'sku,text,price,when\n007,"nice, ""really""",91.90,03/04/2025\n008,,NULL,\n009,short\n'
        "010,two,1,2,three\n",
        encoding="utf-8",
    )
    done = answer(source, out)
    assert (done["rows"], done["answered"], done["failed"]) == (4, 1, 3)
    rows = list(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))
    assert [row["sku"] for row in rows] == ["007", "008", "009", "010"]
    first, empty, ragged, long = rows
    assert (first["text"], first["price"], first["when"]) == (
        'nice, "really"',
        "91.90",
        "03/04/2025",
    )
    assert (first["prediction_length"], first["prediction_error"]) == ("14", "")
    assert json.loads(first["prediction_all"]) == {"n": 14}
    assert (empty["price"], empty["prediction_error"]) == ("NULL", "no text")
    assert ragged["prediction_error"] == "2 cells where the header has 4"
    assert ragged["prediction_length"] == "" and "three" in long["prediction_error"]


@pytest.mark.parametrize("name", ["in.zip", "in.csv.zst", "in.csv.bz2", "in.txt"])
def test_what_training_reads_is_answered_too(tmp_path: Path, name: str) -> None:
    source, out = tmp_path / name, tmp_path / "out.csv"
    rows = [("sku", "text"), ("007", "nice, really"), ("008", "short")]
    commas = "\n".join(f'{sku},"{text}"' for sku, text in rows)
    if name.endswith(".zip"):
        with zipfile.ZipFile(source, "w") as archive:
            archive.writestr("reviews.csv", commas + "\n009\n")
    elif name.endswith(".txt"):
        # As Excel saves "Unicode Text".
        tabs = "\r\n".join(map("\t".join, rows))
        source.write_text(tabs + "\r\n009\r\n", encoding="utf-16")
    else:
        codec = "zstd" if name.endswith("zst") else "bz2"
        with pa.output_stream(str(source), compression=codec) as stream:
            stream.write(f"{commas}\n009\n".encode())
    done = answer(source, out)
    assert (done["rows"], done["answered"], done["failed"]) == (3, 2, 1)
    answers_ = list(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))
    assert [row["sku"] for row in answers_] == ["007", "008", "009"]
    assert answers_[0]["prediction_length"] == "12"
    assert "1 cells where the header has 2" in answers_[2]["prediction_error"]


TRICKY = [
    "sku;text;note;price",
    '00123;"first line\nsecond; ""quoted""";NA;91,90',
    '"00124";a;;"12"',
    '00125;b;"";1e5',
    "00126; c ;null;+1",
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [";", "\t", ","])
def test_rows_of_text_stand_in_the_answer_character_by_character(
    tmp_path: Path, encoding: str, ending: str, mark: str
) -> None:
    """Quotes, empty and missing cells, spaces, numbers and line ends stay, in UTF-8."""
    lines = [line.replace(",", ".").replace(";", mark) for line in TRICKY]
    lines += [f"{number}{mark}这个口红颜色很好看，推荐购买{mark}{mark}" for number in range(40)]
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes((ending.join(lines) + ending).encode(encoding))
    assert answer(source, out)["answered"] == len(lines) - 1
    content = out.read_bytes().decode("utf-8")
    assert content.startswith("\ufeff") == (encoding in ("utf-8-sig", "utf-16"))
    rest = content.removeprefix("\ufeff")
    for line in lines:
        assert rest.startswith(line + mark)
        said, _, rest = rest[len(line) + 1 :].partition(ending)
        assert said.count(mark) >= 2
    assert rest == ""
    shown = list(csv.DictReader(io.StringIO(content.removeprefix("\ufeff")), delimiter=mark))
    assert [shown[0]["sku"], shown[0]["note"], shown[3]["text"]] == ["00123", "NA", " c "]
    assert shown[2]["prediction_length"] == "1" and shown[-1]["prediction_error"] == ""


def test_text_that_is_damaged_costs_its_own_rows_only(tmp_path: Path) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    lines = ["sku,text", '1,"cut', "2,fine", '3,"also', "fine", '"']
    source.write_bytes(
        "\n".join(lines).encode() + b"\n4,b\xffd\n" + 9 * b"5,\xe5\xa5\xbd\n" + b'6,"end\n'
    )
    done = answer(source, out)
    rows = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8"))))
    assert [row["sku"] for row in rows] == ["1", "2", "3", "4", *["5"] * 9, "6"]
    whole = ["2", "3", *["5"] * 9]
    assert [row["sku"] for row in rows if not row["prediction_error"]] == whole
    assert done["failed"] == 3 and done["reasons"] == [
        "a quote that is not closed",
        "characters that are lost: bytes that do not fit utf-8",
    ]
    assert rows[3]["text"] == "b\ufffdd" and rows[0]["text"] == '"cut'


def test_quotes_within_a_cell_are_a_part_of_its_text_as_in_training(tmp_path: Path) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    lines = ["sku,text", '1,"Great" they said', '2,"Great" they said, twice', "3,fine"]
    source.write_text("\n".join(lines) + "\n")
    done = answer(source, out)
    [reason] = done["reasons"]
    assert reason.startswith("a quote that does not go around a whole cell")
    written = out.read_text().splitlines()
    assert written[1].startswith(lines[1] + ",")
    assert written[2].startswith('2,"""Great"" they said"')
    header = written[0].split(",")
    assert written[1].split(",")[header.index("prediction_length")] == "17"
    read = tables.read(source)
    assert read.rows["text"].tolist() == ['"Great" they said', "fine"]
    assert len(read.rejected) == 1


def test_one_column_alone_and_empty_rows_stay(tmp_path: Path) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text('text\nnice, really\n""\n\nlast')
    assert answer(source, out)["rows"] == 3
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [row["text"] for row in rows] == ["nice, really", "", "last"]
    source.write_text("sku,text\n,\n1,a\n")
    assert answer(source, tmp_path / "two.csv")["rows"] == 2


def test_json_lines_stay_as_written_and_become_typed_columns(tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    lines = [
        '{"text": "ab", "price": 91.90, "big": 12345678901234567890123, "n": 1, "ok": true}',
        '{"text":"\\ud800","price":1e2,"none":null}',
        '{"text": ["a"], "n": 2, "deep": {"x": 1.50}}',
        '{"n": 3 }',
        "{}",
    ]
    source.write_text("\n".join(lines) + "\n")
    assert answer(source, out)["failed"] == 4
    after = out.read_text().splitlines()
    for before, line in zip(lines, after, strict=True):
        assert line.startswith(before[:-1].rstrip())
        assert list(json.loads(line)) == [
            *json.loads(before),
            *("prediction_length", "prediction_all", "prediction_error"),
        ]
    answer(source, tmp_path / "out.csv")
    first, second, third, *_ = csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text()))
    assert (first["price"], first["big"], first["ok"]) == (
        "91.90",
        "12345678901234567890123",
        "true",
    )
    assert second["text"] == "\ufffd" and "lost" in second["prediction_error"]
    assert third["deep"] == '{"x": 1.5}' and "not one value" in third["prediction_error"]
    answer(source, tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    kinds = {name: str(table.schema.field(name).type) for name in ("price", "big", "n", "ok")}
    assert kinds == {"price": "double", "big": "string", "n": "int64", "ok": "bool"}
    assert table["n"].to_pylist() == [1, None, 2, 3, None]


def test_parquet_bytes_are_texts_and_small_floats_stay_short(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": pa.array([b"\xe5\xa5\xbd", b"\xff"], pa.binary()),
            "price": pa.array([91.9, None], pa.float32()),
            "at": pa.array([1, 2], pa.timestamp("ns")),
            "kind": pa.array(["x", "y"]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    answer(tmp_path / "in.parquet", tmp_path / "out.parquet")
    back = pq.read_table(tmp_path / "out.parquet")
    assert back.select(table.column_names).equals(table)
    assert back["prediction_length"].to_pylist()[0] == "1", "of the text, not of Python's b''"
    answer(tmp_path / "in.parquet", tmp_path / "out.csv")
    first, second = csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text()))
    assert (first["text"], first["price"], second["text"]) == ("好", "91.9", "/w==")


LONG = """
import resource, sys
sys.path[:0] = ["TESTS", "TESTS/.."]
import test_batch
from pathlib import Path
test_batch.answer(Path(sys.argv[1]), Path(sys.argv[1] + ".out" + sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


PRETTY = """[
  {
    "text": "a\\nb",
    "price": 91.90,
    "deep": {"x": [1, 2.50]}
  },
  {"n": 12345678901234567890123}, 3,
  {"text": "\u597d]}", "\u4ef7": null}
]
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("block", [1, 7, 1 << 16])
def test_a_json_array_is_read_item_by_item_and_written_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, block: int
) -> None:
    monkeypatch.setattr(json_items, "BLOCK", block)
    source, out = tmp_path / "in.json", tmp_path / "out.json"
    source.write_bytes(PRETTY.encode(encoding))
    done = answer(source, out)
    assert (done["rows"], done["answered"], done["failed"]) == (4, 2, 2)
    lines = out.read_text(encoding="utf-8").splitlines()
    assert (lines[0], lines[-1]) == ("[", "]") and len(lines) == 6
    # numbers as they were written, a row on each line
    assert lines[1].startswith('{ "text": "a\\nb", "price": 91.90, "deep": {"x": [1, 2.50]}, "pred')
    assert lines[2].startswith('{"n": 12345678901234567890123, "prediction_length"')
    rows = json.loads(out.read_text(encoding="utf-8"))
    assert rows[2]["line"] == "3" and rows[2]["prediction_error"] == "not a JSON object"
    assert [row["prediction_length"] for row in rows] == [3, None, None, 3]
    answer(source, tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet")["price"].to_pylist() == [91.9, *[None] * 3]


def test_what_pandas_writes_is_read_and_pandas_reads_the_answers(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": ["one", "two, too", "三"], "n": [1, 2, 3]})
    frame.to_json(tmp_path / "a.json", orient="records")
    frame.to_json(tmp_path / "b.json", orient="records", lines=True)
    frame.to_json(tmp_path / "c.jsonl.gz", orient="records", lines=True)
    frame.to_json(tmp_path / "d.json.gz", orient="records", force_ascii=False)
    frame.to_csv(tmp_path / "e.csv.gz", index=False)
    frame.to_csv(tmp_path / "f.TSV.GZ", index=False, sep="\t", compression="gzip")
    read = {
        ".json": pd.read_json,
        ".jsonl": lambda file: pd.read_json(file, lines=True),
        ".csv": pd.read_csv,
        ".tsv": lambda file: pd.read_csv(file, sep="\t"),
    }
    for name in ("a.json", "b.json", "c.jsonl.gz", "d.json.gz", "e.csv.gz", "f.TSV.GZ"):
        for kind, reader in read.items():
            for packed in ("", ".gz"):
                out = tmp_path / f"{name}-out{kind}{packed}"
                assert answer(tmp_path / name, out)["answered"] == 3
                is_lines = name == "b.json" and kind == ".json"  # then so is what is made of it
                back = read[".jsonl"](out) if is_lines else reader(out)
                assert back[["text", "n"]].equals(frame), out.name
                assert list(back["prediction_length"]) == [3, 8, 1]


def test_compressed_answers_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    source = tmp_path / "in.csv.gz"
    source.write_bytes(gzip.compress(b"text\na\n") + gzip.compress(b"b\n"))  # two members, one file
    for name in ("a.csv.gz", "b.csv.gz"):
        assert answer(source, tmp_path / name)["rows"] == 2
    packed = (tmp_path / "a.csv.gz").read_bytes()
    assert packed == (tmp_path / "b.csv.gz").read_bytes(), "neither a name nor a time within"
    assert gzip.decompress(packed).decode().startswith("text,prediction_length")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"text": "a"}, {"text": ', "not a JSON array at character 26: Expecting value"),
        ('[{"text": "a"} {"text": "b"}]', "at character 16: ']' is missing"),
        ('[{"text": "a"},]', "at character 16: Expecting value"),
        ('[{"text": "a', "at character 11: Unterminated string"),
        ('[{"text": "a"}', "it is cut off"),
        ('[{"text": "a"}]\n{}', "something stands behind the array"),
        ("[" * 100_000, "not a JSON array at character"),
        ('[{"text": ' + "9" * 5000 + "}]", "not a JSON array at character 2"),
        ('{"text": {"0": "a"}, "n": {"0": 1}}', "neither an array of objects nor an object a line"),
        ('{"columns": ["text"], "data": [["a"]]}', "neither an array of objects"),
        ('{\n "text": "a"\n}', "neither an array of objects"),
        ("[]", "no rows in it"),
    ],
)
def test_json_without_rows_is_refused_with_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.json").write_text(content)
    with pytest.raises(ValueError, match=rf"in\.json: .*{re.escape(message)}"):
        batch.predict_file("sentiment", tmp_path, ["--file", "in.json", "--out", "out.json"])
    assert not list(Path().glob(".*.parts"))


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json", ".csv.gz", ".parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, suffix: str) -> None:
    """Twenty thousand rows of 80 MB take about what a hundred take."""

    def peak(count: int) -> int:
        table = pd.DataFrame(
            {"sku": range(count), "text": [f"{n} " + "x" * 4000 for n in range(count)]}
        )
        file = tmp_path / f"{count}{suffix}"
        if suffix == ".parquet":
            table.to_parquet(file, row_group_size=1000)
        elif suffix.startswith(".csv"):
            table.to_csv(file, index=False)
        else:
            table.to_json(file, orient="records", lines=suffix == ".jsonl")
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                LONG.replace("TESTS", HERE),
                str(file),
                suffix,
            ],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return int(done.stdout.splitlines()[-1])

    assert peak(20_000) < peak(100) + 60, "MB"


def test_parquet_keeps_types_and_jsonl_nesting(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": pa.array(["a", None]),
            "price": pa.array([Decimal("91.90"), None], pa.decimal128(10, 2)),
            "tags": pa.array([["x"], []], pa.list_(pa.string())),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    answer(tmp_path / "in.parquet", tmp_path / "out.parquet")
    back = pq.read_table(tmp_path / "out.parquet")
    assert back.select(table.column_names).equals(table)
    assert back["prediction_error"].to_pylist() == [None, "no text"]
    answer(tmp_path / "in.parquet", tmp_path / "out.jsonl")
    first = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])
    assert (first["tags"], first["price"], first["prediction_all"]) == (["x"], "91.90", {"n": 1})
    (tmp_path / "in.jsonl").write_text('{"text": "ab", "deep": {"a": [1]}}\nbroken\n')
    done = answer(tmp_path / "in.jsonl", tmp_path / "back.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "back.jsonl").read_text().splitlines()]
    assert rows[0]["deep"] == {"a": [1]} and rows[1]["line"] == "broken"
    assert rows[1]["prediction_error"] == "not a JSON object" and done["failed"] == 1


SLOW = """
import sys, time
from pathlib import Path
sys.path[:0] = ["TESTS", "TESTS/.."]
import test_batch
from beauty_models.serving import answers
answers.CHUNK_ROWS = 10
class Slow(test_batch.Lengths):
    def predict(self, frame, params=None):
        if Path("parts-done").exists():
            time.sleep(600)
        if frame["text"].iloc[0] == "t50":
            Path("parts-done").write_text("yes")
        return super().predict(frame, params)
test_batch.answer(Path(sys.argv[1]), Path(sys.argv[2]), Slow())
"""


@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl.gz"])
def test_a_killed_run_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(answers, "CHUNK_ROWS", 10)
    source, out = Path(f"in{suffix}"), Path(f"out{suffix}")
    table = pd.DataFrame({"text": [f"t{number}" for number in range(200)]})
    if suffix == ".csv":
        table.to_csv(source, index=False)
    else:
        table.to_json(source, orient="records", lines=suffix != ".json")
    run = subprocess.Popen(
        [sys.executable, "-c", SLOW.replace("TESTS", HERE), source, out],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for("parts-done")
    finally:
        run.kill()
        run.wait()
    assert not out.exists()
    served = Lengths()
    assert answer(source, out, served)["rows"] == 200
    assert 0 < sum(served.asked) <= 150, "what was answered before the kill is not asked again"
    whole = Path(f"whole{suffix}")
    answer(source, whole)
    assert out.read_bytes() == whole.read_bytes()
    assert not answers.parts_folder(out).exists()


def test_answers_of_another_input_are_not_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("text\nabc\n")
    yesterday = answers.PartFiles(out, {"input": "of yesterday"})
    yesterday.file(0).write_text("xyz,99,{},\n")
    yesterday.note(0, [{"error": None}])
    answer(source, out)
    assert "beginning anew" in capsys.readouterr().out
    assert out.read_text().splitlines()[1].split(",")[:2] == ["abc", "3"]


def test_pictures_of_a_folder_are_rows_broken_ones_too(tmp_path: Path) -> None:
    from beauty_models.serving.frames import picture

    class Sizes:
        def predict(self, frame: pd.DataFrame, params: Any = None) -> pd.DataFrame:
            rows: list[list[Any]] = []
            for cell in frame["image"]:
                try:
                    rows.append([picture(cell).width, None])
                except ValueError as error:
                    rows.append([None, str(error)])
            return pd.DataFrame(rows, columns=["width", "error"], dtype=object)

    from PIL import Image

    photos = tmp_path / "photos"
    (photos / "red").mkdir(parents=True)
    Image.new("RGB", (40, 30)).save(photos / "red/a.png")
    (photos / "b.jpg").write_bytes(b"no picture")
    (photos / ".hidden").write_bytes(b"x")
    done = answer(photos, tmp_path / "out.tsv", Sizes(), ("width",))
    lines = (tmp_path / "out.tsv").read_text().splitlines()
    assert lines[0] == "file\tprediction_width\tprediction_error"
    assert lines[2] == "red/a.png\t40\t" and "b.jpg" in lines[1] and done["failed"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--file", "gone.csv", "--out", "o.csv"], "gone.csv: no such file"),
        (["--file", "in.csv", "--out", "o.xlsx"], "the suffix says the format"),
        (["--file", "in.csv", "--out", "in.csv"], "is the input itself"),
        (["--file", "in.csv", "--out", "there.csv"], "or --force, which replaces it"),
        (
            ["--file", "in.csv", "--out", "o.csv"],
            "no column 'text'; it has sku, body; name one with",
        ),
        (["--file", "in.csv", "--out", "o.csv", "--map", "txt=body"], "the model reads text"),
        (["--file", "in.csv", "--out", "o.csv", "--column", "nope"], "no column 'nope'"),
        (["--file", ".", "--out", "o.csv"], "this family reads texts; give a table: .csv"),
        (["--file", "in.csv", "--out", "o.csv", "--map", "text"], "needs FIELD=COLUMN"),
        (["--file", "in.csv", "--out", "folder.csv"], "is a folder; give the name of a file"),
        (["--file", "empty.csv", "--out", "o.csv"], "empty.csv: the file is empty; was the"),
        (["--file", "header.csv", "--out", "o.csv"], "no rows in it; was the download cut off"),
        (["--file", "twice.csv", "--out", "o.csv"], "the column 'text' is there twice; rename one"),
        (
            ["--file", "mine.csv", "--out", "o.csv"],
            "has a column 'prediction_error' already.*--prefix",
        ),
        (["--file", "list.txt", "--out", "o.csv"], "give .csv, .tsv, .jsonl"),
        (["--file", "in.csv.zip", "--out", "o.csv"], "all but .parquet also with .gz behind; or"),
        (["--file", "in.csv", "--out", "o.parquet.gz"], "ends in .csv.*.json, .parquet; all but"),
        (["--file", "cut.csv.gz", "--out", "o.csv"], "cut.csv.gz: not gzip that can be read"),
        (["--file", "plain.csv.gz", "--out", "o.csv"], "plain.csv.gz: not gzip that can be read"),
        (["--file", "bad.parquet", "--out", "o.csv"], "not a Parquet file that can be read"),
        (["--file", "two.csv", "--out", "o.csv"], "'Text' or 'TEXT'\\? Say which with --map text="),
    ],
)
def test_mistakes_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text("sku,body\n1,nice\n")
    Path("there.csv").write_text("mine")
    Path("folder.csv").mkdir()
    Path("empty.csv").touch()
    Path("header.csv").write_text("sku,text\n")
    Path("twice.csv").write_text("text,text\na,b\n")
    Path("mine.csv").write_text("text,prediction_error\na,b\n")
    Path("two.csv").write_text("Text,TEXT\na,b\n")
    Path("list.txt").write_text("a")
    Path("in.csv.zip").write_bytes(b"PK")
    Path("cut.csv.gz").write_bytes(gzip.compress(b"text\nnice\n")[:-9])
    Path("plain.csv.gz").write_bytes(b"text\nnice\n")
    Path("bad.parquet").write_text("PAR1")
    with pytest.raises(ValueError, match=message):
        batch.predict_file("sentiment", tmp_path, arguments)
    assert Path("there.csv").read_text() == "mine"
    assert not list(Path().glob(".*.parts")), "a mistake leaves nothing behind"
