"""A model folder answers: a text, a table's columns into several languages, hostile cells."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from word_by_word import UNITS

from beauty_models.params import Scratch
from beauty_models.serving.batch import predict_file
from beauty_models.translate import bases
from beauty_models.translate.directions import Choice, Directions
from beauty_models.translate.glossary import Glossary, Term
from beauty_models.translate.memory import TranslationMemory
from beauty_models.translate.methods import METHODS
from beauty_models.translate.predict import predict
from beauty_models.translate.serving import (
    ANSWERS,
    PARAMS,
    Served,
    listed,
    parser,
    read_glossary,
    table_shape,
)

LANGUAGES = ("en", "de", "zh-CN")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a model of random weights, whose memory knows a few texts."""
    path = tmp_path_factory.mktemp("translator")
    torch.manual_seed(1)
    texts = [text for name in LANGUAGES for text in UNITS[name] if isinstance(text, str)]
    shape = Scratch(layers=1, hidden=16, heads=2, vocabulary=350)
    bases.scratch(texts * 3, LANGUAGES, shape).save(path)
    TranslationMemory(UNITS, Glossary((Term("Ruby"),))).save(path)
    chrf = {name: 50.0 + 9 * (name == "memory") for name in METHODS}
    choices = {("en", "de"): Choice("model", chrf, 7), ("en", "zh-CN"): Choice("memory", chrf, 7)}
    Directions(choices, dict.fromkeys(METHODS, 0.5)).save(path)
    return path


@pytest.fixture(scope="module")
def served(folder: Path) -> Served:
    return Served(folder)


def table(folder: Path, rows: Sequence[Sequence[str]], name: str = "in.csv") -> Path:
    file = folder / name
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return file


def test_one_text_into_two_languages(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--text", "Matte lipstick", "--text", "Ruby lipstick {size}", "--to", "de,zh-CN"]
    rows = predict(model=folder, arguments=arguments)
    assert [(row["text"], row["to"]) for row in rows] == [
        ("Matte lipstick", "de"),
        ("Matte lipstick", "zh-CN"),
        ("Ruby lipstick {size}", "de"),
        ("Ruby lipstick {size}", "zh-CN"),
    ]
    assert rows[0]["translation"] == "Matter Lippenstift" and rows[0]["look"] is None
    written = rows[2]["translation"]
    assert written.count("{size}") == 1 and written.count("Ruby") == 1
    assert rows[2]["method"] == "model" and 0 <= rows[2]["confidence"] <= 1
    # the nearest text has neither brand nor placeholder
    assert rows[3]["method"] in ("model", "dictionary")
    assert "lost" not in (rows[3]["look"] or "")
    assert rows[3]["translation"].count("{size}") == 1
    assert "en to zh-CN is served by its nearest known text" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", "Matte", "--to", "ko"], "'ko': not a language of this model, which knows en"),
        (["--text", " ", "--to", "de"], "no text"),
        (["--text", "Matte", "--to", ","], "--to: give one or several"),
        (["--text", "أحمر", "--to", "de"], "in none of the model's languages"),
        (["--text", "a", "--to", "de", "--glossary", "/nowhere.csv"], "no such file"),
    ],
)
def test_what_is_not_answered_says_why(folder: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        predict(model=folder, arguments=arguments)


def test_columns_of_a_file_into_several_languages(folder: Path, tmp_path: Path) -> None:
    file = table(
        tmp_path,
        [
            ["sku", "Title", "description"],
            ["1", "Matte lipstick", "Serum 70 ml"],
            ["2", "", ""],
            ["3", "Satin lipstick", ""],
        ],
    )
    out = tmp_path / "out.csv"
    arguments = ["--file", str(file), "--columns", "Title,description", "--to", "de,zh-CN"]
    summary = predict_file("translate", folder, [*arguments, "--from", "en", "--out", str(out)])
    assert (summary["rows"], summary["failed"], summary["reasons"]) == (3, 1, ["no text"])
    rows = pd.read_csv(out, dtype=str, keep_default_na=False).to_dict("records")
    assert rows[0]["prediction_Title_de"] == "Matter Lippenstift"
    assert rows[0]["prediction_description_zh-CN"] == "精华液 70 ml"
    assert rows[0]["prediction_description_de_method"] == "memory, exact"
    assert rows[1]["prediction_error"] == "no text" and rows[1]["prediction_Title_de"] == ""
    assert rows[2]["prediction_Title_zh-CN"] == "缎光口红"
    assert rows[2]["prediction_description_de"] == "" and rows[2]["prediction_error"] == ""
    with pytest.raises(ValueError, match="no column 'name'.* it has sku, Title, description"):
        predict_file("translate", folder, ["--file", str(file), "--columns", "name", "--to", "de"])
    with pytest.raises(ValueError, match="--to: give one or several"):
        predict_file("translate", folder, ["--file", str(file), "--column", "Title"])


def test_a_glossary_that_changed_begins_anew(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [["text"], *([f"Matte brush number {n}"] for n in range(600))]
    file = table(tmp_path, rows)
    glossary = table(tmp_path, [["en", "de"], ["brush", "Quaste"]], "terms.csv")
    out = tmp_path / "out.csv"
    arguments = ["--file", str(file), "--to", "de", "--from", "en", "--out", str(out)]
    arguments += ["--glossary", str(glossary)]

    def killed(times: int) -> None:
        """Let the model answer ``times`` chunks, then fail as a kill would end it."""
        real = Served.predict
        left = [times]

        def failing(self: Served, *given: Any) -> pd.DataFrame:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return real(self, *given)

        with monkeypatch.context() as patch:
            patch.setattr(Served, "predict", failing)
            with pytest.raises(KeyboardInterrupt):
                predict_file("translate", folder, arguments)

    killed(1)
    table(tmp_path, [["en", "de"], ["brush", "Bürste"]], "terms.csv")
    predict_file("translate", folder, arguments)
    answers = pd.read_csv(out)["prediction_translation"]
    assert answers.str.contains("Bürste").all() and not answers.str.contains("Quaste").any()


def test_a_killed_run_goes_on_with_the_same_bytes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [["text"], *([f"Soft brush, {'very ' * (n % 7)}soft"] for n in range(520))]
    arguments = ["--file", str(table(tmp_path, rows)), "--to", "de", "--from", "en", "--out"]
    predict_file("translate", folder, [*arguments, str(tmp_path / "whole.csv")])
    real = Served.predict
    asked: list[int] = []

    def failing(self: Served, frame: pd.DataFrame, params: Any) -> pd.DataFrame:
        asked.append(len(frame))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return real(self, frame, params)

    monkeypatch.setattr(Served, "predict", failing)
    with pytest.raises(KeyboardInterrupt):
        predict_file("translate", folder, [*arguments, str(tmp_path / "killed.csv")])
    predict_file("translate", folder, [*arguments, str(tmp_path / "killed.csv")])
    assert asked == [256, 256, 256, 8], "what was answered is not asked again"
    assert (tmp_path / "killed.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_frame_of_mlflow(served: Served) -> None:
    frame = pd.DataFrame({"text": ["Matte lipstick", None, "губная помада"]}, index=[7, 8, 9])
    answers = served.predict(frame, {"to": "de"})
    assert list(answers.columns) == [*ANSWERS, "error"] and list(answers.index) == [7, 8, 9]
    assert answers["translation"][7] == "Matter Lippenstift" and answers["error"][7] is None
    assert answers["error"][8] == "no text" and answers["translation"][8] is None
    assert "in none of the model's languages" in answers["error"][9]
    with pytest.raises(ValueError, match="--to: give one"):
        served.predict(frame)
    with pytest.raises(ValueError, match="no column 'title'"):
        served.predict(frame, {"to": "de", "columns": "title"})


HOSTILE = [
    "💄✨ 💋",
    "Matte\u200blip\u200dstick\ufeff",
    "\x00\x07control\x1b[31m",
    "\u202eright to left\u202c אדום lipstick",
    "<0> and <31> of a text itself",
    "</s> <pad> __de__",
    "{n, plural, one {# item} other {# items}}",
    "a" * 100_000,
    "word " * 20_000,
    "Matte " + " ".join(str(number) for number in range(40)),
    "\ud800 lost",
    "=HYPERLINK(1)",
    "哑光 matte 마트 ﾏｯﾄ",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_are_translated_or_say_why(served: Served, text: str) -> None:
    frame = pd.DataFrame({"text": [text, "Matte lipstick"]}, dtype=object)
    answers = served.predict(frame, {"to": "de", "from": "en"})
    assert (answers["translation"][0] is None) == (answers["error"][0] is not None)
    assert answers["translation"][1] == "Matter Lippenstift", (
        "its neighbour is answered all the same"
    )
    if "<31>" in text:
        assert "<0>" in answers["translation"][0] and "<31>" in answers["translation"][0]


def test_the_shape_of_a_table_follows_what_is_asked() -> None:
    assert table_shape(PARAMS | {"to": "de"}) == ({"text": True}, ANSWERS)
    columns, answers = table_shape(PARAMS | {"to": "de, ja", "columns": "title"})
    assert columns == {"title": True}
    assert answers[:4] == ("title_de", "title_de_method", "title_de_confidence", "title_de_look")
    assert answers[4] == "title_ja"
    assert listed(" a,b,,a ", "to") == ["a", "b"]


def test_a_glossary_that_is_ambiguous_is_told_or_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "terms.csv"

    def read(text: str) -> Glossary:
        file.write_text(text, encoding="utf-8")
        return read_glossary(str(file), ("en", "de"))

    twice = read("en,de\nred,rot\nred,blau\n")
    assert twice.into("en", "de").terms[0].translations == (("en", "red"), ("de", "rot"))
    assert "'red' is 'rot' and 'blau' in de; the first is taken" in capsys.readouterr().out
    synonyms = read("en,de\nblanket,Decke\nthrow,Decke\n")
    assert {entry.text for entry in synonyms.into("en", "de").terms} == {"blanket", "throw"}
    assert read("brand,note\nVeloria,ours\n").terms == (Term("Veloria"),)
    for header in ("term,translation", "en,it"):
        with pytest.raises(ValueError, match="fewer than two are called as languages"):
            read(f"{header}\nred,rot\n")


def test_a_language_twice_and_an_impossible_search_are_refused(served: Served) -> None:
    with pytest.raises(ValueError, match="--to de, DE: two of them are one language"):
        served.predict(pd.DataFrame({"text": ["Matte lipstick"]}), {"to": "de,DE", "from": "en"})
    with pytest.raises(SystemExit):
        parser().parse_args(["--text", "red", "--to", "de", "--beams", "-1"])
