"""JSON in every shape in which programs write rows gives the same rows, or says why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from beauty_models.intake import tables

ROWS: list[dict[str, Any]] = [
    {"text": "it's soft, I love it", "stars": 5},
    {"text": 'the "silk" is polyester', "stars": 1},
    {"text": "很好，颜色美", "stars": 4},
]
FRAME = pd.DataFrame(ROWS)
HITS = [{"_index": "reviews", "_id": str(n), "_source": row} for n, row in enumerate(ROWS)]
MONGO = [{"text": row["text"], "stars": {"$numberInt": str(row["stars"])}} for row in ROWS]

SHAPES = {
    "records": FRAME.to_json(orient="records"),
    "lines": FRAME.to_json(orient="records", lines=True),
    "columns": FRAME.to_json(),
    "index": FRAME.to_json(orient="index"),
    "split": FRAME.to_json(orient="split"),
    "table": FRAME.to_json(orient="table", index=False),
    "list": json.dumps(FRAME.to_dict("list")),
    "by id": json.dumps({f"review-{number}": row for number, row in enumerate(ROWS)}),
    "answer": json.dumps({"status": {"code": 200}, "data": {"page": 1, "items": ROWS}}),
    "Elasticsearch": json.dumps({"took": 3, "hits": {"total": {"value": 3}, "hits": HITS}}),
    "one behind the other": "\n".join(json.dumps(row, indent=2) for row in ROWS),
    "one behind the other, with commas": ",\n".join(json.dumps(row, indent=2) for row in ROWS),
    "mongoexport": "\n".join(map(json.dumps, MONGO)),
    "printed by Python": "".join(f"{row!r}\n" for row in ROWS),
    "a list printed by Python": repr(ROWS),
}


def read(folder: Path, content: str) -> tables.Table:
    file = folder / "reviews.json"
    file.write_text(content, encoding="utf-8")
    return tables.read(file)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_rows(tmp_path: Path, shape: str) -> None:
    rows = read(tmp_path, SHAPES[shape]).rows
    [text] = [name for name in rows if name.rpartition(".")[2] == "text"]
    [stars] = [name for name in rows if name.rpartition(".")[2] == "stars"]
    assert rows[text].tolist() == [row["text"] for row in ROWS]
    assert rows[stars].tolist() == ["5", "1", "4"]


def test_one_nested_row_stays_one(tmp_path: Path) -> None:
    row = {"review": {"id": 1, "text": "soft", "stars": 5}, "product": {"id": 2, "name": "scarf"}}
    rows = read(tmp_path, json.dumps(row)).rows
    assert rows["review.text"].tolist() == ["soft"]
    assert rows["product.name"].tolist() == ["scarf"]


def test_what_is_damaged_is_one_rejected_row(tmp_path: Path) -> None:
    whole = "\n".join(json.dumps(row, indent=2, ensure_ascii=False) for row in ROWS)
    table = read(tmp_path, whole[:-8])
    assert table.rows["stars"].tolist() == ["5", "1"]
    assert len(table.rejected) == 1 and "很好" in table.rejected["text"].iloc[0]


def test_what_python_prints_is_read_and_never_run(tmp_path: Path) -> None:
    trace = tmp_path / "was-run"
    call = f"{{'text': open({str(trace)!r}, 'w'), 'stars': 5}}\n"
    table = read(tmp_path, SHAPES["printed by Python"] + call)
    assert len(table.rows) == 3 and len(table.rejected) == 1
    assert not trace.exists()


def test_several_lists_are_not_chosen_between(tmp_path: Path) -> None:
    content = json.dumps({"data": {"reviews": ROWS, "answers": ROWS}})
    with pytest.raises(ValueError, match=r"data\.reviews, data\.answers are lists of rows"):
        read(tmp_path, content)
