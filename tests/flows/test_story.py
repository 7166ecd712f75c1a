"""The page that tells what became of a run.

It is read back from a real Prefect server, and written from real figures.
"""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import pytest
from flow_runs import SCRIPT, flow, last_story
from mini import PATIENCE_S, set_param, started, wait_for
from PIL import Image
from real_runs import figures, registered

from beauty_models import families
from flows import story, words
from flows.run_context import RunContext, TaskRecord
from flows.turns import Turns
from tasks.registry import gate

CHAIN = ("fetch", *families.STAGES, "register")


def row(markdown: str, family: str) -> list[str]:
    """Return the cells of the family's line in the table of stages."""
    table = markdown.partition("### Stages")[2]
    [line] = [line for line in table.splitlines() if line.startswith(f"| {family} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.usefixtures("prefect_server")
def test_a_run_that_fails_in_part_tells_what_failed_and_what_to_do(project: Path) -> None:
    from flows.retrain import RetrainError

    set_param("lips", "ingest", mistake="no such file; fetch it\nand more")
    with pytest.raises(RetrainError):
        flow()
    page = last_story()
    assert page.data.startswith("## Failed: lips · Up to date: nails\n")
    assert "### lips: ingest failed" in page.data
    assert "`ingest@lips: error: no such file; fetch it`" in page.data
    assert "and more" not in page.data
    [log] = re.findall(r"`(\S+/ingest@lips.log)`", page.data)
    assert "and more" in Path(log).read_text(encoding="utf-8")
    assert "beauty retrain lips`" in page.data
    failed, done = row(page.data, "lips"), row(page.data, "nails")
    assert failed[1].startswith("Failed<br>") and failed[2] == "–"
    assert done[1].startswith("Completed<br>") and done[2].startswith("Completed<br>")
    assert str(project) in page.description

    set_param("lips", "ingest", mistake=None)
    flow()
    assert last_story().data.startswith("## Up to date: lips · Unchanged: nails\n")
    flow()
    again = last_story()
    assert again.data.startswith("## Unchanged: lips, nails\n")
    assert row(again.data, "lips") == ["lips", "Skipped", "Skipped"]


def test_a_run_cancelled_in_the_ui_tells_where_it_was_stopped(
    project: Path, prefect_server: str
) -> None:
    import sys

    from prefect.client.orchestration import get_client
    from prefect.client.schemas.sorting import FlowRunSort
    from prefect.states import Cancelling

    set_param("lips", "ingest", sleep=600)
    environment = {**os.environ, "PREFECT_API_URL": prefect_server}
    with started([sys.executable, "-c", SCRIPT], environment) as process:
        wait_for("runs.txt")
        with get_client(sync_client=True) as client:
            current = client.read_flow_runs(limit=1, sort=FlowRunSort.START_TIME_DESC)[0]
            client.set_flow_run_state(current.id, Cancelling(), force=True)
        process.communicate(timeout=PATIENCE_S)
    page = last_story()
    assert page.flow_run_id == current.id
    assert page.data.splitlines()[0].startswith("## Stopped: lips")
    assert "**The run was stopped before its end**: the flow run was cancelled." in page.data
    assert row(page.data, "lips")[1].startswith("Stopped<br>")
    assert "beauty retrain lips` goes on from the last checkpoint" in page.data


def judged(tmp_path: Path, names: list[str]) -> RunContext:
    """Return a run in which each family's chain ended; the figures are those of a real run."""
    run = RunContext({}, tmp_path, threading.Event(), print, False, Turns(), {}, {})
    for family in names:
        for verb in CHAIN:
            run.tasks[verb, family] = TaskRecord("Completed", 75.0)
        model = registered(family, figures(family))
        run.tasks["register", family] = TaskRecord("Completed", 2.0, result=model)
    return run


def test_each_model_has_its_verdict_its_worth_and_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    names = families.names()
    drawn = []  # families with a picture that tells most when it is small
    for family in names:
        folder = families.path("report", family)
        folder.mkdir(parents=True)
        (folder / "index.html").write_text("<p>")
        if picture := families.wording(family).picture:
            Image.effect_noise((1400, 900), 64).save(folder / picture)
            drawn.append(family)
    run = judged(tmp_path, names)
    text = story.page(run, names, 4000.0).markdown
    for family in names:
        model = run.tasks["register", family].result
        became = "champion" if model["passed"] else "challenger"
        [line] = [x for x in text.splitlines() if x.startswith(f"| {family} |") and became in x]
        verdict, metrics = model["verdict"], model["metrics"]
        metric = verdict["metric"]
        baseline = gate.strongest_baseline(verdict, metrics)
        assert f"**{words.format_number(metrics[metric])}**" in line
        assert words.format_interval((metrics[f"{metric}.low"], metrics[f"{metric}.high"])) in line
        assert f"**{words.format_number(metrics[f'{baseline}/{metric}'])}**" in line
        assert baseline
        lead = families.lead(metric, metrics, baseline, verdict["larger_is_better"])
        assert f"{lead:+.4f}" in line
        assert words.worth(model).removeprefix(f"{family}: ")[1:] in text
        assert f"Ask it: `{words.predict_command(model)}`" in text
        assert f"`build/{family}/report/index.html`" in text
        assert all(f"⚠ {warning}" in text for warning in model["warnings"])
        for why in [c for c in verdict["criteria"] if not c["passed"]]:
            assert f"needed {why['bound']}" in text
    assert "MLflow](" not in text, "nothing is served"
    pictures = re.findall(r"!\[[\w.]+\]\(data:image/webp;base64,([\w+/=]+)\)", text)
    assert len(pictures) == len(drawn) >= 3, (
        "the page draws them; their text is not read by anybody"
    )
    assert max(map(len, pictures)) < 30_000, "noise is what a picture costs at most"
    outside = re.sub(r"\(data:[^)]*\)", "", text)
    assert "base64" not in outside and len(outside) < 1500 * len(names)
    cells = [cell for x in outside.splitlines() if x.startswith("|") for cell in x.split("|")]
    assert max(len(part) for cell in cells for part in cell.strip().split("<br>")) <= 22


def test_a_served_mlflow_is_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example")
    text = story.page(judged(tmp_path, ["sentiment"]), ["sentiment"], 1.0).markdown
    assert "](http://127.0.0.1:5000/#/models/sentiment/versions/13)" in text


def test_what_ended_the_run_itself_is_told_without_secrets(tmp_path: Path) -> None:
    run = RunContext({}, tmp_path, threading.Event(), print, False, Turns(), {}, {})
    error = ValueError("MLflow at http://me:hidden@mlflow.example does not answer\nmore")
    text = story.page(run, ["lips"], 1.0, error).markdown
    assert "## Not begun: lips" in text and "MLflow at http://" in text
    assert "hidden" not in text and "more" not in text
    run.stop.set()
    assert "stopped before its end" in story.page(run, ["lips"], 1.0, KeyboardInterrupt()).markdown


@pytest.mark.usefixtures("prefect_server")
def test_a_server_that_is_away_costs_nothing_but_a_warning(project: Path) -> None:
    from prefect import flow as prefect_flow
    from prefect.settings import PREFECT_API_URL, temporary_settings

    run = RunContext({}, project, threading.Event(), print, False, Turns(), {}, {})

    @prefect_flow(name="away")
    def away() -> str:
        with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
            story.publish(run, ["lips"], 1.0)
        return "still here"

    assert away() == "still here"
