"""Files that are whole or not there.

They are written under a temporary name, flushed to the disk, then renamed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import Any

from safetensors import SafetensorError


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _open_to_readers(file: Path) -> None:
    """Let those read ``file`` whom the umask lets read."""
    # safetensors writes 0600 beside its neighbours' 0644
    file.chmod(file.stat().st_mode | (0o444 & ~_umask()))


def private_folder(path: Path) -> None:
    """Make the folder ``path``, if it is not there, and let nobody but its owner look into it."""
    path.mkdir(parents=True, exist_ok=True)
    # somebody else's folder, or a file system without modes
    with suppress(OSError):
        path.chmod(0o700)


def _move_into_place(temporary: Path, path: Path) -> None:
    """Rename ``temporary`` to ``path``, once its content is on the disk."""
    _flush(temporary)
    files = [temporary] if temporary.is_file() else temporary.rglob("*")
    for file in filter(Path.is_file, files):
        _open_to_readers(file)
        _flush(file)
    former = path.with_name(f".{path.name}.{os.getpid()}.old")
    # a folder cannot be replaced at once: the old one steps aside until the new one is there
    if path.is_dir():
        path.replace(former)
    temporary.replace(path)
    # the new name, too, is on the disk only when its folder is
    _flush(path.parent)
    shutil.rmtree(former, ignore_errors=True)


@contextmanager
def _staged(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    # beside `path`: a rename is atomic within a file system only
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        _move_into_place(temporary, path)
    # torch raises RuntimeError where the disk is full, safetensors an error of its own
    except (OSError, RuntimeError, SafetensorError) as error:
        raise OSError(
            getattr(error, "errno", None),
            f"{path} was not written, what stood there before still does: {error}",
        ) from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``, which it becomes when the block ends well.

    Else it goes.

    Raises:
        OSError: the disk is full or refuses; a file that was at ``path`` before is untouched.
    """
    with _staged(path) as temporary:
        yield temporary


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder; when the block ends well it replaces ``path``, else it goes.

    Raises:
        OSError: the disk is full or refuses; a folder that was at ``path`` before is untouched.
    """
    # first, for they may be as large as what is to come
    _remove_left_over(path, "tmp")
    with _staged(path) as temporary:
        # a process that was killed may have had this one's id
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        yield temporary
    _remove_left_over(path, "old")


def _remove_left_over(path: Path, kind: str) -> None:
    """Remove the folders that processes left beside ``path`` when they were killed."""
    for folder in path.parent.glob(f".{escape(path.name)}.*.{kind}"):
        process = folder.name.removeprefix(f".{path.name}.").removesuffix(f".{kind}")
        if process.isdecimal() and not _runs(int(process)):
            shutil.rmtree(folder, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as indented JSON with sorted keys, whole or not at all.

    Raises:
        ValueError: a number in it is NaN or infinite.
        OSError: the disk is full or refuses.
    """
    try:
        text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise ValueError(f"{path}: not written, a number in it is NaN or infinite") from error
    with new_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        ValueError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; has the stage before this one run?") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not valid JSON: {error}") from error
