"""A Prefect server that freezes or dies in mid-run: the run goes on, the model is registered, its end is told truthfully."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from processes import clean_environment, prefect_server_process, until

from bench.game_day.project import FAMILY, Project, make_template

GONE = "does not answer any more"


@dataclass(frozen=True)
class Site:
    """A project with one family, and the server that it is told to use."""

    project: Project
    url: str
    server: subprocess.Popen[bytes]

    def flow_runs(self) -> list[dict[str, Any]]:
        """Return what the server knows of the runs."""
        answer = httpx.post(f"{self.url}/api/flow_runs/filter", json={}, timeout=300)
        return list(answer.raise_for_status().json())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    project = make_template(tmp_path / "project")
    home = tmp_path / "prefect"
    with prefect_server_process(home, clean_environment(home)) as (url, server):
        project.extra["PREFECT_API_URL"] = f"{url}/api"
        try:
            yield Site(project, url, server)
        finally:
            project.kill_all()


def champions(project: Project) -> list[int]:
    return [one["version"] for one in project.versions() if "champion" in one["aliases"]]


@pytest.mark.parametrize("how", ["frozen", "killed"])
def test_a_server_that_goes_in_mid_run_costs_no_model(site: Site, how: str) -> None:
    run = site.project.start("retrain", FAMILY)
    site.project.wait_for_stage("ingest", run)
    site.server.send_signal(signal.SIGSTOP if how == "frozen" else signal.SIGKILL)
    finished = site.project.finish(run)
    if how == "frozen":
        assert psutil.Process(site.server.pid).status() == psutil.STATUS_STOPPED
    assert finished.code == 0, finished.output
    assert f"warning: the Prefect server at {site.url}/api {GONE}" in finished.output
    assert f"{FAMILY} version 1" in finished.output and "Traceback" not in finished.output
    assert champions(site.project) == [1]
    assert site.project.dvc_status() == "Data and pipelines are up to date."
    assert site.project.processes() == []


def test_a_frozen_server_makes_no_failure_a_success(site: Site) -> None:
    site.project.change("finetune", "batch", "0")
    run = site.project.start("retrain", FAMILY)
    site.project.wait_for_stage("ingest", run)
    site.server.send_signal(signal.SIGSTOP)
    finished = site.project.finish(run)
    assert finished.code == 1 and GONE in finished.output, finished.output
    assert f"error: finetune@{FAMILY}" in finished.output
    assert champions(site.project) == []


def test_a_server_that_comes_back_is_told_the_rest(site: Site) -> None:
    run = site.project.start("retrain", FAMILY)
    site.project.wait_for_stage("ingest", run)
    site.server.send_signal(signal.SIGSTOP)
    site.project.wait_for_stage("finetune", run)
    site.server.send_signal(signal.SIGCONT)
    finished = site.project.finish(run)
    assert finished.code == 0 and GONE not in finished.output, finished.output
    [flow_run] = site.flow_runs()
    assert flow_run["state_name"] == "Completed"
    tasks = ["fetch", "ingest", "pretrain", "finetune", "evaluate", "register"]

    def states() -> dict[str, str] | None:
        """Return the states of all tasks once the server, which works in the background, has them all."""
        answer = httpx.post(f"{site.url}/api/task_runs/filter", json={}, timeout=300)
        found = {row["name"]: row["state_name"] for row in answer.raise_for_status().json()}
        complete = len(found) == len(tasks) and set(found.values()) == {"Completed"}
        return found if complete else None

    found = until(states, "the server does not learn of the tasks")
    assert set(found) == {f"{task}@{FAMILY}" for task in tasks}
