"""MLflow's database: whether it can be used, and a new one made whole.

The first is a look before hours of training, which does not import MLflow.
"""

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
# drivers whose packages have other names
PACKAGES = {
    "psycopg2": "psycopg2-binary",
    "psycopg": "'psycopg[binary]'",
    "MySQLdb": "mysqlclient",
}
REMEDY = (
    "mend that, move it aside, or name another in MLFLOW_TRACKING_URI; `beauty registry restore` "
    "brings back a backup"
)


def sqlite_file(uri: str) -> Path | None:
    """Return the file of a SQLite address, or None for any other."""
    return Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None


def check_driver(uri: str) -> None:
    """Look whether the driver of a database's address ``uri`` is installed.

    Raises:
        ValueError: it is not, is one that MLflow cannot use, or the address names no kind of
            database; with the remedy.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        # Loads the driver as MLflow will, and connects to nothing.
        dialect = make_url(uri).get_dialect()
        dialect.import_dbapi()
    except (ArgumentError, NoSuchModuleError):
        raise ValueError(
            f"MLFLOW_TRACKING_URI: {redact(uri)} is no address of a server or database that is "
            "known; such as http://HOST:5000 or postgresql://USER:PASSWORD@HOST/NAME"
        ) from None
    except ModuleNotFoundError as error:
        driver = str(error.name)
        raise ValueError(
            f"MLFLOW_TRACKING_URI: {redact(uri)} needs the driver {driver}, which is not "
            f"installed: `pip install {PACKAGES.get(driver, driver)}`"
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
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        raise ValueError(f"MLflow's database {file}: {nearest} cannot be written to; {REMEDY}")
    if not file.exists():
        return
    try:
        revisions = _revisions(file)
    except sqlite3.Error as error:
        # Somebody writes, so it can be written to.
        if "locked" in str(error):
            return
        raise ValueError(f"MLflow's database {file}: {error}; {REMEDY}") from None
    _check_schema(file, revisions)


def _revisions(file: Path) -> set[str]:
    """Return the revisions of the schema that a database says it has; none where it is empty.

    Raises:
        sqlite3.Error: it cannot be written to, or is no database.
    """
    # mode=rw: sqlite3.connect alone would make a file that is not there.
    uri = f"file:{quote(str(file.absolute()))}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, timeout=1.0, isolation_level=None)) as database:
        # A transaction that means to write fails at once where that is not allowed.
        database.execute("BEGIN IMMEDIATE")
        tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
        revisions = set()
        if "alembic_version" in tables:
            rows = database.execute("SELECT version_num FROM alembic_version")
            revisions = {str(row[0]) for row in rows}
        database.execute("ROLLBACK")
    return revisions


def create_sqlite(file: Path) -> None:
    """Make MLflow's tables in the new SQLite database ``file``, all of them or none.

    Nothing is done to one that is there. MLflow makes them in place, in some dozen steps. Killed
    between two of them it leaves a database that it takes, at the next start, for that of an older
    version, and refuses.
    """
    from mlflow import MlflowClient

    unfinished = file.with_name(f"{file.name}.unfinished")
    # Beside the file, not in .beauty/locks: other checkouts may name the same database.
    with FileLock(f"{unfinished}.lock"):
        if file.exists():
            return
        # A process that was killed left it.
        unfinished.unlink(missing_ok=True)
        address = f"{SQLITE}{unfinished.absolute()}"
        MlflowClient(tracking_uri=address, registry_uri=address)
        unfinished.rename(file)


def _check_schema(file: Path, revisions: set[str]) -> None:
    """Refuse a database whose schema is not that of the installed MLflow.

    Raises:
        ValueError: it is older, or not known; with the remedy.
    """
    # An empty database is one that MLflow has yet to make; unknown schemas are MLflow's to judge.
    known, newest = _schemas()
    if not revisions or not newest or revisions <= newest:
        return
    installed = f"the installed MLflow {version('mlflow')}"
    if revisions <= known:
        raise ValueError(
            f"MLflow's database {file} was made by an older MLflow than {installed}: save a copy "
            f"of it, then `mlflow db upgrade {SQLITE}{file.absolute()}`"
        )
    raise ValueError(
        f"MLflow's database {file} is of a schema ({', '.join(sorted(revisions))}) that "
        f"{installed} does not know: a newer MLflow made it, or another program. Install the "
        "version that wrote it last (`pip install -r requirements.lock` in the newest checkout), "
        "or name another in MLFLOW_TRACKING_URI"
    )


def _schemas() -> tuple[set[str], set[str]]:
    """Return the schemas that the installed MLflow knows, and its newest.

    Both are empty where its files are not found.
    """
    package = find_spec("mlflow")
    folders = (package.submodule_search_locations or []) if package else []
    known: set[str] = set()
    replaced: set[str] = set()
    for folder in folders:
        # Not an API of MLflow: its migrations of Alembic, read as text. Asking MLflow itself would
        # import it, for seconds, before each run.
        for file in Path(folder, "store/db_migrations/versions").glob("*.py"):
            text = file.read_text(encoding="utf-8")
            known |= set(re.findall(r"""^revision\b.*?= ["'](\w+)""", text, re.MULTILINE))
            replaced |= set(re.findall(r"""^down_revision\b.*?= ["'](\w+)""", text, re.MULTILINE))
    return known, known - replaced
