"""Work that kills the process that does it, for the tests of `parallel`."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def dies_of(victim: str, note: Path, times: int, name: str) -> str:
    """Return ``name`` in capitals; die of ``victim`` the first so many ``times``.

    ``note`` gets a letter for each death.
    """
    time.sleep(0.01)
    if name == victim:
        deaths = len(note.read_text()) if note.exists() else 0
        if deaths < times:
            with note.open("a") as stream:
                stream.write("x")
            os.kill(os.getpid(), signal.SIGKILL)
    return name.upper()


def fails(name: str) -> str:
    """Raise what ends a run."""
    raise FileNotFoundError(name)
