"""Whether DVC's files are what their hashes say: read anew, nothing remembered.

DVC trusts an object of its cache because it is read-only, and a file of the workspace because its
time and size are those that it remembers; it never reads them again. A disk that lost half an
object would thus be restored as good, and trained on. So before a result is restored its objects
are hashed here, and before a stage runs its inputs are (docs/decisions/2026-11-26-resilience.md).

``repo``, ``node``, ``out`` and ``dependency`` are DVC's own objects: `Repo`, `Stage`, `Output`, and
`Dependency`, which is an `Output` as well.
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
    """Return where the cache folder ``root`` has the object with the hash ``oid``."""
    return root / oid[:2] / oid[2:]


def _is_intact(root: Path, oid: str) -> bool:
    """Return whether the object ``oid`` is what its hash says; one that is missing is intact."""
    file = _object(root, oid)
    return not file.exists() or _md5(file) == oid.removesuffix(FOLDER)


def damaged_objects(root: Path, oids: Iterable[str]) -> Iterator[Path]:
    """Yield the objects of the cache folder ``root`` (``…/files/md5``) that their hash belies.

    Of a folder, its list and all its files are looked at, as far as they are there.
    """
    for oid in dict.fromkeys(oids):
        if not _is_intact(root, oid):
            yield _object(root, oid)
        elif oid.endswith(FOLDER) and _object(root, oid).exists():
            entries = json.loads(_object(root, oid).read_text(encoding="utf-8"))
            yield from damaged_objects(root, [entry["md5"] for entry in entries])


def delete_damaged(root: Path, oids: Iterable[str], on_line: OnLine) -> bool:
    """Delete the `damaged_objects`, with a line for each; return whether there were any."""
    damaged = list(damaged_objects(root, oids))
    for file in damaged:
        file.unlink(missing_ok=True)
        on_line(f"cache: {file} is damaged (its content is not what its hash says); deleted")
    return bool(damaged)


def _hashes(outs: Iterable[Any]) -> list[str]:
    return [out.hash_info.value for out in outs if out.hash_info and out.hash_info.name == "md5"]


def _restorable_hashes(repo: Any, node: Any) -> Iterator[str]:
    """Yield the hashes of what DVC may restore of the stage ``node``.

    They are those of dvc.lock, and those that the run cache has for today's inputs.
    """
    # Private API of DVC: the key under which its run cache keeps a stage's results, and whether it
    # keeps any. The public `StageCache.restore` would check them out before we have hashed them.
    from dvc.stage.cache import _can_hash, _get_stage_hash

    yield from _hashes(node.outs)
    if not all(dependency.exists for dependency in node.deps):
        return
    # The key is made of the inputs' hashes of today.
    node.save_deps()
    if not _can_hash(node):
        return
    # Private as well: the folder of a key.
    folder = Path(repo.stage_cache._get_cache_dir(_get_stage_hash(node)))
    for run in _noted_runs(folder):
        for out in run["outs"]:
            if "md5" in out:
                yield out["md5"]


def _noted_runs(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield what the run cache noted of each run in ``folder``; what was cut off is deleted.

    A full disk or a kill leaves half a note, under a temporary name or its own.
    """
    # Private API of DVC: a note is named by the hash of its content.
    from dvc.stage.cache import _get_cache_hash
    from dvc.utils.serialize import YAMLFileCorruptedError, load_yaml

    if not folder.exists():  # no run with these inputs yet
        return
    for file in sorted(folder.iterdir()):
        try:
            run = load_yaml(str(file))
        except YAMLFileCorruptedError:
            run = None
        if isinstance(run, dict) and _get_cache_hash(run) == file.name:
            yield run
        else:
            file.unlink()
    # DVC 3.67 takes the newest note of a folder without asking whether it is whole or there is one,
    # and the stage fails for ever: "join() argument must be str … not 'NoneType'".
    with suppress(OSError):  # not empty
        folder.rmdir()


def delete_damaged_results(repo: Any, node: Any, on_line: OnLine) -> bool:
    """Delete what is damaged of what DVC may restore for ``node``; return whether any was.

    The stage then runs anew or is pulled.
    """
    return delete_damaged(Path(repo.cache.local.path), _restorable_hashes(repo, node), on_line)


def cached_text(dependency: Any) -> str | None:
    """Return the text of a file that a stage read when it last ran.

    None where DVC's cache does not have it, or has it damaged.
    """
    root = Path(dependency.repo.cache.local.path)
    oid = dependency.hash_info.value
    if not oid or not _object(root, oid).exists() or not _is_intact(root, oid):
        return None
    return _object(root, oid).read_text(encoding="utf-8")


def contains(out: Any, dependency: Any) -> bool:
    """Return whether ``dependency`` is the output ``out``, or lies in it."""
    return Path(dependency.fs_path).is_relative_to(out.fs_path)


def content_hash(output: Any) -> str:
    """Return the hash of DVC's output or dependency as its files are now, all of them read."""
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db import HashFileDB

    local = output.repo.cache.local
    # `output.get_hash()` would ask DVC's memory of times and sizes; a database without `state` has
    # none. dvc_data is DVC's own layer of storage, and promises nothing to others.
    forgetful = HashFileDB(local.fs, local.path, tmp_dir=local.tmp_dir)
    _, _, tree = build(
        forgetful, output.fs_path, output.fs, "md5", ignore=output.dvcignore, dry_run=True
    )
    return str(tree.hash_info.value)


class DamagedInput(NamedTuple):
    """An input that is not what DVC takes it for."""

    path: str
    out: Any  # the output that it is or lies in; None: no stage has it
    producer: Any  # the node that made it, or None


def damaged_inputs(repo: Any, node: Any) -> list[DamagedInput]:
    """Return the inputs of the stage ``node`` that changed on the disk without a change of time.

    One that DVC itself sees as changed is none: that is what its being stale is about.
    """
    damaged = []
    for dependency in node.deps:
        # Parameters and remote files have no bytes on this disk; a missing input is DVC's to tell.
        if dependency.protocol != "local" or not dependency.def_path or not dependency.exists:
            continue
        remembered = dependency.get_hash()
        if remembered.name != "md5" or content_hash(dependency) == remembered.value:
            continue
        out, producer = _origin(repo, dependency)
        damaged.append(DamagedInput(str(dependency), out, producer))
    return damaged


def _origin(repo: Any, dependency: Any) -> tuple[Any, Any]:
    """Return the output that ``dependency`` is or lies in, and the node that makes it."""
    for producer in repo.index.stages:
        for out in producer.outs:
            if contains(out, dependency):
                return out, producer
    return None, None


def remove_output(repo: Any, damaged: DamagedInput, on_line: OnLine) -> None:
    """Take a damaged input out of the workspace, and its damaged objects out of the cache.

    Its producer is then stale.
    """
    delete_damaged(Path(repo.cache.local.path), _hashes([damaged.out]), on_line)
    damaged.out.remove()
    on_line(f"{damaged.path} is damaged (its content changed, its time did not); removed")


def _outs(repo: Any) -> Iterator[Any]:
    for node in repo.index.stages:
        yield from node.outs


def before_pull(repo: Any, on_line: OnLine) -> set[str]:
    """Return the paths that a pull may check out; delete what is damaged of them in the cache."""
    awaited = [out for out in _outs(repo) if out.status()]
    delete_damaged(Path(repo.cache.local.path), _hashes(awaited), on_line)
    return {out.fs_path for out in awaited}


def after_pull(repo: Any, awaited: set[str], on_line: OnLine) -> None:
    """Remove those of ``awaited`` that a pull checked out damaged: stale, they are made here.

    What DVC itself sees as changed was there before, and is left alone.
    """
    # out.status(): what differs by time and size too was there before, see above.
    for out in list(_outs(repo)):
        if out.fs_path not in awaited or not _hashes([out]) or not out.exists or out.status():
            continue
        if content_hash(out) != out.hash_info.value:
            delete_damaged(Path(repo.cache.local.path), _hashes([out]), on_line)
            out.remove()
            on_line(f"{out} came damaged from the remote; removed")


def folder_has_hash(folder: Path, oid: str) -> bool:
    """Return whether ``folder``, an output of a stage, has the hash ``oid``; every file is read."""
    entries = []
    for file in folder.rglob("*"):
        if file.is_file():
            path = file.relative_to(folder).as_posix()
            entries.append({"md5": _md5(file), "relpath": path})
    entries.sort(key=lambda entry: entry["relpath"])
    # DVC hashes the list of a folder as JSON with sorted keys (dvc_data.hashfile.tree.Tree)
    listing = json.dumps(entries, sort_keys=True).encode()
    return hashlib.md5(listing, usedforsecurity=False).hexdigest() + FOLDER == oid
