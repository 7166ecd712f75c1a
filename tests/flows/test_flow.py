"""The flow and ``dvc repro`` are two runners of one graph.

Whatever one does, the other finds done.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from flow_runs import SCRIPT, flow, states
from mini import PATIENCE_S, dvc, gone, runs, set_param, started, wait_for

FAMILIES = ["lips", "nails"]
UP_TO_DATE = "Data and pipelines are up to date."
pytestmark = pytest.mark.usefixtures("prefect_server")


def all_are(state: str) -> dict[str, str]:
    return {f"{stage}@{family}": state for stage in ("ingest", "pretrain") for family in FAMILIES}


def test_flow_leaves_what_repro_leaves(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(project, tmp_path / "other")
    assert flow() == all_are("Completed")
    assert dvc("status").strip() == UP_TO_DATE
    assert "Running stage" not in dvc("repro")
    assert flow() == all_are("Skipped")
    assert len(runs()) == 4
    lock, ours = (
        yaml.safe_load(Path("dvc.lock").read_text()),
        sorted(str(p) for p in Path().glob("build/**/*")),
    )
    monkeypatch.chdir(tmp_path / "other")
    dvc("repro", "-q")
    assert yaml.safe_load(Path("dvc.lock").read_text()) == lock
    assert sorted(str(p) for p in Path().glob("build/**/*")) == ours


def test_each_runner_sees_the_changes_and_the_work_of_the_other(project: Path) -> None:
    dvc("repro", "-q")
    assert flow() == all_are("Skipped")
    set_param("lips", "ingest", n=5)
    assert flow() == {
        **all_are("Skipped"),
        "ingest@lips": "Completed",
        "pretrain@lips": "Completed",
    }
    set_param("nails", "pretrain", n=5)
    dvc("repro", "-q")
    assert flow() == all_are("Skipped")
    set_param("lips", "ingest", n=1)
    set_param("nails", "pretrain", n=1)
    assert flow() == {**all_are("Restored"), "ingest@nails": "Skipped"}
    assert dvc("status").strip() == UP_TO_DATE
    assert len(runs()) == 4 + 2 + 1


def test_raw_data_changed_by_hand_is_taken_in_as_repro_does(project: Path) -> None:
    flow()
    (project / "data/raw/lips/x").write_text("gloss")
    assert flow() == {
        **all_are("Skipped"),
        "data/raw/lips.dvc@lips": "Completed",
        "ingest@lips": "Completed",
        "pretrain@lips": "Completed",
    }
    assert dvc("status").strip() == UP_TO_DATE


def test_a_family_trains_while_another_one_s_data_are_fetched(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import prefect_tasks
    from flows.retrain import run
    from tasks.registry import connection

    def fetch(family: str, on_line: Any) -> bool:
        # As from a slow bucket: the other one's last stage is done before these data are there.
        if family == "nails":
            wait_for("metrics/lips/pretrain.json")
        return True

    monkeypatch.setattr(prefect_tasks, "fetch", fetch)
    monkeypatch.setattr(prefect_tasks, "register", lambda family, flow_run: None)
    monkeypatch.setattr(connection, "check_reachable", lambda: None)
    assert states(run(None, lambda *event: None)) == all_are("Completed")
    assert runs()[:2] == ["ingest@lips", "pretrain@lips"]


def test_a_failure_stops_its_family_only_and_prefect_shows_it(
    project: Path, prefect_server: str
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.sorting import FlowRunSort

    from flows.retrain import RetrainError

    set_param("lips", "ingest", mistake="no such file; fetch it")
    events: list[tuple[str, str, str, Any]] = []
    with pytest.raises(
        RetrainError, match="^ingest@lips: error: no such file; fetch it$"
    ) as failed:
        flow(lambda *event: events.append(event))
    assert states(failed.value.outcome) == {
        **all_are("Completed"),
        "ingest@lips": "Failed",
        "pretrain@lips": "NotRun",
    }
    ends = {
        (stage, family): payload["state"]
        for kind, stage, family, payload in events
        if kind == "end"
    }
    assert ends == {
        ("ingest", "lips"): "Failed",
        ("ingest", "nails"): "Completed",
        ("pretrain", "nails"): "Completed",
    }
    assert ("progress", "pretrain", "nails", {"share": 0.5, "text": "pretrain: half"}) in events
    set_param("lips", "ingest", mistake=None)
    with _limit(
        prefect_server, "gpu"
    ):  # a tag without a limit is not borne: it would cost a request
        flow()
    with get_client(sync_client=True) as client:
        last, before = client.read_flow_runs(limit=2, sort=FlowRunSort.START_TIME_DESC)
    assert (before.state_name, last.state_name) == ("Failed", "Completed")
    tasks = _post(
        prefect_server, "task_runs/filter", {"flow_runs": {"id": {"any_": [str(last.id)]}}}
    )
    assert {t["name"]: (t["state_name"], t["tags"]) for t in tasks} == {
        "ingest@lips": ("Completed", []),
        "pretrain@lips": ("Completed", ["gpu"]),
        "ingest@nails": ("Skipped", []),
        "pretrain@nails": ("Skipped", []),
    }
    both = {"flow_runs": {"id": {"any_": [str(before.id), str(last.id)]}}}
    artifacts = _post(prefect_server, "artifacts/filter", both)
    keys = [a["key"] for a in artifacts if a["key"]]  # without one are results, which no page shows
    # a bar per family and run in which something ran, whatever the number of its stages
    assert sorted(keys) == ["progress-lips"] * 2 + ["progress-nails"] + ["retrain"] * 2


@contextmanager
def _limit(server: str, tag: str) -> Iterator[None]:
    import httpx

    _post(server, "concurrency_limits/", {"tag": tag, "concurrency_limit": 1})
    try:
        yield
    finally:
        httpx.delete(f"{server}/concurrency_limits/tag/{tag}", timeout=300).raise_for_status()


def _post(server: str, path: str, body: dict[str, Any]) -> Any:
    import httpx

    return httpx.post(f"{server}/{path}", json=body, timeout=300).raise_for_status().json()


def started_flow(server: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """Run the flow in a process of its own beside the block."""
    return started([sys.executable, "-c", SCRIPT], {**os.environ, "PREFECT_API_URL": server})


def test_two_flows_at_once_lose_nothing_and_run_no_stage_twice(
    project: Path, prefect_server: str
) -> None:
    for family in FAMILIES:
        set_param(family, "ingest", sleep=1)
    outcomes = []
    with started_flow(prefect_server) as one, started_flow(prefect_server) as other:
        for process in (one, other):
            out, errors = process.communicate(timeout=PATIENCE_S)
            assert process.returncode == 0, errors
            outcomes.append(states(json.loads(out)))
    for name in all_are(""):
        assert sorted(outcome[name] for outcome in outcomes) == ["Completed", "Skipped"]
    assert sorted(runs()) == sorted(all_are(""))
    assert dvc("status").strip() == UP_TO_DATE


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_flow_leaves_no_process(
    project: Path, prefect_server: str, how: signal.Signals
) -> None:
    set_param("lips", "ingest", sleep=600)
    with started_flow(prefect_server) as process:
        wait_for("runs.txt")
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 2  # dvc and the stage
        process.send_signal(how)
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode not in (0, -signal.SIGKILL)
    assert all(gone(child.pid) for child in children)


def test_a_run_cancelled_in_the_ui_stops(project: Path, prefect_server: str) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.sorting import FlowRunSort
    from prefect.states import Cancelling

    set_param("lips", "ingest", sleep=600)
    with started_flow(prefect_server) as process:
        wait_for("runs.txt")
        with get_client(sync_client=True) as client:
            current = client.read_flow_runs(limit=1, sort=FlowRunSort.START_TIME_DESC)[0]
            client.set_flow_run_state(current.id, Cancelling(), force=True)
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode not in (0, -signal.SIGKILL)


def test_a_lost_place_under_a_deployment_s_limit_ends_no_run(project: Path) -> None:
    """Prefect cancels the thread of a run whose place it could not renew, as here.

    Its work goes on.
    """
    import logging

    from prefect._internal.concurrency.cancellation import WatcherThreadCancelScope

    from flows.retrain import retrain

    told = threading.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "did not renew" in record.getMessage():
                told.set()

    def lose(scope: WatcherThreadCancelScope) -> None:
        wait_for("runs.txt")
        scope.cancel()
        told.wait(PATIENCE_S)
        Path("go").write_text("go")

    set_param("lips", "ingest", until="go")
    listener, logger = Listener(), logging.getLogger("prefect.flow_runs")
    logger.addHandler(listener)
    try:
        with WatcherThreadCancelScope() as scope:
            losing = threading.Thread(target=lose, args=(scope,))
            losing.start()
            outcome = retrain(only_stages=True)
    finally:
        logger.removeHandler(listener)
        losing.join()
    assert told.is_set()
    assert states(outcome) == all_are("Completed")
    assert dvc("status").strip() == UP_TO_DATE
