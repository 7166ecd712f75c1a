"""Labels that contradict their ratings or a two-class reading are told, and stop a wrong one."""

from __future__ import annotations

import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from beauty_models import params
from beauty_models.sentiment import Ingest
from beauty_models.sentiment.data import ingest

FILE = Path(__file__).parents[2] / "params.yaml"


def some(count: int, salt: str = "") -> list[tuple[str, str]]:
    """Return reviews that have nothing in common, every second one positive."""
    reviews = []
    for place in range(count):
        digest = hashlib.sha256(f"{salt}{place}".encode()).digest()
        text = "".join(chr(0x4E00 + byte * 7) for byte in digest[:20])
        reviews.append((text, ["negative", "positive"][place % 2]))
    return reviews


def run(folder: Path, rows: list[tuple[str, ...]], header: str, options: str = "") -> Any:
    """Ingest one table as the pasted ``options`` say; return text → class, and the account."""
    block = params.read(FILE)["sentiment"]
    for option in shlex.split(options):
        if option != "--set":
            key, _, value = option.partition("=")
            family, *steps, last = key.split(".")
            assert family == "sentiment"
            place = block
            for step in steps:
                place = place[step]
            place[last] = yaml.safe_load(value)
    settings: Ingest = params.check("sentiment", block).ingest
    raw = folder / "raw"
    raw.mkdir(exist_ok=True)
    lines = [header, *map(",".join, rows)]
    (raw / "a.csv").write_text("\n".join(lines), encoding="utf-8")
    ingest(raw=raw, data=folder / "data", params=settings)
    classes = json.loads((folder / "data/schema.json").read_text())["classes"]
    found = {}
    for part in ("train", "validation", "test"):
        frame = pd.read_parquet(folder / f"data/{part}.parquet")
        found |= {
            text: classes[label] for text, label in zip(frame["text"], frame["label"], strict=True)
        }
    return found, json.loads((folder / "data/account.json").read_text())


def options_in(message: str) -> str:
    """Return the first options that a message proposes: all up to the first other word."""
    words = shlex.split(message[message.index("--set") :].replace("; or", " ; or"))
    options = []
    for word in words:
        if word != "--set" and "=" not in word:
            break
        options.append(word)
    return shlex.join(options)


@pytest.mark.parametrize(
    ("labels", "negative", "positive"),
    [
        (["-1", "0", "1"], {"-1"}, {"1"}),
        (["0", "1", "2"], {"0"}, {"2"}),
        (["1", "2"], {"1"}, {"2"}),
        (["1", "2", "3", "4", "5"], {"1", "2"}, {"4", "5"}),
    ],
)
def test_numbers_of_another_scale_stop_and_the_pasted_options_read_it(
    tmp_path: Path, labels: list[str], negative: set[str], positive: set[str]
) -> None:
    rows = [(text, labels[place % len(labels)]) for place, (text, _) in enumerate(some(120))]
    with pytest.raises(ValueError, match="is odd on that scale") as stopped:
        run(tmp_path, rows, "text,label")
    found, _ = run(tmp_path, rows, "text,label", options_in(str(stopped.value)))
    for text, label in rows:
        expected = "negative" if label in negative else "positive" if label in positive else None
        assert found.get(text) == expected, label


@pytest.mark.parametrize("labels", [["0", "1"], ["-1", "1"]])
def test_numbers_of_two_classes_are_read(tmp_path: Path, labels: list[str]) -> None:
    rows = [(text, labels[place % 2]) for place, (text, _) in enumerate(some(80))]
    # One stray number is no third class.
    rows.append(("一个错误的标签在这里", "7"))
    found, account = run(tmp_path, rows, "text,label")
    assert [found[text] == "positive" for text, _ in rows[:-1]] == [
        label == "1" for _, label in rows[:-1]
    ]
    assert account["contradicted"] == []


def test_params_may_turn_the_scale_round(tmp_path: Path) -> None:
    rows = [(text, str(place % 2)) for place, (text, _) in enumerate(some(80))]
    options = (
        "--set 'sentiment.ingest.labels.negative=[\"1\"]' "
        "--set 'sentiment.ingest.labels.positive=[\"0\"]'"
    )
    found, account = run(tmp_path, rows, "text,label", options)
    assert all((found[text] == "negative") == (label == "1") for text, label in rows)
    assert account["contradicted"] == []


def test_ratings_that_contradict_labels_are_counted_and_many_stop(tmp_path: Path) -> None:
    stars = {"negative": "1", "positive": "5"}
    rows = [(text, label, stars[label]) for text, label in some(120)]
    rows[10] = (rows[10][0], "positive", "1")
    rows[20] = (rows[20][0], "positive", "1")
    # Three stars mean no class, so they contradict none.
    rows[30] = (rows[30][0], rows[30][1], "3")
    found, account = run(tmp_path, rows, "text,label,stars")
    assert found[rows[10][0]] == "positive"
    [told] = account["contradicted"]
    assert (told["disagree"], told["of"], told["example"]) == (2, 119, "a.csv:12")
    turned = [(text, label, stars[label]) for text, label in some(120)]
    turned[::4] = [(text, label, "1" if star == "5" else "5") for text, label, star in turned[::4]]
    with pytest.raises(ValueError, match=r"in 30 of 120 rows, first in a\.csv:2; .*allows 5%"):
        run(tmp_path, turned, "text,label,stars")
    # The first option takes the ratings' side.
    with pytest.raises(ValueError, match="allows 5%") as stopped:
        run(tmp_path, turned, "text,label,stars")
    found, _ = run(tmp_path, turned, "text,label,stars", options_in(str(stopped.value)))
    assert all(
        found[text] == ("positive" if star == "5" else "negative") for text, _, star in turned
    )
    # The last one the labels'.
    last = str(stopped.value).rpartition("with ")[2]
    found, _ = run(tmp_path, turned, "text,label,stars", last)
    assert all(found[text] == label for text, label, _ in turned)


def test_scores_from_0_to_1_are_no_stars(tmp_path: Path) -> None:
    rows = [(text, "1" if label == "positive" else "0") for text, label in some(80)]
    with pytest.raises(ValueError, match="a.csv: its 80 ratings go from 0 to 1") as stopped:
        run(tmp_path, rows, "text,score")
    found, _ = run(tmp_path, rows, "text,score", options_in(str(stopped.value)))
    assert all((found[text] == "positive") == (score == "1") for text, score in rows)


def test_a_small_file_of_ten_points_beside_a_large_one_of_stars_stops(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    stars = [f"{text},{'5' if label == 'positive' else '1'}" for text, label in some(900)]
    (raw / "a.csv").write_text("\n".join(["text,rating", *stars]), encoding="utf-8")
    points = [f"{text},{4 + place % 5}" for place, (text, _) in enumerate(some(10, "points"))]
    (raw / "b.csv").write_text("\n".join(["text,rating", *points]), encoding="utf-8")
    settings = params.load("sentiment", FILE).ingest
    with pytest.raises(ValueError, match=r"b\.csv: 6 of 10 ratings are above 5, up to 8"):
        ingest(raw=raw, data=tmp_path / "data", params=settings)
