"""MLflow's database: can it be used (a look before hours of training, without importing MLflow), and a new one made whole."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock

from tasks.secrets import redact

SQLITE = "sqlite:///"
PACKAGES = {
    "psycopg2": "psycopg2-binary",
    "psycopg": "'psycopg[binary]'",
    "MySQLdb": "mysqlclient",
}
"""Drivers whose packages have other names."""


def sqlite_file(uri: str) -> Path | None:
    """Return the file of a SQLite address, or None for any other."""
    return Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None


def check_driver(uri: str) -> None:
    """Look whether the driver of a database's address ``uri`` is installed.

    Raises:
        ValueError: it is not, is one that MLflow cannot use, or the address names no kind of database; with the remedy.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        dialect = make_url(uri).get_dialect()
        dialect.import_dbapi()
    except (ArgumentError, NoSuchModuleError):
        raise ValueError(
            f"MLFLOW_TRACKING_URI: {redact(uri)} is no address of a server or database that is known; such as "
            "http://HOST:5000 or postgresql://USER:PASSWORD@HOST/NAME"
        ) from None
    except ModuleNotFoundError as error:
        driver = str(error.name)
        raise ValueError(
            f"MLFLOW_TRACKING_URI: {redact(uri)} needs the driver {driver}, which is not installed: "
            f"`pip install {PACKAGES.get(driver, driver)}`"
        ) from None
    if dialect.is_async:
        scheme = uri.partition("+")[0]
        raise ValueError(
            f"MLFLOW_TRACKING_URI: MLflow cannot use the asynchronous driver {dialect.driver}; "
            f"begin the address with {scheme}:// ({redact(uri)})"
        )


def check_sqlite(file: Path) -> None:
    """Look whether MLflow can write to its SQLite database ``file``, which need not be there yet.

    Raises:
        ValueError: it cannot; with what is wrong and what to do.
    """
    folder = file.absolute().parent
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise ValueError(f"MLflow's database {file}: {there} cannot be written to; {_ELSEWHERE}")
    if not file.exists():
        return
    try:
        place = f"file:{quote(str(file.absolute()))}?mode=rw"
        with closing(sqlite3.connect(place, uri=True, timeout=1.0, isolation_level=None)) as base:
            base.execute("BEGIN IMMEDIATE")
            tables = {row[0] for row in base.execute("SELECT name FROM sqlite_master")}
            found = (
                base.execute("SELECT version_num FROM alembic_version")
                if "alembic_version" in tables
                else ()
            )
            revisions = {str(row[0]) for row in found}
            base.execute("ROLLBACK")
    except sqlite3.Error as error:
        if "locked" in str(error):
            return  # somebody writes, so it can be written to
        raise ValueError(f"MLflow's database {file}: {error}; {_ELSEWHERE}") from None
    _check_schema(file, revisions)


def create_sqlite(file: Path) -> None:
    """Make MLflow's tables in the new SQLite database ``file``, all of them or none; nothing is done to one that is there.

    MLflow makes them in place, in some dozen steps. Killed between two of them it leaves a database that it takes, at the
    next start, for that of an older version, and refuses.
    """
    from mlflow import MlflowClient

    unfinished = file.with_name(f"{file.name}.unfinished")
    # Beside the file, not in .beauty/locks: other checkouts may name the same database.
    with FileLock(f"{unfinished}.lock"):
        if file.exists():
            return
        unfinished.unlink(missing_ok=True)  # of a process that was killed
        address = f"{SQLITE}{unfinished.absolute()}"
        MlflowClient(tracking_uri=address, registry_uri=address)
        unfinished.rename(file)


_ELSEWHERE = "mend that, move it aside, or name another in MLFLOW_TRACKING_URI; `beauty registry restore` brings back a backup"


def _check_schema(file: Path, revisions: set[str]) -> None:
    known, newest = _schemas()
    if not revisions or not newest or revisions <= newest:
        return
    installed = f"the installed MLflow {version('mlflow')}"
    if revisions <= known:
        raise ValueError(
            f"MLflow's database {file} was made by an older MLflow than {installed}: save a copy of it, then "
            f"`mlflow db upgrade {SQLITE}{file.absolute()}`"
        )
    raise ValueError(
        f"MLflow's database {file} is of a schema ({', '.join(sorted(revisions))}) that {installed} does not know: "
        "a newer MLflow made it, or another program. Install the version that wrote it last "
        "(`pip install -r requirements.lock` in the newest checkout), or name another in MLFLOW_TRACKING_URI"
    )


def _schemas() -> tuple[set[str], set[str]]:
    """Return the schemas that the installed MLflow knows, and its newest; both empty where its files are not found."""
    found = find_spec("mlflow")
    known: set[str] = set()
    before: set[str] = set()
    for place in (found.submodule_search_locations or []) if found else []:
        for file in Path(place, "store/db_migrations/versions").glob("*.py"):
            text = file.read_text(encoding="utf-8")
            known |= set(re.findall(r"""^revision\b.*?= ["'](\w+)""", text, re.MULTILINE))
            before |= set(re.findall(r"""^down_revision\b.*?= ["'](\w+)""", text, re.MULTILINE))
    return known, known - before
