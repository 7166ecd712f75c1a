"""A Prefect server that freezes or dies in mid-run.

The run goes on, the model is registered, its end is told truthfully.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from mini import PATIENCE_S, gone, set_param, started, wait_for
from processes import clean_environment, prefect_server_process, until

from bench.game_day.project import FAMILY, make_template

GONE = "does not answer any more"

# The command line on the miniature project, which has nothing to fetch and nothing to register.
STAGES_ONLY = """
from cli import main as cli
from cli.show import progress_display
from flows import servers

def stages_only(families, answer):
    with servers.api(), progress_display() as on_event:
        from flows import retrain
        try:
            answer.append(retrain.run(families, on_event, only_stages=True))
        except retrain.RetrainError as error:
            answer.append(error.outcome)
            return error

cli.run_flow = stages_only
cli.main()
"""


@dataclass(frozen=True)
class Server:
    """A Prefect server of our own, which may be stopped and continued."""

    url: str
    process: subprocess.Popen[bytes]

    def freeze(self) -> None:
        """Stop the process; its port goes on taking connections."""
        self.process.send_signal(signal.SIGSTOP)
        frozen = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
        until(lambda: psutil.Process(self.process.pid).status() in frozen, "it is not stopped")

    def ask(self, path: str, **body: Any) -> list[dict[str, Any]]:
        """Return what the server answers to a question of its API."""
        answer = httpx.post(f"{self.url}/api/{path}", json=body, timeout=300)
        return list(answer.raise_for_status().json())


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("frozen")
    with prefect_server_process(home, clean_environment(home)) as (url, process):
        yield Server(url, process)


@pytest.fixture
def server(one_server: Server) -> Iterator[Server]:
    yield one_server
    one_server.process.send_signal(signal.SIGCONT)


def beauty(project: Path, api: str | None, *arguments: str) -> Any:
    """Start the command line beside the block, with the server ``api`` or one of its own."""
    environment = clean_environment(project / ".beauty/prefect")
    if api:
        environment["PREFECT_API_URL"] = api
    return started([sys.executable, "-c", STAGES_ONLY, *arguments], environment)


def test_a_server_that_freezes_in_mid_run_costs_no_model(server: Server, tmp_path: Path) -> None:
    project = make_template(tmp_path / "project")
    project.extra["PREFECT_API_URL"] = f"{server.url}/api"
    try:
        run = project.start("retrain", FAMILY)
        project.wait_for_stage("ingest", run)
        server.freeze()
        finished = project.finish(run)
        assert finished.code == 0, finished.output
        assert f"warning: the Prefect server at {server.url}/api {GONE}" in finished.output
        assert f"{FAMILY} version 1" in finished.output and "Traceback" not in finished.output
        [version] = project.versions()
        assert version["aliases"] == ["champion"]
        assert project.processes() == []
    finally:
        project.kill_all()


def test_a_frozen_server_makes_no_failure_a_success(server: Server, project: Path) -> None:
    set_param("lips", "ingest", until="go", mistake="no such file; fetch it")
    with beauty(project, f"{server.url}/api", "retrain", "lips") as run:
        wait_for("runs.txt")
        server.freeze()
        Path("go").write_text("go")
        out, errors = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 1, errors
    assert GONE in errors and "error: ingest@lips: error: no such file; fetch it" in errors
    assert "Failed" in out and "NotRun" in out


def test_ctrl_c_ends_a_run_whose_server_is_frozen(server: Server, project: Path) -> None:
    set_param("lips", "ingest", until="never")
    with beauty(project, f"{server.url}/api", "retrain", "lips") as run:
        wait_for("runs.txt")
        family = psutil.Process(run.pid).children(recursive=True)
        server.freeze()
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=PATIENCE_S)
    assert run.returncode not in (0, -signal.SIGKILL)
    assert len(family) >= 2 and all(gone(process.pid) for process in family)


def test_a_server_that_comes_back_is_told_the_rest(server: Server, project: Path) -> None:
    set_param("nails", "ingest", until="go")
    set_param("nails", "pretrain", until="gone")
    with beauty(project, f"{server.url}/api", "retrain", "nails") as run:
        wait_for("runs.txt")
        server.freeze()
        Path("go").write_text("go")
        until(lambda: "pretrain@nails" in Path("runs.txt").read_text(), "pretrain does not begin")
        server.process.send_signal(signal.SIGCONT)
        Path("gone").write_text("gone")
        out, errors = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 0 and GONE not in errors, errors
    [mine] = [
        run for run in server.ask("flow_runs/filter") if run["parameters"]["families"] == ["nails"]
    ]
    assert mine["state_name"] == "Completed"

    def states() -> dict[str, str] | None:
        """Return the states of the tasks once the server, which lags behind, has them all."""
        tasks = server.ask("task_runs/filter", flow_runs={"id": {"any_": [mine["id"]]}})
        found = {task["name"]: task["state_name"] for task in tasks}
        return found if list(found.values()) == ["Completed", "Completed"] else None

    told = until(states, "the server does not learn of the tasks")
    assert set(told) == {"ingest@nails", "pretrain@nails"}


def test_a_temporary_server_that_is_killed_ends_no_run(project: Path) -> None:
    set_param("lips", "ingest", until="go")
    with beauty(project, None, "retrain", "lips") as run:
        wait_for("runs.txt")
        family = psutil.Process(run.pid).children(recursive=True)
        [held, temporary] = [one for one in family if "flows.server" in one.cmdline()]
        assert temporary.ppid() == held.pid
        temporary.kill()
        Path("go").write_text("go")
        out, errors = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 0, errors
    assert GONE in errors and out.count("Completed") == 2


def test_a_server_that_freezes_before_the_run_begins_is_told(server: Server, project: Path) -> None:
    """Frozen right after it was looked at: nothing begins, and the command ends with the reason."""
    script = STAGES_ONLY.replace(
        "from flows import retrain\n",
        "from flows import local, retrain; import os, signal\n"
        "        local.BEGIN_S = 1.0\n"
        f"        os.kill({server.process.pid}, signal.SIGSTOP)\n",
    )
    environment = clean_environment(project / ".beauty/prefect")
    environment["PREFECT_API_URL"] = f"{server.url}/api"
    with started([sys.executable, "-c", script, "retrain"], environment) as run:
        _, errors = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 1
    assert "error: the Prefect server at" in errors and "before the run began" in errors
    assert not Path("runs.txt").exists()
