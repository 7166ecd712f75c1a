"""Which Prefect server a run talks to: the one somebody configured, or one of its own.

Prefect itself waits up to two minutes for a server that is not there, does not say where the
address came from, and leaves its own temporary server running when its parent is killed. So a
configured address is asked within ten seconds, before anything starts, and the temporary server is
ours (`flows.server`), on a leash that ends it with us.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import ProxyHandler, build_opener

from flows.settings import UI_FILE, configure, free_port
from tasks import health
from tasks.pipeline import child
from tasks.secrets import redact
from tasks.state import STATE

DATABASE_BYTES = 1 << 20  # Prefect's new database takes more than one mebibyte
START_S = 300.0  # a new database takes half a minute on a slow machine


class Address(NamedTuple):
    """Where a server is, and what says so."""

    url: str
    source: str


def configured_api() -> Address | None:
    """Return the Prefect API that the settings name; None: nobody named one.

    Prefect says what it would use, but not where that comes from; so its places are read here, in
    its order.
    """
    if url := os.environ.get("PREFECT_API_URL"):
        if os.environ.get("BEAUTY_API_FROM_UI") == url:
            return Address(url, f"{UI_FILE}, which `make ui` wrote")
        return Address(url, "the environment variable PREFECT_API_URL")
    # Prefect reads it in small letters as well.
    for name, value in os.environ.items():
        if name.upper() == "PREFECT_API_URL" and value:
            return Address(value, f"the environment variable {name}")
    return (
        _in_dotenv()
        or _in_toml(Path("prefect.toml"), ("api", "url"))
        or _in_toml(Path("pyproject.toml"), ("tool", "prefect", "api", "url"))
        or _in_profile()
    )


def _in_dotenv() -> Address | None:
    with suppress(OSError):
        for line in Path(".env").read_text(encoding="utf-8").splitlines():
            name, _, value = line.strip().removeprefix("export ").partition("=")
            if name.strip() == "PREFECT_API_URL" and value.strip():
                return Address(value.strip().strip("'\""), "PREFECT_API_URL in the file .env")
    return None


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError):
        # Prefect itself tells what is wrong with it.
        return {}


def _in_toml(file: Path, keys: tuple[str, ...]) -> Address | None:
    value: Any = _read_toml(file)
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return Address(value, f"{'.'.join(keys)} in {file}") if isinstance(value, str) else None


def _in_profile() -> Address | None:
    home = Path(os.environ["PREFECT_HOME"])
    file = Path(os.environ.get("PREFECT_PROFILES_PATH") or home / "profiles.toml").expanduser()
    content = _read_toml(file)
    name = os.environ.get("PREFECT_PROFILE") or content.get("active")
    profile = content.get("profiles", {}).get(name, {})
    url = profile.get("PREFECT_API_URL") if isinstance(profile, dict) else None
    return Address(url, f"the profile {name!r} in {file}") if url else None


def api_problem(url: str) -> str | None:
    """Return what is wrong with the Prefect API ``url``; None: it answers, and in time."""
    return health.http_problem(f"{url.rstrip('/')}/health")


def check_api(address: Address) -> None:
    """Ask the Prefect server whether it is well.

    Raises:
        ValueError: it does not answer within `health.ANSWER_S` seconds; the message says where its
            address comes from.
    """
    if problem := api_problem(address.url):
        raise ValueError(
            f"the Prefect server at {redact(address.url)} {problem}. Its address comes from "
            f"{address.source}: start that server, or take the address away there, and the run "
            "brings a server of its own"
        )


@contextmanager
def api() -> Iterator[None]:
    """See to it that PREFECT_API_URL names a server that answers while the block runs.

    To be entered before Prefect is imported.

    Raises:
        ValueError: the configured server does not answer.
        RuntimeError: the temporary server does not come up; the message names its log.
    """
    configure()
    address = configured_api()
    if address:
        check_api(address)
        yield
        return
    # Prefect takes the address from the environment, when it is imported.
    with temporary_server() as url:
        os.environ["PREFECT_API_URL"] = url
        try:
            yield
        finally:
            del os.environ["PREFECT_API_URL"]


@contextmanager
def temporary_server() -> Iterator[str]:
    """Serve Prefect on a free port of this machine while the block runs; yield its API.

    The server ends at the latest with this process, however that dies.

    Raises:
        RuntimeError: it does not come up; the message names its log.
    """
    port = free_port()
    log = STATE / "logs" / "prefect-server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "flows.server", "--port", str(port)]
    with log.open("w", encoding="utf-8") as output:
        leashed = child.start(
            command, os.environ, grace_s=5.0, stdout=output, stderr=subprocess.STDOUT, text=True
        )
    try:
        url = f"http://127.0.0.1:{port}/api"
        _wait_until_well(url, leashed, log)
        yield url
    finally:
        leashed.terminate(5.0)
        leashed.leash.close()


def _wait_until_well(url: str, leashed: child.LeashedProcess, log: Path) -> None:
    # Never through a proxy: it is this machine.
    ask = build_opener(ProxyHandler({})).open
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and leashed.process.poll() is None:
        with suppress(OSError):
            ask(f"{url}/health", timeout=5).close()
            return
        time.sleep(0.1)
    problem = _start_problem(log)
    raise RuntimeError(f"Prefect's temporary server did not come up{problem}; its log is {log}")


def _start_problem(log: Path) -> str:
    """Return what is known of why a server did not start.

    That is a full disk, or the first error in its log.
    """
    for folder in (log.parent, Path(tempfile.gettempdir())):
        if shutil.disk_usage(folder).free < DATABASE_BYTES:
            return f": no space is left in {folder}"
    # The last line of Python's tracebacks.
    with suppress(OSError):
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
            if re.match(r"[\w.]+(Error|Exception): ", line):
                return f": {redact(line[:300])}"
    return ""
