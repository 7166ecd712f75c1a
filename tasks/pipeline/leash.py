"""Hold a command on a leash: it and its children end when whoever started it is gone, however.

``python leash.py GRACE COMMAND…`` runs COMMAND in this process's group. Standard input is one end
of a socket whose other end only the parent holds. The kernel closes that end when the parent is
killed, with ``kill -9`` as well, and the whole group is ended: TERM, KILL after GRACE seconds. This
works on every Unix, where PR_SET_PDEATHSIG is Linux's own, is bound to a thread, and reaches the
child but not the grandchild.

The leash ends as the command did, by the same exit code or signal, and says on the socket how much
memory the command took at most. `tasks.pipeline.child` starts it by its path, with ``-I -S``: it
imports only what starts in milliseconds.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

SOCKET = 0  # the descriptor, which is standard input
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # the command gets them too: one group


def _group_lives() -> bool:
    """Return whether another process of this group lives.

    Without ``/proc`` (macOS) that is not known, and the answer is True.
    """
    try:
        others = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    except OSError:
        return True
    for pid in others:
        with suppress(OSError):
            if pid != os.getpid() and os.getpgid(pid) == os.getpgrp():
                return True
    return False


def _end_group_when_parent_is_gone(grace_s: float, gone: threading.Event) -> None:
    """Wait for the end of the parent; then end this process's whole group, itself included."""
    # The parent never writes: a read returns when its end is closed. A reset is an end as well.
    with suppress(OSError):
        while os.read(SOCKET, 1024):
            pass
    gone.set()
    os.killpg(0, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline and _group_lives():
        time.sleep(0.05)
    os.killpg(0, signal.SIGKILL)


def _start(command: list[str]) -> int:
    """Start ``command`` with nothing on its standard input; return its process number."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), SOCKET)
        os.execvp(command[0], command)
    except OSError as error:
        print(f"error: {command[0]}: {error.strerror}", file=sys.stderr, flush=True)
    os._exit(127)


def _end_as(status: int) -> None:
    """End this process as the child with the wait status ``status`` ended."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        # One core file, the command's, is enough.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # KILL has no handler to take away.
        with suppress(OSError):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def main(grace_s: float, command: list[str]) -> None:
    """Run ``command`` and end as it does."""
    # Before the handlers are set, so that the command has the usual ones.
    pid = _start(command)
    for number in PASSED_ON:
        signal.signal(number, lambda *_: None)
    gone = threading.Event()
    ending = threading.Thread(
        target=_end_group_when_parent_is_gone, args=(grace_s, gone), daemon=True
    )
    ending.start()
    _, status = os.waitpid(pid, 0)
    # The command has ended, but perhaps not its children.
    if gone.is_set():
        ending.join()
    # Kibibytes on Linux, bytes on macOS (getrusage(2)).
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    with suppress(OSError):
        os.write(SOCKET, str(peak if sys.platform == "darwin" else peak * 1024).encode())
    _end_as(status)


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
