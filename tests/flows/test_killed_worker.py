"""A worker that is killed takes its flow, dvc and the stage with it.

The run ends as Crashed and a next one goes on.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
from mini import PATIENCE_S, dvc, gone, runs, set_param
from processes import ROOT, clean_environment, prefect_server, running, until

from tasks.pipeline.graph import graph
from tasks.pipeline.update import update_stage

DEPLOYMENT = """
name: mini
pull:
  - prefect.deployments.steps.set_working_directory: {{directory: {project}}}
deployments:
  - name: mini
    entrypoint: flows/retrain.py:retrain
    parameters: {{only_stages: true}}
    work_pool: {{name: gpu}}
"""


def test_kill_minus_nine_of_the_worker_ends_flow_dvc_and_stage(
    project: Path, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "flows", project / "flows")
    (project / "prefect.yaml").write_text(DEPLOYMENT.format(project=project))
    set_param("lips", "ingest", until="go")
    home = tmp_path / "prefect"
    env = clean_environment(home)
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    with prefect_server(home, env) as server:
        env["PREFECT_API_URL"] = f"{server}/api"

        def prefect(*arguments: str) -> None:
            command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
            subprocess.run(command, cwd=project, env=env, check=True, timeout=600)

        def states() -> list[str]:
            answer = httpx.post(f"{server}/api/flow_runs/filter", json={}, timeout=300)
            return [run["state_name"] for run in answer.raise_for_status().json()]

        prefect("work-pool", "create", "--type", "process", "gpu")
        prefect("deploy", "--all")
        prefect("deployment", "run", "retrain/mini")
        log = tmp_path / "worker.log"
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "gpu"]
        with running(command, log, env, cwd=tmp_path) as worker:
            until(lambda: "ingest@lips" in runs(), "the stage does not begin")
            family = psutil.Process(worker.pid).children(recursive=True)
            words = [" ".join(process.cmdline()) for process in family]
            for what in ("prefect", "dvc", "work.py"):
                assert any(what in line for line in words), words
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            assert all(gone(process.pid) for process in family), log.read_text(errors="replace")
        until(lambda: states() == ["Crashed"], "the run is not Crashed")
        answer = httpx.post(f"{server}/api/logs/filter", json={}, timeout=300).raise_for_status()
        assert any(
            "worker that started this run is gone" in line["message"] for line in answer.json()
        )
    Path("go").write_text("go")
    # No lock of the dead stands in its way, nor a dvc.lock that the kill left half-written.
    for stage in graph(["lips", "nails"]).values():
        update_stage(stage, PATIENCE_S, print)
    assert dvc("status").strip() == "Data and pipelines are up to date."
