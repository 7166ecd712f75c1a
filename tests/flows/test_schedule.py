"""A schedule fires: the repository's deployments, a real server, a real worker, the whole chain.

The server is asked for nothing but what a user asks: ``prefect deploy --all`` with prefect.yaml as
it is, a schedule of some seconds beside the weekly one, a worker. Then a run must be scheduled,
picked up, cloned, carried out and registered without anybody starting it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import postgres
import pytest
import yaml
from processes import ROOT, clean_environment, prefect_server, running, until

from beauty_models import families

EVERY_S = 20  # of the schedule that is added beside the weekly one
FAMILY = "sentiment"
ENDED = ("Completed", "Failed", "Crashed")


def repository(folder: Path) -> Path:
    """Make a git repository of this project as a user may have it.

    It has one family on the toy set, a DVC remote.
    """
    folder.mkdir()
    for name in ("params.yaml", "dvc.yaml", "prefect.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("profiles", "beauty_models", "tasks", "flows", ".dvc"):
        unwanted = shutil.ignore_patterns("__pycache__", "cache", "tmp", "config.local")
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    edit = f"from cli import edit; edit.apply(edit.from_profile('toy', ['{FAMILY}']))"
    run([sys.executable, "-c", edit], folder)
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    params["families"] = {FAMILY: params["families"][FAMILY]}
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    remote = str(folder.with_name("dvc-remote"))
    run(["git", "init", "-q", "-b", "main"], folder)
    run([sys.executable, "-m", "dvc", "remote", "add", "-q", "-d", "shared", remote], folder)
    run(["git", "add", "."], folder)
    run(["git", "-c", "user.name=x", "-c", "user.email=x@y", "commit", "-qm", "start"], folder)
    return folder


def run(command: list[str], folder: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=env or {**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Site:
    """What a user has: a server, its log, a repository and the environment of the commands."""

    server: str
    log: Path
    repository: Path
    env: dict[str, str]

    def prefect(self, *arguments: str) -> str:
        """Run Prefect's command line in the repository."""
        command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
        return run(command, self.repository, self.env)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Ask the server's API."""
        answer = httpx.post(f"{self.server}/api/{path}", json=body, timeout=300)
        return answer.raise_for_status().json()

    def flow_runs(self, deployment: str, *states: str) -> list[Any]:
        """Return the runs of a deployment that are in one of ``states``."""
        return self.post(
            "flow_runs/filter",
            {
                "deployments": {"name": {"any_": [deployment]}},
                "flow_runs": {"state": {"name": {"any_": list(states)}}},
            },
        )


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """Run a server on a new database of either kind; nothing is deployed yet."""
    home = tmp_path / "prefect"
    env = clean_environment(home)
    # Found by `git` and by the worker's flow runs, which are started as `python`.
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    with ExitStack() as stack:
        if request.param == "postgresql":
            if why := postgres.missing():
                pytest.skip(why)
            database = stack.enter_context(postgres.cluster())
            env["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database
        server = stack.enter_context(prefect_server(home, env))
        source = repository(tmp_path / "repository")
        env["PREFECT_API_URL"] = f"{server}/api"
        env["BEAUTY_REPOSITORY"] = str(source)
        env["MLFLOW_TRACKING_URI"] = f"sqlite:///{tmp_path / 'mlflow.db'}"
        yield Site(server, home / "server.log", source, env)


def test_a_schedule_fires_by_itself_and_a_worker_brings_it_to_its_end(
    site: Site, tmp_path: Path
) -> None:
    site.prefect("work-pool", "create", "--type", "process", "gpu")
    site.prefect("deploy", "--all")
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    scheduled = [row["name"] for row in deployments if row.get("schedules")]
    assert {"weekly", "nightly"} <= set(scheduled)
    for name in scheduled:
        until(lambda name=name: site.flow_runs(name, "Scheduled"), f"{name} is not Scheduled")

    site.prefect("deployment", "schedule", "create", "retrain/weekly", "--interval", str(EVERY_S))
    worker = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "gpu", "--limit", "1"]
    log = tmp_path / "worker.log"
    with running(worker, log, site.env, cwd=tmp_path):
        until(
            lambda: site.flow_runs("weekly", "Running", *ENDED),
            "no run of the schedule began",
            every_s=1,
        )
        # Enough was seen of the clock; what is due meanwhile would only be cancelled.
        site.prefect("deployment", "schedule", "pause", "--all")
        ended = until(
            lambda: site.flow_runs("weekly", *ENDED),
            "no run of the schedule came to its end",
            seconds=1800,
            every_s=1,
        )
    first = min(ended, key=lambda run: run["end_time"])
    assert first["state_name"] == "Completed", log.read_text(errors="replace")[-5000:]
    assert first["auto_scheduled"], "nobody started it"
    tasks = site.post("task_runs/filter", {"flow_runs": {"id": {"any_": [first["id"]]}}})
    chain = ["fetch", *families.stages(FAMILY), "register"]
    expected = {**{f"{verb}@{FAMILY}": "Completed" for verb in chain}, "pull": "Completed"}
    assert {t["name"]: t["state_name"] for t in tasks} == {**expected, "push": "Completed"}
    models = run([sys.executable, "-m", "cli.main", "models", "--json"], site.repository, site.env)
    assert f'"family": "{FAMILY}"' in models
    assert any((tmp_path / "dvc-remote").rglob("*")), "the results went to the DVC remote"
    assert server_errors(site.log.read_text(errors="replace")) == []


def server_errors(log: str) -> list[str]:
    """Return the errors of a server's log.

    SQLite answers "database is locked" when two of Prefect's transactions meet; its client asks
    again, and it is no error of the scheduler.
    """
    records = re.split(r"^(?=\d\d:\d\d:\d\d\.\d+ \||INFO: )", log, flags=re.MULTILINE)
    wrong = [record for record in records if "| ERROR" in record or "Traceback" in record]
    return [record for record in wrong if "database is locked" not in record]
