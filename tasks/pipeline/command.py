"""Run ``python …`` of this environment as a child that cannot outlive us; its failure becomes an exception in its own words."""

from __future__ import annotations

import math
import os
import sys
import threading
from collections import deque
from pathlib import Path

from tasks.pipeline import child
from tasks.state import OnLine

TAIL = 20  # last lines of a failed child that its error carries


def environment() -> dict[str, str]:
    """Return the environment of a child: `python` in a command line is this one, and its lines come at once."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", "DVC_NO_ANALYTICS": "1"}


def python(*arguments: str | Path, on_line: OnLine, stop: threading.Event | None = None) -> None:
    """Run ``python`` with ``arguments`` and pass each line it prints to ``on_line``, but not the error it ends with.

    Raises:
        ValueError: it ended with ``error: …``, a mistake of the user's; the message is what follows.
        RuntimeError: it failed otherwise; the message holds its last lines.
        child.StoppedError: ``stop`` was set.
    """
    last: deque[str] = deque(maxlen=TAIL)
    said: list[str] = []  # from an error line on

    def hear(line: str) -> None:
        last.append(line)
        if said or line.startswith(("error: ", "ERROR: ")):  # a stage's and DVC's
            said.append(line)
        else:
            on_line(line)

    words = [str(argument) for argument in arguments]
    ended = child.run(
        [sys.executable, *words], environment(), hear, math.inf, stop or threading.Event()
    )
    if ended.code and said:
        raise ValueError("\n".join(said)[len("error: ") :])
    if ended.code:
        what = f"`python {' '.join(words)}` {child.how(ended)}; it said last:"
        raise RuntimeError("\n".join([what, *last]))
    for line in said:
        on_line(line)
