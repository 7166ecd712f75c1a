"""Locks between processes of one machine: ours, and those that killed DVC processes left.

Two flows (or a flow and a ``dvc repro``) in one workspace lose nothing: a file lock per stage under
``.beauty/locks`` makes the second flow wait and ask again, and where DVC itself says that a path is
busy, it is asked again later.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from tasks.pipeline import child
from tasks.state import STATE, OnLine

if TYPE_CHECKING:
    from dvc.repo import Repo

LOCKS = STATE / "locks"


def machine_lock(name: str, stop: threading.Event, on_line: OnLine) -> FileLock:
    """Return the machine's lock ``name`` under ``.beauty/locks``, acquired; ``with`` releases it.

    Raises:
        child.StoppedError: ``stop`` was set while waiting.
    """
    LOCKS.mkdir(parents=True, exist_ok=True)
    lock = FileLock(LOCKS / (re.sub(r"[^\w@.-]", "_", name) + ".lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        on_line(f"waiting: another run holds {name}")
        try:
            # Without a limit of time: whoever holds it may train for hours.
            lock.acquire(cancel_check=stop.is_set)
        except Timeout:
            raise child.StoppedError(f"{name}: stopped while waiting") from None
    return lock


def _is_alive(holder: dict[str, Any]) -> bool:
    """Return whether the DVC process that noted itself as ``holder`` of a path still runs."""
    import psutil

    # The first word is dvc's own path, by whatever name it was called.
    arguments = holder["cmd"].partition(" ")[2]
    try:
        command = " ".join(psutil.Process(holder["pid"]).cmdline())
    except psutil.Error:
        return False
    return command.endswith(arguments)


def release_dead_locks(repo: Repo) -> None:
    """Drop the path locks of DVC processes that were killed.

    DVC takes a lock for held while any process has the number of its holder: after a reboot, or in
    a container, that is soon another program, and the path stays busy for ever.
    """
    # Private API of DVC: the file of its locks on paths, opened under the lock that guards it. DVC
    # has no command that releases one, and deleting the file would release the living's as well.
    from dvc.rwlock import _edit_rwlock

    hardlink = repo.config["core"].get("hardlink_lock", False)
    with _edit_rwlock(repo.tmp_dir, repo.fs, hardlink) as path_locks:
        # write: path → holder; read: path → holders
        for path, holder in list(path_locks["write"].items()):
            if not _is_alive(holder):
                del path_locks["write"][path]
        for path, holders in list(path_locks["read"].items()):
            path_locks["read"][path] = [holder for holder in holders if _is_alive(holder)]
