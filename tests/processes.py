"""What tests of real servers share: free ports, processes that always end, waiting for events."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import httpx
from mini import PATIENCE_S

from flows.settings import free_port

T = TypeVar("T")

ROOT = Path(__file__).parent.parent


def until(
    event: Callable[[], T | None], what: str, seconds: float = PATIENCE_S, every_s: float = 0.2
) -> T:
    """Ask ``event`` again and again until it returns something; ``what`` names it when it fails."""
    deadline = time.monotonic() + seconds
    while not (value := event()):
        assert time.monotonic() < deadline, f"after {seconds:g} s: {what}"
        time.sleep(every_s)
    return value


def _end_group(process: subprocess.Popen[bytes], grace_s: float = 30.0) -> None:
    """TERM for the leader, so that it can end its children.

    KILL for whatever is left of its group.
    """
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)  # a process that a test stopped takes TERM only then
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=grace_s)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def running(
    command: list[str], log: Path, env: Mapping[str, str], cwd: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``command`` in a process group of its own while the block runs.

    Its output goes to ``log``.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            _end_group(process)


def clean_environment(home: Path) -> dict[str, str]:
    """Return the environment without the test session's own Prefect settings.

    State lies in ``home``.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
    return {**environment, "PREFECT_HOME": str(home), "PYTHONPATH": str(ROOT)}


@contextmanager
def prefect_server(home: Path, env: Mapping[str, str], *arguments: str) -> Iterator[str]:
    """Serve our Prefect server (`flows.server`) from ``home`` on a free port; yield its address.

    Its output lies in ``home/server.log``.
    """
    with prefect_server_process(home, env, *arguments) as (url, _):
        yield url


@contextmanager
def prefect_server_process(
    home: Path, env: Mapping[str, str], *arguments: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """As `prefect_server`; yield its process as well."""
    home.mkdir(parents=True, exist_ok=True)
    port, log = free_port(), home / "server.log"
    command = [sys.executable, "-m", "flows.server", "--port", str(port), *arguments]
    url = f"http://127.0.0.1:{port}"
    with running(command, log, env, cwd=home) as process:

        def healthy() -> bool:
            assert process.poll() is None, log.read_text(errors="replace")
            with suppress(httpx.HTTPError):
                return httpx.get(f"{url}/api/health", timeout=30).status_code == 200
            return False

        until(healthy, "the Prefect server does not come up")
        yield url, process


@contextmanager
def deaf_server() -> Iterator[int]:
    """Listen on a port, take connections, and never say a word; yield the port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken: list[socket.socket] = []

        def take() -> None:
            try:
                while True:
                    taken.append(listener.accept()[0])
            except OSError:
                return

        threading.Thread(target=take, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            for connection in taken:
                connection.close()
