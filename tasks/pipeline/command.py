"""Run ``python …`` of this environment as a child that cannot outlive us.

Its failure becomes an exception in its own words.
"""

from __future__ import annotations

import math
import os
import sys
import threading
from collections import deque
from pathlib import Path

from tasks.pipeline import child
from tasks.state import OnLine

TAIL_LINES = 20  # of a failed child, which its error carries


def environment() -> dict[str, str]:
    """Return the environment of a child.

    `python` in a command line of dvc.yaml is this very one, and a child's lines come at once.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", "DVC_NO_ANALYTICS": "1"}


def run_python(
    *arguments: str | Path,
    on_line: OnLine,
    stop: threading.Event | None = None,
    yields: bool = False,
) -> None:
    """Run ``python`` with ``arguments``; pass each line it prints to ``on_line``.

    The error that it ends with is not passed on: it is the exception's message. ``yields``: as
    `child.run`.

    Raises:
        ValueError: it ended with ``error: …``, a mistake of the user's; the message is what
            follows.
        RuntimeError: it failed otherwise; the message holds its last lines.
        child.StoppedError: ``stop`` was set.
    """
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    error_lines: list[str] = []  # from the first error line on

    def on_output(line: str) -> None:
        tail.append(line)
        # An error may have several lines; nothing but it comes after its first.
        if error_lines or child.parse_error(line):
            error_lines.append(line)
        else:
            on_line(line)

    words = [str(argument) for argument in arguments]
    command = [sys.executable, *words]
    status = child.run(
        command, environment(), on_output, math.inf, stop or threading.Event(), yields=yields
    )
    if status.code and error_lines:
        error = child.parse_error(error_lines[0])
        assert error
        raise ValueError("\n".join([error.message, *error_lines[1:]]))
    if status.code:
        summary = f"`python {' '.join(words)}` {child.describe_exit(status)}; it said last:"
        raise RuntimeError("\n".join([summary, *tail]))
    # It ended well, so what looked like its last words were ordinary lines.
    for line in error_lines:
        on_line(line)
