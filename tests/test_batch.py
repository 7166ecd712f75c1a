"""A whole file answered: its own columns as they were, answers beside them, failed rows kept, resumed after a kill."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mini import wait_for

from beauty_models.common import batch

ROOT = Path(__file__).parents[1]


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


def answer(place: Path, out: Path, served: Lengths | None = None) -> dict[str, Any]:
    return batch.answer_file(
        served or Lengths(),
        place,
        out,
        columns={"text": "text"},
        params={},
        prefix="prediction_",
        identity={"input": batch._digest(place)},
    )


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
sys.path.insert(0, "TESTS")
import test_batch
from beauty_models.common import batch
batch.ROWS = 10
class Slow(test_batch.Lengths):
    def predict(self, frame, params=None):
        if Path("parts-done").exists():
            time.sleep(600)
        if frame["text"].iloc[0] == "t50":
            Path("parts-done").write_text("yes")
        return super().predict(frame, params)
test_batch.answer(Path("in.csv"), Path("out.csv"), Slow())
"""


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(batch, "ROWS", 10)
    Path("in.csv").write_text("text\n" + "".join(f"t{number}\n" for number in range(200)))
    run = subprocess.Popen(
        [sys.executable, "-c", SLOW.replace("TESTS", str(ROOT / "tests"))],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for("parts-done")
    finally:
        run.kill()
        run.wait()
    assert not Path("out.csv").exists()
    served = Lengths()
    assert answer(Path("in.csv"), Path("out.csv"), served)["rows"] == 200
    assert 0 < sum(served.asked) <= 150, "what was answered before the kill is not asked again"
    answer(Path("in.csv"), Path("whole.csv"))
    assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes()
    assert not Path(".out.csv.parts").exists()


def test_answers_of_another_input_are_not_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("text\nabc\n")
    yesterday = batch._Parts(out, {"input": "of yesterday"})
    yesterday.keep(0, [{"length": 99, "all": {}, "error": None}])
    answer(source, out)
    assert "beginning anew" in capsys.readouterr().out
    assert out.read_text().splitlines()[1].split(",")[:2] == ["abc", "3"]


def test_pictures_of_a_folder_are_rows_broken_ones_too(tmp_path: Path) -> None:
    from beauty_models.common.served import picture

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
    done = batch.answer_file(
        Sizes(),
        photos,
        tmp_path / "out.tsv",
        columns={},
        params={},
        prefix="prediction_",
        identity={},
    )
    lines = (tmp_path / "out.tsv").read_text().splitlines()
    assert lines[0] == "file\tprediction_width\tprediction_error"
    assert lines[2] == "red/a.png\t40\t" and "b.jpg" in lines[1] and done["failed"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--file", "gone.csv", "--out", "o.csv"], "gone.csv: no such file"),
        (["--file", "in.csv", "--out", "o.xlsx"], "the suffix says the format"),
        (["--file", "in.csv", "--out", "in.csv"], "is the input itself"),
        (["--file", "in.csv", "--out", "there.csv"], "--force replaces it"),
        (
            ["--file", "in.csv", "--out", "o.csv"],
            "no column 'text'; it has sku, body; name one with",
        ),
        (["--file", "in.csv", "--out", "o.csv", "--map", "txt=body"], "the model reads text"),
        (["--file", "in.csv", "--out", "o.csv", "--column", "nope"], "no column 'nope'"),
        (["--file", ".", "--out", "o.csv"], "this family reads texts"),
    ],
)
def test_mistakes_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text("sku,body\n1,nice\n")
    Path("there.csv").write_text("mine")
    with pytest.raises(ValueError, match=message):
        batch.predict_file("sentiment", tmp_path, arguments)
    assert Path("there.csv").read_text() == "mine"
