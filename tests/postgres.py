"""A throw-away PostgreSQL cluster for tests; it refuses to be root, so a user runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.settings import free_port

PASSWORD = "not-a-secret"


def binaries() -> Path | None:
    """Return the folder of ``initdb`` and ``pg_ctl``, or None where PostgreSQL is not installed."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    if debian:
        return debian[-1].parent
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def _version(initdb: Path) -> float:
    number = initdb.parent.parent.name
    return float(number) if number.replace(".", "", 1).isdigit() else 0.0


def unprivileged() -> list[str] | None:
    """Return the beginning of a command that runs the rest as a user who is not root."""
    if os.geteuid() != 0:
        return []
    if not shutil.which("runuser"):
        return None
    for user in ("postgres", "nobody"):
        if subprocess.run(["id", user], capture_output=True).returncode == 0:
            return ["runuser", "-u", user, "--"]
    return None


def missing() -> str | None:
    """Return why no cluster can be started here, or None when one can."""
    if binaries() is None:
        return "PostgreSQL is not installed (apt-get install postgresql)"
    if unprivileged() is None:
        return "this is root, and there is no runuser to become somebody else"
    return None


@contextmanager
def cluster() -> Iterator[str]:
    """Run a new cluster while the block runs; yield the address that Prefect gets.

    The role ``prefect`` has a password, owns the database ``prefect`` and is no superuser, as in
    docs/prefect.md.
    """
    folder = binaries()
    become = unprivileged()
    assert folder is not None and become is not None
    # Not below tmp_path: pytest makes its folders private to root, and the server is not root.
    home = Path(tempfile.mkdtemp(prefix="beauty-postgres-"))
    home.chmod(0o777)
    data, port = home / "data", free_port()

    def call(*command: str) -> None:
        # Files, not pipes: the server inherits them and would keep a pipe open for ever.
        with (home / "calls.log").open("ab") as log:
            subprocess.run(
                [*become, *command],
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=True,
                timeout=600,
            )

    options = f"-p {port} -k {home} -c listen_addresses=127.0.0.1"
    start = ["-D", str(data), "-l", str(home / "server.log"), "-o", options, "-t", "300", "-w"]
    try:
        call(
            str(folder / "initdb"),
            "-D", str(data), "-U", "admin", "-E", "UTF8", "--no-locale", "--no-sync",
            "--auth-local=trust", "--auth-host=scram-sha-256",
        )  # fmt: skip
        call(str(folder / "pg_ctl"), "start", *start)
        for statement in (
            f"CREATE ROLE prefect LOGIN PASSWORD '{PASSWORD}'",
            "CREATE DATABASE prefect OWNER prefect",
        ):
            call(
                str(folder / "psql"),
                "-h", str(home), "-p", str(port), "-U", "admin", "-d", "postgres",
                "-v", "ON_ERROR_STOP=1", "-c", statement,
            )  # fmt: skip
        yield f"postgresql+asyncpg://prefect:{PASSWORD}@127.0.0.1:{port}/prefect"
    finally:
        if (data / "postmaster.pid").exists():
            call(str(folder / "pg_ctl"), "stop", "-D", str(data), "-m", "immediate", "-w")
        shutil.rmtree(home)
