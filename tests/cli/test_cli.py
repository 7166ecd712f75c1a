"""The `beauty` command: what it prints where, what it does to params.yaml, and a whole run."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from command import beauty, printed_by
from flow_runs import last_story
from mini import dvc

from beauty_models import families, params
from beauty_models.sentiment import starter
from beauty_models.serving import batch
from cli import edit
from flows import words

ROOT = Path(__file__).parents[2]


def answer(*arguments: str) -> Any:
    return json.loads(beauty(*arguments, "--json").stdout)


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a copy of what params.yaml and dvc.yaml stand for the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in ("params.yaml", "dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, name)
    for name in ("profiles", "beauty_models"):
        shutil.copytree(ROOT / name, name, ignore=shutil.ignore_patterns("__pycache__"))
    Path(".dvc").mkdir()
    shutil.copy(ROOT / ".dvc/config", ".dvc/config")
    for command in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=x", "-c", "user.email=x@y", "commit", "-qm", "start"],
    ):
        subprocess.run(["git", *command], check=True)
    return tmp_path


def test_help_imports_nothing_heavy() -> None:
    heavy = {"prefect", "mlflow", "dvc", "boto3", "pandas", "torch", "pydantic"}
    code = f"import sys, cli.main; print(sorted({heavy} & set(sys.modules)))"
    assert printed_by(code) == "[]\n"
    commands = {"retrain", "fetch", "why", "models", "evaluate", "predict", "rollback"}
    assert all(command in beauty("--help", NO_COLOR="1").stdout for command in commands)
    for command in commands:
        assert "--json" in beauty(command, "--help", NO_COLOR="1").stdout


def test_errors_are_one_line_and_standard_output_stays_empty(copy: Path) -> None:
    for arguments in (
        ["rollback", "sentiment"],
        ["predict", "sentiment", "--text", "x"],
        ["evaluate", "sentiment", "--source", "x"],
    ):
        done = beauty(*arguments, "--json", code=1)
        assert (
            done.stdout == ""
            and done.stderr.startswith("error: sentiment: ")
            and done.stderr.count("\n") == 1
        )
    assert (
        f"no block families.lipstick; it has {', '.join(params.read(ROOT / 'params.yaml'))}"
        in beauty("why", "lipstick", code=1).stderr
    )
    assert "Traceback" in beauty("why", "lipstick", code=1, BEAUTY_TRACEBACK="1").stderr
    assert answer("models") == []
    assert "x.csv: no such file or folder" in beauty("retrain", "--source", "x.csv", code=1).stderr
    assert params.read()["sentiment"]["source"] == "starter"
    assert "No such command" in beauty("retain", code=2).stderr


def test_why_says_what_is_stale(copy: Path) -> None:
    rows = answer("why", "sentiment")
    stages = [row["stage"] for row in rows]
    assert stages[:3] == ["ingest", "pretrain", "finetune"]
    assert sorted(stages[3:]) == ["evaluate", "export"]
    assert all(
        row["family"] == "sentiment" and row["stale"] is True and "never run" in row["because"]
        for row in rows
    )
    assert "never run" in beauty("why").stdout


@pytest.mark.parametrize("family", families.names())
def test_help_on_predict_has_the_options_of_the_family(tmp_path: Path, family: str) -> None:
    """With what they mean, before anything is registered, and without waiting for torch."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "100"}
    code = (
        "import runpy, sys\n"
        "sys.modules['torch'] = sys.modules['mlflow'] = None\n"
        f"sys.argv = ['beauty', 'predict', {family!r}, '--help']\n"
        "runpy.run_module('cli.main', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr
    serving = import_module(f"beauty_models.{family}.serving")
    asked = batch.parser(family, serving.PARAMS)
    actions = [*serving.parser()._actions, *asked._actions]
    example = families.wording(family).example[0]
    # what is asked without an option goes by its name
    named = {(action.option_strings or [action.dest])[-1]: action for action in actions}
    assert {example, "--file", "--out"} <= set(named)
    said = " ".join(done.stdout.split())
    for name, action in named.items():
        assert action.help, f"{name} says nothing"
        assert name in said and " ".join(action.help.split()) in said
    assert "--version" in said and "--json" in said
    # what runs below the command says the same
    below = subprocess.run(
        [sys.executable, "-m", "beauty_models", "predict", family, "--help"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert below.stdout.strip() in done.stdout


def test_help_on_predict_without_a_family(copy: Path) -> None:
    said = " ".join(beauty("predict", "--help", NO_COLOR="1").stdout.split())
    assert "beauty predict FAMILY --help" in said and "--version" in said
    assert "Missing argument 'FAMILY'" in beauty("predict", code=2, NO_COLOR="1").stderr
    assert "unknown family 'lips'; there are" in beauty("predict", "lips", "--help", code=1).stderr


def lines() -> list[str]:
    return Path("params.yaml").read_text(encoding="utf-8").splitlines()


def test_edits_keep_everything_else(copy: Path) -> None:
    before, old = lines(), params.read()["sentiment"]["finetune"]["learning_rate"]
    told = edit.apply(
        edit.from_sets(
            [
                "sentiment.finetune.learning_rate=3e-4",
                "families.sentiment.pretrain.learning_rate=1e-5",
            ]
        )
    )
    assert told == [
        f"sentiment.finetune.learning_rate: {old} → 0.0003",
        "sentiment.pretrain.learning_rate: 0.0001 → 1e-05",
    ]
    changed = [(was, now) for was, now in zip(before, lines(), strict=True) if was != now]
    assert (
        len(changed) == 2
        and changed[1][1].partition("#")[2] == changed[1][0].partition("#")[2] != ""
    )
    block = params.read()["sentiment"]
    assert (block["finetune"]["learning_rate"], block["pretrain"]["learning_rate"]) == (
        3e-4,
        1e-5,
    ), "numbers for readers of YAML 1.1, too"
    assert edit.apply(edit.from_sets(["sentiment.finetune.learning_rate=0.0003"])) == []


def test_values_of_every_kind_are_read_back_as_they_were_given(copy: Path) -> None:
    columns = {
        "text": "no",
        "label": "1:30",
        "rating": "# stars",
        "product": "a, b",
        "id": "2024-01-01",
        "date": "日期",
    }
    edit.apply(edit.from_source(["sentiment"], "s3://bucket/a b#c", columns))
    block = params.read()["sentiment"]
    assert block["source"] == "s3://bucket/a b#c"
    assert {field: block["ingest"]["columns"][field] for field in columns} == {
        field: [column] for field, column in columns.items()
    }


def test_another_source_does_not_keep_the_licence(copy: Path) -> None:
    edit.apply(edit.from_sets(["sentiment.license=CC0"]))
    assert edit.apply(edit.from_source(["sentiment"], "starter", {})) == []
    told = edit.apply(edit.from_source(["sentiment"], "x.csv", {}))
    assert "sentiment.license: 'CC0' → ''" in told
    assert params.read()["sentiment"]["license"] == ""


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        (
            "sentiment.finetune.lerning_rate=1",
            r"no key sentiment\.finetune\.lerning_rate; "
            r"did you mean sentiment\.finetune\.learning_rate",
        ),
        (
            "sentiment.learning_rate=1",
            r"did you mean sentiment\.pretrain\.learning_rate "
            r"or sentiment\.finetune\.learning_rate",
        ),
        ("sentimnt.finetune.epochs=1", "did you mean sentiment"),
        ("sentiment.finetune=1", "is a block"),
        ("sentiment.finetune.epochs=many", r"families\.sentiment\.finetune\.epochs: .*'many'"),
        ("sentiment.finetune.epochs", "needs KEY=VALUE"),
        ("sentiment.finetune.epochs=[", "not valid YAML"),
    ],
)
def test_refused_edits_leave_the_file(copy: Path, assignment: str, message: str) -> None:
    before = lines()
    with pytest.raises(ValueError, match=message):
        edit.apply(edit.from_sets([assignment]))
    assert lines() == before and not list(copy.glob(".*.tmp"))


def test_profiles_and_maps_that_do_not_exist_are_explained(copy: Path) -> None:
    with pytest.raises(ValueError, match="no profiles/tiny.yaml; there are .*toy"):
        edit.from_profile("tiny", [])
    with pytest.raises(
        ValueError,
        match=r"no key sentiment\.ingest\.columns\.txt; "
        r"did you mean sentiment\.ingest\.columns\.text",
    ):
        edit.apply(edit.from_source(["sentiment"], None, edit.mapping(["txt=Review"])))
    with pytest.raises(ValueError, match="needs FIELD=COLUMN"):
        edit.mapping(["text"])
    assert edit.mapping(["text=A,label=B", "id=C"]) == {"text": "A", "label": "B", "id": "C"}


def _answers_a_file() -> None:
    """The champion answers each row of a file, and says why not where it does not."""
    Path("reviews.csv").write_text("sku,comment\n007,很好\n008,\n", encoding="utf-8")
    options = ("--file", "reviews.csv", "--column", "comment", "--out", "said.csv")
    done = answer("predict", "sentiment", *options)
    assert (done["rows"], done["answered"], done["failed"]) == (2, 1, 1)
    header, first, second = Path("said.csv").read_text(encoding="utf-8").splitlines()
    assert header.startswith("sku,comment,prediction_class,") and first.startswith("007,很好,")
    assert second.startswith("008,,") and second.endswith("no text")


def test_from_nothing_to_a_rolled_back_model(
    copy: Path, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way on the toy set, in real processes."""
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    registered = _retrained_on_the_toy_set()
    _the_story_tells_of(registered)
    assert "Nothing has changed" in beauty("retrain", "sentiment").stdout
    assert last_story().data.startswith("## Unchanged: sentiment\n")
    if not registered["passed"]:
        _a_challenger_is_no_dead_end()
    _version_one_answers_by_its_number()
    beauty("rollback", "sentiment", "--to", "1", code=1 if registered["passed"] else 0)
    _the_champion_answers()
    _answers_a_file()
    shutil.rmtree("build")  # DVC's cache has the training data that the baselines need
    _is_evaluated_on_labels_that_must_be_explained()
    wrong = beauty(
        "evaluate", "sentiment", "--source", "data/raw/sentiment", "--map", "label=lable", code=1
    )
    assert "there is no column 'lable'; there are id, text, label" in wrong.stderr


def _retrained_on_the_toy_set() -> dict[str, Any]:
    """Retrain; return what was registered."""
    done = beauty(
        "retrain", "sentiment", "--profile", "toy", "--set", "sentiment.gate.floor=0.0", "--json"
    )
    assert "undo: git checkout params.yaml" in done.stderr
    result = json.loads(done.stdout)
    states = {row["stage"]: row["state"] for row in result["stages"]}
    assert states == dict.fromkeys(families.stages("sentiment"), "Completed")
    registered: dict[str, Any]
    [registered] = result["registered"]
    assert (registered["family"], registered["version"]) == ("sentiment", 1)
    for stage in families.stages("sentiment"):
        assert "up to date" in dvc("status", f"{stage}@sentiment")
    assert Path("metrics/sentiment/curves/finetune/validation_macro_f1.tsv").exists()
    return registered


def _the_story_tells_of(registered: dict[str, Any]) -> None:
    page = last_story().data
    became = "New champion" if registered["passed"] else "Challenger"
    assert page.startswith(f"## {became}: sentiment\n")
    assert words.worth(registered).removeprefix("sentiment: ")[1:] in page
    assert f"`{Path('build/sentiment/report/index.html')}`" in page
    assert "| sentiment | Completed<br>" in page.partition("### Stages")[2]
    assert "![confusion.png](data:image/webp;base64," in page


def _a_challenger_is_no_dead_end() -> None:
    """Without a champion it is said who may be asked, and how."""
    refused = beauty("predict", "sentiment", "--text", "x", code=1).stderr
    assert "there is no champion" in refused
    assert "version 1, challenger" in refused
    assert "beauty predict sentiment --version 1" in refused
    assert answer("predict", "sentiment", "--version", "challenger", "--text", "x")


def _version_one_answers_by_its_number() -> None:
    [row] = answer("predict", "sentiment", "--version", "1", "--text", "很好")
    assert row["text"] == "很好"
    unknown = beauty("predict", "sentiment", "--version", "7", "--text", "x", code=1)
    assert "version 7 is not registered" in unknown.stderr


def _the_champion_answers() -> None:
    [model] = answer("models")
    assert model["aliases"] == ["champion"]
    assert set(model) == {"family", "version", "aliases", "metrics", "gate", "lineage"}
    [row] = answer("predict", "sentiment", "--text", "很好")
    assert row["text"] == "很好"


def _is_evaluated_on_labels_that_must_be_explained() -> None:
    _with_other_labels(Path("data/raw/sentiment"), Path("own.csv"))
    asked = ("evaluate", "sentiment", "--source", "own.csv")
    refused = beauty(*asked, code=1).stderr
    remedies = re.findall(r"--set '(sentiment\.ingest\.labels\.\w+=[^']+)'", refused)
    assert len(remedies) == 2, refused
    figures = answer(*asked, "--set", remedies[0], "--set", remedies[1])
    assert set(figures) == {
        "family",
        "version",
        "n",
        "metrics",
        "intervals",
        "baselines",
        "rejected",
        "seen_in_training",
    }
    assert figures["seen_in_training"] > figures["n"] > 0 and figures["version"] == 1
    low, high = figures["intervals"]["macro_f1"]
    assert low <= figures["metrics"]["macro_f1"] <= high
    assert {"majority", "tfidf_logreg"} <= set(figures["baselines"])


def _with_other_labels(raw: Path, target: Path) -> None:
    """Copy the toy reviews with labels that nobody has explained yet."""
    said = {"positive": "good", "negative": "bad"}
    reviews = pd.read_csv(raw / "reviews.csv", dtype=str)
    reviews["label"] = reviews["label"].map(said)
    reviews.to_csv(target, index=False)


def test_the_first_hour_as_the_docs_tell_it(
    copy: Path, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a CSV with names of its own to answers: docs/first-hour.md with the toy profile."""
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    told = (ROOT / "docs/first-hour.md").read_text(encoding="utf-8")
    first, one, whole = [
        shlex.split(line)[1:] for line in re.findall(r"^\$ (beauty .*)$", told, re.M)
    ]
    starter.toy(raw=Path("toy"))
    rows = pd.read_csv("toy/reviews.csv", dtype=str).query("label in ['positive', 'negative']")
    rows = rows.replace({"label": {"positive": "good", "negative": "bad"}})
    rows[["text", "label"]].to_csv("reviews.csv", index=False, header=["comment_body", "verdict"])
    done = beauty(*first, "--profile", "toy")
    assert "text: column 'comment_body' (by its content)" in done.stdout
    for word, count in rows["label"].value_counts().items():
        assert f"'{word}': {count} (our proposal)" in done.stdout
    assert "sentiment version 1 by macro-F1" in done.stdout and "Ask it:" in done.stdout
    version = answer("models")[0]
    if "champion" not in version["aliases"]:  # the one look-up: the message names what answers
        refused = beauty(*one, code=1).stderr
        assert "beauty predict sentiment --version 1" in refused
        one, whole = [*one, "--version", "1"], [*whole, "--version", "1"]
    [row] = answer(*one)
    assert row["text"] == "The battery died after two days." and row["class"]
    Path("new.csv").write_text("order,comment_body\n00017,it's easy to use\n00018,\n")
    said = beauty(*whole)
    assert "new.csv: text is the column 'comment_body'" in said.stderr
    assert [line.split(",")[0] for line in Path("said.csv").read_text().splitlines()] == [
        "order",
        "00017",
        "00018",
    ]


@pytest.mark.parametrize("family", ["recommend", "tryon"])
def test_picture_families_from_nothing(
    copy: Path, family: str, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retrained, asked and evaluated on a delivery; a second run finds nothing to do."""
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    result = answer("retrain", family, "--profile", "toy", "--set", f"{family}.gate.floor=0.0")
    states = {row["stage"]: row["state"] for row in result["stages"]}
    assert states == dict.fromkeys(families.stages(family), "Completed")
    [registered] = result["registered"]
    assert "Nothing has changed" in beauty("retrain", family).stdout
    beauty("rollback", family, "--to", "1", code=1 if registered["passed"] else 0)
    assert answer("predict", family, "--text", "red dress 红色 连衣裙")
    figures = answer("evaluate", family, "--source", f"data/raw/{family}")
    assert figures["seen_in_training"] > 0 < figures["n"] and set(figures["intervals"]) <= set(
        figures["metrics"]
    )
