"""Bring new raw data in: what ``source`` in params.yaml names becomes data/raw/<family>, whole, read-only and versioned by DVC.

A source is ``starter`` or ``toy`` (the family makes its own), a file, a folder, a glob, or ``s3://bucket/prefix``. The folder
holds the files as delivered and manifest.json: source, licence, and size and SHA-256 of each file. It has no time stamps, so
the same delivery gives the same DVC hash. Hidden files and empty files are left out.
"""

from __future__ import annotations

import difflib
import glob
import hashlib
import os
import shutil
import threading
from pathlib import Path
from typing import Any

from filelock import FileLock

from beauty_models import families, params
from beauty_models.files import new_folder, private_folder, read_json, write_json
from tasks.pipeline import command, repro
from tasks.secrets import refuse_secret
from tasks.sources import s3
from tasks.state import STATE, OnLine

MANIFEST = "manifest.json"
LICENSE = "LICENSE.json"

Manifest = dict[str, Any]


def bring_in(family: str, on_line: OnLine = print, stop: threading.Event | None = None) -> bool:
    """Make data/raw/<family> what the family's ``source`` holds now; return whether it changed.

    A failure leaves the former snapshot as it was. ``on_line`` gets log lines and ``progress:`` lines; setting ``stop``
    ends it at the next chance.

    Raises:
        ValueError: the source is missing, empty, refused, or changes while it is read; the message says what to do.
        RuntimeError: the network broke, or the starter did; trying again may help.
    """
    source, license = _source(family)
    lock = STATE / "locks" / f"fetch-{family}.lock"
    private_folder(STATE)
    lock.parent.mkdir(exist_ok=True)
    with FileLock(lock):
        return _bring_in(family, source, license, on_line, stop)


def _source(family: str) -> tuple[str, str]:
    """Return the family's source and its licence as params.yaml names them."""
    blocks = params.read()
    if "source" not in blocks.get(family, {}):
        raise ValueError(
            f"params.yaml: needs families.{family}.source; it has the families {', '.join(blocks)}"
        )
    return str(blocks[family]["source"]), str(blocks[family].get("license") or "")


def unchanged(family: str) -> bool:
    """Return whether `bring_in` would find nothing new: the snapshot is whole, DVC knows it, and the source holds the same.

    Raises:
        ValueError, RuntimeError: as `bring_in`.
    """
    source, license = _source(family)
    raw = families.path("raw", family)
    former = _intact(raw)
    return (
        raw.with_name(f"{family}.dvc").exists()
        and not (STATE / "fetched" / f"{family}.unfinished").exists()
        and _up_to_date(family, source, license, former, lambda line: None)
    )


def _bring_in(
    family: str, source: str, license: str, say: OnLine, stop: threading.Event | None
) -> bool:
    raw, unfinished = families.path("raw", family), STATE / "fetched" / f"{family}.unfinished"
    former = _intact(raw)
    if not _up_to_date(family, source, license, former, say):
        say(f"fetch: {family} from {source}")
        with new_folder(raw) as new:
            take(family, source, license, new, STATE / "downloads" / family, say, former, raw, stop)
            unfinished.parent.mkdir(parents=True, exist_ok=True)
            unfinished.touch()
    elif raw.with_name(f"{family}.dvc").exists() and not unfinished.exists():
        return False
    repro.add(raw, say, stop or threading.Event())
    unfinished.unlink(missing_ok=True)
    return True


def _intact(raw: Path) -> Manifest:
    """Return the manifest of ``raw`` if exactly the files it names are there, with their sizes; else an empty one."""
    if not (raw / MANIFEST).exists():
        return {}
    manifest: Manifest = read_json(raw / MANIFEST)
    named = {entry["path"]: entry["bytes"] for entry in manifest["files"]}
    return manifest if named == {path: file.stat().st_size for path, file in _files(raw)} else {}


def _files(folder: Path) -> list[tuple[str, Path]]:
    """Return (path below ``folder``, file) of each visible file but our manifest, sorted."""
    found = []
    for file in folder.rglob("*"):
        path = file.relative_to(folder).as_posix()
        if file.is_file() and wanted(path) and _stays_in(folder, file):
            found.append((path, file))
    return sorted(found)


def _stays_in(folder: Path, file: Path) -> bool:
    """Return whether ``file`` really lies below ``folder``: a delivery must not reach for other files of this machine."""
    return file.resolve().is_relative_to(folder.resolve())


def _links_left_out(folder: Path) -> list[str]:
    """Return the visible links below ``folder`` that are not followed: to folders, and to files out of it."""
    left = []
    for link in folder.rglob("*"):
        path = link.relative_to(folder).as_posix()
        followed = link.is_file() and _stays_in(folder, link)
        if link.is_symlink() and wanted(path) and not followed:
            left.append(path)
    return sorted(left)


def wanted(path: str) -> bool:
    """Return whether the file at ``path`` below the source is data: not hidden, not in a hidden folder, not a manifest of ours."""
    return path != MANIFEST and not any(part.startswith(".") for part in path.split("/"))


def _up_to_date(family: str, source: str, license: str, former: Manifest, say: OnLine) -> bool:
    """Return whether the snapshot that ``former`` describes is what the source holds now."""
    kind, raw = kind_of(source), families.path("raw", family)
    same = (
        bool(former)
        and former["source"] == source
        and all(former.get(k) == v for k, v in _license(license, raw).items())
    )
    if kind in ("starter", "toy"):
        return same and former["starter_sha256"] == _starter_hash(family)
    seen = STATE / "fetched" / f"{family}.json"
    if kind == "s3":
        return same and {e["path"]: e["etag"] for e in former["files"]} == {
            o.path: o.etag for o in _objects(s3.client(), source)
        }
    try:
        files = expand(source)
    except ValueError:
        if not same or seen.exists():
            raise
        say(
            f"fetch: {source} is not on this machine; {raw} holds the snapshot that was taken from it"
        )  # a worker's clone
        return True
    now = _hashes(files, seen)
    return same and {e["path"]: e["sha256"] for e in former["files"]} == now


def kind_of(source: str) -> str:
    """Return ``starter``, ``toy``, ``s3`` or ``local``.

    Raises:
        ValueError: it is empty or an address of another kind.
    """
    if source in ("starter", "toy"):
        return source
    refuse_secret(source, "source")
    if source.startswith("s3://"):
        return "s3"
    if not source or "://" in source:
        raise ValueError(
            f"source {source!r}: give starter, a file, a folder, a glob, or s3://bucket/prefix"
        )
    return "local"


def check(source: str) -> None:
    """Refuse a source that is of no known kind, or local and not there.

    Raises:
        ValueError: saying what to give instead.
    """
    if kind_of(source) == "local":
        expand(source)


def _starter_hash(family: str) -> str:
    module = Path(families.__file__).parent / family / "starter.py"
    if not module.exists():
        raise ValueError(
            f"family {family} has no starter data; set families.{family}.source to a file, a folder or s3://bucket/prefix"
        )
    return hashlib.sha256(module.read_bytes()).hexdigest()


def _hashes(files: list[tuple[str, Path]], seen: Path) -> dict[str, str]:
    """Return path → SHA-256; ``seen`` remembers the hashes of files whose size and time have not changed."""
    known = read_json(seen) if seen.exists() else {}
    now = {}
    for _, file in files:
        stat, name = file.stat(), str(file.resolve())
        old = known.get(name)
        now[name] = (
            old
            if old and old[:2] == [stat.st_size, stat.st_mtime_ns]
            else [stat.st_size, stat.st_mtime_ns, _sha256(file)]
        )
    if now != known:
        write_json(seen, now)
    return {path: str(now[str(file.resolve())][2]) for path, file in files}


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def expand(source: str) -> list[tuple[str, Path]]:
    """Return (path in the data folder, file) for each file with content that a file name, folder or glob stands for.

    Raises:
        ValueError: nothing is there, or nothing but empty files.
    """
    place = Path(source).expanduser()
    if place.is_file():
        found = [(place.name, place)]
    elif place.is_dir():
        found = _files(place)
    elif glob.has_magic(source):
        root = next(parent for parent in place.parents if not glob.has_magic(str(parent)))
        found = []
        for file in sorted(root.glob(str(place.relative_to(root)))):
            path = file.relative_to(root).as_posix()
            if file.is_file() and wanted(path) and _stays_in(root, file):
                found.append((path, file))
    else:
        raise ValueError(f"{source}: no such file or folder{_near(place)}")
    full = [(path, file) for path, file in found if file.stat().st_size]
    if not full:
        what = (
            "the file is empty"
            if place.is_file()
            else "no file is there"
            if not found
            else "every file there is empty"
        )
        raise ValueError(
            f"{source}: {what}; give a file with data, a folder of them, or a glob such as 'reviews/*.csv'"
        )
    return full


def _near(place: Path) -> str:
    """Return "; did you mean …" with names like the first part of ``place`` that does not exist, or ""."""
    while not place.parent.exists():
        place = place.parent
    near = difflib.get_close_matches(
        place.name, sorted(file.name for file in place.parent.iterdir()), n=3, cutoff=0.5
    )
    return (
        f"; did you mean {' or '.join(str(place.parent / name) for name in near)}?"
        if near
        else f"; {place.parent} has nothing like it"
    )


def take(
    family: str,
    source: str,
    license: str,
    folder: Path,
    downloads: Path,
    say: OnLine,
    former: Manifest | None = None,
    raw: Path | None = None,
    stop: threading.Event | None = None,
) -> Manifest:
    """Put what ``source`` holds and its manifest into the empty ``folder``; return the manifest.

    ``downloads`` keeps what a broken download has read. Objects that the snapshot ``raw`` (described by ``former``) holds
    already are not read again.

    Raises:
        ValueError: as `bring_in`.
    """
    kind, extra = kind_of(source), {}
    etags: dict[str, str] = {}
    if kind == "s3":
        etags = _take_s3(source, folder, downloads, say, former or {}, raw)
    elif kind == "local":
        _tell_links(Path(source).expanduser(), say)
        _copy(expand(source), folder)
        _hint(Path(source).expanduser(), say)
    else:
        extra = {"starter_sha256": _starter_hash(family)}
        command.python("-m", "beauty_models", kind, family, "--raw", folder, on_line=say, stop=stop)
    files = [
        {"path": path, "bytes": file.stat().st_size, "sha256": _sha256(file)}
        for path, file in _files(folder)
    ]
    files = [
        entry | ({"etag": etags[entry["path"]]} if entry["path"] in etags else {})
        for entry in files
    ]
    manifest = {
        "source": source,
        "kind": kind,
        "files": files,
        **_license(license, folder),
        **extra,
    }
    write_json(folder / MANIFEST, manifest)
    for file in folder.rglob("*"):
        if file.is_file():
            file.chmod(0o444)
    return manifest


def _license(wanted: str, folder: Path) -> dict[str, Any]:
    """Return licence and whether commercial use is allowed (None: not known): the params' word, else LICENSE.json's, else none."""
    if wanted or not (folder / LICENSE).exists():
        return {"license": wanted, "commercial_use": None}
    stated = read_json(folder / LICENSE)
    if not isinstance(stated, dict):
        raise ValueError(
            f'{folder / LICENSE}: needs {{"license": "...", "commercial_use": true or false}}'
        )
    return {
        "license": str(stated.get("license", "")),
        "commercial_use": stated.get("commercial_use"),
    }


def _copy(files: list[tuple[str, Path]], folder: Path) -> None:
    """Copy ``files`` to their paths below ``folder``.

    Raises:
        ValueError: a file changed meanwhile.
    """
    for path, file in files:
        target, before = folder / path, file.stat()
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        after = file.stat()
        if (before.st_size, before.st_mtime_ns, target.stat().st_size) != (
            after.st_size,
            after.st_mtime_ns,
            after.st_size,
        ):
            raise ValueError(
                f"{file}: it changed while it was copied; fetch again when its delivery is complete"
            )


def _tell_links(source: Path, say: OnLine) -> None:
    """Say which links of a delivered folder, or of a glob's, are left out."""
    folder = source
    while glob.has_magic(str(folder)):
        folder = folder.parent
    for path in _links_left_out(folder) if folder.is_dir() else []:
        say(
            f"fetch: {folder / path} is a link to a folder or out of the delivery: left out; put the files there"
        )


def _hint(source: Path, say: OnLine) -> None:
    """Say that files lie beside a single source file that look like parts of it (``X_aspects.csv`` beside ``X.csv``)."""
    beside = (
        sorted(
            file.name for file in source.parent.glob(f"{glob.escape(source.stem)}_*{source.suffix}")
        )
        if source.is_file()
        else []
    )
    if beside:
        say(
            f"fetch: beside {source} lies {', '.join(beside)}; to bring in all of them give the glob '{source.with_suffix('')}*{source.suffix}'"
        )


def _objects(connection: Any, url: str) -> list[s3.Object]:
    objects = [item for item in s3.list_objects(connection, url) if wanted(item.path)]
    if not objects:
        raise ValueError(f"{url}: there are only hidden files")
    return objects


def _take_s3(
    url: str, folder: Path, downloads: Path, say: OnLine, former: Manifest, raw: Path | None
) -> dict[str, str]:
    """Put the objects at ``url`` into ``folder``; return path → ETag. An object replaced meanwhile is read once more."""
    connection = s3.client()
    old = {(entry["path"], entry.get("etag")): entry["sha256"] for entry in former.get("files", [])}
    for attempt in (1, 2):
        objects, wanted = _objects(connection, url), []
        for item in objects:
            before = raw / item.path if raw else None
            if (
                before
                and old.get((item.path, item.etag))
                and _sha256(before) == old[item.path, item.etag]
            ):
                (folder / item.path).parent.mkdir(parents=True, exist_ok=True)
                if not (folder / item.path).exists():
                    os.link(before, folder / item.path)
            else:
                wanted.append(item)
        try:
            s3.download(connection, wanted, folder, downloads, say)
            break
        except s3.ChangedError as changed:
            if attempt == 2:
                raise ValueError(
                    f"{changed}: it was replaced while it was read, twice; fetch again when its delivery is complete"
                ) from None
            say(f"fetch: {changed} was replaced while it was read; starting it again")
    shutil.rmtree(downloads)
    return {item.path: item.etag for item in objects}
