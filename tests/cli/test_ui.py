"""The pages: both are served on the ports asked for, know their server, end with the command."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import httpx
import psutil
from mini import gone
from processes import PATIENCE_S, running, until

from flows.settings import free_port


def test_pages_on_other_ports_ask_the_server_on_those_ports(project: Path) -> None:
    prefect, mlflow = free_port(), free_port()
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PREFECT_HOME", "PREFECT_API_URL", "PREFECT_UI_API_URL")
    }
    command = [
        sys.executable,
        "-m",
        "cli.ui",
        "--prefect-port",
        str(prefect),
        "--mlflow-port",
        str(mlflow),
    ]
    file = project / ".beauty/ui.json"
    log = project / "ui.log"
    with running(command, log, environment) as process:

        def stated() -> Any:
            assert process.poll() is None, log.read_text()
            return json.loads(file.read_text()) if file.exists() else None

        urls = until(stated, "the pages do not come up")
        assert urls["prefect"] == f"http://127.0.0.1:{prefect}"
        assert urls["mlflow"] == f"http://127.0.0.1:{mlflow}"
        settings = httpx.get(f"{urls['prefect']}/ui-settings", timeout=300).json()
        assert settings["api_url"] == "/api"  # of whatever address the page has
        assert httpx.get(urls["mlflow"], timeout=300).status_code == 200
        for server in (urls["prefect"], urls["mlflow"]):
            evil = {"origin": "http://evil.example"}
            refused = httpx.post(f"{server}/api/flows/filter", json={}, headers=evil, timeout=300)
            assert refused.status_code == 403, server
            assert "access-control-allow-origin" not in refused.headers
            rebound = httpx.get(server, headers={"host": "evil.example"}, timeout=300)
            assert rebound.status_code == 403, server
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 2
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=PATIENCE_S)
        assert all(gone(child.pid) for child in children)
    assert not file.exists()
