"""The recipe of docs/prefect.md for killed workers.

A run whose heartbeats stop is marked Crashed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx
from processes import ROOT, clean_environment, prefect_server, running, until

FLOW = """
import time
from prefect import flow

@flow
def sleeper():
    time.sleep(3600)

sleeper()
"""


def test_a_run_without_heartbeat_is_crashed_by_the_documented_automation(tmp_path: Path) -> None:
    page = (ROOT / "docs/prefect.md").read_text(encoding="utf-8")
    recipe = re.search(r"<<'YAML'\n(.*?)^YAML$", page, flags=re.DOTALL | re.MULTILINE)
    assert recipe and "PREFECT_FLOWS_HEARTBEAT_FREQUENCY=30" in page
    file = tmp_path / "zombies.yaml"
    file.write_text(recipe.group(1), encoding="utf-8")
    home = tmp_path / "prefect"
    env = clean_environment(home)
    with prefect_server(home, env) as server:
        env |= {"PREFECT_API_URL": f"{server}/api", "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
        create = ["automation", "create", "--from-file", str(file)]
        subprocess.run([sys.executable, "-m", "prefect", *create], env=env, check=True, timeout=600)

        def state() -> str | None:
            answer = httpx.post(f"{server}/api/flow_runs/filter", json={}, timeout=300)
            runs = answer.raise_for_status().json()
            return runs[0]["state_name"] if runs else None

        def has_a_heartbeat() -> bool:
            wanted = {"event": {"prefix": ["prefect.flow-run.heartbeat"]}}
            answer = httpx.post(f"{server}/api/events/filter", json={"filter": wanted}, timeout=300)
            return answer.raise_for_status().json()["total"] > 0

        with running([sys.executable, "-c", FLOW], tmp_path / "flow.log", env) as flow:
            until(has_a_heartbeat, "the run sends no heartbeat", every_s=1)
            assert state() == "Running"
            flow.kill()
            flow.wait()
            until(lambda: state() == "Crashed", "the killed run is not Crashed", every_s=2)
