"""Processes of their own: the `beauty` command as a person starts it, and a fresh interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def beauty(
    *arguments: str,
    folder: Path | None = None,
    code: int = 0,
    stdin: str = "",
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run the command in ``folder``, by default the current one, and check its exit ``code``.

    ``stdin`` is what the person types.
    """
    inherited = {**os.environ, "PYTHONPATH": str(ROOT)}
    # The developer's own registry: a test would read it, and write to it.
    inherited.pop("MLFLOW_TRACKING_URI", None)
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        cwd=folder,
        env={**inherited, **environment},
        input=stdin,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    return done


def printed_by(program: str) -> str:
    """Return what a fresh interpreter prints that runs ``program`` in the current folder."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
