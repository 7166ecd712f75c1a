"""The whole local registry in one file, and back again: ``beauty registry backup`` and ``restore``.

The file (`tasks.registry.archive`) holds ``mlflow.db``, a snapshot by SQLite's online backup, and
``mlartifacts/…``. MLflow's database names folders by their absolute paths, so restoring rewrites
them to where the checkout lies now.

A restore unpacks into a folder of its own; what is damaged, or names a place outside the project,
ends it with nothing changed.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import unquote

from filelock import FileLock

from beauty_models import families
from beauty_models.files import new_file, private_folder
from tasks.registry import archive, connection
from tasks.registry.archive import ARTIFACTS, DATABASE, Member
from tasks.secrets import redact
from tasks.state import STATE, OnLine

SIDE_FILES = ("", "-wal", "-shm", "-journal")  # what SQLite may keep beside a database

# Table, column: where MLflow keeps addresses of files. Its tables are no API: those of MLflow 3, of
# which the tests register, back up and restore a version.
ADDRESS_COLUMNS = [
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
]
PORTABLE = ("runs:/", "models:/", "mlflow-artifacts:/")  # addresses that hold in any checkout


class Saved(TypedDict):
    """What `backup` wrote."""

    file: str
    bytes: int
    versions: dict[str, int]  # model → how many
    damaged: list[str]  # versions, such as "sentiment 3"


class Restored(TypedDict):
    """What `restore` put in place."""

    versions: dict[str, int]  # model → how many
    damaged: list[str]  # versions, such as "sentiment 3"
    aside: str | None  # the folder where the former registry is now


def backup(file: Path, on_line: OnLine) -> Saved:
    """Write the registry of this checkout to ``file``.

    Registrations wait meanwhile. Damaged versions (files that are not those registered) are saved
    as they are, and told.

    Raises:
        ValueError: there is no local registry, its database names files elsewhere, or ``file``
            exists.
    """
    _require_local()
    if file.exists():
        raise ValueError(f"{file}: is there already; name another file, or take that one away")
    database = STATE / DATABASE
    if not database.exists():
        raise ValueError(f"{database}: there is no registry to save; run `beauty retrain` first")
    with _all_locks(), new_file(file) as temporary:
        # A copy of the file would miss what SQLite keeps beside it, and be of no one moment.
        snapshot = temporary.with_name(f"{temporary.name}.db")
        try:
            with (
                closing(sqlite3.connect(database)) as source,
                closing(sqlite3.connect(snapshot)) as copy,
            ):
                source.backup(copy)
            _require_inside(snapshot, Path.cwd())
            members = archive.write(temporary, snapshot, on_line)
            damaged = _damaged_versions(snapshot, Path.cwd(), members)
            counts = _version_counts(snapshot)
        finally:
            snapshot.unlink(missing_ok=True)
    # As private as the registry itself.
    file.chmod(0o600)
    return {
        "file": str(file),
        "bytes": file.stat().st_size,
        "versions": counts,
        "damaged": damaged,
    }


def restore(file: Path, force: bool, on_line: OnLine) -> Restored:
    """Put the registry that ``file`` holds in the place of this checkout's.

    A registry that has versions is only replaced with ``force``, and even then moved aside, never
    deleted.

    Raises:
        ValueError: ``file`` is no whole backup, or there are versions here and no ``force``.
    """
    _require_local()
    private_folder(STATE)
    with _all_locks():
        if not force:
            _require_no_versions(STATE / DATABASE)
        new = STATE / "restoring"
        # A restore that was killed left it.
        shutil.rmtree(new, ignore_errors=True)
        try:
            members, project = archive.unpack(file, new, on_line)
            try:
                _relocate(new / DATABASE, project, Path.cwd())
                damaged = _damaged_versions(new / DATABASE, Path.cwd(), members)
                counts = _version_counts(new / DATABASE)
            except sqlite3.Error as error:
                raise ValueError(f"{file}: {DATABASE} is no database of MLflow: {error}") from None
            aside = _swap(new)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return {"versions": counts, "damaged": damaged, "aside": str(aside) if aside else None}


def _require_local() -> None:
    """Refuse a registry elsewhere, which a copy of this checkout's files would not be.

    Raises:
        ValueError: MLFLOW_TRACKING_URI names one.
    """
    own = f"sqlite:///{(STATE / DATABASE).absolute()}"
    uri = connection.tracking_uri()
    if uri != own:
        raise ValueError(
            f"the registry is {redact(uri)}, not this checkout's own: save its database (such as "
            "by `pg_dump`) and its artifact store by their own means, or unset MLFLOW_TRACKING_URI"
        )


@contextmanager
def _all_locks() -> Iterator[None]:
    """Let nobody of this checkout register, roll back or make the database meanwhile."""
    with ExitStack() as locks:
        for family in families.names():
            locks.enter_context(connection.registration_lock(family))
        locks.enter_context(FileLock(STATE / "locks" / "mlflow.lock"))
        yield


def _version_counts(database: Path) -> dict[str, int]:
    """Return model → how many versions it has; nothing when there is no database, or no tables."""
    if not database.exists() or not database.stat().st_size:
        return {}
    query = "SELECT name, COUNT(*) FROM model_versions GROUP BY name"
    with closing(sqlite3.connect(database)) as opened:
        return {str(name): int(count) for name, count in opened.execute(query)}


def _require_no_versions(database: Path) -> None:
    remedy = "--force moves it aside and restores in its place"
    try:
        counts = _version_counts(database)
    except sqlite3.Error as error:
        raise ValueError(f"{database} cannot be read ({error}); {remedy}") from None
    if counts:
        raise ValueError(
            f"the registry of this checkout has versions of {', '.join(sorted(counts))}; {remedy}"
        )


def _relocate(database: Path, former: Path, project: Path) -> None:
    """Rewrite the addresses below the project ``former`` to the same places below ``project``.

    Raises:
        ValueError: an address leads out of the project.
        sqlite3.Error: it is no database of MLflow.
    """
    with closing(sqlite3.connect(database)) as opened:
        # A stranger's views and triggers may not call functions with side effects (sqlite.org).
        opened.execute("PRAGMA trusted_schema = OFF")
        [(state,)] = opened.execute("PRAGMA integrity_check(1)")
        if state != "ok":
            raise sqlite3.DatabaseError(state)
        # MLflow writes some as file:///… and some as plain paths.
        moves = [(former.as_uri(), project.as_uri()), (str(former), str(project))]
        for table, column in ADDRESS_COLUMNS:
            for old, new in moves:
                opened.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE substr({column}, 1, ?) = ?",
                    (f"{new}/", len(old) + 2, len(old) + 1, f"{old}/"),
                )
        opened.commit()
    _require_inside(database, project)


def _require_inside(database: Path, project: Path) -> None:
    """Refuse a database that keeps files anywhere but in the project.

    Raises:
        ValueError: it does; the message names the first such place.
    """
    inside = (f"{project.as_uri()}/", f"{project}/", *PORTABLE)
    with closing(sqlite3.connect(database)) as opened:
        for table, column in ADDRESS_COLUMNS:
            query = f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL"
            for (address,) in opened.execute(query):
                # Twice: %252e%252e is .. after MLflow and the file system have each decoded it.
                detour = ".." in unquote(unquote(str(address))).split("/")
                if address and (detour or not str(address).startswith(inside)):
                    raise ValueError(
                        f"MLflow's {table}.{column} names {redact(str(address))}, which is not in "
                        f"{project}: a backup holds only what lies in the project"
                    )


def _damaged_versions(database: Path, project: Path, members: dict[str, Member]) -> list[str]:
    """Return the versions, such as ``sentiment 3``, whose files are not those registered.

    ``members`` lack one, or hold another one.
    """
    store = f"{(project / STATE / ARTIFACTS).as_uri()}/"
    query = (
        "SELECT v.name, v.version, r.artifact_uri, t.value FROM model_versions v "
        "JOIN runs r ON r.run_uuid = v.run_id JOIN model_version_tags t "
        "ON t.name = v.name AND t.version = v.version AND t.key = 'lineage' "
        "ORDER BY v.name, v.version"
    )
    damaged = []
    with closing(sqlite3.connect(database)) as opened:
        for name, number, address, lineage in opened.execute(query):
            folder = f"{ARTIFACTS}/{str(address).removeprefix(store)}/model/"
            hashes = {}
            for path, member in members.items():
                if path.startswith(folder):
                    hashes[path.removeprefix(folder)] = member.sha256
            if hashes != _stated_files(lineage):
                damaged.append(f"{name} {number}")
    return damaged


def _stated_files(lineage: str) -> Any:
    """Return file → SHA-256 as a version's tag states them; None if it states none."""
    try:
        return json.loads(lineage)["files"]
    except (ValueError, TypeError, KeyError):
        return None


def _swap(new: Path) -> Path | None:
    """Put the database and the artifacts of ``new`` into the registry's place.

    Returns:
        Where the former ones are now; None where there were none.

    The database comes last: killed before, the checkout has no registry, and restoring again is all
    it takes.
    """
    former = [f"{DATABASE}{ending}" for ending in SIDE_FILES] + [ARTIFACTS]
    # What this machine remembers of the registry, and the models it fetched, go with the former
    # one: version 3 of one registry is not version 3 of the other.
    former += ["registered", "models"]
    present = [name for name in former if (STATE / name).exists()]
    aside = None
    if present:
        aside = STATE / f"replaced-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}"
        private_folder(aside)
        for name in present:
            (STATE / name).rename(aside / name)
    if (new / ARTIFACTS).exists():
        (new / ARTIFACTS).rename(STATE / ARTIFACTS)
    (new / DATABASE).rename(STATE / DATABASE)
    return aside
