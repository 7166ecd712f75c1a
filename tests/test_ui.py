"""The pages: both are served on the ports that were asked for, know where their own server is, and end with the command."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


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
        "flows.ui",
        "--prefect-port",
        str(prefect),
        "--mlflow-port",
        str(mlflow),
    ]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    file, until = project / ".beauty/ui.json", time.monotonic() + 200
    try:
        while not file.exists():
            assert process.poll() is None and time.monotonic() < until, "the pages do not come up"
            time.sleep(0.3)
        stated = json.loads(file.read_text())
        assert (
            stated["prefect"] == f"http://127.0.0.1:{prefect}"
            and stated["mlflow"] == f"http://127.0.0.1:{mlflow}"
        )
        with urllib.request.urlopen(f"{stated['prefect']}/ui-settings", timeout=30) as answer:
            assert json.load(answer)["api_url"] == "/api"  # of whatever address the page has
        with urllib.request.urlopen(stated["mlflow"], timeout=30) as answer:
            assert answer.status == 200
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert not file.exists()
