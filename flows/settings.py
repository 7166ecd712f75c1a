"""Where Prefect keeps its things for this project, said before Prefect is imported: it reads the environment once."""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from beauty_models.files import private_folder
from tasks.state import STATE

UI_FILE = STATE / "ui.json"

LOOPBACK = ("127.0.0.1", "localhost", "::1")
LEASES = (
    "prefect.server.concurrency.lease_storage.filesystem"  # slots survive a restart of the server
)


def answers(url: str) -> bool:
    """Return whether something listens at the address ``url``."""
    address = urlsplit(url)
    with (
        suppress(OSError),
        socket.create_connection(
            (address.hostname or "127.0.0.1", address.port or 80), timeout=0.5
        ),
    ):
        return True
    return False


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def keep_loopback_off_proxies() -> None:
    """Have this process and its children reach this machine's own servers directly, whatever proxy is set.

    An office proxy cannot reach our 127.0.0.1. pip, git and S3 go on using it.
    """
    for name in ("no_proxy", "NO_PROXY"):
        named = os.environ.get(name) or os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")
        hosts = [host.strip() for host in named.split(",") if host.strip()]
        missing = [host for host in LOOPBACK if host not in hosts and "*" not in hosts]
        os.environ[name] = ",".join([*hosts, *missing])


def running_ui(project: Path = Path()) -> dict[str, str]:
    """Return the addresses (``prefect``, ``mlflow``) of the UI that `cli.ui` runs in ``project``, or nothing when none does."""
    with suppress(OSError, ValueError, KeyError):
        written = json.loads((project / UI_FILE).read_text(encoding="utf-8"))
        os.kill(written["pid"], 0)
        if answers(written["prefect"]):
            return {"prefect": written["prefect"], "mlflow": written["mlflow"]}
    return {}


def configure() -> None:
    """Set the environment that Prefect reads, where it is not set already; call it before ``import prefect``."""
    defaults = {
        "PREFECT_HOME": str((STATE / "prefect").absolute()),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": LEASES,
        "DO_NOT_TRACK": "1",
    }
    keep_loopback_off_proxies()
    private_folder(STATE)
    if "PREFECT_API_URL" not in os.environ and (ui := running_ui()):
        defaults["PREFECT_API_URL"] = f"{ui['prefect']}/api"
        defaults["BEAUTY_API_FROM_UI"] = defaults["PREFECT_API_URL"]  # an error names its source
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    Path(os.environ["PREFECT_HOME"]).mkdir(
        parents=True, exist_ok=True
    )  # Prefect makes only the last folder
