"""Run a command in its own process group, line by line, and never leave any of its processes behind."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO

GRACE = 10.0  # seconds between TERM and KILL, for a stage that writes a checkpoint
LOOK_EVERY = 0.2  # seconds between two looks at the clock and at `stop`


class StoppedError(Exception):
    """Somebody (a cancellation, Ctrl-C) asked for the end."""


def _read(stream: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    with stream:
        for line in stream:
            lines.put(line.rstrip("\n"))
    lines.put(None)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _end(process: subprocess.Popen[str]) -> None:
    """TERM for the whole group, KILL for what is left after `GRACE` seconds."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        until = time.monotonic() + GRACE
        while time.monotonic() < until and (process.poll() is None or _alive(process.pid)):
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run(
    command: list[str],
    env: Mapping[str, str],
    on_line: Callable[[str], None],
    timeout_s: float,
    stop: threading.Event,
) -> int:
    """Run ``command``, give each line of its output to ``on_line``, and return its exit code.

    Whatever ends this function early, the process group of the command is gone when it does.

    Raises:
        TimeoutError: it ran longer than ``timeout_s`` seconds.
        StoppedError: ``stop`` was set.
    """
    deadline = time.monotonic() + timeout_s
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    process = subprocess.Popen(
        command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True, text=True, encoding="utf-8", errors="replace",
    )  # fmt: skip
    try:
        assert process.stdout
        threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
        while True:
            if stop.is_set():
                raise StoppedError("stopped")
            if time.monotonic() > deadline:
                raise TimeoutError(f"stopped after {timeout_s:g} s, its time limit")
            with suppress(queue.Empty):
                line = lines.get(timeout=LOOK_EVERY)
                if line is None:
                    break
                on_line(line)
        return process.wait()
    except BaseException:
        _end(process)
        raise
