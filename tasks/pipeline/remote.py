"""Is the DVC remote there? One look before the first stage: results are pushed after the last."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from tasks.pipeline.graph import open_repo
from tasks.secrets import redact

if TYPE_CHECKING:
    from dvc.repo import Repo

ANSWER_S = 10.0  # a store that is well answers in less than one


class Remote(NamedTuple):
    """The default DVC remote: its name, its address, and the file that says so."""

    name: str
    url: str
    file: str


def check() -> None:
    """Look whether results can be exchanged with other machines.

    Raises:
        ValueError: there is no default remote, or it does not answer within `ANSWER_S` seconds, or
            refuses; the message has its address without secrets, where that comes from, and what
            to do.
    """
    # DVC's own objects for the store: they have its credentials and settings.
    with open_repo() as repo:
        remote = _default_remote(repo)
        store = repo.cloud.get_remote_odb(remote.name)
    answer: SimpleQueue[str | None] = SimpleQueue()

    def look() -> None:
        try:
            answer.put(_store_problem(store.fs, store.path))
        except Exception as error:  # each kind of store has its own
            answer.put(f"does not answer ({_first_line(error)})")

    # A thread, because not every store's client has a timeout; one that hangs is left behind.
    thread = threading.Thread(target=look, daemon=True, name="remote")
    thread.start()
    thread.join(ANSWER_S)
    if thread.is_alive():
        problem: str | None = f"does not answer within {ANSWER_S:g} s"
    else:
        problem = answer.get()
    if problem:
        raise ValueError(
            f"the DVC remote {remote.name!r} at {redact(remote.url)} {redact(problem)}. Its "
            f"address comes from {remote.file}: mend it there "
            f"(`dvc remote modify {remote.name} url URL`) or its credentials, or run without "
            "`share`"
        )


def _default_remote(repo: Repo) -> Remote:
    """Return the default remote.

    Raises:
        ValueError: there is none.
    """
    name = repo.config["core"].get("remote")
    if not name:
        raise ValueError(
            "share: DVC has no default remote; `dvc remote add -d NAME URL`, and commit .dvc/config"
        )
    if name not in repo.config["remote"]:
        raise ValueError(f"share: DVC knows no remote {name!r}; see `dvc remote list`")
    url = str(repo.config["remote"][name]["url"])
    # Which file says so? DVC merges its four levels, the nearer over the farther.
    for level in ("local", "repo", "global", "system"):
        settings = repo.config.load_one(level).get("remote", {}).get(name, {})
        if "url" not in settings:
            continue
        file = Path(repo.config.files[level])
        if file.is_relative_to(repo.root_dir):
            file = file.relative_to(repo.root_dir)
        return Remote(name, url, str(file))
    return Remote(name, url, "DVC's configuration")


def _store_problem(store: Any, path: str) -> str | None:
    """Return what is wrong with the folder ``path`` of ``store``, a file system of DVC's.

    The folder may not be there yet: the first push makes it.
    """
    if store.protocol == "local":
        return _folder_problem(Path(path))
    if store.protocol != "s3":
        store.exists(path)  # yes or no, it has answered
        return None
    try:
        store.fs.ls(path)
    except FileNotFoundError:
        # Nothing was pushed yet, which is well, or there is no such bucket.
        bucket = path.removeprefix("s3://").partition("/")[0]
        if not store.fs.exists(bucket):
            return (
                f"cannot be used: there is no bucket {bucket}, or these credentials may not see it"
            )
    return None


def _folder_problem(folder: Path) -> str | None:
    """Return what is wrong with a folder of this machine, or of one whose disk is mounted here."""
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    if not nearest.is_dir():
        return f"cannot be used: {nearest} is no folder"
    if not os.access(nearest, os.W_OK | os.X_OK):
        return f"cannot be written: {nearest} is read-only or belongs to somebody else"
    return None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
