"""Raw data on this machine: which files a name, folder or glob stands for, and their copies."""

from __future__ import annotations

import difflib
import glob
import hashlib
import shutil
from pathlib import Path
from typing import NamedTuple

from beauty_models.files import read_json, write_json
from beauty_models.intake import folders
from tasks.sources.manifest import is_data_file
from tasks.state import OnLine


class LocalFile(NamedTuple):
    """A file of a delivery."""

    path: str  # where it goes, relative to the data folder, with /
    file: Path


def files_below(folder: Path) -> list[LocalFile]:
    """Return each file of ``folder`` that ingest would see but our manifest, sorted by path."""
    files = []
    for file in folders.walk(folder).files:
        path = file.relative_to(folder).as_posix()
        if is_data_file(path):
            files.append(LocalFile(path, file))
    # The order of a directory differs from disk to disk, and the manifest's hash with it.
    return sorted(files)


def _is_inside(folder: Path, file: Path) -> bool:
    """Return whether ``file`` really lies below ``folder``, and is no link out of it.

    A delivery must not reach for other files of this machine.
    """
    return file.resolve().is_relative_to(folder.resolve())


def find_files(source: str) -> list[LocalFile]:
    """Return each file with content that a file name, folder or glob stands for.

    Raises:
        ValueError: nothing is there, or nothing but empty files.
    """
    path = Path(source).expanduser()
    if path.is_file():
        files = [LocalFile(path.name, path)]
    elif path.is_dir():
        files = files_below(path)
    elif glob.has_magic(source):
        files = _matching_files(path)
    else:
        raise ValueError(f"{source}: no such file or folder{_did_you_mean(path)}")
    with_content = [entry for entry in files if entry.file.stat().st_size]
    if with_content:
        return with_content
    if path.is_file():
        problem = "the file is empty"
    elif files:
        problem = "every file there is empty"
    else:
        problem = "no file is there"
    raise ValueError(
        f"{source}: {problem}; give a file with data, a folder of them, or a glob such as "
        "'reviews/*.csv'"
    )


def _matching_files(pattern: Path) -> list[LocalFile]:
    """Return the visible files that a glob matches.

    Their paths begin below the first folder without a wildcard, so that ``a/*/x.csv`` keeps them
    apart.
    """
    root = next(parent for parent in pattern.parents if not glob.has_magic(str(parent)))
    files = []
    for file in sorted(root.glob(str(pattern.relative_to(root)))):
        path = file.relative_to(root).as_posix()
        if file.is_file() and is_data_file(path) and _is_inside(root, file):
            files.append(LocalFile(path, file))
    return files


def _did_you_mean(path: Path) -> str:
    """Return names that are like the first part of ``path`` that does not exist, as a question."""
    # Of a/b/c.csv where a has no b, the mistake is b.
    while not path.parent.exists():
        path = path.parent
    names = sorted(file.name for file in path.parent.iterdir())
    similar = difflib.get_close_matches(path.name, names, n=3, cutoff=0.5)
    if not similar:
        return f"; {path.parent} has nothing like it"
    return f"; did you mean {' or '.join(str(path.parent / name) for name in similar)}?"


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal digits."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def content_hashes(files: list[LocalFile], cache: Path) -> dict[str, str]:
    """Return path → SHA-256 of ``files``.

    The JSON file ``cache`` remembers the hashes of files whose size and time have not changed:
    a source of gigabytes is looked at in each run, and read only when it is new.
    """
    known = read_json(cache) if cache.exists() else {}
    current = {}  # real path → [size, time, hash]
    for _, file in files:
        status = file.stat()
        stamp = [status.st_size, status.st_mtime_ns]
        # By its real path: a glob and a folder may name the same file.
        name = str(file.resolve())
        remembered = known.get(name)
        if remembered and remembered[:2] == stamp:
            current[name] = remembered
        else:
            current[name] = [*stamp, sha256(file)]
    if current != known:
        write_json(cache, current)
    return {path: str(current[str(file.resolve())][2]) for path, file in files}


def copy(files: list[LocalFile], folder: Path) -> None:
    """Copy ``files`` to their paths below ``folder``.

    Raises:
        ValueError: a file changed meanwhile.
    """
    for path, file in files:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        before = file.stat()
        shutil.copyfile(file, target)
        after = file.stat()
        # An upload that still runs grows; half a table would parse, and be trained on.
        unchanged = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
        if not unchanged or target.stat().st_size != after.st_size:
            raise ValueError(
                f"{file}: it changed while it was copied; fetch again when its delivery is complete"
            )


def report_skipped_links(source: Path, on_line: OnLine) -> None:
    """Say which links of a delivered folder, or of a glob's, are left out."""
    folder = source
    while glob.has_magic(str(folder)):
        folder = folder.parent
    if not folder.is_dir():
        return
    for link in folders.walk(folder).links:
        on_line(
            f"fetch: {link} is a link out of the delivery, in a circle or to nothing: left out; "
            "put the files there"
        )


def suggest_glob(source: Path, on_line: OnLine) -> None:
    """Say which files lie beside a single source file that look like parts of it.

    Such are ``X_aspects.csv`` beside ``X.csv``.
    """
    if not source.is_file():
        return
    pattern = f"{glob.escape(source.stem)}_*{source.suffix}"
    siblings = sorted(file.name for file in source.parent.glob(pattern))
    if siblings:
        on_line(
            f"fetch: beside {source} lies {', '.join(siblings)}; to bring in all of them give the "
            f"glob '{source.with_suffix('')}*{source.suffix}'"
        )
