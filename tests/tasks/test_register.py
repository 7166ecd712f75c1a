"""The gate judges, the registry remembers, one champion at a time.

MLflow is real, on SQLite; the models are tiny folders.
"""

from __future__ import annotations

import json
import math
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import printed_by
from registered import checkout

from beauty_models import families
from beauty_models.params import Gate
from cli import main, show
from tasks import evaluate, predict
from tasks.registry import card, connection, gate, lineage, register, registry

ROOT = Path(__file__).parents[2]
GATE = Gate(
    metric="macro_f1", larger_is_better=True, baselines=["majority"], floor=0.7, tolerance=0.01
)
LOSS = Gate(
    metric="log_loss",
    larger_is_better=False,
    baselines=["majority", "tfidf"],
    floor=0.5,
    tolerance=0.01,
)
LOW = {
    "log_loss": 0.3,
    "majority/log_loss": 0.9,
    "majority/log_loss.margin_low": -0.8,
    "majority/log_loss.margin_high": -0.5,
    "tfidf/log_loss": 0.4,
    "tfidf/log_loss.margin_low": -0.2,
    "tfidf/log_loss.margin_high": -0.05,
}
GOOD = {
    "macro_f1": 0.8,
    "macro_f1.low": 0.75,
    "macro_f1.high": 0.85,
    "accuracy": 0.82,
    "n": 100.0,
    "majority/macro_f1": 0.4,
    "majority/macro_f1.margin_low": 0.3,
}


@pytest.mark.parametrize(("share", "passed"), [(0.5, True), (0.49, False), (float("nan"), False)])
def test_other_figures_have_floors_of_their_own(share: float, passed: bool) -> None:
    strict = GATE.model_copy(update={"floors": {"accepted_share": 0.5}})
    verdict = gate.judge(strict, GOOD | {"accepted_share": share}, None, None)
    assert verdict["passed"] == passed
    failed = [c["name"] for c in verdict["criteria"] if not c["passed"]]
    assert failed == ([] if passed else ["accepted_share reaches its floor"])
    assert gate.counted(verdict) == ["majority"]
    with pytest.raises(ValueError, match=r"gate\.floors\.accepted_share is none of"):
        gate.judge(strict, GOOD, None, None)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the tables of MLflow once; the tests copy the file."""
    folder = tmp_path_factory.mktemp("mlflow")
    with checkout(folder):
        connection.client()
    return folder / ".beauty/mlflow.db"


@pytest.fixture
def project(tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project with a trained "model" the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    Path(".beauty").mkdir()
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("[core]\n    no_scm = true\n")
    Path(".beauty/mlflow.db").write_bytes(database.read_bytes())
    block = {
        "source": "starter",
        "gate": GATE.model_dump(),
        "finetune": {"epochs": 3, "words": ["a", "b"]},
    }
    stages = {stage: [] for stage in families.optional_stages("sentiment")}
    Path("params.yaml").write_text(
        yaml.safe_dump({"stages": stages, "families": {"sentiment": block}})
    )
    for name in ("data", "model", "report"):
        Path("build/sentiment", name).mkdir(parents=True)
    Path("data/raw/sentiment").mkdir(parents=True)
    Path("metrics/sentiment").mkdir(parents=True)
    Path("build/sentiment/data/test.parquet").write_text("frozen")
    Path("build/sentiment/report/index.html").write_text("<p>")
    manifest = {"source": "starter", "license": "CC-BY-NC-4.0", "commercial_use": None, "files": []}
    Path("data/raw/sentiment/manifest.json").write_text(json.dumps(manifest))
    trained("one", GOOD)
    return tmp_path


def trained(what: str, metrics: dict[str, float]) -> None:
    """Pretend that the stages made model ``what`` with these figures."""
    Path("build/sentiment/model/model.safetensors").write_text(what)
    Path("build/sentiment/model/backbone.json").write_text(
        json.dumps({"license": "MIT", "commercial_use": True})
    )
    outs = [
        {"path": f"build/sentiment/{name}", "md5": f"{name}-{what}.dir"}
        for name in ("code", "data", "model")
    ]
    Path("dvc.lock").write_text(
        yaml.safe_dump({"schema": "2.0", "stages": {"finetune@sentiment": {"outs": outs}}})
    )
    Path("metrics/sentiment/evaluate.json").write_text(json.dumps(metrics))


def registered(what: str, metrics: dict[str, float], champion: float = 0.8) -> dict[str, Any]:
    trained(what, metrics)
    result = register.register(
        "sentiment", evaluate=lambda family, version, say: GOOD | {"macro_f1": champion}
    )
    assert result
    return result


def champion() -> int | None:
    return registry.aliases(connection.client(), "sentiment").get("champion")


@pytest.mark.parametrize(
    ("metrics", "champion", "failed"),
    [
        ({}, None, []),
        ({}, {"macro_f1": 0.81}, []),
        ({}, {"macro_f1": 0.82}, ["not worse than the champion, version 3"]),
        ({"macro_f1": 0.7}, None, []),
        ({"macro_f1": 0.69}, None, ["macro_f1 reaches the floor"]),
        (
            {"macro_f1": math.nan},
            {"macro_f1": 0.1},
            ["macro_f1 reaches the floor", "not worse than the champion, version 3"],
        ),
        ({"majority/macro_f1.margin_low": 0.0}, None, ["lead over majority, lower bound"]),
        (  # not in the gate's list: part of the model, or only told
            {"tfidf/macro_f1": 0.9, "tfidf/macro_f1.margin_low": -0.1},
            None,
            [],
        ),
    ],
)
def test_gate(
    metrics: dict[str, float], champion: dict[str, float] | None, failed: list[str]
) -> None:
    verdict = gate.judge(GATE, GOOD | metrics, champion, 3 if champion else None)
    assert [
        criterion["name"] for criterion in verdict["criteria"] if not criterion["passed"]
    ] == failed
    assert verdict["passed"] is (not failed)
    text = gate.markdown("sentiment", verdict, GOOD | metrics, ["Careful."])
    assert (
        ("**Passed**" in text) is (not failed)
        and "⚠ Careful." in text
        and text.count("✗") == len(failed)
    )


@pytest.mark.parametrize(
    ("metrics", "champion", "failed"),
    [
        ({}, None, []),
        ({"log_loss": 0.5}, None, []),
        ({"log_loss": 0.51}, None, ["log_loss reaches the floor"]),
        ({}, {"log_loss": 0.3}, []),
        ({}, {"log_loss": 0.295}, []),
        ({}, {"log_loss": 0.28}, ["not worse than the champion, version 3"]),
        ({}, {"log_loss": 0.9}, []),
        ({"tfidf/log_loss.margin_high": 0.0}, None, ["lead over tfidf, lower bound"]),
        ({"tfidf/log_loss.margin_high": 0.1}, None, ["lead over tfidf, lower bound"]),
        (
            {"log_loss": math.nan},
            {"log_loss": 0.9},
            ["log_loss reaches the floor", "not worse than the champion, version 3"],
        ),
    ],
)
def test_gate_where_smaller_is_better(
    metrics: dict[str, float], champion: dict[str, float] | None, failed: list[str]
) -> None:
    metrics = LOW | metrics
    verdict = gate.judge(LOSS, metrics, champion, 3 if champion else None)
    said = [criterion for criterion in verdict["criteria"] if not criterion["passed"]]
    assert [criterion["name"] for criterion in said] == failed
    assert verdict["passed"] is (not failed)
    assert "-0.0000" not in gate.markdown("sentiment", verdict, metrics, [])
    assert gate.strongest_baseline(verdict, metrics) == "tfidf"
    rows = gate.rows(verdict, metrics)
    assert [row.name for row in rows if row.lead is not None] == ["tfidf", "majority"]
    assert rows[-2].lead == 0.5, "the model's loss is at least this much lower"


@pytest.mark.parametrize("lost", ["majority/macro_f1", "majority/macro_f1.margin_low", "majority/"])
def test_a_listed_baseline_that_was_not_measured_is_an_error_that_names_it(lost: str) -> None:
    metrics = {key: value for key, value in GOOD.items() if not key.startswith(lost)}
    metrics |= {"tfidf/macro_f1": 0.1, "tfidf/macro_f1.margin_low": 0.6}
    with pytest.raises(ValueError, match="gate.baselines lists majority, which .* tfidf"):
        gate.judge(GATE, metrics, None, None)


def test_a_baseline_that_the_data_do_not_allow_is_told_and_does_not_count() -> None:
    asked = GATE.model_copy(update={"baselines": [*GATE.baselines, "tfidf"]})
    verdict = gate.judge(asked, GOOD | {"tfidf/not_applicable": 1.0}, None, None)
    assert verdict["passed"] and gate.counted(verdict) == GATE.baselines
    told = "tfidf does not count: the data lack what it needs"
    assert told in gate.markdown("sentiment", verdict, GOOD, [])
    alone = GATE.model_copy(update={"baselines": ["tfidf"]})
    with pytest.raises(ValueError, match="tfidf alone, for which the data lack"):
        gate.judge(alone, GOOD | {"tfidf/not_applicable": 1.0}, None, None)


def test_a_gate_counts_at_least_one_baseline_and_knows_its_metric() -> None:
    with pytest.raises(ValueError, match="baselines"):
        Gate.model_validate(GATE.model_dump() | {"baselines": []})
    with pytest.raises(
        ValueError, match="gate.metric 'macro_f1' is none of evaluate's figures: accuracy"
    ):
        gate.judge(GATE, {"accuracy": 1.0}, None, None)


def test_first_version_becomes_champion_with_its_lineage(project: Path) -> None:
    result = register.register("sentiment", flow_run="run-7")
    assert result and (result["version"], result["aliases"], result["passed"]) == (
        1,
        ["champion"],
        True,
    )
    assert "may not be used commercially (CC-BY-NC-4.0)" in result["verdict_markdown"]
    [version] = registry.versions()
    assert (version["aliases"], version["metrics"]["majority/macro_f1"]) == (["champion"], 0.4)
    assert version["gate"]["passed"] is True and len(version["gate"]["criteria"]) == 2
    origin = version["lineage"]
    assert (
        origin["dvc"] == {"code": "code-one.dir", "data": "data-one.dir", "model": "model-one.dir"}
        and origin["flow_run"] == "run-7"
    )
    assert origin["backbone_licenses"]["backbone.json"]["license"] == "MIT" and set(
        origin["files"]
    ) == {"backbone.json", "model.safetensors", "MLmodel", "requirements.txt"}
    for name, expected in {
        "params.yaml": "epochs: 3",
        "model_card.md": "CC-BY-NC-4.0",
        "gate.json": '"passed": true',
        "dvc.lock": "model-one",
    }.items():
        assert expected in registry.download("sentiment", 1, name, project).read_text()
    page = connection.client().get_model_version("sentiment", "1").description
    assert page.startswith("**Passed the gate.**\n\n| | macro-F1 | interval | lead at least | |")
    assert "| this model | 0.8000 | 0.7500 – 0.8500 |  |  |" in page
    assert "| always the commonest class | 0.4000 |  | +0.3000 | ✓ |" in page
    assert f"⚠ {result['warnings'][0]}" in page and "(CC-BY-NC-4.0)" in page
    assert "beauty predict sentiment --version 1 --text" in page and "# sentiment" in page
    assert "majority/macro_f1.margin_low" not in page, "hundreds of figures are the run's"
    assert (
        registry.download_model("sentiment", into=project / "served")
        .joinpath("model.safetensors")
        .read_text()
        == "one"
    )


def test_what_was_switched_off_is_no_part_of_a_version(project: Path) -> None:
    """An export of an older model, in every place where one leaves something."""
    metrics = Path("metrics/sentiment")
    for folder in (metrics, metrics / "brief"):
        folder.mkdir(exist_ok=True)
        for stage in ("evaluate", "export"):
            (folder / f"{stage}.json").write_text(json.dumps(GOOD))
    exported = Path("build/sentiment/exported")
    exported.mkdir()
    (exported / "history.json").write_text(json.dumps([{"step": 1, "loss": 2.0}]))
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    lock["stages"]["export@sentiment"] = {"outs": [{"path": str(exported), "md5": "old.dir"}]}
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    assert register.register("sentiment")
    [version] = registry.versions()
    assert "exported" not in version["lineage"]["dvc"]
    kept = registry.download("sentiment", 1, "metrics", project / "kept")
    assert sorted(file.name for file in kept.rglob("*.json")) == ["evaluate.json"] * 2
    client = connection.client()
    run = client.get_run(client.get_model_version("sentiment", "1").run_id)
    assert not [name for name in run.data.metrics if name.startswith("export/")]
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["stages"]["export"] = ["sentiment"]
    Path("params.yaml").write_text(yaml.safe_dump(params))
    assert register.register("sentiment", evaluate=lambda family, number, say: GOOD)
    assert registry.versions()[0]["lineage"]["dvc"]["exported"] == "old.dir"
    assert register.register("sentiment") is None, "this very export is kept already"


def test_the_parameters_of_a_version_of_before_serve_to_evaluate_it(project: Path) -> None:
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["families"]["sentiment"]["ingest"] = {"near_duplicate": 0.8}
    Path("params.yaml").write_text(yaml.safe_dump(content))
    assert register.register("sentiment")
    trained_with = evaluate._trained_params("sentiment", 1, project / "kept")
    assert trained_with["ingest"] == {"near_duplicate_similarity": 0.8}


def test_the_page_of_a_version_has_no_line_breaks_but_where_they_mean_something() -> None:
    text = "# a\n\n**B.** one\ntwo\n\n- x\n- y\n\n| a |\n|---|\n\n```\nq\nr\n```\nthree\nfour"
    joined = text.replace("one\ntwo", "one two").replace("three\nfour", "three four")
    assert card.join_paragraphs(text) == joined


def test_the_curves_of_the_trainings_are_in_mlflow_and_are_no_figures_of_the_version(
    project: Path,
) -> None:
    rows = [{"epoch": n, "loss": 1 / n, "validation_macro_f1": n / 10} for n in range(1, 701)]
    Path("build/sentiment/model/history.json").write_text(json.dumps(rows))
    Path("build/sentiment/pretrained").mkdir()
    both = {"words": [{"step": 50, "loss": 3.5}, {"step": 100, "loss": 2.5}], "pictures": []}
    Path("build/sentiment/pretrained/history.json").write_text(json.dumps(both))
    registered("one", GOOD)
    client = connection.client()
    run = client.get_model_version("sentiment", "1").run_id

    def curve(name: str) -> list[tuple[int, float]]:
        return sorted((point.step, point.value) for point in client.get_metric_history(run, name))

    assert curve("finetune/loss") == [(row["epoch"], row["loss"]) for row in rows]
    assert curve("finetune/validation_macro_f1") == [(n, n / 10) for n in range(1, 701)]
    assert curve("pretrain/words_loss") == [(50, 3.5), (100, 2.5)]
    [version] = registry.versions("sentiment")
    assert version["metrics"] == GOOD


def test_the_same_model_is_registered_once_without_importing_mlflow(project: Path) -> None:
    registered("one", GOOD)
    code = (
        "import sys; from tasks.registry.register import register\n"
        "print(register('sentiment'), 'mlflow' in sys.modules)"
    )
    assert printed_by(code) == "None False\n"
    Path(".beauty/registered/sentiment.json").unlink()  # as on another machine: the registry knows
    assert register.register("sentiment") is None
    registered("two", GOOD)
    trained("one", GOOD)  # params taken back, the old model restored
    assert register.register("sentiment") is None
    assert [version["version"] for version in registry.versions("sentiment")] == [2, 1]


def test_another_split_or_another_gate_is_judged_anew(project: Path) -> None:
    registered("one", GOOD)
    Path("build/sentiment/data/test.parquet").write_text("another")
    assert registered("one", GOOD)["version"] == 2
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["families"]["sentiment"]["gate"]["floor"] = 0.9
    Path("params.yaml").write_text(yaml.safe_dump(content))
    assert registered("one", GOOD)["aliases"] == ["challenger"]


def test_a_version_is_asked_by_any_alias(project: Path) -> None:
    registered("one", GOOD)
    registered("two", GOOD | {"macro_f1": 0.75})
    # as a person does in MLflow's own pages
    connection.client().set_registered_model_alias("sentiment", "shadow", "2")
    asked = [predict.resolve("sentiment", name) for name in ("champion", "shadow", "2")]
    assert asked == [1, 2, 2]
    with pytest.raises(ValueError, match="there is no shade; these can be asked:\n.*2.* shadow"):
        predict.resolve("sentiment", "shade")


def test_a_lost_registry_is_filled_again(project: Path) -> None:
    registered("one", GOOD)
    Path(".beauty/mlflow.db").unlink()
    code = "from tasks.registry.register import register; print(register('sentiment')['version'])"
    assert printed_by(code) == "1\n"


def test_worse_than_the_champion_becomes_challenger_and_keeps_its_verdict(project: Path) -> None:
    registered("one", GOOD)
    result = registered("two", GOOD | {"macro_f1": 0.75})
    assert (result["aliases"], result["passed"]) == (["challenger"], False)
    assert (
        "| not worse than the champion, version 1 | 0.7500 | >= 0.7900 | ✗ |"
        in result["verdict_markdown"]
    )
    newest, first = registry.versions("sentiment")
    assert (newest["aliases"], newest["gate"]["passed"]) == (["challenger"], False)
    assert first["aliases"] == ["champion"]
    assert newest["gate"]["champion"]["metrics"]["macro_f1"] == 0.8


def test_a_version_from_before_the_gate_listed_baselines_stays_champion_and_is_held_against(
    project: Path,
) -> None:
    """Its metrics have other keys, its stored verdict has no direction.

    Only its metric is asked.
    """
    old = {"macro_f1": 0.8, "image_only/macro_f1": 0.7, "image_only/macro_f1.lead_low": 0.05}
    registered("one", GOOD)
    client = connection.client()
    verdict = json.loads(client.get_model_version("sentiment", "1").tags["gate"])
    del verdict["larger_is_better"]
    client.set_model_version_tag("sentiment", "1", "gate", json.dumps(verdict))
    trained("two", GOOD | {"macro_f1": 0.75})
    worse = register.register("sentiment", evaluate=lambda family, version, say: old)
    assert worse and worse["aliases"] == ["challenger"] and champion() == 1
    trained("three", GOOD | {"macro_f1": 0.81})
    better = register.register("sentiment", evaluate=lambda family, version, say: old)
    assert better and better["aliases"] == ["champion"] and champion() == 3
    assert [row["gate"]["passed"] for row in registry.versions("sentiment")] == [True, False, True]
    show.versions(registry.versions("sentiment"))


def test_a_champion_that_cannot_be_evaluated_stops_the_registration(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    registered("one", GOOD)
    trained("two", GOOD)
    with pytest.raises(
        ValueError, match="the champion, version 1, cannot be evaluated on the present test split"
    ):
        register.register("sentiment")  # the real command, on a model that is none
    assert [version["version"] for version in registry.versions("sentiment")] == [1]


def test_a_promotion_elsewhere_meanwhile_is_seen(project: Path) -> None:
    registered("one", GOOD)
    registered("two", GOOD)
    trained("three", GOOD)
    asked: list[int] = []

    def evaluate(family: str, version: int, say: Any) -> dict[str, float]:
        asked.append(version)
        if version == 2:  # another machine moves the alias while we evaluate
            connection.client().set_registered_model_alias("sentiment", "champion", "1")
        return GOOD

    result = register.register("sentiment", evaluate=evaluate)
    assert asked == [2, 1] and result and "version 1" in result["verdict_markdown"]


AT_ONCE = """
import json, sys
from tasks.registry import lineage, register
# two models, as if from two flows
lineage.dvc_hashes = lambda family: {"data": "d", "model": sys.argv[1]}
result = register.register("sentiment", evaluate=lambda family, version, say: {"macro_f1": 0.9})
print(json.dumps([result["version"], result["aliases"], result["verdict_markdown"]]))
"""


def test_two_registrations_at_once_cannot_both_win(project: Path) -> None:
    """Both would beat the baselines.

    Whichever comes second is held against the first, and loses by 0.1.
    """
    command = [sys.executable, "-c", AT_ONCE]
    running = [
        subprocess.Popen(
            [*command, name], env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
        )
        for name in ("a", "b")
    ]
    results = sorted(json.loads(process.communicate(timeout=60)[0]) for process in running)
    assert [(version, aliases) for version, aliases, _ in results] == [
        (1, ["champion"]),
        (2, ["challenger"]),
    ]
    assert "not worse than the champion, version 1" in results[1][2]
    assert champion() == 1


def test_rollback_goes_back_step_by_step(project: Path) -> None:
    with pytest.raises(ValueError, match="no champion.*`beauty retrain sentiment` makes the first"):
        registry.rollback("sentiment")
    registered("one", GOOD)
    alone = "no champion before version 1 .*only version; `beauty retrain sentiment` makes another"
    with pytest.raises(ValueError, match=alone):
        registry.rollback("sentiment")
    for name in ("two", "three"):
        registered(name, GOOD)
    assert registry.rollback("sentiment")["version"] == 2 and champion() == 2
    assert registered("four", GOOD)["version"] == 4
    assert registry.rollback("sentiment")["version"] == 2, "not 3, which was taken back"
    assert registry.rollback("sentiment")["version"] == 1
    others = "no champion before version 1 .*`beauty rollback sentiment --to VERSION` .*: 4, 3, 2$"
    with pytest.raises(ValueError, match=others):
        registry.rollback("sentiment")
    assert registered("five", GOOD | {"macro_f1": 0.75})["aliases"] == ["challenger"]
    assert registry.rollback("sentiment", to=5)["aliases"] == ["champion"]
    assert registry.rollback("sentiment", to=3)["aliases"] == ["champion"]
    for wrong, message in ((3, "version 3 is the champion"), (9, "version 9 is not registered")):
        with pytest.raises(ValueError, match=message):
            registry.rollback("sentiment", to=wrong)
    assert champion() == 3


def test_rollback_without_a_champion_names_what_to_do(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line of the command, and the versions stay as they are."""

    def told() -> str:
        monkeypatch.setattr(sys, "argv", ["beauty", "rollback", "sentiment"])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main.main()
        assert end.value.code == 1
        said = capsys.readouterr()
        assert said.out == "" and said.err.startswith("error: sentiment: there is no champion")
        assert said.err.count("\n") == 1
        return said.err

    assert "`beauty retrain sentiment` makes the first" in told()
    assert registered("one", GOOD | {"macro_f1": 0.1})["aliases"] == ["challenger"]
    said = told()
    assert "`beauty models sentiment` lists the versions" in said
    assert "`beauty rollback sentiment --to VERSION` makes one champion" in said
    assert [version["aliases"] for version in registry.versions("sentiment")] == [["challenger"]]


def test_damaged_files_are_not_served(project: Path) -> None:
    registered("one", GOOD)
    [stored] = Path(".beauty/mlartifacts").rglob("model.safetensors")
    stored.write_text("tampered")
    with pytest.raises(ValueError, match="its files are not those that were registered"):
        registry.download_model("sentiment", into=project / "served")
    assert not (project / "served").exists()
    with pytest.raises(ValueError, match="version 8"):
        registry.download_model("sentiment", 8, into=project / "served")


def test_a_version_with_damaged_files_does_not_become_champion_again(project: Path) -> None:
    registered("one", GOOD)
    registered("two", GOOD)
    for stored in Path(".beauty/mlartifacts").rglob("model/model.safetensors"):
        if stored.read_text() == "one":
            stored.write_text("tampered")
    with pytest.raises(ValueError, match="version 1: its files are not those that were registered"):
        registry.rollback("sentiment")
    assert champion() == 2


def test_a_held_lock_and_a_locked_database_are_explained(project: Path) -> None:
    code = (
        "import time; from tasks.registry.connection import registration_lock\n"
        "with registration_lock('sentiment'): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout and holder.stdout.readline() == "held\n"
    with (
        pytest.raises(ValueError, match=rf"registry locked by process {holder.pid} on "),
        connection.registration_lock("sentiment", 0.2),
    ):
        pass
    holder.kill()
    holder.communicate()
    with connection.registration_lock("sentiment", 5):
        pass
    with sqlite3.connect(".beauty/mlflow.db") as database:
        database.execute("BEGIN EXCLUSIVE")
        start = time.monotonic()
        with pytest.raises(ValueError, match="mlflow.db is locked by another program"):
            registry.versions("sentiment")
        assert time.monotonic() - start < 60
        database.rollback()
    database.close()


def test_no_model_no_registration(project: Path) -> None:
    Path("dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    with pytest.raises(
        ValueError, match="no finished model of sentiment; run `beauty retrain sentiment`"
    ):
        register.register("sentiment")


@pytest.mark.parametrize(
    ("license", "commercial", "told"),
    [
        ("MIT", True, ""),
        ("MIT", None, ""),
        ("CC BY-NC-SA 4.0", None, "may not"),
        ("X", False, "may not"),
        ("", None, "states no licence"),
    ],
)
def test_licence_warnings(license: str, commercial: bool | None, told: str) -> None:
    found = lineage.warnings(
        {
            "data_license": {"license": license, "commercial_use": commercial},
            "backbone_licenses": {},
        }
    )
    assert (told in found[0]) if told else not found


def test_each_backbone_licence_is_told_once(project: Path) -> None:
    """sentiment's classifier.json repeats backbone.json; tryon has two backbones."""
    model = Path("build/sentiment/model")
    stated = {"base": "a/b", "license": "CC-BY-NC-4.0", "commercial_use": False}
    for name, content in {
        "backbone.json": stated,
        "classifier.json": {"classes": ["x"], **stated},
        "config.json": {"hidden_size": 32},
        "image.json": stated | {"base": "c/d"},
        "text.json": stated | {"license": "MIT", "commercial_use": True},
    }.items():
        (model / name).write_text(json.dumps(content))
    found = lineage.lineage("sentiment", None)
    refused = {"license": "CC-BY-NC-4.0", "commercial_use": False}
    assert found["backbone_licenses"] == {
        "backbone.json, classifier.json": refused,
        "image.json": refused,
        "text.json": {"license": "MIT", "commercial_use": True},
    }
    page = card.model_card("sentiment", GOOD, found)
    assert page.count("classifier.json: CC-BY-NC-4.0") == 1
    told = [warning for warning in lineage.warnings(found) if "backbone" in warning]
    assert [warning.partition(" may not")[0] for warning in told] == [
        "The backbone (backbone.json, classifier.json)",
        "The backbone (image.json)",
    ]
