"""Where Prefect keeps its things for this project.

It must be said before Prefect is imported, which reads the environment once: `flows.prefect_api`.
"""

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
# A module of Prefect's server: slots of limited tags survive its restart, those in memory do not.
LEASE_STORAGE = "prefect.server.concurrency.lease_storage.filesystem"


def is_listening(url: str) -> bool:
    """Return whether something listens at the address ``url``."""
    address = urlsplit(url)
    endpoint = (address.hostname or "127.0.0.1", address.port or 80)
    with suppress(OSError), socket.create_connection(endpoint, timeout=0.5):
        return True
    return False


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def keep_loopback_off_proxies() -> None:
    """Have this process and its children reach this machine's own servers without a proxy.

    An office proxy cannot reach our 127.0.0.1. pip, git and S3 go on using it.
    """
    for name in ("no_proxy", "NO_PROXY"):
        # Programs read the one or the other: what a person set in one of them goes for both.
        set_by_user = os.environ.get(name) or os.environ.get("no_proxy")
        names = set_by_user or os.environ.get("NO_PROXY", "")
        hosts = [host.strip() for host in names.split(",") if host.strip()]
        missing = [host for host in LOOPBACK if host not in hosts and "*" not in hosts]
        os.environ[name] = ",".join([*hosts, *missing])


def running_ui(project: Path = Path()) -> dict[str, str]:
    """Return the addresses (``prefect``, ``mlflow``) of the UI that `cli.ui` runs in ``project``.

    Nothing when none runs: the file of one that was killed stays.
    """
    with suppress(OSError, ValueError, KeyError):
        noted = json.loads((project / UI_FILE).read_text(encoding="utf-8"))
        os.kill(noted["pid"], 0)  # signal 0 only asks whether the process lives
        if is_listening(noted["prefect"]):
            return {"prefect": noted["prefect"], "mlflow": noted["mlflow"]}
    return {}


def configure() -> None:
    """Set the environment that Prefect reads, where it is not set already.

    To be called before ``import prefect``, see `flows.prefect_api`.
    """
    defaults = {
        "PREFECT_HOME": str((STATE / "prefect").absolute()),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": LEASE_STORAGE,
        "DO_NOT_TRACK": "1",
    }
    keep_loopback_off_proxies()
    private_folder(STATE)
    if "PREFECT_API_URL" not in os.environ and (ui := running_ui()):
        defaults["PREFECT_API_URL"] = f"{ui['prefect']}/api"
        # So that an error can name where the address comes from.
        defaults["BEAUTY_API_FROM_UI"] = defaults["PREFECT_API_URL"]
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    # Prefect makes only the last folder.
    Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)
