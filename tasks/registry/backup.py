"""The whole local registry in one file, and back again: ``beauty registry backup FILE`` and ``beauty registry restore FILE``.

The file is a zip archive without compression (weights do not shrink): ``manifest.json`` with the size and SHA-256 of every
other member, ``mlflow.db``, a snapshot by SQLite's online backup, and ``mlartifacts/…``. MLflow's database names folders by
their absolute paths, so restoring rewrites them to where the checkout lies now.

An archive is a stranger's until proven otherwise. Its members are read, never executed, and written into a folder of their
own before anything stands in the registry's place; what does not match the manifest, or names a place outside the registry,
ends the restore with nothing changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import stat
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple
from urllib.parse import unquote

from filelock import FileLock

from beauty_models import families
from beauty_models.files import new_file, private_folder
from tasks.registry import registry
from tasks.secrets import redact
from tasks.state import STATE, OnLine

FORMAT = 1
MANIFEST, DATABASE, ARTIFACTS = "manifest.json", "mlflow.db", "mlartifacts"
LARGEST_MANIFEST = 100_000_000  # bytes; a line of it per file
BLOCK = 1 << 20
SIDE_FILES = ("", "-wal", "-shm", "-journal")  # what SQLite may keep beside a database

# table, column: where MLflow keeps addresses of files
PLACES = [
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
]
RELATIVE = ("runs:/", "models:/", "mlflow-artifacts:/")  # addresses that hold in any checkout


class Member(NamedTuple):
    """What the manifest says of a file."""

    bytes: int
    sha256: str


def backup(file: Path, say: OnLine) -> dict[str, Any]:
    """Write the registry of this checkout to ``file``; return file, bytes, versions and damaged versions.

    Registrations wait meanwhile. Damaged versions (files that are not those registered) are saved as they are, and told.

    Raises:
        ValueError: there is no local registry, its database names files elsewhere, or ``file`` exists.
    """
    _require_local()
    if file.exists():
        raise ValueError(f"{file}: is there already; name another file, or take that one away")
    database = STATE / DATABASE
    if not database.exists():
        raise ValueError(f"{database}: there is no registry to save; run `beauty retrain` first")
    with _standing_still(), new_file(file) as temporary:
        snapshot = temporary.with_name(f"{temporary.name}.db")
        try:
            with (
                closing(sqlite3.connect(database)) as source,
                closing(sqlite3.connect(snapshot)) as copy,
            ):
                source.backup(copy)
            _require_inside(snapshot, Path.cwd())
            members = _write(temporary, snapshot, say)
            damaged = _damaged(snapshot, Path.cwd(), members)
            counted = _versions(snapshot)
        finally:
            snapshot.unlink(missing_ok=True)
    file.chmod(0o600)  # as private as the registry itself
    return {
        "file": str(file),
        "bytes": file.stat().st_size,
        "versions": counted,
        "damaged": damaged,
    }


def restore(file: Path, force: bool, say: OnLine) -> dict[str, Any]:
    """Put the registry that ``file`` holds in the place of this checkout's; return versions, damaged ones, and what was kept.

    A registry that has versions is only replaced with ``force``, and even then moved aside, never deleted.

    Raises:
        ValueError: ``file`` is no whole backup, or there are versions here and no ``force``.
    """
    _require_local()
    private_folder(STATE)
    with _standing_still():
        if not force:
            _require_no_versions(STATE / DATABASE)
        new = STATE / "restoring"
        shutil.rmtree(new, ignore_errors=True)  # what a killed restore left
        try:
            members, project = _unpack(file, new, say)
            try:
                _relocate(new / DATABASE, project, Path.cwd())
                damaged = _damaged(new / DATABASE, Path.cwd(), members)
                counted = _versions(new / DATABASE)
            except sqlite3.Error as error:
                raise ValueError(f"{file}: {DATABASE} is no database of MLflow: {error}") from None
            aside = _swap(new)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return {"versions": counted, "damaged": damaged, "aside": str(aside) if aside else None}


def _require_local() -> None:
    here = f"sqlite:///{(STATE / DATABASE).absolute()}"
    if registry.tracking_uri() != here:
        raise ValueError(
            f"the registry is {redact(registry.tracking_uri())}, not this checkout's own: save its database (such as by "
            "`pg_dump`) and its artifact store by their own means, or unset MLFLOW_TRACKING_URI"
        )


@contextmanager
def _standing_still() -> Iterator[None]:
    """Let nobody of this checkout register, roll back or make the database meanwhile."""
    with ExitStack() as held:
        for family in families.names():
            held.enter_context(registry.locked(family))
        held.enter_context(FileLock(STATE / "locks" / "mlflow.lock"))
        yield


def _versions(database: Path) -> dict[str, int]:
    """Return model → how many versions it has; empty when there is no database or it has no tables."""
    if not database.exists() or not database.stat().st_size:
        return {}
    query = "SELECT name, COUNT(*) FROM model_versions GROUP BY name"
    with closing(sqlite3.connect(database)) as opened:
        return {str(name): int(count) for name, count in opened.execute(query)}


def _require_no_versions(database: Path) -> None:
    way_out = "--force moves it aside and restores in its place"
    try:
        there = _versions(database)
    except sqlite3.Error as error:
        raise ValueError(f"{database} cannot be read ({error}); {way_out}") from None
    if there:
        raise ValueError(
            f"the registry of this checkout has versions of {', '.join(sorted(there))}; {way_out}"
        )


def _write(archive: Path, snapshot: Path, say: OnLine) -> dict[str, Member]:
    """Write the archive of ``snapshot`` and all artifacts; return what is in it."""
    artifacts = STATE / ARTIFACTS
    files = sorted(path for path in artifacts.rglob("*") if path.is_file())
    sources = {DATABASE: snapshot}
    for path in files:
        sources[f"{ARTIFACTS}/{path.relative_to(artifacts).as_posix()}"] = path
    members = {}
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as opened:
        for number, (name, source) in enumerate(sources.items(), 1):
            with source.open("rb") as content, opened.open(name, "w", force_zip64=True) as target:
                members[name] = _copy(content, target)
            _tell(say, "backup", number, len(sources))
        manifest = {
            "format": FORMAT,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "mlflow": version("mlflow"),
            "project": str(Path.cwd()),
            "files": {name: member._asdict() for name, member in members.items()},
        }
        opened.writestr(MANIFEST, json.dumps(manifest, indent=1))
    return members


def _tell(say: OnLine, what: str, number: int, total: int) -> None:
    """Tell how far the work is, ten times in all."""
    if number * 10 // total > (number - 1) * 10 // total:
        say(f"{what}: {number} of {total} files")


def _copy(source: IO[bytes], target: IO[bytes]) -> Member:
    """Copy all of ``source``; return its size and hash."""
    digest, size = hashlib.sha256(), 0
    while block := source.read(BLOCK):
        digest.update(block)
        target.write(block)
        size += len(block)
    return Member(size, digest.hexdigest())


def _unpack(file: Path, folder: Path, say: OnLine) -> tuple[dict[str, Member], Path]:
    """Write the members of an archive below ``folder``; return them, and the project they come from.

    Raises:
        ValueError: it is not one of our archives, or not whole.
    """
    try:
        with zipfile.ZipFile(file) as opened:
            members, project = _manifest(file, opened)
            _check_members(file, opened, members)
            for number, (name, member) in enumerate(members.items(), 1):
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(name) as content, target.open("xb") as written:
                    copied = _copy(content, written)
                if copied != member:
                    raise ValueError(f"{file}: {name} is not what the manifest says; it is damaged")
                _tell(say, "restore", number, len(members))
    except FileNotFoundError:
        raise ValueError(f"{file}: no such file") from None
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise ValueError(f"{file}: not a whole backup of a registry: {error}") from None
    return members, project


def _manifest(file: Path, opened: zipfile.ZipFile) -> tuple[dict[str, Member], Path]:
    """Return what an archive says is in it, and the folder of the project that it comes from."""
    try:
        if opened.getinfo(MANIFEST).file_size > LARGEST_MANIFEST:
            raise ValueError(f"more than {LARGEST_MANIFEST:,} bytes")
        content = json.loads(opened.read(MANIFEST))
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']}, this program reads {FORMAT}")
        files = {
            str(name): Member(int(stated["bytes"]), str(stated["sha256"]))
            for name, stated in content["files"].items()
        }
        project = Path(str(content["project"]))
        if not project.is_absolute():
            raise ValueError(f"project {project} is not an absolute path")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{file}: not a backup of a registry: {MANIFEST}: {error}") from None
    return files, project


def _check_members(file: Path, opened: zipfile.ZipFile, members: dict[str, Member]) -> None:
    """Refuse an archive that holds anything but plain files of a registry, each once, each as large as stated.

    Raises:
        ValueError: a name leads elsewhere, a member is a link or compressed, or the disk has no room.
    """
    infos = opened.infolist()
    names = [info.filename for info in infos]
    if sorted(names) != sorted([MANIFEST, *members]) or DATABASE not in members:
        raise ValueError(f"{file}: its members are not those of its manifest; it is damaged")
    folders = {str(parent) for name in members for parent in PurePosixPath(name).parents}
    for info in infos:
        name, mode = info.filename, info.external_attr >> 16
        if name not in (MANIFEST, DATABASE) and not _is_artifact(name):
            raise ValueError(f"{file}: {name!r} leads out of the registry")
        if name in folders or (stat.S_IFMT(mode) and not stat.S_ISREG(mode)):
            raise ValueError(f"{file}: {name!r} is not a plain file")
        if info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{file}: {name!r} is compressed; a backup is not")
        if name in members and members[name].bytes != info.file_size:
            raise ValueError(f"{file}: {name} is not as large as the manifest says; it is damaged")
    total = sum(info.file_size for info in infos)
    if total > file.stat().st_size:  # members that overlap: a small file that would fill the disk
        raise ValueError(f"{file}: holds more than its size; it is damaged")
    if total > (free := shutil.disk_usage(STATE).free):
        raise ValueError(f"{file}: needs {total:,} bytes, the disk has {free:,}")


def _is_artifact(name: str) -> bool:
    """Return whether ``name`` is that of a file below the artifacts, written without detours."""
    parts = name.split("/")
    plain = all(part not in ("", ".", "..") for part in parts)
    return plain and len(parts) > 1 and parts[0] == ARTIFACTS and not set(name) & {"\\", "\0"}


def _relocate(database: Path, former: Path, project: Path) -> None:
    """Rewrite the addresses below the project ``former`` to the same places below ``project``.

    Raises:
        ValueError: an address leads out of the project.
        sqlite3.Error: it is no database of MLflow.
    """
    with closing(sqlite3.connect(database)) as opened:
        opened.execute("PRAGMA trusted_schema = OFF")
        [(state,)] = opened.execute("PRAGMA integrity_check(1)")
        if state != "ok":
            raise sqlite3.DatabaseError(state)
        for table, column in PLACES:
            for old, new in ((former.as_uri(), project.as_uri()), (str(former), str(project))):
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
    below = (f"{project.as_uri()}/", f"{project}/", *RELATIVE)
    with closing(sqlite3.connect(database)) as opened:
        for table, column in PLACES:
            query = f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL"
            for (place,) in opened.execute(query):
                detour = ".." in unquote(unquote(str(place))).split("/")
                if place and (detour or not str(place).startswith(below)):
                    raise ValueError(
                        f"MLflow's {table}.{column} names {redact(str(place))}, which is not in {project}: "
                        "a backup holds only what lies in the project"
                    )


def _damaged(database: Path, project: Path, members: dict[str, Member]) -> list[str]:
    """Return the versions, such as ``sentiment 3``, of which ``members`` lack a file or hold another than was registered."""
    store = f"{(project / STATE / ARTIFACTS).as_uri()}/"
    query = (
        "SELECT v.name, v.version, r.artifact_uri, t.value FROM model_versions v "
        "JOIN runs r ON r.run_uuid = v.run_id JOIN model_version_tags t "
        "ON t.name = v.name AND t.version = v.version AND t.key = 'lineage' ORDER BY v.name, v.version"
    )
    damaged = []
    with closing(sqlite3.connect(database)) as opened:
        for name, number, place, lineage in opened.execute(query):
            folder = f"{ARTIFACTS}/{str(place).removeprefix(store)}/model/"
            held = {
                member.removeprefix(folder): what.sha256
                for member, what in members.items()
                if member.startswith(folder)
            }
            if held != _stated_files(lineage):
                damaged.append(f"{name} {number}")
    return damaged


def _stated_files(lineage: str) -> Any:
    """Return file → SHA-256 as a version's tag states them; None if it states none."""
    try:
        return json.loads(lineage)["files"]
    except (ValueError, TypeError, KeyError):
        return None


def _swap(new: Path) -> Path | None:
    """Put the database and the artifacts of ``new`` into the registry's place; return where the former ones are now.

    The database comes last: killed before, the checkout has no registry, and restoring again is all it takes.
    """
    state = STATE
    former = [f"{DATABASE}{ending}" for ending in SIDE_FILES] + [ARTIFACTS]
    # what this machine remembers of the registry, and the models it fetched, are those of the former one
    former += ["registered", "models"]
    there = [name for name in former if (state / name).exists()]
    aside = None
    if there:
        aside = state / f"replaced-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}"
        private_folder(aside)
        for name in there:
            (state / name).rename(aside / name)
    if (new / ARTIFACTS).exists():
        (new / ARTIFACTS).rename(state / ARTIFACTS)
    (new / DATABASE).rename(state / DATABASE)
    return aside
