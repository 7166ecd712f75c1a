"""Whether DVC's files are what their hashes say: read anew, nothing remembered.

DVC trusts an object of its cache because it is read-only, and a file of the workspace because its time and size are those
that it remembers; it never reads them again. A disk that lost half an object would thus be restored as good, and trained
on. So before a result is restored its objects are hashed here, and before a stage runs its inputs are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from tasks.state import OnLine

FOLDER = ".dir"  # the end of a folder's hash; the object is a JSON list of md5 and relpath


def _md5(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _object(root: Path, oid: str) -> Path:
    return root / oid[:2] / oid[2:]


def _whole(root: Path, oid: str) -> bool:
    """Return whether the object ``oid`` is what its hash says; one that is not there is not damaged."""
    file = _object(root, oid)
    return not file.exists() or _md5(file) == oid.removesuffix(FOLDER)


def damaged(root: Path, oids: Iterable[str]) -> Iterator[Path]:
    """Yield the objects of the cache folder ``root`` (``…/files/md5``) that are not what their hash says.

    Of a folder, its list and all its files are looked at, as far as they are there.
    """
    for oid in dict.fromkeys(oids):
        if not _whole(root, oid):
            yield _object(root, oid)
        elif oid.endswith(FOLDER) and _object(root, oid).exists():
            entries = json.loads(_object(root, oid).read_text(encoding="utf-8"))
            yield from damaged(root, [entry["md5"] for entry in entries])


def drop_damaged(root: Path, oids: Iterable[str], on_line: OnLine) -> bool:
    """Delete the `damaged` objects, with a line for each; return whether there were any."""
    found = list(damaged(root, oids))
    for file in found:
        file.unlink(missing_ok=True)
        on_line(f"cache: {file} is damaged (its content is not what its hash says); deleted")
    return bool(found)


def _hashes(outs: Iterable[Any]) -> list[str]:
    return [out.hash_info.value for out in outs if out.hash_info and out.hash_info.name == "md5"]


def _restorable(repo: Any, node: Any) -> Iterator[str]:
    """Yield the hashes of what DVC may restore of the stage ``node``: of dvc.lock, and of the run cache for today's inputs."""
    from dvc.stage.cache import _can_hash, _get_stage_hash

    yield from _hashes(node.outs)
    if not all(dependency.exists for dependency in node.deps):
        return
    node.save_deps()
    if not _can_hash(node):
        return
    runs = repo.stage_cache
    key = _get_stage_hash(node)
    with suppress(FileNotFoundError):
        for run in sorted(Path(runs._get_cache_dir(key)).iterdir()):
            cached = runs._load_cache(key, run.name) or {}
            yield from (out["md5"] for out in cached.get("outs", []) if "md5" in out)


def check_restorable(repo: Any, node: Any, on_line: OnLine) -> bool:
    """Delete what is damaged of what DVC may restore for ``node``, so that it runs anew or is pulled; return whether any was."""
    return drop_damaged(Path(repo.cache.local.path), _restorable(repo, node), on_line)


def old_text(dependency: Any) -> str | None:
    """Return the text of a file that a stage read when it last ran, or None where DVC's cache does not have it whole."""
    root, oid = Path(dependency.repo.cache.local.path), dependency.hash_info.value
    if not oid or not _object(root, oid).exists() or not _whole(root, oid):
        return None
    return _object(root, oid).read_text(encoding="utf-8")


def holds(out: Any, dependency: Any) -> bool:
    """Return whether ``dependency`` is the output ``out``, or lies in it."""
    return Path(dependency.fs_path).is_relative_to(out.fs_path)


def content(output: Any) -> str:
    """Return the hash of DVC's output or dependency as its files are now, read without DVC's memory of times and sizes."""
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db import HashFileDB

    local = output.repo.cache.local
    forgetful = HashFileDB(local.fs, local.path, tmp_dir=local.tmp_dir)
    made = build(forgetful, output.fs_path, output.fs, "md5", ignore=output.dvcignore, dry_run=True)
    return str(made[2].hash_info.value)


class Damage(NamedTuple):
    """An input that is not what DVC takes it for, and the output that it is or lies in, with the node that made it."""

    path: str
    out: Any
    maker: Any


def damaged_inputs(repo: Any, node: Any) -> list[Damage]:
    """Return the inputs of the stage ``node`` that changed on the disk without a change of their times.

    One that DVC itself sees as changed is none: that is what its being stale is about.
    """
    found = []
    for dependency in node.deps:
        if dependency.protocol != "local" or not dependency.def_path or not dependency.exists:
            continue
        believed = dependency.get_hash()
        if believed.name != "md5" or content(dependency) == believed.value:
            continue
        made = [
            (out, maker)
            for maker in repo.index.stages
            for out in maker.outs
            if holds(out, dependency)
        ]
        found.append(Damage(str(dependency), *(made[0] if made else (None, None))))
    return found


def remove_output(repo: Any, damage: Damage, on_line: OnLine) -> None:
    """Take a damaged input out of the workspace, and its damaged objects out of the cache, so that its maker is stale."""
    drop_damaged(Path(repo.cache.local.path), _hashes([damage.out]), on_line)
    damage.out.remove()
    on_line(f"{damage.path} is damaged (its content changed, its time did not); removed")


def before_pull(repo: Any, on_line: OnLine) -> set[str]:
    """Return the paths that a pull may check out, after deleting what is damaged of them in the cache."""
    awaited = [out for node in repo.index.stages for out in node.outs if out.status()]
    drop_damaged(Path(repo.cache.local.path), _hashes(awaited), on_line)
    return {out.fs_path for out in awaited}


def after_pull(repo: Any, awaited: set[str], on_line: OnLine) -> None:
    """Remove those of ``awaited`` that a pull checked out damaged, so that they are stale and made here.

    What DVC itself sees as changed was there before, and is left alone.
    """
    for out in [out for node in repo.index.stages for out in node.outs]:
        if out.fs_path not in awaited or not _hashes([out]) or not out.exists or out.status():
            continue
        if content(out) != out.hash_info.value:
            drop_damaged(Path(repo.cache.local.path), _hashes([out]), on_line)
            out.remove()
            on_line(f"{out} came damaged from the remote; removed")


def same_folder(folder: Path, oid: str) -> bool:
    """Return whether ``folder``, an output of a stage, has the hash ``oid``; every file is read."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    entries = [
        {"md5": _md5(file), "relpath": file.relative_to(folder).as_posix()} for file in files
    ]
    entries.sort(key=lambda entry: entry["relpath"])
    listed = json.dumps(entries, sort_keys=True).encode()
    return hashlib.md5(listed, usedforsecurity=False).hexdigest() + FOLDER == oid
