"""The archive of a registry: a zip file that holds plain files and a manifest of them.

It has no compression: weights do not shrink, and then a member is as large as it says, so no small
file can fill the disk. The manifest has the size and SHA-256 of every other member.

An archive is a stranger's until proven otherwise. Its members are read, never executed, and written
into a folder of their own; what does not match the manifest, or names a place outside the registry,
is refused.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import zipfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from tasks.state import STATE, OnLine

FORMAT = 1
MANIFEST = "manifest.json"
DATABASE = "mlflow.db"
ARTIFACTS = "mlartifacts"
LARGEST_MANIFEST = 100_000_000  # bytes; a line of it per file
BLOCK = 1 << 20  # bytes that are copied at once


class Member(NamedTuple):
    """What the manifest says of a file."""

    bytes: int
    sha256: str


def write(archive: Path, snapshot: Path, on_line: OnLine) -> dict[str, Member]:
    """Write the archive of the database ``snapshot`` and all artifacts; return what is in it."""
    artifacts = STATE / ARTIFACTS
    sources = {DATABASE: snapshot}
    for path in sorted(artifacts.rglob("*")):
        if path.is_file():
            sources[f"{ARTIFACTS}/{path.relative_to(artifacts).as_posix()}"] = path
    members = {}
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as opened:
        for number, (name, source) in enumerate(sources.items(), 1):
            # zip64 for all: the size of a member stands before its content, which is not known yet.
            with source.open("rb") as content, opened.open(name, "w", force_zip64=True) as target:
                members[name] = _copy(content, target)
            _report_progress(on_line, "backup", number, len(sources))
        manifest = {
            "format": FORMAT,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "mlflow": version("mlflow"),
            "project": str(Path.cwd()),
            "files": {name: member._asdict() for name, member in members.items()},
        }
        opened.writestr(MANIFEST, json.dumps(manifest, indent=1))
    return members


def _report_progress(on_line: OnLine, action: str, number: int, total: int) -> None:
    """Say how far the work is, ten times in all."""
    if number * 10 // total > (number - 1) * 10 // total:
        on_line(f"{action}: {number} of {total} files")


def _copy(source: IO[bytes], target: IO[bytes]) -> Member:
    """Copy all of ``source``; return its size and hash."""
    digest = hashlib.sha256()
    size = 0
    while block := source.read(BLOCK):
        digest.update(block)
        target.write(block)
        size += len(block)
    return Member(size, digest.hexdigest())


def unpack(file: Path, folder: Path, on_line: OnLine) -> tuple[dict[str, Member], Path]:
    """Write the members of an archive below ``folder``.

    Returns:
        What is in it, and the folder of the project that it comes from.

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
                # x: a member that came twice would replace what was checked.
                with opened.open(name) as content, target.open("xb") as written:
                    copied = _copy(content, written)
                if copied != member:
                    raise ValueError(f"{file}: {name} is not what the manifest says; it is damaged")
                _report_progress(on_line, "restore", number, len(members))
    except FileNotFoundError:
        raise ValueError(f"{file}: no such file") from None
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise ValueError(f"{file}: not a whole backup of a registry: {error}") from None
    return members, project


def _manifest(file: Path, opened: zipfile.ZipFile) -> tuple[dict[str, Member], Path]:
    """Return what an archive says is in it, and the folder of the project that it comes from.

    Raises:
        ValueError: it says nothing that this program understands.
    """
    try:
        # Before it is read: a small archive may say that its manifest is huge.
        if opened.getinfo(MANIFEST).file_size > LARGEST_MANIFEST:
            raise ValueError(f"more than {LARGEST_MANIFEST:,} bytes")
        content = json.loads(opened.read(MANIFEST))
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']}, this program reads {FORMAT}")
        files = {}
        for name, stated in content["files"].items():
            files[str(name)] = Member(int(stated["bytes"]), str(stated["sha256"]))
        project = Path(str(content["project"]))
        if not project.is_absolute():
            raise ValueError(f"project {project} is not an absolute path")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{file}: not a backup of a registry: {MANIFEST}: {error}") from None
    return files, project


def _check_members(file: Path, opened: zipfile.ZipFile, members: dict[str, Member]) -> None:
    """Refuse an archive that holds anything but plain files of a registry.

    Each must be there once, and be as large as the manifest says.

    Raises:
        ValueError: a name leads elsewhere, a member is a link or compressed, or the disk has no
            room.
    """
    # Compared as sorted lists: a name that stands twice is not what the manifest says.
    infos = opened.infolist()
    names = [info.filename for info in infos]
    if sorted(names) != sorted([MANIFEST, *members]) or DATABASE not in members:
        raise ValueError(f"{file}: its members are not those of its manifest; it is damaged")
    folders = {str(parent) for name in members for parent in PurePosixPath(name).parents}
    for info in infos:
        name = info.filename
        # The upper half holds the mode that Unix programs write; 0 where another one wrote it.
        mode = info.external_attr >> 16
        if name not in (MANIFEST, DATABASE) and not _is_artifact(name):
            raise ValueError(f"{file}: {name!r} leads out of the registry")
        # A file whose name is another's folder, a link, a device: none is a registry's.
        if name in folders or (stat.S_IFMT(mode) and not stat.S_ISREG(mode)):
            raise ValueError(f"{file}: {name!r} is not a plain file")
        if info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{file}: {name!r} is compressed; a backup is not")
        if name in members and members[name].bytes != info.file_size:
            raise ValueError(f"{file}: {name} is not as large as the manifest says; it is damaged")
    total = sum(info.file_size for info in infos)
    # Members that overlap: a small file that would fill the disk.
    if total > file.stat().st_size:
        raise ValueError(f"{file}: holds more than its size; it is damaged")
    free = shutil.disk_usage(STATE).free
    if total > free:
        raise ValueError(f"{file}: needs {total:,} bytes, the disk has {free:,}")


def _is_artifact(name: str) -> bool:
    """Return whether ``name`` is that of a file below the artifacts, written without detours."""
    parts = name.split("/")
    plain = all(part not in ("", ".", "..") for part in parts)
    return plain and len(parts) > 1 and parts[0] == ARTIFACTS and not set(name) & {"\\", "\0"}
