"""Run ``python …`` of this environment as a child that cannot outlive us; its failure becomes an exception in its own words."""

from __future__ import annotations

import math
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from tasks import child

TAIL = 20  # last lines of a failed child that its error carries


def _is_error(line: str) -> bool:
    return line.startswith(("error: ", "ERROR: "))  # a stage's and DVC's


def python(*arguments: str | Path, on_line: Callable[[str], None], stop: threading.Event | None = None) -> None:
    """Run ``python`` with ``arguments`` and pass each line it prints, but for ``error:`` lines, to ``on_line``.

    Raises:
        ValueError: it ended with an ``error:`` line, a mistake of the user's; the message is that line.
        RuntimeError: it failed otherwise; the message holds its last lines.
        child.StoppedError: ``stop`` was set.
    """
    last: deque[str] = deque(maxlen=TAIL)

    def hear(line: str) -> None:
        last.append(line)
        if not _is_error(line):
            on_line(line)

    words = [str(argument) for argument in arguments]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    environment = {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", "DVC_NO_ANALYTICS": "1"}
    code = child.run([sys.executable, *words], environment, hear, math.inf, stop or threading.Event())
    said = next((line for line in reversed(last) if _is_error(line)), None)
    if code and said:
        raise ValueError(said[len("error: ") :])
    if code:
        raise RuntimeError("\n".join([f"`python {' '.join(words)}` ended with exit code {code}; it said last:", *last]))
