"""Fetch raw data: what ``source`` in params.yaml names becomes data/raw/<family>.

The snapshot is whole, read-only and versioned by DVC. A source is ``starter`` or ``toy`` (the
family makes its own), a file, a folder, a glob, or ``s3://bucket/prefix``. The folder holds the
files as delivered and a manifest (`tasks.sources.manifest`). Hidden files and empty files are left
out.
"""

from __future__ import annotations

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
from tasks.sources import local, s3
from tasks.sources.manifest import MANIFEST, Entry, Manifest, is_data_file, stated_license
from tasks.state import STATE, OnLine

FETCHED = STATE / "fetched"  # what this machine remembers of each family's source


def fetch(family: str, on_line: OnLine = print, stop: threading.Event | None = None) -> bool:
    """Make data/raw/<family> what the family's ``source`` holds now; return whether it changed.

    A failure leaves the former snapshot as it was. ``on_line`` gets log lines and ``progress:``
    lines; setting ``stop`` ends it at the next chance.

    Raises:
        ValueError: the source is missing, empty, refused, or changes while it is read; the message
            says what to do.
        RuntimeError: the network broke, or the starter did; trying again may help.
    """
    source, license = _settings(family)
    # Two flows at once fetch once: the second finds the snapshot that the first has made.
    lock = STATE / "locks" / f"fetch-{family}.lock"
    private_folder(STATE)
    lock.parent.mkdir(exist_ok=True)
    with FileLock(lock):
        return _fetch(family, source, license, on_line, stop)


def _settings(family: str) -> tuple[str, str]:
    """Return the family's source and its licence as params.yaml names them.

    Raises:
        ValueError: params.yaml has no such family.
    """
    blocks = params.read()
    if "source" not in blocks.get(family, {}):
        raise ValueError(
            f"params.yaml: needs families.{family}.source; it has the families {', '.join(blocks)}"
        )
    return str(blocks[family]["source"]), str(blocks[family].get("license") or "")


def is_up_to_date(family: str) -> bool:
    """Return whether `fetch` would find nothing new.

    Then the snapshot is whole, DVC knows it, and the source holds the same.

    Raises:
        ValueError, RuntimeError: as `fetch`.
    """
    source, license = _settings(family)
    # Without the lock of `fetch`: a look must not wait for a download of hours.
    former = _intact_manifest(families.path("raw", family))
    return _is_recorded(family) and _is_current(family, source, license, former, _ignore_line)


def _ignore_line(line: str) -> None:
    """Take a line of what no screen shows."""


def _unrecorded(family: str) -> Path:
    """Return the file that exists from a new snapshot's coming until DVC knows it."""
    return FETCHED / f"{family}.unfinished"


def _is_recorded(family: str) -> bool:
    """Return whether DVC knows the snapshot that lies there."""
    raw = families.path("raw", family)
    return raw.with_name(f"{family}.dvc").exists() and not _unrecorded(family).exists()


def _fetch(
    family: str, source: str, license: str, on_line: OnLine, stop: threading.Event | None
) -> bool:
    """Do what `fetch` promises while its lock is held."""
    raw = families.path("raw", family)
    # A snapshot that lost a file is fetched anew, even where the source has not changed.
    former = _intact_manifest(raw)
    if not _is_current(family, source, license, former, on_line):
        on_line(f"fetch: {family} from {source}")
        downloads = STATE / "downloads" / family
        with new_folder(raw) as new:
            take_snapshot(family, source, license, new, downloads, on_line, former, raw, stop)
            # Before the folder is in its place: killed in between, `dvc add` is made up for.
            _unrecorded(family).parent.mkdir(parents=True, exist_ok=True)
            _unrecorded(family).touch()
    elif _is_recorded(family):
        return False
    repro.add(raw, on_line, stop or threading.Event())
    _unrecorded(family).unlink(missing_ok=True)
    return True


def _intact_manifest(raw: Path) -> Manifest | None:
    """Return the manifest of ``raw`` if exactly the files it names are there, with their sizes."""
    if not (raw / MANIFEST).exists():
        return None
    manifest: Manifest = read_json(raw / MANIFEST)
    stated = {entry["path"]: entry["bytes"] for entry in manifest["files"]}
    present = {path: file.stat().st_size for path, file in local.files_below(raw)}
    return manifest if stated == present else None


def _is_current(
    family: str, source: str, license: str, former: Manifest | None, on_line: OnLine
) -> bool:
    """Return whether the snapshot that ``former`` describes is what the source holds now."""
    kind = source_kind(source)
    raw = families.path("raw", family)
    same_settings = former is not None and _same_settings(former, source, license, raw)
    # Files of this machine are looked at in any case: a source that is not there is told.
    if kind == "local":
        return _is_current_local(family, source, former if same_settings else None, on_line)
    if former is None or not same_settings:
        return False
    if kind == "s3":
        listed = {item.path: item.etag for item in _list_objects(s3.client(), source, on_line)}
        return {entry["path"]: entry["etag"] for entry in former["files"]} == listed
    # What a family draws is the same as long as the code that draws it is.
    return former["starter_sha256"] == _starter_hash(family)


def _same_settings(former: Manifest, source: str, license: str, raw: Path) -> bool:
    """Return whether a snapshot was taken of this source, under this licence."""
    if former["source"] != source:
        return False
    now = stated_license(license, raw, former)
    return (former.get("license"), former.get("commercial_use")) == (
        now["license"],
        now["commercial_use"],
    )


def _is_current_local(family: str, source: str, former: Manifest | None, on_line: OnLine) -> bool:
    """Return whether files of this machine are those of the snapshot ``former``."""
    hash_cache = FETCHED / f"{family}.json"
    try:
        files = local.find_files(source)
    except ValueError:
        # A worker's clone has the snapshot from DVC, and never had the source. A machine that has
        # read it before lost it, which is an error.
        if former is None or hash_cache.exists():
            raise
        raw = families.path("raw", family)
        on_line(
            f"fetch: {source} is not on this machine; {raw} holds the snapshot that was taken "
            "from it"
        )
        return True
    hashes = local.content_hashes(files, hash_cache)
    if former is None:
        return False
    return {entry["path"]: entry["sha256"] for entry in former["files"]} == hashes


def source_kind(source: str) -> str:
    """Return ``starter``, ``toy``, ``s3`` or ``local``.

    Raises:
        ValueError: it is empty or an address of another kind.
    """
    if source in ("starter", "toy"):
        return source
    # Before the address stands in an error, a log or a manifest.
    refuse_secret(source, "source")
    if source.startswith("s3://"):
        return "s3"
    if not source or "://" in source:
        raise ValueError(
            f"source {source!r}: give starter, a file, a folder, a glob, or s3://bucket/prefix"
        )
    return "local"


def check_source(source: str) -> None:
    """Refuse a source that is of no known kind, or local and not there.

    Raises:
        ValueError: saying what to give instead.
    """
    if source_kind(source) == "local":
        local.find_files(source)


def _starter_hash(family: str) -> str:
    """Return the hash of the code that draws the family's starter and toy sets."""
    module = Path(families.__file__).parent / family / "starter.py"
    if not module.exists():
        raise ValueError(
            f"family {family} has no starter data; set families.{family}.source to a file, a "
            "folder or s3://bucket/prefix"
        )
    return local.sha256(module)


def take_snapshot(
    family: str,
    source: str,
    license: str,
    folder: Path,
    downloads: Path,
    on_line: OnLine,
    former: Manifest | None = None,
    raw: Path | None = None,
    stop: threading.Event | None = None,
) -> Manifest:
    """Put what ``source`` holds and its manifest into the empty ``folder``; return the manifest.

    ``downloads`` keeps what a broken download has read. Objects that the snapshot ``raw``
    (described by ``former``) holds already are not read again.

    Raises:
        ValueError, RuntimeError: as `fetch`.
    """
    kind = source_kind(source)
    etags: dict[str, str] = {}
    starter_hash = None
    if kind == "s3":
        etags = _fetch_s3(source, folder, downloads, on_line, former, raw)
    elif kind == "local":
        path = Path(source).expanduser()
        local.report_skipped_links(path, on_line)
        local.copy(local.find_files(source), folder)
        local.suggest_glob(path, on_line)
    else:
        # Before it runs: code that is edited meanwhile makes the set stale, and not wrong.
        starter_hash = _starter_hash(family)
        draw = ("-m", "beauty_models", kind, family, "--raw", folder)
        command.run_python(*draw, on_line=on_line, stop=stop, yields=True)
    data_license = stated_license(license, folder)
    manifest: Manifest = {
        "source": source,
        "kind": kind,
        "files": _entries(folder, etags),
        "license": data_license["license"],
        "commercial_use": data_license["commercial_use"],
    }
    if starter_hash:
        manifest["starter_sha256"] = starter_hash
    write_json(folder / MANIFEST, manifest)
    # Raw data is read-only for everyone: what a program changes in it would be trained on unseen.
    for file in folder.rglob("*"):
        if file.is_file():
            file.chmod(0o444)
    return manifest


def _entries(folder: Path, etags: dict[str, str]) -> list[Entry]:
    """Return the manifest's entries for the files of ``folder``."""
    entries = []
    for path, file in local.files_below(folder):
        entry: Entry = {
            "path": path,
            "bytes": file.stat().st_size,
            "sha256": local.sha256(file),
        }
        if path in etags:
            entry["etag"] = etags[path]
        entries.append(entry)
    return entries


def _list_objects(connection: Any, url: str, on_line: OnLine) -> list[s3.Object]:
    """Return the objects at ``url`` that are data.

    Raises:
        ValueError: there are none.
    """
    objects = [
        item for item in s3.list_objects(connection, url, on_line) if is_data_file(item.path)
    ]
    if not objects:
        raise ValueError(f"{url}: there are only hidden files")
    return objects


def _fetch_s3(
    url: str,
    folder: Path,
    downloads: Path,
    on_line: OnLine,
    former: Manifest | None,
    raw: Path | None,
) -> dict[str, str]:
    """Put the objects at ``url`` into ``folder``; return path → ETag.

    An object that is replaced meanwhile is read once more.
    """
    connection = s3.client()
    entries = former["files"] if former else []
    known_hashes = {(entry["path"], entry.get("etag")): entry["sha256"] for entry in entries}
    for attempt in (1, 2):
        objects = _list_objects(connection, url, on_line)
        missing = []
        for item in objects:
            known_hash = known_hashes.get((item.path, item.etag))
            if not (raw and known_hash and _link_known(item.path, known_hash, raw, folder)):
                missing.append(item)
        try:
            s3.download(connection, missing, folder, downloads, on_line)
            break
        except s3.ChangedError as changed:
            if attempt == 2:
                raise ValueError(
                    f"{changed}: it was replaced while it was read, twice; fetch again when its "
                    "delivery is complete"
                ) from None
            on_line(f"fetch: {changed} was replaced while it was read; starting it again")
    # Only now: what a broken attempt has read is used by the next one.
    shutil.rmtree(downloads)
    return {item.path: item.etag for item in objects}


def _link_known(path: str, known_hash: str, raw: Path, folder: Path) -> bool:
    """Put the file of the former snapshot into ``folder`` if it still has ``known_hash``.

    A hard link: both snapshots are read-only, and pictures by the thousand cost no second copy.

    Returns:
        Whether it is there now.
    """
    if local.sha256(raw / path) != known_hash:
        return False
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    # The second attempt finds what the first has linked.
    if not target.exists():
        os.link(raw / path, target)
    return True
