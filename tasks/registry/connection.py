"""The way to the registry: where it is, whether it answers, MLflow's client, and our lock on it.

It is the server or database that MLFLOW_TRACKING_URI names, else SQLite in `.beauty/mlflow.db` with
the files below `.beauty/mlartifacts`.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from filelock import FileLock, Timeout

from beauty_models.files import private_folder, read_json
from tasks import health
from tasks.registry import database
from tasks.secrets import redact
from tasks.state import STATE

PORTS = {"postgresql": 5432, "postgres": 5432, "mysql": 3306, "mssql": 1433}
LOCK_S = 3600.0  # how long to wait for another registration of the same family

Client = Any
"""An `mlflow.MlflowClient`, which takes seconds to import."""


def tracking_uri() -> str:
    """Return where the registry is."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(STATE / 'mlflow.db').absolute()}"


def check_reachable() -> None:
    """Look whether the registry can be used, before anything is trained for it.

    Raises:
        ValueError: its server or database does not answer within `health.ANSWER_S` seconds, or
            cannot be used; the message says where its address comes from, and what to do.
    """
    uri = tracking_uri()
    if file := database.sqlite_file(uri):
        database.check_sqlite(file)
        return
    address = urlsplit(uri)
    if address.scheme in ("http", "https"):
        problem = health.http_problem(f"{uri.rstrip('/')}/health", page_must_exist=False)
    elif _is_database(address):
        database.check_driver(uri)
        problem = _connection_problem(address)
    else:
        # A folder on this machine, or a service that MLflow knows.
        return
    if problem:
        raise ValueError(
            f"MLflow at {redact(uri)} {redact(problem)}. Its address comes from the environment "
            "variable MLFLOW_TRACKING_URI: start that server, or unset the variable, and the "
            "registry lies in .beauty/mlflow.db"
        )


def _is_database(address: SplitResult) -> bool:
    return address.scheme.partition("+")[0] in PORTS


def _connection_problem(address: SplitResult) -> str | None:
    """Return why nothing takes a connection at a database's address, or None."""
    try:
        port = address.port or PORTS.get(address.scheme.partition("+")[0], 0)
        if address.hostname:
            socket.create_connection((address.hostname, port), health.ANSWER_S).close()
    except (OSError, ValueError) as error:
        return f"does not answer ({error})"
    return None


def version_url(family: str, version: int) -> str | None:
    """Return the page of a version in MLflow's own pages, or None where nothing serves them now."""
    server = tracking_uri()
    if not server.startswith("http"):
        server = ""
        # `cli.ui` does not run, or has just ended.
        with suppress(ValueError):
            server = str(read_json(STATE / "ui.json").get("mlflow"))
        address = urlsplit(server)
        if not address.hostname or _connection_problem(address):
            return None
    return f"{redact(server).rstrip('/')}/#/models/{family}/versions/{version}"


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what MLflow raises into a ValueError of one sentence."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import OperationalError

    try:
        yield
    except (MlflowException, OperationalError) as error:
        # SQLAlchemy's further lines are the statement, with all its values.
        first_line = str(error).split("\n")[0]
        if "database is locked" in first_line:
            raise ValueError(
                f"{redact(tracking_uri())} is locked by another program; end it, or wait for it, "
                "and try again"
            ) from None
        raise ValueError(f"MLflow at {redact(tracking_uri())}: {redact(first_line)}") from None


@contextmanager
def ignore_existing() -> Iterator[None]:
    """Let pass that another machine was a moment faster in creating the same thing."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def overwrite(write: Callable[..., None], *values: str) -> None:
    """Set a tag or an alias by ``write``, whatever another machine does to it at the same moment.

    MLflow looks for the row and then adds it. Of two that set a new one at once the second breaks
    the table's primary key; asked again, it finds the row and overwrites it.
    """
    from mlflow.exceptions import MlflowException

    try:
        write(*values)
    except MlflowException:
        write(*values)


def client() -> Client:
    """Return a client of the registry; the first call makes the database.

    Raises:
        ValueError: the database is locked, its driver is not installed, or the server does not
            answer.
    """
    # MLflow reads these when it is imported.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    if _is_database(urlsplit(tracking_uri())):
        database.check_driver(tracking_uri())
    from mlflow import MlflowClient

    # Their lines go to the terminal, between our bars; what goes wrong is raised as well.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    private_folder(STATE)
    (STATE / "locks").mkdir(exist_ok=True)
    # Two processes must not create the tables at once.
    with FileLock(STATE / "locks" / "mlflow.lock"), translated_errors():
        if file := database.sqlite_file(tracking_uri()):
            database.create_sqlite(file)
        return MlflowClient(tracking_uri=tracking_uri(), registry_uri=tracking_uri())


@contextmanager
def registration_lock(family: str, seconds: float = LOCK_S) -> Iterator[None]:
    """Hold the family's registration lock of this checkout.

    Raises:
        ValueError: another process holds it for longer than ``seconds``; the message names it.
    """
    file = STATE / "locks" / f"register-{family}.lock"
    holder = file.with_suffix(".holder")
    private_folder(STATE)
    file.parent.mkdir(exist_ok=True)
    try:
        with FileLock(file, timeout=seconds):
            process = f"process {os.getpid()} on {socket.gethostname()} since {now()}"
            holder.write_text(process, encoding="utf-8")
            yield
    except Timeout:
        raise ValueError(
            f"registry locked by {holder.read_text(encoding='utf-8')}; wait for it or end it, "
            "then try again"
        ) from None


def now() -> str:
    """Return the time, UTC, as ISO 8601 writes it."""
    return datetime.now(UTC).isoformat()


def mlartifacts(family: str) -> Path:
    """Return where the files of the family's runs lie when the registry is this machine's own."""
    return (STATE / "mlartifacts" / family).absolute()
