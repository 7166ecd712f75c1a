"""Small steps that the tests of stages and flows share.

They act on the project in the current folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import yaml

PATIENCE_S = 600.0  # a limit for what never comes; what does come is not waited for any longer


def set_param(family: str, stage: str, **values: Any) -> None:
    """Change the block of a stage in params.yaml; None takes a key away."""
    content = yaml.safe_load(Path("params.yaml").read_text())
    block = {**content["families"][family][stage], **values}
    content["families"][family][stage] = {
        key: value for key, value in block.items() if value is not None
    }
    Path("params.yaml").write_text(yaml.safe_dump(content))


def dvc(*arguments: str) -> str:
    """Run DVC's command line and return what it printed."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    ).stdout


def runs() -> list[str]:
    """Return the stages that really ran so far, in order."""
    file = Path("runs.txt")
    return file.read_text().split() if file.exists() else []


def wait_for(file: str, seconds: float = PATIENCE_S) -> None:
    """Wait until ``file`` has something in it."""
    until = time.monotonic() + seconds
    while not (Path(file).exists() and Path(file).stat().st_size):
        assert time.monotonic() < until, f"{file} did not appear"
        time.sleep(0.05)


def gone(pid: int, seconds: float = PATIENCE_S) -> bool:
    """Return whether the process ends within ``seconds`` (a zombie that nobody collects has)."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.05)
                continue
        return True
    return False


@contextmanager
def started(
    command: list[str], env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run ``command`` beside the block; when the block ends it is gone and its pipes closed.

    A pipe left open by a test that failed is a ResourceWarning in some test that comes later.
    """
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                kill_tree(process.pid)
                process.communicate()


def kill_tree(pid: int) -> None:
    """KILL the process and all that descends from it."""
    with suppress(psutil.NoSuchProcess):
        top = psutil.Process(pid)
        for process in [*top.children(recursive=True), top]:
            with suppress(psutil.NoSuchProcess):
                process.kill()


def kill_all_in(folder: Path) -> None:
    """KILL every process but this one whose current folder is ``folder`` or one below it."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and Path(process.cwd()).is_relative_to(folder):
                process.kill()
